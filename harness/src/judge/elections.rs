//! Election safety and split brain, from what leaders said to clients.

use std::collections::BTreeMap;

use cluster::{Epoch, NodeId};

use crate::guarantee::{Guarantee, Violation};
use crate::history::{Call, End};
use crate::vocabulary::Outcome;

/// A call in which a node said that it leads.
struct Claim<'a> {
    epoch: Epoch,
    call: &'a Call,
}

pub(super) fn judge(calls: &[Call]) -> Vec<Violation> {
    let claims: Vec<Claim<'_>> = calls.iter().filter_map(claim).collect();
    two_in_one_epoch(&claims).into_iter().chain(two_at_once(&claims)).collect()
}

fn claim(call: &Call) -> Option<Claim<'_>> {
    match call.end {
        End::Done(Outcome::Leading(epoch)) => Some(Claim { epoch, call }),
        End::Done(_) | End::Refused(_) | End::Unknown => None,
    }
}

fn two_in_one_epoch(claims: &[Claim<'_>]) -> Option<Violation> {
    let mut leaders: BTreeMap<Epoch, NodeId> = BTreeMap::new();
    for Claim { epoch, call } in claims {
        let first = *leaders.entry(*epoch).or_insert(call.node);
        if first != call.node {
            let what = format!("{first} and {} both led in {epoch}", call.node);
            return Some(Violation::new(Guarantee::ElectionSafety, what));
        }
    }
    None
}

/// Epochs grow with true time, so a leader that acts after a later one has acted was a leader all
/// the while: two at once, whoever's clock one trusts. Sound, but blind to what no client saw.
fn two_at_once(claims: &[Claim<'_>]) -> Option<Violation> {
    let mut by_return: Vec<&Claim<'_>> = claims.iter().collect();
    by_return.sort_by_key(|claim| claim.call.returned);
    let mut by_call: Vec<&Claim<'_>> = claims.iter().collect();
    by_call.sort_by_key(|claim| claim.call.invoked);
    let mut returned = by_return.into_iter().peekable();
    let mut latest: Option<&Claim<'_>> = None;
    for claim in by_call {
        while let Some(before) = returned.next_if(|it| it.call.returned < claim.call.invoked) {
            if latest.is_none_or(|latest| latest.epoch < before.epoch) {
                latest = Some(before);
            }
        }
        if let Some(later) = latest.filter(|later| later.epoch > claim.epoch) {
            let what = format!(
                "{} led in {} at {:?}, and after that {} still led in {}",
                later.call.node, later.epoch, later.call.returned, claim.call.node, claim.epoch,
            );
            return Some(Violation::new(Guarantee::NoSplitBrain, what));
        }
    }
    None
}
