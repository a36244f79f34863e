//! Distributed locks: leases with fencing tokens, replicated by Raft.
//!
//! A lock in one process is a flag. Between processes the holder may die with the flag up, so the
//! lock must run out by itself: it is a *lease*. But then a holder that merely stalls may wake up
//! after its lease has gone to another, and go on as if nothing had happened; no lock service can
//! prevent that, because the holder is not there to be told. So every grant carries a number, its
//! *fencing token*, greater than all before it, and what the lock protects refuses an older number
//! than it has seen. The lease makes it work, the token makes it safe.
//!
//! ```text
//!  holder 1 ── acquire ─▶ f33 ──── stalls ───────────────────── write, f33 ─▶ refused
//!  holder 2 ────────────── wait ─── lease ends ─▶ f34 ── write, f34 ─▶ ok      ▲
//!  resource                                                       34 ──────────┘
//! ```
//!
//! # How it works
//! The service is a [`LockTable`], driven by a replicated log ([`raft`]). The table has no clock:
//! **time enters the log as part of each command**. The leader stamps commands with the time of the
//! last command in its log plus what its own monotonic clock has counted since it began to lead;
//! every replica ends leases and waits by these stamps and by nothing else, so all of them agree on
//! who held what at every index. When a lease or a wait is due and no command comes by, the leader
//! proposes a tick; an idle service writes nothing.
//!
//! ```text
//!  request ─▶ LockNode (leader) ── stamp ─▶ Raft ── commit ─▶ LockTable::apply, on every node
//!                 ▲    ▲                                          │ 1. time := stamp
//!                 │    └─ tick, when the next end is due          │ 2. waits that are over end
//!                 │                                               │ 3. leases that are over end,
//!                 │                                               │    and go to the next in line
//!                 └── answer ◀── Output { outcome, changes } ◀────┘ 4. the command itself
//! ```
//!
//! While nobody leads, log time stands still: a failover can lengthen a lease, by the time since the
//! last command at most, and never shortens one.
//!
//! Waiters stand in line in the table, with their deadlines. The lock goes to the first of them by
//! the very command that frees it, and the node that took its request answers then; nobody polls.
//!
//! # Guarantees
//! | | |
//! |---|---|
//! | fencing | tokens only ever grow: across release, expiry, restart, change of leader |
//! | mutual exclusion | of leases, in the log; of holders that obey [`Lease::is_valid`], in true time, as long as clocks run at one rate, within [`Locks::drift_ppm`] |
//! | fenced mutual exclusion | whatever clocks do, a [`FencedResource`] accepts no stale holder |
//! | deadlock freedom | a dead holder's lock is free within its TTL from the last command that touched it or the last change of leader, plus a round of replication, while a majority is up |
//! | first come, first served | waiters get the lock in the order of the log; only an owner's own waiters come in along with it |
//! | exactly-once | a request sent again (with the same attempt) takes effect once |
//! | availability | while a majority is up and connected; [`Error::NotLeader`] at once otherwise where the node knows it |
//!
//! Not guaranteed:
//! - that a holder learns of its loss at once: it must look at [`Lease::is_valid`], and at tokens;
//! - that a *first* sending of an acquire which arrives after its retry was granted *and* released is
//!   recognized: it counts as a new one, and its grant runs out with its TTL. Attempts that were
//!   cancelled or timed out are recognized, the last [`LockTable::ENDED_MAX`] of them;
//! - a bound on the size of names, and on the number of locks.
//!
//! # Example
//! On the threads world, with an owner that locks, works and releases:
//!
//! ```
//! use std::time::{Duration, Instant};
//!
//! use cluster::Members;
//! use cluster::threads::{Options, Threads};
//! use dlock::{Config, FencedResource, LockNode, Locks};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cluster = Threads::<LockNode>::start(
//!     Config::default().with_ttl_default(Duration::from_secs(5)),
//!     Members::first(3)?,
//!     Options::default(),
//! )?;
//! let mut balance = FencedResource::new(0);
//!
//! let locks = Locks::new(cluster.caller(), "worker-1");
//! let lease = locks.acquire("balance", None, Duration::from_secs(2)).wait()?;
//! assert!(lease.is_valid(Instant::now()));
//! *balance.access(lease.token)? += 10;
//! locks.release(&lease).wait()?;
//!
//! // The same in any runtime:
//! # pollster::block_on(async {
//! let lease = locks.acquire("balance", None, Duration::from_secs(2)).await?;
//! locks.release(&lease).await?;
//! assert!(!locks.is_locked("balance").await?);
//! # Ok::<_, dlock::LockError>(())
//! # })?;
//! cluster.shutdown();
//! # Ok(())
//! # }
//! ```

mod clock;
mod config;
mod error;
mod fenced;
mod id;
pub mod invariants;
mod locks;
mod message;
mod mutants;
mod node;
mod table;

pub use config::Config;
pub use error::Error;
pub use fenced::{Fenced, FencedResource};
pub use id::{Arrival, AttemptId, FencingToken, LogTime, Owner, Resource};
pub use locks::{Call, Lease, LockError, Locks};
pub use message::{Action, Command, Event, Grant, LockInfo, Reply, Request, Response};
#[cfg(feature = "mutants")]
pub use mutants::Mutant;
pub use node::LockNode;
pub use table::{Change, LockTable, Outcome, Output, Query, TableSnapshot, WaitEnd};
