//! `openraft` 0.9.25 (the stable series), in this process: a thread with a runtime of its own for
//! each node.
//!
//! openraft brings its own tasks and timers, so it is no [`Node`](::cluster::Node) and cannot run in the
//! simulated world. Each node has a single-threaded tokio runtime on a thread of its own, so that a
//! node can be stopped as a process can (its thread stands still, timers and all), and killed (its
//! runtime is dropped where it stands). Its log and vote live in memory outside of the runtime and
//! survive that; whatever a killed life still tries to write is refused. Its state machine dies with
//! it and is rebuilt from the log.
//!
//! Its network is a function call (`RaftNetwork`), as in its own examples. A lost request or answer
//! hangs until openraft's own timeout; a node that is down refuses at once (`Unreachable`). Nothing
//! is said of clocks: openraft reads the system's, and a fault of one is refused.
//!
//! Defaults are its own: heartbeats every 50 ms, elections after 150 to 300 ms. Two are not: a peer
//! that refused is tried again after 20 ms rather than 500, and the log is kept whole.

mod cluster;
mod network;
mod store;

use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use crate::guarantee::Guarantee;
use crate::implementation::{Implementation, Workload, World, majority};

use super::registers::Write;

pub use cluster::Cluster;

/// Its name on the command line.
pub const NAME: &str = "openraft";

::openraft::declare_raft_types!(
    /// The types of the registers' log.
    pub Types:
        D = Write,
        R = (),
        NodeId = u64,
        Node = ::openraft::EmptyNode,
);

/// Openraft.
pub fn openraft() -> Implementation {
    Implementation {
        name: NAME,
        summary: "openraft 0.9.25: a runtime a node, logs in memory, ensure_linearizable",
        // Its documentation, "Read Operation": `ensure_linearizable`; `client_write` returns when the
        // entry is committed and applied. Several nodes may lead in one term, one after the other
        // (feature `single-term-leader` is off): election safety is not claimed.
        claims: &[
            Guarantee::LeaderAgreement,
            Guarantee::StateMachineSafety,
            Guarantee::Linearizability,
            Guarantee::Durability,
            Guarantee::Availability,
        ],
        // A deposed leader does not know it, for up to an election timeout.
        disclaims: &[Guarantee::NoSplitBrain],
        workload: Workload::Registers,
        reads: &[],
        reconfigures: false,
        witness: |_| false,
        worlds: &[World::Threads],
        nodes: 5,
        service_needs: majority,
        grace: Duration::from_millis(1_200),
        start: Arc::new(|setting| Ok(Box::new(Cluster::start(setting)?))),
        serve: None,
    }
}
