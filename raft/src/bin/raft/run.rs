//! One node.

use std::time::Duration;

use anyhow::Context;
use cluster::NodeId;
use cluster::cli::{Redis, Serving, node, span};
use raft::{Config, Handle, hand_over, observe};

use crate::front::Front;
use crate::map::Map;

/// How long a command tries before it is answered with an error.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(clap::Args)]
pub(crate) struct Run {
    #[command(flatten)]
    serving: Serving,
    #[command(flatten)]
    machine: Machine,
    #[command(flatten)]
    redis: Redis,
}

/// What all nodes of a cluster must be told alike.
#[derive(clap::Args)]
pub(crate) struct Machine {
    /// How long a follower hears nothing before it stands for election; up to twice that, by chance
    #[arg(long, value_name = "SPAN", default_value = "150ms", value_parser = span)]
    election_timeout: Duration,
    /// Who votes at first, if that is not every node
    #[arg(long, value_delimiter = ',', value_name = "ID,…", value_parser = node)]
    voters: Vec<NodeId>,
    /// Which of them are witnesses: they vote and hold no data; at most half
    #[arg(long, value_delimiter = ',', value_name = "ID,…", value_parser = node)]
    witnesses: Vec<NodeId>,
}

impl Machine {
    pub(crate) fn config(&self) -> Config<Map> {
        let timeout = self.election_timeout;
        let config = Config::new(Map::default())
            .with_election_timeout(timeout..=timeout.saturating_mul(2))
            .with_heartbeat(timeout / 5)
            .with_witnesses(self.witnesses.iter().copied());
        match self.voters.is_empty() {
            true => config,
            false => config.with_voters(self.voters.iter().copied()),
        }
    }
}

impl Run {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let door = self.redis.open(&self.serving)?;
        let running = self.serving.start(self.machine.config())?;
        observe(running.server())?;
        let handle = Handle::over(running.server().port()?).with_timeout(PATIENCE);
        let connections_max = self.redis.clients_max();
        let limits = resp::Limits { connections_max, ..resp::Limits::default() };
        let serve = |door| resp::Server::start(Front::new(self.serving.id(), handle), door, limits);
        // It serves until the node has handed over and answered what it can.
        let _front = door.map(serve).transpose().context("cannot serve Redis clients")?;
        Ok(running.until_told(hand_over)?)
    }
}
