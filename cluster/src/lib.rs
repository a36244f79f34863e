//! The contract between coordination protocols and the worlds that run them.
//!
//! A protocol is a [`Node`]: a pure state machine. A world makes a [`Cluster`] of nodes and carries
//! their effects out: [`sim`] in virtual time, from one seed; [`threads`] in real time, a thread a
//! node; `net` (a feature) over TCP, a process a node. A protocol is written once and runs, unchanged,
//! in each; and [`many`] nodes of a protocol make one, where there are many groups of them on the same
//! machines.
//!
//! ```text
//!  client ── submit ─▶ Cluster ─▶ world (sim │ threads │ net)
//!                                   │ Input: Request · Message · Timer · Durable
//!                                   ▼
//!                                 Node::handle(now, input, &mut effects)     pure; one owner
//!                                   │ Effect: Persist · Send · Respond · Emit, in order
//!                                   ▼
//!                                 world: one sync a batch, then what waited for it
//!  client ◀── poll ── completion ◀──┴──▶ messages to the peers' nodes
//! ```
//!
//! # The caller's loop
//! A world is little more than this, once for every node. Whoever embeds a node without a world
//! writes the same lines:
//!
//! ```
//! use cluster::{Boot, Effect, EffectsOf, Input, Members, Node, Now, PersistCount};
//!
//! /// Hands a batch of inputs to a node whose disk is an in-memory list.
//! fn turn<N: Node>(
//!     node: &mut N,
//!     now: Now,
//!     inputs: impl IntoIterator<Item = cluster::InputOf<N>>,
//!     disk: &mut Vec<N::Record>,
//!     out: &mut EffectsOf<N>,
//! ) {
//!     for input in inputs {
//!         node.handle(now, input, out);
//!     }
//!     node.flush(now, out);
//!     let mut wrote = false;
//!     for effect in out.drain() {
//!         match effect {
//!             Effect::Persist(record) => {
//!                 disk.push(record);
//!                 wrote = true;
//!             }
//!             Effect::Send { .. } => { /* hand it to the transport: after the sync, if gated */ }
//!             Effect::Respond { .. } => { /* hand it to the client: after the sync, if gated */ }
//!             Effect::Emit(_) => { /* tell the application */ }
//!             Effect::Forget { .. } => { /* older records may go; to keep them does no harm */ }
//!         }
//!     }
//!     if wrote {
//!         // … sync the disk, then tell the node how far it got. What that leads to is the next
//!         // turn's business.
//!         node.handle(now, Input::Durable(out.persisted()), out);
//!     }
//!     // … and call again when `node.deadline()` comes, or sooner if something arrives.
//! }
//! ```
//!
//! # Invariants of absence
//! No node reads a clock, draws randomness of its own, spawns, locks, or does I/O. Nothing waits
//! for durability except by [`Gate::Durable`], and nothing that promises durability goes without.

pub mod call;
#[cfg(feature = "cli")]
pub mod cli;
mod contract;
mod digest;
mod disk;
#[cfg(feature = "journal")]
mod encoding;
pub mod explore;
mod fault;
mod id;
pub mod many;
#[cfg(feature = "net")]
pub mod net;
mod node;
mod planted;
mod port;
mod rng;
pub mod sim;
pub mod store;
pub mod threads;
mod time;

pub use contract::{Cluster, Completion, Emitted, Epoch, NoAnswer, NodeState, Role};
pub use digest::Digest;
pub use fault::{ClockFault, Cuts, Damage, DiskFault, Fault, LinkFault, Unsupported};
pub use id::{InvalidConfig, Members, NodeId, RequestId};
pub use node::{
    Boot, CorruptRecords, Effect, EffectOf, Effects, EffectsOf, Gate, Input, InputOf, Node,
    PersistCount, Redirect, Standing,
};
pub use port::{Port, ReplyTo, Sink};
pub use rng::Rng;
pub use time::{Clock, Now, Timestamp, WallTime};

/// Compiles and runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
