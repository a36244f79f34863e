//! A process may die between any two of its effects.

use std::time::Duration;

use cluster::sim::{Options, Sim, Stepped};
use cluster::{Cluster, Fault, NoAnswer, NodeState, Timestamp};

use crate::scribe::{Answer, Ask, Config, News, Note, Scribe, configured, done, n, pass, sim};

/// What was seen of a node that had to write, tell two others, and answer.
#[derive(PartialEq, Eq, Debug)]
struct Seen {
    /// What each of the others heard.
    notes: [Vec<Note>; 2],
    told: bool,
    answered: Result<Answer, NoAnswer>,
}

/// Lets n1 of three append 7, armed to die after `effects`.
fn append_and_die(seed: u64, effects: u32) -> (Sim<Scribe>, Seen) {
    let mut sim = sim(3, seed);
    sim.take_emitted();
    sim.inject(&Fault::CrashAfter { node: n(1), effects }).expect("taken");
    sim.submit(n(1), Ask::Append(7));
    let ends = pass(&mut sim, 20);
    assert_eq!(ends.len(), 1, "a request ends once");
    let notes = |node| {
        sim.node(n(node)).expect("up").heard.iter().map(|(_, note)| *note).collect::<Vec<_>>()
    };
    let notes = [notes(2), notes(3)];
    let told = sim.take_emitted().iter().any(|it| it.event == News::Wrote(7));
    let seen = Seen { notes, told, answered: ends[0].outcome.clone() };
    (sim, seen)
}

/// Seven effects: the record, a note to each at once, the event; after the sync a note to each, and
/// the answer.
#[test]
fn after_every_effect_of_a_batch() {
    let (soon, safe) = (Note::Soon(7), Note::Safe(7));
    for seed in 0..50 {
        for effects in 0..=8 {
            let (mut sim, seen) = append_and_die(seed, effects);
            let heard = |at_once: u32, after_sync: u32| {
                let notes = [(effects >= at_once, soon), (effects >= after_sync, safe)];
                notes.into_iter().filter(|it| it.0).map(|it| it.1).collect::<Vec<_>>()
            };
            let expected = Seen {
                notes: [heard(2, 5), heard(3, 6)],
                told: effects >= 4,
                answered: if effects >= 7 { Ok(Answer::Done) } else { Err(NoAnswer::Lost) },
            };
            assert_eq!(seen, expected, "seed {seed}, {effects} effects");
            assert_eq!(sim.state(n(1)) == NodeState::Down, effects <= 7, "{effects} effects");
            let kept = sim.durable(n(1)).len();
            match effects {
                0 => assert_eq!(kept, 0, "not even written"),
                1..5 => assert!(kept <= 1),
                _ => assert_eq!(kept, 1, "others know that it is durable"),
            }
            sim.inject(&Fault::Restart { node: n(1) }).expect("taken");
            assert_eq!(sim.node(n(1)).expect("up").written.len(), kept);
            done(&mut sim, 1, Ask::Append(8));
            assert_eq!(sim.durable(n(1)).len(), kept + 1, "and it lives on");
        }
    }
}

/// What is written and not synced may survive such a crash, or not.
#[test]
fn a_record_before_the_crash_is_not_yet_durable() {
    let kept = |seed| append_and_die(seed, 1).0.durable(n(1)).len();
    let kept: usize = (0..100).map(kept).sum();
    assert!((25..75).contains(&kept), "{kept} of 100");
}

/// The crash comes at the effect, not at the end of the batch: of two records, one is written.
#[test]
fn between_two_records() {
    let zero = Duration::ZERO..=Duration::ZERO;
    let mut survived = [0; 3];
    for seed in 0..100 {
        let options = Options { client_latency: zero.clone(), ..Options::seeded(seed) };
        let mut sim = configured(1, Config::default(), options);
        sim.inject(&Fault::CrashAfter { node: n(1), effects: 1 }).expect("taken");
        sim.submit(n(1), Ask::Append(1));
        sim.submit(n(1), Ask::Append(2));
        assert_eq!(sim.step(Timestamp::MAX), Stepped::Node(n(1)));
        assert_eq!(sim.state(n(1)), NodeState::Down);
        survived[sim.durable(n(1)).len()] += 1;
        assert!(pass(&mut sim, 5).iter().all(|it| it.outcome == Err(NoAnswer::Lost)));
    }
    assert!(survived[0] > 0 && survived[1] > 0 && survived[2] == 0, "{survived:?}");
}

#[test]
fn it_is_called_off_by_a_restart_and_by_any_other_death() {
    let mut sim = sim(2, 1);
    let inject = |sim: &mut Sim<Scribe>, fault| sim.inject(&fault).expect("taken");
    let node = n(1);
    // On a node that is down: nothing.
    inject(&mut sim, Fault::Crash { node });
    inject(&mut sim, Fault::CrashAfter { node, effects: 0 });
    inject(&mut sim, Fault::Restart { node });
    done(&mut sim, 1, Ask::Append(1));
    for fault in [Fault::Crash { node }, Fault::PowerLoss, Fault::Wipe { node }] {
        inject(&mut sim, Fault::CrashAfter { node, effects: 0 });
        inject(&mut sim, fault);
        inject(&mut sim, Fault::Restart { node });
        done(&mut sim, 1, Ask::Append(2));
    }
    inject(&mut sim, Fault::CrashAfter { node, effects: 0 });
    inject(&mut sim, Fault::Restart { node });
    done(&mut sim, 1, Ask::Append(3));
    // Armed again: the last one counts, and a paused node may be armed.
    inject(&mut sim, Fault::Pause { node });
    inject(&mut sim, Fault::CrashAfter { node, effects: 0 });
    inject(&mut sim, Fault::CrashAfter { node, effects: 50 });
    inject(&mut sim, Fault::Resume { node });
    done(&mut sim, 1, Ask::Append(4));
    inject(&mut sim, Fault::CrashAfter { node, effects: 0 });
    sim.submit(node, Ask::Count);
    assert_eq!(pass(&mut sim, 5)[0].outcome, Err(NoAnswer::Lost));
    assert_eq!(sim.state(node), NodeState::Down);
}
