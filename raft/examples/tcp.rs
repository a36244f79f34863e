//! Three nodes over TCP, with journals, and what a write costs:
//! `cargo run --release -p raft --features net --example tcp`.
//!
//! The servers are in this process only for the sake of the example: they know each other by their
//! addresses alone, and each could be anywhere. Every write is on the disks of two of them when it is
//! answered.

use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use cluster::NodeId;
use cluster::net::{ClusterId, Server};
use raft::{Config, Handle, Image, LogIndex, Raft, StateMachine};
use serde::{Deserialize, Serialize};

/// Counts the bytes it is given.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Scale(u64);

impl StateMachine for Scale {
    type Command = Vec<u8>;
    /// How many it was given so far.
    type Output = u64;
    type Query = ();
    type Answer = u64;
    type Snapshot = Image<Self>;

    fn apply(&mut self, _: LogIndex, bytes: &Vec<u8>) -> u64 {
        self.0 += bytes.len() as u64;
        self.0
    }

    fn query(&self, (): &()) -> u64 {
        self.0
    }

    fn size_of(bytes: &Vec<u8>) -> usize {
        bytes.len()
    }
}

fn main() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let cluster = ClusterId::new("scales")?;
    let mut doors = Vec::new();
    for _ in 0..3 {
        doors.push(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?);
    }
    let mut nodes = Vec::new();
    for (id, door) in (1..).map(NodeId::new).zip(&doors) {
        nodes.push((id, door.local_addr()?));
    }
    let mut servers = Vec::new();
    for (&(id, address), door) in nodes.iter().zip(doors) {
        let config = Config::new(Scale::default());
        let builder = Server::<Raft<Scale>>::builder(cluster.clone(), id, config)
            .nodes(nodes.iter().copied())
            .listener(door)
            .directory(directory.path().join(id.to_string()));
        servers.push(builder.start()?);
        println!("{id} listens at {address}");
    }
    let scale = Handle::<Scale>::connect(cluster, nodes)?;
    scale.write(vec![0; 256]).wait()?;
    println!("256 bytes a write, in {}", directory.path().display());
    measure(&scale, "1 write at a time", 1000, 1)?;
    measure(&scale, "64 writes at a time", 20_000, 64)?;
    measure(&scale, "256 writes at a time", 20_000, 256)?;
    println!("{} bytes in all", scale.read(()).wait()?);
    for server in servers {
        server.retire(Duration::from_secs(5), raft::hand_over);
    }
    Ok(())
}

/// Keeps so many writes under way, and prints how long they took.
fn measure(
    scale: &Handle<Scale>,
    what: &str,
    count: usize,
    at_a_time: usize,
) -> anyhow::Result<()> {
    let mut took = Vec::with_capacity(count);
    let mut under_way = std::collections::VecDeque::new();
    let start = Instant::now();
    for _ in 0..count {
        if under_way.len() == at_a_time {
            let (asked, call): (Instant, raft::Call<u64>) = under_way.pop_front().expect("some");
            call.wait()?;
            took.push(asked.elapsed());
        }
        under_way.push_back((Instant::now(), scale.write(vec![0; 256])));
    }
    for (asked, call) in under_way {
        call.wait()?;
        took.push(asked.elapsed());
    }
    let rate = count as f64 / start.elapsed().as_secs_f64();
    took.sort_unstable();
    let at = |percent: usize| took[(took.len() - 1) * percent / 100];
    println!("{what}: {rate:.0} a second, p50 {:?}, p99 {:?}", at(50), at(99));
    Ok(())
}
