//! One lock that is held, and the line behind it.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::Limits;
use crate::{Arrival, AttemptId, Error, FencingToken, Grant, LockInfo, LogTime, Owner, Resource};

/// A lock that is held. Invariant: `attempts` is never empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Lock {
    pub(crate) owner: Owner,
    pub(crate) token: FencingToken,
    /// When the acquire that took it had come.
    pub(crate) arrival: Arrival,
    /// The attempts that took it and have not given it back, oldest first.
    pub(crate) attempts: Vec<AttemptId>,
    /// What the lease was last granted or renewed for.
    pub(crate) ttl: Duration,
    pub(crate) acquired_at: LogTime,
    pub(crate) expires_at: LogTime,
    pub(crate) renewals: u64,
    /// Who waits, first come first.
    pub(crate) waiters: VecDeque<Waiter>,
}

/// An attempt that wants a lock.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Waiter {
    pub(crate) owner: Owner,
    pub(crate) attempt: AttemptId,
    /// When it came.
    pub(crate) arrival: Arrival,
    pub(crate) ttl: Duration,
    /// When it stops waiting.
    pub(crate) deadline: LogTime,
}

impl Waiter {
    pub(crate) fn is(&self, owner: &Owner, attempt: AttemptId) -> bool {
        self.attempt == attempt && self.owner == *owner
    }

    /// The key of its deadline.
    pub(crate) fn end(&self, resource: &Resource) -> (LogTime, Resource, Owner, AttemptId) {
        (self.deadline, resource.clone(), self.owner.clone(), self.attempt)
    }
}

impl Lock {
    /// What to tell whoever asked at `at` and has it now.
    pub(crate) fn grant(&self, at: LogTime) -> Grant {
        Grant {
            token: self.token,
            arrival: self.arrival,
            ttl: self.ttl,
            holds: self.attempts.len() as u32,
            valid_for: self.expires_at.since(at),
        }
    }

    /// Whether `owner` holds it by `token`; the flags are for planted bugs.
    pub(crate) fn verify(
        &self,
        owner: &Owner,
        token: FencingToken,
        any_owner: bool,
        any_token: bool,
    ) -> Result<(), Error> {
        if self.owner != *owner && !any_owner {
            return Err(Error::NotHolder);
        }
        if self.token != token && !any_token {
            return Err(Error::StaleToken { current: self.token });
        }
        Ok(())
    }

    pub(crate) fn info(&self, resource: &Resource, at: LogTime) -> LockInfo {
        LockInfo {
            resource: resource.clone(),
            owner: self.owner.clone(),
            token: self.token,
            holds: self.attempts.len() as u32,
            renewals: self.renewals,
            ttl: self.ttl,
            held_for: at.since(self.acquired_at),
            remaining: self.expires_at.since(at),
            waiters: self.waiters.len(),
        }
    }

    /// Whether it keeps the table's guarantees 1 and 2 at `time`.
    pub(crate) fn check(&self, time: LogTime, limits: Limits) -> Result<(), String> {
        if self.attempts.is_empty() || self.attempts.len() > limits.holds_max {
            return Err(format!("held {} times", self.attempts.len()));
        }
        if self.expires_at <= time {
            return Err(format!("lease ended at {:?}, and it is {time:?}", self.expires_at));
        }
        if self.waiters.len() > limits.waiters_max {
            return Err(format!("{} wait", self.waiters.len()));
        }
        match self.waiters.iter().find(|waiter| waiter.deadline <= time) {
            Some(late) => Err(format!("{late:?} still waits, and it is {time:?}")),
            None => Ok(()),
        }
    }
}
