//! The tests of `raft`, in one binary.

mod arbitrary;
mod bed;
mod calls;
mod complaints;
mod configurations;
mod core;
mod departure;
mod durable;
mod ended;
mod evidence;
mod flow;
mod forced;
mod groups;
mod groups_storm;
mod growth;
mod handles;
mod identity;
mod journal;
mod levels;
mod loyalty;
mod membership;
mod mit;
#[cfg(feature = "mutants")]
mod mutants;
#[cfg(all(feature = "metrics", feature = "tracing"))]
mod observe;
mod paper;
mod partial;
mod prevote;
mod quorum;
mod reads;
mod recovery;
mod renewal;
mod replication;
mod safety;
mod scripts;
mod sessions;
mod snapshots;
mod stage;
mod storm;
mod table;
mod threads;
mod transfer;
#[cfg(feature = "net")]
mod wire;
mod witness;
mod witness_sim;
