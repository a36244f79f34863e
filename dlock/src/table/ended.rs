//! The attempts that ended without a grant: they must not succeed later.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{Hash, Hasher};

use cluster::Digest;
use serde::{Deserialize, Serialize};

use crate::{AttemptId, Error, LockTable, Owner, Resource};

/// Why an attempt waits no more, and has nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WaitEnd {
    /// Its time was up.
    TimedOut,
    /// Its owner cancelled it.
    Cancelled,
}

impl WaitEnd {
    /// What the owner is told.
    pub(crate) fn error(self) -> Error {
        match self {
            Self::TimedOut => Error::WaitTimedOut,
            Self::Cancelled => Error::Cancelled,
        }
    }
}

type Key = (Owner, AttemptId, Resource);

/// The last [`LockTable::ENDED_MAX`] of them. Invariant: `order` holds each key of `why` once.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Ended {
    order: VecDeque<Key>,
    why: BTreeMap<Key, WaitEnd>,
    /// A digest of all that was ever remembered, in order.
    history: u64,
}

/// Over the history, from which the rest follows: monitors hash tables often.
impl Hash for Ended {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.history.hash(state);
    }
}

impl Ended {
    pub(super) fn why(
        &self,
        resource: &Resource,
        owner: &Owner,
        attempt: AttemptId,
    ) -> Option<WaitEnd> {
        if self.why.is_empty() {
            return None;
        }
        self.why.get(&(owner.clone(), attempt, resource.clone())).copied()
    }

    pub(super) fn remember(
        &mut self,
        resource: &Resource,
        owner: &Owner,
        attempt: AttemptId,
        why: WaitEnd,
    ) {
        let key = (owner.clone(), attempt, resource.clone());
        self.history = Digest::of(&(self.history, &key, why));
        if self.why.insert(key.clone(), why).is_some() {
            return;
        }
        self.order.push_back(key);
        if self.order.len() > LockTable::ENDED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.why.remove(&oldest);
        }
    }
}
