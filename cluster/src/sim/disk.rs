//! A disk that forgets what was not synced.

use crate::Rng;

/// The records that one node wrote.
///
/// Invariant: `synced <= syncing <= records.len()`.
pub(super) struct Disk<R> {
    records: Vec<R>,
    /// How many will survive anything.
    synced: usize,
    /// How many the sync under way, if any, will have made durable.
    syncing: usize,
    /// How many there were at the last boot: a node counts from there.
    at_boot: usize,
}

impl<R: Clone> Disk<R> {
    pub(super) fn new() -> Self {
        Self { records: Vec::new(), synced: 0, syncing: 0, at_boot: 0 }
    }

    pub(super) fn write(&mut self, record: R) {
        self.records.push(record);
    }

    /// How many records are written, durable or not.
    pub(super) fn written(&self) -> usize {
        self.records.len()
    }

    pub(super) fn is_dirty(&self) -> bool {
        self.synced < self.records.len()
    }

    /// What survives anything.
    pub(super) fn durable(&self) -> &[R] {
        &self.records[..self.synced]
    }

    /// Of `count` records on the disk, how many the node wrote since it booted.
    pub(super) fn since_boot(&self, count: usize) -> u64 {
        count.saturating_sub(self.at_boot) as u64
    }

    /// Starts to sync all that is written, unless there is nothing to do or a sync is under way.
    pub(super) fn start_sync(&mut self) -> Option<usize> {
        let idle = self.syncing == self.synced;
        (idle && self.is_dirty()).then(|| {
            self.syncing = self.records.len();
            self.syncing
        })
    }

    /// The sync of the first `upto` records is done.
    pub(super) fn synced(&mut self, upto: usize) {
        assert!(upto <= self.records.len(), "a sync outlived the records that it was for");
        self.synced = self.synced.max(upto);
        self.syncing = self.syncing.max(self.synced);
    }

    /// The process dies. Of what was not synced, some first part may have reached the disk all the
    /// same; nothing of it if the power went too.
    pub(super) fn crash(&mut self, power_loss: bool, rng: &mut Rng) {
        let unsynced = self.records.len() - self.synced;
        let lucky = if power_loss { 0 } else { rng.index(unsynced + 1) };
        self.records.truncate(self.synced + lucky);
        self.synced = self.records.len();
        self.syncing = self.synced;
    }

    /// The process starts: all that is there is durable, and is handed over.
    pub(super) fn boot(&mut self) -> Vec<R> {
        self.at_boot = self.records.len();
        self.records.clone()
    }
}
