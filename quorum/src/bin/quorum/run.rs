//! One node.

use std::time::Duration;

use anyhow::Context;
use cluster::call::Caller;
use cluster::cli::{Redis, Serving};
use quorum::{Config, Replica, Store};

use crate::front::Front;

/// How long the node may take to answer: longer than it tries, so that it says what became of it.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(clap::Args)]
pub(crate) struct Run {
    #[command(flatten)]
    serving: Serving,
    /// N: how many nodes hold each key. The same for all nodes, as R and W
    #[arg(long, value_name = "N", default_value_t = 3)]
    replication: usize,
    /// R: how many of them must answer a read
    #[arg(long, value_name = "R", default_value_t = 2)]
    read_quorum: usize,
    /// W: how many of them must have a write on their disks
    #[arg(long, value_name = "W", default_value_t = 2)]
    write_quorum: usize,
    #[command(flatten)]
    redis: Redis,
}

impl Run {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let door = self.redis.open(&self.serving)?;
        let config =
            Config::default().with_quorums(self.replication, self.read_quorum, self.write_quorum);
        let running = self.serving.start::<Replica>(config.clone())?;
        let store = Store::new(Caller::over(running.server().port()?), PATIENCE);
        let front = Front::new(self.serving.id(), store, config);
        let connections_max = self.redis.clients_max();
        let limits = resp::Limits { connections_max, ..resp::Limits::default() };
        let serve = |door| resp::Server::start(front, door, limits);
        // It serves until the node has answered what it can.
        let _front = door.map(serve).transpose().context("cannot serve Redis clients")?;
        // No node is more than another: there is nothing to hand over.
        Ok(running.until_told(|_| {})?)
    }
}
