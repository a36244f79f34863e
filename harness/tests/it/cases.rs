//! Cases: written to a file and read back, cut down, and refused with the place of the mistake.

use std::time::Duration;

use cluster::Rng;
use harness::case::{Case, Options};
use harness::guarantee::Guarantee;
use harness::implementation::World;
use harness::implementations;
use harness::moves::{Move, Split, Whom};
use harness::run::run_case;
use harness::scenario;
use harness::shrink::shrink;
use proptest::prelude::*;

fn options(seed: u64) -> Options {
    let span = Duration::from_secs(4);
    Options { world: World::Sim, seed, nodes: None, span, trace: false }
}

/// Every case that the suite draws survives being written down: it plays the same game.
#[test]
fn what_is_drawn_can_be_written_and_read() {
    let raft = implementations::named("raft").expect("it is registered");
    for scenario in scenario::ALL {
        for seed in 0..20 {
            let case = Case::draw(&raft, scenario, &options(seed));
            let text = case.to_toml();
            let mut read = Case::from_toml(&text).unwrap_or_else(|bad| panic!("{bad}\n{text}"));
            (read.faults_min, read.served_min) = (case.faults_min, case.served_min);
            assert_eq!(read, case, "{text}");
        }
    }
}

/// TOML's own numbers end at half of the seeds.
#[test]
fn every_seed_can_be_written() {
    let raft = implementations::named("raft").expect("it is registered");
    let steady = scenario::Scenario::named("steady").expect("it exists");
    for seed in [0, 1, i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX] {
        let text = Case::draw(&raft, &steady, &options(seed)).to_toml();
        assert_eq!(Case::from_toml(&text).expect("it was written by us").seed, seed, "{text}");
    }
}

/// Whoever sees a run fail can see what its seed drew.
#[test]
fn a_case_tells_what_was_drawn() {
    let text = r#"
        nodes = 3
        clients = 2
        span = "2s"
        [timing]
        latency = ["100us", "2ms"]
        [[step]]
        at = "500ms"
        do = "links"
        loss-ppm = 120000
        delay-max = "30ms"
        [[step]]
        at = "1s"
        do = "crash-after"
        node = "leader"
        effects = 3
    "#;
    let case = Case::from_toml(text).expect("it is well formed");
    let told = case.to_string();
    let lines: Vec<&str> = told.lines().collect();
    let [sizes, speeds, links, crash, end] = lines[..] else { panic!("{told}") };
    assert_eq!(sizes, "3 nodes, 2 clients, 800ms without faults, 2s with");
    assert!(speeds.starts_with("a message takes 100µs..=2ms, "), "{speeds}");
    assert_eq!(links, "    0.500 s  links  loss-ppm = 120000, delay-max = \"30ms\"");
    assert_eq!(crash, "    1.000 s  crash-after  node = \"leader\", effects = 3");
    assert_eq!(end, "    2.000 s  all is repaired, and it must serve and agree again");
    let seeds = [1, 2].map(|seed| {
        let swarm = scenario::Scenario::named("swarm").expect("it exists");
        let raft = implementations::named("raft").expect("it is registered");
        Case::draw(&raft, &swarm, &options(seed)).to_string()
    });
    assert_ne!(seeds[0], seeds[1]);
}

#[test]
fn a_case_from_a_file_replays_to_the_same_event_log() {
    let raft = implementations::named("raft").expect("it is registered");
    let swarm = scenario::Scenario::named("swarm").expect("it exists");
    let case = Case::draw(&raft, &swarm, &options(5));
    let read = Case::from_toml(&case.to_toml()).expect("it was written by us");
    let digest = |case| run_case(&raft, case, false).expect("it can be run").digest;
    assert!(digest(&case).is_some());
    assert_eq!(digest(&case), digest(&read));
}

/// A failing run shrinks to a tenth of its events at most, and its file breaks the same guarantee.
#[test]
fn a_failing_run_shrinks_to_a_tenth_and_still_fails_the_same_way() {
    let partial = implementations::named("quorum-partial").expect("it is registered");
    let swarm = scenario::Scenario::named("swarm").expect("it exists");
    let broken = Guarantee::Linearizability;
    let fails = |case: &Case| {
        let report = run_case(&partial, case, false).expect("it can be run");
        report.violations.iter().any(|violation| violation.guarantee == broken)
    };
    let mut cases = (1..50).map(|seed| Case::draw(&partial, &swarm, &options(seed)));
    let case = cases.find(fails).expect("R = W = 1 reads stale values");
    let shrunk = shrink(&partial, &case, broken).expect("it fails");
    assert!(shrunk.events * 10 <= shrunk.events_before, "{shrunk:?}");
    let read = Case::from_toml(&shrunk.case.to_toml()).expect("it was written by us");
    assert_eq!(read.breaks, Some(broken));
    assert!(fails(&read));
}

/// What is not claimed to be survived is still so when it is read from a file.
#[test]
fn a_run_beyond_all_claims_stays_so_in_its_file() {
    let bully = implementations::named("bully").expect("it is registered");
    let raft = implementations::named("raft").expect("it is registered");
    let wiped = scenario::Scenario::named("wiped-node").expect("it exists");
    let case = Case::draw(&bully, &wiped, &options(1));
    let read = Case::from_toml(&case.to_toml()).expect("it was written by us");
    assert_eq!(read.beyond.as_deref(), wiped.beyond);
    assert!(read.beyond.is_some() && read.claims(&bully).is_empty());
    assert_eq!(Case { beyond: None, ..read }.claims(&bully), bully.claims);
    assert_eq!(Case::draw(&raft, &wiped, &options(1)).claims(&raft), raft.claims);
}

#[test]
fn what_does_not_fail_cannot_be_shrunk() {
    let quorum = implementations::named("quorum").expect("it is registered");
    let steady = scenario::Scenario::named("steady").expect("it exists");
    let case = Case::draw(&quorum, &steady, &options(1));
    assert!(shrink(&quorum, &case, Guarantee::Linearizability).is_none());
}

#[test]
fn a_file_says_what_happens() {
    let text = r#"
        nodes = 3
        [[step]]
        at = "1s"
        do = "restart"
        [[step]]
        at = "500ms"
        do = "crash"
        node = 2
        [[step]]
        at = "700ms"
        do = "isolate-leader"
        with = 1
    "#;
    let case = Case::from_toml(text).expect("it is well formed");
    let steps: Vec<_> = case.steps.iter().map(|step| (step.at, step.what.clone())).collect();
    let millis = Duration::from_millis;
    let second = cluster::NodeId::new(2);
    assert_eq!(
        steps,
        [
            (millis(500), Move::Crash(Whom::Node(second))),
            (millis(700), Move::Split(Split::LeaderAnd(1))),
            (millis(1_000), Move::Restart(Whom::All)),
        ]
    );
}

#[track_caller]
fn check_bad(text: &str, line: usize, parts: &[&str]) {
    let bad = Case::from_toml(text).expect_err("it is wrong");
    assert_eq!(bad.line, line, "{bad}");
    for part in parts {
        assert!(bad.to_string().contains(part), "{bad}\nexpected to name: {part}");
    }
}

#[track_caller]
fn check_step(fields: &str, line: usize, parts: &[&str]) {
    check_bad(&format!("[[step]]\n{fields}"), line, parts);
}

#[test]
fn a_mistake_is_named_with_its_line_and_what_was_expected() {
    check_bad("nodes = 0", 1, &["`nodes` is 0", "1 to 64"]);
    check_bad("nodes = 3\nclients = 1000", 2, &["`clients` is 1000", "1 to 64"]);
    check_bad("\nnods = 3", 2, &["unknown field `nods`", "nodes"]);
    check_bad("seed = \"x\"", 1, &["`seed`", "\"x\"", "a whole number from 0"]);
    check_bad("seed = -1", 1, &["`seed`", "`-1`", "a whole number from 0"]);
    check_bad("nodes = -1", 1, &["`nodes`", "-1"]);
    check_bad("nodes = 1e9", 1, &["`nodes`"]);
    check_bad("nodes = 99999999999999999999", 1, &["`nodes`"]);
    for nothing in ["", "\n\n", "# nothing\n  # at all"] {
        check_bad(nothing, 1, &["found nothing", "`implementation = \"raft\"`"]);
    }
    check_bad("implementation = \"zab\"", 1, &["`implementation` is \"zab\"", "raft", "etcd"]);
    check_bad("warm-up = \"1000 years\"", 1, &["`warm-up` is longer than 1h"]);
    check_bad("span = \"-1s\"", 1, &["`span`"]);
    check_bad("span = \"99999999999999999999s\"", 1, &["`span`"]);
    check_bad("span = \"two hours\"", 1, &["span"]);
    check_bad("span = \"2h\"", 1, &["`span` is longer than 1h"]);
    check_bad("world = \"moon\"", 1, &["moon", "sim"]);
    check_bad("beyond = true", 1, &["`beyond`", "string"]);
    check_bad("breaks = \"trust\"", 1, &["trust", "linearizability"]);
    check_bad("[[step]]\ndo = \"heal\"", 1, &["a step needs `at`", "500ms"]);
    check_bad("[[step]]\nat = \"1s\"", 1, &["a step needs `do`", "power-loss"]);
    check_bad("[[step]]\nat = \"1s\"\ndo = \"explode\"", 3, &["\"explode\"", "crash"]);
    check_bad("[[step]]\nat = \"1s\"\ndo = \"heal\"\nnode = 1", 4, &["`heal` takes no `node`"]);
    check_bad("[[step]]\nat = \"1s\"\ndo = \"crash\"\nnode = 9", 4, &["no node 9", "1 to 5"]);
    check_bad("[[step]]\nat = \"1s\"\ndo = \"crash\"\nnode = \"x\"", 4, &["\"x\"", "\"leader\""]);
    check_step("at = \"1s\"\ndo = \"cut\"\nfrom = []\nto = [1]", 4, &["`from` names no node"]);
    check_step("at = \"1s\"\ndo = \"partition\"\ngroups = [[1]]", 4, &["fewer than two sides"]);
    let cut = "[[step]]\nat = \"1s\"\ndo = \"partition\"\ngroups = [[1], [1]]";
    check_bad(cut, 4, &["node 1 on two sides"]);
    let links = "[[step]]\nat = \"1s\"\ndo = \"links\"\nloss-ppm = 2000000";
    check_bad(links, 4, &["`loss-ppm` is 2000000", "1000000"]);
    check_step("at = \"2h\"\ndo = \"heal\"", 2, &["`at` is longer than 1h"]);
    check_step("do = \"isolate-leader\"\nwith = 5\nat = \"1s\"", 3, &["`with` is 5", "0 to 4"]);
    let huge = i64::MAX;
    let absurd = |deed, field, value| format!("at = \"1s\"\ndo = \"{deed}\"\n{field} = {value}");
    check_step(&absurd("isolate-followers", "count", huge), 4, &["`count` is", "1 to 5"]);
    check_step(&absurd("crash", "node = \"any\"\ncount", 0), 5, &["`count` is 0", "1 to 5"]);
    check_step(&absurd("clock", "drift-ppm", -2_000_000), 4, &["`drift-ppm` is -2000000"]);
    check_step(&absurd("clock", "jump-ms", huge), 4, &["`jump-ms` is"]);
    check_step(&absurd("skew-clocks", "drift-ppm-max", 4_000_000), 4, &["`drift-ppm-max` is"]);
    check_step(&absurd("crash-after", "effects", -1), 4, &["`effects`"]);
    for (deed, field) in [
        ("links", "delay-max"),
        ("skew-clocks", "jump-max"),
        ("disk", "slow"),
        ("pause-client", "for"),
    ] {
        let text = format!("at = \"1s\"\ndo = \"{deed}\"\n{field} = \"2h\"");
        check_step(&text, 4, &[field, "longer than 1h"]);
    }
    check_step("at = \"1s\"\ndo = \"pause-client\"", 3, &["`pause-client` needs `for`"]);
    let many = "[[step]]\nat = \"1s\"\ndo = \"heal\"\n".repeat(10_001);
    check_bad(&many, 30_001, &["more than 10000"]);
    check_bad("[timing]\nsync = [\"2ms\", \"1ms\"]", 2, &["`sync` must be [low, high]"]);
    check_bad("nodes = 3\n[[step", 2, &[]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_text_panics_the_reader(text in "\\PC*") {
        let _ = Case::from_toml(&text);
    }

    /// Files that are nearly right: one drawn case, with a few bytes changed.
    #[test]
    fn no_damaged_file_panics_the_reader(seed in 0_u64..1_000, cuts in prop::collection::vec((0_usize..4_000, "\\PC?"), 1..4)) {
        let raft = implementations::named("raft").expect("it is registered");
        let mut rng = Rng::from_seed(seed);
        let scenario = rng.pick(scenario::ALL).expect("there are several");
        let mut text = Case::draw(&raft, scenario, &options(seed)).to_toml();
        for (at, with) in cuts {
            let at = at % (text.len() + 1);
            if text.is_char_boundary(at) {
                let end = (at + 1..=text.len()).find(|&end| text.is_char_boundary(end));
                text.replace_range(at..end.unwrap_or(at), &with);
            }
        }
        let _ = Case::from_toml(&text);
    }
}
