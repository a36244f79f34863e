//! The suite for stores passes a store that keeps its promises, and catches each of these that does
//! not.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use cluster::PersistCount;
use cluster::store::conformance::{self, Broken, Checked, Promise, Subject};
use cluster::store::{OpenError, Opened, Store, StoreError};

/// What is wrong with a store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Bug {
    None,
    /// A sync is done only with the next one.
    AcksBeforeSync,
    LosesAll,
    LosesLastOfABatch,
    LosesLargeRecords,
    /// What was not synced when the process died is there but for the first record.
    TearsHoles,
    Duplicates,
    ReversesBatches,
    Garbles,
    /// What was never written reads as a record.
    Invents,
    ForgetsOneTooMany,
    ForgetsAll,
    /// Counts what there was at the opening twice.
    CountsTwice,
    ForgetsUnasked,
    RetriesAfterFailure,
    AppendsAfterFailure,
    RefusesLargeRecords,
    OpensOnce,
}

type Record = Vec<u8>;

/// What is on a disk of memory.
#[derive(Default)]
struct Platter {
    records: Vec<Record>,
    /// How many older ones were dropped.
    dropped: usize,
    /// What a store called durable and has not written yet.
    late: Vec<Record>,
    fails: bool,
    /// How many records there were at each opening.
    openings: Vec<usize>,
}

/// A store on it.
struct Shelf {
    bug: Bug,
    platter: Arc<Mutex<Platter>>,
    waiting: Vec<Record>,
    poisoned: bool,
}

fn failed() -> StoreError {
    StoreError::Failed { because: "it was to fail".to_owned() }
}

impl Shelf {
    fn platter(&self) -> MutexGuard<'_, Platter> {
        self.platter.lock().expect("nobody panics while it is locked")
    }

    fn sound(&self) -> Result<(), StoreError> {
        if self.poisoned { Err(failed()) } else { Ok(()) }
    }
}

impl Store<Record> for Shelf {
    fn append(&mut self, mut record: Record) -> Result<(), StoreError> {
        if self.bug != Bug::AppendsAfterFailure {
            self.sound()?;
        }
        match self.bug {
            Bug::RefusesLargeRecords if record.len() > 1 << 20 => return Err(failed()),
            Bug::LosesLargeRecords if record.len() > 1 << 20 => return Ok(()),
            Bug::Garbles if record.len() > 1_000 => record[999] ^= 1,
            _ => {}
        }
        self.waiting.push(record);
        Ok(())
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        self.sound()?;
        let mut batch = std::mem::take(&mut self.waiting);
        let mut platter = self.platter();
        if platter.fails && !batch.is_empty() {
            platter.fails = false;
            drop(platter);
            self.poisoned = self.bug != Bug::RetriesAfterFailure;
            return Err(failed());
        }
        match self.bug {
            Bug::AcksBeforeSync => batch = std::mem::replace(&mut platter.late, batch),
            Bug::LosesAll => batch.clear(),
            Bug::LosesLastOfABatch if batch.len() > 1 => drop(batch.pop()),
            Bug::Duplicates if batch.len() > 1 => batch.push(batch[0].clone()),
            Bug::ReversesBatches => batch.reverse(),
            Bug::ForgetsUnasked if platter.records.len() > 100 => {
                platter.records.remove(0);
                platter.dropped += 1;
            }
            _ => {}
        }
        platter.records.extend(batch);
        Ok(())
    }

    fn forget(&mut self, before: PersistCount) -> Result<(), StoreError> {
        self.sound()?;
        let mut platter = self.platter();
        let older = usize::try_from(before.0).expect("a count").saturating_sub(1);
        let mut openings = platter.openings.iter().rev();
        let upto = match self.bug {
            Bug::ForgetsOneTooMany => openings.next().map(|base| base + older + 1),
            Bug::ForgetsAll => Some(usize::MAX),
            Bug::CountsTwice => openings.next().map(|base| 2 * base + older),
            _ => openings.next().map(|base| base + older),
        };
        let gone = upto.unwrap_or(0).saturating_sub(platter.dropped).min(platter.records.len());
        platter.records.drain(..gone);
        platter.dropped += gone;
        Ok(())
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        if self.bug == Bug::TearsHoles && self.waiting.len() > 1 {
            let rest = self.waiting.drain(1..).collect::<Vec<_>>();
            self.platter().records.extend(rest);
        }
    }
}

/// Shelves of one make.
struct Shelves {
    bug: Bug,
    platters: HashMap<u32, Arc<Mutex<Platter>>>,
    /// Whether they can be made to fail.
    fail: bool,
}

impl Subject for Shelves {
    type Record = Record;
    type Store = Shelf;

    fn open(&mut self, place: u32) -> Opened<Shelf, Record> {
        let shared = Arc::clone(self.platters.entry(place).or_default());
        let mut platter = shared.lock().expect("nobody panics while it is locked");
        if self.bug == Bug::OpensOnce && !platter.openings.is_empty() {
            return Err(OpenError::Failed { because: "it was open before".to_owned() });
        }
        platter.late.clear();
        if self.bug == Bug::Invents && platter.records.len() == 10 {
            platter.records.push(vec![0; 8]);
        }
        let count = platter.dropped + platter.records.len();
        platter.openings.push(count);
        let records = platter.records.clone();
        let platter = Arc::clone(&shared);
        Ok((Shelf { bug: self.bug, platter, waiting: Vec::new(), poisoned: false }, records))
    }

    fn record(&self, number: u64, bytes: usize) -> Record {
        conformance::bytes(number, bytes)
    }

    fn fail_next_sync(&mut self, place: u32) -> bool {
        if let Some(platter) = self.platters.get(&place) {
            platter.lock().expect("nobody panics while it is locked").fails = self.fail;
        }
        self.fail
    }
}

fn run(bug: Bug, fail: bool) -> Result<Checked, Broken> {
    conformance::check(&mut Shelves { bug, platters: HashMap::new(), fail })
}

#[test]
fn a_store_that_keeps_its_promises_passes() {
    let checked = run(Bug::None, true).expect("it is sound");
    assert!(checked.records > 1_000 && checked.openings > 100, "{checked:?}");
    assert_eq!(checked.failures, 4);
    // What cannot be arranged is not looked at, and that is told.
    let checked = run(Bug::RetriesAfterFailure, false).expect("nobody looks");
    assert_eq!(checked.failures, 0);
}

#[track_caller]
fn check(bug: Bug, promise: Promise) {
    let broken = run(bug, true).expect_err("it is broken");
    assert_eq!(broken.promise, promise, "{bug:?}: {broken}");
}

#[test]
fn each_bug_is_caught_by_the_promise_that_it_breaks() {
    check(Bug::AcksBeforeSync, Promise::Durability);
    check(Bug::LosesAll, Promise::Durability);
    check(Bug::LosesLastOfABatch, Promise::Durability);
    check(Bug::LosesLargeRecords, Promise::NoGap);
    check(Bug::TearsHoles, Promise::NoGap);
    check(Bug::Duplicates, Promise::Order);
    check(Bug::ReversesBatches, Promise::Order);
    check(Bug::Garbles, Promise::NothingInvented);
    check(Bug::Invents, Promise::NothingInvented);
    check(Bug::ForgetsOneTooMany, Promise::ForgettingKeeps);
    check(Bug::ForgetsAll, Promise::ForgettingKeeps);
    check(Bug::CountsTwice, Promise::ForgettingKeeps);
    check(Bug::ForgetsUnasked, Promise::Durability);
    check(Bug::RetriesAfterFailure, Promise::Poison);
    check(Bug::AppendsAfterFailure, Promise::Poison);
    check(Bug::RefusesLargeRecords, Promise::Service);
    check(Bug::OpensOnce, Promise::Service);
}
