//! Why a request was refused, and what became of it.

use std::time::Duration;

use cluster::NodeId;
use serde::{Deserialize, Serialize};

use crate::{FencingToken, Owner};

/// Why a request was not granted. Each variant says its effect.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Error {
    /// Another owner holds the lock. Nothing was done.
    #[error("held by {owner} for at most {remaining:?} more unless renewed; nothing was done")]
    Held {
        /// Who holds it.
        owner: Owner,
        /// What is left of the lease, in log time, unless it is renewed.
        remaining: Duration,
    },
    /// The wait ended before the lock came free. The attempt is out of the queue; it holds nothing
    /// and never will.
    #[error("the wait ended before the lock came free; the attempt left the queue")]
    WaitTimedOut,
    /// The attempt was cancelled. It holds nothing and never will.
    #[error("the attempt was cancelled; it holds nothing")]
    Cancelled,
    /// As many wait for this lock as may. Nothing was done.
    #[error("{waiters_max} attempts wait for this lock already, and no more may; nothing was done")]
    QueueFull {
        /// How many may.
        waiters_max: usize,
    },
    /// The owner holds this lock as often as it may. Nothing was done.
    #[error(
        "the owner holds this lock {holds_max} times already, and no more may; nothing was done"
    )]
    TooManyHolds {
        /// How often it may.
        holds_max: usize,
    },
    /// The owner does not hold this lock, or has given this hold back: it never had it, released
    /// it, or lost it by expiry. Nothing was done.
    #[error("the owner does not hold this lock (any more); nothing was done")]
    NotHolder,
    /// The owner holds this lock, but by another grant than the token says. Nothing was done.
    #[error("the owner holds this lock by token {current}, not by the one given; nothing was done")]
    StaleToken {
        /// The token of the present grant.
        current: FencingToken,
    },
    /// The TTL asked for is out of bounds (zero always is). Nothing was done.
    #[error("ttl is {ttl:?}, expected {min:?} to {max:?}; nothing was done")]
    InvalidTtl {
        /// What was asked.
        ttl: Duration,
        /// The least that this cluster grants.
        min: Duration,
        /// The most.
        max: Duration,
    },
    /// This node does not lead. Nothing was done.
    #[error("this node does not lead ({}); nothing was done", hint(*.leader))]
    NotLeader {
        /// Who does, if the node knows.
        leader: Option<NodeId>,
    },
    /// Nobody took the lead over within an election timeout, or there is nobody else. No lock has
    /// changed; whether this node still leads depends on why.
    #[error("nobody took the lead over; no lock has changed")]
    NotHandedOver,
    /// The leader has more under way than it takes. Nothing was done.
    #[error("too many requests are under way; nothing was done")]
    Overloaded,
    /// The node lost its leadership while the request was under way. It may have happened, or may
    /// happen yet: ask again with the same attempt, or cancel it.
    #[error("the node lost its leadership while the request was under way; its effect is unknown")]
    Unknown,
}

fn hint(leader: Option<NodeId>) -> String {
    leader.map_or_else(|| "nor does it know who does".to_owned(), |leader| format!("try {leader}"))
}

impl From<raft::Error> for Error {
    fn from(error: raft::Error) -> Self {
        match error {
            raft::Error::NotLeader { leader } => Self::NotLeader { leader },
            raft::Error::Transferring { to } => Self::NotLeader { leader: Some(to) },
            raft::Error::Deposed | raft::Error::SessionExpired => Self::Unknown,
            raft::Error::NotTransferred | raft::Error::NoSuchMember => Self::NotHandedOver,
            raft::Error::Overloaded
            | raft::Error::TooLarge { .. }
            | raft::Error::ChangeInProgress
            | raft::Error::NotCaughtUp
            | raft::Error::UnfitMember
            | raft::Error::LastVoter
            | raft::Error::Witness(_) => Self::Overloaded,
        }
    }
}
