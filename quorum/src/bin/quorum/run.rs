//! One node.

use std::net::{SocketAddr, TcpListener};

use anyhow::Context;
use cluster::cli::Serving;
use quorum::{Config, Replica};

use crate::front::Front;

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
    /// Where it listens for Redis clients, which read at R and write at W
    #[arg(long, value_name = "ADDRESS")]
    redis: Option<SocketAddr>,
    /// How many Redis clients may be connected
    #[arg(long, value_name = "COUNT", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..))]
    redis_clients_max: u32,
}

impl Run {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let door = self.redis.map(|address| {
            self.serving.check_front("redis", address)?;
            TcpListener::bind(address)
                .with_context(|| format!("cannot listen at {address} (--redis)"))
        });
        let door = door.transpose()?;
        let config =
            Config::default().with_quorums(self.replication, self.read_quorum, self.write_quorum);
        let running = self.serving.start::<Replica>(config)?;
        let front = Front::new(self.serving.id(), running.server().port()?);
        let limits = resp::Limits {
            connections_max: self.redis_clients_max as usize,
            ..resp::Limits::default()
        };
        let serve = |door| resp::Server::start(front, door, limits);
        // It serves until the node has answered what it can.
        let _front = door.map(serve).transpose().context("cannot serve Redis clients")?;
        // No node is more than another: there is nothing to hand over.
        Ok(running.until_told(|_| {})?)
    }
}
