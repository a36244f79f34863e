//! Availability: requests succeed when they should.

use crate::guarantee::{Guarantee, Violation};
use crate::history::{Call, History};
use crate::vocabulary::{Membership, Op, ReadPath};

/// A call that began and ended while service was due, and asked a node of which it was due, must
/// have been served. What happens after the repair is judged by the run itself.
pub(super) fn judge(history: &History) -> Option<Violation> {
    for window in &history.windows {
        let unserved = history.calls.iter().find(|call| {
            is_service(history, call)
                && call.invoked >= window.from
                && call.returned < window.until
                && window.serving.contains(&call.node)
                && !call.served()
        });
        if let Some(call) = unserved {
            let what = format!(
                "{:?} at {} ended {:?} at {:?}, though {:?} were up and connected since {:?}",
                call.op, call.node, call.end, call.returned, window.serving, window.from,
            );
            return Some(Violation::new(Guarantee::Availability, what));
        }
    }
    None
}

/// Whether it is due of a majority. A change of who votes is not: whoever is to vote must be able to take
/// the log. Nor is a read at a node that may be out: it takes part in nothing.
fn is_service(history: &History, call: &Call) -> bool {
    match call.op {
        Op::Change(_) => false,
        Op::Read { path: ReadPath::Follower, .. } => !may_be_out(history, call),
        Op::Read { path: ReadPath::Usual | ReadPath::Lease, .. }
        | Op::Lead
        | Op::Write { .. }
        | Op::Open
        | Op::Committed
        | Op::Acquire { .. }
        | Op::Renew { .. }
        | Op::Inspect { .. }
        | Op::Release { .. } => true,
    }
}

/// Whether the node that `call` asked may have had no vote at some moment of it. At first all vote, and one
/// operator changes that, one call after the other.
fn may_be_out(history: &History, call: &Call) -> bool {
    let mut out = false;
    for change in history.calls.iter().filter(|change| change.invoked <= call.returned) {
        if let Op::Change(Membership::Voters(voters)) = &change.op {
            let is_in = voters.contains(&call.node);
            let over = change.served() && change.returned <= call.invoked;
            out = !is_in || out && !over;
        }
    }
    out
}
