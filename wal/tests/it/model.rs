//! The log against its model.

use anyhow::{Result, ensure};
use proptest::prelude::*;
use wal::{Options, Restart, Sequence};

use crate::world::{Step, World};
use crate::{check, small};

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0usize..700).prop_map(Step::Append),
        1 => (3000usize..9000).prop_map(Step::Append),
        2 => (0usize..60).prop_map(Step::Head),
        6 => Just(Step::Sync),
        2 => (0u64..12).prop_map(Step::Compact),
        1 => Just(Step::RollOver),
        1 => Just(Step::Close),
        1 => Just(Step::Reopen),
        1 => Just(Step::Crash(Restart::Process)),
        2 => Just(Step::Crash(Restart::Power)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_run_recovers_a_prefix_with_all_that_was_synced(
        seed in any::<u32>(),
        align in prop_oneof![Just(8u32), Just(512)],
        prepare in prop_oneof![Just(0u64), Just(1024), Just(1 << 20)],
        steps in prop::collection::vec(any_step(), 1..60),
    ) {
        let options = small().align(align).prepare_bytes(prepare);
        let mut world = World::new(u64::from(seed), options).expect("a world");
        for &step in &steps {
            world.step(step).map_err(|error| TestCaseError::fail(format!("{step:?}: {error:#}")))?;
        }
    }
}

#[test]
fn random_runs_test() {
    check(random_runs);
}

/// Steps by a fixed rule, over many seeds (`WAL_RUNS` of them): quick enough to be run for every
/// planted bug.
pub(crate) fn random_runs(options: Options) -> Result<()> {
    let runs = std::env::var("WAL_RUNS").ok().and_then(|it| it.parse().ok()).unwrap_or(150);
    for seed in 0..runs {
        let mut world = World::new(seed, options.clone())?;
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        for _ in 0..60 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let size = (state >> 32) as usize % 900;
            world.step(match state % 16 {
                0..6 => Step::Append(size),
                6 => Step::Head(size % 50),
                7..11 => Step::Sync,
                11 => Step::Compact(size as u64 % 9),
                12 => Step::RollOver,
                13 => Step::Reopen,
                14 => Step::Crash(Restart::Power),
                _ => Step::Crash(Restart::Process),
            })?;
        }
    }
    Ok(())
}

#[test]
fn the_head_outlives_compaction_test() {
    check(the_head_outlives_compaction);
}

pub(crate) fn the_head_outlives_compaction(options: Options) -> Result<()> {
    let mut world = World::new(1, options)?;
    for step in [Step::Head(40), Step::Append(100), Step::Sync, Step::RollOver, Step::Append(100)] {
        world.step(step)?;
    }
    for step in [Step::Sync, Step::RollOver, Step::Compact(0), Step::Crash(Restart::Power)] {
        world.step(step)?;
    }
    let wal = world.wal.as_ref().expect("it is open");
    ensure!(wal.head().is_some_and(|it| it.len() == 40), "the head is there");
    ensure!(wal.segments() == 1, "all but the last segment are gone");
    Ok(())
}

#[test]
fn numbers_go_on_test() {
    check(numbers_go_on);
}

pub(crate) fn numbers_go_on(options: Options) -> Result<()> {
    let mut world = World::new(2, options)?;
    for _ in 0..5 {
        for step in [Step::Append(9), Step::Sync, Step::Reopen, Step::Append(9), Step::Close] {
            world.step(step)?;
        }
    }
    // What was not synced was never called durable, and its number is free.
    world.step(Step::Append(9))?;
    world.step(Step::Reopen)?;
    world.step(Step::Append(9))
}

#[test]
fn compaction_keeps_what_it_must_test() {
    check(compaction_keeps_what_it_must);
}

pub(crate) fn compaction_keeps_what_it_must(options: Options) -> Result<()> {
    for keep in 0..8 {
        let mut world = World::new(keep, options.clone())?;
        for _ in 0..6 {
            for step in [Step::Append(500), Step::Append(500), Step::Sync, Step::RollOver] {
                world.step(step)?;
            }
        }
        for step in [Step::Append(8), Step::Sync, Step::Compact(keep), Step::Reopen] {
            world.step(step)?;
        }
        let first = world.wal.as_ref().map(|wal| wal.first_kept());
        let due = 13 - keep.saturating_sub(1).next_multiple_of(2);
        ensure!(first == Some(Sequence::new(due)), "{first:?} is first, expected r{due}");
    }
    Ok(())
}

#[test]
fn reopening_again_and_again_writes_nothing_new() {
    let mut world = World::new(3, small()).expect("a world");
    world.step(Step::Append(10)).expect("appended");
    world.step(Step::Close).expect("closed");
    world.step(Step::Reopen).expect("opened");
    let name = "segment-00000000000000000001";
    let before = world.directory.contents(name);
    for _ in 0..10 {
        world.step(Step::Reopen).expect("opened");
    }
    assert_eq!(before, world.directory.contents(name));
}
