//! The tests of `raft`, in one binary.

mod arbitrary;
mod bed;
mod configurations;
mod core;
mod departure;
mod flow;
mod growth;
mod journal;
mod levels;
mod loyalty;
mod membership;
mod mit;
#[cfg(feature = "mutants")]
mod mutants;
mod paper;
mod partial;
mod prevote;
mod quorum;
mod reads;
mod recovery;
mod replication;
mod safety;
mod scripts;
mod sessions;
mod snapshots;
mod storm;
mod table;
mod threads;
mod transfer;
