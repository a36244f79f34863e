//! A replicated map that Redis clients speak to, each node a process of its own: `raft dev` starts a
//! whole cluster to try out, `raft run` one node to deploy.

mod ask;
mod front;
mod map;
mod recover;
mod run;

use std::process::ExitCode;

use clap::Parser;
use cluster::cli::{Dev, Logging, Trial, end};

/// A replicated map that Redis clients speak to.
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
    /// Run one node of a cluster, until SIGTERM or Ctrl-C; it hands over first if it leads
    Run(run::Run),
    /// Run a whole cluster in this terminal, a process a node, to try it out
    Dev(Dev),
    /// Show how each node is; fails unless one leads
    Status(ask::Status),
    /// Hand the lead over to another node
    Transfer(ask::Transfer),
    /// Change who takes part: one of the nodes that the cluster was started with, or back
    Members(ask::Members),
    /// When a majority is lost for good: go on with the nodes that are left. None of them may run
    Recover(recover::Recover),
}

fn main() -> ExitCode {
    let Arguments { command, logging } = Arguments::parse();
    let begun = logging.begin(matches!(command, Command::Run(_))).map_err(anyhow::Error::from);
    end("raft", begun.and_then(|()| command.carry_out()))
}

impl Command {
    fn carry_out(self) -> anyhow::Result<()> {
        match self {
            Self::Run(run) => run.run(),
            Self::Dev(dev) => Ok(dev.run(Some("--redis"), hints)?),
            Self::Status(status) => status.run(),
            Self::Transfer(transfer) => transfer.run(),
            Self::Members(members) => members.run(),
            Self::Recover(recover) => recover.run(),
        }
    }
}

/// What to try in a cluster that was just started.
fn hints(Trial { program, whom, fronts }: &Trial) -> Vec<String> {
    let (first, last) = (fronts[0], fronts[fronts.len() - 1]);
    vec![
        format!("redis-cli -p {first} set sky blue"),
        format!("redis-cli -p {last} get sky"),
        format!("redis-cli -p {first} info"),
        format!("{program} status {whom}"),
    ]
}
