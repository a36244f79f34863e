//! Whether a [`Store`] keeps its promises: a suite for whoever writes one.
//!
//! Implement [`Subject`] for a way to open the store, and call [`check`] in a test. Every check has a
//! store of its own, and compares what an opening returns with what was appended, synced and forgotten
//! by then. The more a subject can do to its store ([`Subject::cut_power`],
//! [`Subject::fail_next_sync`]), the more is looked at; [`Checked`] says what was.
//!
#![cfg_attr(feature = "journal", doc = "```")]
#![cfg_attr(not(feature = "journal"), doc = "```ignore")]
//! use cluster::store::conformance::{self, Subject};
//! use cluster::store::{Journal, Opened};
//!
//! /// Journals in a directory that goes away.
//! struct Journals(tempfile::TempDir);
//!
//! impl Subject for Journals {
//!     type Record = Vec<u8>;
//!     type Store = Journal<Vec<u8>>;
//!
//!     fn open(&mut self, place: u32) -> Opened<Self::Store, Vec<u8>> {
//!         Journal::open(self.0.path().join(place.to_string()))
//!     }
//!
//!     fn record(&self, number: u64, bytes: usize) -> Vec<u8> {
//!         conformance::bytes(number, bytes)
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let checked = conformance::check(&mut Journals(tempfile::TempDir::new()?))?;
//! assert!(checked.openings > 50);
//! # Ok(())
//! # }
//! ```

use std::fmt::Debug;

use crate::{PersistCount, Rng};

use super::{OpenError, Opened, Store, StoreError};

/// A store under test, or rather, as many as the suite wants.
pub trait Subject {
    /// What it keeps.
    type Record: Clone + PartialEq + Debug;
    /// The store.
    type Store: Store<Self::Record>;

    /// Opens the store at `place`: a new one the first time, the same one from then on. At most one
    /// is open at a place.
    fn open(&mut self, place: u32) -> Opened<Self::Store, Self::Record>;

    /// A record of about `bytes` bytes, or of whatever size there is, which equals none of another
    /// number.
    fn record(&self, number: u64, bytes: usize) -> Self::Record;

    /// The power fails: all that the store at `place` did not sync is lost, or any part of it. Called
    /// while the store is not open. By default nothing happens, as when a process dies.
    fn cut_power(&mut self, _place: u32) {}

    /// Has the next sync of the store at `place` fail, if there is something to sync. False, as by
    /// default, if that cannot be arranged: promise 6 is not looked at then.
    fn fail_next_sync(&mut self, _place: u32) -> bool {
        false
    }
}

/// What a [`Store`] promises, by its number there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Promise {
    /// 1: what was synced, or returned by an opening, is there.
    Durability,
    /// 2: records come back in their order, each once.
    Order,
    /// 3: nothing is missing in between.
    NoGap,
    /// 4: no record comes back that was not appended.
    NothingInvented,
    /// 5: what is needed was not forgotten.
    ForgettingKeeps,
    /// 6: after a failure nothing is taken.
    Poison,
    /// None of the six: it is of no use, because what should succeed fails.
    Service,
}

/// A promise that a store did not keep.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{promise:?}, in {check}: {what}")]
pub struct Broken {
    /// Which.
    pub promise: Promise,
    /// The check that showed it.
    pub check: &'static str,
    /// What happened, and what was expected.
    pub what: String,
}

/// What the suite did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Checked {
    /// How many records were appended.
    pub records: u64,
    /// How often a store was opened.
    pub openings: u64,
    /// How many failed syncs it was put to; none if the subject cannot arrange one.
    pub failures: u64,
}

/// `bytes` bytes, at least eight, that no other `number` has: for subjects whose records are bytes.
pub fn bytes(number: u64, bytes: usize) -> Vec<u8> {
    number.to_le_bytes().into_iter().cycle().take(bytes.max(8)).collect()
}

/// One check of the suite, on a store of its own.
type Check<S> = fn(&mut Bench<'_, S>) -> Result<(), Failure>;

/// Runs all checks.
///
/// # Errors
/// [`Broken`]: the first promise found broken.
pub fn check<S: Subject>(subject: &mut S) -> Result<Checked, Broken> {
    let fixed: [(&'static str, Check<S>); 6] = [
        ("an empty store", empty),
        ("batches of many sizes", batches),
        ("a death between syncs", deaths),
        ("forgetting", forgetting),
        ("large records", large),
        ("a failed sync", failure),
    ];
    let random = (0..RANDOM_RUNS).map(|_| ("a random run", random as Check<S>));
    let mut checked = Checked::default();
    for (place, (check, run)) in (0..).zip(fixed.into_iter().chain(random)) {
        let mut bench = Bench {
            subject,
            place,
            store: None,
            appended: Vec::new(),
            durable: 0,
            needed: None,
            base: 0,
            next: u64::from(place) << 32,
            checked: &mut checked,
        };
        let (promise, what) = match run(&mut bench) {
            Ok(()) => continue,
            Err(Failure { promise, what }) => (promise, what),
        };
        return Err(Broken { promise, check, what });
    }
    Ok(checked)
}

const RANDOM_RUNS: u32 = 12;
const RANDOM_STEPS: u32 = 80;

fn empty<S: Subject>(bench: &mut Bench<'_, S>) -> Result<(), Failure> {
    bench.open()?;
    bench.sync()?;
    bench.reopen(Death::Power)?;
    bench.reopen(Death::Process)
}

/// Syncs of none, one and many records, and openings right after.
fn batches<S: Subject>(bench: &mut Bench<'_, S>) -> Result<(), Failure> {
    bench.open()?;
    for count in [1, 0, 2, 7, 100] {
        bench.append(count, 40)?;
        bench.sync()?;
        bench.sync()?;
        bench.reopen(Death::Power)?;
    }
    bench.reopen(Death::Process)
}

/// What was not synced when the process dies is lost from some point on.
fn deaths<S: Subject>(bench: &mut Bench<'_, S>) -> Result<(), Failure> {
    bench.open()?;
    for death in [Death::Process, Death::Power, Death::Power, Death::Process] {
        bench.append(5, 300)?;
        bench.sync()?;
        bench.append(5, 3_000)?;
        bench.reopen(death)?;
    }
    Ok(())
}

/// Counts begin anew with each opening, and what is named stays.
fn forgetting<S: Subject>(bench: &mut Bench<'_, S>) -> Result<(), Failure> {
    bench.open()?;
    for before in [1, 2, 6, 10, 10] {
        bench.append(10, 700)?;
        bench.sync()?;
        bench.forget(before)?;
        bench.append(3, 700)?;
        bench.sync()?;
        bench.reopen(Death::Power)?;
    }
    bench.append(2, 10)?;
    bench.sync()?;
    // An earlier one again: what it would keep may be gone, what the later one keeps is not.
    bench.forget(2)?;
    bench.forget(1)?;
    bench.reopen(Death::Process)
}

fn large<S: Subject>(bench: &mut Bench<'_, S>) -> Result<(), Failure> {
    bench.open()?;
    for bytes in [64 << 10, (1 << 20) - 1, 5 << 20] {
        bench.append(1, 9)?;
        bench.append(2, bytes)?;
        bench.append(1, 9)?;
        bench.sync()?;
        bench.reopen(Death::Power)?;
    }
    Ok(())
}

/// After a sync that failed, nothing goes until the store is opened anew; then everything does.
fn failure<S: Subject>(bench: &mut Bench<'_, S>) -> Result<(), Failure> {
    bench.open()?;
    for round in 0..4 {
        bench.append(4, 100)?;
        bench.sync()?;
        bench.append(4, 100)?;
        if !bench.subject.fail_next_sync(bench.place) {
            return Ok(());
        }
        bench.checked.failures += 1;
        bench.refuses("the sync that fails", |store, _| store.sync())?;
        if round % 2 == 0 {
            bench.refuses("a sync after it", |store, _| store.sync())?;
        }
        bench.refuses("an append after it", |store, record| store.append(record))?;
        bench.refuses("a sync after that", |store, _| store.sync())?;
        bench.reopen(if round < 2 { Death::Power } else { Death::Process })?;
    }
    Ok(())
}

fn random<S: Subject>(bench: &mut Bench<'_, S>) -> Result<(), Failure> {
    let mut rng = Rng::from_seed(u64::from(bench.place));
    bench.open()?;
    for _ in 0..RANDOM_STEPS {
        match rng.below(10) {
            0..4 => {
                let bytes = if rng.below(8) == 0 { 9_000 } else { 60 };
                bench.append(1 + rng.below(6), bytes)?;
            }
            4..7 => bench.sync()?,
            7 => bench.reopen(Death::Power)?,
            8 => bench.reopen(Death::Process)?,
            _ => {
                let durable = (bench.durable - bench.base) as u64;
                if durable > 0 {
                    bench.forget(1 + rng.below(durable))?;
                }
            }
        }
    }
    bench.reopen(Death::Power)
}

/// How a store came to be closed.
#[derive(Clone, Copy, Debug)]
enum Death {
    Process,
    Power,
}

/// Why a check ends.
struct Failure {
    promise: Promise,
    what: String,
}

fn broken<T>(promise: Promise, what: String) -> Result<T, Failure> {
    Err(Failure { promise, what })
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        Self { promise: Promise::Service, what: format!("it does not open: {error}") }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self { promise: Promise::Service, what: error.to_string() }
    }
}

/// A store, and what it must hold.
struct Bench<'a, S: Subject> {
    subject: &'a mut S,
    place: u32,
    store: Option<S::Store>,
    /// All records ever, in order, but for those that were lost.
    appended: Vec<S::Record>,
    /// How many of them are durable.
    durable: usize,
    /// The first one that is needed, as a place among them, if any were to be forgotten.
    needed: Option<usize>,
    /// How many there were at the last opening.
    base: usize,
    /// The next record's number.
    next: u64,
    checked: &'a mut Checked,
}

impl<S: Subject> Bench<'_, S> {
    fn store(&mut self) -> &mut S::Store {
        self.store.as_mut().expect("every check opens its store first")
    }

    fn make(&mut self, bytes: usize) -> S::Record {
        self.next += 1;
        self.subject.record(self.next, bytes)
    }

    fn append(&mut self, count: u64, bytes: usize) -> Result<(), Failure> {
        for _ in 0..count {
            let record = self.make(bytes);
            self.appended.push(record.clone());
            self.checked.records += 1;
            self.store().append(record)?;
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), Failure> {
        self.store().sync()?;
        self.durable = self.appended.len();
        Ok(())
    }

    fn forget(&mut self, before: u64) -> Result<(), Failure> {
        self.store().forget(PersistCount(before))?;
        self.needed = self.needed.max(Some(self.base + before as usize - 1));
        Ok(())
    }

    /// `act` must fail.
    fn refuses(
        &mut self,
        what: &str,
        act: impl FnOnce(&mut S::Store, S::Record) -> Result<(), StoreError>,
    ) -> Result<(), Failure> {
        // It is never taken, but if it is, it must not look invented.
        let record = self.make(50);
        self.appended.push(record.clone());
        match act(self.store(), record) {
            Err(_) => {
                self.appended.pop();
                Ok(())
            }
            Ok(()) => broken(Promise::Poison, format!("{what} succeeds, expected an error")),
        }
    }

    fn reopen(&mut self, death: Death) -> Result<(), Failure> {
        self.store = None;
        if let Death::Power = death {
            self.subject.cut_power(self.place);
        }
        self.open()
    }

    fn open(&mut self) -> Result<(), Failure> {
        self.checked.openings += 1;
        let (store, records) = self.subject.open(self.place)?;
        self.store = Some(store);
        let end = self.compare(&records)?;
        self.appended.truncate(end);
        self.durable = end;
        self.base = end;
        Ok(())
    }

    /// Holds what an opening returned against what it must be: returns how many of all records there
    /// are at the end of it.
    fn compare(&self, records: &[S::Record]) -> Result<usize, Failure> {
        let mut places = Vec::with_capacity(records.len());
        for (nth, record) in records.iter().enumerate() {
            let Some(place) = self.appended.iter().position(|it| it == record) else {
                let what = format!("record {nth} of {} was never appended", records.len());
                return broken(Promise::NothingInvented, what);
            };
            places.push(place);
        }
        let after = |bad: fn(&[usize]) -> bool| places.windows(2).position(bad).map(|it| it + 1);
        if let Some(nth) = after(|pair| pair[1] <= pair[0]) {
            let what = format!("record {nth} was appended before the one it comes after, or is it");
            return broken(Promise::Order, what);
        }
        if let Some(nth) = after(|pair| pair[1] > pair[0] + 1) {
            let what = format!("before record {nth} some are missing that were appended");
            return broken(Promise::NoGap, what);
        }
        let end = places.last().map_or(0, |last| last + 1);
        if end < self.durable {
            let lost = self.durable - end;
            let what = format!("the last {lost} records that were durable are gone");
            return broken(Promise::Durability, what);
        }
        let first = end - records.len();
        if first > self.needed.unwrap_or(0) {
            let (promise, why) = match self.needed {
                None => (Promise::Durability, "none was to be forgotten"),
                Some(_) => (Promise::ForgettingKeeps, "some of them are needed"),
            };
            return broken(promise, format!("the first {first} are gone, but {why}"));
        }
        Ok(end)
    }
}
