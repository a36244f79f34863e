//! Each of many groups keeps what one promises, under every fault that the simulated world has.

use std::collections::BTreeMap;
use std::time::Duration;

use cluster::many::{self, GroupId, Tagged};
use cluster::sim::{Options, Sim, Stepped};
use cluster::{Cluster, Fault, LinkFault, Members, NodeId, RequestId, Rng, Timestamp};
use raft::invariants::Monitor;
use raft::{Config, Reply, Request};

use crate::bed::config;
use crate::groups::{Node, leader, of};
use crate::journal::{History, Journal, What};
use crate::storm::any_fault;

const MILLI: Duration = Duration::from_millis(1);
const GROUPS: u32 = 4;

/// What is seen of one group.
#[derive(Default)]
struct Seen {
    monitor: Monitor<Journal>,
    history: History,
    /// It has answered since it is calm.
    served: bool,
}

struct Storm {
    sim: Sim<Node>,
    rng: Rng,
    groups: BTreeMap<GroupId, Seen>,
    asked: BTreeMap<RequestId, (GroupId, Timestamp, Request<Journal>)>,
    /// The remainder by `GROUPS` says to which group a value was sent.
    values: u64,
    violation: Option<String>,
}

/// What came of a storm.
struct Weather {
    answered: usize,
    copied: u64,
    digest: u64,
}

/// Three seconds of storm and the calm after it. An error says what did not hold.
fn storm(seed: u64) -> Result<Weather, String> {
    storm_as(seed, |config| config)
}

/// The same, with something changed in what the groups share.
fn storm_as(
    seed: u64,
    change: impl FnOnce(many::Config<Config<Journal>>) -> many::Config<Config<Journal>>,
) -> Result<Weather, String> {
    let mut rng = Rng::from_seed(seed);
    let mut options = Options::seeded(seed);
    if rng.chance(500_000) {
        options.sync = MILLI..=20 * MILLI;
    }
    let nodes = if rng.chance(700_000) { 3 } else { 5 };
    let configs = GroupId::first(GROUPS).map(|group| (group, any_config(&mut rng)));
    let config = many::Config::new(configs)
        .with_tick(rng.below(6) as u32 * MILLI)
        .with_bundle_max(1 + rng.index(8))
        .with_bundle_bytes_max(1 + rng.index(4_000))
        .with_spare(rng.below(40));
    let mut storm = Storm::new(nodes, change(config), options, rng);
    storm.rage();
    storm.calm()
}

/// Small snapshots, often, in half of the groups: these let go of records, the others hold on to them.
fn any_config(rng: &mut Rng) -> Config<Journal> {
    let config = match rng.below(3) {
        0 => config().with_textbook_elections(),
        1 => config(),
        _ => config().with_entries_max(1 + rng.index(8)).with_inflight_max(1 + rng.index(3)),
    };
    if rng.chance(500_000) {
        let config = config.with_snapshot_every(2 + rng.below(20)).with_keep_behind(rng.below(8));
        config.with_lag_max(8 + rng.below(40)).with_chunk_bytes(10 + rng.index(1_000))
    } else {
        config
    }
}

impl Storm {
    fn new(
        nodes: usize,
        config: many::Config<Config<Journal>>,
        options: Options,
        rng: Rng,
    ) -> Self {
        let members = Members::first(nodes).expect("some");
        Self {
            sim: Sim::new(config, members, options).expect("valid"),
            rng,
            groups: GroupId::first(GROUPS).map(|group| (group, Seen::default())).collect(),
            asked: BTreeMap::new(),
            values: 0,
            violation: None,
        }
    }

    fn rage(&mut self) {
        let end = Timestamp::from_millis(3_000);
        while self.sim.now() < end && self.violation.is_none() {
            let pause = self.rng.span(20 * MILLI..=250 * MILLI);
            self.work(self.sim.now() + pause);
            let some = GroupId::new(1 + self.rng.below(GROUPS.into()) as u32);
            let leader = leader(&self.sim, some);
            let fault = any_fault(&mut self.rng, self.sim.members().to_vec(), leader);
            self.sim.inject(&fault).expect("taken");
            if fault == Fault::PowerLoss {
                self.restart_all();
            }
        }
    }

    fn restart_all(&mut self) {
        for node in self.sim.members().to_vec() {
            self.sim.inject(&Fault::Restart { node }).expect("taken");
        }
    }

    /// Everything heals. Each group must serve soon, and its nodes become equal.
    fn calm(mut self) -> Result<Weather, String> {
        self.sim.inject(&Fault::Heal).expect("taken");
        self.sim.inject(&Fault::Links(LinkFault::default())).expect("taken");
        for node in self.sim.members().to_vec() {
            self.sim.inject(&Fault::Resume { node }).expect("taken");
        }
        self.restart_all();
        self.asked.clear();
        self.groups.values_mut().for_each(|seen| seen.served = false);
        let limit = self.sim.now() + Duration::from_secs(6);
        while let Some(group) = self.unsettled() {
            if let Some(violation) = self.violation {
                return Err(violation);
            }
            if self.sim.now() >= limit {
                return Err(format!("six seconds of calm, and {group} is not well"));
            }
            if let Some(leader) = leader(&self.sim, group).filter(|_| !self.groups[&group].served) {
                self.ask(group, leader);
            }
            self.listen(self.sim.now() + 10 * MILLI);
        }
        self.judge()
    }

    fn judge(self) -> Result<Weather, String> {
        if let Some(violation) = self.violation {
            return Err(violation);
        }
        let mut answered = 0;
        for (&group, seen) in &self.groups {
            let leader = leader(&self.sim, group).expect("it has served");
            let values = &of(&self.sim, leader, group).expect("up").machine().values;
            let mixed = values.iter().find(|&value| value % u64::from(GROUPS) != own(group));
            if let Some(value) = mixed {
                return Err(format!("{value} is none of {group}"));
            }
            seen.history.judge(values).map_err(|what| format!("{group}: {what}"))?;
            answered += seen.history.done.len();
        }
        let gauges = |&id: &NodeId| cluster::Node::gauges(self.sim.node(id).expect("up"));
        let gauges = self.sim.members().iter().flat_map(gauges);
        let copied = gauges.filter(|it| it.0 == "records copied").map(|it| it.1).sum();
        Ok(Weather { answered, copied, digest: self.sim.digest() })
    }

    /// A group that has not answered since, or whose nodes are not equal.
    fn unsettled(&self) -> Option<GroupId> {
        let settled = |group: GroupId| {
            let leader = leader(&self.sim, group)?;
            let first = of(&self.sim, leader, group)?;
            let equal = |&id: &NodeId| {
                of(&self.sim, id, group).is_some_and(|node| {
                    node.applied_index() == first.last_index()
                        && node.machine().values == first.machine().values
                })
            };
            (self.groups[&group].served && self.sim.members().iter().all(equal)).then_some(())
        };
        self.groups.keys().copied().find(|&group| settled(group).is_none())
    }

    /// Clients ask now and then, mostly whom they think leads, until `until`.
    fn work(&mut self, until: Timestamp) {
        while self.sim.now() < until {
            for _ in 0..1 + self.rng.below(6) {
                let group = GroupId::new(1 + self.rng.below(GROUPS.into()) as u32);
                // The last one is idle most of the time.
                if group.get() == GROUPS && self.rng.chance(950_000) {
                    continue;
                }
                let any = *self.rng.pick(self.sim.members()).expect("there are some");
                self.ask(group, leader(&self.sim, group).unwrap_or(any));
            }
            let pause = self.rng.span(Duration::ZERO..=8 * MILLI);
            self.listen((self.sim.now() + pause).min(until));
        }
    }

    fn ask(&mut self, group: GroupId, node: NodeId) {
        let request = if self.rng.chance(400_000) {
            Request::Read(())
        } else {
            self.values += u64::from(GROUPS);
            Request::Write(self.values + own(group))
        };
        let now = self.sim.now();
        let id = self.sim.submit(node, Tagged { group, body: request.clone() });
        self.asked.insert(id, (group, now, request));
    }

    fn listen(&mut self, until: Timestamp) {
        loop {
            let Self { sim, groups, violation, .. } = self;
            let completion = sim.poll_observed(until, |sim, step| {
                let Stepped::Node(id) = step else { return };
                let Some(node) = sim.node(id) else { return };
                for (&group, seen) in groups.iter_mut() {
                    let raft = node.group(group).expect("it is configured");
                    if let Err(broken) = seen.monitor.observe_node(id, raft) {
                        violation.get_or_insert_with(|| format!("{group}: {broken}"));
                    }
                }
            });
            let Some(completion) = completion else { return };
            let Some((group, asked, request)) = self.asked.remove(&completion.request) else {
                continue;
            };
            let Ok(Ok(Ok(reply))) = completion.outcome else { continue };
            let what = match (request, reply) {
                (Request::Write(value), Reply::Written { output, .. }) => {
                    What::Wrote { value, place: output }
                }
                (Request::Read(()), Reply::Answer(len)) => What::Read { len },
                (request, reply) => panic!("{reply:?} to {request:?}"),
            };
            let seen = self.groups.get_mut(&group).expect("a group");
            seen.history.push(asked, completion.at, what);
            seen.served = true;
        }
    }
}

/// What the values of `group` leave, divided by `GROUPS`.
fn own(group: GroupId) -> u64 {
    u64::from(group.get()) % u64::from(GROUPS)
}

#[test]
fn storms_over_many_groups_end_well() {
    let seeds = 120;
    let (mut answered, mut copied) = (0, 0);
    for seed in 0..seeds {
        match storm(seed) {
            Ok(weather) => {
                answered += weather.answered;
                copied += weather.copied;
            }
            Err(what) => panic!("seed {seed}: {what}"),
        }
    }
    // No vacuous pass.
    assert!(
        answered > 60 * seeds as usize && copied > seeds,
        "{answered} answers, {copied} copies"
    );
}

#[test]
fn a_storm_over_many_groups_is_decided_by_its_seed() {
    let play = |seed| storm(seed).unwrap_or_else(|what| panic!("seed {seed}: {what}")).digest;
    assert_eq!(play(3), play(3));
    assert_ne!(play(3), play(4));
}

/// One node dies after so many effects, in a run in which groups write, take snapshots and are copied;
/// then the power of all fails. Whether it died.
fn struck(effects: u32) -> Result<bool, String> {
    let frequent = config().with_snapshot_every(5).with_keep_behind(2).with_lag_max(8);
    let configs = GroupId::first(GROUPS).map(|group| {
        let rank = |node: NodeId| node.get() - 1;
        let config = if group.get() == 1 { config() } else { frequent.clone() };
        (group, config.with_rank(rank))
    });
    let config = many::Config::new(configs).with_spare(4);
    let mut storm = Storm::new(3, config, Options::seeded(5), Rng::from_seed(5));
    let (first, end) = (NodeId::new(1), Timestamp::from_millis(600));
    storm.work(end);
    storm.sim.inject(&Fault::CrashAfter { node: first, effects }).expect("taken");
    storm.work(end + 60 * MILLI);
    let died = storm.sim.node(first).is_none();
    storm.sim.inject(&Fault::PowerLoss).expect("taken");
    storm.restart_all();
    let weather = storm.calm()?;
    assert!(weather.answered > 50, "{} answers", weather.answered);
    Ok(died)
}

#[test]
fn the_power_fails_after_each_effect_of_a_node_of_many_groups() {
    for effects in 0.. {
        match struck(effects) {
            Ok(true) => {}
            Ok(false) => return assert!(effects > 100, "{effects} effects"),
            Err(what) => panic!("after {effects} effects: {what}"),
        }
    }
}

#[cfg(feature = "mutants")]
#[test]
fn mutants_of_sharing_are_seen_in_storms() {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use cluster::many::Mutant;

    for mutant in Mutant::ALL {
        let broken = |seed| {
            // A node may meet with what it asserts never to be.
            let played = catch_unwind(AssertUnwindSafe(|| storm_as(seed, |it| it.plant(mutant))));
            played.map_or_else(|_| Some("a panic".to_owned()), Result::err)
        };
        let caught = (0..120).find_map(|seed| broken(seed).map(|what| (seed, what)));
        println!("{mutant:?}: {caught:?}");
        assert!(caught.is_some(), "{mutant:?} was not seen");
    }
}
