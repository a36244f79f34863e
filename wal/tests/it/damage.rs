//! Damaged bytes: cut, refused, or given up when asked.

use std::slice;

use anyhow::{Context as _, Result, bail, ensure};
use wal::{OnCorruption, OpenError, Options, Restart, Sequence, SimDirectory, Trouble};

use crate::world::{Step, World, read};
use crate::{check, small};

const FIRST: &str = "segment-00000000000000000001";
/// Where the first batch begins: after the segment's header and the frame with the head.
const BATCHES: usize = 96 + 64;

fn one_segment(options: &Options) -> Options {
    options.clone().segment_bytes(1 << 20).spares_max(0)
}

/// How long a frame with one record of `len` bytes is, up to the next.
fn frame(len: usize) -> usize {
    (64 + 4 + len).next_multiple_of(8)
}

/// A log of so many batches of one record of 100 bytes, whose process died.
fn batches(options: &Options, count: usize) -> Result<World> {
    let mut world = World::new(5, options.clone())?;
    for _ in 0..count {
        world.step(Step::Append(100))?;
        world.step(Step::Sync)?;
    }
    world.crash(Restart::Power);
    Ok(world)
}

#[test]
fn damage_before_what_is_proven_is_refused_test() {
    check(damage_before_what_is_proven_is_refused);
}

pub(crate) fn damage_before_what_is_proven_is_refused(options: Options) -> Result<()> {
    let damages: [fn(&mut [u8]); 3] =
        [|frame| frame[70] ^= 4, |frame| frame.fill(0), |frame| frame.fill(0xAA)];
    for at in 0..3 {
        for damage in damages {
            let world = batches(&one_segment(&options), 4)?;
            let mut bytes = world.directory.contents(FIRST).context("it is there")?;
            let start = BATCHES + at * frame(100);
            damage(&mut bytes[start..start + frame(100)]);
            world.directory.put(FIRST, &bytes);
            let Err(OpenError::Corrupt(corrupt)) = read(&world.directory, &world.options) else {
                bail!("batch {at} is damaged, and the log is not refused");
            };
            let place = (corrupt.file.as_str(), corrupt.offset);
            ensure!(place == (FIRST, start as u64), "{corrupt}");
            ensure!(corrupt.problem.contains(", expected "), "{corrupt}");
            ensure!(world.directory.contents(FIRST) == Some(bytes), "nothing was changed");
        }
    }
    Ok(())
}

#[test]
fn a_sound_frame_in_another_place_is_refused_at_the_end_too() {
    let world = batches(&one_segment(&small()), 4).expect("a log");
    let mut bytes = world.directory.contents(FIRST).expect("it is there");
    let last = BATCHES + 3 * frame(100);
    bytes.copy_within(BATCHES..BATCHES + frame(100), last);
    world.directory.put(FIRST, &bytes);
    let Err(refused) = read(&world.directory, &world.options) else { panic!("it is refused") };
    let told = refused.to_string();
    assert!(told.contains("the frame there is of segment 1 at byte 160"), "{told}");
}

#[test]
fn a_torn_tail_is_cut_for_good_test() {
    check(a_torn_tail_is_cut_for_good);
}

/// Every way in which the sectors of a last batch may be there or not.
pub(crate) fn a_torn_tail_is_cut_for_good(options: Options) -> Result<()> {
    let options = one_segment(&options);
    for missing in 1..16u32 {
        let mut world = World::new(u64::from(missing), options.clone())?;
        for step in [Step::Append(100), Step::Sync, Step::Append(900), Step::Append(800)] {
            world.step(step)?;
        }
        world.step(Step::Sync)?;
        world.crash(Restart::Process);
        let mut bytes = world.directory.contents(FIRST).context("it is there")?;
        let (start, end) = (BATCHES + frame(100), BATCHES + frame(100) + 64 + 1708);
        for sector in (0..4).filter(|sector| missing >> sector & 1 == 1) {
            let from =
                (start.next_multiple_of(512) + (sector * 512)).saturating_sub(512).max(start);
            bytes[from..(from / 512 * 512 + 512).min(end)].fill(0);
        }
        world.directory.put(FIRST, &bytes);
        let recovered = world.open_losing(1)?;
        ensure!(recovered.next == Sequence::new(2), "only the first record is there");
        let torn = recovered.torn.map(|torn| (torn.file, torn.offset));
        let whole = missing == 15;
        ensure!(whole || torn == Some((FIRST.to_owned(), start as u64)), "{torn:?} was cut");
        for step in [Step::Reopen, Step::Append(50), Step::Sync, Step::Append(60), Step::Sync] {
            world.step(step)?;
        }
        world.step(Step::Reopen)?;
        world.step(Step::Crash(Restart::Power))?;
    }
    Ok(())
}

#[test]
fn a_recycled_file_shows_nothing_old_test() {
    check(a_recycled_file_shows_nothing_old);
}

/// Frames of one length, so that where the new ones end an old one begins.
pub(crate) fn a_recycled_file_shows_nothing_old(options: Options) -> Result<()> {
    let mut world = World::new(4, options)?;
    for _ in 0..120 {
        for step in [Step::Append(100), Step::Sync, Step::Compact(10), Step::Reopen] {
            world.step(step)?;
        }
    }
    let recycled = world.directory.names().into_iter().filter(|it| it.starts_with("segment"));
    let flags = recycled.filter_map(|it| world.directory.contents(&it)).map(|it| it[72]);
    ensure!(flags.into_iter().any(|flag| flag == 1), "a file was used again");
    for _ in 0..3 {
        world.step(Step::Crash(Restart::Power))?;
    }
    Ok(())
}

#[test]
fn every_flipped_bit_test() {
    check(every_flipped_bit);
}

/// Of two small segments: refused by file and offset, or the last batch, of which nothing proves
/// that it was durable, is cut.
pub(crate) fn every_flipped_bit(options: Options) -> Result<()> {
    let mut world = World::new(6, options.clone())?;
    for step in [Step::Append(20), Step::Head(9), Step::Sync, Step::Append(30), Step::Sync] {
        world.step(step)?;
    }
    for step in [Step::RollOver, Step::Append(25), Step::Append(8), Step::Sync, Step::Append(40)] {
        world.step(step)?;
    }
    world.step(Step::Sync)?;
    world.crash(Restart::Power);
    let files: Vec<_> = world.directory.names();
    let contents: Vec<_> = files.iter().map(|it| world.directory.contents(it)).collect();
    let whole = read(&world.directory, &options)?.2;
    let (mut refused, mut cut) = (0, 0);
    for (at, name) in files.iter().enumerate() {
        let Some(bytes) = contents[at].as_ref().filter(|_| name.starts_with("segment")) else {
            continue;
        };
        let used = bytes.iter().rposition(|&it| it != 0).map_or(0, |last| last + 200);
        for bit in 0..used.min(bytes.len()) * 8 {
            let directory = SimDirectory::new(bit as u64);
            for (name, bytes) in files.iter().zip(&contents) {
                let mut bytes = bytes.clone().unwrap_or_default();
                if *name == files[at] {
                    bytes[bit / 8] ^= 1 << (bit % 8);
                }
                directory.put(name, &bytes);
            }
            match read(&directory, &options) {
                Ok((_, recovered, records)) => {
                    ensure!(whole.starts_with(&records), "bit {bit} of {name} changes a record");
                    ensure!(records.len() + 1 >= whole.len(), "bit {bit} of {name} loses more");
                    let lost = records.len() < whole.len();
                    ensure!(!lost || recovered.torn.is_some(), "bit {bit} of {name} is not told");
                    cut += usize::from(lost);
                }
                Err(OpenError::Corrupt(corrupt)) => {
                    ensure!(corrupt.file.starts_with("segment-"), "{corrupt} names the file");
                    refused += 1;
                }
                Err(OpenError::Version { file, .. }) => {
                    ensure!(file == *name, "{file} is named, expected {name}");
                }
                Err(error) => bail!("bit {bit} of {name}: {error}"),
            }
        }
    }
    ensure!(refused > 4000 && cut == (64 + 44) * 8, "{refused} refused, {cut} cut");
    Ok(())
}

/// Four segments of two batches of one record, the second batch of segment 2 damaged.
fn damaged() -> Result<(World, Options)> {
    let mut world = World::new(9, small())?;
    for _ in 0..4 {
        for step in [Step::Append(100), Step::Sync, Step::Append(100), Step::Sync] {
            world.step(step)?;
        }
        world.step(Step::RollOver)?;
    }
    world.crash(Restart::Power);
    let name = "segment-00000000000000000002";
    let mut bytes = world.directory.contents(name).context("it is there")?;
    bytes[BATCHES + frame(100) + 80] ^= 1;
    world.directory.put(name, &bytes);
    Ok((world, small().on_corruption(OnCorruption::Truncate)))
}

#[test]
fn what_is_corrupt_is_given_up_only_when_asked_and_told() {
    let (world, truncate) = damaged().expect("a log");
    assert!(matches!(read(&world.directory, &small()), Err(OpenError::Corrupt(_))));
    let (mut wal, recovered, records) = read(&world.directory, &truncate).expect("it opens");
    assert_eq!(records.len(), 3);
    let gap = Sequence::new(4)..Sequence::new(9);
    assert_eq!(recovered.gaps, slice::from_ref(&gap));
    assert_eq!(recovered.next, gap.end);
    let file = recovered.corrupt.expect("it is told").file;
    assert_eq!(file, "segment-00000000000000000002");
    assert_eq!(wal.append(b"new").expect("it is taken"), gap.end, "no number is given twice");
    wal.close().expect("it closes");
    for _ in 0..2 {
        let (_, recovered, records) = read(&world.directory, &small()).expect("it is sound again");
        assert_eq!(recovered.gaps, slice::from_ref(&gap), "told at every open");
        assert_eq!(recovered.corrupt, None);
        assert_eq!(records[3], (gap.end, b"new".to_vec()));
    }
}

#[test]
fn giving_up_can_be_interrupted_anywhere() {
    for number in 1..40 {
        for restart in [Restart::Process, Restart::Power] {
            let (world, truncate) = damaged().expect("a log");
            let now = world.directory.operations();
            world.directory.trouble_at(now + number, Trouble::Crash);
            let interrupted = read(&world.directory, &truncate).is_err();
            world.directory.restart(restart);
            let (_, recovered, records) = match read(&world.directory, &small()) {
                Err(OpenError::Corrupt(_)) if interrupted => {
                    read(&world.directory, &truncate).expect("it can be repaired again")
                }
                other => other.expect("it is done"),
            };
            assert_eq!(records.len(), 3, "at {number}");
            let told = recovered.gaps.iter().any(|gap| gap.start == Sequence::new(4));
            assert!(told, "at {number}: {:?}", recovered.gaps);
        }
    }
}

#[test]
fn a_log_whose_beginning_is_corrupt_cannot_be_given_up_in_part() {
    let (world, truncate) = damaged().expect("a log");
    let mut bytes = world.directory.contents(FIRST).expect("it is there");
    bytes[0] ^= 1;
    world.directory.put(FIRST, &bytes);
    assert!(matches!(read(&world.directory, &truncate), Err(OpenError::Corrupt(_))));
}
