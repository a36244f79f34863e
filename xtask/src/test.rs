//! `cargo xtask test`: every test of the workspace.

use std::process::ExitCode;

use crate::shell::{cargo, step};

/// Run every test of the workspace.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only tests whose name contains this.
    filter: Option<String>,
}

/// The crates that can be built with planted bugs.
const WITH_MUTANTS: [&str; 7] = ["cluster", "bully", "raft", "dlock", "quorum", "harness", "wal"];

/// What builds the binaries of the patterns, whose tests run them.
const BINARIES: &str = "bully/cli,raft/cli,dlock/cli,quorum/cli";

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let filter = args.filter.as_deref();
    let mut plain = vec!["test", "--workspace", "--features", BINARIES];
    plain.extend(filter);
    step("tests", &mut cargo(&plain))?;
    // Apart from the others, so that no other test runs with a bug in reach.
    let mut mutants = vec!["test"];
    for package in WITH_MUTANTS {
        mutants.extend(["--package", package]);
    }
    mutants.extend(["--features", "bully/mutants,raft/mutants,dlock/mutants,quorum/mutants"]);
    mutants.extend(["--features", "cluster/mutants,harness/mutants,wal/mutants"]);
    mutants.extend(["--test", "it", "--test", "page", "--test", "hosts", "mutants"]);
    if filter.is_none() {
        step("planted bugs are caught", &mut cargo(&mutants))?;
    }
    Ok(ExitCode::SUCCESS)
}
