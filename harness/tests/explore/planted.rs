//! Planted bugs are found, each by the search that is there for it; changes that break nothing are
//! not.

use cluster::explore::Limits;
use harness::exhaustive::{Planted, hunt};

/// What no search of this kind can find.
const NOT_FOUND: [(&str, &str); 2] = [
    // Exact clocks need no allowance for drift, and where clocks are free no lease holds.
    ("bully", "DriftForgotten"),
    // A table that reads its own clock is no function of the log.
    ("dlock", "OwnClockExpiry"),
];

#[test]
fn every_bug_is_found() {
    let mut missed = Vec::new();
    for planted in Planted::all() {
        let name = (planted.place(), planted.name());
        let expected = !NOT_FOUND.contains(&(name.0, name.1.as_str()));
        match hunt(planted, &Limits::default()) {
            Some(caught) => println!(
                "{} {}: {} in {}, {} steps, after {} states",
                name.0, name.1, caught.guarantee, caught.run, caught.depth, caught.states
            ),
            None if expected => missed.push(name),
            None => {}
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}

#[test]
fn what_breaks_nothing_is_not_taken_for_a_bug() {
    for planted in Planted::harmless() {
        let caught = hunt(planted, &Limits::default());
        assert_eq!(caught, None, "{} {}", planted.place(), planted.name());
    }
}
