//! What is asked of a cluster that runs.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use cluster::cli::{Whom, node, table};
use cluster::{NodeId, Role};
use raft::{Call, Change, Handle, Kind};

use crate::map::Map;

fn handle(whom: &Whom) -> anyhow::Result<Handle<Map>> {
    Ok(Handle::over(whom.peers.connect()?).with_timeout(whom.timeout))
}

#[derive(clap::Args)]
pub(crate) struct Status {
    #[command(flatten)]
    whom: Whom,
}

impl Status {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let handle = handle(&self.whom)?;
        // All at once: who is silent holds up nobody's answer but his own.
        let asked = self.whom.peers.nodes().map(|(id, at)| (id, at, handle.status(id)));
        let asked: Vec<_> = asked.collect();
        let mut led = false;
        let row = |(id, at, call): (NodeId, SocketAddr, Call<raft::Status>)| {
            let mut row = [
                id.to_string(),
                format!("{at}"),
                String::new(),
                String::new(),
                String::new(),
                String::new(),
                String::new(),
            ];
            match call.wait() {
                Ok(status) => {
                    led |= status.role == Role::Leader;
                    row[2] = format!("{:?}", status.role).to_lowercase();
                    row[3] = status.term.to_string();
                    row[4] = status.commit.to_string();
                    row[5] = status.applied.to_string();
                    row[6] = format!("{:?}", status.recognition).to_lowercase();
                    if status.kind == Kind::Witness {
                        row[6].push_str(", witness");
                    }
                }
                Err(error) => row[2] = error.to_string(),
            }
            row
        };
        let rows: Vec<_> = asked.into_iter().map(row).collect();
        let head = ["node", "address", "role", "term", "commit", "applied", "known as"];
        print!("{}", table(head, &rows));
        anyhow::ensure!(led, "no node leads");
        Ok(())
    }
}

#[derive(clap::Args)]
pub(crate) struct Transfer {
    #[command(flatten)]
    whom: Whom,
    /// To whom; if it is not given, to the follower that has come furthest
    #[arg(long, value_name = "ID", value_parser = node)]
    to: Option<NodeId>,
}

impl Transfer {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let leader = handle(&self.whom)?.transfer(self.to).wait()?;
        println!("{leader} leads");
        Ok(())
    }
}

#[derive(clap::Args)]
pub(crate) struct Members {
    #[command(flatten)]
    whom: Whom,
    #[command(subcommand)]
    wish: Wish,
}

#[derive(clap::Subcommand)]
enum Wish {
    /// The node votes, whatever it was; it catches up first
    Add {
        #[arg(value_parser = node)]
        node: NodeId,
    },
    /// The node votes, and holds no data; it catches up first
    AddWitness {
        #[arg(value_parser = node)]
        node: NodeId,
    },
    /// The node, which has no vote, gets the log
    AddLearner {
        #[arg(value_parser = node)]
        node: NodeId,
    },
    /// The learner votes
    Promote {
        #[arg(value_parser = node)]
        node: NodeId,
    },
    /// The voter becomes a learner
    Demote {
        #[arg(value_parser = node)]
        node: NodeId,
    },
    /// The node takes no part
    Remove {
        #[arg(value_parser = node)]
        node: NodeId,
    },
    /// Another node votes in the place of one
    Replace {
        #[arg(value_parser = node)]
        old: NodeId,
        #[arg(value_parser = node)]
        new: NodeId,
    },
    /// The voter, which has lost its disk, votes on the one that it has
    Renew {
        #[arg(value_parser = node)]
        node: NodeId,
    },
    /// These vote, and no others
    Voters {
        #[arg(required = true, value_delimiter = ',', value_parser = node)]
        nodes: Vec<NodeId>,
    },
}

impl Wish {
    fn change(&self) -> Change {
        match self {
            Self::Add { node } => Change::AddVoter(*node),
            Self::AddWitness { node } => Change::AddWitness(*node),
            Self::AddLearner { node } => Change::AddLearner(*node),
            Self::Promote { node } => Change::Promote(*node),
            Self::Demote { node } => Change::Demote(*node),
            Self::Remove { node } => Change::Remove(*node),
            Self::Replace { old, new } => Change::Replace { old: *old, new: *new },
            Self::Renew { node } => Change::Renew(*node),
            Self::Voters { nodes } => {
                Change::Voters(nodes.iter().copied().collect::<BTreeSet<_>>())
            }
        }
    }
}

impl Members {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let configuration = handle(&self.whom)?.change(self.wish.change()).wait()?;
        println!("{configuration}");
        Ok(())
    }
}
