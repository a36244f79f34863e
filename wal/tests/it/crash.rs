//! Trouble at every single operation on the directory.

use anyhow::{Context as _, Result};
use wal::{Options, Restart, Trouble};

use crate::check;
use crate::world::{Step, World};

/// Makes segments, recycles them, compacts, closes, opens.
fn script() -> Vec<Step> {
    let mut steps = Vec::new();
    for round in 0..9 {
        steps.extend([Step::Append(300), Step::Head(20), Step::Append(700), Step::Sync]);
        steps.extend([Step::Append(900), Step::Append(10), Step::Sync]);
        match round % 3 {
            0 => steps.push(Step::Compact(3)),
            1 => steps.push(Step::RollOver),
            _ => steps.extend([Step::Compact(2), Step::Close, Step::Reopen]),
        }
    }
    steps
}

/// Runs the script with `trouble` at operation `number`, which ends in `restart`; then goes on.
/// Returns whether the script has so many operations.
fn run(
    options: &Options,
    (number, trouble, restart): (u64, Trouble, Restart),
    seed: u64,
) -> Result<bool> {
    let mut world = World::new(seed, options.clone())?;
    world.directory.trouble_at(number, trouble);
    let mut troubled = false;
    for step in script() {
        if let Err(error) = world.step(step) {
            if troubled {
                return Err(error);
            }
            troubled = true;
            world.crash(restart);
            // Before anything else happens, and again after the power went.
            world.open().context("after trouble")?;
            world.step(Step::Append(33))?;
            world.step(Step::Sync)?;
            world.step(Step::Crash(Restart::Power)).context("after trouble, and a power loss")?;
        }
    }
    world.step(Step::Crash(Restart::Power))?;
    Ok(world.directory.operations() >= number)
}

pub(crate) fn at_every_operation(options: Options) -> Result<()> {
    for trouble in [Trouble::Crash, Trouble::Error, Trouble::Full] {
        for restart in [Restart::Power, Restart::Process] {
            for number in 1.. {
                for seed in 0..6 {
                    let told = || format!("{trouble:?} at {number}, {restart:?}, seed {seed}");
                    if !run(&options, (number, trouble, restart), seed).with_context(told)? {
                        break;
                    }
                }
                if number > 200 {
                    break;
                }
            }
        }
    }
    Ok(())
}

#[test]
fn at_every_operation_test() {
    check(at_every_operation);
}

#[test]
fn the_script_is_within_what_is_tried() {
    let within = run(&crate::small(), (190, Trouble::Crash, Restart::Power), 0);
    assert!(!within.expect("it runs"), "try more operations");
}

/// A write that the disk dropped or put elsewhere: refused, or no more than the last batch is gone.
#[test]
fn a_write_that_went_astray_at_every_operation() {
    let (mut refused, mut opened) = (0, 0);
    for trouble in [Trouble::Lost, Trouble::Misdirected] {
        for number in 1..150 {
            let mut world = World::new(number, crate::small()).expect("a world");
            world.directory.trouble_at(number, trouble);
            let done = script().into_iter().try_for_each(|step| match step {
                // It would be refused right there, or the model would have to know what is gone.
                Step::Close | Step::Reopen => Ok(()),
                // Soon, or the damaged segment is dropped before anybody reads it.
                _ if world.directory.operations() > number + 8 => Ok(()),
                step => world.step(step),
            });
            if done.is_err() {
                refused += 1;
                continue;
            }
            world.crash(Restart::Power);
            match world.open_losing(1) {
                Ok(_) => opened += 1,
                Err(error) => {
                    let told = format!("{error:#}");
                    assert!(told.contains("opening: segment-"), "{trouble:?} at {number}: {told}");
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 20 && opened > 20, "{refused} refused, {opened} opened");
}

/// The machine stops again while the log is being opened after the first time.
#[test]
fn at_every_operation_of_a_recovery() {
    let mut within = 0;
    for number in (1..120).step_by(2) {
        for again in 1..12 {
            let restart = if again % 2 == 0 { Restart::Power } else { Restart::Process };
            let mut world = World::new(number * 100 + again, crate::small()).expect("a world");
            world.directory.trouble_at(number, Trouble::Crash);
            let done = script().into_iter().try_for_each(|step| world.step(step)).is_ok();
            assert!(!done, "the script has operation {number}");
            world.crash(restart);
            world.directory.trouble_at(world.directory.operations() + again, Trouble::Crash);
            let opened = world.open();
            within += u32::from(opened.is_err());
            world.crash(Restart::Power);
            let told = || format!("crashes at {number}, and at {again} of opening");
            world.open().with_context(told).expect("it opens");
        }
    }
    assert!(within > 100, "{within} crashes within a recovery");
}
