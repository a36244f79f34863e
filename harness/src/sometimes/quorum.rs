//! Rare states of a replicated store without a leader.

use ::quorum::Replica;

use crate::subject::Seen;

use super::{Marks, gauge};

/// The catalogue.
pub(crate) const CATALOGUE: &[&str] = &[
    "a node keeps a hint for another",
    "a node keeps a hint for each of three keys",
    "a hint has been delivered",
    "a node is suspected",
    "a suspected node is trusted again",
    "a reader writes back",
    "a reader repairs a replica",
    "an operation fails for want of replicas",
    "an operation ends for want of time",
    "a request to a replica is sent again",
    "an answer comes after its operation has ended",
    "three operations are under way at one node",
    "a node boots with keys on its disk",
];

/// What a node was a moment ago.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Last {
    incarnation: u32,
    hints: usize,
    suspects: bool,
}

/// Ticks off what the node, `last` being what it was, shows.
pub(crate) fn notice(last: &mut Last, (_, node, _): Seen<'_, Replica>, marks: &mut Marks) {
    let before = *last;
    *last = Last {
        incarnation: node.incarnation().get(),
        hints: node.hint_count(),
        suspects: (1..=3).any(|peer| !node.believes_live(cluster::NodeId::new(peer))),
    };
    if last.incarnation != before.incarnation {
        marks.set_if(12, last.incarnation > 1 && node.entries().next().is_some());
        return;
    }
    marks.set_if(0, last.hints > 0);
    marks.set_if(1, last.hints >= 3);
    marks.set_if(2, last.hints < before.hints);
    marks.set_if(3, last.suspects);
    marks.set_if(4, before.suspects && !last.suspects);
}

/// Ticks off what a node's gauges show.
pub(crate) fn notice_gauges(gauges: &[(&'static str, u64)], marks: &mut Marks) {
    marks.set_if(5, gauge(gauges, "write-backs") > 0);
    marks.set_if(6, gauge(gauges, "repairs") > 0);
    marks.set_if(7, gauge(gauges, "unavailable") > 0);
    marks.set_if(8, gauge(gauges, "timeouts") > 0);
    marks.set_if(9, gauge(gauges, "resends") > 0);
    marks.set_if(10, gauge(gauges, "late") > 0);
    marks.set_if(11, gauge(gauges, "operations") >= 3);
}
