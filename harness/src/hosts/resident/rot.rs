//! Damage to what is on a disk: a batch of records in a journal, found by what the crate `wal` documents
//! of its files.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use cluster::Damage;

/// The length of the header of a segment, and of a frame.
const SEGMENT_HEADER: usize = 96;
const FRAME_HEADER: usize = 64;
/// Where in the header of a segment it says of what its frames' places are multiples.
const ALIGN_AT: usize = 20;
/// Where in the header of a frame they stand: its mark, the length of its body, its place in the
/// segment, its kind.
const MARK: Range<usize> = 8..12;
const LENGTH_AT: usize = 12;
const PLACE_AT: usize = 24;
const KIND_AT: usize = 60;
/// The kind of those that hold records.
const BATCH: u32 = 0;

/// A batch: in which file, and where.
struct Batch {
    file: PathBuf,
    place: Range<usize>,
}

/// Damages one batch of the journal in `dir`: so many millionths of the way from the first to the last. Of
/// the last one nothing proves that it was ever durable, so it is spared unless it is meant. Does nothing
/// if there is none.
pub(super) fn rot(dir: &Path, at_ppm: u32, damage: Damage) -> io::Result<()> {
    let batches = batches(dir)?;
    let Some(last) = batches.len().checked_sub(1) else { return Ok(()) };
    let chosen = (last as u64 * u64::from(at_ppm) / 1_000_000) as usize;
    if chosen == last && at_ppm < 1_000_000 {
        return Ok(());
    }
    let Batch { file, place } = &batches[chosen];
    let mut bytes = read(&batches[chosen])?;
    match damage {
        Damage::Flip => *bytes.last_mut().expect("it has a header") ^= 1,
        Damage::Lost => bytes.fill(0),
        Damage::Misdirected => {
            let other = batches.iter().find(|other| other.place != *place);
            let Some(other) = other else { return Ok(()) };
            bytes = read(other)?;
        }
    }
    write_over(file, place.start, &bytes)
}

fn read(batch: &Batch) -> io::Result<Vec<u8>> {
    let bytes = fs::read(&batch.file)?;
    bytes.get(batch.place.clone()).map(<[u8]>::to_vec).ok_or(io::ErrorKind::UnexpectedEof.into())
}

fn write_over(file: &Path, offset: usize, bytes: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::FileExt as _;
    fs::File::options().write(true).open(file)?.write_all_at(bytes, offset as u64)
}

/// All batches, in the order of writing.
fn batches(dir: &Path) -> io::Result<Vec<Batch>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("segment-") {
            segments.push(entry.path());
        }
    }
    // Their numbers have as many digits each.
    segments.sort();
    let mut batches = Vec::new();
    for file in segments {
        let bytes = fs::read(&file)?;
        let places = batches_in(&bytes).into_iter();
        batches.extend(places.map(|place| Batch { file: file.clone(), place }));
    }
    Ok(batches)
}

/// Where the batches are in a segment of these bytes.
fn batches_in(bytes: &[u8]) -> Vec<Range<usize>> {
    let number = |at: usize| {
        let four = bytes.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_le_bytes(four))
    };
    let align = number(ALIGN_AT).map_or(8, |align| align.max(1) as usize);
    let mut batches = Vec::new();
    let mut at = SEGMENT_HEADER.next_multiple_of(align);
    while bytes.get(at + MARK.start..at + MARK.end) == Some(b"walf")
        // A frame of an earlier life of the file may be at any place.
        && number(at + PLACE_AT) == u32::try_from(at).ok()
        && let (Some(length), Some(kind)) = (number(at + LENGTH_AT), number(at + KIND_AT))
    {
        let end = at + FRAME_HEADER + length as usize;
        if end > bytes.len() {
            break;
        }
        if kind == BATCH {
            batches.push(at..end);
        }
        at = end.next_multiple_of(align);
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;
    use wal::{Options, Wal};

    /// A journal of `count` batches, whose process died.
    fn journal(count: u8) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a directory");
        let options = Options::default().segment_bytes(4_096).prepare_bytes(4_096).spares_max(0);
        let (mut wal, _) = Wal::open(dir.path(), options, |_| {}).expect("it is made");
        for record in 0..count {
            wal.append(&[record; 100]).expect("it is taken");
            wal.sync().expect("it is synced");
        }
        dir
    }

    #[test]
    fn every_batch_is_found() {
        let dir = journal(200);
        assert_eq!(batches(dir.path()).expect("they are read").len(), 200);
    }

    #[test]
    fn what_is_damaged_is_refused_when_it_is_opened() {
        for damage in [Damage::Flip, Damage::Lost, Damage::Misdirected] {
            for at_ppm in [0, 500_000, 999_999] {
                let dir = journal(200);
                rot(dir.path(), at_ppm, damage).expect("it is damaged");
                let opened = Wal::open(dir.path(), Options::default(), |_| {});
                assert!(opened.is_err(), "{damage:?} at {at_ppm}");
            }
        }
    }

    #[test]
    fn the_last_batch_is_spared_unless_it_is_meant() {
        let dir = journal(1);
        rot(dir.path(), 999_999, Damage::Flip).expect("nothing is done");
        let count = || {
            let mut records = 0;
            Wal::open(dir.path(), Options::default(), |_| records += 1).expect("it is opened");
            records
        };
        assert_eq!(count(), 1);
    }
}
