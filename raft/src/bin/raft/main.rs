//! A replicated map that Redis clients speak to, each node a process of its own: `raft dev` starts a
//! whole cluster to try out, `raft run` one node to deploy.

mod ask;
mod front;
mod map;
mod recover;
mod run;

use std::process::ExitCode;

use clap::Parser;
use cluster::cli::{Dev, Logging, Place};

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
    let carried_out = match command {
        Command::Run(run) => begin(logging, "info").and_then(|()| run.run()),
        Command::Dev(dev) => dev.run(Some("--redis"), hints).map_err(Into::into),
        Command::Status(status) => begin(logging, "error").and_then(|()| status.run()),
        Command::Transfer(transfer) => begin(logging, "error").and_then(|()| transfer.run()),
        Command::Members(members) => begin(logging, "error").and_then(|()| members.run()),
        Command::Recover(recover) => begin(logging, "error").and_then(|()| recover.run()),
    };
    match carried_out {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("raft: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn begin(logging: Logging, default: &str) -> anyhow::Result<()> {
    Ok(logging.begin(default)?)
}

/// What to try in a cluster that was just started.
fn hints(places: &[Place]) -> String {
    let (first, last) = (places[0], places[places.len() - 1]);
    let nodes: Vec<_> =
        places.iter().map(|place| format!("{}={}", place.id.get(), place.node)).collect();
    let nodes = nodes.join(",");
    format!(
        "\nTry, in another terminal:\n\
         \x20 redis-cli -p {} set sky blue\n\
         \x20 redis-cli -p {} get sky\n\
         \x20 redis-cli -p {} info\n\
         \x20 {} status --cluster dev --nodes {nodes}\n\
         End it with Ctrl-C.\n\n",
        first.front.port(),
        last.front.port(),
        first.front.port(),
        std::env::args().next().unwrap_or_default(),
    )
}
