//! The failures that every implementation is put through, each written once.

mod swarm;

use std::fmt;
use std::time::Duration;

use cluster::{ClockFault, Damage, DiskFault, LinkFault, Rng};

use crate::implementation::World;
use crate::moves::{Move, Split, Step, Whom};

/// What an implementation must have for a scenario to make sense.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Needs {
    /// Nothing in particular.
    Nodes,
    /// Clients that hold locks.
    Locks,
    /// Voters that can be changed.
    Voters,
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
    /// Why implementations do not claim to come through it, if they do not: what it breaks is shown as
    /// what is not claimed. See [`Scenario::beyond_of`].
    pub beyond: Option<&'static str>,
    /// The implementations that claim it all the same.
    pub survivors: &'static [&'static str],
    /// Whether just enough nodes are repaired first, and must serve, before all are.
    pub core_first: bool,
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
    world: World,
    nodes: usize,
    span: Duration,
    steps: Vec<Step>,
}

impl Plan<'_> {
    /// `what`, when `percent` of the span have passed, give or take five.
    fn at(&mut self, percent: u32, what: Move) {
        let share = self.rng.within(u64::from(percent.saturating_sub(5))..=u64::from(percent + 5));
        let at = self.span * u32::try_from(share).unwrap_or(100) / 100;
        self.steps.push(Step { at, what });
    }

    fn minority(&self) -> usize {
        (self.nodes - 1) / 2
    }

    fn majority(&self) -> usize {
        self.nodes / 2 + 1
    }

    fn links(&mut self, fault: LinkFault) {
        self.at(10, Move::Links(fault));
    }

    /// The network falls apart, and heals.
    fn split(&mut self, split: Split) {
        self.at(20, Move::Split(split));
        self.at(75, Move::Heal);
    }

    /// A whole number of milliseconds.
    fn millis(&mut self, range: std::ops::RangeInclusive<u64>) -> Duration {
        Duration::from_millis(self.rng.within(range))
    }
}

impl Scenario {
    /// The steps for a cluster of `nodes` nodes in `world` and a fault phase of `span`, as `rng` draws
    /// them, ordered by time.
    pub fn steps(&self, world: World, nodes: usize, span: Duration, rng: &mut Rng) -> Vec<Step> {
        let mut plan = Plan { rng, world, nodes, span, steps: Vec::new() };
        (self.draw)(&mut plan);
        let mut steps = plan.steps;
        steps.sort_by_key(|step| step.at);
        steps
    }

    /// The scenario of that name.
    pub fn named(name: &str) -> Option<Self> {
        ALL.iter().copied().find(|scenario| scenario.name == name)
    }

    /// Every name.
    pub fn names() -> impl Iterator<Item = &'static str> {
        ALL.iter().map(|scenario| scenario.name)
    }

    /// Why the implementation of that name does not claim to come through it, if it does not.
    pub fn beyond_of(&self, implementation: &str) -> Option<&'static str> {
        self.beyond.filter(|_| !self.survivors.contains(&implementation))
    }

    /// The same, of which no implementation claims to come through.
    const fn beyond(self, why: &'static str) -> Self {
        Self { beyond: Some(why), ..self }
    }

    /// The same, of which these claim to come through.
    const fn but_not_of(self, survivors: &'static [&'static str]) -> Self {
        Self { survivors, ..self }
    }

    /// The same, ending with a repair of just enough nodes.
    const fn core_first(self) -> Self {
        Self { core_first: true, ..self }
    }
}

const fn nodes(
    name: &'static str,
    summary: &'static str,
    faults_min: u32,
    draw: fn(&mut Plan<'_>),
) -> Scenario {
    let (needs, beyond, core_first) = (Needs::Nodes, None, false);
    Scenario { name, summary, needs, faults_min, beyond, survivors: &[], core_first, draw }
}

const fn voters(
    name: &'static str,
    summary: &'static str,
    faults_min: u32,
    draw: fn(&mut Plan<'_>),
) -> Scenario {
    Scenario { needs: Needs::Voters, ..nodes(name, summary, faults_min, draw) }
}

const fn locks(name: &'static str, summary: &'static str, draw: fn(&mut Plan<'_>)) -> Scenario {
    let (needs, beyond, core_first) = (Needs::Locks, None, false);
    Scenario { name, summary, needs, faults_min: 1, beyond, survivors: &[], core_first, draw }
}

/// The suite.
pub const ALL: &[Scenario] = &[
    nodes("steady", "nothing goes wrong", 0, |_| {}),
    nodes("leader-crash", "the leader dies, and comes back", 1, |plan| {
        plan.at(20, Move::Crash(Whom::Leader));
        plan.at(70, Move::Restart(Whom::All));
    }),
    nodes("crash-cascade", "leader after leader dies, then all come back", 2, |plan| {
        for turn in 0..plan.minority() {
            let percent = 15 + 60 * turn / plan.minority();
            plan.at(u32::try_from(percent).unwrap_or(75), Move::Crash(Whom::Leader));
        }
        plan.at(85, Move::Restart(Whom::All));
    }),
    nodes(
        "crash-mid-batch",
        "nodes die between one effect and the next: after a write, before a message",
        1,
        |plan| {
            for turn in 0..6 {
                let whom = if turn % 2 == 0 { Whom::Leader } else { Whom::Any(1) };
                let effects = plan.rng.below(16) as u32;
                plan.at(10 + 14 * turn, Move::CrashAfter { whom, effects });
                plan.at(18 + 14 * turn, Move::Restart(Whom::All));
            }
        },
    ),
    nodes("pause-resume", "the leader stops past every timeout, and goes on", 1, |plan| {
        plan.at(20, Move::Pause(Whom::Leader));
        plan.at(70, Move::Resume(Whom::All));
    }),
    nodes("minority-partition", "the leader is cut off with a minority", 1, |plan| {
        let mates = plan.rng.index(plan.minority().max(1));
        plan.split(Split::LeaderAnd(mates));
    }),
    nodes("majority-partition", "a minority is cut off from the leader", 1, |plan| {
        let count = 1 + plan.rng.index(plan.minority().max(1));
        plan.split(Split::Followers(count));
    }),
    nodes("halves-partition", "two halves do not see each other", 1, |plan| {
        plan.split(Split::Halves);
    }),
    nodes("ring-partition", "every node sees a majority, and no two the same one", 1, |plan| {
        plan.split(Split::Ring);
    }),
    nodes("bridge-partition", "two halves see each other through one node only", 1, |plan| {
        plan.split(Split::Bridge);
    }),
    nodes("one-way-partition", "the leader is heard but deaf, or hears but is mute", 1, |plan| {
        let deaf = plan.rng.chance(500_000);
        plan.split(if deaf { Split::LeaderDeaf } else { Split::LeaderMute });
    }),
    nodes("flapping-links", "the leader is cut off and back again, over and over", 5, |plan| {
        for turn in 0..8 {
            plan.at(8 + 10 * turn, Move::Split(Split::LeaderAnd(0)));
            plan.at(13 + 10 * turn, Move::Heal);
        }
    }),
    nodes("blind-pair", "two nodes that do not see each other both stand for leader", 2, |plan| {
        for turn in 0..4 {
            plan.at(8 + 22 * turn, Move::Split(Split::Pair));
            plan.at(12 + 22 * turn, Move::Crash(Whom::Leader));
            plan.at(20 + 22 * turn, Move::Restart(Whom::All));
            plan.at(24 + 22 * turn, Move::Heal);
        }
    }),
    nodes(
        "slow-links",
        "messages arrive late, some after the leader that sent them is gone",
        3,
        |plan| {
            let delay_max = plan.millis(300..=1_000);
            let delay_ppm = plan.rng.within(80_000..=350_000) as u32;
            plan.links(LinkFault { delay_ppm, delay_max, ..LinkFault::default() });
            for turn in 0..6 {
                let split = match plan.rng.below(6) {
                    0 => Split::LeaderDeaf,
                    1 => Split::LeaderMute,
                    2 => Split::Pair,
                    _ => Split::LeaderAnd(0),
                };
                plan.at(18 + 13 * turn, Move::Split(split));
                plan.at(25 + 13 * turn, Move::Heal);
            }
        },
    ),
    nodes(
        "drifting-partition",
        "the leader is cut off, its clock slow by 4 %, the others' fast by as much",
        3,
        |plan| {
            let clock = |drift_ppm| ClockFault { drift_ppm, jump_nanos: 0 };
            for turn in 0..4 {
                let percent = 6 + 22 * turn;
                let (slow, fast) = (clock(-40_000), clock(40_000));
                plan.at(percent, Move::Clock { whom: Whom::Followers, clock: fast });
                plan.at(percent, Move::Clock { whom: Whom::Leader, clock: slow });
                plan.at(percent + 8, Move::Split(Split::LeaderAnd(0)));
                plan.at(percent + 16, Move::Heal);
            }
        },
    ),
    nodes(
        "heal-then-crash",
        "a deposed leader comes back with what it alone took, and its successor dies",
        6,
        |plan| {
            for turn in 0..3 {
                let percent = 6 + 30 * turn;
                let mates = plan.rng.index(plan.minority().max(1));
                plan.at(percent, Move::Split(Split::LeaderAnd(mates)));
                plan.at(percent + 14, Move::Heal);
                let healed = plan.steps.last().map_or(Duration::ZERO, |step| step.at);
                let at = healed + plan.millis(1..=80);
                plan.steps.push(Step { at, what: Move::Crash(Whom::Leader) });
                plan.at(percent + 25, Move::Restart(Whom::All));
            }
        },
    ),
    nodes(
        "slow-voters",
        "most disks are slow, the leader dies, and the power goes while its successor is elected",
        8,
        |plan| {
            let disk = DiskFault { slow: plan.millis(150..=400), ..DiskFault::default() };
            for turn in 0..4 {
                let percent = 6 + 23 * turn;
                plan.at(percent, Move::Disk { whom: Whom::Any(plan.majority()), disk });
                plan.at(percent + 5, Move::Crash(Whom::Leader));
                let died = plan.steps.last().map_or(Duration::ZERO, |step| step.at);
                let at = died + plan.millis(150..=700);
                plan.steps.push(Step { at, what: Move::PowerLoss });
                let at = at + plan.millis(1..=50);
                plan.steps.push(Step { at, what: Move::Restart(Whom::All) });
                let sound = DiskFault::default();
                plan.at(percent + 18, Move::Disk { whom: Whom::All, disk: sound });
            }
        },
    ),
    nodes(
        "voters-restart",
        "the leader is cut off while all others die and come back",
        3,
        |plan| {
            for turn in 0..3 {
                let percent = 10 + 28 * turn;
                plan.at(percent, Move::Split(Split::LeaderAnd(0)));
                let cut = plan.steps.last().map_or(Duration::ZERO, |step| step.at);
                let mut after = |low, high, what| {
                    let at = cut + plan.millis(low..=high);
                    plan.steps.push(Step { at, what });
                };
                after(1, 20, Move::Crash(Whom::Followers));
                after(21, 60, Move::Restart(Whom::All));
                plan.at(percent + 18, Move::Heal);
            }
        },
    ),
    nodes(
        "restart-storm",
        "disks are slow, and nodes die and come back many times a second",
        8,
        |plan| {
            let disk = DiskFault { slow: plan.millis(10..=150), ..DiskFault::default() };
            plan.at(5, Move::Disk { whom: Whom::All, disk });
            let mut at = plan.span / 10;
            while at < plan.span * 9 / 10 {
                let whom = if plan.rng.chance(400_000) { Whom::Leader } else { Whom::Any(1) };
                plan.steps.push(Step { at, what: Move::Crash(whom) });
                at += plan.millis(1..=60);
                plan.steps.push(Step { at, what: Move::Restart(Whom::All) });
                at += plan.millis(10..=400);
            }
        },
    ),
    nodes("quorum-lost", "a majority dies, and comes back", 2, |plan| {
        plan.at(20, Move::Crash(Whom::Any(plan.majority())));
        plan.at(65, Move::Restart(Whom::All));
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
            let delay_max = plan.millis(1..=300);
            let duplicate_ppm = 330_000;
            plan.links(LinkFault { duplicate_ppm, delay_max, ..LinkFault::default() });
        },
    ),
    nodes("reordering-network", "one message in three is overtaken by later ones", 1, |plan| {
        let delay_max = plan.millis(1..=100);
        plan.links(LinkFault { delay_ppm: 330_000, delay_max, ..LinkFault::default() });
    }),
    nodes("clock-skew", "clocks drift by up to 4 % and wall clocks jump by up to 5 s", 5, |plan| {
        for percent in [10, 40, 70] {
            let (drift_ppm_max, jump_max) = (40_000, Duration::from_secs(5));
            plan.at(percent, Move::SkewClocks { drift_ppm_max, jump_max });
        }
    }),
    nodes(
        "power-loss",
        "all die at once with what they had not synced, and come back, again and again",
        4,
        |plan| {
            let slow = plan.millis(0..=40);
            let disk = DiskFault { slow, ..DiskFault::default() };
            // Not every world can slow a disk.
            if plan.world != World::Net {
                plan.at(5, Move::Disk { whom: Whom::All, disk });
            }
            for turn in 0..4 {
                plan.at(20 + 20 * turn, Move::PowerLoss);
                plan.at(26 + 20 * turn, Move::Restart(Whom::All));
            }
        },
    ),
    nodes(
        "torn-write",
        "power goes while records are being written, and leaves them there in part",
        3,
        |plan| {
            let slow = plan.millis(5..=60);
            let disk = DiskFault { slow, torn: true, ..DiskFault::default() };
            plan.at(5, Move::Disk { whom: Whom::All, disk });
            for turn in 0..3 {
                plan.at(25 + 25 * turn, Move::PowerLoss);
                plan.at(33 + 25 * turn, Move::Restart(Whom::All));
            }
        },
    ),
    nodes("slow-disk", "the leader's disk takes up to a quarter of a second to sync", 1, |plan| {
        let disk = DiskFault { slow: plan.millis(20..=250), ..DiskFault::default() };
        plan.at(15, Move::Disk { whom: Whom::Leader, disk });
        plan.at(75, Move::Disk { whom: Whom::All, disk: DiskFault::default() });
    }),
    nodes("stalled-disk", "the leader's disk hangs while its network goes on", 1, |plan| {
        let disk = DiskFault { stalled: true, ..DiskFault::default() };
        plan.at(20, Move::Disk { whom: Whom::Leader, disk });
        plan.at(70, Move::Disk { whom: Whom::All, disk: DiskFault::default() });
    }),
    nodes("full-disk", "the leader's disk is full, and has room again", 1, |plan| {
        let disk = DiskFault { full: true, ..DiskFault::default() };
        plan.at(20, Move::Disk { whom: Whom::Leader, disk });
        plan.at(40, Move::Restart(Whom::All));
        plan.at(65, Move::Disk { whom: Whom::All, disk: DiskFault::default() });
        plan.at(75, Move::Restart(Whom::All));
    }),
    nodes("disk-rot", "a minority's disks rot: what cannot be read is not guessed", 3, |plan| {
        let count = 1 + plan.rng.index(plan.minority().max(1));
        let first = if plan.rng.chance(500_000) { 0 } else { 980_000 };
        rot(plan, count, first..=999_999);
    }),
    nodes("majority-rot", "most disks rot: no service, and no wrong answer", 4, |plan| {
        rot(plan, plan.majority(), 0..=999_999);
    }),
    nodes(
        "last-record-rot",
        "a node's last record rots, as if it had never been written",
        1,
        |plan| {
            rot(plan, 1, 1_000_000..=1_000_000);
        },
    )
    .beyond("a log cannot tell a last record that rotted from one that was never finished"),
    nodes("wiped-node", "nodes come back with empty disks, fewer than half of them", 1, |plan| {
        let turns = u32::try_from(plan.minority()).unwrap_or(1).max(1);
        for turn in 0..turns {
            plan.at(20 + 60 * turn / turns, Move::Wipe(Whom::Any(1)));
            plan.at(22 + 60 * turn / turns, Move::Restart(Whom::All));
        }
    })
    .beyond("a node that forgets what it promised can promise it again to someone else")
    .but_not_of(&["raft", "dlock"]),
    nodes("node-recovery", "a node is away for long, and catches up", 1, |plan| {
        plan.at(10, Move::Crash(Whom::Any(1)));
        plan.at(85, Move::Restart(Whom::All));
    }),
    nodes(
        "laggard",
        "a follower is cut off while the log goes on without it, and the leader dies as it catches up",
        3,
        |plan| {
            for turn in 0..2 {
                let percent = 6 + 46 * turn;
                plan.at(percent, Move::Split(Split::Followers(1)));
                plan.at(percent + 28, Move::Heal);
                let healed = plan.steps.last().map_or(Duration::ZERO, |step| step.at);
                let at = healed + plan.millis(1..=120);
                plan.steps.push(Step { at, what: Move::Crash(Whom::Leader) });
                plan.at(percent + 40, Move::Restart(Whom::All));
            }
        },
    ),
    nodes("rolling-restart", "nodes are restarted, one at a time", 3, |plan| {
        for turn in 0..4 {
            plan.at(10 + 22 * turn, Move::Crash(Whom::Any(1)));
            plan.at(20 + 22 * turn, Move::Restart(Whom::All));
        }
    }),
    nodes("permanent-faults", "what is broken stays broken; the rest must serve", 1, |plan| {
        swarm::mixture(plan, &[12, 24, 36, 48, 60, 72, 84]);
        plan.at(90, Move::Crash(Whom::Leader));
        plan.at(95, Move::Split(Split::Ring));
    })
    .core_first(),
    nodes(
        "swarm",
        "a mixture that the seed draws: crashes, pauses, cuts, bad links, bad disks, bad clocks",
        2,
        swarm::draw,
    )
    .core_first(),
    nodes("client-crash", "clients die in the middle of a call", 3, |plan| {
        for turn in 0..6 {
            plan.at(10 + 14 * turn, Move::CrashClient { holding: false });
        }
        plan.at(50, Move::Crash(Whom::Leader));
        plan.at(75, Move::Restart(Whom::All));
    }),
    nodes("client-pause", "clients stop in the middle of a call, and go on", 3, |plan| {
        for turn in 0..6 {
            let pause = plan.millis(50..=1_500);
            plan.at(10 + 14 * turn, Move::PauseClient { holding: false, pause });
        }
    }),
    voters("membership-change", "voters come and go under load while leaders die", 4, |plan| {
        for turn in 0..5 {
            let whom = if plan.rng.chance(700_000) { Whom::Leader } else { Whom::Any(1) };
            plan.at(8 + 17 * turn, Move::Crash(whom));
            plan.at(16 + 17 * turn, Move::Restart(Whom::All));
        }
    }),
    voters(
        "membership-partition",
        "voters come and go under load while leaders are cut off with those who were just put in",
        4,
        |plan| {
            for turn in 0..5 {
                let mates = plan.rng.index(plan.minority() + 1);
                plan.at(8 + 17 * turn, Move::Split(Split::LeaderAnd(mates)));
                plan.at(17 + 17 * turn, Move::Heal);
            }
        },
    ),
    // One, since another may be out: of the others a majority must have kept its disks.
    voters("membership-wipe", "voters come and go, and one of them loses its disk", 1, |plan| {
        plan.at(25, Move::Wipe(Whom::Any(1)));
        plan.at(35, Move::Restart(Whom::All));
    }),
    voters(
        "membership-swarm",
        "voters come and go in a mixture of faults that the seed draws",
        2,
        swarm::draw,
    )
    .core_first(),
    locks("lock-holder-crash", "clients die holding a lock", |plan| {
        for percent in [20, 45, 70] {
            plan.at(percent, Move::CrashClient { holding: true });
        }
    }),
    locks("lock-holder-pause", "clients stop past their lease, and go on writing", |plan| {
        for percent in [20, 50] {
            let pause = plan.millis(700..=1_500);
            plan.at(percent, Move::PauseClient { holding: true, pause });
        }
    }),
];

/// The disks of `count` nodes rot, and the nodes find out when they start again.
fn rot(plan: &mut Plan<'_>, count: usize, at_ppm: std::ops::RangeInclusive<u64>) {
    let damages = [Damage::Flip, Damage::Misdirected, Damage::Lost];
    let damage = *plan.rng.pick(&damages).expect("there are several");
    let at_ppm = plan.rng.within(at_ppm) as u32;
    // So that there is something to rot on every disk.
    plan.at(10, Move::PowerLoss);
    plan.at(20, Move::Restart(Whom::All));
    plan.at(50, Move::Rot { whom: Whom::Any(count), at_ppm, damage });
    plan.at(70, Move::PowerLoss);
    plan.at(85, Move::Restart(Whom::All));
}
