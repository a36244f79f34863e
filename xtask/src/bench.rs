//! `cargo xtask bench`: what users wait for, measured.

use std::process::ExitCode;

use crate::shell::{cargo, step};

/// Compare the implementations on the same work, and name the winner of each row; then how fast
/// histories are judged, and runs simulated.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only benches whose name contains this.
    filter: Option<String>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    for (bench, what) in
        [("compare", "comparison"), ("judge", "judging"), ("simulate", "simulating")]
    {
        let mut command = vec!["bench", "--package", "harness", "--bench", bench];
        if let Some(filter) = &args.filter {
            command.extend(["--", filter]);
        }
        step(what, &mut cargo(&command))?;
    }
    Ok(ExitCode::SUCCESS)
}
