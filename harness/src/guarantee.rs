//! What an implementation may claim, and the harness then tries to break.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A promise about every run, whatever goes wrong within the scenario.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guarantee {
    /// At most one leader in an epoch (term).
    ElectionSafety,
    /// At most one node acts as leader at any moment, by true time.
    NoSplitBrain,
    /// Once faults stop, every live node names the same leader, within a bound.
    LeaderAgreement,
    /// Once faults stop, the leader that all agree on is the node with the highest id, within a bound.
    HighestLeads,
    /// Raft, figure 3: logs that agree at an index agree up to it, and a leader only appends.
    LogMatching,
    /// Raft, figure 3: a committed entry is in the log of every later leader.
    LeaderCompleteness,
    /// Raft, figure 3: no two nodes apply different commands at one index.
    StateMachineSafety,
    /// Each key behaves as one register to which operations happen one at a time, each between its
    /// call and its return (Herlihy and Wing 1990).
    Linearizability,
    /// A read returns a value that was written, and none that was overwritten for good before the
    /// read was called; see [`Promise::Regular`](crate::ordered::Promise::Regular).
    RegularReads,
    /// A client that read a value reads no older one after it (Terry et al. 1994).
    MonotonicReads,
    /// A client that wrote reads nothing older than what it wrote (Terry et al. 1994).
    ReadYourWrites,
    /// What was acknowledged is still there after every fault of the scenario.
    Durability,
    /// Once faults have stopped and what was on its way has arrived, and every key was read after
    /// that, all replicas of a key hold the same version.
    Convergence,
    /// One version (tag) names one value, and no replica goes back to a lesser one.
    VersionSafety,
    /// At most one client believes that it holds a lock, by true time, however long it was paused.
    MutualExclusion,
    /// At most one client holds an unexpired lease on a lock, by true time, if its clock and the
    /// nodes' differ in rate by at most a tenth.
    LeaseExclusion,
    /// A resource that checks fencing tokens accepts no holder after a later one, and refuses no
    /// holder whose lease is valid.
    FencedMutualExclusion,
    /// A request that was sent again takes effect once: who took a lock once, and gives it back once,
    /// holds it no more.
    ExactlyOnce,
    /// A dead holder's lock becomes free: after the repair, every lock can be had within five seconds
    /// (thirty in real time), whoever died with it; leases are at most 0.6 s long.
    DeadlockFreedom,
    /// Waiters are served in the order in which the cluster says that it received them.
    FirstComeFirstServed,
    /// Requests succeed while enough nodes are up and connected, the others are wholly cut off, and
    /// the last fault is some time ago; and once everything is repaired. In real time, only the
    /// latter.
    Availability,
}

impl Guarantee {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 21] = [
        Self::ElectionSafety,
        Self::NoSplitBrain,
        Self::LeaderAgreement,
        Self::HighestLeads,
        Self::LogMatching,
        Self::LeaderCompleteness,
        Self::StateMachineSafety,
        Self::Linearizability,
        Self::RegularReads,
        Self::MonotonicReads,
        Self::ReadYourWrites,
        Self::Durability,
        Self::Convergence,
        Self::VersionSafety,
        Self::MutualExclusion,
        Self::LeaseExclusion,
        Self::FencedMutualExclusion,
        Self::ExactlyOnce,
        Self::DeadlockFreedom,
        Self::FirstComeFirstServed,
        Self::Availability,
    ];

    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ElectionSafety => "election safety",
            Self::NoSplitBrain => "no split brain",
            Self::LeaderAgreement => "leader agreement",
            Self::HighestLeads => "highest leads",
            Self::LogMatching => "log matching",
            Self::LeaderCompleteness => "leader completeness",
            Self::StateMachineSafety => "state-machine safety",
            Self::Linearizability => "linearizability",
            Self::RegularReads => "regular reads",
            Self::MonotonicReads => "monotonic reads",
            Self::ReadYourWrites => "read your writes",
            Self::Durability => "durability",
            Self::Convergence => "convergence",
            Self::VersionSafety => "version safety",
            Self::MutualExclusion => "mutual exclusion",
            Self::LeaseExclusion => "lease exclusion",
            Self::FencedMutualExclusion => "fenced mutual exclusion",
            Self::ExactlyOnce => "exactly once",
            Self::DeadlockFreedom => "deadlock freedom",
            Self::FirstComeFirstServed => "first come, first served",
            Self::Availability => "availability",
        }
    }

    /// The guarantee of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|guarantee| guarantee.name() == name)
    }
}

impl fmt::Display for Guarantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A guarantee that did not hold in a run, and how it shows.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Violation {
    /// Which.
    pub guarantee: Guarantee,
    /// What was seen, in a sentence or a few lines.
    pub what: String,
}

impl Violation {
    /// `guarantee` was broken, as `what` shows.
    pub fn new(guarantee: Guarantee, what: impl Into<String>) -> Self {
        Self { guarantee, what: what.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.guarantee, self.what)
    }
}
