//! The log, and how much of it has reached the disk.

use std::collections::VecDeque;
use std::sync::Arc;

use cluster::PersistCount;

use crate::message::{Entries, Entry};
use crate::{LogIndex, Position, Term};

/// The entries of one node.
///
/// Guarantees:
/// 1. the entry at place `i` has index `i`: there are no gaps;
/// 2. terms never decrease from one entry to the next;
/// 3. `durable <= saved <= last`.
#[derive(Debug, Clone)]
pub(crate) struct Log<C> {
    /// Entry `i` is at `i - 1`.
    entries: Vec<Arc<Entry<C>>>,
    /// The last index that has been handed to the disk.
    saved: LogIndex,
    /// The last index that will survive any crash.
    durable: LogIndex,
    /// What has been handed to the disk and is not known to be durable: up to which index the log
    /// is, once so many records are. Ascending in the count.
    unsynced: VecDeque<(PersistCount, LogIndex)>,
    /// How often a tail was dropped.
    truncations: u64,
}

impl<C> Log<C> {
    pub(crate) fn new() -> Self {
        Self {
            entries: Vec::new(),
            saved: LogIndex::ZERO,
            durable: LogIndex::ZERO,
            unsynced: VecDeque::new(),
            truncations: 0,
        }
    }

    pub(crate) fn last_index(&self) -> LogIndex {
        LogIndex::new(self.entries.len() as u64)
    }

    pub(crate) fn last(&self) -> Position {
        self.entries.last().map_or(Position::ZERO, |entry| entry.position())
    }

    pub(crate) fn durable(&self) -> LogIndex {
        self.durable
    }

    /// The last index that has been handed to the disk.
    pub(crate) fn saved_index(&self) -> LogIndex {
        self.saved
    }

    /// What is on its way to the disk; see the field.
    pub(crate) fn unsynced(&self) -> &VecDeque<(PersistCount, LogIndex)> {
        &self.unsynced
    }

    /// All of it.
    pub(crate) fn entries(&self) -> &[Arc<Entry<C>>] {
        &self.entries
    }

    pub(crate) fn truncations(&self) -> u64 {
        self.truncations
    }

    pub(crate) fn get(&self, index: LogIndex) -> Option<&Arc<Entry<C>>> {
        let place = usize::try_from(index.get().checked_sub(1)?).ok()?;
        self.entries.get(place)
    }

    /// The term of the entry at `index`; term zero before the first entry, none after the last.
    pub(crate) fn term_at(&self, index: LogIndex) -> Option<Term> {
        if index == LogIndex::ZERO {
            return Some(Term::ZERO);
        }
        self.get(index).map(|entry| entry.term)
    }

    /// At most `max` entries from `from` (at least 1) on.
    pub(crate) fn slice(&self, from: LogIndex, max: usize) -> &[Arc<Entry<C>>] {
        let start = from.prev().since(LogIndex::ZERO).min(self.entries.len());
        let end = start.saturating_add(max).min(self.entries.len());
        &self.entries[start..end]
    }

    /// The last position, at or before `index`, whose term is not above `term`: there at the latest
    /// agrees with this log a log that has `term` at `index` or before (§5.3, "by term").
    pub(crate) fn agree_at_most(&self, index: LogIndex, term: Term) -> Position {
        let upto = self.slice(LogIndex::new(1), index.since(LogIndex::ZERO));
        let count = upto.partition_point(|entry| entry.term <= term);
        match count.checked_sub(1) {
            Some(place) => upto[place].position(),
            None => Position::ZERO,
        }
    }

    /// Appends an entry that is yet to be saved.
    pub(crate) fn push(&mut self, entry: Arc<Entry<C>>) {
        debug_assert_eq!(entry.index, self.last_index().next(), "no gaps");
        debug_assert!(entry.term >= self.last().term, "terms never decrease");
        self.entries.push(entry);
    }

    /// Appends entries that are yet to be saved.
    pub(crate) fn extend(&mut self, entries: &[Arc<Entry<C>>]) {
        self.entries.extend_from_slice(entries);
    }

    /// Drops everything after `index`.
    pub(crate) fn truncate_after(&mut self, index: LogIndex) {
        if index >= self.last_index() {
            return;
        }
        self.entries.truncate(index.since(LogIndex::ZERO));
        self.truncations += 1;
        self.saved = self.saved.min(index);
        self.durable = self.durable.min(index);
        for (_, upto) in &mut self.unsynced {
            *upto = (*upto).min(index);
        }
    }

    /// What has not been handed to the disk yet; none if nothing.
    pub(crate) fn unsaved(&self) -> Option<Entries<C>> {
        if self.saved == self.last_index() {
            return None;
        }
        Some(self.slice(self.saved.next(), usize::MAX).iter().cloned().collect())
    }

    /// Everything up to the end was handed to the disk, as the record that makes `count`.
    pub(crate) fn saved(&mut self, count: PersistCount) {
        self.saved = self.last_index();
        self.unsynced.push_back((count, self.saved));
    }

    /// The first `count` records are durable.
    pub(crate) fn synced(&mut self, count: PersistCount) {
        while let Some(&(needed, upto)) = self.unsynced.front() {
            if needed > count {
                break;
            }
            self.durable = self.durable.max(upto);
            self.unsynced.pop_front();
        }
    }

    /// All that is here came from the disk.
    pub(crate) fn recovered(&mut self) {
        self.saved = self.last_index();
        self.durable = self.saved;
    }
}
