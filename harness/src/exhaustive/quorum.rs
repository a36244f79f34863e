//! Quorums: every schedule of a register on three replicas.

use std::collections::BTreeMap;
use std::time::Duration;

use ::quorum::{Config, Repair, Replica, Reply, Request, Response, Ring, Value, Version};
use cluster::explore::{
    Always, Ask, Bounds, Broken, Clocks, Disk, Limits, Model, Play, Report, View,
};
use cluster::{Members, NodeId};

use super::atomic::{Atomic, Does, LINEARIZABILITY, Says};
#[cfg(feature = "mutants")]
use super::hunt::Stage;
use super::{Expected, Run};

const KEY: &str = "x";

/// A version of a key has one value, wherever it is.
fn one_value(view: &View<'_, Replica>) -> Result<(), Broken> {
    let mut values: BTreeMap<Version, (NodeId, Option<&Value>)> = BTreeMap::new();
    for (id, replica, _) in view.nodes() {
        for (_, entry) in replica.entries() {
            let value = entry.value.as_ref();
            let (first, known) = *values.entry(entry.version).or_insert((id, value));
            if known != value {
                let version = entry.version;
                let what = format!("{version} is {known:?} on {first}, {value:?} on {id}");
                return Err(Broken { guarantee: "a version has one value", what });
            }
        }
    }
    Ok(())
}

fn says(response: &Response) -> Says {
    match response {
        Ok(Reply::Written { .. }) => Says::Written,
        Ok(Reply::Value { value, .. }) => {
            let number = |value: &Value| std::str::from_utf8(value.as_bytes()).ok()?.parse().ok();
            Says::Saw(value.as_ref().and_then(number))
        }
        Ok(Reply::Status(_)) => Says::Unknown,
        Err(error) if error.is_without_effect() => Says::Refused,
        Err(_) => Says::Unknown,
    }
}

fn write(value: u64) -> Request {
    Request::put(KEY, value.to_string())
}

fn read() -> Request {
    Request::get(KEY)
}

/// No probe, no second sending: a request is sent out once, and its deadline is its only timer.
fn quiet(config: Config) -> Config {
    let hour = Duration::from_secs(3600);
    config.with_probe_interval(hour).with_suspect_after(hour).with_resend_interval(hour)
}

fn does(request: &Request) -> Does {
    match request {
        Request::Put { value, .. } => {
            let text = std::str::from_utf8(value.as_bytes()).expect("scripts write numbers");
            Does::Write(text.parse().expect("scripts write numbers"))
        }
        Request::Delete { .. } => Does::Delete,
        Request::Get { .. } => Does::Read,
        Request::Status => Does::Nothing,
    }
}

fn explore(
    config: Config,
    nodes: usize,
    script: Vec<Ask<Request>>,
    bounds: Bounds,
    limits: &Limits,
) -> Report {
    explore_from(config, nodes, script, Vec::new(), bounds, limits)
}

fn explore_from(
    config: Config,
    nodes: usize,
    script: Vec<Ask<Request>>,
    opening: Vec<Play>,
    bounds: Bounds,
    limits: &Limits,
) -> Report {
    let members = Members::first(nodes).expect("a few nodes");
    let register = Atomic::new(script.iter().map(|ask| does(&ask.request)), says);
    let model = Model { config: quiet(config), members, script, opening, bounds };
    model.explore((register, Always(one_value)), limits).expect("a model that makes sense")
}

fn at(node: u32, request: Request) -> Ask<Request> {
    Ask::of(NodeId::new(node), request)
}

/// The configuration of all runs that must hold: three replicas, two to read, two to write, tags,
/// write-back.
pub(super) fn config() -> Config {
    // Where keys are placed does not matter: every node has every key.
    Config::default().with_virtual_nodes(1)
}

/// A write beside two reads, one after the other, at the three nodes.
pub(super) fn readers(config: Config, limits: &Limits) -> Report {
    let script = vec![at(1, write(1)), at(2, read()), at(3, read()).after(1)];
    explore(config, 3, script, Bounds::default(), limits)
}

/// Two writes beside each other, and two reads after one of them.
#[cfg(feature = "mutants")]
fn ties(config: Config, limits: &Limits) -> Report {
    let script =
        vec![at(1, write(1)), at(2, write(2)), at(3, read()).after(0), at(3, read()).after(2)];
    explore(config, 3, script, Bounds { disk: Disk::Instant, ..Bounds::default() }, limits)
}

/// Two writes beside each other.
pub(super) fn writers(config: Config, limits: &Limits) -> Report {
    let script = vec![at(1, write(1)), at(2, write(2))];
    explore(config, 3, script, Bounds { disk: Disk::Instant, ..Bounds::default() }, limits)
}

/// A write, then a read; any node may crash once.
pub(super) fn crash(config: Config, limits: &Limits) -> Report {
    let script = vec![at(1, write(1)), at(2, read()).after(0)];
    explore(config, 3, script, Bounds { crashes: 1, ..Bounds::default() }, limits)
}

/// Two writes at a node that may crash between them.
pub(super) fn reborn(config: Config, limits: &Limits) -> Report {
    let script = vec![at(1, write(1)), at(1, write(2)).after(0)];
    explore(config, 3, script, Bounds { crashes: 1, ..Bounds::default() }, limits)
}

/// A write and a read of it, both by the one of four nodes that is no replica; one message arrives
/// twice.
pub(super) fn twice(config: Config, limits: &Limits) -> Report {
    let members = Members::first(4).expect("four nodes");
    let ring = Ring::new(&members, config.virtual_nodes(), 3).expect("as configured");
    let replicas = ring.replicas(&KEY.into());
    let outsider = members.iter().find(|node| !replicas.contains(node)).expect("one of four");
    let script = vec![Ask::of(outsider, write(1)), Ask::of(outsider, read()).after(0)];
    let bounds = Bounds { duplicates: 1, disk: Disk::Instant, ..Bounds::default() };
    explore(config, 4, script, bounds, limits)
}

/// A write that missed a replica, and is kept for it; then another write, and a read.
pub(super) fn hinted(config: Config, limits: &Limits) -> Report {
    let script = vec![at(1, write(1)), at(2, write(2)).after(0), at(3, read()).after(1)];
    let (n1, n2, n3) = (NodeId::new(1), NodeId::new(2), NodeId::new(3));
    let deliver = |from, to| Play::Deliver { from, to };
    let lose = Play::Lose { from: n1, to: n3 };
    let opening = vec![
        Play::Ask(0, n1),
        lose,
        // It asks for the largest version, then stores.
        deliver(n1, n2),
        deliver(n2, n1),
        lose,
        deliver(n1, n2),
        Play::Sync(n1),
        Play::Sync(n2),
        deliver(n2, n1),
        // It gives up waiting for n3, and keeps a hint.
        Play::Fire(n1),
        Play::Sync(n1),
    ];
    let clocks = Clocks::Free { firings: 1, firings_each: 1 };
    let bounds = Bounds { clocks, disk: Disk::Instant, ..Bounds::default() };
    explore_from(config, 3, script, opening, bounds, limits)
}

/// A write, a deletion, a read.
pub(super) fn deletion(config: Config, limits: &Limits) -> Report {
    let script =
        vec![at(1, write(1)), at(2, Request::delete(KEY)).after(0), at(3, read()).after(1)];
    explore(config, 3, script, Bounds { disk: Disk::Instant, ..Bounds::default() }, limits)
}

/// A write and a read of it, at four nodes of which three are replicas.
pub(super) fn outsider(config: Config, limits: &Limits) -> Report {
    let script = vec![at(1, write(1)), at(2, read()).after(0)];
    explore(config, 4, script, Bounds { disk: Disk::Instant, ..Bounds::default() }, limits)
}

/// The runs that are part of every build.
pub(super) const RUNS: &[Run] = &[
    Run {
        pattern: "quorum",
        name: "readers",
        about: "3 replicas, R=2, W=2, write-back: a write beside 2 reads in a row",
        expected: Expected::Holds,
        explore: |limits| readers(config(), limits),
    },
    Run {
        pattern: "quorum",
        name: "readers, no write-back",
        about: "the same, but readers repair in the background: a new value, then the old one",
        expected: Expected::Breaks(LINEARIZABILITY),
        explore: |limits| readers(config().with_repair(Repair::Background), limits),
    },
    Run {
        pattern: "quorum",
        name: "writers",
        about: "3 replicas: 2 writes beside each other",
        expected: Expected::Holds,
        explore: |limits| writers(config(), limits),
    },
    Run {
        pattern: "quorum",
        name: "crash",
        about: "3 replicas: a write, then a read; 1 crash",
        expected: Expected::Holds,
        explore: |limits| crash(config(), limits),
    },
    Run {
        pattern: "quorum",
        name: "reborn",
        about: "3 replicas: 2 writes in a row by one node; 1 crash",
        expected: Expected::Holds,
        explore: |limits| reborn(config(), limits),
    },
    Run {
        pattern: "quorum",
        name: "twice",
        about: "4 nodes, 3 replicas: a write, then a read, by the fourth; 1 message arrives twice",
        expected: Expected::Holds,
        explore: |limits| twice(config(), limits),
    },
    Run {
        pattern: "quorum",
        name: "deletion",
        about: "3 replicas: a write, a deletion, a read",
        expected: Expected::Holds,
        explore: |limits| deletion(config(), limits),
    },
    Run {
        pattern: "quorum",
        name: "outsider",
        about: "4 nodes, 3 replicas: a write, then a read elsewhere",
        expected: Expected::Holds,
        explore: |limits| outsider(config(), limits),
    },
    Run {
        pattern: "quorum",
        name: "hinted",
        about: "3 replicas: a write that missed one and is kept for it, another write, a read",
        expected: Expected::Holds,
        explore: |limits| hinted(config(), limits),
    },
];

/// Where a planted bug should show.
#[cfg(feature = "mutants")]
pub(super) fn stages(mutant: ::quorum::Mutant) -> Vec<Stage<Config>> {
    use ::quorum::Mutant;
    let stage = |name, explore| Stage { name, explore };
    match mutant {
        Mutant::NoWriteBack | Mutant::AsksBackwards => vec![stage("readers", readers)],
        Mutant::DuplicateAcks => vec![stage("twice", twice)],
        Mutant::TiesUnbroken | Mutant::NoTagQuery => {
            vec![stage("ties", ties)]
        }
        Mutant::OutsidersCount => vec![stage("outsider", outsider)],
        Mutant::DeletionForgets => vec![stage("deletion", deletion)],
        Mutant::AckBeforeDurable => vec![stage("crash", crash)],
        Mutant::IncarnationKept => vec![stage("reborn", reborn)],
        Mutant::HintsOverwrite => vec![stage("hinted", hinted)],
    }
}
