//! A store without a leader, each node a process of its own: `quorum dev` starts a whole cluster to try
//! out, `quorum run` one node to deploy; the other commands read and write, with quorums of their own.

mod ask;
mod consistency;
mod front;
mod run;

use std::process::ExitCode;

use clap::Parser;
use cluster::cli::{Dev, Logging, Trial, end};

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
    let begun = logging.begin(matches!(command, Command::Run(_))).map_err(anyhow::Error::from);
    end("quorum", begun.and_then(|()| command.carry_out()))
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
fn hints(Trial { program, whom, fronts }: &Trial) -> Vec<String> {
    let (first, last) = (fronts[0], fronts[fronts.len() - 1]);
    vec![
        format!("redis-cli -p {first} set sky blue"),
        format!("redis-cli -p {last} get sky"),
        format!("redis-cli -p {last} consistency one"),
        format!("{program} get {whom} --quorum 1 sky"),
        format!("{program} status {whom}"),
    ]
}
