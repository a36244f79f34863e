//! How long a raft is without service after its leader's crash, by the election timeout it is
//! configured with.
//!
//! In the simulated world: three and five nodes with the defaults but for the timeouts, a leader that
//! crashes at any moment between two heartbeats, and clients that ask every node that is up, and ask
//! again a hundredth of the shortest timeout after a refusal. What is measured is the time from the
//! crash to the first acknowledgement of a write that was asked after it, in shortest election
//! timeouts: the timeouts are drawn from one to two of them. The node that crashed then comes back,
//! and the next leader crashes.

use std::time::Duration;

use cluster::sim::{Options, Sim};
use cluster::{Cluster, Fault, Members, NodeId, Rng, Timestamp};
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use raft::{Config, Image, LogIndex, Raft, Request, StateMachine};
use serde::{Deserialize, Serialize};

/// Counts what it is given.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Count(u64);

impl StateMachine for Count {
    type Command = ();
    type Output = u64;
    type Query = ();
    type Answer = u64;
    type Snapshot = Image<Self>;

    fn apply(&mut self, _: LogIndex, (): &()) -> u64 {
        self.0 += 1;
        self.0
    }

    fn query(&self, (): &()) -> u64 {
        self.0
    }
}

/// How often the leader of one cluster crashes.
const CRASHES: usize = 20;

/// One crash.
struct Outage {
    /// Until service was back.
    lasted: Duration,
    /// How many terms it took.
    terms: u64,
}

struct Service {
    sim: Sim<Raft<Count>>,
    rng: Rng,
    /// The shortest election timeout.
    timeout: Duration,
}

impl Service {
    fn start(nodes: usize, timeout: Duration, seed: u64) -> Self {
        let config = Config::new(Count::default())
            .with_election_timeout(timeout..=timeout * 2)
            .with_heartbeat(timeout / 3);
        let members = Members::first(nodes).expect("there are some");
        let sim = Sim::new(config, members, Options::seeded(seed)).expect("a valid configuration");
        Self { sim, rng: Rng::from_seed(seed), timeout }
    }

    fn pass(&mut self, span: Duration) {
        let until = self.sim.now() + span;
        while self.sim.poll(until).is_some() {}
    }

    /// Lets the cluster come to rest, and then some random time more.
    fn settle(&mut self) -> NodeId {
        let more = self.rng.span(Duration::ZERO..=self.timeout);
        self.pass(self.timeout * 10 + more);
        let leader = self.sim.members().iter().copied().find(|&id| self.sim.peek(id).leads());
        leader.expect("nothing is wrong, so somebody leads")
    }

    fn term(&self) -> u64 {
        let nodes = self.sim.members().iter().filter_map(|&id| self.sim.node(id));
        nodes.map(|node| node.term().get()).max().expect("some are up")
    }

    fn crash(&mut self) -> Outage {
        let node = self.settle();
        let (term, crashed_at) = (self.term(), self.sim.now());
        self.sim.inject(&Fault::Crash { node }).expect("it takes every fault");
        let resumed_at = self.served(node);
        let outage = Outage { lasted: resumed_at.since(crashed_at), terms: self.term() - term };
        self.sim.inject(&Fault::Restart { node }).expect("it takes every fault");
        outage
    }

    /// When the first write is acknowledged that is asked of another node than `down` from now on.
    fn served(&mut self, down: NodeId) -> Timestamp {
        let up: Vec<_> = self.sim.members().iter().copied().filter(|&id| id != down).collect();
        let first = up.iter().map(|&id| self.sim.submit(id, Request::Write(()))).min();
        let first = first.expect("some are up");
        loop {
            let until = self.sim.now() + self.timeout / 100;
            while let Some(done) = self.sim.poll(until) {
                if done.request >= first && matches!(done.outcome, Ok(Ok(_))) {
                    return done.at;
                }
            }
            for &id in &up {
                self.sim.submit(id, Request::Write(()));
            }
        }
    }
}

/// The value below which so many of a hundred are.
fn percentile(sorted: &[f64], of_hundred: usize) -> f64 {
    sorted[(sorted.len() * of_hundred).div_ceil(100).saturating_sub(1)]
}

fn outages(nodes: usize, timeout: Duration, clusters: u64) -> Vec<Outage> {
    let cluster = |seed| {
        let mut service = Service::start(nodes, timeout, seed);
        (0..CRASHES).map(move |_| service.crash())
    };
    (0..clusters).flat_map(cluster).collect()
}

fn row(nodes: usize, least: u64, outages: &[Outage]) -> [String; 10] {
    let in_timeouts = outages.iter().map(|it| it.lasted.as_secs_f64() * 1e3 / least as f64);
    let mut sorted: Vec<f64> = in_timeouts.collect();
    sorted.sort_by(f64::total_cmp);
    let of = |of_hundred| percentile(&sorted, of_hundred);
    let more = outages.iter().filter(|it| it.terms > 1).count();
    [
        nodes.to_string(),
        format!("{least}–{} ms", 2 * least),
        outages.len().to_string(),
        format!("{:.2}", of(50)),
        format!("{:.2}", of(90)),
        format!("{:.2}", of(99)),
        format!("{:.2}", of(100)),
        format!("{:.0}", of(50) * least as f64),
        format!("{:.0}", of(99) * least as f64),
        format!("{:.1} %", 100.0 * more as f64 / outages.len() as f64),
    ]
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let filter = args.iter().find(|arg| !arg.starts_with("--"));
    if filter.is_some_and(|filter| !"failover".contains(filter.as_str())) {
        return;
    }
    // Run as a test, it only shows that it works.
    let quick = args.iter().any(|arg| arg == "--test") || !args.iter().any(|arg| arg == "--bench");
    let clusters = if quick { 2 } else { 50 };
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header([
        "nodes",
        "election timeout",
        "crashes",
        "median",
        "p90",
        "p99",
        "longest",
        "median ms",
        "p99 ms",
        "more than one term",
    ]);
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for nodes in [3, 5] {
        for least in [50, 150, 500, 1000] {
            let outages = outages(nodes, Duration::from_millis(least), clusters);
            table.add_row(row(nodes, least, &outages));
        }
    }
    println!(
        "from the leader's crash to the next acknowledged write, in shortest election timeouts"
    );
    println!("{table}");
}
