//! Scenarios do what they say, and no run that shows nothing passes.

use std::collections::BTreeSet;
use std::time::Duration;

use cluster::Rng;
use harness::guarantee::Violation;
use harness::implementation::World;
use harness::implementations;
use harness::run::NoRun;
use harness::run::{Options, run};
use harness::scenario::{self, Needs, Scenario};
use harness::vocabulary::{Membership, Op};

#[test]
fn names_are_unique_and_found() {
    for (place, scenario) in scenario::ALL.iter().enumerate() {
        assert_eq!(Scenario::named(scenario.name), Some(*scenario));
        assert!(!scenario::ALL[..place].contains(scenario), "{} occurs twice", scenario.name);
    }
    assert_eq!(Scenario::named("nonsense"), None);
}

#[test]
fn moves_fall_within_their_span_and_are_decided_by_the_seed() {
    let span = Duration::from_secs(10);
    for scenario in scenario::ALL {
        for seed in 0..50 {
            let draw = |seed| scenario.steps(World::Sim, 5, span, &mut Rng::from_seed(seed));
            let moves = draw(seed);
            assert_eq!(moves, draw(seed));
            assert!(moves.is_sorted_by_key(|step| step.at));
            assert!(moves.iter().all(|step| step.at <= span), "{}: {moves:?}", scenario.name);
        }
    }
}

#[test]
fn every_scenario_but_the_steady_one_injects_faults() {
    let [raft, dlock] =
        ["raft", "dlock"].map(|name| implementations::named(name).expect("it is registered"));
    for scenario in scenario::ALL.iter().filter(|scenario| scenario.name != "steady") {
        let implementation = match scenario.needs {
            Needs::Nodes | Needs::Locks => &dlock,
            Needs::Voters => &raft,
        };
        let span = Duration::from_secs(3);
        let options = Options { world: World::Sim, seed: 3, nodes: None, span, trace: false };
        let report = run(implementation, scenario, &options).expect("it can take everything");
        assert!(report.faults >= scenario.faults_min.max(1), "{}: {report:?}", scenario.name);
        assert_eq!(report.vacuous, None, "{}", scenario.name);
    }
}

/// A cluster that never serves proves nothing, and says so.
#[test]
fn a_run_without_service_is_vacuous() {
    let raft = implementations::named("raft").expect("it is registered");
    // Every node is dead before the run begins, and the director, who did not do it, revives none.
    let scenario = Scenario::named("steady").expect("it exists");
    let never = harness::implementation::Implementation {
        start: std::sync::Arc::new(|setting| {
            let raft = implementations::named("raft").expect("it is registered");
            let mut subject = (raft.start)(setting)?;
            subject.inject(&cluster::Fault::PowerLoss).expect("it takes every fault");
            Ok(subject)
        }),
        ..raft
    };
    let span = Duration::from_millis(100);
    let options = Options { world: World::Sim, seed: 1, nodes: None, span, trace: false };
    let report = run(&never, &scenario, &options).expect("it can be run");
    let why = report.vacuous.expect("nothing was served");
    assert!(why.contains("only 0 calls were served"), "{why}");
}

/// Else scenarios of members would show nothing of members, nor reads by lease anything of leases.
#[test]
fn voters_change_and_reads_go_every_way() {
    let raft = implementations::named("raft").expect("it is registered");
    let scenario = Scenario::named("membership-change").expect("it exists");
    let span = Duration::from_secs(6);
    let options = Options { world: World::Sim, seed: 1, nodes: None, span, trace: true };
    let history = run(&raft, &scenario, &options).expect("it can be run").history;
    let served = history.calls.iter().filter(|call| call.served());
    let (mut memberships, mut paths) = (BTreeSet::new(), Vec::new());
    for call in served {
        match &call.op {
            Op::Change(Membership::Voters(voters)) => {
                memberships.insert(voters.clone());
            }
            Op::Read { path, .. } if !paths.contains(path) => paths.push(*path),
            _ => {}
        }
    }
    assert!(memberships.len() >= 4, "few memberships: {memberships:?}");
    assert!(memberships.iter().any(|voters| voters.len() == 5), "nobody comes back");
    assert_eq!(paths.len(), raft.reads.len(), "only {paths:?}");
    let last = history.calls.iter().rev().find(|call| matches!(call.op, Op::Change(_)));
    let last = last.expect("there was an operator");
    assert!(last.served() && last.invoked >= history.healed.expect("it was repaired"));
}

/// Seeds on which a fault was found that is mended now, each with what it was.
#[test]
fn what_was_mended_stays_mended() {
    // A voter that stood, and was taken out before it heard that it lost, deposed the leader when it was
    // put in again.
    let found = [("raft", "membership-swarm", 6_423)];
    for (name, scenario, seed) in found {
        let implementation = implementations::named(name).expect("it is registered");
        let scenario = Scenario::named(scenario).expect("it exists");
        let span = harness::suite::SPAN;
        let options = Options { world: World::Sim, seed, nodes: None, span, trace: false };
        let report = run(&implementation, &scenario, &options).expect("it can be run");
        assert_eq!(report.vacuous, None, "{name}, seed {seed}");
        let claimed = |broken: &&Violation| implementation.claims.contains(&broken.guarantee);
        let broken = report.violations.iter().find(claimed);
        assert!(broken.is_none(), "{name}, seed {seed}: {broken:?}");
    }
}

#[test]
fn a_scenario_with_nothing_to_break_says_so() {
    let raft = implementations::named("raft").expect("it is registered");
    let cascade = Scenario::named("crash-cascade").expect("it exists");
    let span = Duration::from_secs(1);
    let options = Options { world: World::Sim, seed: 1, nodes: Some(1), span, trace: false };
    let refused = run(&raft, &cascade, &options).expect_err("one node has no minority");
    assert_eq!(refused, NoRun::TooFewNodes { scenario: "crash-cascade", nodes: 1 });
}
