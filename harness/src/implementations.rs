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
        raft::witnessed(),
        dlock::dlock(),
        quorum::tagged(),
        quorum::regular(),
        quorum::wall_clock(),
        quorum::partial(),
    ]
}

/// The names of the field's implementations that the suite knows; they are in builds with the feature
/// `rivals`.
pub const RIVALS: [&str; 4] = ["raft-rs", "omnipaxos", "openraft", "etcd"];

/// The implementation of that name.
pub fn named(name: &str) -> Option<Implementation> {
    all().into_iter().find(|implementation| implementation.name == name)
}

/// A breach that a pattern's own monitor has found, under the suite's name for it; what the suite
/// has no name for, under `otherwise`.
fn violation(name: &str, what: String, otherwise: Guarantee) -> Violation {
    match Guarantee::named(name) {
        Some(guarantee) => Violation::new(guarantee, what),
        None => Violation::new(otherwise, format!("{name}: {what}")),
    }
}
