//! What a node holds as a replica.

use std::collections::BTreeMap;

use cluster::PersistCount;

use crate::mutants::{Mutant, Planted};
use crate::version::{Entry, Key, Version};

/// One key's entry, and how safe it is.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub(crate) entry: Entry,
    /// The count of changes to the storage when this one was made.
    pub(crate) revision: u64,
    /// How much of the log must be durable for a crash to leave the entry here.
    pub(crate) persisted: PersistCount,
}

/// Entries by key.
///
/// Invariant: no slot holds version zero, and a slot's version only ever grows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Storage {
    slots: BTreeMap<Key, Slot>,
    revision: u64,
    tombstones: usize,
    planted: Planted,
}

impl Storage {
    pub(crate) fn new(planted: Planted) -> Self {
        Self { planted, ..Self::default() }
    }

    pub(crate) fn slot(&self, key: &Key) -> Option<&Slot> {
        self.slots.get(key)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Key, &Slot)> {
        self.slots.iter()
    }

    /// The version of `key`; zero if it was never written here.
    pub(crate) fn version(&self, key: &Key) -> Version {
        self.slot(key).map_or(Version::ZERO, |slot| slot.entry.version)
    }

    /// Whether `version` is greater than what is held.
    pub(crate) fn is_news(&self, key: &Key, version: Version) -> bool {
        let held = self.version(key);
        if self.planted.is(Mutant::TiesUnbroken) {
            return version.counter() > held.counter();
        }
        version > held
    }

    /// Holds `entry` from now on, which is news, and record number `persisted`.
    pub(crate) fn put(&mut self, key: Key, entry: Entry, persisted: PersistCount) {
        self.revision += 1;
        let dies = entry.is_tombstone();
        let was_dead = if dies && self.planted.is(Mutant::DeletionForgets) {
            self.slots.remove(&key).is_some_and(|slot| slot.entry.is_tombstone())
        } else {
            self.tombstones += usize::from(dies);
            let slot = Slot { entry, revision: self.revision, persisted };
            self.slots.insert(key, slot).is_some_and(|slot| slot.entry.is_tombstone())
        };
        self.tombstones -= usize::from(was_dead);
    }

    /// How many changes there have been.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// Keys with a value.
    pub(crate) fn keys(&self) -> usize {
        self.slots.len() - self.tombstones
    }

    /// Keys with a deletion.
    pub(crate) fn tombstones(&self) -> usize {
        self.tombstones
    }
}
