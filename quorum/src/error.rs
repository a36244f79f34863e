//! Why a request was not done, and what that means for the data.

use serde::{Deserialize, Serialize};

/// Why a request has no other answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize, thiserror::Error)]
pub enum Error {
    /// Too few of the key's replicas are believed live. Said at once; nothing was written.
    #[error("{live} of the key's replicas are live, {needed} are needed; nothing was written")]
    Unavailable {
        /// Replicas believed live by the node that was asked.
        live: usize,
        /// Replicas needed.
        needed: usize,
    },
    /// A write was sent out and too few replicas acknowledged it in time. It may have taken effect,
    /// or may yet: replicas that have it keep it, and hints for the others are kept.
    #[error("{acked} of {needed} replicas acknowledged the write in time; its effect is unknown")]
    Unknown {
        /// Replicas that acknowledged it.
        acked: usize,
        /// Replicas needed.
        needed: usize,
    },
    /// Too few replicas answered in time: of a read, or of a write that was still asking for the
    /// largest version. The request wrote nothing of its own; a read may have copied what another
    /// had written to more replicas.
    #[error("{replied} of {needed} replicas answered in time; nothing was written")]
    TimedOut {
        /// Replicas that answered, or that are known to have what the read would return.
        replied: usize,
        /// Replicas needed.
        needed: usize,
    },
    /// The request names a quorum of none, or of more replicas than there are. Nothing was done.
    #[error("a quorum of {asked} was asked for, expected between 1 and {replication}")]
    InvalidQuorum {
        /// What was asked for.
        asked: usize,
        /// How many replicas a key has.
        replication: usize,
    },
    /// The node coordinates as many operations as it may. Nothing was done.
    #[error("the node coordinates {operations} operations, as many as it may; nothing was done")]
    Overloaded {
        /// How many it coordinates.
        operations: usize,
    },
}

impl Error {
    /// Whether a write that ended so has had no effect and never will.
    pub fn is_without_effect(self) -> bool {
        match self {
            Self::Unavailable { .. }
            | Self::TimedOut { .. }
            | Self::InvalidQuorum { .. }
            | Self::Overloaded { .. } => true,
            Self::Unknown { .. } => false,
        }
    }
}
