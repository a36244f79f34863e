//! The journal is a store: on a real disk, and on one that misbehaves.

use std::collections::HashMap;

use cluster::store::conformance::{self, Checked, Subject};
use cluster::store::{Journal, OpenError, Opened, Store as _, StoreError};
use tempfile::TempDir;
use wal::{Files, Options, Restart, SimDirectory, Trouble};

/// Journals in directories of memory that lose sectors, names, and syncs.
struct Simulated {
    seed: u64,
    directories: HashMap<u32, SimDirectory>,
    failures: u64,
}

/// So small that everything happens often.
fn small() -> Options {
    Journal::<Vec<u8>>::options().segment_bytes(4096).prepare_bytes(1024)
}

impl Subject for Simulated {
    type Record = Vec<u8>;
    type Store = Journal<Vec<u8>, SimDirectory>;

    fn open(&mut self, place: u32) -> Opened<Self::Store, Vec<u8>> {
        let seed = self.seed << 32 | u64::from(place);
        let directory = self.directories.entry(place).or_insert_with(|| SimDirectory::new(seed));
        Journal::open_in(directory.clone(), small())
    }

    fn record(&self, number: u64, bytes: usize) -> Vec<u8> {
        conformance::bytes(number, bytes)
    }

    fn cut_power(&mut self, place: u32) {
        if let Some(directory) = self.directories.get(&place) {
            directory.restart(Restart::Power);
        }
    }

    fn fail_next_sync(&mut self, place: u32) -> bool {
        let directory = &self.directories[&place];
        // The write, or the sync after it.
        self.failures += 1;
        directory.trouble_at(directory.operations() + 1 + self.failures % 2, Trouble::Error);
        true
    }
}

#[test]
fn it_conforms_on_a_disk_that_forgets() {
    for seed in 0..6 {
        let directories = HashMap::new();
        let mut subject = Simulated { seed, directories, failures: seed };
        let checked = conformance::check(&mut subject).expect("it keeps its promises");
        assert_eq!(checked.failures, 4);
    }
}

/// Journals on the real disk.
struct Real(TempDir);

impl Subject for Real {
    type Record = Vec<u8>;
    type Store = Journal<Vec<u8>>;

    fn open(&mut self, place: u32) -> Opened<Self::Store, Vec<u8>> {
        Journal::open(self.0.path().join(place.to_string()))
    }

    fn record(&self, number: u64, bytes: usize) -> Vec<u8> {
        conformance::bytes(number, bytes)
    }
}

#[test]
fn it_conforms_on_a_real_disk() {
    let subject = &mut Real(TempDir::new().expect("a directory"));
    let Checked { openings, .. } = conformance::check(subject).expect("it keeps its promises");
    assert!(openings > 100);
}

/// A journal of `values`, closed.
fn written(directory: &SimDirectory, values: &[&str]) {
    let (mut journal, _) = Journal::<String, _>::open_in(directory.clone(), small()).expect("new");
    for &value in values {
        journal.append(value.to_owned()).expect("taken");
        journal.sync().expect("a sound disk");
    }
}

#[track_caller]
fn refused<T: serde::Serialize + serde::de::DeserializeOwned>(
    directory: &SimDirectory,
) -> (String, String) {
    match Journal::<T, _>::open_in(directory.clone(), small()) {
        Err(OpenError::Corrupt { place, problem }) => (place, problem),
        Err(other) => panic!("{other}"),
        Ok((_, records)) => panic!("{} records", records.len()),
    }
}

#[test]
fn corruption_in_the_middle_is_refused_by_file_and_byte() {
    let directory = SimDirectory::new(1);
    written(&directory, &["one", "two", "three"]);
    let name = "segment-00000000000000000001";
    let mut bytes = directory.contents(name).expect("the first segment");
    let at = bytes.windows(3).position(|it| it == b"two").expect("it is there");
    bytes[at] ^= 4;
    directory.put(name, &bytes);
    let (place, problem) = refused::<String>(&directory);
    assert!(place.starts_with(&format!("{name} at byte ")), "{place}");
    let byte: usize = place.rsplit(' ').next().and_then(|it| it.parse().ok()).expect("a number");
    assert!((at - 200..at).contains(&byte), "{place}, the damage is at {at}");
    assert!(problem.contains("expected"), "{problem}");
}

/// What a later release wrote, or another program: not guessed at.
#[test]
fn records_that_do_not_read_are_refused_by_number() {
    let directory = SimDirectory::new(2);
    written(&directory, &["one", "two"]);
    let (place, problem) = refused::<u8>(&directory);
    assert_eq!((&*place, &*problem), ("record r1", "3 bytes after its end, expected none"));
    let directory = SimDirectory::new(3);
    let mut files = directory.clone();
    assert!(Files::list(&mut files).expect("it lists").is_empty());
    let (mut log, _) = wal::Wal::open_in(files, small(), |_| {}).expect("new");
    log.append(&[9, 1]).expect("taken");
    log.sync().expect("a sound disk");
    drop(log);
    let (place, problem) = refused::<u8>(&directory);
    assert_eq!((&*place, &*problem), ("record r1", "it has version 9, expected 1"));
}

#[test]
fn it_is_open_once_at_a_time() {
    let directory = TempDir::new().expect("a directory");
    let open = || Journal::<u8>::open(directory.path().join("log"));
    let (first, _) = open().expect("new");
    let second = open().err().expect("it is locked");
    assert!(matches!(&second, OpenError::Failed { because } if because.contains("locked")));
    drop(first);
    open().expect("it is free");
}

/// One that does not fit beside what waits is written after a sync that nobody asked for.
#[test]
fn a_full_batch_is_synced() {
    let directory = SimDirectory::new(4);
    let options = small().record_bytes_max(40 << 10).batch_bytes_max(64 << 10);
    let open = || Journal::<Vec<u8>, _>::open_in(directory.clone(), options.clone());
    let (mut journal, _) = open().expect("new");
    for number in 0..5 {
        journal.append(vec![number; 30 << 10]).expect("there is room");
    }
    journal.sync().expect("a sound disk");
    let too_long = journal.append(vec![9; 50 << 10]).expect_err("too long");
    assert!(matches!(&too_long, StoreError::Failed { because } if because.contains("expected")));
    let after = journal.append(vec![9]).expect_err("it failed");
    assert!(matches!(after, StoreError::Poisoned { .. }), "{after:?}");
    drop(journal);
    assert_eq!(open().expect("sound").1.len(), 5);
}

/// Plain data can be written; what cannot be must not be there in part.
#[test]
fn a_record_that_cannot_be_encoded_poisons() {
    #[derive(serde::Deserialize)]
    struct Stubborn;
    impl serde::Serialize for Stubborn {
        fn serialize<T: serde::Serializer>(&self, _: T) -> Result<T::Ok, T::Error> {
            Err(serde::ser::Error::custom("never"))
        }
    }
    let directory = SimDirectory::new(5);
    let open = || Journal::<Stubborn, _>::open_in(directory.clone(), small());
    let (mut journal, _) = open().expect("new");
    assert!(matches!(journal.append(Stubborn), Err(StoreError::Failed { .. })));
    assert!(matches!(journal.sync(), Err(StoreError::Poisoned { .. })));
    drop(journal);
    assert!(open().expect("sound").1.is_empty());
}
