//! The real etcd: three processes on this machine, spoken to over HTTP.
//!
//! Each member is the program `etcd` (Debian: `etcd-server`) with a data directory of its own in a
//! temporary directory and ports of its own on the loopback interface. Clients speak to the member
//! they were told to, through its JSON gateway (`/v3/kv/put`, `/v3/kv/range`); a range is
//! linearizable unless it asks not to be. The key is the register, the value what it holds.
//!
//! Heartbeats every 50 ms and elections after 500 ms, by the rule of etcd's "Tuning" page for a
//! round trip so short; pre-vote on, which is the default of later releases.
//!
//! A crash is a kill -9, a pause is SIGSTOP. The loss of power is a kill -9 of all at once, **and
//! that is less**: what was written and not synced survives in the system's page cache. Faults of
//! links and clocks are refused: they need a network and a clock that are the harness's own.
//!
//! The processes die with the [`Cluster`]; where `setpriv` (util-linux) is found, they also die with
//! the thread that started them, however it ends.

mod client;
mod cluster;
mod member;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::guarantee::Guarantee;
use crate::implementation::{Implementation, Workload, World, majority};

use super::Absent;

pub use cluster::Cluster;

/// Its name on the command line.
pub const NAME: &str = "etcd";

/// Etcd, as it is installed on this machine.
///
/// # Errors
/// [`Absent`], when it is not.
pub fn etcd() -> Result<Implementation, Absent> {
    let program = find("etcd").ok_or(Absent { program: "etcd", package: "etcd-server" })?;
    Ok(Implementation {
        name: NAME,
        summary: "etcd as installed: three processes on loopback, over HTTP, with its own disk",
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
        worlds: &[World::Processes],
        nodes: 3,
        service_needs: majority,
        grace: Duration::from_millis(2_500),
        start: Arc::new(move |setting| Ok(Box::new(Cluster::start(&program, setting)?))),
    })
}

/// Where `program` is on the search path, if it is.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}
