//! The worlds keep what they promise to nodes and to clients: shown with a node that does nothing
//! but what it is told (see `scribe`).

mod clocks;
mod contract;
mod determinism;
mod durability;
mod hosts;
mod network;
mod scribe;
mod threads_calls;
mod threads_faults;
mod threads_shutdown;
