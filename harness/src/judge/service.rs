//! Availability: requests succeed when they should.

use crate::guarantee::{Guarantee, Violation};
use crate::history::History;
use crate::vocabulary::Op;

/// A call that began and ended while service was due, and asked a node of which it was due, must
/// have been served. What happens after the repair is judged by the run itself.
pub(super) fn judge(history: &History) -> Option<Violation> {
    for window in &history.windows {
        let unserved = history.calls.iter().find(|call| {
            is_service(&call.op)
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

/// Whether a majority must be able to do it: whoever is to vote must be able to take the log.
fn is_service(op: &Op) -> bool {
    !matches!(op, Op::Change(_))
}
