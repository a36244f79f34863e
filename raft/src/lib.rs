//! Raft: a replicated log and state machine.
//!
//! # The idea
//! Several machines shall behave as one that does not fail. If each of them starts in the same
//! state and carries out the same commands in the same order, they stay the same; so what must be
//! agreed on is a list of commands, the *log*. To agree is easy while one node, the *leader*,
//! decides the order and the others copy it. What is left is to change leaders without losing
//! anything that a client was told is done, and without two leaders getting in each other's way.
//!
//! Two rules do most of it. An entry is *committed* once a majority has it on disk; and a node
//! becomes leader only with the votes of a majority, each of which refuses a candidate whose log is
//! behind its own. Any two majorities share a node, so a new leader has met someone who holds every
//! committed entry, and was not refused: it holds them too. *Terms* number the leaders; each node
//! votes once in a term, and whoever hears of a later term gives up on the earlier one.
//!
//! ```text
//!               i1   i2   i3   i4   i5   i6
//!  n1 leader   │t1⋅ │t1 x│t1 y│t3⋅ │t3 z│t3 w│      ⋅ the no-op that begins a leadership
//!  n2          │t1⋅ │t1 x│t1 y│t3⋅ │t3 z│
//!  n3          │t1⋅ │t1 x│t1 y│t3⋅ │t3 z│
//!  n4          │t1⋅ │t1 x│t2⋅ │t2 q│                 of a leader of t2 that reached nobody:
//!  n5          │t1⋅ │t1 x│                            overwritten from i3 on at the next append
//!                                   └─ committed: three of five hold it, and it is of the term
//! ```
//!
//! # How it goes
//! ```text
//!           no word from a leader for a random while
//!          ┌──────────────┐            ┌──────────────────┐
//!          │              ▼            ▼                  │ nobody won
//!  boot ─▶ Follower   Pre-candidate ─ would win? ─▶ Candidate
//!          ▲    ▲         │                           │   │ votes of a majority
//!          │    └─────────┴───────────────────────────┘   ▼
//!          │     a leader of this term                 Leader: no-op, then append · commit ·
//!          │                                              │    apply · answer
//!          └──────────────────────────────────────────────┘ a later term, no majority heard,
//!                                                           its disk hangs
//! ```
//! The node is a pure state machine, [`Raft`], a [`cluster::Node`]. Commands that arrive together
//! are written as one record and sent as one append; the leader's disk works while the followers'
//! do; appends are sent ahead of their acknowledgements. A linearizable read costs no log entry: the
//! leader asks a majority whether it still leads, and then answers from its own state (§8).
//!
//! # Beyond the paper
//! Elections are calm: a node asks whether it could win before it makes a new term (pre-vote, §9.6
//! of the thesis), nobody leaves a leader that is heard (§4.2.3), and a leader that hears no majority
//! steps down (§6.2) and tells its clients what it knows. So a node that comes back disturbs nobody,
//! and where links fail between some nodes only, whoever reaches a majority leads: a voter that is
//! ahead of a pre-candidate lends it what its log lacks. Where machines tell that a process has ended
//! ([`Input::Ended`](cluster::Input::Ended), as over TCP), nobody waits until a leader that was killed is
//! missed. The lead is [handed over](Raft::transfer) on request. Reads have a [`ReadLevel`] each. Each of the three guards can be turned off in the
//! [`Config`].
//!
//! Every so many entries a node takes a [`Snapshot`] of its machine, writes it down while it goes on,
//! and drops the log before; a follower that lacks what its leader has dropped is sent the snapshot, in
//! parts (§7). A snapshot holds the machine, who takes part and the clients' sessions, all as of one
//! index, so a restart brings them back together.
//!
//! # Who takes part
//! A [`Configuration`] says who votes and who only learns. It is an entry of the log, in effect as soon
//! as it is appended, and [changed](Request::Change) by one call for each wish: see [`Change`]. One
//! voter more or less takes one step; more go through a joint configuration, which needs a majority of
//! both sets of voters and is left by itself, by whoever leads then. Who is to vote catches up first,
//! and service goes on meanwhile; a leader that is out hands over; and who was removed and does not know
//! it disturbs nobody.
//!
//! A voter is a node with its [`Disk`]. One that comes back with an empty disk, or another's, is not the
//! one that voted: its word counts nowhere, it is caught up like a learner, its [`Status`] says so
//! ([`Recognition`]), and [`Change::Renew`] makes it a voter on the disk that it has, by a joint change
//! that the others make. For this the nodes that found a cluster must all have met, once, before its
//! first election. When a majority is lost for good, those who are left go on by hand: [`recovery`].
//!
//! Where two copies of the data are enough, and a third voter is needed only to break ties, that may be a
//! [`witness`]: it votes and acknowledges, keeps of every entry its place and its term, and never leads
//! ([`Config::with_witnesses`], [`Change::AddWitness`]). Two full replicas and a witness survive the loss
//! of any one of the three, as three full replicas do; but what is written while one full replica is away
//! is on the disk of the other alone, and service waits for that one if it goes too.
//!
//! # What is promised
//! | guarantee | |
//! |---|---|
//! | election safety | at most one leader in a term |
//! | leader append-only, log matching, leader completeness, state-machine safety | figure 3 |
//! | linearizability | of writes, of [`Request::Read`], and of reads at [`ReadLevel::Index`] and [`ReadLevel::Follower`]; at [`ReadLevel::Lease`] while clocks drift no further apart than [was said](Config::with_lease) |
//! | exactly-once | a command sent in a session takes effect once, however often it is sent |
//! | durability | what was acknowledged survives any crash, of all nodes too, and the loss of disks, of fewer than half of the voters at a time; of the others, while they keep what they synced. With [witnesses](witness), of no full replica while the others are away |
//! | availability | with a majority up and connected, and delays well below the election timeout |
//!
//! # What is not
//! - A deposed leader that has heard of no later term still sees itself as leader, for the longest
//!   election timeout at most unless the check of the quorum is off. It commits nothing and answers no
//!   linearizable read meanwhile. So "at most one leader at a time" is not promised, only "in a term".
//! - A command that is sent again after [`Error::Deposed`] or no answer may be applied twice, unless it
//!   is sent in a session ([`Request::Submit`]; [`Handle::write`] does so). A session that is not used
//!   ends when too many others are; then it is not known whether its last commands took effect
//!   ([`CallError::Unknown`]).
//! - [`Request::ReadLocal`] and [`Request::Committed`] show the past.
//! - A follower that installs a snapshot holds its bytes in memory, three times for a moment (as
//!   received, in one piece, restored), and so does a node once that has taken one (as written). What
//!   a restart leaves of a half-received snapshot is nothing.
//! - A copy of a node's own disk, or the disk as it was earlier, is found out by the nodes that have
//!   heard a later boot of it, or the other copy, since they booted themselves; by no others ([`Life`]).
//! - The members of the world are all nodes that may ever take part: their number is fixed, and who of
//!   them takes part is not.
//!
//! # A replicated map
//! ```
//! use std::collections::BTreeMap;
//! use raft::{Group, Image, LogIndex, StateMachine};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Clone, Default, Serialize, Deserialize)]
//! struct Map(BTreeMap<String, String>);
//!
//! impl StateMachine for Map {
//!     type Command = (String, String); // Set this key to this value.
//!     type Output = Option<String>; // What it was before.
//!     type Query = String;
//!     type Answer = Option<String>;
//!     type Snapshot = Image<Self>;
//!
//!     fn apply(&mut self, _: LogIndex, (key, value): &(String, String)) -> Option<String> {
//!         self.0.insert(key.clone(), value.clone())
//!     }
//!
//!     fn query(&self, key: &String) -> Option<String> {
//!         self.0.get(key).cloned()
//!     }
//! }
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let group = Group::builder(Map::default()).nodes(3).start()?;
//!     let map = group.handle();
//!     map.write(("sky".into(), "blue".into())).wait()?;
//!     let before = map.write(("sky".into(), "grey".into())).wait()?;
//!     assert_eq!(before.as_deref(), Some("blue"));
//!     assert_eq!(map.read("sky".into()).wait()?.as_deref(), Some("grey"));
//!     Ok(())
//! }
//! ```
//! Each method of a [`Handle`] returns a [`Call`], on its way already: `wait()` for it, or `.await` it
//! in any runtime. Whoever runs nodes in a world of their own makes handles over any
//! [`cluster::Port`] ([`Handle::over`]).
//!
//! With the feature `net` each node is a process of its own (`cluster::net::Server`, of `Raft<Map>`), and
//! a handle on all of them is made by `Handle::connect`.
//!
//! These disks are memory, and end with the process. A cluster that is to outlive it is started by
//! [`Threads::start_on`](cluster::threads::Threads::start_on), with
//! [`journals_in`](cluster::store::journals_in) a directory, or on any other
//! [`Store`](cluster::store::Store).
//!
//! Many groups on the same nodes, each with a leader and a log of its own, are started by
//! [`Builder::groups`]: see [`Groups`].
//!
//! # Sources
//! "The paper" is D. Ongaro and J. Ousterhout, *In Search of an Understandable Consensus Algorithm*
//! (extended version, 2014): sections and figures are its own unless said otherwise. "The thesis" is
//! D. Ongaro, *Consensus: Bridging Theory and Practice* (2014).

mod config;
mod ended;
mod entries;
mod error;
mod id;
mod machine;
mod message;

mod node;

mod configuration;
mod founding;
mod history;
mod identity;

mod canvass;
mod change;
mod checkpoint;
mod contact;
mod disk;
mod election;
mod explore;
mod follower;
mod install;
mod leader;
mod log;
mod progress;
pub mod quorum;
mod reads;
mod renewal;
mod request;
mod transfer;
pub mod witness;

pub mod invariants;
mod mutants;
pub mod recovery;
mod session;
mod snapshot;
mod status;

mod client;
mod group;
mod observe;
#[cfg(feature = "net")]
mod remote;

pub use client::{Call, CallError, Handle};
pub use cluster::many::GroupId;
pub use config::Config;
pub use configuration::{Change, Configuration, Misstep, Step};
pub use entries::{Entries, EntriesIter};
pub use error::{Error, WitnessRefusal};
pub use group::{Builder, Group, Groups, GroupsBuilder};
pub use id::{LogIndex, Position, Round, Sequence, SessionId, Term};
pub use identity::{Disk, Identity, Life, Papers};
pub use machine::StateMachine;
pub use message::{
    Append, Appended, Checkpoint, Entry, Install, Installed, Message, Payload, ReadTag, Record,
};
#[cfg(feature = "mutants")]
pub use mutants::Mutant;
pub use node::Raft;
#[cfg(feature = "net")]
pub use remote::{hand_over, observe};
pub use request::{Event, ReadLevel, Reply, Request, Response, Settled};
pub use session::Submission;
pub use snapshot::{Chunk, Image, Part, Snapshot, SnapshotId, Unreadable};
pub use status::{Recognition, Status};
pub use witness::Kind;

/// Compiles and runs the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
