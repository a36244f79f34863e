//! How a node is doing.

use std::borrow::Cow;

use cluster::{NodeId, Role};
use serde::{Deserialize, Serialize};

use crate::{LogIndex, Term};

/// A node as it sees itself at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Which node.
    pub node: NodeId,
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
