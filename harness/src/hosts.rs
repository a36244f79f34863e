//! The world `net`: every node a process, with links, a disk and a life that can be taken for real.
//!
//! ```text
//!   Cluster ── faults ──▶ kill -9, SIGSTOP, restart, an emptied directory     process, dir
//!      │                  links cut, lossy, slow, overtaking                  rules, relay
//!      │                  a full disk                                         space
//!      └── calls ──▶ client threads ══ TCP ══▶ processes                      lane, inhabitant
//! ```
//!
//! An [`Inhabitant`] says how a program is started and how its clients speak to it; [`Cluster`] does
//! the rest. Our own patterns are [`Resident`]s: the program that judges them, started again as a node
//! ([`become_node`]). Where root and the tools are there ([`available`]), each node has a network namespace of
//! its own ([`Kind::Namespaces`]); elsewhere all share the loopback interface
//! ([`Kind::Loopback`]), and relays of ours stand between nodes that can be told their addresses.
//!
//! # What becomes of a fault
//! | fault | in namespaces | on loopback |
//! |---|---|---|
//! | crash, loss of power | kill -9, of all at once. Of a resident, what was written and not synced is gone, as when the power goes; of a foreign program it **survives** in the page cache | the same |
//! | pause, resume | SIGSTOP, SIGCONT | the same |
//! | partition, one-way cut | the kernel drops every packet of that way, acknowledgements of the other way among them: a connection still carries what fits in its window | bytes of that way wait, and arrive after the cut |
//! | loss | that share of packets; TCP sends them again, so messages come late. For every twenty of them one more is answered by a reset, so messages are lost with their connection | refused |
//! | duplication | that share of packets comes twice, the second late; TCP drops it | refused |
//! | delay, reordering | that share of packets is held back and overtaken; TCP puts them in order, so messages come late | that share of pieces waits, and with it what follows |
//! | full disk | the directory is a file system in memory that cannot grow | refused |
//! | wiped node | its directory is emptied | the same |
//!
//! These are possible because a resident does them to itself, wherever it stands; of a foreign program
//! they are refused:
//!
//! | fault | of a resident |
//! |---|---|
//! | slow, stalled disk | each sync takes longer, or does not return; the node's own thread waits for it, as it would |
//! | torn disk | the first half of every write reaches the file at once, the rest with the sync |
//! | rot | a batch of records in its files is damaged, overwritten by another, or zeroed: the last one only if that is meant |
//! | clocks | those that the node is handed drift and jump |
//! | crash after so many effects | the node dies there, and its process at once after it |
//!
//! What is refused is [`Unsupported`](::cluster::Unsupported), and the suite lists it as what that
//! cell cannot take.
//!
//! # What is left behind
//! Nothing. Processes die with the thread that started them (`setpriv`), however it ends; namespaces
//! and the file systems in them have no names, and go with whoever holds them; directories of a
//! process that was killed are removed by the next one that starts a cluster.

mod cluster;
mod dir;
mod ground;
mod inhabitant;
#[cfg(target_os = "linux")]
mod kernel;
#[cfg(not(target_os = "linux"))]
#[path = "hosts/elsewhere.rs"]
mod kernel;
mod lane;
mod namespaces;
mod process;
mod relay;
mod relays;
mod resident;
mod rules;
mod space;
mod tool;

use std::fmt;
use std::sync::OnceLock;

pub use self::cluster::Cluster;
pub use self::inhabitant::{Client, Ills, Inhabitant, Look, Seat};
pub use self::process::Launch;
pub(crate) use self::resident::serve;
pub use self::resident::{Post, Resident, Resides, Serve, Voice, become_node};
pub use self::tool::find;

/// What the nodes of a cluster of processes stand on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A network namespace each.
    Namespaces,
    /// The loopback interface.
    Loopback,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Namespaces => "in namespaces",
            Self::Loopback => "over relays on loopback",
        })
    }
}

/// Why there are no namespaces here.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Missing {
    /// They are Linux's.
    #[error("no namespaces: this is not Linux")]
    Linux,
    /// Only root makes them.
    #[error("no namespaces: not root")]
    Root,
    /// A program is not installed.
    #[error("no namespaces: {program} not found (Debian: {package})")]
    Program {
        /// Which.
        program: &'static str,
        /// The package that holds it.
        package: &'static str,
    },
    /// All is there, and it does not work.
    #[error("no namespaces: {0}")]
    Refused(String),
}

/// The programs that make a network.
const PROGRAMS: [(&str, &str); 5] = [
    ("ip", "iproute2"),
    ("tc", "iproute2"),
    ("nft", "nftables"),
    ("nsenter", "util-linux"),
    ("setpriv", "util-linux"),
];

/// Whether nodes can have namespaces here; found out once, by making some.
///
/// # Errors
/// [`Missing`]: why not.
pub fn available() -> Result<(), Missing> {
    static KNOWN: OnceLock<Result<(), Missing>> = OnceLock::new();
    KNOWN.get_or_init(find_out).clone()
}

fn find_out() -> Result<(), Missing> {
    if !cfg!(target_os = "linux") {
        return Err(Missing::Linux);
    }
    if !kernel::is_root() {
        return Err(Missing::Root);
    }
    for (program, package) in PROGRAMS {
        if find(program).is_none() {
            return Err(Missing::Program { program, package });
        }
    }
    namespaces::try_out().map_err(|error| Missing::Refused(error.to_string()))
}

/// What clusters stand on here unless told otherwise: the best there is.
pub fn kind() -> Kind {
    if available().is_ok() { Kind::Namespaces } else { Kind::Loopback }
}
