//! Tests of the rivals' adapters: that a rival serves, and that what the suite says of it is its own
//! doing and not the adapter's.

use std::io::Write as _;
use std::time::Duration;

use cluster::{Fault, NoAnswer, NodeId};
use harness::hosts;
use harness::implementation::{Implementation, Setting, World};
use harness::rivals;
use harness::run::{Options, Report, run};
use harness::scenario::Scenario;
use harness::subject::Subject;
use harness::vocabulary::{Op, Outcome, Refusal};

/// The rivals that are nodes, and so run in the simulated world.
const NODES: [&str; 2] = ["raft-rs", "omnipaxos"];

/// The others, and the world of each.
const REAL_TIME: [(&str, World); 2] = [("openraft", World::Threads), ("etcd", World::Net)];

#[track_caller]
fn rival(name: &str) -> Implementation {
    rivals::named(name).unwrap_or_else(|| panic!("{name} is not there"))
}

/// The rival `name`; none, and a line, if it is not installed and need not be.
#[track_caller]
fn installed(name: &str) -> Option<Implementation> {
    let absent = rivals::absent().into_iter().find(|(absent, _)| *absent == name);
    let Some((_, why)) = absent else { return Some(rival(name)) };
    assert!(std::env::var_os("CI_REQUIRE_ENGINES").is_none(), "{name}: {why}");
    // Not by `eprintln!`, which a test that passes keeps to itself.
    let _ = writeln!(std::io::stderr(), "skipped: {name}: {why}");
    None
}

/// One run, in which every claim must hold.
#[track_caller]
fn check(rival: &Implementation, scenario: &str, world: World, seed: u64) -> Report {
    let scenario = Scenario::named(scenario).expect("it exists");
    let span = Duration::from_millis(if world == World::Sim { 3_000 } else { 1_000 });
    let options = Options { world, seed, nodes: None, span, trace: false };
    let report = run(rival, &scenario, &options).expect("it can take everything");
    let broken: Vec<_> =
        report.violations.iter().filter(|it| rival.claims.contains(&it.guarantee)).collect();
    assert!(broken.is_empty(), "{} × {}, seed {seed}: {broken:?}", rival.name, scenario.name);
    assert_eq!(report.vacuous, None, "{} × {}, seed {seed}", rival.name, scenario.name);
    report
}

/// Asks one node after the other until one of them does it.
#[track_caller]
fn until_done(subject: &mut dyn Subject, op: &Op) -> Outcome {
    let give_up = subject.now() + Duration::from_secs(30);
    let members = subject.members().to_vec();
    for node in members.into_iter().cycle() {
        assert!(subject.now() < give_up, "{op:?} was not done");
        let request = subject.submit(node, op.clone());
        let patience = subject.now() + Duration::from_millis(500);
        while let Some(completion) = subject.poll(patience) {
            if completion.request != request {
                continue;
            }
            match completion.outcome {
                Ok(Ok(outcome)) => return outcome,
                Ok(Err(_)) | Err(NoAnswer::Unreachable | NoAnswer::Lost) => break,
            }
        }
        let rest = subject.now() + Duration::from_millis(20);
        while subject.poll(rest).is_some() {}
    }
    unreachable!("a cluster has members")
}

#[test]
fn names_are_those_that_are_listed() {
    let present = rivals::all().into_iter().map(|rival| rival.name);
    let absent = rivals::absent().into_iter().map(|(name, _)| name);
    let mut names = Vec::from_iter(present.chain(absent));
    names.sort_unstable();
    let mut listed = rivals::NAMES;
    listed.sort_unstable();
    assert_eq!(names, listed);
    assert!(rivals::named("nonsense").is_none());
}

#[test]
fn a_seed_replays_a_rival() {
    for name in NODES {
        let rival = rival(name);
        let digest = |seed| check(&rival, "swarm", World::Sim, seed).digest;
        for seed in 1..=5 {
            assert_eq!(digest(seed), digest(seed), "{name}, seed {seed}");
        }
        assert_ne!(digest(1), digest(2), "{name}");
    }
}

#[test]
fn rivals_survive_their_leader_and_the_power() {
    for name in NODES {
        let rival = rival(name);
        for scenario in ["leader-crash", "power-loss", "one-way-partition", "reordering-network"] {
            for seed in 1..=5 {
                check(&rival, scenario, World::Sim, seed);
            }
        }
        check(&rival, "leader-crash", World::Threads, 1);
    }
}

#[test]
fn openraft_survives_its_leader_a_pause_and_the_power() {
    let openraft = rival("openraft");
    for scenario in ["leader-crash", "pause-resume", "power-loss", "duplicating-network"] {
        check(&openraft, scenario, World::Threads, 1);
    }
}

#[test]
fn etcd_survives_its_leader_a_pause_and_a_majority() {
    let Some(etcd) = installed("etcd") else { return };
    for scenario in ["leader-crash", "pause-resume", "quorum-lost"] {
        check(&etcd, scenario, World::Net, 1);
    }
}

/// What only hosts of its own can do to a process.
#[test]
fn etcd_survives_its_links_and_its_disk() {
    let Some(etcd) = installed("etcd") else { return };
    if let Err(why) = hosts::available() {
        assert!(std::env::var_os("CI_REQUIRE_ENGINES").is_none(), "{why}");
        let _ = writeln!(std::io::stderr(), "skipped: {why}");
        return;
    }
    for scenario in ["minority-partition", "one-way-partition", "reordering-network", "full-disk"] {
        check(&etcd, scenario, World::Net, 1);
    }
}

/// All die at once and come back; for etcd that is less than the loss of power.
#[test]
fn what_real_time_rivals_acknowledge_survives_them_all() {
    for (name, world) in REAL_TIME {
        let Some(rival) = installed(name) else { continue };
        let mut subject = (rival.start)(&Setting::new(world, 3, 1)).expect("it starts");
        for value in 1..=3 {
            until_done(&mut *subject, &Op::Write { key: 1, value, ticket: None });
            subject.inject(&Fault::PowerLoss).expect("it can lose power");
            for node in subject.members().to_vec() {
                assert_eq!(subject.state(node), cluster::NodeState::Down);
                subject.inject(&Fault::Restart { node }).expect("it can be started again");
            }
            let read = until_done(&mut *subject, &Op::read(1));
            assert_eq!(read, Outcome::Value(Some(value)), "{name}");
        }
    }
}

/// The disk is slow and clients are near: whoever acknowledges what is not durable on a majority
/// has told it before the power goes.
#[test]
fn what_is_acknowledged_is_durable_by_then() {
    let millis = Duration::from_millis;
    for name in NODES {
        let rival = rival(name);
        for seed in 1..=20 {
            let mut setting = Setting::new(World::Sim, rival.nodes, seed);
            setting.sim.sync = millis(15)..=millis(25);
            setting.sim.client_latency = Duration::ZERO..=Duration::ZERO;
            let mut subject = (rival.start)(&setting).expect("it starts");
            for value in 1..=10 {
                let written = until_done(&mut *subject, &Op::Write { key: 1, value, ticket: None });
                assert_eq!(written, Outcome::Written);
                subject.inject(&Fault::PowerLoss).expect("it takes every fault");
                for node in subject.members().to_vec() {
                    subject.inject(&Fault::Restart { node }).expect("it takes every fault");
                }
                let read = until_done(&mut *subject, &Op::read(1));
                assert_eq!(read, Outcome::Value(Some(value)), "{name}, seed {seed}");
            }
        }
    }
}

/// Why the adapter leaves `batch_append` off. If this fails, the library is mended.
#[test]
fn batch_append_of_raft_rs_acknowledges_entries_that_are_not_there() {
    let rival = rivals::raft_rs::with(rivals::raft_rs::Config::default().with_batch_append());
    let scenario = Scenario::named("reordering-network").expect("it exists");
    let span = Duration::from_secs(6);
    let dies = |seed| {
        let options = Options { world: World::Sim, seed, nodes: None, span, trace: false };
        let report = run(&rival, &scenario, &options).expect("it can take everything");
        report.violations.iter().any(|it| it.what.contains("is out of range [last_index"))
    };
    assert!((1..=50).any(dies), "no node panicked");
}

/// A node that stands still does nothing: no answer comes from it until it goes on.
#[test]
fn a_paused_rival_stands_still() {
    for (name, world) in REAL_TIME {
        let Some(rival) = installed(name) else { continue };
        let mut subject = (rival.start)(&Setting::new(world, 3, 1)).expect("it starts");
        until_done(&mut *subject, &Op::Write { key: 1, value: 1, ticket: None });
        let node = NodeId::new(1);
        subject.inject(&Fault::Pause { node }).expect("it can be paused");
        assert_eq!(subject.state(node), cluster::NodeState::Paused);
        let request = subject.submit(node, Op::read(1));
        let until = subject.now() + Duration::from_millis(700);
        while let Some(completion) = subject.poll(until) {
            assert_ne!(completion.request, request, "{name}: {completion:?}");
        }
        subject.inject(&Fault::Resume { node }).expect("it can go on");
        assert_eq!(until_done(&mut *subject, &Op::read(1)), Outcome::Value(Some(1)));
    }
}

/// Who is down refuses at once, and says that nothing was done.
#[test]
fn a_dead_rival_is_unreachable() {
    for (name, world) in REAL_TIME {
        let Some(rival) = installed(name) else { continue };
        let mut subject = (rival.start)(&Setting::new(world, 3, 1)).expect("it starts");
        let node = NodeId::new(2);
        subject.inject(&Fault::Crash { node }).expect("it can be killed");
        assert_eq!(subject.state(node), cluster::NodeState::Down);
        let request = subject.submit(node, Op::Write { key: 1, value: 1, ticket: None });
        let until = subject.now() + Duration::from_secs(10);
        let completion = subject.poll(until).expect("it is answered");
        assert_eq!(completion.request, request);
        assert_eq!(completion.outcome, Err(NoAnswer::Unreachable), "{name}");
    }
}

/// A follower says where to go, and does nothing.
#[test]
fn followers_point_to_the_leader() {
    for (name, world) in
        [("raft-rs", World::Sim), ("omnipaxos", World::Sim), ("openraft", World::Threads)]
    {
        let rival = rival(name);
        let mut subject = (rival.start)(&Setting::new(world, 3, 1)).expect("it starts");
        until_done(&mut *subject, &Op::Write { key: 1, value: 1, ticket: None });
        // Time for the followers to hear of the first heartbeat.
        let settled = subject.now() + Duration::from_millis(500);
        while subject.poll(settled).is_some() {}
        let members = subject.members().to_vec();
        let leader = members.iter().copied().find(|&node| subject.state(node).leads());
        assert!(leader.is_some(), "{name} has no leader");
        for node in members.into_iter().filter(|&node| Some(node) != leader) {
            let request = subject.submit(node, Op::Write { key: 1, value: 2, ticket: None });
            let until = subject.now() + Duration::from_secs(10);
            let completion = subject.poll(until).expect("it is answered");
            assert_eq!(completion.request, request);
            assert_eq!(completion.outcome, Ok(Err(Refusal::NotLeader(leader))), "{name}");
        }
    }
}
