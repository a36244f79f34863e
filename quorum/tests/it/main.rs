//! One binary for all integration tests of the crate.

mod config;
mod history;
mod hostile;
mod liveness;
#[cfg(feature = "mutants")]
mod mutants;
mod random;
mod restart;
mod rig;
mod ring;
mod schedules;
mod store;
mod versions;
