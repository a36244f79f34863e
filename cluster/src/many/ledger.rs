//! Which record on the shared disk is whose, and which are still needed.

use std::collections::{BTreeSet, VecDeque};

use super::mutants::{Mutant, Planted};
use super::{GroupId, Record, Tagged, place_of};
use crate::PersistCount;

/// Where a record lies on the disk: its number among all that the disk held at the boot and all that
/// were written since, counted from one.
type Position = u64;

/// The books of a disk that many groups write to.
///
/// Groups count their own records since the boot; the world counts all of them. What a group calls its
/// `k`-th record is found from the end of what it needs, because it needs all that it wrote last.
pub(super) struct Ledger<R> {
    /// By the place of the group.
    accounts: Vec<Account<R>>,
    /// How many records the disk held at the boot.
    before_boot: u64,
    /// The last record.
    written: Position,
    /// The last record that is durable.
    durable: Position,
    /// Whose the records after that are, in their order; copies are nobody's.
    unsynced: VecDeque<Option<usize>>,
    /// Invariant: the `pin` of each group that has one, and nothing else.
    pins: BTreeSet<(Position, usize)>,
    /// Which groups were copied, each with its last copy, while that is not durable.
    copying: VecDeque<(Position, usize)>,
    /// Invariant: how many records all groups need together.
    needed: u64,
    copied: u64,
    /// All before this may go, and the disk has been told.
    released: Position,
    planted: Planted,
}

/// One group's.
struct Account<R> {
    group: GroupId,
    /// What a boot of the group needs: where it lies, and what it is. Ascending. Invariant: all that
    /// the group wrote and has not let go.
    needed: VecDeque<(Position, R)>,
    /// How many records it has written since the boot.
    persisted: u64,
    /// How many of these are durable.
    durable: u64,
    /// Where the originals of its records begin, while not all copies are durable.
    originals: Option<Position>,
}

impl<R> Account<R> {
    /// The oldest record that must stay for it.
    fn pin(&self) -> Option<Position> {
        self.originals.or_else(|| self.needed.front().map(|&(position, _)| position))
    }
}

// Recovery.
impl<R: Clone> Ledger<R> {
    /// Opens the books of `groups`, ascending, from what the disk held.
    ///
    /// # Errors
    /// Which record is wrong, and how.
    pub(super) fn recover(
        groups: impl Iterator<Item = GroupId>,
        records: Vec<Record<R>>,
        planted: Planted,
    ) -> Result<Self, (usize, String)> {
        let before_boot = records.len() as u64;
        let mut drafts: Vec<Draft<R>> = groups.map(Draft::new).collect();
        for (place, record) in records.into_iter().enumerate() {
            let group = match &record {
                Record::Own(record) | Record::Copy { record, .. } => record.group,
            };
            let draft = place_of(&drafts, group, |draft| draft.group).ok_or_else(|| {
                (place, format!("a record of {group}, expected of one configured"))
            })?;
            let taken = drafts[draft].take(place as u64 + 1, record);
            taken.map_err(|problem| (place, format!("{group}: {problem}")))?;
        }
        let mut ledger = Self {
            accounts: Vec::with_capacity(drafts.len()),
            before_boot,
            written: before_boot,
            durable: before_boot,
            unsynced: VecDeque::new(),
            pins: BTreeSet::new(),
            copying: VecDeque::new(),
            needed: 0,
            copied: 0,
            // To let go of what is before the first record ever is no news.
            released: before_boot.max(1),
            planted,
        };
        for draft in drafts {
            let (place, account) = (ledger.accounts.len(), draft.finish()?);
            ledger.needed += account.needed.len() as u64;
            ledger.pins.extend(account.pin().map(|position| (position, place)));
            ledger.accounts.push(account);
        }
        Ok(ledger)
    }

    /// What the group at `place` needs, oldest first.
    pub(super) fn needed_by(&self, place: usize) -> impl Iterator<Item = &R> {
        self.accounts[place].needed.iter().map(|(_, record)| record)
    }

    /// Where on the disk, counted from zero, the group's record lies that is at `index` of those.
    pub(super) fn position(&self, place: usize, index: usize) -> usize {
        let found = self.accounts[place].needed.get(index);
        found.map_or(index, |&(position, _)| position as usize - 1)
    }
}

/// An account while the disk is read.
struct Draft<R> {
    group: GroupId,
    needed: VecDeque<(Position, R)>,
    /// Copies, which count for nothing until the last of them is there.
    copies: VecDeque<(Position, R)>,
    /// The part that must come next, if it is not the first.
    next: (u32, u32),
}

impl<R> Draft<R> {
    fn new(group: GroupId) -> Self {
        Self { group, needed: VecDeque::new(), copies: VecDeque::new(), next: (1, 1) }
    }

    fn take(&mut self, position: Position, record: Record<R>) -> Result<(), String> {
        match record {
            Record::Own(Tagged { body, .. }) => {
                // A crash came before the last copy.
                self.copies.clear();
                self.needed.push_back((position, body));
            }
            Record::Copy { record, part, of } => {
                if part == 1 {
                    self.copies.clear();
                }
                // The disk may begin in their midst; then all before has been let go.
                let begins = part == 1 || (self.copies.is_empty() && self.needed.is_empty());
                if part == 0 || part > of || !(begins || self.next == (part, of)) {
                    return Err(format!("copy {part} of {of}, expected {:?}", self.next));
                }
                self.copies.push_back((position, record.body));
                self.next = (part + 1, of);
                if part == of {
                    self.needed = std::mem::take(&mut self.copies);
                }
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<Account<R>, (usize, String)> {
        let Self { group, needed, copies, .. } = self;
        if let (true, Some(&(position, _))) = (needed.is_empty(), copies.front()) {
            let problem = format!("{group}: some copies, expected all of them or the originals");
            return Err((position as usize - 1, problem));
        }
        Ok(Account { group, needed, persisted: 0, durable: 0, originals: None })
    }
}

// While it runs.
impl<R: Clone> Ledger<R> {
    /// The group at `place` has written `record`, behind all others.
    pub(super) fn wrote(&mut self, place: usize, record: R) {
        self.written += 1;
        self.needed += 1;
        self.unsynced.push_back(Some(place));
        let position = self.written;
        self.change(place, |account| {
            account.persisted += 1;
            account.needed.push_back((position, record));
        });
    }

    /// The first `upto` records that were written since the boot are durable. Returns whose they are
    /// of which that was not known, ascending.
    pub(super) fn synced(&mut self, upto: PersistCount) -> Vec<usize> {
        let durable = (self.before_boot + upto.0).clamp(self.durable, self.written);
        let fresh = (durable - self.durable) as usize;
        self.durable = durable;
        let mut owners = Vec::new();
        for place in self.unsynced.drain(..fresh).flatten() {
            self.accounts[place].durable += 1;
            if owners.last() != Some(&place) {
                owners.push(place);
            }
        }
        owners.sort_unstable();
        owners.dedup();
        while let Some(&(last, place)) = self.copying.front()
            && last <= durable
        {
            self.copying.pop_front();
            self.change(place, |account| account.originals = None);
        }
        owners
    }

    /// How many of the records that the group at `place` has written since the boot are durable.
    pub(super) fn durable(&self, place: usize) -> PersistCount {
        PersistCount(self.accounts[place].durable)
    }

    /// Whether all that the group at `place` has written is durable.
    pub(super) fn is_settled(&self, place: usize) -> bool {
        let account = &self.accounts[place];
        account.durable == account.persisted
    }

    /// The group at `place` needs nothing older than its record number `before` since the boot. What
    /// is not durable stays in any case.
    pub(super) fn forget(&mut self, place: usize, before: PersistCount) {
        if before.0 == 0 {
            return;
        }
        let dropped = self.change(place, |account| {
            let unsynced = account.persisted - account.durable;
            let kept = (account.persisted + 1).saturating_sub(before.0).max(unsynced);
            let dropped = account.needed.len().saturating_sub(kept as usize);
            account.needed.drain(..dropped);
            dropped
        });
        self.needed -= dropped as u64;
    }

    /// Writes again, by `write`, what those groups need that hold too much on the disk: see the
    /// [module](super) for how much that is.
    pub(super) fn copy_stragglers(&mut self, spare: u64, mut write: impl FnMut(Record<R>)) {
        let most = (2 * self.needed).saturating_add(spare);
        let first = (self.written + 1).saturating_sub(most);
        let far = self.pins.range(..(first, 0)).map(|&(_, place)| place);
        let idle = |&place: &usize| self.accounts[place].originals.is_none();
        for place in far.filter(idle).collect::<Vec<_>>() {
            self.copy(place, &mut write);
        }
    }

    fn copy(&mut self, place: usize, write: &mut impl FnMut(Record<R>)) {
        let keeps = !self.planted.is(Mutant::LetsGoBeforeCopied);
        let mut written = self.written;
        let of = self.change(place, |account| {
            account.originals = account.pin().filter(|_| keeps);
            let of = account.needed.len() as u32;
            for (part, (position, record)) in (1..).zip(&mut account.needed) {
                written += 1;
                *position = written;
                let record = Tagged { group: account.group, body: record.clone() };
                write(Record::Copy { record, part, of });
            }
            of
        });
        self.copied += u64::from(of);
        self.unsynced.extend((0..of).map(|_| None));
        self.written = written;
        self.copying.push_back((written, place));
    }

    /// The record that the disk may let all older ones go of, if that is news.
    pub(super) fn release(&mut self) -> Option<PersistCount> {
        let for_all = self.planted.is(Mutant::ForgetsForAll);
        let oldest = if for_all { self.pins.last() } else { self.pins.first() };
        let &(oldest, _) = oldest?;
        let is_safe = oldest <= self.durable || self.planted.is(Mutant::LetsGoBeforeCopied);
        let is_news = oldest > self.released && is_safe;
        is_news.then(|| {
            self.released = oldest;
            PersistCount(oldest - self.before_boot)
        })
    }

    /// How many records all groups need together.
    pub(super) fn needed(&self) -> u64 {
        self.needed
    }

    /// How many copies were written since the boot.
    pub(super) fn copied(&self) -> u64 {
        self.copied
    }

    /// Changes the account at `place`, and where it is pinned.
    fn change<T>(&mut self, place: usize, change: impl FnOnce(&mut Account<R>) -> T) -> T {
        let account = &mut self.accounts[place];
        let before = account.pin();
        let result = change(account);
        let after = account.pin();
        if before != after {
            if let Some(position) = before {
                self.pins.remove(&(position, place));
            }
            self.pins.extend(after.map(|position| (position, place)));
        }
        result
    }
}
