//! What goes out of the table.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Arrival, AttemptId, FencingToken, LogTime, Owner, Resource, Response, WaitEnd};

/// What applying a command led to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// The command's stamp.
    pub at: LogTime,
    /// What to tell whoever asked.
    pub outcome: Outcome,
    /// What else changed, in order.
    pub changes: Vec<Change>,
}

/// What to tell whoever asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// This, now.
    Answer(Response),
    /// Nothing yet: this attempt waits in line, and a [`Change`] will end its wait.
    Queued(Box<(Resource, Owner, AttemptId)>),
    /// Nobody asked.
    Ticked,
}

/// Something that became of others than the one who asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// A waiter has the lock.
    Granted {
        /// Which lock.
        resource: Resource,
        /// For whom.
        owner: Owner,
        /// Which attempt.
        attempt: AttemptId,
        /// Its number.
        token: FencingToken,
        /// When the acquire that took the lock had come.
        arrival: Arrival,
        /// What the lease was granted for.
        ttl: Duration,
        /// How often the owner holds the lock, this time included.
        holds: u32,
        /// When the lease ends.
        expires_at: LogTime,
    },
    /// A waiter waits no more, and has nothing.
    WaitEnded {
        /// Which lock.
        resource: Resource,
        /// Whose attempt.
        owner: Owner,
        /// Which.
        attempt: AttemptId,
        /// Why.
        why: WaitEnd,
    },
    /// A lease ran out.
    Expired {
        /// Of which lock.
        resource: Resource,
        /// Whose.
        owner: Owner,
        /// Which grant.
        token: FencingToken,
    },
}

/// A question to the table.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Query {
    /// Is it locked?
    IsLocked(Resource),
    /// All about one lock.
    Info(Resource),
    /// All locks.
    List,
}
