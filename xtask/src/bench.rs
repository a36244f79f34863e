//! `cargo xtask bench`: what users wait for, measured.

use std::process::ExitCode;

use crate::shell::{cargo, step};

/// Compare the implementations on the same work, and name the winner of each row; then how fast raft
/// replicates, how its key-value server does over the network, how soon it serves again after its
/// leader's crash, and how it runs on; then how fast histories are judged, and runs simulated.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only benches whose name contains this.
    filter: Option<String>,
    /// Let the field's implementations do the same beside ours: raft libraries, etcd, Redis.
    #[arg(long)]
    rivals: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    for (bench, what) in [
        ("compare", "comparison"),
        ("replicate", "replicating"),
        ("net", "serving over the network"),
        ("failover", "failing over"),
        ("endurance", "running on"),
        ("judge", "judging"),
        ("simulate", "simulating"),
    ] {
        let mut command = vec!["bench", "--package", "harness", "--bench", bench];
        if args.rivals {
            command.extend(["--features", "rivals"]);
        }
        if let Some(filter) = &args.filter {
            command.extend(["--", filter]);
        }
        step(what, &mut cargo(&command))?;
    }
    Ok(ExitCode::SUCCESS)
}
