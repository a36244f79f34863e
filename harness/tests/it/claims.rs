//! What is claimed holds, and what is not claimed is shown broken: a slice of the conformance run,
//! and the counterexamples that the guide tells of.

use std::time::Duration;

use harness::guarantee::Guarantee;
use harness::implementation::World;
use harness::implementations;
use harness::run::{NoRun, Options, run};
use harness::scenario::{self, Scenario};
use harness::suite::{self, Selection, Verdict};

fn selection(world: World, seeds: u64) -> Selection {
    Selection {
        implementations: implementations::all(),
        scenarios: scenario::ALL.to_vec(),
        worlds: vec![world],
        seeds: 1_000_000..1_000_000 + seeds,
        nodes: None,
        span: Duration::from_secs(3),
        span_real: Duration::from_millis(700),
        span_net: Duration::from_millis(700),
    }
}

/// Every claim of every implementation, with seeds that the conformance run does not use.
#[test]
fn every_claim_holds_in_every_scenario_of_the_simulated_world() {
    let cells = suite::judge(&selection(World::Sim, 5), &|| {}).expect("the defaults are valid");
    for cell in &cells {
        assert!(!cell.failed(), "{} × {}: {:?}", cell.implementation, cell.scenario, cell.verdict);
    }
    assert_eq!(cells.len(), implementations::all().len() * scenario::ALL.len());
}

/// Seeds that once broke a claim, or a judge: a grant that reached its client late was taken for a
/// token out of order; replicas were compared while hints were still on their way.
#[test]
fn seeds_that_once_failed_hold() {
    for (implementation, scenario, seed) in
        [("dlock", "swarm", 312), ("quorum-partial", "swarm", 5_554)]
    {
        let implementation = implementations::named(implementation).expect("it is registered");
        let scenario = Scenario::named(scenario).expect("it exists");
        let span = Duration::from_secs(4);
        let options = Options { world: World::Sim, seed, nodes: None, span, trace: false };
        let report = run(&implementation, &scenario, &options).expect("it can be run");
        let broken =
            report.violations.iter().find(|it| implementation.claims.contains(&it.guarantee));
        assert_eq!(broken, None, "{} seed {seed}", implementation.name);
        assert_eq!(report.vacuous, None, "{} seed {seed}", implementation.name);
    }
}

#[test]
fn every_claim_holds_in_the_threads_world() {
    let cells = suite::judge(&selection(World::Threads, 1), &|| {}).expect("they are valid");
    for cell in &cells {
        assert!(!cell.failed(), "{} × {}: {:?}", cell.implementation, cell.scenario, cell.verdict);
    }
}

/// The least seed below `seeds` that shows `guarantee` broken.
#[track_caller]
fn counterexample(implementation: &str, scenario: &str, guarantee: Guarantee, seeds: u64) {
    let implementation = implementations::named(implementation).expect("it is registered");
    assert!(implementation.disclaims.contains(&guarantee), "it is claimed");
    let scenario = Scenario::named(scenario).expect("it exists");
    let found = (1..seeds).find(|&seed| {
        let span = Duration::from_secs(4);
        let options = Options { world: World::Sim, seed, nodes: None, span, trace: false };
        let report = run(&implementation, &scenario, &options).expect("it can be run");
        report.violations.iter().any(|violation| violation.guarantee == guarantee)
    });
    assert!(found.is_some(), "no seed below {seeds} breaks {guarantee}");
}

#[test]
fn textbook_bully_has_two_leaders_under_partition() {
    counterexample("bully-textbook", "minority-partition", Guarantee::NoSplitBrain, 50);
}

#[test]
fn a_deposed_raft_leader_does_not_know_it() {
    counterexample("raft", "minority-partition", Guarantee::NoSplitBrain, 50);
}

#[test]
fn quorums_that_do_not_overlap_read_stale() {
    counterexample("quorum-partial", "steady", Guarantee::Linearizability, 50);
}

#[test]
fn quorums_that_do_not_overlap_keep_none_of_the_weaker_promises() {
    counterexample("quorum-partial", "steady", Guarantee::RegularReads, 50);
    counterexample("quorum-partial", "steady", Guarantee::ReadYourWrites, 50);
    counterexample("quorum-partial", "leader-crash", Guarantee::MonotonicReads, 50);
}

#[test]
fn a_writer_with_a_slow_clock_does_not_see_its_write() {
    counterexample("quorum-clock", "clock-skew", Guarantee::RegularReads, 50);
    counterexample("quorum-clock", "clock-skew", Guarantee::ReadYourWrites, 50);
}

#[test]
fn reads_that_do_not_write_back_go_back() {
    counterexample("quorum-regular", "slow-links", Guarantee::MonotonicReads, 100);
    counterexample("quorum-regular", "slow-links", Guarantee::Linearizability, 100);
}

#[test]
fn wall_clocks_without_write_back_show_a_write_and_hide_it_again() {
    // A value that was not written back may be gone from the next read's quorum.
    counterexample("quorum-clock", "ring-partition", Guarantee::MonotonicReads, 50);
}

#[test]
fn wall_clocks_lose_writes() {
    counterexample("quorum-clock", "clock-skew", Guarantee::Linearizability, 50);
}

#[test]
fn a_paused_holder_breaks_mutual_exclusion() {
    counterexample("dlock", "lock-holder-pause", Guarantee::MutualExclusion, 50);
}

#[test]
fn a_scenario_of_locks_makes_no_sense_without_locks() {
    let raft = implementations::named("raft").expect("it is registered");
    let scenario = Scenario::named("lock-holder-pause").expect("it exists");
    let span = Duration::from_secs(1);
    let options = Options { world: World::Sim, seed: 1, nodes: None, span, trace: false };
    let refused = run(&raft, &scenario, &options).expect_err("raft has no locks");
    assert_eq!(refused, NoRun::NoLocks { implementation: "raft" });
}

#[test]
fn a_scenario_of_voters_makes_no_sense_where_they_are_fixed() {
    let dlock = implementations::named("dlock").expect("it is registered");
    let scenario = Scenario::named("membership-change").expect("it exists");
    let span = Duration::from_secs(1);
    let options = Options { world: World::Sim, seed: 1, nodes: None, span, trace: false };
    let refused = run(&dlock, &scenario, &options).expect_err("its voters are fixed");
    assert_eq!(refused, NoRun::FixedVoters { implementation: "dlock" });
}

#[test]
fn a_cluster_of_no_nodes_is_refused_by_name() {
    let raft = implementations::named("raft").expect("it is registered");
    let scenario = Scenario::named("steady").expect("it exists");
    let span = Duration::from_secs(1);
    let options = Options { world: World::Sim, seed: 1, nodes: Some(0), span, trace: false };
    let refused = run(&raft, &scenario, &options).expect_err("no nodes, no cluster");
    assert!(refused.to_string().starts_with("members is 0, expected"), "{refused}");
}

#[test]
fn a_broken_claim_fails_its_cell_and_names_its_replay() {
    // Textbook bully, made to claim what it cannot keep.
    let mut textbook = implementations::named("bully-textbook").expect("it is registered");
    textbook.claims = &[Guarantee::NoSplitBrain];
    textbook.disclaims = &[];
    let scenario = Scenario::named("minority-partition").expect("it exists");
    let selection = Selection {
        implementations: vec![textbook],
        scenarios: vec![scenario],
        ..selection(World::Sim, 50)
    };
    let cells = suite::judge(&selection, &|| {}).expect("it is valid");
    let [cell] = cells.as_slice() else { panic!("one cell expected") };
    assert!(cell.failed());
    let Verdict::Judged { broken, .. } = &cell.verdict else { panic!("{:?}", cell.verdict) };
    let [finding] = broken.as_slice() else { panic!("{broken:?}") };
    assert_eq!(
        cell.replay(finding.seed),
        format!(
            "cargo xtask conformance --implementation bully-textbook --scenario \
             minority-partition --world sim --seed {} --scenario-time 3000",
            finding.seed
        )
    );
}

/// The judge of availability has teeth: a raft that takes seconds to elect serves too late.
#[test]
fn a_slow_election_breaks_availability() {
    let (low, high) = (Duration::from_millis(2_500), Duration::from_millis(3_000));
    let config = raft::Config::new(implementations::raft::Registers::default());
    let slow = implementations::raft::with(config.with_election_timeout(low..=high));
    let scenario = Scenario::named("leader-crash").expect("it exists");
    let span = Duration::from_secs(8);
    let options = Options { world: World::Sim, seed: 1, nodes: None, span, trace: false };
    let report = run(&slow, &scenario, &options).expect("it can be run");
    let broken = report.violations.iter().map(|violation| violation.guarantee);
    assert!(broken.into_iter().any(|it| it == Guarantee::Availability), "{report:?}");
}
