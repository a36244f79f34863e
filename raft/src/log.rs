//! The log, how much of it has reached the disk, and the configurations in it.

use std::collections::VecDeque;
use std::sync::Arc;

use cluster::PersistCount;

use crate::configuration::Configuration;
use crate::entries::{Entries, Parts, Run, parts, runs_of};
use crate::history::{History, Seated};
use crate::message::Entry;
use crate::{LogIndex, Position, Term};

/// The entries of one node, from a base on: what is before it is in a snapshot (§7).
///
/// Guarantees:
/// 1. the first entry follows the base, each other one the one before it: there are no gaps;
/// 2. terms never decrease from one entry to the next;
/// 3. `base <= durable <= saved <= last`;
/// 4. what is saved is in runs;
/// 5. the latest configuration is that of the last entry here that holds one; if none does, that of
///    the base;
/// 6. `last` is the position of the last entry; of the base, if none is here.
#[derive(Debug, Clone)]
pub(crate) struct Log<C> {
    /// Where the last entry stood that is not here any more; zero while all are. It is committed.
    base: Position,
    /// Where the log ends, asked for at every turn.
    last: Position,
    /// What follows the base, without a gap, but for what is open.
    runs: Vec<Run<C>>,
    /// The last entries: what was proposed since runs were last made.
    open: Vec<Entry<C>>,
    /// What is no part of the log any more, and is let go little by little: to free it at once
    /// would stop the node for as long as a million clients' commands take to free.
    dropped: VecDeque<Run<C>>,
    /// Where the log ended when some of that was let go last.
    freed_at: LogIndex,
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

/// How many entries come before some are let go.
const FREED_EVERY: usize = 128;

/// See [`Log::slices`].
pub(crate) struct Slices<'a, C> {
    in_runs: Parts<'a, C>,
    open: &'a [Entry<C>],
}

impl<'a, C> Iterator for Slices<'a, C> {
    type Item = &'a [Entry<C>];

    fn next(&mut self) -> Option<Self::Item> {
        if let Some((run, places)) = self.in_runs.next() {
            return Some(&run[places]);
        }
        let open = std::mem::take(&mut self.open);
        (!open.is_empty()).then_some(open)
    }
}

impl<C> Clone for Slices<'_, C> {
    fn clone(&self) -> Self {
        Self { in_runs: self.in_runs.clone(), open: self.open }
    }
}

impl<C> Log<C> {
    /// An empty one.
    pub(crate) fn new(history: History) -> Self {
        Self {
            base: Position::ZERO,
            last: Position::ZERO,
            runs: Vec::new(),
            open: Vec::new(),
            dropped: VecDeque::new(),
            freed_at: LogIndex::ZERO,
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

    /// The first configuration is known by its disks now.
    pub(crate) fn found(&mut self, first: Configuration) {
        self.history.found(first);
    }

    /// Where the last entry stood that is not here any more.
    pub(crate) fn base(&self) -> Position {
        self.base
    }

    pub(crate) fn last_index(&self) -> LogIndex {
        self.last.index
    }

    fn last_in_runs(&self) -> LogIndex {
        LogIndex::new(self.last.index.get() - self.open.len() as u64)
    }

    pub(crate) fn last(&self) -> Position {
        self.last
    }

    /// How many entries are here.
    pub(crate) fn len(&self) -> usize {
        self.last_index().since(self.base.index)
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

    pub(crate) fn truncations(&self) -> u64 {
        self.truncations
    }

    pub(crate) fn get(&self, index: LogIndex) -> Option<&Entry<C>> {
        let in_runs = self.last_in_runs();
        if index > in_runs {
            return self.open.get(index.prev().since(in_runs));
        }
        if index <= self.base.index {
            return None;
        }
        let run = &self.runs[self.run_at(index)];
        run.get(index.since(run.first_index()))
    }

    /// Which run holds the entry at `index`, if one does.
    fn run_at(&self, index: LogIndex) -> usize {
        let count = self.runs.len();
        // It is one of the last few, nearly always.
        if self.runs.last().is_none_or(|run| run.first_index() <= index) {
            return count.saturating_sub(1);
        }
        let mut near = 2;
        while near < count && self.runs[count - near].first_index() > index {
            near *= 2;
        }
        let start = count.saturating_sub(near);
        let found = self.runs[start..].partition_point(|run| run.first_index() <= index);
        start + found.saturating_sub(1)
    }

    /// The term of the entry at `index`, the base's among them; none after the last entry, and none
    /// before the base, of which nothing is known but that it is committed.
    pub(crate) fn term_at(&self, index: LogIndex) -> Option<Term> {
        for known in [self.last, self.base] {
            if index == known.index {
                return Some(known.term);
            }
        }
        self.get(index).map(|entry| entry.term)
    }

    /// At most `max` entries from `from` on, or from the first that is here if that is later.
    pub(crate) fn slice(
        &self,
        from: LogIndex,
        max: usize,
    ) -> impl Iterator<Item = &Entry<C>> + Clone {
        self.slices(from, max).flatten()
    }

    /// The same, as many at a time as lie together.
    pub(crate) fn slices(&self, from: LogIndex, max: usize) -> Slices<'_, C> {
        let from = from.max(self.base.index.next());
        let first_open = self.last_in_runs().next();
        let left = max.saturating_sub(first_open.since(from));
        let start = from.since(first_open).min(self.open.len());
        let end = start.saturating_add(left).min(self.open.len());
        Slices { in_runs: self.parts(from, max), open: &self.open[start..end] }
    }

    /// As [`slice`](Self::slice), shared; without what is open.
    pub(crate) fn share(&self, from: LogIndex, max: usize) -> Entries<C> {
        Entries::of(self.parts(from, max))
    }

    fn parts(&self, from: LogIndex, max: usize) -> Parts<'_, C> {
        let runs = &self.runs[self.run_at(from)..];
        let skip = runs.first().map_or(0, |run| from.since(run.first_index()));
        parts(runs, skip, max)
    }

    /// How many of `entries` are here: by log matching, a first part (§5.3).
    pub(crate) fn held_of(&self, entries: &Entries<C>) -> usize {
        entries.iter().take_while(|entry| self.term_at(entry.index) == Some(entry.term)).count()
    }

    /// The last position, at or before `index`, whose term is not above `term`: there at the latest
    /// agrees with this log a log that has `term` at `index` or before (§5.3, "by term"). The base
    /// if no entry here is such; `index` itself, of a term that nobody knows, if it is before that.
    pub(crate) fn agree_at_most(&self, index: LogIndex, term: Term) -> Position {
        if index < self.base.index {
            return Position { term: Term::ZERO, index };
        }
        let (mut least, mut most) = (self.base.index, index.min(self.last_index()));
        while least < most {
            let middle = least.plus(most.since(least).div_ceil(2));
            if self.term_at(middle).is_some_and(|at| at <= term) {
                least = middle;
            } else {
                most = middle.prev();
            }
        }
        self.get(least).map_or(self.base, Entry::position)
    }

    /// Appends an entry that is yet to be saved.
    pub(crate) fn push(&mut self, entry: Entry<C>) {
        debug_assert_eq!(entry.index, self.last_index().next(), "no gaps");
        debug_assert!(entry.term >= self.last().term, "terms never decrease");
        self.history.appended(&entry);
        self.last = entry.position();
        self.open.push(entry);
    }

    /// Appends entries that are yet to be saved.
    pub(crate) fn extend(&mut self, entries: Entries<C>) {
        entries.iter().for_each(|entry| self.history.appended(entry));
        self.close();
        self.last = entries.last().map_or(self.last, Entry::position);
        entries.append_to(&mut self.runs);
    }

    /// Makes runs of what is open.
    fn close(&mut self) {
        if !self.open.is_empty() {
            self.runs.extend(runs_of(&mut self.open));
        }
    }

    /// Drops everything after `index`, which is not before the base.
    pub(crate) fn truncate_after(&mut self, index: LogIndex) {
        debug_assert!(index >= self.base.index, "what is before the base is committed");
        if index >= self.last_index() {
            return;
        }
        self.close();
        self.runs.truncate(self.runs.partition_point(|run| run.first_index() <= index));
        if let Some(run) = self.runs.last_mut() {
            let kept = index.next().since(run.first_index()).min(run.len());
            *run = run.part(0..kept);
        }
        self.last = self.runs.last().and_then(|run| run.last()).map_or(self.base, Entry::position);
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
        let whole = self.runs.partition_point(|run| run.end_index() <= index.next());
        if whole > 0 {
            // Whatever is left of the last time goes at once: there is never more than one lot.
            self.dropped.clear();
            self.dropped.extend(self.runs.drain(..whole));
        }
        if let Some(run) = self.runs.first_mut() {
            *run = run.part(index.next().since(run.first_index())..run.len());
        }
        self.base = Position { term, index };
        self.history.compacted(index);
        self.durable = self.durable.max(index);
    }

    /// Lets go of some of what was dropped, now and then: of somewhat more entries than came since the last
    /// time, so that nothing is left when the log is compacted again. Many at a time, since it is memory
    /// that nobody has looked at for long and comes slowly one by one; and few enough that nobody waits
    /// for long.
    pub(crate) fn free_some(&mut self) {
        let came = self.last.index.since(self.freed_at);
        if came >= FREED_EVERY || self.last.index < self.freed_at {
            self.freed_at = self.last.index;
            self.free(came + came / 4);
        }
    }

    /// Lets go of about `count` entries that were dropped.
    fn free(&mut self, mut count: usize) {
        while count > 0
            && let Some(run) = self.dropped.pop_front()
        {
            count = count.saturating_sub(run.len());
        }
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
        self.truncations += u64::from(self.last_index() > self.base.index);
        self.runs.clear();
        self.open.clear();
        self.history.restarted(since, configuration);
        (self.base, self.last) = (base, base);
        self.saved = base.index;
        self.durable = base.index;
        for (_, upto) in &mut self.unsynced {
            *upto = base.index;
        }
    }

    /// What has not been handed to the disk yet; none if nothing.
    pub(crate) fn unsaved(&mut self) -> Option<Entries<C>> {
        self.close();
        let saved = self.saved;
        match self.runs.last() {
            // What came since the last flush is one run, unless it was much.
            Some(run) if run.first_index() == saved.next() => Some(run.clone().into()),
            _ => (saved < self.last_in_runs()).then(|| self.share(saved.next(), usize::MAX)),
        }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use cluster::Members;

    use super::*;
    use crate::message::Payload;
    use crate::mutants::Planted;

    fn voters() -> Configuration {
        Configuration::of(Members::first(3).expect("three are some").iter())
    }

    fn empty<C>() -> Log<C> {
        let members = Members::first(3).expect("three are some");
        Log::new(History::new(members, voters(), Planted::default()))
    }

    /// What is done to a log. Numbers are taken modulo what makes sense.
    #[derive(Clone, Debug)]
    enum Step {
        /// So many entries are proposed, one after the other, in a term so much later.
        Push(usize, u64),
        /// So many come at once, in a term so much later.
        Extend(usize, u64),
        Save,
        Truncate(usize),
        Compact(usize),
        Restart(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        let many = prop_oneof![4 => 0..6_usize, 1 => 100..300_usize];
        prop_oneof![
            (many.clone(), 0..2_u64).prop_map(|(count, later)| Step::Push(count, later)),
            (many, 0..2_u64).prop_map(|(count, later)| Step::Extend(count, later)),
            Just(Step::Save),
            any::<usize>().prop_map(Step::Truncate),
            any::<usize>().prop_map(Step::Compact),
            any::<usize>().prop_map(Step::Restart),
        ]
    }

    /// A log, and the plain list that it must be equal to.
    struct Pair {
        log: Log<u64>,
        /// Every entry since the first, those before the base too.
        plain: Vec<Entry<u64>>,
        value: u64,
        records: u64,
    }

    impl Pair {
        fn more(&mut self, count: usize, later: u64) -> Vec<Entry<u64>> {
            let term = Term::new(self.log.last().term.get().max(1) + later);
            let fresh = (0..count).map(|place| {
                self.value += 1;
                let index = self.log.last_index().plus(place).next();
                Entry { term, index, payload: Payload::Command(self.value) }
            });
            let fresh: Vec<_> = fresh.collect();
            self.plain.extend(fresh.iter().cloned());
            fresh
        }

        fn save(&mut self) {
            let unsaved = self.log.unsaved();
            let saved = self.log.saved_index().since(LogIndex::ZERO);
            assert!(unsaved.iter().flatten().eq(&self.plain[saved..]));
            assert_eq!(unsaved.is_some(), saved < self.plain.len());
            self.records += 1;
            self.log.saved(PersistCount(self.records));
        }

        fn take(&mut self, step: Step) {
            let base = self.log.base().index.since(LogIndex::ZERO);
            match step {
                Step::Push(count, later) => {
                    self.more(count, later).into_iter().for_each(|entry| self.log.push(entry));
                }
                Step::Extend(count, later) => {
                    let entries = self.more(count, later).into();
                    self.log.extend(entries);
                    self.save();
                }
                Step::Save => self.save(),
                Step::Truncate(place) => {
                    let keep = base + place % (self.plain.len() - base + 1);
                    self.plain.truncate(keep);
                    self.log.truncate_after(LogIndex::ZERO.plus(keep));
                }
                Step::Compact(place) => {
                    let saved = self.log.saved_index().since(LogIndex::ZERO);
                    let upto = base + place % (saved - base + 1);
                    self.log.compact(LogIndex::ZERO.plus(upto));
                    self.log.free(place % 256);
                }
                Step::Restart(ahead) => {
                    let last = self.log.last();
                    let index = last.index.plus(1 + ahead % 3);
                    let base = Position { term: last.term.next(), index };
                    let since = (LogIndex::ZERO, Arc::new(voters()));
                    self.log.restart(base, since, false);
                    let base = Entry { term: last.term.next(), index, payload: Payload::Noop };
                    // What a snapshot covers and nobody here has seen.
                    self.plain.resize(index.since(LogIndex::ZERO), base);
                }
            }
        }

        fn compare(&self) {
            let Self { log, plain, .. } = self;
            let base = log.base().index.since(LogIndex::ZERO);
            assert_eq!(log.last_index().since(LogIndex::ZERO), plain.len());
            assert_eq!(log.last(), plain.last().map_or(Position::ZERO, Entry::position));
            assert_eq!(log.len(), plain.len() - base);
            assert!(log.runs.iter().all(|run| !run.is_empty()));
            for from in (0..plain.len() + 2).step_by(7).chain([base, plain.len()]) {
                let first = LogIndex::ZERO.plus(from).next();
                let held = |from: usize| plain.get(from).filter(|_| from >= base);
                assert_eq!(log.get(first), held(from), "{first}");
                for max in [0, 1, 5, 130, usize::MAX] {
                    let start = from.clamp(base, plain.len());
                    let expected = &plain[start..plain.len().min(start.saturating_add(max))];
                    assert!(log.slice(first, max).eq(expected), "{max} from {first} on");
                    let in_runs = expected.len() - log.open.len().min(expected.len());
                    let shared = log.share(first, max);
                    assert!(shared.iter().eq(&expected[..shared.len()]));
                    assert!(shared.len() >= in_runs, "{max} from {first} on");
                }
            }
        }
    }

    proptest! {
        /// The log is the plain list that it stands for, however it is cut up, and whatever was
        /// dropped, truncated, compacted or replaced before.
        #[test]
        fn a_log_is_the_list_of_its_entries(steps in prop::collection::vec(step(), 1..40)) {
            let log = empty();
            let mut pair = Pair { log, plain: Vec::new(), value: 0, records: 0 };
            for step in steps {
                pair.take(step);
                pair.compare();
            }
        }
    }

    /// One entry that is kept keeps no more than its run.
    #[test]
    fn what_is_compacted_is_let_go() {
        let mut log = empty();
        let entry = |index| Entry {
            term: Term::new(1),
            index: LogIndex::new(index),
            payload: Payload::Command(std::sync::Arc::new(index)),
        };
        let commands: Vec<_> = (1..=1_000).map(entry).collect();
        let held = commands.iter().filter_map(|entry| entry.payload.command().cloned());
        let held: Vec<_> = held.map(|command| std::sync::Arc::downgrade(&command)).collect();
        commands.into_iter().for_each(|entry| log.push(entry));
        log.unsaved();
        log.saved(PersistCount(1));
        log.compact(LogIndex::new(999));
        let alive = || held.iter().filter(|command| command.strong_count() > 0).count();
        assert_eq!(alive(), 1_000, "not all at once");
        log.free(256);
        assert_eq!(alive(), 1_000 - 256);
        log.free(usize::MAX);
        assert_eq!(alive(), 1_000 % 128);
    }

    /// Not all at once, none for a few entries, and nothing is left when as many have come as went.
    #[test]
    fn what_is_compacted_goes_as_more_comes() {
        let mut log = empty();
        let more = |log: &mut Log<u64>, count: usize| {
            for _ in 0..count {
                let (term, index) = (Term::new(1), log.last_index().next());
                log.push(Entry { term, index, payload: Payload::Command(0) });
            }
            log.unsaved();
            log.saved(PersistCount(1));
        };
        more(&mut log, 10_240);
        log.free_some();
        log.compact(log.last_index());
        let whole = log.dropped.len();
        assert_eq!(whole, 10_240 / 128);
        more(&mut log, FREED_EVERY - 1);
        log.free_some();
        assert_eq!(log.dropped.len(), whole, "too few have come");
        for _ in 0..10_240 / FREED_EVERY {
            let before = log.dropped.len();
            more(&mut log, FREED_EVERY);
            log.free_some();
            assert!(before - log.dropped.len() <= 3, "too many go at once");
        }
        assert_eq!(log.dropped.len(), 0);
    }
}
