//! The field's implementations under the same suite: what others have built, driven as their own
//! documentation says, and judged by the same scenarios and checkers as ours.
//!
//! ```text
//!            cluster::Node                      Subject of its own
//!   ┌────────────────────────────┐   ┌──────────────────────────────────────┐
//!   │ raft-rs        omnipaxos   │   │ openraft             etcd            │
//!   │ RawNode        + a session │   │ a runtime a node,    a process a     │
//!   │                  layer     │   │ a thread a runtime   node, over HTTP │
//!   └──────┬───────────────┬─────┘   └─────────┬──────────────────┬─────────┘
//!        sim             threads            threads           processes
//! ```
//!
//! An adapter is a caller of the library like any other: it must not be kinder to it than its users
//! are, and must not make it look worse. So each adapter persists and sends in the order that the
//! library demands, configures it as its documentation recommends, gives it the network that it
//! asks for, and says here what it had to add. All of them keep a few registers as their state
//! machine, so that one workload asks them all.
//!
//! What a rival does not claim, or what its world cannot do, is said by name: a fault that an adapter
//! cannot carry honestly is refused as [`Unsupported`](cluster::Unsupported), and a rival that is
//! not installed is listed by [`absent`].

pub mod etcd;
pub mod guarded;
pub mod omnipaxos;
pub mod openraft;
pub mod raft_rs;
pub mod registers;

use crate::implementation::Implementation;

/// Every rival that can run on this machine, in the order of reports.
pub fn all() -> Vec<Implementation> {
    let mut all = vec![raft_rs::raft_rs(), omnipaxos::omnipaxos(), openraft::openraft()];
    all.extend(etcd::etcd().ok());
    all
}

/// The rival of that name, if it can run on this machine.
pub fn named(name: &str) -> Option<Implementation> {
    all().into_iter().find(|rival| rival.name == name)
}

/// Every name, of those that are absent too.
pub const NAMES: [&str; 4] = [raft_rs::NAME, omnipaxos::NAME, openraft::NAME, etcd::NAME];

/// The rivals that cannot run here, by name, and why; their rows are to be reported as skipped.
pub fn absent() -> Vec<(&'static str, Absent)> {
    etcd::etcd().err().map(|why| (etcd::NAME, why)).into_iter().collect()
}

/// Why a rival cannot run on this machine. Nothing was started.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{program} not found (Debian: {package})")]
pub struct Absent {
    /// The program that is missing.
    pub program: &'static str,
    /// The package that holds it.
    pub package: &'static str,
}
