//! One request under way: what it has heard, and what it waits for.

use std::collections::{BTreeMap, BTreeSet};

use cluster::{RequestId, Timestamp};

use crate::config::Guarantee;
use crate::ring::Place;
use crate::version::{Entry, Key, Value, Version};

/// Which replicas of a key have answered, each counted once.
///
/// Replicas are named by their place in the key's list, of which there are at most 65: the
/// [`REPLICATION_MAX`](crate::Config::REPLICATION_MAX), and one that a mutant adds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub(crate) struct Tally {
    seen: u128,
    count: usize,
}

impl Tally {
    /// Counts replica number `slot`, unless it has been counted.
    pub(crate) fn add(&mut self, slot: usize) {
        if !self.has(slot) {
            self.seen |= 1 << slot;
            self.count += 1;
        }
    }

    /// Counts it even if it has been counted: what a mutant does.
    pub(crate) fn add_again(&mut self, slot: usize) {
        self.seen |= 1 << slot;
        self.count += 1;
    }

    pub(crate) fn has(self, slot: usize) -> bool {
        self.seen & (1 << slot) != 0
    }

    pub(crate) fn count(self) -> usize {
        self.count
    }

    /// Whether all of `replicas` have been counted.
    pub(crate) fn is_full(self, replicas: usize) -> bool {
        self.seen.count_ones() as usize >= replicas
    }
}

/// What the replies to a read have shown so far.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Replies {
    /// By place in the key's list.
    versions: Vec<Option<Version>>,
    pub(crate) replied: Tally,
    /// The greatest of all.
    pub(crate) best: Entry,
}

impl Replies {
    pub(crate) fn new(replicas: usize) -> Self {
        Self { versions: vec![None; replicas], replied: Tally::default(), best: Entry::NEVER }
    }

    /// Notes what replica number `slot` holds.
    pub(crate) fn add(&mut self, slot: usize, entry: Entry) {
        let version = &mut self.versions[slot];
        *version = (*version).max(Some(entry.version));
        self.replied.add(slot);
        let best = std::mem::replace(&mut self.best, Entry::NEVER);
        self.best = best.merge(entry);
    }

    /// The replicas that hold `version` or a greater one.
    pub(crate) fn carriers(&self, version: Version) -> Tally {
        let mut carriers = Tally::default();
        for (slot, held) in self.versions.iter().enumerate() {
            if held.is_some_and(|held| held >= version) {
                carriers.add(slot);
            }
        }
        carriers
    }

    /// The replicas that answered, and lack the best.
    pub(crate) fn stale(&self) -> impl Iterator<Item = usize> + '_ {
        let lacks = |held: &Option<Version>| held.is_some_and(|held| held < self.best.version);
        self.versions.iter().enumerate().filter(move |(_, held)| lacks(held)).map(|(slot, _)| slot)
    }
}

/// How far an operation has come.
#[derive(Clone, Debug, Hash)]
pub(crate) enum Phase {
    /// A write asks for the largest version.
    Query {
        /// How many answers it needs.
        needed: usize,
        replied: Tally,
        /// The largest counter so far.
        counter: u64,
        /// What to write then.
        value: Option<Value>,
        /// How many acknowledgements it will need.
        write_quorum: usize,
    },
    /// A write stores.
    Store { needed: usize, entry: Entry, acked: Tally },
    /// A read asks, or has been answered and listens to stragglers.
    Read {
        /// How many answers it needs.
        needed: usize,
        /// How many replicas must carry what it returns; none if that does not matter.
        carriers_needed: Option<usize>,
        replies: Replies,
    },
    /// A read writes back what it will return, or has returned it and listens to stragglers.
    WriteBack { needed: usize, entry: Entry, acked: Tally, replies: Replies },
}

/// A request under way, or one that is answered and waits for its stragglers.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    /// Whom to answer; none once that is done.
    pub(crate) request: Option<RequestId>,
    pub(crate) key: Key,
    pub(crate) place: Place,
    pub(crate) guarantee: Guarantee,
    pub(crate) phase: Phase,
    /// When it ends, whatever it has come to.
    pub(crate) deadline: Timestamp,
    /// When to look after it next.
    pub(crate) wake: Timestamp,
}

/// All operations that a node coordinates, by count, with their alarms.
///
/// Invariant: `alarms` has one element for each operation, at its `wake`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Operations {
    under_way: BTreeMap<u64, Operation>,
    alarms: BTreeSet<(Timestamp, u64)>,
}

impl Operations {
    pub(crate) fn len(&self) -> usize {
        self.under_way.len()
    }

    /// All of them, by count.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &Operation)> {
        self.under_way.iter().map(|(&count, operation)| (count, operation))
    }

    /// Takes an operation out, to work on it. Whoever does puts it back, unless it is over.
    pub(crate) fn take(&mut self, count: u64) -> Option<Operation> {
        let operation = self.under_way.remove(&count)?;
        self.alarms.remove(&(operation.wake, count));
        Some(operation)
    }

    pub(crate) fn put(&mut self, count: u64, operation: Operation) {
        self.alarms.insert((operation.wake, count));
        self.under_way.insert(count, operation);
    }

    /// When the next one is to be looked after.
    pub(crate) fn next_wake(&self) -> Option<Timestamp> {
        self.alarms.first().map(|&(at, _)| at)
    }

    /// The next one that is due at `now`.
    pub(crate) fn next_due(&self, now: Timestamp) -> Option<u64> {
        self.alarms.first().filter(|&&(at, _)| at <= now).map(|&(_, count)| count)
    }
}
