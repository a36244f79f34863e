//! Whether a node's disk still moves.

use std::time::Duration;

use cluster::{Now, PersistCount, Timestamp};

/// What a node knows of its disk.
///
/// A leader whose disk hangs can still send heartbeats, and so keep everyone from electing a leader
/// that could commit with its own disk. It must notice by itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DiskWatch {
    /// How many records are durable.
    durable: PersistCount,
    /// How many were handed to the disk.
    written: PersistCount,
    /// Since when the disk has finished nothing. No meaning while nothing is to be finished.
    since: Timestamp,
}

impl DiskWatch {
    /// So many records have been handed to the disk by now.
    pub(crate) fn wrote(&mut self, now: Now, count: PersistCount) {
        if count > self.written {
            if !self.is_busy() {
                self.since = now.monotonic;
            }
            self.written = count;
        }
    }

    /// The first `count` records are durable by now.
    pub(crate) fn synced(&mut self, now: Now, count: PersistCount) {
        if count > self.durable {
            self.durable = count;
            self.since = now.monotonic;
        }
    }

    /// Whether it has something to finish.
    pub(crate) fn is_busy(&self) -> bool {
        self.durable < self.written
    }

    /// Whether it has had something to finish for `patience`, and finished nothing.
    pub(crate) fn hangs(&self, now: Now, patience: Option<Duration>) -> bool {
        patience
            .is_some_and(|patience| self.is_busy() && now.monotonic.since(self.since) >= patience)
    }

    /// Since when the disk has finished nothing, if it should have.
    pub(crate) fn busy_since(&self) -> Option<Timestamp> {
        self.is_busy().then_some(self.since)
    }
}
