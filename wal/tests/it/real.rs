//! On a real directory.

use std::fs;
use std::io::IoSlice;
use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use wal::{AppendError, OpenError, Options, Recovered, Replay, Sequence, Wal};

use crate::small;

const FIRST: &str = "segment-00000000000000000001";

fn read(path: &Path) -> Result<(Wal, Recovered, Vec<Vec<u8>>), OpenError> {
    let mut records = Vec::new();
    let (wal, recovered) =
        Wal::open(path, small().segment_bytes(1 << 20).spares_max(0), |replay| match replay {
            Replay::Record { bytes, .. } => records.push(bytes.to_vec()),
            Replay::Head(_) => {}
        })?;
    Ok((wal, recovered, records))
}

#[test]
fn a_log_cut_at_every_byte_is_a_prefix_of_its_batches_and_goes_on() {
    let origin = TempDir::new().expect("a directory");
    let (mut wal, ..) = read(origin.path()).expect("it opens");
    // Where each batch ends, and how many records there are then.
    let (mut ends, mut records) = (vec![(160usize, 0)], Vec::new());
    for size in [1usize, 40, 0, 200, 8] {
        let mut body = 0;
        for extra in 0..2 {
            let record = vec![size as u8 + extra; size + usize::from(extra)];
            wal.append(&record).expect("it is taken");
            body += 4 + record.len();
            records.push(record);
        }
        wal.sync().expect("it is durable");
        let (end, count) = *ends.last().expect("there is one");
        ends.push((end.next_multiple_of(8) + 64 + body, count + 2));
    }
    drop(wal);
    let bytes = fs::read(origin.path().join(FIRST)).expect("it is there");
    let end = ends.last().expect("there is one").0;
    for cut in 160..=end {
        let copy = TempDir::new().expect("a directory");
        fs::write(copy.path().join(FIRST), &bytes[..cut]).expect("it is written");
        let (mut wal, recovered, found) = read(copy.path()).expect("a torn tail is no error");
        let (whole, count) = *ends.iter().rfind(|it| it.0 <= cut).expect("the first");
        assert_eq!(found, records[..count], "cut at {cut}");
        assert_eq!(recovered.next, Sequence::new(count as u64 + 1));
        let padding = whole.next_multiple_of(8);
        let unfinished = bytes[padding.min(cut)..cut].iter().any(|&it| it != 0);
        assert_eq!(recovered.torn.is_some(), unfinished, "cut at {cut}");
        wal.append(b"after").expect("it is taken");
        wal.sync().expect("it is durable");
        drop(wal);
        let (_, recovered, found) = read(copy.path()).expect("it opens again");
        assert_eq!(found.len(), count + 1, "cut at {cut}");
        assert_eq!(found.last().map(Vec::as_slice), Some(&b"after"[..]));
        assert_eq!(recovered.torn, None);
    }
    for cut in 0..160 {
        let copy = TempDir::new().expect("a directory");
        fs::write(copy.path().join(FIRST), &bytes[..cut]).expect("it is written");
        // A segment gets its name when this much is durable: no torn write looks so.
        assert!(matches!(read(copy.path()), Err(OpenError::Corrupt(_))), "cut at {cut}");
    }
}

#[test]
fn two_owners_of_one_directory() {
    let directory = TempDir::new().expect("a directory");
    let (wal, ..) = read(directory.path()).expect("it opens");
    assert!(matches!(read(directory.path()), Err(OpenError::Locked { .. })));
    drop(wal);
    assert!(read(directory.path()).is_ok());
}

#[test]
fn missing_directories_are_made_and_inner_ones_left_alone() {
    let directory = TempDir::new().expect("a directory");
    let path = directory.path().join("a/b/c");
    assert!(matches!(
        Wal::open(&path, Options::default().create(false), |_| {}),
        Err(OpenError::Missing)
    ));
    assert!(!path.exists());
    drop(read(&path).expect("it opens"));
    fs::create_dir(path.join("snapshots")).expect("it is made");
    assert!(read(&path).is_ok());
}

#[test]
fn every_way_to_append_writes_the_same() {
    let directory = TempDir::new().expect("a directory");
    let (mut wal, ..) = read(directory.path()).expect("it opens");
    wal.append(b"one two").expect("it is taken");
    let parts = [IoSlice::new(b"one"), IoSlice::new(b" "), IoSlice::new(b"two")];
    wal.append_parts(&parts).expect("it is taken");
    wal.append_with(|bytes| bytes.extend_from_slice(b"one two")).expect("it is taken");
    wal.append(b"").expect("it is taken");
    assert_eq!(wal.sync().expect("it is durable"), Sequence::new(4));
    drop(wal);
    let (_, _, found) = read(directory.path()).expect("it opens");
    assert_eq!(found, [&b"one two"[..], b"one two", b"one two", b""]);
}

#[test]
fn what_is_too_long_or_too_much_is_not_taken() {
    let directory = TempDir::new().expect("a directory");
    let options = small().record_bytes_max(40_000).batch_bytes_max(64 << 10);
    let (mut wal, _) = Wal::open(directory.path(), options.clone(), |_| {}).expect("it opens");
    let long = vec![1; 40_001];
    assert!(matches!(wal.append(&long), Err(AppendError::TooLong { len: 40_001, max: 40_000 })));
    wal.append(&long[1..]).expect("it is taken");
    let full = Err(AppendError::BatchFull { max: 64 << 10 });
    assert_eq!(wal.append(&long[1..]), full);
    assert_eq!(wal.append_with(|bytes| bytes.extend_from_slice(&long[1..])), full);
    assert_eq!(wal.set_head(&long[1..]), full.map(|_: Sequence| ()));
    assert_eq!(wal.sync().expect("it is durable"), Sequence::new(1));
    wal.append(&long[1..]).expect("there is room again");
    wal.sync().expect("it is durable, though it is longer than a segment");
    drop(wal);
    let mut lens = Vec::new();
    let visit = |replay: Replay<'_>| match replay {
        Replay::Record { bytes, .. } => lens.push(bytes.len()),
        Replay::Head(_) => {}
    };
    Wal::open(directory.path(), options, visit).expect("it opens");
    assert_eq!(lens, [40_000, 40_000]);
}

fn spares(path: &Path) -> usize {
    let names = fs::read_dir(path).expect("it is there").map(|it| it.expect("it is read"));
    names.filter(|it| it.file_name().to_string_lossy().starts_with("spare-")).count()
}

/// What is ready is used before a segment grows; what is not ready stops nobody.
#[test]
fn the_next_segment_is_made_while_this_one_is_filled() {
    let directory = TempDir::new().expect("a directory");
    let options = Options::default().segment_bytes(3 << 20).prepare_bytes(64 << 10);
    let open = || Wal::open(directory.path(), options.clone(), |_| {}).expect("it opens").0;
    let len = |name: &str| fs::metadata(directory.path().join(name)).map_or(0, |it| it.len());
    let write = |wal: &mut Wal| {
        wal.append(&[7; 20 << 10]).expect("it is taken");
        wal.sync().expect("it is durable");
    };
    let mut wal = open();
    write(&mut wal);
    assert_eq!(spares(directory.path()), 0, "half of it is left");
    write(&mut wal);
    let made = "spare-18446744073709551614";
    let deadline = Instant::now() + Duration::from_secs(60);
    while len(made) < 3 << 20 {
        assert!(Instant::now() < deadline, "no file is made");
        std::thread::yield_now();
    }
    // The thread that made it may be about to say so; meanwhile the first segment grows.
    while wal.segments() == 1 {
        assert!(Instant::now() < deadline, "the file that was made is not used");
        write(&mut wal);
    }
    assert_eq!((len(made), len("segment-00000000000000000002")), (0, 3 << 20));
    let last = wal.last();
    drop(wal);
    assert_eq!(open().last(), last);
}

#[test]
fn what_is_being_made_when_a_log_is_dropped_is_dropped_too() {
    let directory = TempDir::new().expect("a directory");
    let options = Options::default().segment_bytes(1 << 30).prepare_bytes(4096);
    let (mut wal, _) = Wal::open(directory.path(), options, |_| {}).expect("it opens");
    wal.append(&[7; 3000]).expect("it is taken");
    wal.sync().expect("it is durable");
    drop(wal);
    assert_eq!(spares(directory.path()), 0, "a gigabyte takes longer");
}
