//! Who is judged, and what each of them claims.

pub mod bully;
pub mod dlock;
pub mod quorum;
pub mod raft;

use crate::guarantee::{Guarantee, Violation};
use crate::implementation::Implementation;

/// Every implementation, in the order of reports.
pub fn all() -> Vec<Implementation> {
    vec![
        bully::guarded(),
        bully::textbook(),
        raft::raft(),
        dlock::dlock(),
        quorum::tagged(),
        quorum::wall_clock(),
        quorum::partial(),
    ]
}

/// The implementation of that name.
pub fn named(name: &str) -> Option<Implementation> {
    all().into_iter().find(|implementation| implementation.name == name)
}

/// A breach that a pattern's own monitor has found, under the suite's name for it.
///
/// What the pattern checks beyond the suite's guarantees (a log that shrinks, a table that
/// contradicts itself) can only mean that its replicas diverge.
fn violation(name: &str, what: String) -> Violation {
    match Guarantee::named(name) {
        Some(guarantee) => Violation::new(guarantee, what),
        None => Violation::new(Guarantee::StateMachineSafety, format!("{name}: {what}")),
    }
}
