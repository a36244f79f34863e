//! What is not opened, and what is said of it.

use anyhow::{Result, ensure};
use wal::{OpenError, Options, OptionsError, Restart};

use crate::world::{Step, World, read};
use crate::{check, small};

const FIRST: &str = "segment-00000000000000000001";
const SECOND: &str = "segment-00000000000000000002";
const THIRD: &str = "segment-00000000000000000003";

/// Three segments with a record each, closed.
fn three(options: &Options) -> Result<World> {
    let mut world = World::new(7, options.clone())?;
    for step in [Step::Append(64), Step::RollOver, Step::Append(64), Step::RollOver] {
        world.step(step)?;
    }
    world.step(Step::Append(64))?;
    world.step(Step::Close)?;
    Ok(world)
}

/// What opening says; nothing on the disk has changed by it.
fn refusal(world: &World) -> Result<String> {
    let files = || {
        let names = world.directory.names().into_iter();
        names.map(|name| (world.directory.contents(&name), name)).collect::<Vec<_>>()
    };
    let before = files();
    let Err(error) = read(&world.directory, &world.options) else { anyhow::bail!("it opened") };
    ensure!(before == files(), "something was changed");
    Ok(error.to_string())
}

#[test]
fn a_second_owner_test() {
    check(a_second_owner);
}

pub(crate) fn a_second_owner(options: Options) -> Result<()> {
    let mut world = World::new(0, options)?;
    world.step(Step::Append(10))?;
    let second = read(&world.directory, &world.options);
    ensure!(matches!(second, Err(OpenError::Locked { .. })), "the second is refused");
    world.wal = None;
    ensure!(read(&world.directory, &world.options).is_ok(), "now it is free");
    Ok(())
}

#[test]
fn missing_segments_test() {
    check(missing_segments);
}

pub(crate) fn missing_segments(options: Options) -> Result<()> {
    for (name, says) in [
        (SECOND, "segment-00000000000000000002 is corrupt at byte 0: it is missing"),
        (THIRD, "segment-00000000000000000003 is corrupt at byte 0: it is missing"),
    ] {
        let world = three(&options)?;
        world.directory.take(name);
        let told = refusal(&world)?;
        ensure!(told.starts_with(says), "{told}");
    }
    // The first one is missed if it was not dropped, and the last one that was kept, too.
    let world = three(&options)?;
    world.directory.take(FIRST);
    ensure!(refusal(&world)?.contains("it is missing, expected it as the oldest"), "no first");
    let mut world = three(&options)?;
    for step in [Step::RollOver, Step::Compact(2), Step::Close] {
        world.step(step)?;
    }
    world.directory.take(SECOND);
    let told = refusal(&world)?;
    ensure!(told.contains("it is missing, expected it as the oldest"), "{told}");
    Ok(())
}

#[test]
fn swapped_segments() {
    let world = three(&small()).expect("a log");
    let (first, second) = (world.directory.contents(FIRST), world.directory.contents(SECOND));
    world.directory.put(FIRST, &second.expect("it is there"));
    world.directory.put(SECOND, &first.expect("it is there"));
    let told = refusal(&world).expect("it is refused");
    assert!(told.contains(FIRST) && told.contains("it is segment 2, expected 1"), "{told}");
}

#[test]
fn a_segment_of_another_log() {
    let (world, other) = (three(&small()).expect("a log"), World::new(8, small()));
    let mut other = other.expect("a world");
    for step in [Step::Append(64), Step::RollOver, Step::Append(64), Step::Close] {
        other.step(step).expect("it works");
    }
    world.directory.put(SECOND, &other.directory.contents(SECOND).expect("it is there"));
    let told = refusal(&world).expect("it is refused");
    assert!(told.contains(SECOND) && told.contains("it is of another log"), "{told}");
}

#[test]
fn foreign_files_and_odd_names() {
    for name in
        ["notes.txt", "segment-1", "segment-00000000000000000000", "segment-0000000000000000000x"]
    {
        let world = three(&small()).expect("a log");
        world.directory.put(name, b"hello");
        let told = refusal(&world).expect("it is refused");
        assert!(told.starts_with(name) && told.contains("is not a file of a log"), "{told}");
    }
}

#[test]
fn another_version() {
    for name in [FIRST, THIRD] {
        let world = three(&small()).expect("a log");
        let mut bytes = world.directory.contents(name).expect("it is there");
        bytes[16] = 2;
        world.directory.put(name, &bytes);
        let told = refusal(&world).expect("it is refused");
        assert_eq!(told, format!("{name} has format version 2, expected 1"));
    }
}

#[test]
fn an_empty_or_short_segment() {
    for (name, len) in [(FIRST, 0), (SECOND, 0), (THIRD, 0), (FIRST, 95), (THIRD, 50), (THIRD, 100)]
    {
        let world = three(&small()).expect("a log");
        let bytes = world.directory.contents(name).expect("it is there");
        world.directory.put(name, &bytes[..len]);
        let told = refusal(&world).expect("it is refused");
        assert!(told.starts_with(&format!("{name} is corrupt at byte")), "{told}");
    }
}

#[test]
fn an_unfinished_segment_and_spares_of_any_content_are_no_matter() {
    let mut world = three(&small()).expect("a log");
    world.directory.put("next.tmp", b"half");
    world.directory.put("spare-00000000000000000001", b"whatever");
    for step in [Step::Reopen, Step::Append(64), Step::RollOver, Step::Append(4000), Step::Sync] {
        world.step(step).expect("it works");
    }
    world.step(Step::Crash(Restart::Power)).expect("it works");
}

#[test]
fn a_log_that_must_exist() {
    let world = World::new(0, small().create(false)).expect("a world");
    assert!(matches!(read(&world.directory, &world.options), Err(OpenError::Missing)));
    assert!(!world.directory.names().iter().any(|name| name.starts_with("segment")));
}

#[test]
fn odd_options() {
    let cases = [
        ("segment_bytes", small().segment_bytes(4095)),
        ("record_bytes_max", small().record_bytes_max(0)),
        ("batch_bytes_max", small().batch_bytes_max(16 << 20)),
        ("prepare_bytes", small().prepare_bytes(2 << 30)),
        ("align", small().align(24)),
    ];
    for (field, options) in cases {
        let world = World::new(0, options).expect("a world");
        let refused = read(&world.directory, &world.options);
        let named = matches!(refused, Err(OpenError::Options(OptionsError { field: it, .. })) if it == field);
        assert!(named, "{field}");
    }
}
