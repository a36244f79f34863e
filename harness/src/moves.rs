//! What a scenario does, said so that it fits every implementation: "the leader dies", not "n3 dies".

use std::time::Duration;

use cluster::{ClockFault, Damage, DiskFault, LinkFault, NodeId};

/// A move, and when it is made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// How long after the faults began.
    pub at: Duration,
    /// What happens.
    pub what: Move,
}

/// Which nodes a move hits. Decided when it happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Whom {
    /// Whoever acts as leader; in patterns without one, or when none does, any node that is up.
    Leader,
    /// So many nodes that are up, whichever.
    Any(usize),
    /// Every node that is up, but the leader.
    Followers,
    /// Every node.
    All,
    /// This one.
    Node(NodeId),
}

impl Whom {
    /// How many of `nodes` nodes it can name.
    fn count(self, nodes: usize) -> usize {
        match self {
            Self::Leader | Self::Node(_) => 1,
            Self::Any(count) => count.min(nodes),
            Self::Followers => nodes - 1,
            Self::All => nodes,
        }
    }
}

/// How a network falls apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Split {
    /// The leader and so many others are cut off from the rest.
    LeaderAnd(usize),
    /// So many nodes, not the leader, are cut off from the rest.
    Followers(usize),
    /// Two halves, or nearly, whichever nodes.
    Halves,
    /// Every node sees its neighbours on a ring, a majority with itself, and no two the same one.
    Ring,
    /// Two halves, and one node that sees both.
    Bridge,
    /// Every node sees the one before it and the one after it.
    Chain,
    /// Two nodes, not the leader, do not see each other.
    Pair,
    /// The leader hears nobody; it is heard.
    LeaderDeaf,
    /// Nobody hears the leader; it hears.
    LeaderMute,
    /// These sides.
    Groups(Vec<Vec<NodeId>>),
    /// Nothing arrives from the first that is sent to the second; the other way is not touched.
    OneWay {
        /// Senders.
        from: Vec<NodeId>,
        /// Receivers.
        to: Vec<NodeId>,
    },
}

impl Split {
    /// The smallest cluster in which it cuts anything.
    fn nodes_min(&self) -> usize {
        match self {
            Self::Ring => 4,
            Self::Bridge | Self::Chain | Self::Pair => 3,
            Self::LeaderAnd(mates) => mates + 2,
            Self::Followers(_)
            | Self::Halves
            | Self::LeaderDeaf
            | Self::LeaderMute
            | Self::Groups(_)
            | Self::OneWay { .. } => 2,
        }
    }
}

/// One thing that a scenario does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Move {
    /// They die (kill -9).
    Crash(Whom),
    /// They are told to stop, as by SIGTERM, and end when they have handed over what they hold and answered
    /// what they were asked. Only processes can be told.
    Retire(Whom),
    /// They die once they have carried out so many more effects: between a write and a message, too.
    CrashAfter {
        /// Who.
        whom: Whom,
        /// How many effects more.
        effects: u32,
    },
    /// Those of them that are down start again.
    Restart(Whom),
    /// They stop, as by SIGSTOP.
    Pause(Whom),
    /// Those of them that are paused go on.
    Resume(Whom),
    /// All die at once, with what they had not synced.
    PowerLoss,
    /// The network falls apart; adds to what is cut already.
    Split(Split),
    /// Every cut ends.
    Heal,
    /// Links between nodes behave so from now on.
    Links(LinkFault),
    /// Their clocks behave so from now on.
    Clock {
        /// Whose.
        whom: Whom,
        /// How.
        clock: ClockFault,
    },
    /// Every node's clock drifts by up to so much, and its wall clock jumps by up to so much.
    SkewClocks {
        /// Millionths, either way.
        drift_ppm_max: u32,
        /// Either way.
        jump_max: Duration,
    },
    /// Their disks behave so from now on.
    Disk {
        /// Whose.
        whom: Whom,
        /// How.
        disk: DiskFault,
    },
    /// A durable record of theirs is damaged.
    Rot {
        /// Whose.
        whom: Whom,
        /// Which one, in millionths of the way from the first record to the last.
        at_ppm: u32,
        /// How.
        damage: Damage,
    },
    /// They lose all that they ever wrote; those that were up die of it.
    Wipe(Whom),
    /// Just enough nodes for service are repaired and connected; what is wrong with the others stays,
    /// and they are cut off.
    HealCore,
    /// A client dies in the middle of a call, or, if so wished, while it holds a lock.
    CrashClient {
        /// Whether it must hold a lock.
        holding: bool,
    },
    /// A client stops for so long, and goes on as if nothing had happened.
    PauseClient {
        /// Whether it must hold a lock, and not just have a call under way.
        holding: bool,
        /// For how long.
        pause: Duration,
    },
}

impl Move {
    /// Whether it leaves a disk without room.
    pub fn fills_disks(&self) -> bool {
        matches!(self, Self::Disk { disk: DiskFault { full: true, .. }, .. })
    }

    /// How many faults it can inject into a cluster of `nodes` nodes; none if it makes things right.
    pub fn harm(&self, nodes: usize) -> usize {
        match self {
            Self::Restart(_) | Self::Resume(_) | Self::Heal | Self::HealCore => 0,
            Self::Crash(whom)
            | Self::Retire(whom)
            | Self::CrashAfter { whom, .. }
            | Self::Pause(whom)
            | Self::Clock { whom, .. }
            | Self::Rot { whom, .. }
            | Self::Wipe(whom) => whom.count(nodes),
            Self::Disk { whom, disk } if *disk != DiskFault::default() => whom.count(nodes),
            Self::Links(links) if *links != LinkFault::default() => 1,
            Self::Disk { .. } | Self::Links(_) => 0,
            Self::Split(split) => usize::from(nodes >= split.nodes_min()),
            Self::SkewClocks { .. } | Self::PowerLoss => nodes,
            Self::CrashClient { .. } | Self::PauseClient { .. } => 1,
        }
    }
}
