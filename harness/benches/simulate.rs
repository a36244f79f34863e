//! How fast protocols run in the simulated world, on one core: what a search for bugs costs.
//!
//! - `quiet`: an idle raft of five; simulated time for each unit of real time.
//! - `loaded`: the same with 64 requests under way at any time; inputs handled a second.
//! - `schedules`: bully of five, from its boot through 60 simulated seconds with a crash of the
//!   leader and its return; schedules a second.
//! - `swarm`: a raft of five under the suite's swarm of faults, with clients, observers and judges:
//!   what a run of `cargo xtask conformance` costs; simulated time for each unit of real time.
//!
//! Each is measured several times; the median is printed, with the best beside it. Time is what this
//! thread spent on its core, where the system tells (Linux), so that other work on the machine counts
//! less; elsewhere it is what passed. But for `swarm`, the worlds are used as they are, without the
//! suite's observers.

use std::fs;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use bully::Bully;
use cluster::sim::{Options, Sim};
use cluster::{Cluster, Fault, Members, Node, NodeId, Timestamp};
use harness::implementation::World;
use harness::scenario::Scenario;
use harness::{implementations, run, suite};
use raft::{Image, LogIndex, Raft, Request, StateMachine};
use serde::{Deserialize, Serialize};

const NODES: usize = 5;

/// Adds up what it is given.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Sum(u64);

impl StateMachine for Sum {
    type Command = u64;
    type Output = u64;
    type Query = ();
    type Answer = u64;
    type Snapshot = Image<Self>;

    fn apply(&mut self, _: LogIndex, command: &u64) -> u64 {
        self.0 = self.0.wrapping_add(*command);
        self.0
    }

    fn query(&self, (): &()) -> u64 {
        self.0
    }
}

fn start<N: Node>(config: N::Config, seed: u64) -> Sim<N> {
    let members = Members::first(NODES).expect("five nodes");
    Sim::new(config, members, Options::seeded(seed)).expect("a valid configuration")
}

fn leader<N: Node>(sim: &Sim<N>) -> Option<NodeId> {
    sim.members().iter().copied().find(|&node| sim.peek(node).leads())
}

/// Lets time pass until somebody leads.
fn elected<N: Node>(sim: &mut Sim<N>) -> NodeId {
    loop {
        let until = sim.now() + Duration::from_millis(10);
        while sim.poll(until).is_some() {}
        if let Some(leader) = leader(sim) {
            return leader;
        }
        assert!(sim.now() < Timestamp::from_millis(60_000), "nobody leads");
    }
}

/// The time that this thread has spent so far.
fn spent() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let on_core = fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = on_core.and_then(|stat| stat.split(' ').next()?.parse().ok());
    nanos.map_or_else(|| START.elapsed(), Duration::from_nanos)
}

/// What one measurement found: units of work done, in how much real time.
struct Found {
    units: f64,
    spent: Duration,
    /// Inputs that nodes handled.
    inputs: u64,
}

fn quiet(seconds: u64) -> Found {
    let mut sim = start::<Raft<Sum>>(raft::Config::default(), 1);
    elected(&mut sim);
    let (begun, inputs) = (spent(), sim.events());
    let until = sim.now() + Duration::from_secs(seconds);
    while sim.poll(until).is_some() {}
    let (spent, inputs) = (spent() - begun, sim.events() - inputs);
    Found { units: seconds as f64 / spent.as_secs_f64(), spent, inputs }
}

fn loaded(requests: u64) -> Found {
    let mut sim = start::<Raft<Sum>>(raft::Config::default(), 1);
    let leader = elected(&mut sim);
    let (begun, inputs) = (spent(), sim.events());
    for value in 0..64 {
        sim.submit(leader, Request::Write(value));
    }
    for value in 0..requests {
        let until = sim.now() + Duration::from_secs(1);
        let answer = sim.poll(until).expect("in time").outcome.expect("the leader is up");
        assert!(answer.is_ok(), "{answer:?}");
        sim.submit(leader, Request::Write(value));
    }
    let (spent, inputs) = (spent() - begun, sim.events() - inputs);
    Found { units: inputs as f64 / spent.as_secs_f64(), spent, inputs }
}

fn schedules(count: u64) -> Found {
    let (begun, mut inputs) = (spent(), 0);
    for seed in 0..count {
        let mut sim = start::<Bully>(bully::Config::default(), seed);
        let pass = |sim: &mut Sim<Bully>, seconds: u64| {
            let until = sim.now() + Duration::from_secs(seconds);
            while sim.poll(until).is_some() {}
            leader(sim).expect("somebody leads")
        };
        let node = pass(&mut sim, 20);
        sim.inject(&Fault::Crash { node }).expect("it takes every fault");
        assert_ne!(pass(&mut sim, 20), node);
        sim.inject(&Fault::Restart { node }).expect("it takes every fault");
        assert_eq!(pass(&mut sim, 20), node, "the highest leads");
        inputs += sim.events();
    }
    let spent = spent() - begun;
    Found { units: count as f64 / spent.as_secs_f64(), spent, inputs }
}

fn swarm(runs: u64) -> Found {
    let raft = implementations::named("raft").expect("it is registered");
    let swarm = Scenario::named("swarm").expect("it exists");
    let (begun, mut inputs, mut simulated) = (spent(), 0, Duration::ZERO);
    for seed in 0..runs {
        let (nodes, span) = (Some(NODES), suite::SPAN);
        let options = run::Options { world: World::Sim, seed, nodes, span, trace: false };
        let report = run::run(&raft, &swarm, &options).expect("it takes every fault");
        assert!(report.violations.iter().all(|it| !raft.claims.contains(&it.guarantee)));
        inputs += report.events;
        simulated += report.elapsed;
    }
    let spent = spent() - begun;
    Found { units: simulated.as_secs_f64() / spent.as_secs_f64(), spent, inputs }
}

fn report(name: &str, unit: &str, times: usize, measure: impl Fn() -> Found) {
    let mut found: Vec<Found> = (0..times).map(|_| measure()).collect();
    found.sort_by(|a, b| a.units.total_cmp(&b.units));
    let (median, best) = (&found[times / 2], &found[times - 1]);
    println!(
        "{name:<10} {:>12.0} {unit:<14} (best {:.0}); {:.2} M inputs/s, {:.0} ns each",
        median.units,
        best.units,
        median.inputs as f64 / median.spent.as_secs_f64() / 1e6,
        median.spent.as_nanos() as f64 / median.inputs as f64,
    );
}

fn main() {
    // Run as a test, it only shows that it works.
    let (times, scale) = if std::env::args().any(|it| it == "--bench") { (7, 100) } else { (1, 1) };
    let only = std::env::var("SIMULATE").unwrap_or_default();
    let rows: [(&str, &str, &dyn Fn() -> Found); 4] = [
        ("quiet", "× real time", &|| quiet(60 * scale)),
        ("loaded", "inputs/s", &|| loaded(1_000 * scale)),
        ("schedules", "schedules/s", &|| schedules(scale)),
        ("swarm", "× real time", &|| swarm(scale)),
    ];
    for (name, unit, measure) in rows {
        if name.contains(&only) {
            report(name, unit, times, measure);
        }
    }
}
