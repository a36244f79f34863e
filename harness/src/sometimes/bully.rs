//! Rare states of an election.

use ::bully::Bully;
use cluster::{Node as _, NodeId, Role};

use crate::subject::Seen;

use super::{Marks, gauge};

/// The catalogue.
pub(crate) const CATALOGUE: &[&str] = &[
    "two nodes act as leader at once",
    "a node follows a lower one",
    "a node takes the lead back from a lower one",
    "a leader stops leading, and knows of no other",
    "a candidate gives way to another",
    "a candidate wins",
    "a candidate goes on into a later epoch",
    "a node boots with a promise on its disk",
    "a node is in its third life",
    "the fifth epoch",
    "a node's epoch moves on by two",
    "a node refuses a vote",
    "a message of an earlier epoch arrives",
    "a leader hands over",
];

/// What a node was a moment ago.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Last {
    known: bool,
    role: Option<Role>,
    leader: Option<NodeId>,
    /// The last leader that it knew of.
    followed: Option<NodeId>,
    epoch: u64,
    incarnation: u64,
    lives: u32,
}

/// Ticks off what the node, `last` being what it was, shows.
pub(crate) fn notice(last: &mut Last, (id, node, now): Seen<'_, Bully>, marks: &mut Marks) {
    let standing = node.standing(now);
    let now = Last {
        known: true,
        role: Some(standing.role),
        leader: standing.leader,
        followed: standing.leader.or(last.followed),
        epoch: node.promised().get(),
        incarnation: node.incarnation(),
        lives: last.lives,
    };
    let before = std::mem::replace(last, now);
    let booted = !before.known || before.incarnation != now.incarnation;
    if booted {
        last.lives += 1;
        marks.set_if(7, now.epoch > 0);
        marks.set_if(8, last.lives >= 3);
        return;
    }
    let was = |role| before.role == Some(role);
    let is = |role| now.role == Some(role);
    marks.set_if(1, is(Role::Follower) && now.leader.is_some_and(|leader| leader < id));
    let below = before.followed.is_some_and(|leader| leader < id);
    marks.set_if(2, is(Role::Leader) && !was(Role::Leader) && below);
    marks.set_if(3, was(Role::Leader) && !is(Role::Leader) && now.leader.is_none());
    marks.set_if(4, was(Role::Candidate) && is(Role::Follower));
    marks.set_if(5, was(Role::Candidate) && is(Role::Leader));
    marks.set_if(6, was(Role::Candidate) && is(Role::Candidate) && before.epoch < now.epoch);
    marks.set_if(9, now.epoch >= 5);
    marks.set_if(10, now.epoch >= before.epoch + 2);
}

/// Ticks off what a node's gauges show.
pub(crate) fn notice_gauges(gauges: &[(&'static str, u64)], marks: &mut Marks) {
    marks.set_if(11, gauge(gauges, "requests for votes refused") > 0);
    marks.set_if(12, gauge(gauges, "messages out of date") > 0);
    marks.set_if(13, gauge(gauges, "abdications") > 0);
}
