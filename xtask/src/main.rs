//! The workspace's commands: `cargo xtask <command>`.

mod bench;
mod check;
mod ci;
mod conformance;
mod demos;
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
    Conformance(conformance::Args),
    /// Judge a history that someone else recorded.
    Check(check::Args),
    /// Run every test of the workspace.
    Test(test::Args),
    /// Compare the implementations on the same work, and name the winner of each row.
    Bench(bench::Args),
    /// Run the four demos, one after the other.
    Demos,
    /// Do everything that a change must pass: formatting, lints, docs, tests, demos, conformance.
    Ci,
}

fn main() -> anyhow::Result<ExitCode> {
    match Cli::parse().command {
        Command::Conformance(args) => conformance::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Demos => demos::run(),
        Command::Ci => ci::run(),
    }
}
