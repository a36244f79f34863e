//! `cargo xtask bench`: the comparison, by criterion.

use std::process::ExitCode;

use crate::shell::{cargo, step};

/// Compare the implementations on the same work, and name the winner of each row.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only benches whose name contains this.
    filter: Option<String>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut command = vec!["bench", "--package", "harness", "--bench", "compare"];
    if let Some(filter) = &args.filter {
        command.extend(["--", filter]);
    }
    step("benches", &mut cargo(&command))?;
    Ok(ExitCode::SUCCESS)
}
