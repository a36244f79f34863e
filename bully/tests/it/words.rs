//! One node, word by word: what it answers, what it drops, what it writes down before it speaks.

use std::time::Duration;

use bully::{Answer, Bully, Config, Error, Event, Message, Record, Request, Round, View};
use cluster::{
    Boot, CorruptRecords, Effect, EffectOf, EffectsOf, Epoch, Gate, Input, Members, Node, NodeId,
    Now, RequestId, Role, Timestamp, WallTime,
};

use crate::support::{TIMEOUT, millis, n};

const START: Timestamp = Timestamp::from_millis(1_000);

fn e(number: u64) -> Epoch {
    Epoch::new(number)
}

fn r(number: u64) -> Round {
    Round::new(number)
}

/// A node whose world is the test.
struct Solo {
    node: Bully,
    now: Timestamp,
    out: EffectsOf<Bully>,
    disk: Vec<Record>,
}

impl Solo {
    fn boot(config: &Config, id: u32, nodes: usize, disk: &[Record]) -> Self {
        Self::try_boot(config, id, nodes, disk).unwrap()
    }

    fn try_boot(
        config: &Config,
        id: u32,
        nodes: usize,
        disk: &[Record],
    ) -> Result<Self, CorruptRecords> {
        let mut out = EffectsOf::<Bully>::new();
        let boot = Boot {
            id: n(id),
            members: Members::first(nodes).unwrap(),
            now: now(START),
            seed: 7,
            records: disk.to_vec(),
        };
        let node = Bully::boot(config, boot, &mut out)?;
        Ok(Self { node, now: START, out, disk: disk.to_vec() })
    }

    fn turn(&mut self, input: Input<Message, Request>) -> Vec<EffectOf<Bully>> {
        self.node.handle(now(self.now), input, &mut self.out);
        self.node.flush(now(self.now), &mut self.out);
        let effects: Vec<_> = self.out.drain().collect();
        for effect in &effects {
            if let Effect::Persist(record) = effect {
                self.disk.push(*record);
            }
        }
        effects
    }

    fn hear(&mut self, from: u32, body: Message) -> Vec<EffectOf<Bully>> {
        self.turn(Input::Message { from: n(from), body })
    }

    /// What it sends in answer.
    fn replies(&mut self, from: u32, body: Message) -> Vec<Message> {
        sent(&self.hear(from, body)).into_iter().map(|(_, message)| message).collect()
    }

    fn wait(&mut self, span: Duration) -> Vec<EffectOf<Bully>> {
        self.now += span;
        self.turn(Input::Timer)
    }

    fn sync(&mut self) -> Vec<EffectOf<Bully>> {
        let persisted = self.out.persisted();
        self.turn(Input::Durable(persisted))
    }

    fn ask(&mut self, body: Request) -> bully::Response {
        let id = RequestId::new(0, 1);
        let effects = self.turn(Input::Request { id, body });
        let answers = effects.into_iter().find_map(|effect| match effect {
            Effect::Respond { response, .. } => Some(response),
            Effect::Persist(_) | Effect::Send { .. } | Effect::Emit(_) | Effect::Forget { .. } => {
                None
            }
        });
        answers.expect("an answer at once")
    }

    fn gauge(&self, name: &str) -> u64 {
        self.node.gauges().into_iter().find(|(known, _)| *known == name).unwrap().1
    }

    fn acts(&self) -> bool {
        self.node.standing(now(self.now)).role == Role::Leader
    }

    /// Guarded n3 of three, elected by the word of n2.
    fn leader() -> Self {
        let mut solo = Self::boot(&Config::default(), 3, 3, &[]);
        let asked = solo.turn(Input::Timer);
        let Message::Canvass { round, .. } = sent(&asked)[0].1 else { panic!("{asked:?}") };
        let balloting = solo.hear(2, Message::Canvassed { epoch: e(0), round, view: View::Free });
        let (epoch, round) = ballot(&balloting).unwrap();
        solo.sync();
        solo.hear(2, Message::Grant { epoch, round });
        assert!(solo.acts());
        solo
    }
}

fn now(monotonic: Timestamp) -> Now {
    Now { monotonic, wall: WallTime::from_nanos(0) }
}

fn sent(effects: &[EffectOf<Bully>]) -> Vec<(NodeId, Message)> {
    let send = |effect: &EffectOf<Bully>| match effect {
        Effect::Send { to, message, .. } => Some((*to, *message)),
        Effect::Persist(_) | Effect::Respond { .. } | Effect::Emit(_) | Effect::Forget { .. } => {
            None
        }
    };
    effects.iter().filter_map(send).collect()
}

fn ballot(effects: &[EffectOf<Bully>]) -> Option<(Epoch, Round)> {
    sent(effects).into_iter().find_map(|(_, message)| match message {
        Message::Ballot { epoch, round, .. } => Some((epoch, round)),
        _ => None,
    })
}

fn heartbeat(effects: &[EffectOf<Bully>]) -> Option<Round> {
    sent(effects).into_iter().find_map(|(_, message)| match message {
        Message::Heartbeat { round, .. } => Some(round),
        _ => None,
    })
}

#[test]
fn a_stale_coordinator_is_refused_also_after_a_restart() {
    for config in [Config::default(), Config::textbook()] {
        let mut solo = Solo::boot(&config, 1, 3, &[]);
        solo.hear(3, Message::Coordinator { epoch: e(5), round: r(1) });
        assert_eq!(solo.disk, [Record::Promise { epoch: e(5), to: n(3) }]);
        let mut restarted = Solo::boot(&config, 1, 3, &solo.disk);
        for solo in [&mut solo, &mut restarted] {
            let stale = Message::Coordinator { epoch: e(4), round: r(9) };
            let replies = solo.replies(2, stale);
            assert!(replies.contains(&Message::Refuse { epoch: e(5), round: r(9) }), "{replies:?}");
            assert_ne!(solo.node.standing(now(solo.now)).leader, Some(n(2)));
        }
    }
}

#[test]
fn nothing_is_said_before_what_it_promises_is_written() {
    let mut solo = Solo::boot(&Config::default(), 1, 3, &[]);
    let effects = solo.hear(3, Message::Ballot { epoch: e(1), round: r(1), released: None });
    let record = effects.iter().position(|effect| matches!(effect, Effect::Persist(_)));
    let grant = effects.iter().position(|effect| {
        matches!(effect, Effect::Send { message: Message::Grant { .. }, gate: Gate::Durable, .. })
    });
    assert!(record.unwrap() < grant.unwrap());
    for effect in &effects {
        assert!(!matches!(effect, Effect::Send { gate: Gate::Open, .. }));
    }
    // A follower's acknowledgement too: its epoch is a promise not to go back.
    let effects = solo.hear(2, Message::Heartbeat { epoch: e(2), round: r(1) });
    assert!(matches!(
        effects[..],
        [
            Effect::Persist(Record::Promise { .. }),
            Effect::Emit(Event::Follows { .. }),
            Effect::Send { message: Message::Ack { .. }, gate: Gate::Durable, .. },
            ..
        ]
    ));
}

#[test]
fn an_epoch_is_granted_once_and_a_bound_voter_is_silent() {
    let mut solo = Solo::boot(&Config::default(), 1, 5, &[]);
    let ask = |epoch, round| Message::Ballot { epoch: e(epoch), round: r(round), released: None };
    assert_eq!(solo.replies(4, ask(3, 1)), [Message::Grant { epoch: e(3), round: r(1) }]);
    assert_eq!(solo.replies(5, ask(3, 2)), [Message::Refuse { epoch: e(3), round: r(2) }]);
    assert_eq!(solo.replies(5, ask(2, 3)), [Message::Refuse { epoch: e(3), round: r(3) }]);
    assert_eq!(solo.replies(5, ask(4, 4)), [], "bound to n4 for a timeout");
    solo.now += TIMEOUT - millis(1);
    assert_eq!(solo.replies(5, ask(4, 5)), []);
    solo.now += millis(1);
    assert!(solo.replies(5, ask(4, 6)).contains(&Message::Grant { epoch: e(4), round: r(6) }));
}

#[test]
fn a_release_frees_only_those_bound_to_its_sender() {
    let bound = || {
        let mut solo = Solo::boot(&Config::default(), 1, 5, &[]);
        solo.hear(4, Message::Heartbeat { epoch: e(3), round: r(1) });
        solo
    };
    let ask = |released| Message::Ballot { epoch: e(4), round: r(6), released };
    let grant = Message::Grant { epoch: e(4), round: r(6) };
    let mut freed = bound();
    freed.hear(4, Message::Release { epoch: e(3), successor: Some(n(5)) });
    assert_eq!(freed.replies(5, ask(None)), [grant]);
    // The challenger brings the word itself.
    assert_eq!(bound().replies(5, ask(Some(e(3)))), [grant]);
    let mut held = bound();
    held.hear(3, Message::Release { epoch: e(3), successor: None });
    held.hear(4, Message::Release { epoch: e(2), successor: None });
    assert_eq!(held.replies(5, ask(None)), []);
    assert_eq!(held.replies(5, ask(Some(e(2)))), []);
}

#[test]
fn a_leader_acts_for_the_lease_counted_from_what_was_acknowledged() {
    let lease = Config::default().lease();
    let mut solo = Solo::leader();
    let epoch = solo.node.reigns().unwrap();
    let elected_at = solo.now;
    let sent_at = elected_at + millis(50);
    let round = heartbeat(&solo.wait(millis(50))).unwrap();
    // The word comes late, twice, and along with words for rounds that never were.
    solo.now += millis(40);
    for round in [round, round, r(1), Round::new(round.get() + 1_000)] {
        solo.hear(1, Message::Ack { epoch, round });
        solo.hear(2, Message::Ack { epoch: epoch.next(), round });
    }
    solo.now = sent_at + lease - Duration::from_nanos(1);
    assert!(solo.acts());
    assert_eq!(solo.ask(Request::Lead), Ok(Answer::Leading { epoch }));
    solo.now = sent_at + lease;
    assert!(!solo.acts());
    // By itself, before it was told anything.
    assert_eq!(solo.node.standing(now(solo.now)).leader, None);
    assert_eq!(solo.ask(Request::Lead), Err(Error::NotLeader { leader: None }));
    assert_eq!(solo.node.reigns(), None);
}

#[test]
fn a_leader_lets_go_only_for_a_higher_node_that_it_hears() {
    let mut solo = Solo::boot(&Config::default(), 2, 3, &[]);
    solo.turn(Input::Timer);
    let asked = solo.wait(millis(75));
    let Message::Canvass { round, .. } = sent(&asked)[0].1 else { panic!("{asked:?}") };
    let free = Message::Canvassed { epoch: e(0), round, view: View::Free };
    let (epoch, round) = ballot(&solo.hear(1, free)).unwrap();
    solo.sync();
    solo.hear(1, Message::Grant { epoch, round });
    assert!(solo.acts());
    let challenge = Message::Challenge { epoch, round: r(5) };
    solo.hear(1, challenge);
    solo.hear(3, challenge);
    assert!(solo.acts(), "n1 is lower, n3 has not been heard");
    let round = heartbeat(&solo.wait(millis(50))).unwrap();
    solo.hear(3, Message::Ack { epoch, round });
    solo.hear(3, Message::Challenge { epoch: e(0), round: r(6) });
    assert!(solo.acts(), "another epoch");
    let released = solo.replies(3, challenge);
    assert!(!solo.acts());
    let release = Message::Release { epoch, successor: Some(n(3)) };
    assert_eq!(released, [release, release]);
    assert_eq!(solo.replies(3, challenge), [release], "asked again, it says so again");
}

#[test]
fn garcia_molina_1982_a_higher_node_answers_and_stands_itself() {
    let mut solo = Solo::boot(&Config::textbook(), 2, 3, &[]);
    solo.turn(Input::Timer);
    // It stands already and waits for n3; then it wins by silence, and says so when asked.
    assert_eq!(
        solo.replies(1, Message::Election { epoch: e(0), round: r(4) }),
        [Message::Answer { epoch: e(0), round: r(4) }]
    );
    let won = sent(&solo.wait(millis(75)));
    assert!(matches!(
        won[..],
        [(_, Message::Coordinator { .. }), (_, Message::Coordinator { .. })]
    ));
    assert!(matches!(
        solo.replies(1, Message::Election { epoch: e(0), round: r(5) })[..],
        [Message::Coordinator { .. }]
    ));
}

#[test]
fn garcia_molina_1982_an_answered_candidate_waits_for_the_coordinator_and_then_stands_again() {
    let mut solo = Solo::boot(&Config::textbook(), 1, 3, &[]);
    let asked = sent(&solo.turn(Input::Timer));
    let (_, Message::Election { round, .. }) = asked[0] else { panic!("{asked:?}") };
    solo.hear(2, Message::Answer { epoch: e(0), round });
    assert_eq!(sent(&solo.wait(TIMEOUT - millis(1))), []);
    let mut again = Vec::new();
    for _ in 0..100 {
        again.extend(sent(&solo.wait(millis(10))));
        if !again.is_empty() {
            break;
        }
    }
    assert!(again.iter().all(|(_, message)| matches!(message, Message::Election { .. })));
    assert_eq!(again.len(), 2);
}

#[test]
fn answers_to_an_earlier_question_stop_nobody() {
    let mut solo = Solo::boot(&Config::textbook(), 2, 3, &[]);
    solo.turn(Input::Timer);
    solo.hear(3, Message::Answer { epoch: e(0), round: r(12) });
    solo.hear(1, Message::Answer { epoch: e(0), round: r(12) });
    solo.wait(millis(75));
    assert!(solo.acts());
}

#[test]
fn what_no_member_can_have_meant_is_dropped_and_counted() {
    let absurd = Epoch::new(u64::MAX);
    let words = |epoch| {
        [
            Message::Election { epoch, round: r(1) },
            Message::Answer { epoch, round: r(1) },
            Message::Coordinator { epoch, round: r(1) },
            Message::Heartbeat { epoch, round: r(1) },
            Message::Ack { epoch, round: r(1) },
            Message::Refuse { epoch, round: r(1) },
            Message::Canvass { epoch, round: r(1) },
            Message::Canvassed { epoch, round: r(1), view: View::Booted },
            Message::Challenge { epoch, round: r(1) },
            Message::Ballot { epoch, round: r(1), released: Some(absurd) },
            Message::Grant { epoch, round: r(1) },
            Message::Release { epoch, successor: None },
        ]
    };
    let mut solo = Solo::leader();
    let mut dropped = 0;
    for (from, epoch) in [(9, e(9)), (0, e(9)), (3, e(9)), (2, absurd), (1, absurd)] {
        for word in words(epoch) {
            assert_eq!(sent(&solo.hear(from, word)), []);
            dropped += 1;
            assert_eq!(solo.gauge("messages dropped"), dropped);
        }
    }
    assert!(solo.acts());
    // The same epoch cannot have a second leader.
    let epoch = solo.node.reigns().unwrap();
    solo.hear(2, Message::Heartbeat { epoch, round: r(1) });
    assert!(solo.acts());
    // The words of the guard mean nothing in textbook mode.
    let mut textbook = Solo::boot(&Config::textbook(), 3, 3, &[]);
    textbook.turn(Input::Timer);
    for word in &words(e(1))[6..11] {
        assert_eq!(sent(&textbook.hear(2, *word)), []);
    }
    assert_eq!(textbook.gauge("messages dropped"), 5);
    assert!(textbook.acts());
}

#[test]
fn a_disk_that_no_run_wrote_keeps_the_node_down() {
    let promise = |epoch, to| Record::Promise { epoch: e(epoch), to: n(to) };
    let refused = |disk: &[Record]| {
        let refusal = Solo::try_boot(&Config::default(), 1, 3, disk).err().unwrap();
        assert_eq!(refusal.node, n(1));
        assert!(refusal.problem.contains("expected"), "{refusal}");
        refusal.position
    };
    assert_eq!(refused(&[promise(1, 1), promise(1, 2)]), 1);
    assert_eq!(refused(&[promise(1, 1), promise(2, 2), promise(1, 1)]), 2);
    assert_eq!(refused(&[promise(1, 7)]), 0);
}

#[test]
fn a_voter_that_booted_with_records_is_bound_for_a_timeout() {
    let disk = [Record::Promise { epoch: e(3), to: n(2) }];
    let mut solo = Solo::boot(&Config::default(), 1, 3, &disk);
    let ask = |round| Message::Ballot { epoch: e(4), round: r(round), released: Some(e(3)) };
    assert_eq!(solo.replies(3, ask(1)), []);
    assert_eq!(
        solo.replies(3, Message::Canvass { epoch: e(3), round: r(2) }),
        [Message::Canvassed { epoch: e(4), round: r(2), view: View::Booted }]
    );
    solo.now += TIMEOUT;
    assert!(solo.replies(3, ask(3)).contains(&Message::Grant { epoch: e(4), round: r(3) }));
}

/// Guarded `id` of five, asking everybody for votes. Returns the epoch it asks for, too.
fn balloting(id: u32) -> (Solo, Epoch) {
    let mut solo = Solo::boot(&Config::default(), id, 5, &[]);
    solo.turn(Input::Timer);
    let asked = solo.wait(millis(75));
    let Message::Canvass { round, .. } = sent(&asked)[0].1 else { panic!("{asked:?}") };
    let free = Message::Canvassed { epoch: e(0), round, view: View::Free };
    let voters: Vec<_> = (1..=5).filter(|&voter| voter != id).take(2).collect();
    assert_eq!(ballot(&solo.hear(voters[0], free)), None, "two of five are no majority");
    solo.hear(voters[0], free);
    let (epoch, _) = ballot(&solo.hear(voters[1], free)).expect("three of five are one");
    solo.sync();
    (solo, epoch)
}

#[test]
fn of_two_candidates_the_lower_gives_way() {
    let ask = |epoch| Message::Ballot { epoch, round: r(3), released: None };
    let (mut solo, own) = balloting(3);
    let release = Message::Release { epoch: own, successor: None };
    assert_eq!(solo.replies(2, ask(own.next())), [], "lower");
    let words = solo.replies(4, ask(own.next()));
    assert!(words.contains(&release));
    assert!(words.contains(&Message::Grant { epoch: own.next(), round: r(3) }));
    // Grants for what it has let go make it no leader any more.
    for voter in [1, 2, 5] {
        for round in 0..10 {
            solo.hear(voter, Message::Grant { epoch: own, round: r(round) });
        }
    }
    assert_eq!(solo.node.reigns(), None);
    // The same epoch it cannot grant, having promised it to itself; but it lets its voters go.
    let (mut solo, own) = balloting(3);
    let refuse = Message::Refuse { epoch: own, round: r(3) };
    assert_eq!(solo.replies(2, ask(own)), [refuse], "lower");
    assert_eq!(solo.replies(4, ask(own)), [refuse, release, release, release, release]);
}

#[test]
fn a_ballot_is_lost_when_a_majority_is_out_of_reach_or_a_later_epoch_is_promised() {
    let round_of = |solo: &mut Solo| ballot(&solo.wait(millis(50))).unwrap().1;
    let release = |epoch| Message::Release { epoch, successor: None };
    let (mut solo, epoch) = balloting(4);
    let round = round_of(&mut solo);
    for voter in [1, 1, 2] {
        assert_eq!(solo.replies(voter, Message::Refuse { epoch, round }), [], "three are left");
    }
    assert!(solo.replies(3, Message::Refuse { epoch, round }).contains(&release(epoch)));
    let (mut solo, epoch) = balloting(4);
    let round = round_of(&mut solo);
    assert_eq!(solo.replies(1, Message::Refuse { epoch: epoch.next(), round: r(1) }), [], "old");
    let later = Message::Refuse { epoch: epoch.next(), round };
    assert!(solo.replies(1, later).contains(&release(epoch)));
}

#[test]
fn a_voter_prefers_the_highest_candidate_of_the_moment() {
    let mut solo = Solo::boot(&Config::default(), 1, 5, &[]);
    let view = |solo: &mut Solo, from| match solo
        .replies(from, Message::Canvass { epoch: e(0), round: r(1) })[..]
    {
        [Message::Canvassed { view, .. }, ..] => view,
        ref other => panic!("{other:?}"),
    };
    assert_eq!(view(&mut solo, 3), View::Free);
    assert_eq!(view(&mut solo, 4), View::Free);
    assert_eq!(view(&mut solo, 3), View::Prefers);
    // Not for ever: n4 may be one that cannot win.
    solo.now += TIMEOUT / 4;
    assert_eq!(view(&mut solo, 3), View::Free);
}

#[test]
fn a_challenger_must_be_heard_by_a_majority_and_hear_the_leader() {
    let mut solo = Solo::boot(&Config::default(), 5, 5, &[]);
    let heartbeat = |round| Message::Heartbeat { epoch: e(1), round: r(round) };
    solo.hear(3, heartbeat(1));
    solo.wait(millis(200));
    solo.hear(3, heartbeat(2));
    assert_eq!(sent(&solo.wait(millis(99))), [], "it lets n3 settle");
    let asked = solo.wait(millis(1));
    let Message::Canvass { round, .. } = sent(&asked)[0].1 else { panic!("{asked:?}") };
    let canvassed = |view| Message::Canvassed { epoch: e(1), round, view };
    let bound = canvassed(View::Bound { to: n(3), epoch: e(1) });
    for voter in [1, 2, 4] {
        assert_eq!(solo.replies(voter, bound), [], "n3 itself has not answered");
    }
    let challenges = solo.replies(3, canvassed(View::Leads { epoch: e(1) }));
    assert!(matches!(challenges[..], [Message::Challenge { epoch, .. }] if epoch == e(1)));
    // It follows as long as n3 leads, and asks for votes when n3 lets go, which it passes on.
    assert_eq!(solo.node.standing(now(solo.now)).leader, Some(n(3)));
    let asked = solo.replies(3, Message::Release { epoch: e(1), successor: Some(n(5)) });
    let released = Some(e(1));
    assert!(
        matches!(asked[0], Message::Ballot { released: passed_on, .. } if passed_on == released)
    );
}

#[test]
fn a_leader_that_a_follower_has_gone_beyond_stands_again() {
    let mut solo = Solo::leader();
    let epoch = solo.node.reigns().unwrap();
    let round = heartbeat(&solo.wait(millis(50))).unwrap();
    let beyond = Epoch::new(epoch.get() + 3);
    solo.hear(1, Message::Refuse { epoch: beyond, round: r(1) });
    solo.hear(1, Message::Refuse { epoch, round });
    assert!(solo.acts(), "an old word, and one about its own epoch");
    let words = solo.replies(1, Message::Refuse { epoch: beyond, round });
    assert!(!solo.acts());
    assert!(words.contains(&Message::Release { epoch, successor: None }));
    let Some(&Message::Canvass { round, .. }) = words.last() else { panic!("{words:?}") };
    let free = Message::Canvassed { epoch: beyond, round, view: View::Free };
    let (again, _) = ballot(&solo.hear(2, free)).unwrap();
    assert_eq!(again, beyond.next());
}

#[test]
fn a_leader_whose_lease_has_ended_is_free_to_vote_at_once() {
    let mut solo = Solo::leader();
    let later = Message::Ballot { epoch: e(9), round: r(1), released: None };
    assert_eq!(solo.replies(2, later), [], "it leads");
    solo.now += Config::default().lease();
    // Before any timer has told it.
    let words = solo.replies(2, later);
    assert!(words.contains(&Message::Grant { epoch: e(9), round: r(1) }), "{words:?}");
}

#[test]
fn what_arrives_after_a_release_binds_nobody_to_the_past() {
    for config in [Config::default(), Config::textbook()] {
        let mut solo = Solo::boot(&config, 1, 3, &[]);
        solo.hear(3, Message::Heartbeat { epoch: e(2), round: r(1) });
        assert_eq!(solo.node.standing(now(solo.now)).leader, Some(n(3)));
        solo.hear(3, Message::Release { epoch: e(2), successor: None });
        // Sent before the release, and overtaken by it.
        let late = Message::Heartbeat { epoch: e(2), round: r(2) };
        assert!(!solo.replies(3, late).contains(&Message::Ack { epoch: e(2), round: r(2) }));
        assert_eq!(solo.node.standing(now(solo.now)).leader, None);
    }
}

#[test]
fn a_heartbeat_heard_twice_is_believed_once() {
    for config in [Config::default(), Config::textbook()] {
        let mut solo = Solo::boot(&config, 1, 3, &[]);
        solo.hear(3, Message::Heartbeat { epoch: e(2), round: r(5) });
        solo.now += TIMEOUT / 2;
        solo.hear(3, Message::Heartbeat { epoch: e(2), round: r(5) });
        solo.hear(3, Message::Heartbeat { epoch: e(2), round: r(4) });
        solo.now += TIMEOUT / 2;
        assert_eq!(solo.node.standing(now(solo.now)).leader, None);
    }
}

#[test]
fn a_candidate_says_again_what_may_have_been_lost() {
    let mut solo = Solo::boot(&Config::default(), 5, 5, &[]);
    let asked = sent(&solo.turn(Input::Timer));
    let (_, Message::Canvass { round, .. }) = asked[0] else { panic!("{asked:?}") };
    solo.hear(1, Message::Canvassed { epoch: e(0), round, view: View::Free });
    solo.hear(2, Message::Canvassed { epoch: e(0), round, view: View::Booted });
    let again = sent(&solo.wait(millis(50)));
    let to: Vec<NodeId> = again.iter().map(|&(to, _)| to).collect();
    assert_eq!(to, [n(2), n(3), n(4)], "all but the one that is free");
    let effects = solo.hear(2, Message::Canvassed { epoch: e(0), round, view: View::Free });
    let (epoch, first) = ballot(&effects).unwrap();
    solo.sync();
    let (same, second) = ballot(&solo.wait(millis(50))).unwrap();
    assert!(same == epoch && second > first, "the lease is to count from the one answered");
    solo.hear(1, Message::Grant { epoch, round: first });
    solo.hear(2, Message::Grant { epoch, round: second });
    assert!(solo.acts());
    // Two others and itself; the older of the two words counts.
    let ends = START + millis(50) + Config::default().lease();
    solo.now = ends - Duration::from_nanos(1);
    assert!(solo.acts());
    solo.now = ends;
    assert!(!solo.acts());
}
