//! From a history to what did not hold in it.
//!
//! Each file looks for the breach of a few guarantees. All of them see only what clients saw and
//! when, so that they judge every implementation alike, in every world. What shows only in the
//! nodes' own states is judged by each pattern's invariants, while the simulated world steps.

mod elections;
mod locks;
pub(crate) mod registers;
mod service;

use crate::guarantee::Violation;
use crate::history::History;
use crate::implementation::{Implementation, Workload};

/// What did not hold in `history` of what `implementation` claims or disclaims, and, if some checker
/// could not decide, why.
pub fn judge(
    history: &History,
    implementation: &Implementation,
) -> (Vec<Violation>, Option<String>) {
    let mut violations = Vec::new();
    let mut undecided = None;
    match implementation.workload {
        Workload::Elections => violations.extend(elections::judge(&history.calls)),
        Workload::Locks => violations.extend(locks::judge(history)),
        Workload::Registers => {
            let (found, reason) = registers::judge(history);
            violations.extend(found);
            undecided = reason;
        }
    }
    violations.extend(service::judge(history));
    violations.retain(|violation| implementation.judges(violation.guarantee));
    (violations, undecided)
}
