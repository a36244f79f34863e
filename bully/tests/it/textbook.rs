//! The textbook mode: Garcia-Molina, "Elections in a Distributed Computing System", 1982, the
//! bully election algorithm of its appendix. What it does, and the split brain it cannot avoid.

use bully::{Answer, Config, Request};
use cluster::{Fault, Role};

use crate::chaos::storm;
use crate::support::{Run, TIMEOUT, calm, check as check_with, millis, n};

#[track_caller]
fn check(scenario: impl Fn(&mut Run)) {
    // Not `support::check`: this mode makes no promise that a monitor could find broken.
    for seed in 0..60 {
        scenario(&mut Run::new(Config::textbook(), 5, seed));
    }
}

#[test]
fn the_highest_leads_a_new_cluster() {
    check_with(&Config::textbook(), 5, 0..60, |run| {
        run.expect_agreement(5, 1..=5);
        run.pass(TIMEOUT * 10);
        assert!(run.agree_on(5, 1..=5));
    });
}

#[test]
fn silence_from_above_is_victory_down_to_the_last_node() {
    check(|run| {
        for dead in [5, 4, 3, 2] {
            run.expect_agreement(dead, 1..=dead);
            run.crash(dead);
        }
        run.expect_agreement(1, [1]);
        let epoch = run.epoch_of(1);
        assert_eq!(run.ask(n(1), Request::Lead), Ok(Answer::Leading { epoch }));
    });
}

#[test]
fn a_node_that_recovers_bullies_its_way_back() {
    check(|run| {
        run.expect_agreement(5, 1..=5);
        run.crash(5);
        run.expect_agreement(4, 1..=4);
        let before = run.epoch_of(4);
        run.restart(5);
        run.expect_agreement(5, 1..=5);
        assert!(run.epoch_of(5) > before);
    });
}

#[test]
fn a_candidate_whose_answerer_dies_stands_again() {
    check(|run| {
        run.expect_agreement(5, 1..=5);
        run.crash(5);
        let standing = |run: &Run| (1..=4).all(|node| run.role_of(node) == Some(Role::Candidate));
        assert!(run.pass_until(TIMEOUT * 2, standing));
        run.pass(millis(4));
        run.crash(4);
        run.expect_agreement(3, 1..=3);
    });
}

#[test]
fn a_partition_splits_the_brain_and_healing_mends_it() {
    check(|run| {
        run.expect_agreement(5, 1..=5);
        assert_eq!(run.broken("no split brain"), None);
        run.partition(&[&[4, 5], &[1, 2, 3]]);
        run.expect_agreement(3, 1..=3);
        assert_eq!(run.acting(), [n(3), n(5)]);
        assert!(run.broken("no split brain").is_some(), "the monitor sees it");
        run.heal();
        run.expect_agreement(5, 1..=5);
        assert!(run.pass_until(TIMEOUT, |run| run.acting() == [n(5)]));
        run.pass(TIMEOUT * 10);
        assert!(run.agree_on(5, 1..=5));
    });
}

#[test]
fn two_sides_of_a_partition_may_elect_for_the_same_epoch() {
    check(|run| {
        run.partition(&[&[1, 2], &[3, 4, 5]]);
        run.expect_agreement(5, 3..=5);
        run.expect_agreement(2, 1..=2);
        assert!(run.broken("election safety").is_some());
        run.heal();
        run.expect_agreement(5, 1..=5);
        assert!(run.pass_until(TIMEOUT, |run| run.acting() == [n(5)]));
    });
}

#[test]
fn a_leader_that_slept_learns_that_it_is_the_past() {
    check(|run| {
        run.expect_agreement(5, 1..=5);
        let before = run.epoch_of(5);
        run.inject(Fault::Pause { node: n(5) });
        run.expect_agreement(4, 1..=4);
        run.inject(Fault::Resume { node: n(5) });
        run.expect_agreement(5, 1..=5);
        assert!(run.epoch_of(5) > before, "not by its old epoch");
    });
}

#[test]
fn after_any_storm_all_agree() {
    for seed in 0..500 {
        let nodes = [3, 5, 4][seed as usize % 3];
        let mut run = storm(Config::textbook(), nodes, seed, 60);
        calm(&mut run);
        let highest = u32::try_from(nodes).unwrap();
        run.expect_agreement(highest, 1..=highest);
        run.pass(TIMEOUT * 10);
        assert!(run.agree_on(highest, 1..=highest), "seed {seed}");
        assert_eq!(run.acting(), [n(highest)], "seed {seed}");
    }
}

#[test]
fn whoever_resigns_leaves_the_lead_to_others_for_a_while() {
    check(|run| {
        run.expect_agreement(5, 1..=5);
        assert_eq!(run.ask(n(5), Request::Resign), Ok(Answer::Resigned));
        run.expect_agreement(4, 1..=5);
        run.expect_agreement(5, 1..=5);
    });
}
