//! A replicated map that `redis-cli` and every Redis client speak to:
//! `cargo run --release -p raft --example redis [DIRECTORY]`.
//!
//! Three nodes on threads of this process, each behind a port of its own; whichever port is asked, the
//! answer is that of all three. With a directory, what was acknowledged is on two disks, and is there
//! again when the example is started in it again. Try
//!
//! ```text
//! redis-cli -p 6380 set sky blue EX 60      redis-cli -p 6381 get sky
//! redis-benchmark -p 6380 -t set,get -P 16 -q
//! ```

mod front;
mod map;

use std::net::{Ipv4Addr, TcpListener};

use anyhow::Context;
use raft::Group;

use front::Front;
use map::Map;

/// The port of the first node.
const FIRST: u16 = 6380;
const NODES: u16 = 3;

fn main() -> anyhow::Result<()> {
    let mut builder = Group::builder(Map::default()).nodes(usize::from(NODES));
    if let Some(directory) = std::env::args_os().nth(1) {
        builder = builder.directory(directory);
    }
    let group = builder.start()?;
    let mut servers = Vec::new();
    for port in FIRST..FIRST + NODES {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .with_context(|| format!("port {port}"))?;
        let front = Front::new(group.handle());
        servers.push(resp::Server::start(front, listener, resp::Limits::default())?);
    }
    for server in &servers {
        println!("listening at {}", server.addr());
    }
    println!("end with Ctrl-C, or Ctrl-D");
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    drop(servers);
    group.shutdown();
    Ok(())
}
