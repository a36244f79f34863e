//! Every planted bug is found by some scenario.

use std::panic::{AssertUnwindSafe, catch_unwind};

use wal::Mutant;

use crate::{SCENARIOS, small};

#[test]
fn every_planted_bug_is_found() {
    let mut missed = Vec::new();
    for mutant in Mutant::ALL {
        let found = SCENARIOS.iter().find(|(_, scenario)| {
            let run = || scenario(small().plant(mutant)).is_err();
            catch_unwind(AssertUnwindSafe(run)).unwrap_or(true)
        });
        match found {
            Some((name, _)) => println!("{mutant:?}: {name}"),
            None => missed.push(mutant),
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}
