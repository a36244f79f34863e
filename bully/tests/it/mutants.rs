//! Every planted bug is caught, by the test meant for it, and the honest node passes that test.

use std::time::Duration;

use bully::{Config, Mutant};
use cluster::{ClockFault, Fault, Role};

use crate::chaos::storm;
use crate::support::{Run, TIMEOUT, calm, millis, n};

/// What a hunt makes of one seed: what it saw go wrong, if anything.
type Hunt = fn(Config, u64) -> Option<String>;

#[track_caller]
fn check(mutant: Mutant, config: Config, seeds: u64, hunt: Hunt) {
    let caught = (0..seeds)
        .find_map(|seed| hunt(config.clone().plant(mutant), seed).map(|what| (seed, what)));
    let Some((seed, what)) = caught else { panic!("{mutant:?} was not caught in {seeds} seeds") };
    println!("{mutant:?} caught at seed {seed}: {what}");
    for seed in (0..20).chain([seed]) {
        assert_eq!(hunt(config.clone(), seed), None, "the honest node, at seed {seed}");
    }
}

fn guarded() -> Config {
    Config::default()
}

/// Candidates that lose no time: they reach into leases that have not ended.
fn hasty() -> Config {
    Config::default().with_answer_wait(millis(2))
}

fn safety(run: &Run) -> Option<String> {
    let broken = run.broken("no split brain").or(run.broken("election safety"));
    broken.map(ToString::to_string)
}

fn agreement(run: &mut Run, leader: u32, nodes: std::ops::RangeInclusive<u32>) -> Option<String> {
    let agreed = run.pass_until(TIMEOUT * 10, |run| run.agree_on(leader, nodes.clone()));
    (!agreed).then(|| format!("n{leader} does not lead; {:?} act", run.acting()))
}

fn in_a_storm(config: Config, seed: u64) -> Option<String> {
    safety(&storm(config, if seed.is_multiple_of(2) { 3 } else { 5 }, seed, 60))
}

fn after_a_storm(config: Config, seed: u64) -> Option<String> {
    let mut run = storm(config, 5, seed, 40);
    calm(&mut run);
    agreement(&mut run, 5, 1..=5)
}

fn after_a_partition(config: Config, seed: u64) -> Option<String> {
    let mut run = Run::new(config, 5, seed);
    run.pass(TIMEOUT * 3);
    run.partition(&[&[4, 5], &[1, 2, 3]]);
    run.pass(TIMEOUT * 5);
    run.heal();
    run.pass(TIMEOUT * 10);
    let acting = run.acting();
    (acting != [n(5)]).then(|| format!("{acting:?} act"))
}

/// The highest returns: does it lead again?
fn on_return(config: Config, seed: u64) -> Option<String> {
    let mut run = Run::new(config, 5, seed);
    run.pass(TIMEOUT * 3);
    run.crash(5);
    run.pass(TIMEOUT * 5);
    run.restart(5);
    agreement(&mut run, 5, 1..=5)
}

/// The highest slept while another was elected: does it lead again?
fn on_waking(config: Config, seed: u64) -> Option<String> {
    let mut run = Run::new(config, 5, seed);
    run.pass(TIMEOUT * 3);
    run.inject(Fault::Pause { node: n(5) });
    run.pass(TIMEOUT * 3);
    run.inject(Fault::Resume { node: n(5) });
    agreement(&mut run, 5, 1..=5)
}

/// The node that answered all candidates dies before it is elected.
fn when_the_answerer_dies(config: Config, seed: u64) -> Option<String> {
    let mut run = Run::new(config, 5, seed);
    run.pass(TIMEOUT * 3);
    run.crash(5);
    run.pass_until(TIMEOUT * 2, |run| {
        (1..=4).all(|node| run.role_of(node) == Some(Role::Candidate))
    });
    run.pass(millis(4));
    run.crash(4);
    agreement(&mut run, 3, 1..=3)
}

/// The leader is alone, and the others have just booted.
fn when_the_voters_boot(config: Config, seed: u64) -> Option<String> {
    let mut run = Run::new(config, 3, seed);
    run.pass(TIMEOUT * 3);
    run.crash(1);
    run.crash(2);
    run.partition(&[&[1, 2], &[3]]);
    run.restart(1);
    run.restart(2);
    run.pass(TIMEOUT * 3);
    safety(&run)
}

/// The leader's clock is slow and its voters' are fast, and then it is alone.
fn when_clocks_drift(config: Config, seed: u64) -> Option<String> {
    let mut run = Run::new(config, 3, seed);
    for (node, drift_ppm) in [(1, 100_000), (2, 100_000), (3, -100_000)] {
        let clock = ClockFault { drift_ppm, jump_nanos: 0 };
        run.inject(Fault::Clock { node: n(node), clock });
    }
    run.pass(TIMEOUT * 3);
    run.partition(&[&[1, 2], &[3]]);
    run.pass(TIMEOUT * 3);
    safety(&run)
}

/// Nobody hears the leader any more, and what they told it earlier reaches it late, some of it
/// twice.
fn when_words_come_late(config: Config, seed: u64) -> Option<String> {
    let mut run = Run::new(config, 3, seed);
    run.pass(TIMEOUT * 3);
    run.links(0, 500_000, 500_000, millis(250));
    run.pass(TIMEOUT * 3);
    run.cut(&[3], &[1, 2]);
    run.pass(TIMEOUT / 2);
    run.links(0, 0, 0, Duration::ZERO);
    run.pass(TIMEOUT * 3);
    safety(&run)
}

#[test]
fn coordinator_from_lower_id() {
    check(Mutant::CoordinatorFromLowerId, Config::textbook(), 20, on_waking);
}

#[test]
fn no_election_after_lost_answer() {
    for config in [Config::textbook(), guarded()] {
        check(Mutant::NoElectionAfterLostAnswer, config, 20, when_the_answerer_dies);
    }
}

#[test]
fn two_leaders_kept_after_healing() {
    check(Mutant::TwoLeadersKeptAfterHealing, Config::textbook(), 20, after_a_partition);
}

#[test]
fn returned_highest_never_challenges() {
    check(Mutant::ReturnedHighestNeverChallenges, guarded(), 20, on_return);
    check(Mutant::ReturnedHighestNeverChallenges, guarded(), 100, after_a_storm);
}

#[test]
fn stale_coordinator_believed() {
    check(Mutant::StaleCoordinatorBelieved, guarded(), 100, in_a_storm);
}

#[test]
fn silence_is_victory() {
    check(Mutant::SilenceIsVictory, guarded(), 20, in_a_storm);
    check(Mutant::SilenceIsVictory, guarded(), 20, after_a_partition);
}

#[test]
fn promise_not_durable() {
    check(Mutant::PromiseNotDurable, guarded(), 20, in_a_storm);
}

#[test]
fn epoch_granted_twice() {
    check(Mutant::EpochGrantedTwice, guarded(), 2_000, in_a_storm);
}

#[test]
fn lease_from_reply() {
    check(Mutant::LeaseFromReply, hasty(), 300, when_words_come_late);
}

#[test]
fn stale_ack_counts() {
    check(Mutant::StaleAckCounts, hasty(), 300, when_words_come_late);
}

#[test]
fn forgets_binding_on_boot() {
    check(Mutant::ForgetsBindingOnBoot, guarded(), 20, when_the_voters_boot);
}

#[test]
fn bound_voter_votes() {
    check(Mutant::BoundVoterVotes, guarded(), 300, in_a_storm);
}

#[test]
fn drift_forgotten() {
    check(Mutant::DriftForgotten, hasty(), 100, when_clocks_drift);
}

#[test]
fn all_of_them_are_hunted_above() {
    assert_eq!(Mutant::ALL.len(), 13, "a new mutant needs a hunt");
}
