//! A lock service, each node a process of its own: `dlock dev` starts a whole cluster to try out,
//! `dlock run` one node to deploy, `dlock lock` runs a command while a lock is held.

mod ask;
mod lock;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use cluster::cli::{Dev, Logging, Serving, Trial, span};
use cluster::net::Server;
use dlock::{Config, LockNode, Request};

/// How long a node that stops tries to hand over.
const HAND_OVER: Duration = Duration::from_secs(2);

/// Locks with fencing tokens, kept by a cluster.
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
    Run(Run),
    /// Run a whole cluster in this terminal, a process a node, to try it out
    Dev(Dev),
    /// Show how each node is; fails unless one leads
    Status(ask::Status),
    /// Show all locks that are held
    Locks(ask::Locks),
    /// Run a command while a lock is held, and end as it does
    Lock(lock::Lock),
}

#[derive(clap::Args)]
struct Run {
    #[command(flatten)]
    serving: Serving,
    /// How long a follower hears nothing before it stands for election; up to twice that, by chance. The
    /// same for all nodes
    #[arg(long, value_name = "SPAN", default_value = "150ms", value_parser = span)]
    election_timeout: Duration,
    /// How long a lease lasts that was asked for without saying so. The same for all nodes
    #[arg(long, value_name = "SPAN", default_value = "30s", value_parser = span)]
    ttl_default: Duration,
}

impl Run {
    fn run(&self) -> anyhow::Result<()> {
        let timeout = self.election_timeout;
        let config = Config::default()
            .with_election_timeout(timeout..=timeout.saturating_mul(2))
            .with_heartbeat(timeout / 5)
            .with_ttl_default(self.ttl_default);
        Ok(self.serving.start::<LockNode>(config)?.until_told(hand_over)?)
    }
}

/// So that the others need not wait until it is missed.
fn hand_over(server: &Server<LockNode>) {
    if server.state().leads() {
        // Whether it did or not: what is left to do is the same.
        let _ = server.ask(Request::HandOver, HAND_OVER);
    }
}

fn main() -> ExitCode {
    let Arguments { command, logging } = Arguments::parse();
    let begun = logging.begin(matches!(command, Command::Run(_))).map_err(anyhow::Error::from);
    begun.and_then(|()| command.carry_out()).unwrap_or_else(|error| {
        eprintln!("dlock: {error:#}");
        ExitCode::from(lock::FAILED)
    })
}

impl Command {
    fn carry_out(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Run(run) => run.run()?,
            Self::Dev(dev) => dev.run(None, hints)?,
            Self::Status(status) => status.run()?,
            Self::Locks(locks) => locks.run()?,
            Self::Lock(lock) => return lock.run(),
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What to try in a cluster that was just started.
fn hints(Trial { program, whom, .. }: &Trial) -> Vec<String> {
    vec![
        format!("{program} lock {whom} sky -- sh -c 'echo token $DLOCK_TOKEN; sleep 10'"),
        format!("{program} locks {whom}"),
        format!("{program} status {whom}"),
    ]
}
