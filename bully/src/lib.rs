//! Leader election by the Bully algorithm, with epochs and a majority guard.
//!
//! # Intuition
//! Among people in a room, the tallest one leads. Who misses the leader's voice asks everyone
//! taller: "are you there?" If one of them answers, that one sees to it; if nobody does, the asker
//! must be the tallest left, and says so. When a taller person walks in, the lead changes hands.
//! That is the Bully algorithm (Garcia-Molina 1982), and [`Mode::Textbook`] is no more than that.
//!
//! It takes silence for death. Put a wall through the room and each side has a leader. So the
//! default, [`Mode::Guarded`], adds what the room lacks: a leader needs the word of a majority, the
//! word is good for a short time, and the leader stops by itself when it has run out. Two
//! majorities share a member, and no member gives its word to two.
//!
//! # Mechanism
//! ```text
//!          silence for a timeout             a higher node answers
//!   ┌────────┐ ─────────────▶ ┌───────────┐ ───────────▶ waits for its Coordinator ──┐
//!   │follower│                │ candidate │ ◀──────────── none came ─────────────────┘
//!   └────────┘ ◀───────────── └───────────┘
//!     ▲    ▲    Coordinator        │ nobody higher answers
//!     │    │                       │ guarded: and a majority would vote (Canvass),
//!     │    │ lease ends,           │          and does (Ballot → Grant, on disk)
//!     │    │ higher epoch seen,    ▼
//!     │    └─ a higher node ── ┌────────┐
//!     │       challenges       │ leader │ ── Heartbeat ─▶ followers
//!     └─────────────────────── └────────┘ ◀──── Ack ───── (guarded: renews the lease)
//! ```
//! - **Epochs.** Each leader leads an epoch higher than all it knows of; every message carries one.
//!   A Coordinator of a past epoch is refused, and its sender told. The epoch is the fencing token:
//!   it goes with whatever the leader does, and a resource that has seen a higher one refuses it.
//! - **Promises** (guarded). A voter grants an epoch to one candidate, ever, and writes that down
//!   before it says so. An epoch needs a majority of grants.
//! - **Bonds** (guarded). A voter that grants an epoch, or acknowledges a heartbeat, votes for
//!   nobody else for a timeout from then. What it forgets in a crash it makes up for by being bound
//!   to nobody in particular for a timeout from its boot.
//! - **Leases** (guarded). A leader acts as long as it has a majority's word for something sent
//!   less than a [lease](Config::lease) ago, counted from the sending. Each acknowledgement names
//!   the sending that it is for.
//! - **Canvassing** (guarded). Before it takes an epoch, a candidate asks who would vote for it, so
//!   a node that cannot win does not push the epoch up under a leader that works.
//! - **Challenges** (guarded). A node that finds a lower one leading watches it for a while, then
//!   canvasses, and only with a majority and the leader itself in hearing asks it to let go. The
//!   leader's release, which the challenger brings along, ends the bonds at once.
//!
//! # Guarantees
//! | | guarded | textbook |
//! |---|---|---|
//! | at most one leader in an epoch, ever | yes | no |
//! | at most one node acts as leader at any moment of true time | yes, see below | no |
//! | the epoch only grows from each leader to the next | yes | only as far as nodes hear of each other |
//! | once faults stop, all name the highest live node | within 10 timeouts, with a majority up | within 10 timeouts |
//! | a leader with only a minority alive | no | yes |
//!
//! They hold under loss, delay, duplication and reordering of messages, partitions of any shape,
//! one-way ones too, pauses, crashes, restarts, loss of power, and wrong or jumping wall clocks,
//! which are never read.
//!
//! The 10 timeouts are measured, not proved: over tens of thousands of random schedules of the
//! simulated world, with round trips and disk writes that fit into
//! [`answer_wait`](Config::with_answer_wait). Chance decides between candidates that collide.
//!
//! What the second line rests on: monotonic clocks that run within
//! [`drift_ppm_max`](Config::with_drift_ppm_max) of true speed, also while the machine sleeps.
//! A suspended machine whose clock stops breaks that, and the leader on it may believe in its lease
//! for a moment after it wakes. Nor can a node know how long its own next instruction takes: what
//! it decided in time may reach the world late. The first line needs no clock, so where two actors
//! must never both succeed, check the epoch at the resource.
//!
//! Not claimed: anything about a disk that loses what it had synced, or a node that is wiped and
//! comes back under its old id; nodes that lie; membership that changes.
//!
//! # Why the guard holds
//! *One leader an epoch.* A leader of epoch e has grants for e from a majority. So have two. Some
//! voter has granted e to both; but it grants an epoch to one, and what it granted was on its disk
//! before anyone knew. The candidate's own grant counts only once it is durable as well.
//!
//! *One leader at a time.* Say A acts in epoch a, and B in a later epoch b, at one moment t. B was
//! elected by a majority that granted b by then. A acts on the word of a majority for something
//! sent at s, and its lease has not run out since s. Some voter v did both: it gave A its word
//! after s, and granted b before t. Which came first?
//! - The grant: then v had promised b when it heard from A, and refuses all epochs before b, also
//!   after a crash. It would not have given its word.
//! - The word: then v was bound for a timeout of its own clock, from a moment after s. By the
//!   choice of the [lease](Config::lease), no clock within the drift bound ends that before the
//!   lease that A counts from s. So v was still bound at t; or it had crashed, and was bound from
//!   its boot for as long; or A had released it. But a leader says that word only after it has
//!   stopped acting in that epoch for good.
//!
//! Hearing a later leader ends a bond early, and may: that leader was elected, so by the above the
//! earlier one does not act any more.
//!
//! *Progress.* The highest live node answers the others, so they stand back; if it cannot win (it
//! hears only some of them, say) they wait one timeout for it and then go past it. Candidates that
//! collide give way to the higher one, or try again after a random while.
//!
//! # Use
//! Every node of a program runs the same election; [`Request::Lead`] asks whether to act. An [`Election`]
//! finds the leader by itself, for whoever waits and for whoever awaits, in any runtime:
//!
//! ```
//! use std::time::Duration;
//!
//! use bully::{Bully, Config, Election};
//! use cluster::Members;
//! use cluster::threads::{Options, Threads};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let nodes = Members::first(3)?;
//! let cluster = Threads::<Bully>::start(Config::default(), nodes, Options::default())?;
//! let election = Election::new(cluster.caller(), Duration::from_secs(10));
//! let leader = election.leader().wait()?;
//! println!("{} leads; the fencing token is {}", leader.node, leader.epoch);
//!
//! # pollster::block_on(async {
//! let epoch = election.lead(leader.node).await?;
//! assert_eq!(epoch, leader.epoch, "nobody has taken over since");
//! # Ok::<_, bully::ElectionError>(())
//! # })?;
//! cluster.shutdown();
//! # Ok(())
//! # }
//! ```
//!
//! A program that is itself one of the nodes listens to its own [`Event`]s:
//! [`Elected`](Event::Elected) starts its work as leader, [`SteppedDown`](Event::SteppedDown) stops
//! it, and since that may come late, [`standing`](cluster::Node::standing) or [`Request::Lead`] is
//! asked before each act that matters.
//!
//! The same nodes in virtual time, where a seed decides everything:
//!
//! ```
//! use bully::{Bully, Config};
//! use cluster::sim::{Options, Sim};
//! use cluster::{Cluster, Fault, Members, NodeId, Timestamp};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut sim = Sim::<Bully>::new(Config::default(), Members::first(5)?, Options::seeded(1))?;
//! sim.poll(Timestamp::from_millis(1_000));
//! assert!(sim.state(NodeId::new(5)).leads());
//!
//! sim.inject(&Fault::Crash { node: NodeId::new(5) })?;
//! sim.poll(Timestamp::from_millis(4_000));
//! assert!(sim.state(NodeId::new(4)).leads());
//! # Ok(())
//! # }
//! ```

mod config;
mod election;
mod error;
mod message;
mod node;

mod campaign;
mod lease;
mod promise;

pub mod invariants;
mod mutants;

pub use config::{Config, Mode};
pub use election::{Belief, Call, Election, ElectionError, Leader};
pub use error::Error;
pub use invariants::{Monitor, Violation};
pub use message::{Answer, Event, Message, Record, Request, Response, Round, View};
#[cfg(feature = "mutants")]
pub use mutants::Mutant;
#[cfg(not(feature = "mutants"))]
pub(crate) use mutants::Mutant;
pub use node::{Bully, REST_TIMEOUTS};
