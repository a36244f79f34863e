//! Random load under random faults, over many seeds.

use std::collections::BTreeMap;
use std::time::Duration;

use cluster::sim::{Options, Sim, Stepped};
use cluster::{
    ClockFault, Cluster, Completion, Fault, LinkFault, Members, NoAnswer, NodeId, RequestId, Rng,
    Timestamp,
};
use quorum::invariants::{Monitor, converged};
use quorum::{
    Config, Guarantee, Key, Repair, Replica, Reply, Request, Response, Value, Versioning,
};

use crate::history::{self, End, Op};

const KEYS: [&str; 3] = ["a", "b", "c"];
const CLIENTS: usize = 4;
const LOAD: Timestamp = Timestamp::from_millis(3_000);
/// After this long a client gives up on an answer (its node is paused).
const PATIENCE: Duration = Duration::from_millis(800);

struct Run {
    sim: Sim<Replica>,
    rng: Rng,
    monitor: Monitor,
    ops: Vec<Op>,
    pending: BTreeMap<RequestId, usize>,
    down: Vec<NodeId>,
    paused: Vec<NodeId>,
    values: u64,
    claim: Guarantee,
}

impl Run {
    fn new(config: Config, nodes: usize, seed: u64) -> Self {
        let members = Members::first(nodes).expect("a cluster");
        let claim = config.guarantee();
        let sim = Sim::new(config, members, Options::seeded(seed)).expect("valid");
        let rng = Rng::from_seed(seed ^ 0x00c0_ffee);
        Self {
            sim,
            rng,
            monitor: Monitor::new(),
            ops: Vec::new(),
            pending: BTreeMap::new(),
            down: Vec::new(),
            paused: Vec::new(),
            values: 0,
            claim,
        }
    }

    fn any_node(&mut self) -> NodeId {
        let members = self.sim.members().to_vec();
        *self.rng.pick(&members).expect("some")
    }

    /// Lets time pass, looking at each node after each of its steps.
    fn poll(&mut self, until: Timestamp) -> Result<bool, String> {
        let mut broken = None;
        let monitor = &mut self.monitor;
        let completion = self.sim.poll_observed(until, |sim, step| {
            if let Stepped::Node(id) = step
                && let Some(node) = sim.node(id)
                && let Err(violation) = monitor.observe(node)
            {
                broken.get_or_insert(violation);
            }
        });
        if let Some(violation) = broken {
            return Err(violation.to_string());
        }
        let Some(completion) = completion else { return Ok(false) };
        self.complete(completion);
        Ok(true)
    }

    fn complete(&mut self, completion: Completion<Response>) {
        let Some(index) = self.pending.remove(&completion.request) else { return };
        let at = completion.at;
        // What claims less than the store is, to the rest, as if nobody had heard the answer.
        let claim = self.claim;
        self.ops[index].end = match completion.outcome {
            Ok(Ok(Reply::Value { guarantee, .. })) if guarantee < claim => End::Without,
            Ok(Ok(Reply::Written { guarantee, .. })) if guarantee < claim => End::Unknown,
            Ok(Ok(Reply::Value { value, version, .. })) => End::Done { at, version, value },
            Ok(Ok(Reply::Written { version, .. })) => End::Done { at, version, value: None },
            Ok(Ok(Reply::Status(_))) => End::Without,
            Ok(Err(error)) if error.is_without_effect() => End::Without,
            Ok(Err(_)) | Err(NoAnswer::Lost) => End::Unknown,
            Err(NoAnswer::Unreachable) => End::Without,
        };
    }

    fn submit(&mut self) {
        let key = Key::from(*self.rng.pick(&KEYS).expect("some"));
        // One in five asks for one replica only.
        let quorum = self.rng.chance(200_000).then_some(1);
        let (request, write) = match self.rng.below(10) {
            0..5 => (Request::Get { key: key.clone(), read_quorum: quorum }, None),
            5..9 => {
                self.values += 1;
                let value = Value::from(format!("value {}", self.values));
                let (key, write_quorum) = (key.clone(), quorum);
                (Request::Put { key, value: value.clone(), write_quorum }, Some(Some(value)))
            }
            _ => (Request::Delete { key: key.clone(), write_quorum: quorum }, Some(None)),
        };
        let node = self.any_node();
        let start = self.sim.now();
        let id = self.sim.submit(node, request);
        self.pending.insert(id, self.ops.len());
        self.ops.push(Op { key, write, start, end: End::Unknown });
    }

    fn inject(&mut self, fault: &Fault) {
        self.sim.inject(fault).expect("taken");
    }

    fn some_fault(&mut self) {
        let node = self.any_node();
        let fault = match self.rng.below(12) {
            0..2 => {
                self.down.push(node);
                Fault::Crash { node }
            }
            2..4 => match self.down.pop() {
                Some(node) => Fault::Restart { node },
                None => Fault::Heal,
            },
            4 => {
                self.paused.push(node);
                Fault::Pause { node }
            }
            5 => match self.paused.pop() {
                Some(node) => Fault::Resume { node },
                None => Fault::Heal,
            },
            6 => {
                let mut nodes = self.sim.members().to_vec();
                self.rng.shuffle(&mut nodes);
                let side = nodes.split_off(1 + self.rng.index(nodes.len() - 1));
                Fault::Partition { groups: vec![nodes, side] }
            }
            7 => Fault::Cut { from: vec![node], to: vec![self.any_node()] },
            8 => Fault::Heal,
            9 => Fault::Links(LinkFault {
                loss_ppm: 100_000,
                duplicate_ppm: 200_000,
                delay_ppm: 200_000,
                delay_max: Duration::from_millis(200),
            }),
            10 => {
                let jump_nanos = self.rng.below(20_000_000_000) as i64 - 10_000_000_000;
                let drift_ppm = self.rng.below(100_000) as i32 - 50_000;
                Fault::Clock { node, clock: ClockFault { drift_ppm, jump_nanos } }
            }
            _ => {
                self.down = self.sim.members().to_vec();
                Fault::PowerLoss
            }
        };
        self.inject(&fault);
    }

    fn load(&mut self) -> Result<(), String> {
        let mut next_fault = self.sim.now();
        while self.sim.now() < LOAD {
            if self.sim.now() >= next_fault {
                self.some_fault();
                next_fault += self.rng.span(Duration::from_millis(20)..=Duration::from_millis(250));
            }
            let now = self.sim.now();
            let ops = &self.ops;
            self.pending.retain(|_, &mut index| now.since(ops[index].start) < PATIENCE);
            while self.pending.len() < CLIENTS {
                self.submit();
            }
            let pause = self.rng.span(Duration::ZERO..=Duration::from_millis(3));
            self.poll(next_fault.min(now + pause + Duration::from_nanos(1)))?;
        }
        Ok(())
    }

    /// Faults stop, hints drain, every key is read: now all replicas must be alike.
    fn recover(&mut self) -> Result<(), String> {
        self.inject(&Fault::Heal);
        self.inject(&Fault::Links(LinkFault::default()));
        for node in self.sim.members().to_vec() {
            self.inject(&Fault::Resume { node });
            self.inject(&Fault::Restart { node });
        }
        let deadline = self.sim.now() + Duration::from_secs(20);
        self.until(deadline, "hints do not drain or suspicions last", |run| {
            run.nodes().all(|node| {
                let is_zero = |(name, count): (_, u64)| match name {
                    "hints" | "operations" | "suspected" => count == 0,
                    _ => true,
                };
                cluster::Node::gauges(node).into_iter().all(is_zero)
            })
        })?;
        for key in KEYS {
            let before = self.ops.len();
            let start = self.sim.now();
            let node = self.any_node();
            let id = self.sim.submit(node, Request::get(key));
            self.pending.insert(id, before);
            self.ops.push(Op { key: key.into(), write: None, start, end: End::Unknown });
            self.until(deadline, "a read does not end", |run| !run.pending.contains_key(&id))?;
            if !matches!(self.ops[before].end, End::Done { .. }) {
                return Err(format!("with all well, a read ended so: {:?}", self.ops[before]));
            }
        }
        self.until(deadline, "replicas differ", |run| converged(run.nodes()).is_ok())
    }

    fn nodes(&self) -> impl Iterator<Item = &Replica> {
        self.sim.members().iter().filter_map(|&id| self.sim.node(id))
    }

    fn until(
        &mut self,
        deadline: Timestamp,
        otherwise: &str,
        is_true: impl Fn(&Self) -> bool,
    ) -> Result<(), String> {
        while !is_true(self) {
            if self.sim.now() >= deadline {
                return Err(format!("{otherwise}: {:?}", converged(self.nodes())));
            }
            self.poll(self.sim.now() + Duration::from_millis(10))?;
        }
        Ok(())
    }
}

fn run(config: Config, nodes: usize, seed: u64) -> (Result<(), String>, Run) {
    let mut run = Run::new(config, nodes, seed);
    let result = run.load().and_then(|()| run.recover());
    (result, run)
}

#[track_caller]
fn check(config: Config, nodes: usize, seeds: std::ops::Range<u64>) {
    let claim = config.guarantee();
    let mut done = 0;
    let count = seeds.end - seeds.start;
    for seed in seeds {
        let (result, run) = run(config.clone(), nodes, seed);
        result.unwrap_or_else(|what| panic!("seed {seed}: {what}"));
        history::check(&run.ops, claim).unwrap_or_else(|what| panic!("seed {seed}: {what}"));
        done += run.ops.iter().filter(|op| matches!(op.end, End::Done { .. })).count();
    }
    let least = 100 * count as usize;
    assert!(done > least, "in {count} runs {done} requests succeeded: too little was tested");
}

#[test]
fn tagged_with_write_back_is_linearizable_and_converges() {
    check(Config::default(), 5, 0..60);
}

#[test]
fn so_it_is_when_all_nodes_are_replicas() {
    check(Config::default(), 3, 100..140);
}

#[test]
fn so_it_is_with_one_to_read_and_all_to_write_and_the_other_way_round() {
    check(Config::default().with_quorums(3, 1, 3), 4, 200..220);
    check(Config::default().with_quorums(3, 3, 1), 4, 220..240);
    check(Config::default().with_quorums(5, 3, 3), 5, 240..260);
}

#[test]
fn weaker_configurations_hold_what_they_claim_and_converge() {
    check(Config::default().with_quorums(3, 1, 1), 5, 300..320);
    check(Config::default().with_versioning(Versioning::WallClock), 5, 320..340);
    check(Config::default().with_repair(Repair::Background), 5, 340..360);
    check(Config::default().with_hints_max(0), 5, 360..380);
    check(Config::default().with_hints_max(3), 5, 380..390);
}

/// Whether any of `seeds` shows that `config` does not hold what it claims.
#[cfg(feature = "mutants")]
pub(crate) fn is_caught(config: &Config, nodes: usize, seeds: std::ops::Range<u64>) -> bool {
    seeds.into_iter().any(|seed| {
        let (result, run) = run(config.clone(), nodes, seed);
        result.is_err() || history::check(&run.ops, config.guarantee()).is_err()
    })
}

/// The judge is not blind: what claims less is caught at it.
#[test]
fn weaker_configurations_are_caught() {
    let caught = |config: Config| {
        (0..40).any(|seed| {
            let ops = run(config.clone(), 5, seed).1.ops;
            history::check(&ops, Guarantee::Linearizable).is_err()
        })
    };
    assert!(caught(Config::default().with_quorums(3, 1, 1)), "R + W ≤ N");
    assert!(caught(Config::default().with_versioning(Versioning::WallClock)), "wall clocks");
}

#[test]
fn the_same_seed_plays_the_same_game() {
    let digest = |seed| run(Config::default(), 5, seed).1.sim.digest();
    assert_eq!(digest(1), digest(1));
    assert_ne!(digest(1), digest(2));
}
