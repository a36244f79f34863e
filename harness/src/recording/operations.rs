//! What clients did, in few words and in full.

use crate::history::{Call, End, History};
use crate::recording::{Ending, Operation, OperationKind};
use crate::vocabulary::{Membership, Op, Outcome, ReadPath, Refusal};

/// The operations of `history` in order of call; and for each of its calls, where it is among them.
pub(super) fn operations(history: &History) -> (Vec<Operation>, Vec<usize>) {
    let mut by_call: Vec<usize> = (0..history.calls.len()).collect();
    by_call.sort_by_key(|&index| (history.calls[index].invoked, history.calls[index].process));
    let mut places = vec![0; history.calls.len()];
    for (place, &index) in by_call.iter().enumerate() {
        places[index] = place;
    }
    let operations = by_call.iter().map(|&index| operation(&history.calls[index])).collect();
    (operations, places)
}

fn operation(call: &Call) -> Operation {
    let Call { process, op, node, invoked, returned, end } = call;
    let (kind, asked, verb) = match op {
        Op::Lead => (OperationKind::Other, "lead".to_owned(), "lead".to_owned()),
        Op::Read { key, path } => {
            let how = match path {
                ReadPath::Usual => "",
                ReadPath::Lease => ", by lease",
                ReadPath::Follower => ", at a follower",
            };
            (OperationKind::Read, format!("k{key}"), format!("read k{key}{how}"))
        }
        Op::Write { key, value, .. } => {
            (OperationKind::Write, format!("k{key} ← {value}"), format!("write k{key} ← {value}"))
        }
        Op::Open => (OperationKind::Other, "session".to_owned(), "open a session".to_owned()),
        Op::Change(Membership::Voters(voters)) => {
            (OperationKind::Other, "voters".to_owned(), format!("let {voters:?} vote"))
        }
        Op::Change(Membership::Renewed(node)) => {
            let text = format!("let {node} vote on its present disk");
            (OperationKind::Other, format!("renew {node}"), text)
        }
        Op::Committed => (OperationKind::Read, "log".to_owned(), "read the log".to_owned()),
        Op::Inspect { lock } => {
            (OperationKind::Read, format!("l{lock}"), format!("who holds l{lock}?"))
        }
        Op::Acquire { lock, owner, ttl, wait, .. } => (
            OperationKind::Other,
            format!("take L{lock}"),
            format!("take lock {lock} for client {owner}, ttl {ttl:?}, wait {wait:?}"),
        ),
        Op::Renew { lock, owner, token, ttl } => (
            OperationKind::Other,
            format!("renew L{lock}"),
            format!("renew lock {lock} for client {owner}, token {token}, ttl {ttl:?}"),
        ),
        Op::Release { lock, owner, token } => (
            OperationKind::Other,
            format!("free L{lock}"),
            format!("give lock {lock} of client {owner} back, token {token}"),
        ),
    };
    let (ending, answer) = ending(end);
    let label = match (op, &answer) {
        (Op::Write { .. }, _) | (_, None) => asked,
        (_, Some(answer)) => format!("{asked} → {answer}"),
    };
    let outcome = match (ending, &answer) {
        (Ending::Done, Some(answer)) => format!(" → {answer}"),
        (Ending::Done, None) => ", done".to_owned(),
        (Ending::Refused, Some(why)) => format!(", refused: {why}"),
        (Ending::Refused, None) => ", refused".to_owned(),
        (Ending::Unknown, _) => ", outcome unknown".to_owned(),
    };
    let text = format!("p{process} at {node}: {verb}{outcome}");
    let (process, node, invoked, returned) = (*process, *node, *invoked, *returned);
    Operation { process, node, invoked, returned, end: ending, kind, label, text }
}

/// How a call ended, and what its client was told, in a word or two.
fn ending(end: &End) -> (Ending, Option<String>) {
    match end {
        End::Unknown => (Ending::Unknown, None),
        End::Done(outcome) => (Ending::Done, told(outcome)),
        End::Refused(refusal) => {
            let why = match refusal {
                Refusal::NotLeader(Some(leader)) => format!("not leader, {leader} is"),
                Refusal::NotLeader(None) => "not leader".to_owned(),
                Refusal::Unavailable => "unavailable".to_owned(),
                Refusal::Busy => "busy".to_owned(),
                Refusal::NotHolder => "not holder".to_owned(),
                Refusal::Unknown => return (Ending::Unknown, None),
            };
            (Ending::Refused, Some(why))
        }
    }
}

fn told(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Leading(epoch) => Some(format!("{epoch}")),
        Outcome::Value(None) => Some("nil".to_owned()),
        Outcome::Value(Some(value)) => Some(value.to_string()),
        Outcome::Opened { session } => Some(session.to_string()),
        Outcome::Log(log) => Some(format!("{} entries", log.len())),
        Outcome::Acquired { token, .. } => Some(format!("token {token}")),
        Outcome::Written
        | Outcome::Changed
        | Outcome::Renewed { .. }
        | Outcome::Released { .. } => None,
        Outcome::Holder { token } => {
            Some(token.map_or_else(|| "free".to_owned(), |token| format!("token {token}")))
        }
    }
}
