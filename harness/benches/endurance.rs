//! A raft that runs on: ten million commands with the log compacted under way, and the heap after
//! each million; then a follower that is down for a million entries, and what its return does to the
//! service.
//!
//! In the threads world, as a user runs it: three nodes in one process, whose disks are in memory and
//! part of what is measured. The machine keeps the last value of each of 4096 keys, and commands have
//! 256 bytes; one client keeps 256 of them outstanding. The follower comes back with what its disk
//! held: it is sent a snapshot if the leader has dropped what it lacks, and entries after that.

use std::alloc::System;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cluster::threads::{Options, Threads};
use cluster::{Cluster as _, Fault, Members, NodeId, RequestId, Timestamp};
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use raft::{Config, Image, LogIndex, Raft, Reply, Request, StateMachine};
use serde::{Deserialize, Serialize};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// How many bytes are allocated.
fn heap() -> usize {
    let stats = HEAP.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

const KEYS: u32 = 4096;
const COMMAND: usize = 256;
const OUTSTANDING: usize = 256;
const NODES: u32 = 3;

/// The last value of each key, and how many commands there were.
#[derive(Clone, Serialize, Deserialize)]
struct Values {
    last: Vec<Bytes>,
    count: u64,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, Serialize, Deserialize)]
struct Put {
    key: u32,
    value: Bytes,
}

impl StateMachine for Values {
    type Command = Put;
    type Output = ();
    type Query = ();
    type Answer = u64;
    type Snapshot = Image<Self>;

    fn size_of(put: &Put) -> usize {
        put.value.len()
    }

    fn apply(&mut self, _: LogIndex, put: &Put) {
        self.count += 1;
        self.last[put.key as usize] = put.value.clone();
    }

    fn query(&self, (): &()) -> u64 {
        self.count
    }
}

/// What one stretch of the service was like.
struct Stretch {
    commands: usize,
    took: Duration,
    /// Of each command, ascending.
    latencies: Vec<Duration>,
    heap: usize,
}

struct Service {
    cluster: Threads<Raft<Values>>,
    leader: NodeId,
    asked: HashMap<RequestId, Instant>,
    /// The query that looks how far a follower has come, and how many writes were done before it.
    probe: Option<(RequestId, u64)>,
    /// A follower had everything that was done when it was asked.
    level: bool,
    /// How many commands were acknowledged.
    done: u64,
    key: u32,
}

impl Service {
    fn start() -> Self {
        let machine = Values { last: vec![Bytes::new(); KEYS as usize], count: 0 };
        // Long enough that a busy computer deposes nobody.
        let least = Duration::from_secs(2);
        let config = Config::new(machine).with_election_timeout(least..=least * 2);
        let members = Members::first(NODES as usize).expect("there are some");
        let mut cluster =
            Threads::start(config, members, Options::default()).expect("a valid configuration");
        let leader = loop {
            let mut nodes = (1..=NODES).map(NodeId::new);
            if let Some(leader) = nodes.find(|&node| cluster.state(node).leads()) {
                break leader;
            }
            std::thread::yield_now();
        };
        let (asked, probe) = (HashMap::new(), None);
        Self { cluster, leader, asked, probe, level: false, done: 0, key: 0 }
    }

    fn ask(&mut self) {
        while self.asked.len() < OUTSTANDING {
            self.key = (self.key + 1) % KEYS;
            let value = Bytes::from(vec![self.key as u8; COMMAND]);
            let put = Put { key: self.key, value };
            let request = self.cluster.submit(self.leader, Request::Write(put));
            self.asked.insert(request, Instant::now());
        }
    }

    /// Serves until `over` says that it is enough.
    fn serve(&mut self, over: impl Fn(&Self) -> bool) -> Stretch {
        let (begun, before) = (Instant::now(), self.done);
        let mut latencies = Vec::new();
        while !over(self) {
            self.ask();
            let mut until = Timestamp::MAX;
            while let Some(done) = self.cluster.poll(until) {
                until = Timestamp::ZERO;
                let reply = done.outcome.ok().map(|answer| answer.expect("the leader leads on"));
                if let Some(asked) = self.asked.remove(&done.request) {
                    latencies.push(asked.elapsed());
                    self.done += 1;
                } else if let Some((_, level)) = self.probe.take_if(|it| it.0 == done.request) {
                    self.level = matches!(reply, Some(Reply::Answer(count)) if count >= level);
                }
            }
        }
        latencies.sort_unstable();
        let commands = (self.done - before) as usize;
        Stretch { commands, took: begun.elapsed(), latencies, heap: heap() }
    }

    fn serve_commands(&mut self, count: u64) -> Stretch {
        let upto = self.done + count;
        self.serve(|service| service.done >= upto)
    }

    /// Serves until `node` has applied all that was done when it was last asked.
    fn serve_until_level(&mut self, node: NodeId) -> Stretch {
        self.level = false;
        let begun = Instant::now();
        let mut stretches = Vec::new();
        while !self.level {
            if self.probe.is_none() {
                let probe = self.cluster.submit(node, Request::ReadLocal(()));
                self.probe = Some((probe, self.done));
            }
            let upto = self.done + OUTSTANDING as u64;
            stretches.push(self.serve(|service| service.done >= upto));
        }
        let mut latencies: Vec<_> = stretches.into_iter().flat_map(|it| it.latencies).collect();
        latencies.sort_unstable();
        Stretch { commands: latencies.len(), took: begun.elapsed(), latencies, heap: heap() }
    }
}

fn table() -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["", "commands", "k/s", "p50 µs", "p99 µs", "longest ms", "heap MiB"]);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn add(table: &mut Table, title: &str, stretch: &Stretch) {
    let of = |of_hundred: usize| {
        let place = (stretch.latencies.len() * of_hundred).div_ceil(100).saturating_sub(1);
        stretch.latencies.get(place).map_or(0.0, |took| took.as_secs_f64() * 1e6)
    };
    table.add_row([
        title.to_owned(),
        stretch.commands.to_string(),
        format!("{:.0}", stretch.commands as f64 / stretch.took.as_secs_f64() / 1e3),
        format!("{:.0}", of(50)),
        format!("{:.0}", of(99)),
        format!("{:.1}", of(100) / 1e3),
        format!("{:.1}", stretch.heap as f64 / f64::from(1 << 20)),
    ]);
}

fn flat(million: u64) {
    let mut service = Service::start();
    let mut table = table();
    let mut heaps = Vec::new();
    for number in 1..=10 {
        let stretch = service.serve_commands(million);
        add(&mut table, &format!("million {number}"), &stretch);
        heaps.push(stretch.heap);
    }
    println!("ten times {million} commands\n{table}");
    let (early, late) = heaps.split_at(heaps.len() / 2);
    let most = |heaps: &[usize]| heaps.iter().copied().max().unwrap_or(0) as f64;
    println!("the most in the second half is {:.2} × that in the first", most(late) / most(early));
}

fn away(million: u64) {
    let mut service = Service::start();
    let mut table = table();
    add(&mut table, "before", &service.serve_commands(million / 2));
    let mut others = (1..=NODES).map(NodeId::new).filter(|&node| node != service.leader);
    let node = others.next().expect("there are followers");
    service.cluster.inject(&Fault::Crash { node }).expect("it takes a crash");
    add(&mut table, "one follower down", &service.serve_commands(million));
    service.cluster.inject(&Fault::Restart { node }).expect("it takes a restart");
    add(&mut table, "while it catches up", &service.serve_until_level(node));
    for title in ["after", "a million later", "two million later"] {
        add(&mut table, title, &service.serve_commands(million));
    }
    println!("a follower that was away for {million} entries\n{table}");
}

fn main() {
    // Run as a test, it only shows that it works.
    let args: Vec<String> = std::env::args().collect();
    let quick = args.iter().any(|arg| arg == "--test") || !args.iter().any(|arg| arg == "--bench");
    let filter = args.iter().skip(1).find(|arg| !arg.starts_with("--"));
    let chosen = |name: &str| filter.is_none_or(|filter| name.contains(filter.as_str()));
    let million = if quick { 10_000 } else { 1_000_000 };
    if chosen("flat") {
        flat(million);
    }
    if chosen("away") {
        away(million);
    }
}
