//! Every schedule of changes of who takes part.
//!
//! The configurations are not alike for all nodes, so no two nodes are interchangeable here.

use std::collections::BTreeSet;

use ::raft::{Change, Config, Request};
use cluster::NodeId;
use cluster::explore::{Ask, Bounds, Limits, Play, Report};

use super::properties::Figure3;
use super::{Cell, LED, N1, N2, N3, config, explore, free, model};
use crate::exhaustive::{Expected, Run};

fn change(change: Change) -> Ask<Request<Cell>> {
    Ask::of(N1, Request::Change(change))
}

/// `n1` leads `first`, and the other nodes learn; then `wish` is asked of it, beside a crash and another
/// election, of whoever may stand, with two messages under way at most.
fn changing(config: Config<Cell>, first: &[NodeId], wish: Change, limits: &Limits) -> Report {
    let learners: Vec<NodeId> = [N2, N3].into_iter().filter(|id| !first.contains(id)).collect();
    let mut script: Vec<_> = learners.iter().map(|&id| change(Change::AddLearner(id))).collect();
    let mut opening = LED.to_vec();
    for place in 0..script.len() {
        opening.extend([Play::Ask(place, N1), Play::Settle]);
    }
    script.push(change(wish));
    let bounds = Bounds { crashes: 1, flight: 2, symmetry: false, ..free(1, 1) };
    let config = config.with_voters(first.iter().copied());
    explore(&model(config, script, &opening, bounds), Figure3::default(), limits)
}

fn voters(ids: &[NodeId]) -> Change {
    Change::Voters(ids.iter().copied().collect::<BTreeSet<_>>())
}

/// From one voter to the two others: no majority before overlaps with one after.
pub(super) fn joint(config: Config<Cell>, limits: &Limits) -> Report {
    changing(config, &[N1], voters(&[N2, N3]), limits)
}

/// One voter of two gives way to another.
pub(super) fn replacement(config: Config<Cell>, limits: &Limits) -> Report {
    changing(config, &[N1, N2], Change::Replace { old: N2, new: N3 }, limits)
}

/// The leader of three takes itself out.
pub(super) fn removal(config: Config<Cell>, limits: &Limits) -> Report {
    changing(config, &[N1, N2, N3], Change::Remove(N1), limits)
}

/// The runs that are part of every build.
pub(in crate::exhaustive) const RUNS: &[Run] = &[
    Run {
        pattern: "raft",
        name: "joint consensus",
        about: "the lead and the only vote go from n1 to n2 and n3; 1 crash, 1 election, 2 in flight",
        expected: Expected::Holds,
        explore: |limits| joint(config(), limits),
    },
    Run {
        pattern: "raft",
        name: "replacement",
        about: "n1 and n2 vote, n3 takes the place of n2; 1 crash, 1 election, 2 in flight",
        expected: Expected::Holds,
        explore: |limits| replacement(config(), limits),
    },
    Run {
        pattern: "raft",
        name: "removal",
        about: "3 nodes, the leader takes itself out; 1 crash, 1 election, 2 in flight",
        expected: Expected::Holds,
        explore: |limits| removal(config(), limits),
    },
];
