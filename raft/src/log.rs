//! The log, how much of it has reached the disk, and the configurations in it.

use std::collections::VecDeque;
use std::sync::Arc;

use cluster::PersistCount;

use crate::configuration::Configuration;
use crate::history::{History, Seated};
use crate::message::{Entries, Entry};
use crate::{LogIndex, Position, Term};

/// The entries of one node, from a base on: what is before it is in a snapshot (§7).
///
/// Guarantees:
/// 1. the first entry follows the base, each other one the one before it: there are no gaps;
/// 2. terms never decrease from one entry to the next;
/// 3. `base <= durable <= saved <= last`;
/// 4. the latest configuration is that of the last entry here that holds one; if none does, that of
///    the base.
#[derive(Debug, Clone)]
pub(crate) struct Log<C> {
    /// Where the last entry stood that is not here any more; zero while all are. It is committed.
    base: Position,
    /// Entry `i` is at `i - 1 - base`.
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
    history: History,
}

impl<C> Log<C> {
    /// An empty one.
    pub(crate) fn new(history: History) -> Self {
        Self {
            base: Position::ZERO,
            entries: Vec::new(),
            saved: LogIndex::ZERO,
            durable: LogIndex::ZERO,
            unsynced: VecDeque::new(),
            truncations: 0,
            history,
        }
    }

    /// The configuration in effect, and those before it.
    pub(crate) fn history(&self) -> &History {
        &self.history
    }

    /// The configuration in effect.
    pub(crate) fn seated(&self) -> &Seated {
        self.history.latest()
    }

    /// Where the last entry stood that is not here any more.
    pub(crate) fn base(&self) -> Position {
        self.base
    }

    pub(crate) fn last_index(&self) -> LogIndex {
        self.base.index.plus(self.entries.len())
    }

    pub(crate) fn last(&self) -> Position {
        self.entries.last().map_or(self.base, |entry| entry.position())
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

    /// All that is here.
    pub(crate) fn entries(&self) -> &[Arc<Entry<C>>] {
        &self.entries
    }

    pub(crate) fn truncations(&self) -> u64 {
        self.truncations
    }

    pub(crate) fn get(&self, index: LogIndex) -> Option<&Arc<Entry<C>>> {
        let place = index.get().checked_sub(self.base.index.get())?.checked_sub(1)?;
        self.entries.get(usize::try_from(place).ok()?)
    }

    /// The term of the entry at `index`, the base's among them; none after the last entry, and none
    /// before the base, of which nothing is known but that it is committed.
    pub(crate) fn term_at(&self, index: LogIndex) -> Option<Term> {
        if index == self.base.index {
            return Some(self.base.term);
        }
        self.get(index).map(|entry| entry.term)
    }

    /// At most `max` entries from `from` on, or from the first that is here if that is later.
    pub(crate) fn slice(&self, from: LogIndex, max: usize) -> &[Arc<Entry<C>>] {
        let start = from.prev().since(self.base.index).min(self.entries.len());
        let end = start.saturating_add(max).min(self.entries.len());
        &self.entries[start..end]
    }

    /// The last position, at or before `index`, whose term is not above `term`: there at the latest
    /// agrees with this log a log that has `term` at `index` or before (§5.3, "by term"). The base
    /// if no entry here is such; `index` itself, of a term that nobody knows, if it is before that.
    pub(crate) fn agree_at_most(&self, index: LogIndex, term: Term) -> Position {
        if index < self.base.index {
            return Position { term: Term::ZERO, index };
        }
        let upto = self.slice(self.base.index.next(), index.since(self.base.index));
        let count = upto.partition_point(|entry| entry.term <= term);
        match count.checked_sub(1) {
            Some(place) => upto[place].position(),
            None => self.base,
        }
    }

    /// Appends an entry that is yet to be saved.
    pub(crate) fn push(&mut self, entry: Arc<Entry<C>>) {
        debug_assert_eq!(entry.index, self.last_index().next(), "no gaps");
        debug_assert!(entry.term >= self.last().term, "terms never decrease");
        self.history.appended(&entry);
        self.entries.push(entry);
    }

    /// Appends entries that are yet to be saved.
    pub(crate) fn extend(&mut self, entries: &[Arc<Entry<C>>]) {
        entries.iter().for_each(|entry| self.history.appended(entry));
        self.entries.extend_from_slice(entries);
    }

    /// Drops everything after `index`, which is not before the base.
    pub(crate) fn truncate_after(&mut self, index: LogIndex) {
        debug_assert!(index >= self.base.index, "what is before the base is committed");
        if index >= self.last_index() {
            return;
        }
        self.entries.truncate(index.since(self.base.index));
        self.history.truncated(index);
        self.truncations += 1;
        self.saved = self.saved.min(index);
        self.durable = self.durable.min(index);
        for (_, upto) in &mut self.unsynced {
            *upto = (*upto).min(index);
        }
    }

    /// Drops the entries up to `index`, which is saved, and makes it the base (§7).
    pub(crate) fn compact(&mut self, index: LogIndex) {
        let Some(term) = self.term_at(index) else { return };
        debug_assert!(index <= self.saved, "the disk has what is dropped");
        self.entries.drain(..index.since(self.base.index));
        self.base = Position { term, index };
        self.history.compacted(index);
        self.durable = self.durable.max(index);
    }

    /// Begins anew after `base`, which a snapshot covers. What follows it here is kept if the entry
    /// there is the same; else it conflicts with what is committed, and all of it goes (§7, figure
    /// 13: 6 and 7). The snapshot says which configuration was in effect at the base, and from which
    /// index. `keeps_conflict` is for a planted bug.
    pub(crate) fn restart(
        &mut self,
        base: Position,
        (since, configuration): (LogIndex, Arc<Configuration>),
        keeps_conflict: bool,
    ) {
        let held = self.term_at(base.index);
        if held == Some(base.term) || (held.is_some() && keeps_conflict) {
            self.saved = self.saved.max(base.index);
            return self.compact(base.index);
        }
        self.truncations += u64::from(!self.entries.is_empty());
        self.entries.clear();
        self.history.restarted(since, configuration);
        self.base = base;
        self.saved = base.index;
        self.durable = base.index;
        for (_, upto) in &mut self.unsynced {
            *upto = base.index;
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
