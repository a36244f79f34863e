//! Bully: every schedule of an election, with clocks that run as they like and with clocks alike.

use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use ::bully::{Bully, Config, Mode, Request};
use cluster::explore::{
    Always, Ask, AtEnd, Bounds, Broken, Clocks, Disk, Fingerprint, Frame, Happened, Limits, Links,
    Model, Play, Property, Report, View,
};
use cluster::{Epoch, Members, NodeId, Role};

#[cfg(feature = "mutants")]
use super::hunt::Stage;
use super::{Expected, Run};

/// At most one leader an epoch, over the whole history.
const ELECTION_SAFETY: &str = "election safety";
/// At most one node acts as leader at any moment.
const NO_SPLIT_BRAIN: &str = "no split brain";
/// In the end, all nodes that are up follow the highest of them.
const LEADER_AGREEMENT: &str = "leader agreement";

/// Remembers who was elected for which epoch.
#[derive(Clone, Default)]
struct Elections {
    /// Ascending by epoch.
    elected: Arc<Vec<(Epoch, NodeId)>>,
}

impl Property<Bully> for Elections {
    fn observe(
        &mut self,
        view: &View<'_, Bully>,
        _happened: &Happened<'_, Bully>,
    ) -> Result<(), Broken> {
        use cluster::Node as _;
        for (id, node, now) in view.nodes() {
            let standing = node.standing(now);
            if standing.leader.is_some() && standing.epoch < node.promised() {
                let (led, promised) = (standing.epoch, node.promised());
                let what = format!("{id} follows a leader of {led} and has promised {promised}");
                return Err(Broken { guarantee: ELECTION_SAFETY, what });
            }
            let Some(epoch) = node.reigns() else { continue };
            match self.elected.binary_search_by_key(&epoch, |&(epoch, _)| epoch) {
                Ok(place) if self.elected[place].1 == id => {}
                Ok(place) => {
                    let first = self.elected[place].1;
                    let what = format!("{first} and {id} were both elected for {epoch}");
                    return Err(Broken { guarantee: ELECTION_SAFETY, what });
                }
                Err(place) => Arc::make_mut(&mut self.elected).insert(place, (epoch, id)),
            }
        }
        Ok(())
    }

    fn fingerprint(&self, _frame: &Frame<'_>, into: &mut Fingerprint) {
        self.elected.hash(into);
    }
}

/// At most one node acts as leader.
fn one_at_a_time(view: &View<'_, Bully>) -> Result<(), Broken> {
    use cluster::Node as _;
    let standings = view.nodes().map(|(id, node, now)| (id, node.standing(now)));
    let mut acting = standings.filter(|(_, standing)| standing.role == Role::Leader);
    let (Some((one, first)), Some((other, second))) = (acting.next(), acting.next()) else {
        return Ok(());
    };
    let (a, b) = (first.epoch, second.epoch);
    let what = format!("{one} acts as leader of {a} and {other} as leader of {b}, at once");
    Err(Broken { guarantee: NO_SPLIT_BRAIN, what })
}

/// In the end, all nodes that are up follow the highest of them.
fn highest_leads(view: &View<'_, Bully>) -> Result<(), Broken> {
    use cluster::Node as _;
    let highest = view.nodes().map(|(id, ..)| id).max();
    let wrong = view.nodes().find_map(|(id, node, now)| {
        let leader = node.standing(now).leader;
        (leader != highest).then_some((id, leader))
    });
    let Some((id, leader)) = wrong else { return Ok(()) };
    let leader = leader.map_or_else(|| "nobody".to_owned(), |leader| leader.to_string());
    let what = format!("in the end {id} follows {leader}");
    Err(Broken { guarantee: LEADER_AGREEMENT, what })
}

/// In the end, nobody leads while a higher node is up.
///
/// Less than [`highest_leads`]: in textbook mode two nodes whose clocks and messages keep exact step
/// can depose each other again and again.
fn none_lower(view: &View<'_, Bully>) -> Result<(), Broken> {
    let highest = view.nodes().map(|(id, ..)| id).max();
    let lower = view.nodes().find(|(id, node, _)| node.reigns().is_some() && Some(*id) < highest);
    let Some((id, ..)) = lower else { return Ok(()) };
    Err(Broken { guarantee: LEADER_AGREEMENT, what: format!("in the end {id} leads") })
}

/// Few beats to a timeout, so that few steps bring about much; clocks are exact.
pub(super) fn config(mode: Mode) -> Config {
    let millis = Duration::from_millis;
    Config::default()
        .with_mode(mode)
        .with_heartbeat(millis(40))
        .with_timeout(millis(100))
        .with_answer_wait(millis(20))
        .with_settle(millis(100))
        .with_drift_ppm_max(0)
}

const N1: NodeId = NodeId::new(1);
const N2: NodeId = NodeId::new(2);
const N3: NodeId = NodeId::new(3);

/// `n3` leads, and everybody knows.
const LED: [Play; 1] = [Play::Settle];

fn free(firings: u8, firings_each: u8) -> Clocks {
    Clocks::Free { firings, firings_each }
}

fn explore(
    config: Config,
    script: Vec<Ask<Request>>,
    opening: &[Play],
    bounds: Bounds,
    property: impl Property<Bully>,
    limits: &Limits,
) -> Report {
    let members = Members::first(3).expect("three nodes");
    let model = Model { config, members, script, opening: opening.to_vec(), bounds };
    model.explore(property, limits).expect("a model that makes sense")
}

/// A leader whom everybody follows; one crash, and two timers.
pub(super) fn crash(config: Config, limits: &Limits) -> Report {
    let bounds = Bounds { clocks: free(2, 1), crashes: 1, ..Bounds::default() };
    explore(config, Vec::new(), &LED, bounds, Elections::default(), limits)
}

/// The leader has resigned; `n1` and `n2` both ask it, and each other, for the next epoch.
pub(super) fn ballots(config: Config, limits: &Limits) -> Report {
    let script = vec![Ask::of(N3, Request::Resign)];
    let deliver = |from, to| Play::Deliver { from, to };
    let lose = |from, to| Play::Lose { from, to };
    let opening = [
        Play::Settle,
        Play::Ask(0, N3),
        deliver(N3, N1),
        deliver(N3, N2),
        // Each asks the higher ones whether they live, in vain.
        Play::Fire(N1),
        Play::Fire(N2),
        lose(N1, N2),
        lose(N1, N3),
        lose(N2, N3),
        // Each asks who would vote for it; n3 would, for both.
        Play::Fire(N1),
        deliver(N1, N3),
        deliver(N3, N1),
        lose(N1, N2),
        Play::Fire(N2),
        deliver(N2, N3),
        deliver(N3, N2),
        lose(N2, N1),
    ];
    let bounds = Bounds {
        clocks: free(1, 1),
        crashes: 1,
        flight: 6,
        links: Links::Ordered,
        disk: Disk::Instant,
        ..Bounds::default()
    };
    explore(config, script, &opening, bounds, Elections::default(), limits)
}

/// `n1` and `n2` are cut off from everybody, and stand again and again.
pub(super) fn isolated(config: Config, limits: &Limits) -> Report {
    let mut opening = LED.to_vec();
    for node in [N1, N2] {
        for _ in 0..4 {
            opening.push(Play::Fire(node));
            let others = [N1, N2, N3].into_iter().filter(|&other| other != node);
            opening.extend(others.map(|to| Play::Lose { from: node, to }));
        }
        opening.push(Play::Sync(node));
    }
    let bounds = Bounds { clocks: free(8, 4), flight: 0, ..Bounds::default() };
    explore(config, Vec::new(), &opening, bounds, Elections::default(), limits)
}

/// Clocks alike, messages as late as they like: two leaders at once?
pub(super) fn late(config: Config, ticks: u8, limits: &Limits) -> Report {
    let clocks = Clocks::Alike { ticks, delay_max: u8::MAX, faults_before: 0 };
    let bounds = Bounds { clocks, flight: 4, disk: Disk::Instant, ..Bounds::default() };
    explore(config, Vec::new(), &LED, bounds, (Elections::default(), Always(one_at_a_time)), limits)
}

/// Clocks alike: `n2` has not heard the leader for two beats, `n1` has; one crash.
pub(super) fn unheard(config: Config, limits: &Limits) -> Report {
    let mut opening = LED.to_vec();
    for _ in 0..2 {
        opening.extend([
            Play::Fire(N3),
            Play::Lose { from: N3, to: N2 },
            Play::Deliver { from: N3, to: N1 },
            Play::Deliver { from: N1, to: N3 },
        ]);
    }
    let clocks = Clocks::Alike { ticks: 2, delay_max: u8::MAX, faults_before: 2 };
    let bounds = Bounds { clocks, crashes: 1, flight: 4, disk: Disk::Instant, ..Bounds::default() };
    explore(
        config,
        Vec::new(),
        &opening,
        bounds,
        (Elections::default(), Always(one_at_a_time)),
        limits,
    )
}

/// Textbook, clocks alike: a word that is late makes a second leader.
pub(super) fn textbook(config: Config, limits: &Limits) -> Report {
    let config = config.with_mode(Mode::Textbook);
    let clocks = Clocks::Alike { ticks: 8, delay_max: u8::MAX, faults_before: 0 };
    let bounds = Bounds { clocks, disk: Disk::Instant, ..Bounds::default() };
    explore(config, Vec::new(), &LED, bounds, Always(one_at_a_time), limits)
}

/// Clocks alike, prompt messages, perhaps a crash early on.
fn calm(
    config: Config,
    opening: &[Play],
    clocks: Clocks,
    property: impl Property<Bully>,
    limits: &Limits,
) -> Report {
    let bounds = Bounds { clocks, crashes: 1, disk: Disk::Instant, ..Bounds::default() };
    explore(config, Vec::new(), opening, bounds, property, limits)
}

/// The leader dies, or another one, and may come back.
pub(super) fn returned(config: Config, limits: &Limits) -> Report {
    let clocks = Clocks::Alike { ticks: 20, delay_max: 0, faults_before: 6 };
    calm(config, &LED, clocks, AtEnd(highest_leads), limits)
}

/// The highest came back, told `n2` that it lives, and died again.
pub(super) fn answered(config: Config, limits: &Limits) -> Report {
    let opening = [
        Play::Settle,
        Play::Crash(N3),
        Play::Restart(N3),
        Play::Fire(N2),
        Play::Deliver { from: N2, to: N3 },
        Play::Sync(N3),
        Play::Deliver { from: N3, to: N2 },
        Play::Crash(N3),
    ];
    let clocks = Clocks::Alike { ticks: 14, delay_max: 0, faults_before: 0 };
    calm(config, &opening, clocks, AtEnd(highest_leads), limits)
}

/// Textbook: the leader died, and `n1` does not hear that `n2` lives.
pub(super) fn bullied(config: Config, limits: &Limits) -> Report {
    let opening = [Play::Settle, Play::Crash(N3), Play::Fire(N1), Play::Lose { from: N1, to: N2 }];
    let clocks = Clocks::Alike { ticks: 10, delay_max: 0, faults_before: 0 };
    calm(config.with_mode(Mode::Textbook), &opening, clocks, AtEnd(none_lower), limits)
}

/// Where a planted bug should show.
#[cfg(feature = "mutants")]
pub(super) fn stages(mutant: ::bully::Mutant) -> Vec<Stage<Config>> {
    use ::bully::Mutant;
    let stage = |name, explore| Stage { name, explore };
    match mutant {
        Mutant::CoordinatorFromLowerId | Mutant::TwoLeadersKeptAfterHealing => {
            vec![stage("bullied", bullied)]
        }
        Mutant::NoElectionAfterLostAnswer => vec![stage("answered", answered)],
        Mutant::ReturnedHighestNeverChallenges => vec![stage("returned", returned)],
        Mutant::StaleCoordinatorBelieved => vec![stage("crash", crash)],
        Mutant::SilenceIsVictory => vec![stage("isolated", isolated)],
        Mutant::PromiseNotDurable | Mutant::EpochGrantedTwice => vec![stage("ballots", ballots)],
        Mutant::LeaseFromReply | Mutant::StaleAckCounts | Mutant::BoundVoterVotes => {
            vec![stage("late, 5 beats", |config, limits| late(config, 5, limits))]
        }
        Mutant::ForgetsBindingOnBoot => vec![stage("unheard", unheard)],
        Mutant::AnswersTwice => vec![stage("crash", crash), stage("ballots", ballots)],
        // Exact clocks need no allowance for drift, and free ones allow no lease.
        Mutant::DriftForgotten => Vec::new(),
    }
}

/// The runs that are part of every build.
pub(super) const RUNS: &[Run] = &[
    Run {
        pattern: "bully",
        name: "textbook",
        about: "3 nodes with a leader, clocks alike: a late word makes two leaders at once",
        expected: Expected::Breaks(NO_SPLIT_BRAIN),
        explore: |limits| textbook(config(Mode::Guarded), limits),
    },
    Run {
        pattern: "bully",
        name: "crash",
        about: "guarded, 3 nodes with a leader, 2 timers, 1 crash",
        expected: Expected::Holds,
        explore: |limits| crash(config(Mode::Guarded), limits),
    },
    Run {
        pattern: "bully",
        name: "ballots",
        about: "guarded, 3 nodes, two ask for one epoch; a timer, 1 crash",
        expected: Expected::Holds,
        explore: |limits| ballots(config(Mode::Guarded), limits),
    },
    Run {
        pattern: "bully",
        name: "isolated",
        about: "guarded, 3 nodes, two are cut off and stand; 8 timers",
        expected: Expected::Holds,
        explore: |limits| isolated(config(Mode::Guarded), limits),
    },
    Run {
        pattern: "bully",
        name: "late",
        about: "guarded, 3 nodes with a leader, clocks alike, 4 beats, words as late as they like",
        expected: Expected::Holds,
        explore: |limits| late(config(Mode::Guarded), 4, limits),
    },
    Run {
        pattern: "bully",
        name: "unheard",
        about: "guarded, clocks alike: one has not heard the leader for two beats; 1 crash",
        expected: Expected::Holds,
        explore: |limits| unheard(config(Mode::Guarded), limits),
    },
    Run {
        pattern: "bully",
        name: "returned",
        about: "guarded, clocks alike, 1 crash early on; in the end the highest leads",
        expected: Expected::Holds,
        explore: |limits| returned(config(Mode::Guarded), limits),
    },
    Run {
        pattern: "bully",
        name: "answered",
        about: "guarded, clocks alike, the highest said that it lives, and died; another leads",
        expected: Expected::Holds,
        explore: |limits| answered(config(Mode::Guarded), limits),
    },
    Run {
        pattern: "bully",
        name: "bullied",
        about: "textbook, clocks alike, a lower node takes a higher for dead; in the end it does not lead",
        expected: Expected::Holds,
        explore: |limits| bullied(config(Mode::Guarded), limits),
    },
];
