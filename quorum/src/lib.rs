//! Leaderless N/R/W replication on a consistent-hash ring.
//!
//! Keep three copies of a note with three friends. To change it, tell all three and be content when
//! two have written it down; to read it, ask all three and be content with two answers. Any two
//! friends and any other two have one in common, so a reader hears of the last change from at least
//! one, and a version on each copy says which answer is the newer. One friend may be away at any
//! time, and nobody is in charge.
//!
//! That much is often called "strong", and is not. Three things are missing, and each is a part of
//! this crate:
//! - *Which is newer?* Two writers must not choose the same version, nor a later one a lesser. So a
//!   writer first asks a read quorum for the greatest version ([`Versioning::Tagged`]), and names
//!   its own by node, boot and operation. Wall clocks ([`Versioning::WallClock`]) save that round
//!   trip and lose acknowledged writes.
//! - *Does it stay read?* A write that has reached one friend of three is heard of or not, depending
//!   on who answers. So a reader makes sure that a write quorum has what it is about to return
//!   ([`Repair::WriteBack`]).
//! - *Does it stay written?* A friend who says "noted" must have it on paper: acknowledgements wait
//!   for the disk.
//!
//! With all three the store is a set of linearizable registers, one a key: the algorithm of Attiya,
//! Bar-Noy and Dolev ("Sharing Memory Robustly in Message-Passing Systems", 1995) for many writers
//! (Lynch and Shvartsman, "Robust Emulation of Shared Memory Using Dynamic Quorum-Acknowledged
//! Broadcasts", 1997), with the placement and the hints of Dynamo (DeCandia et al., 2007).
//!
//! ```text
//!            client                       the ring: a key belongs to the first N
//!              │ put, get                 different nodes met clockwise
//!              ▼
//!          any node                                 key
//!        (coordinator)                            n4 │ n1
//!        │     │     │   to all N at once           ╲▼╱
//!        ▼     ▼     ▼                          n2 ─(   )─ n3
//!       n1    n3    n4   replicas                   ╱ ╲
//!       disk  disk  ···                           n3   n2
//!        │     │     │
//!        └─ ≥ R or W ┘   enough: answer. The rest is heard out, repaired, or hinted.
//! ```
//!
//! # Guarantees
//! Every reply carries the [`Guarantee`] that its quorums, versions and repair gave, which
//! [`Config::guarantee`] tells beforehand. R + W ≤ N is accepted and gives
//! [`Guarantee::Convergent`].
//!
//! Claimed, as long as disks keep what they synced, whatever crashes, pauses, clocks and links do:
//! 1. *What the reply's guarantee says*, per key. No wall clock decides it, unless configured to.
//! 2. *Durability.* An acknowledged write is on the disks of W of the key's own replicas. Nobody
//!    else counts: no hint, no fallback node, no replica twice.
//! 3. *Honest errors.* [`Error::Unknown`] is a write that may have or may yet take effect; every
//!    other [`Error`] is one that has not and will not.
//! 4. *Quick refusal.* When too few of a key's replicas are believed live, the answer is
//!    [`Error::Unavailable`], at once. A replica is suspected when it has answered nothing for
//!    [`Config::suspect_after`], rounded up to whole probe intervals and counted from the first
//!    probe that it missed; until then requests are tried until their timeout.
//! 5. *Convergence.* Once faults stop, the hints are replayed, and a key is then read with repair
//!    on, all its replicas hold the same version.
//!
//! Not claimed:
//! - Anything across keys; compare-and-set (impossible by this algorithm).
//! - That a retried write takes effect once: a request sent again is another write, with another
//!   version.
//! - Convergence of keys that nobody reads, when the coordinator of a write crashed before it wrote
//!   its hints, or had no room for them. There is no anti-entropy between replicas yet.
//! - Progress without [R and W] live, connected replicas of the key.
//! - A change of members, or of N, while the store holds data.
//! - Bounded disks: tombstones are kept for ever, and so is the log of records.
//!
//! # Reading on
//! [`Replica`] is the node, a pure state machine for the worlds of [`cluster`]; [`Request`] and
//! [`Reply`] are what it is asked and answers; [`Ring`] places keys; [`Version`] orders writes;
//! [`invariants`] judges running nodes; [`Store`] is the client, for whoever waits and whoever awaits. A store in one process:
//!
//! ```
//! use std::time::Duration;
//! use cluster::Members;
//! use cluster::threads::{Options, Threads};
//! use quorum::{Config, Guarantee, Replica, Store};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let threads: Threads<Replica> =
//!     Threads::start(Config::default(), Members::first(5)?, Options::default())?;
//! let store = Store::new(threads.caller(), Duration::from_secs(5));
//! let version = store.put("user:1", "Alice").wait()?;
//! let read = store.get("user:1").wait()?;
//! assert_eq!(read.value, Some("Alice".into()));
//! assert_eq!((read.version, read.guarantee), (version, Guarantee::Linearizable));
//!
//! // The same in any runtime:
//! # pollster::block_on(async {
//! let (one, other) = (store.put("user:1", "Ann"), store.put("user:2", "Bob"));
//! other.await?;
//! assert!(one.await? > version);
//! # Ok::<_, quorum::StoreError>(())
//! # })?;
//! threads.shutdown();
//! # Ok(())
//! # }
//! ```
//!
//! [R and W]: Config::with_quorums

pub mod invariants;

mod config;
mod coordinator;
mod error;
mod explore;
mod handoff;
mod hints;
mod message;
mod mutants;
mod node;
mod operation;
mod peers;
mod replica;
mod ring;
mod storage;
mod store;
mod version;

pub use config::{Config, Guarantee, Repair, Versioning};
pub use error::Error;
pub use message::{Event, Message, Record, Reply, Request, Response, Status};
#[cfg(feature = "mutants")]
pub use mutants::Mutant;
pub use node::Replica;
pub use ring::Ring;
pub use store::{Call, Read, Store, StoreError};
pub use version::{Entry, Incarnation, Key, OpId, Value, Version};
