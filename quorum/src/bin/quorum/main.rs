//! A store without a leader, each node a process of its own: `quorum dev` starts a whole cluster to try
//! out, `quorum run` one node to deploy; the other commands read and write, with quorums of their own.

mod ask;
mod front;
mod run;

use std::process::ExitCode;

use clap::Parser;
use cluster::cli::{Dev, Logging, Place};

/// A store that any node coordinates: N replicas a key, R to read, W to write.
#[derive(Parser)]
#[command(version, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    logging: Logging,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Run one node of a cluster, until SIGTERM or Ctrl-C
    Run(run::Run),
    /// Run a whole cluster in this terminal, a process a node, to try it out
    Dev(Dev),
    /// Show how each node is; fails if none answers
    Status(ask::Status),
    /// Print what a key holds, and what that is worth
    Get(ask::Get),
    /// Write a value
    Put(ask::Put),
    /// Delete what a key holds
    Del(ask::Del),
}

fn main() -> ExitCode {
    let Arguments { command, logging } = Arguments::parse();
    // Who asks a cluster reads the answer; a node's operator reads what it says.
    let levels = if matches!(command, Command::Run(_)) { "info" } else { "error" };
    let begun = logging.begin(levels).map_err(anyhow::Error::from);
    match begun.and_then(|()| command.carry_out()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("quorum: {error:#}");
            ExitCode::FAILURE
        }
    }
}

impl Command {
    fn carry_out(self) -> anyhow::Result<()> {
        match self {
            Self::Run(run) => run.run(),
            Self::Dev(dev) => Ok(dev.run(Some("--redis"), hints)?),
            Self::Status(status) => status.run(),
            Self::Get(get) => get.run(),
            Self::Put(put) => put.run(),
            Self::Del(del) => del.run(),
        }
    }
}

/// What to try in a cluster that was just started.
fn hints(places: &[Place]) -> String {
    let (first, last) = (places[0], places[places.len() - 1]);
    let nodes: Vec<_> =
        places.iter().map(|place| format!("{}={}", place.id.get(), place.node)).collect();
    let program = std::env::args().next().unwrap_or_default();
    let whom = format!("--cluster dev --nodes {}", nodes.join(","));
    format!(
        "\nTry, in another terminal:\n\
         \x20 redis-cli -p {} set sky blue\n\
         \x20 redis-cli -p {} get sky\n\
         \x20 {program} get {whom} --quorum 1 sky\n\
         \x20 {program} status {whom}\n\
         End it with Ctrl-C.\n\n",
        first.front.port(),
        last.front.port(),
    )
}
