//! The same seed plays the same run, to the byte.

use std::time::Duration;

use harness::implementation::World;
use harness::implementations;
use harness::run::{NoRun, Options, Report, run};
use harness::scenario;

fn options(seed: u64) -> Options {
    Options { world: World::Sim, seed, nodes: None, span: Duration::from_secs(2), trace: true }
}

#[test]
fn the_same_seed_twice_gives_the_same_events_and_verdicts() {
    for implementation in implementations::all() {
        for scenario in scenario::ALL {
            let once = |seed| run(&implementation, scenario, &options(seed));
            let same = |a: &Report, b: &Report| {
                a.digest == b.digest
                    && a.trace == b.trace
                    && a.violations == b.violations
                    && a.calls == b.calls
            };
            match (once(7), once(7), once(8)) {
                (Ok(first), Ok(second), Ok(other)) => {
                    let what = format!("{} × {}", implementation.name, scenario.name);
                    assert!(same(&first, &second), "{what} differs from itself");
                    assert!(first.digest.is_some(), "{what} has no digest");
                    assert_ne!(first.digest, other.digest, "{what} ignores its seed");
                    assert!(!first.trace.is_empty(), "{what} has no trace");
                }
                (Err(NoRun::NoLocks { .. } | NoRun::FixedVoters { .. }), _, _) => {}
                (first, _, _) => panic!("{}: {first:?}", implementation.name),
            }
        }
    }
}
