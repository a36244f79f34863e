//! Rare states of a lock service.

use ::dlock::LockNode;
use cluster::Role;

use crate::subject::Seen;

use super::Marks;

/// The catalogue.
pub(crate) const CATALOGUE: &[&str] = &[
    "two nodes act as leader at once",
    "a node is elected while a lock is held",
    "a node is elected while somebody waits in line",
    "a leader is deposed while requests of its are in line",
    "every lock is held",
    "three wait in line",
    "a lock passes to the next in line in one step",
    "a wait ends without the lock",
    "a lock comes free with nobody in line",
    "a table takes three grants in one step",
    "the fiftieth token",
    "the fifth term",
    "a node boots with a log",
];

/// What a node was a moment ago.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Last {
    known: bool,
    leads: bool,
    commit: u64,
    token: u64,
    held: usize,
    waiting: usize,
    in_line: usize,
}

/// Ticks off what the node, `last` being what it was, shows.
pub(crate) fn notice(last: &mut Last, (_, node, _): Seen<'_, LockNode>, marks: &mut Marks) {
    let (table, raft) = (node.table(), node.raft());
    let now = Last {
        known: true,
        leads: raft.role() == Role::Leader,
        commit: raft.commit_index().get(),
        token: table.last_token().get(),
        held: table.held_count(),
        waiting: table.waiting_count(),
        in_line: node.waiting_requests(),
    };
    let before = std::mem::replace(last, now);
    let booted = !before.known || now.commit < before.commit;
    marks.set_if(12, booted && raft.last_index().get() > 0);
    marks.set_if(11, raft.term().get() >= 5);
    if booted {
        return;
    }
    let elected = now.leads && !before.leads;
    marks.set_if(1, elected && now.held > 0);
    marks.set_if(2, elected && now.waiting > 0);
    marks.set_if(3, before.leads && !now.leads && before.in_line > 0);
    marks.set_if(4, now.held >= 2);
    marks.set_if(5, now.waiting >= 3);
    let granted = now.token > before.token;
    let fewer = now.waiting < before.waiting;
    marks.set_if(6, granted && fewer && now.held == before.held);
    marks.set_if(7, fewer && !granted);
    marks.set_if(8, now.held < before.held && now.waiting == 0);
    marks.set_if(9, now.token >= before.token + 3);
    marks.set_if(10, now.token >= 50);
}
