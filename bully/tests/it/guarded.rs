//! The guarded mode, one way of going wrong at a time, each over many seeds.

use std::time::Duration;

use bully::{Answer, Config, Error, Request};
use cluster::{ClockFault, Epoch, Fault, Role};

use crate::support::{Run, TIMEOUT, check as check_with, millis, n, named};

#[track_caller]
fn check(scenario: impl Fn(&mut Run)) {
    check_with(&Config::default(), 5, 0..60, scenario);
}

fn led(run: &mut Run) {
    run.expect_agreement(5, 1..=5);
}

#[test]
fn a_new_cluster_elects_the_highest_once() {
    check(|run| {
        led(run);
        run.pass(TIMEOUT * 20);
        assert!(run.agree_on(5, 1..=5));
        assert_eq!(run.elections(), 1);
        assert_eq!(run.role_of(5), Some(Role::Leader));
        assert_eq!(run.role_of(1), Some(Role::Follower));
    });
}

#[test]
fn whoever_is_asked_says_who_leads() {
    check(|run| {
        led(run);
        let epoch = run.epoch_of(5);
        assert!(epoch > Epoch::ZERO);
        assert_eq!(run.ask(n(5), Request::Lead), Ok(Answer::Leading { epoch }));
        let refusal = Err(Error::NotLeader { leader: Some(n(5)) });
        assert_eq!(run.ask(n(2), Request::Lead), refusal);
        assert_eq!(run.ask(n(2), Request::Resign), refusal);
        for node in 1..=5 {
            assert_eq!(run.ask(n(node), Request::Leader).map(Some), {
                let leader = Some(n(5));
                Ok(Some(Answer::Leader { leader, epoch }))
            });
        }
    });
}

#[test]
fn a_dead_leader_is_replaced_by_the_next_and_leads_again_when_it_returns() {
    check(|run| {
        led(run);
        let first = run.epoch_of(5);
        run.crash(5);
        run.expect_agreement(4, 1..=4);
        let second = run.epoch_of(4);
        run.restart(5);
        led(run);
        let third = run.epoch_of(5);
        assert!(first < second && second < third, "the fencing token grows");
        run.pass(TIMEOUT * 20);
        assert!(run.agree_on(5, 1..=5));
        assert_eq!(run.elections(), 3, "no flapping");
    });
}

#[test]
fn a_returning_middle_node_disturbs_nobody() {
    check(|run| {
        led(run);
        run.crash(3);
        run.pass(TIMEOUT * 3);
        run.restart(3);
        run.expect_agreement(5, 1..=5);
        run.pass(TIMEOUT * 10);
        assert_eq!(run.elections(), 1);
    });
}

#[test]
fn two_of_five_elect_nobody_and_three_do() {
    check(|run| {
        led(run);
        for node in [5, 4, 3] {
            run.crash(node);
        }
        assert!(!run.pass_until(TIMEOUT * 20, |run| run.elections() > 1));
        assert!(run.acting().is_empty());
        assert_eq!(named(run.ask(n(2), Request::Leader)), None);
        assert_eq!(run.ask(n(2), Request::Lead), Err(Error::NotLeader { leader: None }));
        run.restart(3);
        run.expect_agreement(3, 1..=3);
    });
}

#[test]
fn a_leader_cut_off_with_a_minority_steps_down_and_the_majority_elects_its_highest() {
    check(|run| {
        led(run);
        run.partition(&[&[4, 5], &[1, 2, 3]]);
        run.expect_agreement(3, 1..=3);
        assert_eq!(run.acting(), [n(3)]);
        assert_eq!(run.ask(n(5), Request::Lead), Err(Error::NotLeader { leader: None }));
        run.pass(TIMEOUT * 10);
        assert_eq!(run.elections(), 2);
        run.heal();
        led(run);
    });
}

#[test]
fn a_minority_cut_off_from_the_leader_changes_nothing_then_or_later() {
    check(|run| {
        led(run);
        run.partition(&[&[1, 2], &[3, 4, 5]]);
        run.pass(TIMEOUT * 20);
        assert!(run.agree_on(5, 3..=5));
        run.heal();
        led(run);
        run.pass(TIMEOUT * 10);
        assert_eq!(run.elections(), 1, "candidates in the minority raised no epoch");
    });
}

#[test]
fn a_leader_that_hears_nobody_steps_down_for_one_that_does() {
    check(|run| {
        led(run);
        run.cut(&[1, 2, 3, 4], &[5]);
        run.expect_agreement(4, 1..=4);
        run.pass(TIMEOUT * 20);
        assert_eq!(run.acting(), [n(4)]);
        assert_eq!(run.elections(), 2, "the deaf one keeps asking and disturbs nobody");
        run.heal();
        led(run);
    });
}

#[test]
fn a_leader_that_nobody_hears_steps_down_for_one_that_is_heard() {
    check(|run| {
        led(run);
        run.cut(&[5], &[1, 2, 3, 4]);
        run.expect_agreement(4, 1..=4);
        run.pass(TIMEOUT * 20);
        assert_eq!(run.acting(), [n(4)]);
        assert_eq!(run.elections(), 2);
        run.heal();
        led(run);
    });
}

#[test]
fn a_returning_highest_that_only_a_minority_hears_cannot_depose_a_leader() {
    check(|run| {
        led(run);
        run.partition(&[&[5], &[1, 2, 3]]);
        run.expect_agreement(4, 1..=4);
        let elections = run.elections();
        run.pass(TIMEOUT * 30);
        assert!(run.agree_on(4, 1..=4));
        assert_eq!(run.elections(), elections);
        run.heal();
        led(run);
    });
}

#[test]
fn a_bridge_between_two_halves_keeps_one_leader() {
    check(|run| {
        led(run);
        run.partition(&[&[4, 5], &[1, 2]]);
        run.pass(TIMEOUT * 30);
        assert_eq!(run.acting(), [n(5)], "n3, n4 and n5 are a majority");
        assert_eq!(run.elections(), 1);
        run.heal();
        led(run);
    });
}

#[test]
fn a_paused_leader_wakes_up_without_its_leadership() {
    check(|run| {
        led(run);
        run.inject(Fault::Pause { node: n(5) });
        run.expect_agreement(4, 1..=4);
        let standing = {
            use cluster::Node;
            let now = run.sim.clock(n(5));
            run.sim.node(n(5)).unwrap().standing(now)
        };
        assert_ne!(standing.role, Role::Leader, "its lease ended in its sleep");
        run.inject(Fault::Resume { node: n(5) });
        led(run);
        assert_eq!(run.elections(), 3);
    });
}

#[test]
fn after_a_power_loss_the_epochs_go_on() {
    check(|run| {
        led(run);
        let before = run.epoch_of(5);
        for _ in 0..3 {
            run.inject(Fault::PowerLoss);
            run.pass(millis(10));
            for node in 1..=5 {
                run.restart(node);
            }
            led(run);
        }
        assert!(run.epoch_of(5).get() >= before.get() + 3);
    });
}

#[test]
fn a_rolling_restart_ends_with_the_highest() {
    check(|run| {
        led(run);
        for node in 1..=5 {
            run.crash(node);
            run.pass(TIMEOUT);
            run.restart(node);
            run.pass(TIMEOUT * 3);
            assert!(run.acting().len() <= 1);
        }
        led(run);
    });
}

#[test]
fn quorum_lost_and_regained() {
    check(|run| {
        led(run);
        run.partition(&[&[1], &[2], &[3], &[4], &[5]]);
        assert!(run.pass_until(TIMEOUT * 2, |run| run.acting().is_empty()));
        run.pass(TIMEOUT * 10);
        assert!(run.acting().is_empty());
        run.heal();
        led(run);
    });
}

#[test]
fn a_candidate_whose_answerer_dies_stands_again() {
    check(|run| {
        led(run);
        run.crash(5);
        let standing = |run: &Run| (1..=4).all(|node| run.role_of(node) == Some(Role::Candidate));
        assert!(run.pass_until(TIMEOUT * 2, standing));
        // By now n4 has answered the others, and still waits for an answer of n5.
        run.pass(millis(4));
        run.crash(4);
        run.expect_agreement(3, 1..=3);
    });
}

#[test]
fn whoever_resigns_leaves_the_lead_to_others_for_a_while() {
    check(|run| {
        led(run);
        assert_eq!(run.ask(n(5), Request::Resign), Ok(Answer::Resigned));
        assert_eq!(run.ask(n(5), Request::Lead).map_err(|_| ()), Err(()));
        run.expect_agreement(4, 1..=5);
        run.pass(TIMEOUT * 2);
        assert!(run.agree_on(4, 1..=5));
        led(run);
    });
}

#[test]
fn a_lossy_doubling_reordering_network_is_survived() {
    check(|run| {
        run.links(100_000, 100_000, 300_000, TIMEOUT / 3);
        run.pass(TIMEOUT * 40);
        run.crash(5);
        run.pass(TIMEOUT * 20);
        run.restart(5);
        run.pass(TIMEOUT * 20);
        run.links(0, 0, 0, Duration::ZERO);
        led(run);
    });
}

#[test]
fn clocks_that_drift_as_far_as_allowed_change_nothing() {
    check(|run| {
        for (node, drift_ppm) in [(1, 100_000), (2, -100_000), (3, 100_000), (5, -100_000)] {
            let clock = ClockFault { drift_ppm, jump_nanos: 0 };
            run.inject(Fault::Clock { node: n(node), clock });
        }
        led(run);
        run.partition(&[&[4, 5], &[1, 2, 3]]);
        run.expect_agreement(3, 1..=3);
        run.heal();
        led(run);
    });
}

#[test]
fn wall_clocks_decide_nothing() {
    let events = |seed, jump_nanos| {
        let mut run = Run::new(Config::default(), 5, seed);
        for round in 0..20 {
            run.pass(TIMEOUT / 2);
            let node = n(1 + round % 5);
            let clock = ClockFault { drift_ppm: 0, jump_nanos };
            run.inject(Fault::Clock { node, clock });
            if round == 8 {
                run.crash(5);
            }
        }
        run.expect_safe();
        run.events.iter().map(|told| format!("{told:?}")).collect::<Vec<_>>()
    };
    for seed in 0..10 {
        let calm = events(seed, 0);
        assert!(calm.len() > 8);
        assert_eq!(calm, events(seed, 3_600_000_000_000));
        assert_eq!(calm, events(seed, -3_600_000_000_000));
    }
}

#[test]
fn a_cluster_of_one_leads_itself() {
    check_with(&Config::default(), 1, 0..20, |run| {
        run.expect_agreement(1, [1]);
        let epoch = run.epoch_of(1);
        run.inject(Fault::PowerLoss);
        run.restart(1);
        run.expect_agreement(1, [1]);
        assert!(run.epoch_of(1) > epoch);
        assert_eq!(run.ask(n(1), Request::Resign), Ok(Answer::Resigned));
        assert!(run.acting().is_empty());
        run.expect_agreement(1, [1]);
    });
}

#[test]
fn booted_voters_are_bound_to_a_leader_they_have_forgotten() {
    check_with(&Config::default(), 3, 0..60, |run| {
        run.expect_agreement(3, 1..=3);
        run.crash(1);
        run.crash(2);
        run.partition(&[&[1, 2], &[3]]);
        run.restart(1);
        run.restart(2);
        // Until the lease of n3 ends, which rests on words that n1 and n2 forgot, it is alone.
        run.expect_agreement(2, 1..=2);
        assert_eq!(run.acting(), [n(2)]);
    });
}
