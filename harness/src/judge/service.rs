//! Availability: requests succeed when they should.

use crate::guarantee::{Guarantee, Violation};
use crate::history::History;
use crate::vocabulary::{Op, ReadPath};

/// A call that began and ended while service was due, and asked a node of which it was due, must
/// have been served. What happens after the repair is judged by the run itself.
pub(super) fn judge(history: &History) -> Option<Violation> {
    let changes = history.calls.iter().any(|call| matches!(call.op, Op::Change(_)));
    for window in &history.windows {
        let unserved = history.calls.iter().find(|call| {
            is_service(&call.op, changes)
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
/// the log. Nor is, where voters change, a read at any node: whoever is out serves none.
fn is_service(op: &Op, voters_change: bool) -> bool {
    match op {
        Op::Change(_) => false,
        Op::Read { path: ReadPath::Follower, .. } => !voters_change,
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
