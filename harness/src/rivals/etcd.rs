//! The real etcd: three processes, spoken to over HTTP.
//!
//! Each member is the program `etcd` (Debian: `etcd-server`) on a host of its own, or on loopback
//! where no hosts can be made: see [`hosts`](crate::hosts), which also says what becomes of each
//! fault. Clients speak to the member they were told to, through its JSON gateway (`/v3/kv/put`,
//! `/v3/kv/range`); a range is linearizable unless it asks not to be. The key is the register, the
//! value what it holds.
//!
//! Heartbeats every 50 ms and elections after 500 ms, by the rule of etcd's "Tuning" page for a
//! round trip so short; pre-vote on, which is the default of later releases.

mod client;
mod inhabitant;

use std::sync::Arc;
use std::time::Duration;

use crate::guarantee::Guarantee;
use crate::hosts::Cluster;
use crate::implementation::{Implementation, Workload, World, majority};

use super::Absent;

pub use client::Client;
pub use inhabitant::Etcd;

/// Its name on the command line.
pub const NAME: &str = "etcd";

/// Etcd, as it is installed on this machine.
///
/// # Errors
/// [`Absent`], when it is not.
pub fn etcd() -> Result<Implementation, Absent> {
    let installed = Etcd::installed(Duration::from_millis(50), Duration::from_millis(500))?;
    Ok(Implementation {
        name: NAME,
        summary: "etcd as installed: three processes, over HTTP, with its own disk",
        // Its page "KV API guarantees": linearizable unless asked otherwise, and "any completed
        // operations are durable".
        claims: &[
            Guarantee::LeaderAgreement,
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
        worlds: &[World::Net],
        nodes: 3,
        service_needs: majority,
        grace: Duration::from_millis(2_500),
        start: Arc::new(move |setting| Ok(Box::new(Cluster::start(installed.clone(), setting)?))),
        serve: None,
    })
}
