//! What the worlds themselves cost: nodes that do next to nothing, so that all the time measured is
//! the world's.
//!
//! - `sim/gossip`: simulated events a second, five nodes that pass tokens round, with and without a
//!   disk, a disturbed network, and many tokens under way;
//! - `threads/echo`: round trips a second through one node's thread, at 1, 64 and 1024 in flight.

use std::hint::black_box;
use std::time::{Duration, Instant};

use cluster::{
    Boot, Cluster, CorruptRecords, EffectsOf, Epoch, Fault, Input, InputOf, InvalidConfig,
    LinkFault, Members, Node, NodeId, Now, PersistCount, Role, Standing, Timestamp, sim, threads,
};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// Passes every token on to the next node, for ever; starts some when a timer rings.
struct Gossip {
    config: GossipConfig,
    next: NodeId,
    due: Option<Timestamp>,
}

#[derive(Clone, Debug)]
struct GossipConfig {
    tokens: u64,
    journal: bool,
}

impl Node for Gossip {
    type Config = GossipConfig;
    type Request = ();
    type Response = ();
    type Message = u64;
    type Record = u64;
    type Event = ();

    fn validate(_: &GossipConfig, _: &Members) -> Result<(), InvalidConfig> {
        Ok(())
    }

    fn boot(
        config: &GossipConfig,
        boot: Boot<u64>,
        _: &mut EffectsOf<Self>,
    ) -> Result<Self, CorruptRecords> {
        let place = boot.members.index_of(boot.id).expect("a member");
        let next = boot.members.as_slice()[(place + 1) % boot.members.count()];
        Ok(Self { config: config.clone(), next, due: Some(boot.now.monotonic) })
    }

    fn handle(&mut self, now: Now, input: InputOf<Self>, out: &mut EffectsOf<Self>) {
        match input {
            Input::Message { body, .. } => {
                if self.config.journal && body % 8 == 0 {
                    out.persist(body);
                }
                out.send(self.next, body.wrapping_add(1));
            }
            Input::Timer => {
                if self.due.is_some_and(|due| due <= now.monotonic) {
                    self.due = None;
                    (0..self.config.tokens).for_each(|token| out.send(self.next, token));
                }
            }
            Input::Request { id, body: () } => out.respond(id, ()),
            Input::Ended { .. } | Input::Durable(PersistCount(_)) => {}
        }
    }

    fn deadline(&self) -> Option<Timestamp> {
        self.due
    }

    fn standing(&self, _: Now) -> Standing {
        Standing { role: Role::Replica, epoch: Epoch::ZERO, leader: None }
    }
}

fn gossip(tokens: u64, journal: bool) -> sim::Sim<Gossip> {
    let members = Members::first(5).expect("five nodes");
    sim::Sim::new(GossipConfig { tokens, journal }, members, sim::Options::seeded(1))
        .expect("a valid configuration")
}

/// Steps `sim` until its nodes have handled `events` more inputs.
fn run(sim: &mut sim::Sim<Gossip>, events: u64) {
    let goal = sim.events() + events;
    while sim.events() < goal {
        black_box(sim.step(Timestamp::MAX));
    }
}

fn simulated(criterion: &mut Criterion) {
    const EVENTS: u64 = 100_000;
    let mut group = criterion.benchmark_group("sim/gossip");
    group.throughput(Throughput::Elements(EVENTS)).sample_size(20);
    for (name, tokens, journal, links) in [
        ("plain", 4, false, LinkFault::default()),
        ("journal", 4, true, LinkFault::default()),
        (
            "disturbed",
            4,
            false,
            LinkFault {
                delay_ppm: 100_000,
                delay_max: Duration::from_millis(5),
                ..LinkFault::default()
            },
        ),
        ("1000-tokens", 1_000, false, LinkFault::default()),
    ] {
        group.bench_function(name, |bencher| {
            let mut sim = gossip(tokens, journal);
            sim.inject(&Fault::Links(links)).expect("links take faults");
            run(&mut sim, 1_000);
            bencher.iter(|| run(&mut sim, EVENTS));
        });
    }
    group.finish();
}

fn threaded(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("threads/echo");
    group.throughput(Throughput::Elements(1)).sample_size(20);
    for in_flight in [1_u64, 64, 1_024] {
        group.bench_function(BenchmarkId::from_parameter(in_flight), |bencher| {
            let config = GossipConfig { tokens: 0, journal: false };
            let one = Members::first(1).expect("one node");
            let mut cluster =
                threads::Threads::<Gossip>::start(config, one, threads::Options::default())
                    .expect("a valid configuration");
            bencher.iter_custom(|round_trips| echo(&mut cluster, round_trips, in_flight));
            cluster.shutdown();
        });
    }
    group.finish();
}

/// Makes `round_trips`, with at most `in_flight` unanswered at any time.
fn echo(cluster: &mut threads::Threads<Gossip>, round_trips: u64, in_flight: u64) -> Duration {
    let node = cluster.members()[0];
    let start = Instant::now();
    let (mut asked, mut answered) = (0, 0);
    while answered < round_trips {
        while asked < round_trips && asked - answered < in_flight {
            cluster.submit(node, ());
            asked += 1;
        }
        let completion = cluster.poll(Timestamp::MAX).expect("the node answers");
        black_box(completion.outcome).expect("the node is up");
        answered += 1;
    }
    start.elapsed()
}

criterion_group!(benches, simulated, threaded);
criterion_main!(benches);
