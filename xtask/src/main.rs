//! The workspace's commands: `cargo xtask <command>`.

mod bench;
mod check;
mod ci;
mod conformance;
mod demos;
mod exhaustive;
mod input;
mod mutants;
mod shell;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Judge, test and measure the coordination patterns of this workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Put implementations through the failure scenarios and print what holds.
    Conformance(Box<conformance::Args>),
    /// Judge a history that someone else recorded.
    Check(check::Args),
    /// Search every schedule of small clusters.
    Exhaustive(exhaustive::Args),
    /// Plant bugs, and print what catches each.
    Mutants(mutants::Args),
    /// Run every test of the workspace.
    Test(test::Args),
    /// Compare the implementations on the same work, and name the winner of each row.
    Bench(bench::Args),
    /// Run the four demos, one after the other.
    Demos,
    /// Do everything that a change must pass: formatting, lints, docs, tests, demos, conformance.
    Ci,
}

/// Exit codes: 0 all is well, 1 a claim was broken (or a history is not what it should be), 2 the
/// command could not be carried out, or a step of it failed.
fn main() -> ExitCode {
    // Clusters of processes are made of this program.
    harness::hosts::become_node();
    run(Cli::parse().command).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(2)
    })
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Conformance(args) => conformance::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Exhaustive(args) => exhaustive::run(&args),
        Command::Mutants(args) => mutants::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Demos => demos::run(),
        Command::Ci => ci::run(),
    }
}
