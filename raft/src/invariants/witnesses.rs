//! What must hold of witnesses.

use cluster::NodeId;

use super::{Violation, violated};
use crate::message::{Entry, Payload};
use crate::{Kind, Raft, StateMachine};

/// Of each set of voters at most half are witnesses: so a majority holds a full replica.
pub const BOUNDED_WITNESSES: &str = "bounded witnesses";
/// A witness never leads nor stands, a disk that lacks commands is no full replica's vote, and a full
/// replica lacks none.
pub const WITNESSES_APART: &str = "witnesses apart";

/// Whether two entries may stand in the same place of two logs: they are the same, but that the payload of
/// one may be withheld, if it is of those that are.
pub(super) fn agree<C: Eq>(a: &Entry<C>, b: &Entry<C>) -> bool {
    a == b || a.position() == b.position() && (hides(a, b) || hides(b, a))
}

/// Whether `entry` is `known`, of which only the position was known.
pub(super) fn agrees_more<C>(known: &Entry<C>, entry: &Entry<C>) -> bool {
    known.position() == entry.position() && hides(known, entry)
}

fn hides<C>(known: &Entry<C>, entry: &Entry<C>) -> bool {
    matches!(known.payload, Payload::Withheld) && entry.payload.is_whole()
}

/// What must hold of the entry that is new in the log of `node`.
pub(super) fn check_entry<S: StateMachine>(
    id: NodeId,
    node: &Raft<S>,
    entry: &Entry<S::Command>,
) -> Result<(), Violation> {
    match &entry.payload {
        Payload::Withheld if !node.papers.witness => {
            violated(WITNESSES_APART, format!("{id}, no witness, holds {entry:?}"))
        }
        Payload::Configuration(configuration) => match configuration.too_many_witnesses() {
            Some(_) => violated(BOUNDED_WITNESSES, format!("{id} holds {configuration}")),
            None => Ok(()),
        },
        Payload::Noop
        | Payload::Command(_)
        | Payload::Open { .. }
        | Payload::Submit(_)
        | Payload::Close(_)
        | Payload::Withheld => Ok(()),
    }
}

/// What must hold of `node` as it is.
pub(super) fn check<S: StateMachine>(id: NodeId, node: &Raft<S>) -> Result<(), Violation> {
    let configuration = node.configuration();
    let votes = configuration.votes_on(id, node.identity().disk);
    let witness = configuration.kind(id) == Kind::Witness;
    if votes && !witness && node.papers.witness {
        let what = format!("{id} is a full voter of {configuration}, on a witness's disk");
        return violated(WITNESSES_APART, what);
    }
    if (witness || node.papers.witness) && node.role() != cluster::Role::Follower {
        return violated(WITNESSES_APART, format!("{id} is a witness, and {:?}", node.role()));
    }
    Ok(())
}
