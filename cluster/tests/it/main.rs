//! The worlds keep what they promise to nodes and to clients: shown with a node that does nothing
//! but what it is told (see `scribe`).

mod calls;
mod clocks;
mod contract;
mod crash_points;
mod determinism;
mod disks;
mod durability;
mod explore;
mod hosts;
#[cfg(feature = "journal")]
mod journals;
mod many;
mod many_disks;
#[cfg(feature = "mutants")]
mod mutants;
#[cfg(feature = "tls")]
mod net;
#[cfg(feature = "tls")]
mod net_hostile;
#[cfg(feature = "process")]
mod net_process;
#[cfg(feature = "tls")]
mod net_tls;
mod network;
mod scribe;
mod stores;
mod threads_calls;
mod threads_disks;
mod threads_faults;
mod threads_port;
mod threads_shutdown;
mod threads_stores;
mod trace;
