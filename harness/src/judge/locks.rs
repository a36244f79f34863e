//! Locks: who held what when, and what the resources behind them accepted.

use std::collections::{BTreeMap, BTreeSet};

use cluster::Timestamp;

use crate::guarantee::{Guarantee, Violation};
use crate::history::{Access, Call, End, History, Hold};
use crate::vocabulary::{Op, Outcome, Refusal};

pub(super) fn judge(history: &History) -> Vec<Violation> {
    let mut locks: BTreeMap<u32, Vec<Hold>> = BTreeMap::new();
    for hold in &history.holds {
        locks.entry(hold.lock).or_default().push(*hold);
    }
    let mut violations = Vec::new();
    for holds in locks.values_mut() {
        holds.sort_by_key(|hold| (hold.granted, hold.token));
        violations.extend(overlap(holds, Guarantee::MutualExclusion, |hold| hold.believed_until));
        violations.extend(overlap(holds, Guarantee::LeaseExclusion, |hold| {
            hold.lease_until.min(hold.believed_until)
        }));
        violations.extend(token_order(holds));
        violations.extend(arrival_order(holds));
    }
    violations.extend(stale_look(&history.calls, &history.holds));
    violations.extend(held_twice(&history.calls));
    violations.extend(refused_holder(&history.accesses));
    violations.extend(shared_token(&history.accesses));
    violations
}

/// Two clients with one lock, at one moment. `holds` ascend by grant.
fn overlap(
    holds: &[Hold],
    guarantee: Guarantee,
    until: impl Fn(&Hold) -> Timestamp,
) -> Option<Violation> {
    let mut longest: Option<&Hold> = None;
    for hold in holds {
        if let Some(before) = longest
            && before.owner != hold.owner
            && until(before) > hold.granted
            && until(hold) > hold.granted
        {
            let what = format!(
                "lock {}: client {} (token {}) held it until {:?}, client {} (token {}) since {:?}",
                hold.lock,
                before.owner,
                before.token,
                until(before),
                hold.owner,
                hold.token,
                hold.granted,
            );
            return Some(Violation::new(guarantee, what));
        }
        if longest.is_none_or(|longest| until(longest) < until(hold)) {
            longest = Some(hold);
        }
    }
    None
}

/// A lock that was asked for after another grant had reached its client comes with a greater token.
/// Only a client whose release was lost may find itself still holding what it had, by the same
/// token. `holds` ascend by grant.
///
/// A grant that is old when it reaches its client (the node that sent it was paused) breaks nothing:
/// its lease is over by then, and the resource refuses its token.
fn token_order(holds: &[Hold]) -> Option<Violation> {
    let mut by_asking: Vec<&Hold> = holds.iter().collect();
    by_asking.sort_by_key(|hold| hold.asked);
    let mut granted = holds.iter().peekable();
    let mut greatest: Option<&Hold> = None;
    for hold in by_asking {
        while let Some(before) = granted.next_if(|it| it.granted < hold.asked) {
            if greatest.is_none_or(|greatest| greatest.token < before.token) {
                greatest = Some(before);
            }
        }
        let regained = |before: &Hold| before.token == hold.token && before.owner == hold.owner;
        if let Some(before) = greatest
            && before.token >= hold.token
            && !regained(before)
        {
            let what = format!(
                "lock {}: token {} of client {}, asked for at {:?}, does not exceed token {} of \
                 client {}",
                hold.lock, hold.token, hold.owner, hold.asked, before.token, before.owner,
            );
            return Some(Violation::new(Guarantee::FencedMutualExclusion, what));
        }
    }
    None
}

/// Of those that had to wait, the one whose request came first has the lesser token.
fn arrival_order(holds: &[Hold]) -> Option<Violation> {
    let mut waited: Vec<&Hold> = holds.iter().filter(|hold| hold.waited).collect();
    waited.sort_by_key(|hold| hold.token);
    let overtaken = waited.windows(2).find(|pair| pair[0].arrival > pair[1].arrival)?;
    let what = format!(
        "lock {}: client {} (request {}) was served before client {} (request {})",
        overtaken[0].lock,
        overtaken[0].owner,
        overtaken[0].arrival,
        overtaken[1].owner,
        overtaken[1].arrival,
    );
    Some(Violation::new(Guarantee::FirstComeFirstServed, what))
}

/// Whoever asks who holds a lock must not be told of a holder before one whose grant had reached its
/// client by then.
fn stale_look(calls: &[Call], holds: &[Hold]) -> Option<Violation> {
    for call in calls {
        let (Op::Inspect { lock }, End::Done(Outcome::Holder { token: Some(token) })) =
            (&call.op, &call.end)
        else {
            continue;
        };
        let known = |hold: &&Hold| hold.lock == *lock && hold.granted < call.invoked;
        if let Some(later) = holds.iter().filter(known).find(|hold| hold.token > *token) {
            let what = format!(
                "lock {lock}: {} named token {token} as the holder's at {:?}, but client {} was \
                 granted token {} at {:?}, before the question",
                call.node, call.returned, later.owner, later.token, later.granted,
            );
            return Some(Violation::new(Guarantee::Linearizability, what));
        }
    }
    None
}

/// Who took a lock once, however often it asked, and gave it back, has no hold left: unless it does
/// not know how an earlier call of its ended.
fn held_twice(calls: &[Call]) -> Option<Violation> {
    let mut by_begin: Vec<&Call> = calls.iter().collect();
    by_begin.sort_by_key(|call| call.invoked);
    let mut unsure: BTreeSet<(u32, u32)> = BTreeSet::new();
    for call in by_begin {
        let (Op::Acquire { lock, owner, .. } | Op::Release { lock, owner, .. }) = &call.op else {
            continue;
        };
        match &call.end {
            // Who could not give a lock back, or does not know whether it did, may hold it still.
            End::Unknown
            | End::Refused(Refusal::NotLeader(_) | Refusal::Unavailable | Refusal::Unknown) => {
                unsure.insert((*lock, *owner));
            }
            End::Done(Outcome::Released { holds_left: left @ 1.. })
                if !unsure.contains(&(*lock, *owner)) =>
            {
                let what = format!(
                    "lock {lock}: client {owner} took it once and gave it back at {:?}, and is said \
                     to hold it {left} times more",
                    call.returned,
                );
                return Some(Violation::new(Guarantee::ExactlyOnce, what));
            }
            End::Done(_) | End::Refused(_) => {}
        }
    }
    None
}

/// The resource refused a client whose lease was valid: someone else held it too, or was given a
/// greater token before.
fn refused_holder(accesses: &[Access]) -> Option<Violation> {
    let refused = accesses.iter().find(|access| !access.accepted && access.lease_valid)?;
    let what = format!(
        "lock {}: the resource refused token {} of client {} at {:?}, whose lease was valid",
        refused.lock, refused.token, refused.owner, refused.at,
    );
    Some(Violation::new(Guarantee::FencedMutualExclusion, what))
}

/// The resource accepted two clients under one token: it could not have told them apart.
fn shared_token(accesses: &[Access]) -> Option<Violation> {
    let mut owners: BTreeMap<(u32, u64), u32> = BTreeMap::new();
    for access in accesses.iter().filter(|access| access.accepted) {
        let first = *owners.entry((access.lock, access.token)).or_insert(access.owner);
        if first != access.owner {
            let what = format!(
                "lock {}: the resource accepted clients {first} and {} under token {}",
                access.lock, access.owner, access.token,
            );
            return Some(Violation::new(Guarantee::FencedMutualExclusion, what));
        }
    }
    None
}
