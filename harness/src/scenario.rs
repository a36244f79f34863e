//! The failures that every implementation is put through, each written once.

use std::fmt;
use std::time::Duration;

use cluster::{Fault, LinkFault, Rng};

/// One thing that a scenario does. Which node it hits is decided when it happens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Move {
    /// Exactly this fault.
    Inject(Fault),
    /// The leader dies; without one, some node.
    CrashLeader,
    /// The leader stops as by SIGSTOP; without one, some node.
    PauseLeader,
    /// So many nodes that are up die.
    CrashAny(usize),
    /// Every node that is down starts again.
    RestartAll,
    /// Every node that is paused goes on.
    ResumeAll,
    /// The leader and so many others are cut off from the rest.
    IsolateLeader(usize),
    /// So many nodes, not the leader, are cut off from the rest.
    IsolateFollowers(usize),
    /// The leader hears nobody; it is heard.
    DeafenLeader,
    /// Nobody hears the leader; it hears.
    MuteLeader,
    /// Every node's clock drifts by up to so much, and its wall clock jumps by up to so much.
    SkewClocks {
        /// Millionths, either way.
        drift_ppm_max: u32,
        /// Nanoseconds, either way.
        jump_nanos_max: u64,
    },
    /// A client that holds a lock dies.
    CrashHolder,
    /// A client that holds a lock stops for so long, and goes on as if nothing had happened.
    PauseHolder(Duration),
}

impl Move {
    /// How many faults it can inject into a cluster of `nodes` nodes; none if it makes things right.
    pub fn harm(&self, nodes: usize) -> usize {
        match self {
            Self::RestartAll | Self::ResumeAll | Self::Inject(Fault::Heal) => 0,
            Self::CrashAny(count) => *count,
            Self::SkewClocks { .. } => nodes,
            Self::IsolateLeader(_)
            | Self::IsolateFollowers(_)
            | Self::DeafenLeader
            | Self::MuteLeader => usize::from(nodes > 1),
            Self::Inject(_)
            | Self::CrashLeader
            | Self::PauseLeader
            | Self::CrashHolder
            | Self::PauseHolder(_) => 1,
        }
    }
}

/// What an implementation must have for a scenario to make sense.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Needs {
    /// Nothing in particular.
    Nodes,
    /// Clients that hold locks.
    Locks,
}

/// A scenario: moves in time, drawn by a seed.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What happens, in a sentence.
    pub summary: &'static str,
    /// What it makes sense for.
    pub needs: Needs,
    /// How many faults it must have injected by its end, or the run proves nothing; fewer if a small
    /// cluster leaves it fewer to inject.
    pub faults_min: u32,
    draw: fn(&mut Plan<'_>),
}

impl fmt::Debug for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Scenario").field(&self.name).finish()
    }
}

impl PartialEq for Scenario {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// A scenario while it is drawn.
struct Plan<'a> {
    rng: &'a mut Rng,
    nodes: usize,
    span: Duration,
    moves: Vec<(Duration, Move)>,
}

impl Plan<'_> {
    /// `wanted`, when `percent` of the span have passed, give or take five.
    fn at(&mut self, percent: u32, wanted: Move) {
        let share = self.rng.within(u64::from(percent.saturating_sub(5))..=u64::from(percent + 5));
        let at = self.span * u32::try_from(share).unwrap_or(100) / 100;
        self.moves.push((at, wanted));
    }

    fn minority(&self) -> usize {
        (self.nodes - 1) / 2
    }

    fn majority(&self) -> usize {
        self.nodes / 2 + 1
    }

    fn links(&mut self, fault: LinkFault) {
        self.at(10, Move::Inject(Fault::Links(fault)));
    }
}

impl Scenario {
    /// The moves for a cluster of `nodes` nodes and a fault phase of `span`, as `rng` draws them,
    /// ordered by time since the phase began.
    pub fn moves(&self, nodes: usize, span: Duration, rng: &mut Rng) -> Vec<(Duration, Move)> {
        let mut plan = Plan { rng, nodes, span, moves: Vec::new() };
        (self.draw)(&mut plan);
        let mut moves = plan.moves;
        moves.sort_by_key(|(at, _)| *at);
        moves
    }

    /// The scenario of that name.
    pub fn named(name: &str) -> Option<Self> {
        ALL.iter().copied().find(|scenario| scenario.name == name)
    }

    /// Every name.
    pub fn names() -> impl Iterator<Item = &'static str> {
        ALL.iter().map(|scenario| scenario.name)
    }
}

const fn nodes(
    name: &'static str,
    summary: &'static str,
    faults_min: u32,
    draw: fn(&mut Plan<'_>),
) -> Scenario {
    Scenario { name, summary, needs: Needs::Nodes, faults_min, draw }
}

const fn locks(name: &'static str, summary: &'static str, draw: fn(&mut Plan<'_>)) -> Scenario {
    Scenario { name, summary, needs: Needs::Locks, faults_min: 1, draw }
}

/// A tenth of all messages, and so on; see [`LinkFault`].
const TENTH: u32 = 100_000;

/// The suite.
pub const ALL: &[Scenario] = &[
    nodes("steady", "nothing goes wrong", 0, |_| {}),
    nodes("leader-crash", "the leader dies, and comes back", 1, |plan| {
        plan.at(20, Move::CrashLeader);
        plan.at(70, Move::RestartAll);
    }),
    nodes("crash-cascade", "leader after leader dies, then all come back", 2, |plan| {
        for turn in 0..plan.minority() {
            let percent = 15 + 60 * turn / plan.minority();
            plan.at(u32::try_from(percent).unwrap_or(75), Move::CrashLeader);
        }
        plan.at(85, Move::RestartAll);
    }),
    nodes("pause-resume", "the leader stops past every timeout, and goes on", 1, |plan| {
        plan.at(20, Move::PauseLeader);
        plan.at(70, Move::ResumeAll);
    }),
    nodes("minority-partition", "the leader is cut off with a minority", 1, |plan| {
        let mates = plan.rng.index(plan.minority().max(1));
        plan.at(20, Move::IsolateLeader(mates));
        plan.at(75, Move::Inject(Fault::Heal));
    }),
    nodes("majority-partition", "a minority is cut off from the leader", 1, |plan| {
        let count = 1 + plan.rng.index(plan.minority().max(1));
        plan.at(20, Move::IsolateFollowers(count));
        plan.at(75, Move::Inject(Fault::Heal));
    }),
    nodes("one-way-partition", "the leader is heard but deaf, or hears but is mute", 1, |plan| {
        let deaf = plan.rng.chance(500_000);
        plan.at(20, if deaf { Move::DeafenLeader } else { Move::MuteLeader });
        plan.at(70, Move::Inject(Fault::Heal));
    }),
    nodes("quorum-lost", "a majority dies, and comes back", 2, |plan| {
        plan.at(20, Move::CrashAny(plan.majority()));
        plan.at(65, Move::RestartAll);
    }),
    nodes("lossy-network", "one message in ten to one in three is lost", 1, |plan| {
        let loss_ppm = plan.rng.within(100_000..=330_000) as u32;
        plan.links(LinkFault { loss_ppm, ..LinkFault::default() });
    }),
    nodes(
        "duplicating-network",
        "one message in three arrives twice, the second late",
        1,
        |plan| {
            let delay_max = Duration::from_millis(plan.rng.within(1..=300));
            let duplicate_ppm = 330_000;
            plan.links(LinkFault { duplicate_ppm, delay_max, ..LinkFault::default() });
        },
    ),
    nodes("reordering-network", "one message in three is overtaken by later ones", 1, |plan| {
        let delay_max = Duration::from_millis(plan.rng.within(1..=100));
        plan.links(LinkFault { delay_ppm: 330_000, delay_max, ..LinkFault::default() });
    }),
    nodes("clock-skew", "clocks drift by up to 4 % and wall clocks jump by up to 5 s", 5, |plan| {
        for percent in [10, 40, 70] {
            let (drift_ppm_max, jump_nanos_max) = (40_000, 5_000_000_000);
            plan.at(percent, Move::SkewClocks { drift_ppm_max, jump_nanos_max });
        }
    }),
    nodes(
        "power-loss",
        "all die at once with what they had not synced, and come back",
        1,
        |plan| {
            plan.at(40, Move::Inject(Fault::PowerLoss));
            plan.at(55, Move::RestartAll);
        },
    ),
    nodes("node-recovery", "a node is away for long, and catches up", 1, |plan| {
        plan.at(10, Move::CrashAny(1));
        plan.at(85, Move::RestartAll);
    }),
    nodes("rolling-restart", "nodes are restarted, one at a time", 3, |plan| {
        for turn in 0..4 {
            plan.at(10 + 22 * turn, Move::CrashAny(1));
            plan.at(20 + 22 * turn, Move::RestartAll);
        }
    }),
    nodes("swarm", "a mixture that the seed draws: crashes, pauses, cuts, bad links", 2, swarm),
    locks("lock-holder-crash", "clients die holding a lock", |plan| {
        for percent in [20, 45, 70] {
            plan.at(percent, Move::CrashHolder);
        }
    }),
    locks("lock-holder-pause", "clients stop past their lease, and go on writing", |plan| {
        for percent in [20, 50] {
            let pause = Duration::from_millis(plan.rng.within(700..=1_500));
            plan.at(percent, Move::PauseHolder(pause));
        }
    }),
];

/// Several faults at once, within what a minority's loss allows for most of the time.
fn swarm(plan: &mut Plan<'_>) {
    if plan.rng.chance(500_000) {
        let bad = LinkFault {
            loss_ppm: plan.rng.below(u64::from(2 * TENTH)) as u32,
            duplicate_ppm: plan.rng.below(u64::from(TENTH)) as u32,
            delay_ppm: plan.rng.below(u64::from(2 * TENTH)) as u32,
            delay_max: Duration::from_millis(plan.rng.within(1..=150)),
        };
        plan.links(bad);
    }
    if plan.rng.chance(300_000) {
        plan.at(15, Move::SkewClocks { drift_ppm_max: 40_000, jump_nanos_max: 1_000_000_000 });
    }
    for percent in [15, 30, 45, 60, 75, 90] {
        let wanted = match plan.rng.below(12) {
            0 => Move::CrashLeader,
            1 => Move::PauseLeader,
            2 => Move::CrashAny(1),
            3 => Move::IsolateLeader(plan.minority() / 2),
            4 => Move::IsolateFollowers(plan.minority()),
            5 => Move::DeafenLeader,
            6 => Move::MuteLeader,
            7 => Move::Inject(Fault::PowerLoss),
            8 => Move::RestartAll,
            9 => Move::ResumeAll,
            10 | 11.. => Move::Inject(Fault::Heal),
        };
        plan.at(percent, wanted);
    }
    // Whatever else was drawn, two leaders fall.
    plan.at(20, Move::CrashLeader);
    plan.at(50, Move::RestartAll);
    plan.at(65, Move::PauseLeader);
    plan.at(80, Move::ResumeAll);
}
