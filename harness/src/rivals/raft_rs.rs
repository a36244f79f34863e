//! `raft` 0.7 of TiKV, as a [`cluster::Node`]: it runs in the simulated world and in the threads
//! world.
//!
//! Driven by the asynchronous ready (`RawNode` and the section "Processing the Ready state" of its
//! crate doc): what a ready wants stored is written as one record; a leader's messages leave at
//! once, everybody else's once the record is durable; `on_persist_ready` is called when it is.
//! Reads are ReadIndex in its safe mode. Pre-vote and check-quorum are on. Ten heartbeats to an
//! election timeout, as its `Config` suggests, and election timeouts as long as those of our `raft`.
//!
//! What the adapter adds: it answers `NotLeader` rather than forward, fails what it had taken when
//! it is deposed, keeps reads back until the leader's first entry is committed (the library drops
//! them silently), and draws election timeouts from the boot seed (the library draws them from the
//! thread's generator, which no seed decides).

mod node;
mod stored;

use std::time::Duration;

use crate::guarantee::Guarantee;
use crate::implementation::{Implementation, NODE_WORLDS, Workload, majority, start_with};

use super::registers::Rival;

pub use node::{Config, Gauge, RaftRs};
pub use stored::{Saved, Wire};

/// Its name on the command line.
pub const NAME: &str = "raft-rs";

/// TiKV's Raft.
pub fn raft_rs() -> Implementation {
    with(Config::default())
}

/// TiKV's Raft, configured so.
pub fn with(config: Config) -> Implementation {
    Implementation {
        name: NAME,
        summary: "tikv raft 0.7: RawNode, asynchronous ready, ReadIndex, pre-vote, check-quorum",
        // Its README and crate doc: "Raft's consensus", with the guarantees of the paper's figure 3;
        // `ReadOnlyOption::Safe` "guarantees the linearizability of the read only request".
        claims: &[
            Guarantee::ElectionSafety,
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
        worlds: NODE_WORLDS,
        nodes: 5,
        service_needs: majority,
        // As ours: the timeouts are the same, and pre-vote costs one round more.
        grace: Duration::from_millis(1_200),
        start: start_with::<Rival<RaftRs>>(config),
        serve: None,
    }
}
