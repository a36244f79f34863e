//! The tests of `raft`, in one binary.

mod arbitrary;
mod bed;
mod core;
mod journal;
mod mit;
#[cfg(feature = "mutants")]
mod mutants;
mod paper;
mod quorum;
mod reads;
mod recovery;
mod replication;
mod safety;
mod sessions;
mod snapshots;
mod storm;
mod table;
mod threads;
