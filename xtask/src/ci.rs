//! `cargo xtask ci`: what a change must pass, in the order in which it is quickest to fail.

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::demos;
use crate::shell::{cargo, step};

/// How many seeds of the swarms are new each time: the suite's own are the same each time, and a fault
/// that they miss they always miss.
const FRESH: u64 = 1_000;

pub(crate) fn run() -> anyhow::Result<ExitCode> {
    step("formatting", &mut cargo(&["fmt", "--all", "--check"]))?;
    let lints = ["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"];
    step("lints", &mut cargo(&lints))?;
    let all = "xtask/mutants,xtask/rivals";
    let lints = ["clippy", "--workspace", "--all-targets", "--features", all, "--", "-Dwarnings"];
    step("lints with planted bugs and rivals", &mut cargo(&lints))?;
    let lints = ["clippy", "--package", "raft", "--no-default-features", "--", "-Dwarnings"];
    step("lints without metrics and traces", &mut cargo(&lints))?;
    let lints = ["clippy", "--package", "cluster", "--no-default-features", "--features", "net"];
    step("lints without TLS", cargo(&lints).args(["--", "-Dwarnings"]))?;
    let all = "raft/cli,bully/cli,dlock/cli,quorum/cli,cluster/cli";
    let patterns = ["raft", "bully", "dlock", "quorum", "cluster"].map(|name| ["--package", name]);
    let mut lints = cargo(&["clippy", "--all-targets", "--features", all]);
    step("lints of the binaries", lints.args(patterns.as_flattened()).args(["--", "-Dwarnings"]))?;
    let mut docs =
        cargo(&["doc", "--workspace", "--no-deps", "--features", "harness/rivals,cluster/cli"]);
    step("docs", docs.env("RUSTDOCFLAGS", "--deny warnings"))?;
    step("tests", &mut cargo(&["xtask", "test"]))?;
    let rivals = ["test", "--package", "harness", "--features", "rivals", "--test", "rivals"];
    step("tests of the rivals' adapters", &mut cargo(&rivals))?;
    demos::run()?;
    step("every schedule", &mut cargo(&["xtask", "exhaustive"]))?;
    step("planted bugs", &mut cargo(&["xtask", "mutants", "--json", "target/mutants.json"]))?;
    let report = ["--report", "target/report", "--mutants", "target/mutants.json"];
    let mut conformance = cargo(&["xtask", "conformance"]);
    step("conformance", conformance.args(report))?;
    let mut conformance = cargo(&["xtask", "conformance", "--world", "net"]);
    step("conformance of processes", &mut conformance)?;
    let (first, count) = (fresh_seed().to_string(), FRESH.to_string());
    let fresh = ["--world", "sim", "--first-seed", &first, "--seeds", &count];
    let swarms = ["--scenario", "swarm", "--scenario", "membership-swarm"];
    let mut conformance = cargo(&["xtask", "conformance"]);
    step("seeds that nobody has tried", conformance.args(swarms).args(fresh))?;
    let rivals =
        ["raft-rs", "omnipaxos", "openraft", "etcd"].map(|name| ["--implementation", name]);
    let mut conformance = cargo(&["xtask", "conformance", "--rivals", "--seeds", "20"]);
    step("conformance of the rivals", conformance.args(rivals.as_flattened()))?;
    // Whether they run, not how fast: so as the tests are built.
    let quick = ["test", "--workspace", "--benches", "--", "--test"];
    step("benches run", &mut cargo(&quick))?;
    Ok(ExitCode::SUCCESS)
}

/// Where this run's slice of seeds begins: slices of different minutes share none. What fails is
/// printed with its seed, which replays it at any time.
fn fresh_seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs() / 60 * FRESH
}
