//! How a node is doing.

use std::borrow::Cow;

use cluster::{NodeId, Role};
use serde::{Deserialize, Serialize};

use crate::{Disk, Kind, LogIndex, Term};

/// How a cluster knows one of its nodes: by its name, and by its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Recognition {
    /// It has a vote in its latest configuration, on the disk that it has.
    Voter,
    /// It has no vote in its latest configuration. What it says counts all the same where a later one
    /// names it.
    Guest,
    /// It is a founder that has not met all the others yet. Until then it neither votes nor stands.
    Awaited,
    /// The others know it by another disk: its own was lost, or it has another's. It gets the log, as a
    /// learner does; it does not stand, and nothing that it says counts. It takes
    /// [`Change::Renew`](crate::Change::Renew) to make it a voter again.
    Replaced,
}

/// A node as it sees itself at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Which node.
    pub node: NodeId,
    /// Its disk; [`Disk::UNNAMED`] where disks are trusted.
    pub disk: Disk,
    /// How the cluster knows it.
    pub recognition: Recognition,
    /// What it keeps of the log.
    pub kind: Kind,
    /// The part it plays.
    pub role: Role,
    /// The term it is in.
    pub term: Term,
    /// Who leads in that term, as far as it knows.
    pub leader: Option<NodeId>,
    /// How far the log is committed, as far as it knows.
    pub commit: LogIndex,
    /// How far it has applied the log.
    pub applied: LogIndex,
    /// The last entry of its log, committed or not.
    pub last: LogIndex,
    /// The last entry that its latest snapshot covers; zero if it has none.
    pub snapshot: LogIndex,
    /// What it counts, by name.
    pub gauges: Vec<(Cow<'static, str>, u64)>,
}

impl Status {
    /// What it counts under `name`; zero if it counts nothing of that name.
    pub fn gauge(&self, name: &str) -> u64 {
        let mut gauges = self.gauges.iter();
        gauges.find(|(own, _)| own == name).map_or(0, |&(_, value)| value)
    }
}
