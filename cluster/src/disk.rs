//! A disk that forgets what was not synced, and what its store makes of damage.
//!
//! Both worlds keep one a node. It models a log of records that carry a checksum and their own
//! number: the records themselves are kept as they were written, and beside them which of them are
//! damaged, so that what a checksum would tell is known without computing one.

use std::collections::BTreeMap;

use crate::sim::{Mutant, Planted};
use crate::{CorruptRecords, Damage, DiskFault, NodeId, Rng};

/// The records that one node wrote.
///
/// Records are numbered from zero, and keep their number when older ones are dropped: every count
/// and place below includes those.
///
/// Invariant: while the process lives, `synced <= told <= written()` and `synced <= syncing <=
/// written()`, and `dropped <= synced`. No damage is beyond the records, or before them.
pub(crate) struct Disk<R> {
    /// What is there: the records from number `dropped` on.
    records: Vec<R>,
    /// How many of the oldest records the process has let go.
    dropped: usize,
    /// How many will survive anything.
    synced: usize,
    /// How many the process believes to be so: the same, unless the disk lies.
    told: usize,
    /// How many the sync under way, if any, will have made durable.
    syncing: usize,
    /// How many there were at the last boot: a node counts from there.
    at_boot: usize,
    /// Which records would not verify.
    damaged: BTreeMap<usize, Blemish>,
    pub(crate) fault: DiskFault,
    planted: Planted,
}

/// Why a record does not verify.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Blemish {
    /// It was being written when the process died.
    Torn,
    Rotten(Damage),
}

impl<R: Clone> Disk<R> {
    pub(crate) fn new(planted: Planted) -> Self {
        Self {
            records: Vec::new(),
            dropped: 0,
            synced: 0,
            told: 0,
            syncing: 0,
            at_boot: 0,
            damaged: BTreeMap::new(),
            fault: DiskFault::default(),
            planted,
        }
    }

    pub(crate) fn write(&mut self, record: R) {
        self.records.push(record);
    }

    /// How many records are written, durable or not.
    pub(crate) fn written(&self) -> usize {
        self.dropped + self.records.len()
    }

    /// Drops what is older than the record that was number `before` since the boot, counted from
    /// one; never what is not durable, whatever the process believes.
    pub(crate) fn forget(&mut self, before: u64) {
        let Some(older) = usize::try_from(before).ok().and_then(|before| before.checked_sub(1))
        else {
            return;
        };
        let upto = (self.at_boot + older).min(self.synced);
        if upto > self.dropped {
            self.records.drain(..upto - self.dropped);
            self.dropped = upto;
            self.damaged = self.damaged.split_off(&upto);
        }
    }

    /// Whether there are records that the process must not call durable.
    pub(crate) fn is_dirty(&self) -> bool {
        self.told < self.written()
    }

    /// How many records the process may call durable.
    pub(crate) fn told(&self) -> usize {
        self.told
    }

    /// What survives anything, as it was written.
    pub(crate) fn durable(&self) -> &[R] {
        &self.records[..self.synced - self.dropped]
    }

    /// Of `count` records on the disk, how many the node wrote since it booted.
    pub(crate) fn since_boot(&self, count: usize) -> u64 {
        count.saturating_sub(self.at_boot) as u64
    }

    /// Starts to sync all that is written, unless there is nothing to do or a sync is under way.
    pub(crate) fn start_sync(&mut self) -> Option<usize> {
        let idle = self.syncing == self.synced;
        (idle && self.synced < self.written()).then(|| {
            self.syncing = self.written();
            self.syncing
        })
    }

    /// Whether the process is told that all it wrote is durable, though no sync has ended.
    pub(crate) fn lies(&self) -> bool {
        self.planted.is(Mutant::SyncsTooSoon) && self.is_dirty()
    }

    /// The process takes the first `upto` records for durable.
    pub(crate) fn tell(&mut self, upto: usize) {
        self.told = self.told.max(upto);
    }

    /// The sync of the first `upto` records is done.
    pub(crate) fn synced(&mut self, upto: usize) {
        assert!(upto <= self.written(), "a sync outlived the records that it was for");
        self.synced = self.synced.max(upto);
        self.told = self.told.max(upto);
        self.syncing = self.syncing.max(self.synced);
    }

    /// The process dies. Of what was not synced, some first part may have reached the disk all the
    /// same; nothing of it if the power went too. Writes reach the disk in order, so that at most the
    /// first record that did not survive is there in part.
    pub(crate) fn crash(&mut self, power_loss: bool, rng: &mut Rng) {
        let unsynced = self.written() - self.synced;
        if unsynced > 1 && self.planted.is(Mutant::KeepsLaterWrites) {
            self.records.remove(self.synced - self.dropped);
            return self.settle();
        }
        let lucky = if power_loss { 0 } else { rng.index(unsynced + 1) };
        let torn = self.fault.torn && lucky < unsynced && rng.chance(TORN_PPM);
        let mut kept = self.synced + lucky;
        if self.planted.is(Mutant::LosesLastDurable) {
            kept = self.synced.saturating_sub(1).max(self.dropped);
            self.damaged.retain(|&place, _| place < kept);
        }
        self.records.truncate(kept - self.dropped + usize::from(torn));
        self.settle();
        if torn {
            self.damaged.insert(kept, Blemish::Torn);
            self.synced = kept;
        }
    }

    /// Whether the last record is there in part.
    pub(crate) fn is_torn(&self) -> bool {
        self.damaged.last_key_value().is_some_and(|(_, blemish)| *blemish == Blemish::Torn)
    }

    /// Damages the record that is `at_ppm` millionths of the way along what is durable.
    pub(crate) fn rot(&mut self, at_ppm: u32, damage: Damage) {
        let Some(last) = (self.synced - self.dropped).checked_sub(1) else { return };
        let place = last as u128 * u128::from(at_ppm) / 1_000_000;
        let place = self.dropped + last.min(place as usize);
        self.damaged.insert(place, Blemish::Rotten(damage));
    }

    /// Everything on it is gone.
    pub(crate) fn wipe(&mut self) {
        self.records.clear();
        self.dropped = 0;
        self.damaged.clear();
        self.settle();
    }

    /// The process of `node` starts: damage at the end is cut off, and what is left is handed over.
    ///
    /// # Errors
    /// When a record is damaged that cannot be a torn write. Nothing is changed then.
    pub(crate) fn boot(&mut self, node: NodeId) -> Result<Vec<R>, CorruptRecords> {
        if self.planted.is(Mutant::SkipsDamage) {
            self.skip_damage();
        }
        let sound = self.sound().map_err(|(position, problem)| CorruptRecords {
            node,
            position: position - self.dropped,
            problem: problem.to_owned(),
        })?;
        let kept = self.records[..sound - self.dropped].to_vec();
        if !self.planted.is(Mutant::KeepsTornTails) {
            self.records.truncate(sound - self.dropped);
            self.damaged.clear();
        }
        self.settle();
        self.at_boot = self.written();
        Ok(kept)
    }

    fn skip_damage(&mut self) {
        for (place, _) in std::mem::take(&mut self.damaged).into_iter().rev() {
            self.records.remove(place - self.dropped);
        }
    }

    /// How many records were written before the damage at the end, if any; or which record is
    /// corrupt, and how.
    fn sound(&self) -> Result<usize, (usize, &'static str)> {
        let mut end = self.written();
        while self.damaged.get(&end.wrapping_sub(1)).is_some_and(|it| it.looks_torn()) {
            end -= 1;
        }
        match self.damaged.range(..end).next() {
            Some((&place, blemish)) => Err((place, blemish.problem())),
            None => Ok(end),
        }
    }

    /// All that is there is durable, and no sync is under way.
    fn settle(&mut self) {
        self.synced = self.written();
        self.told = self.synced;
        self.syncing = self.synced;
    }
}

/// How often a torn write leaves anything, in a million.
const TORN_PPM: u32 = 500_000;

impl Blemish {
    /// Whether it could be what is left of a torn write, if nothing sound comes after it.
    fn looks_torn(&self) -> bool {
        match self {
            Self::Torn | Self::Rotten(Damage::Flip | Damage::Lost) => true,
            Self::Rotten(Damage::Misdirected) => false,
        }
    }

    fn problem(&self) -> &'static str {
        match self {
            Self::Torn => "it is there in part, though sound records follow, expected all of it",
            Self::Rotten(Damage::Flip) => {
                "its checksum does not match, though sound records follow, expected a match"
            }
            Self::Rotten(Damage::Misdirected) => {
                "it carries another record's number, expected its own"
            }
            Self::Rotten(Damage::Lost) => {
                "it is missing, though sound records follow, expected none to be missing"
            }
        }
    }
}
