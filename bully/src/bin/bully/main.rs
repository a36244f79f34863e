//! Leader election, each node a process of its own: `bully dev` starts a whole cluster to try out, `bully
//! run` one node to deploy, and the other commands ask a cluster who leads.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use bully::{Belief, Bully, Config, Election, ElectionError, Leader, Request};
use clap::Parser;
use cluster::NodeId;
use cluster::cli::{Dev, Logging, Serving, Trial, Whom, end, node, span, table};
use cluster::net::Server;

/// Leader election: the highest live node that a majority hears leads.
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
    /// Run one node of a cluster, until SIGTERM or Ctrl-C; it resigns first if it leads
    Run(Run),
    /// Run a whole cluster in this terminal, a process a node, to try it out
    Dev(Dev),
    /// Show what each node believes; fails unless one leads
    Status(Whom),
    /// Print who leads, and its epoch, as the leader itself says
    Leader(Whom),
    /// Print who leads whenever that changes, until it is ended
    Watch(Watch),
    /// Let a node that leads leave it to others for a while
    Resign(Resign),
}

#[derive(clap::Args)]
struct Run {
    #[command(flatten)]
    serving: Serving,
    /// How long a leader may be silent. The same for all nodes
    #[arg(long, value_name = "SPAN", default_value = "300ms", value_parser = span)]
    timeout: Duration,
    /// How often it is heard of. The same for all nodes
    #[arg(long, value_name = "SPAN", default_value = "50ms", value_parser = span)]
    heartbeat: Duration,
}

#[derive(clap::Args)]
struct Watch {
    #[command(flatten)]
    whom: Whom,
    /// How often to ask
    #[arg(long, value_name = "SPAN", default_value = "250ms", value_parser = span)]
    every: Duration,
}

#[derive(clap::Args)]
struct Resign {
    #[command(flatten)]
    whom: Whom,
    /// Which node
    #[arg(value_parser = node)]
    node: NodeId,
}

fn main() -> ExitCode {
    let Arguments { command, logging } = Arguments::parse();
    let begun = logging.begin(matches!(command, Command::Run(_))).map_err(anyhow::Error::from);
    end("bully", begun.and_then(|()| command.carry_out()))
}

impl Command {
    fn carry_out(self) -> anyhow::Result<()> {
        match self {
            Self::Run(run) => run.run(),
            Self::Dev(dev) => Ok(dev.run(None, hints)?),
            Self::Status(whom) => status(&whom),
            Self::Leader(whom) => leader(&whom),
            Self::Watch(watch) => watch.run(),
            Self::Resign(resign) => resign.run(),
        }
    }
}

impl Run {
    fn run(&self) -> anyhow::Result<()> {
        let config = Config::default().with_timeout(self.timeout).with_heartbeat(self.heartbeat);
        Ok(self.serving.start::<Bully>(config)?.until_told(resign)?)
    }
}

/// So that the others need not wait until it is missed.
fn resign(server: &Server<Bully>) {
    if server.state().leads() {
        // Whether it did or not: what is left to do is the same.
        let _ = server.ask(Request::Resign, Duration::from_secs(2));
    }
}

fn election(whom: &Whom) -> anyhow::Result<Election> {
    Ok(Election::new(whom.caller()?, whom.timeout))
}

fn status(whom: &Whom) -> anyhow::Result<()> {
    let election = election(whom)?;
    // All at once: who is silent holds up nobody's answer but his own.
    let asked: Vec<_> = whom.peers.nodes().map(|(id, at)| (id, at, election.belief(id))).collect();
    let mut led = false;
    let mut rows = Vec::new();
    for (id, at, call) in asked {
        let [says, epoch] = match call.wait() {
            Ok(Belief { leader, epoch }) => {
                led |= leader == Some(id);
                [believes(id, leader), epoch.get().to_string()]
            }
            Err(error) => [error.to_string(), String::new()],
        };
        rows.push([id.to_string(), at.to_string(), says, epoch]);
    }
    print!("{}", table(["node", "address", "says", "epoch"], &rows));
    anyhow::ensure!(led, "no node leads");
    Ok(())
}

fn leader(whom: &Whom) -> anyhow::Result<()> {
    let leader = election(whom)?.leader().wait().context("no node leads")?;
    println!("{}", told(leader));
    Ok(())
}

impl Watch {
    fn run(&self) -> anyhow::Result<()> {
        let election = election(&self.whom)?;
        let mut known = None;
        loop {
            let now = acting(&election)?;
            if known != Some(now) {
                println!("{}", now.map_or_else(|| "no node leads".to_owned(), told));
                known = Some(now);
            }
            std::thread::sleep(self.every);
        }
    }
}

impl Resign {
    fn run(&self) -> anyhow::Result<()> {
        election(&self.whom)?.resign(self.node).wait()?;
        println!("{} leads no more", self.node);
        Ok(())
    }
}

/// Who acts as leader at this moment, as it says itself: a node that does not answer is passed over.
fn acting(election: &Election) -> anyhow::Result<Option<Leader>> {
    let members = election.members().iter();
    let asked: Vec<_> = members.map(|&node| (node, election.lead(node))).collect();
    for (node, call) in asked {
        match call.wait() {
            Ok(epoch) => return Ok(Some(Leader { node, epoch })),
            Err(error @ ElectionError::Mismatch) => return Err(error).context(node),
            Err(ElectionError::Refused(_) | ElectionError::NoAnswer(_)) => {}
        }
    }
    Ok(None)
}

fn told(Leader { node, epoch }: Leader) -> String {
    format!("{node} leads, epoch {}", epoch.get())
}

fn believes(id: NodeId, leader: Option<NodeId>) -> String {
    match leader {
        Some(leader) if leader == id => "leads".to_owned(),
        Some(leader) => format!("follows {leader}"),
        None => "knows no leader".to_owned(),
    }
}

/// What to try in a cluster that was just started.
fn hints(Trial { program, whom, fronts }: &Trial) -> Vec<String> {
    vec![
        format!("{program} watch {whom}"),
        // The highest: it leads.
        format!("{program} resign {whom} {}", fronts.len()),
        format!("{program} status {whom}"),
    ]
}
