//! Leader election, each node a process of its own: `bully dev` starts a whole cluster to try out, `bully
//! run` one node to deploy, and the other commands ask a cluster who leads.

use std::process::ExitCode;
use std::time::Duration;

use bully::{Answer, Bully, Config, Error, Request};
use clap::Parser;
use cluster::cli::{Dev, Logging, Serving, Trial, Whom, end, node, span, table};
use cluster::net::Server;
use cluster::threads::Client;
use cluster::{Epoch, NodeId};

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

fn status(whom: &Whom) -> anyhow::Result<()> {
    let mut client = whom.client::<Bully>()?;
    let mut led = false;
    let mut rows = Vec::new();
    for (id, at) in whom.peers.nodes() {
        let [says, epoch] = match client.call(id, Request::Leader, whom.timeout) {
            Ok(Ok(Answer::Leader { leader, epoch })) => {
                led |= leader == Some(id);
                [believes(id, leader), epoch.get().to_string()]
            }
            Ok(Ok(Answer::Leading { .. } | Answer::Resigned)) => {
                ["answers another question".to_owned(), String::new()]
            }
            Ok(Err(error)) => [error.to_string(), String::new()],
            Err(error) => [error.to_string(), String::new()],
        };
        rows.push([id.to_string(), at.to_string(), says, epoch]);
    }
    print!("{}", table(["node", "address", "says", "epoch"], &rows));
    anyhow::ensure!(led, "no node leads");
    Ok(())
}

fn leader(whom: &Whom) -> anyhow::Result<()> {
    match acting(&mut whom.client()?, whom.timeout)? {
        Some((leader, epoch)) => println!("{leader} leads, epoch {}", epoch.get()),
        None => anyhow::bail!("no node leads"),
    }
    Ok(())
}

impl Watch {
    fn run(&self) -> anyhow::Result<()> {
        let mut client = self.whom.client()?;
        let mut known = None;
        loop {
            let now = acting(&mut client, self.whom.timeout)?;
            if known != Some(now) {
                match now {
                    Some((leader, epoch)) => println!("{leader} leads, epoch {}", epoch.get()),
                    None => println!("no node leads"),
                }
                known = Some(now);
            }
            std::thread::sleep(self.every);
        }
    }
}

impl Resign {
    fn run(&self) -> anyhow::Result<()> {
        let mut client = self.whom.client::<Bully>()?;
        client.call(self.node, Request::Resign, self.whom.timeout)??;
        println!("{} leads no more", self.node);
        Ok(())
    }
}

/// Who acts as leader, as it says itself: every node is asked, and one that does not answer in `timeout`
/// is passed over.
fn acting(
    client: &mut Client<Bully>,
    timeout: Duration,
) -> anyhow::Result<Option<(NodeId, Epoch)>> {
    for node in client.members().to_vec() {
        match client.call(node, Request::Lead, timeout) {
            Ok(Ok(Answer::Leading { epoch })) => return Ok(Some((node, epoch))),
            Ok(Ok(Answer::Leader { .. } | Answer::Resigned)) => {
                anyhow::bail!("{node} answers another question")
            }
            Ok(Err(Error::NotLeader { .. })) | Err(_) => {}
        }
    }
    Ok(None)
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
