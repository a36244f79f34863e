//! Rare states of a replicated log.

use ::raft::{LogIndex, Raft, StateMachine, Term};
use cluster::Role;

use crate::subject::Seen;

use super::{Marks, gauge};

/// The catalogue.
pub(crate) const CATALOGUE: &[&str] = &[
    "two nodes act as leader at once",
    "a leader is deposed with entries that are not committed",
    "a node drops entries of its log",
    "a candidate stands again, having won no election",
    "a candidate gives way to the leader of its own term",
    "a node is elected with entries of earlier terms that are not committed",
    "a node boots with a log",
    "a node takes ten entries in one step",
    "ten entries wait to be committed",
    "ten entries are committed in one step",
    "a node leads for the third time",
    "the tenth term",
    "a follower refuses an append",
    "a node drops a message that makes no sense any more",
    "a leader steps down for want of a majority, or of a disk",
    "a node ignores a candidate, for it hears a leader",
    "a node asks whether it would win, and does not stand",
    "a node is lent entries before an election",
    "a node drops a part of its log that a snapshot covers",
    "a node boots with a snapshot",
    "a node installs a snapshot",
    "a transfer of a snapshot goes on with another leader",
    "a leader takes a snapshot while a follower installs one",
    "a node is between two configurations",
    "a node leads that has no vote",
    "a configuration is undone, for its entry is overwritten",
];

/// What a node was a moment ago.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Last {
    known: bool,
    term: Term,
    role: Option<Role>,
    last: LogIndex,
    commit: LogIndex,
    base: LogIndex,
    configured_at: LogIndex,
    leaderships: u32,
}

/// Ticks off what the node, `last` being what it was, shows.
pub(crate) fn notice<S: StateMachine>(
    last: &mut Last,
    (_, node, _): Seen<'_, Raft<S>>,
    marks: &mut Marks,
) {
    let now = Last {
        known: true,
        term: node.term(),
        role: Some(node.role()),
        last: node.last_index(),
        commit: node.commit_index(),
        base: node.base().index,
        configured_at: node.configured_at(),
        leaderships: last.leaderships,
    };
    let before = std::mem::replace(last, now);
    // What is committed on a node that has just booted is what its snapshot covers.
    let booted = !before.known || now.commit < before.commit;
    let led = before.role == Some(Role::Leader);
    let leads = now.role == Some(Role::Leader);
    marks.set_if(1, led && !leads && !booted && before.commit < before.last);
    marks.set_if(2, !booted && now.last < before.last);
    let stood = before.role == Some(Role::Candidate);
    marks.set_if(3, stood && now.role == Some(Role::Candidate) && before.term < now.term);
    marks.set_if(4, stood && now.role == Some(Role::Follower) && before.term == now.term);
    if leads && (!led || before.term < now.term) {
        last.leaderships += 1;
        // Its own first entry is the last one.
        marks.set_if(5, now.commit.get() + 1 < now.last.get());
    }
    marks.set_if(6, booted && now.last > LogIndex::ZERO);
    marks.set_if(7, !booted && now.last.get() >= before.last.get() + 10);
    marks.set_if(8, now.last.get() >= now.commit.get() + 10);
    marks.set_if(9, !booted && now.commit.get() >= before.commit.get() + 10);
    marks.set_if(10, last.leaderships >= 3);
    marks.set_if(11, now.term.get() >= 10);
    marks.set_if(18, !booted && now.base > before.base);
    let configuration = node.configuration();
    marks.set_if(23, configuration.is_joint());
    marks.set_if(24, leads && !configuration.votes(node.id()));
    marks.set_if(25, !booted && now.configured_at < before.configured_at);
    marks.set_if(19, booted && now.commit == now.base && now.base > LogIndex::ZERO);
}

/// Ticks off what a node's gauges show.
pub(crate) fn notice_gauges(gauges: &[(&'static str, u64)], marks: &mut Marks) {
    marks.set_if(12, gauge(gauges, "appends refused") > 0);
    marks.set_if(13, gauge(gauges, "messages dropped") > 0);
    marks.set_if(14, gauge(gauges, "abdications") > 0);
    marks.set_if(15, gauge(gauges, "candidates ignored") > 0);
    marks.set_if(16, gauge(gauges, "canvasses") > gauge(gauges, "campaigns"));
    marks.set_if(17, gauge(gauges, "entries borrowed") > 0);
    marks.set_if(20, gauge(gauges, "snapshots installed") > 0);
    marks.set_if(21, gauge(gauges, "transfers resumed") > 0);
    marks.set_if(22, gauge(gauges, "snapshots beside a transfer") > 0);
}
