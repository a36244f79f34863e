//! `omnipaxos` 0.2.4, as a [`cluster::Node`]: it runs in the simulated world and in the threads
//! world.
//!
//! Driven as its documentation says: the caller ticks it, hands in what arrives, takes out what is to
//! be sent, and reads what is decided. Its storage is ours: what it writes becomes records, and
//! everything it says waits until what it wrote before is durable, as if its storage had blocked.
//! There is no read index, so reads go through the log.
//!
//! What the adapter adds:
//! - Sessions. Omni-Paxos is specified for links that keep their order and lose nothing but by the
//!   end of a session, of which both ends are told (`OmniPaxos::reconnected`): for TCP, that is. The
//!   worlds have datagrams. So [`link`] does what TCP would.
//! - `NotLeader` rather than a forwarded proposal, so that a client knows what was not done; and an
//!   answer to what is still pending when the node is deposed.
//!
//! What the suite found in it, by the library's own doing:
//! - A node that dies after it promised its own ballot, before others heard of it, comes back and
//!   waits for a leader of a greater one (`handle_preparereq`), while the others are content with a
//!   lesser one (`update_happiness`): it never catches up, until the leader changes.
//! - A promise that was sent again arrives after the follower has moved on, the leader answers it as
//!   well, and `sync_log` rewrites decided entries with themselves. That does no harm, but breaks a
//!   `debug_assert!`: build the library without debug assertions, as its users do.

pub mod link;
mod node;
mod store;

use std::time::Duration;

use crate::guarantee::Guarantee;
use crate::implementation::{Implementation, NODE_WORLDS, Workload, majority, start_with};

use super::registers::Rival;

pub use node::{Config, Omni, Wire};
pub use store::{Command, CommandId, Operation, Record};

/// Its name on the command line.
pub const NAME: &str = "omnipaxos";

/// Omni-Paxos.
pub fn omnipaxos() -> Implementation {
    with(Config::default())
}

/// Omni-Paxos, configured so.
pub fn with(config: Config) -> Implementation {
    Implementation {
        name: NAME,
        summary: "omnipaxos 0.2.4: Sequence Paxos, ballot leader election, reads through the log",
        // Its crate doc: "a replicated log with strong consistency guarantees ... completely
        // resilient to partial network partitions"; decided entries "are guaranteed to be strongly
        // consistent and linearizable".
        claims: &[
            Guarantee::ElectionSafety,
            Guarantee::LeaderAgreement,
            Guarantee::StateMachineSafety,
            Guarantee::Linearizability,
            Guarantee::Durability,
            Guarantee::Availability,
        ],
        // A leader does not know of its successor until it hears of it.
        disclaims: &[Guarantee::NoSplitBrain],
        workload: Workload::Registers,
        reads: &[],
        reconfigures: false,
        witness: |_| false,
        worlds: NODE_WORLDS,
        nodes: 5,
        service_needs: majority,
        // Three rounds of heartbeats to notice and to take over, and a session that ends by timeout.
        grace: Duration::from_millis(1_200),
        start: start_with::<Rival<Omni>>(config),
        serve: None,
    }
}
