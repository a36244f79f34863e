//! The world of every schedule: small clusters of real nodes, searched exhaustively.
//!
//! Think of chess instead of dice. The simulated world plays one game after another, each decided
//! by a seed; this one looks at every position that any game can reach. A position is all nodes as
//! they are in memory, their disks, the messages under way, and what clients have seen; a move lets
//! one thing happen: a message arrives, or is lost, or arrives and will arrive again; a disk
//! finishes; a timer fires; a client asks; a node crashes, with any first part of what its disk had
//! not finished, or comes up again. The nodes are the production code, not a model of it: any
//! [`Node`] that can be cloned and can say what makes its state ([`Explorable`]).
//!
//! ```text
//!                  ┌ n2 ← n1 ┐          ┌ n3's disk syncs ┐
//!   start ─ n1 ────┤ n3 ← n1 ├──── … ───┤ n1 crashes      ├── …      level by level: the first
//!         times    │ n2 times│          │ …               │         broken property found has a
//!         out      └ out     ┘          └ (seen: merged)  ┘         shortest way that leads there
//! ```
//! What makes it end is [`Bounds`]: so many timers, requests, crashes, losses, duplicates. Within
//! them the search is complete, up to what is said below, so "exhausted" is a proof and not a
//! statistic; a bug that needs more than the bounds allow is not found.
//!
//! # What is left out
//! - **Time.** Where clocks are free ([`Clocks::Free`]), a node's clock stands still except when
//!   its timer fires, and then it jumps to what the timer was set for: timers of different nodes
//!   fire in any order and any number of times between two messages, as if clocks ran at any speed.
//!   No property that needs clocks to agree can be shown so; for these there is [`Clocks::Alike`].
//!   Either way, no input reaches a node at a moment that is not some node's deadline.
//! - **Chance.** Before each input a node's generator is set back ([`Explorable::reseed`]), so each
//!   draw has one outcome for each node. With free clocks, how long a timeout was drawn does not
//!   matter; where clocks are alike, other draws are not explored.
//! - **Loss** needs no move of its own where links are unordered and nothing limits how many
//!   messages are in flight: a message that is never delivered is as good as lost. What finds no
//!   room in a bounded flight is lost.
//! - **Batches.** Each input is a batch of its own, so what nodes do with several at once
//!   (coalescing) is not explored.
//! - A **disk** either works as [`Disk`] says, or the node crashes. It loses nothing that it synced.

mod fingerprint;
mod host;
mod property;
mod search;
mod turns;
mod world;

use std::hash::Hash;

use crate::{InvalidConfig, Members, Node, NodeId};

pub use fingerprint::{Fingerprint, Frame};
pub use property::{Always, AtEnd, Ended, Happened, Property, Step, View};
pub use search::{Audit, Broken, Counterexample, Limits, Report, Space, Verdict, search};

use turns::Turns;
use world::World;

/// A node whose every schedule can be explored.
///
/// **Two nodes with equal fingerprints must behave alike for ever**, whatever both are given. To
/// leave something out loses states in silence if it matters; to put something in that does not
/// matter only costs time. Each implementation argues for what it leaves out, and
/// [`Limits::audit`] tries to refute it.
pub trait Explorable:
    Node<Config: Sync, Request: Sync, Response: Sync, Message: Sync, Record: Sync, Event: Sync>
    + Clone
    + Sync
{
    /// Whether a permutation of the nodes' names changes nothing: no node is preferred for its
    /// name. Then the methods below must write names by [`Frame::name`], and what is kept by place
    /// in the order of [`Frame::places`].
    const INTERCHANGEABLE: bool = false;

    /// Whether it matters to a node which boot seed it had. If not, [`reseed`](Self::reseed) must
    /// make up for it.
    const BOOT_SEED_MATTERS: bool = true;

    /// Sets the node's generator, if it has one, to the stream of `seed`: called before every
    /// input, so that the generator's state is no part of the node's.
    fn reseed(&mut self, seed: u64);

    /// Writes all that decides what the node will do.
    fn fingerprint(&self, frame: &Frame<'_>, into: &mut Fingerprint);

    /// Writes a message.
    fn fingerprint_message(message: &Self::Message, _frame: &Frame<'_>, into: &mut Fingerprint) {
        message.hash(into);
    }

    /// Writes a record that is not durable yet.
    fn fingerprint_record(record: &Self::Record, _frame: &Frame<'_>, into: &mut Fingerprint) {
        record.hash(into);
    }

    /// Writes what a boot would make of `records`, the durable part of a disk, whatever records
    /// follow them.
    fn fingerprint_disk(records: &[Self::Record], frame: &Frame<'_>, into: &mut Fingerprint) {
        records.iter().for_each(|record| Self::fingerprint_record(record, frame, into));
    }
}

/// A cluster, what is asked of it, and how much may happen.
#[derive(Clone, Debug)]
pub struct Model<N: Explorable> {
    /// What all nodes are configured with.
    pub config: N::Config,
    /// The nodes.
    pub members: Members,
    /// What clients ask, each once or never. At most 32 requests.
    pub script: Vec<Ask<N::Request>>,
    /// What happens before the search begins. It costs nothing of the bounds.
    pub opening: Vec<Play>,
    /// How much may happen.
    pub bounds: Bounds,
}

/// A request that a client may make.
#[derive(Clone, Debug)]
pub struct Ask<Q> {
    /// What is asked.
    pub request: Q,
    /// Whom; anyone if none.
    pub at: Option<NodeId>,
    /// Not before the request at this place in the script has ended.
    pub after: Option<usize>,
    /// It could change places with the request before it, so it is asked after that one: the other
    /// order would show nothing new.
    pub like_last: bool,
}

impl<Q> Ask<Q> {
    /// `request`, of anyone, at any time.
    pub fn anyone(request: Q) -> Self {
        Self { request, at: None, after: None, like_last: false }
    }

    /// `request`, of `node`, at any time.
    pub fn of(node: NodeId, request: Q) -> Self {
        Self { at: Some(node), ..Self::anyone(request) }
    }

    /// Not before the request at `place` in the script has ended.
    #[must_use]
    pub fn after(self, place: usize) -> Self {
        Self { after: Some(place), ..self }
    }

    /// It could change places with the request before it.
    #[must_use]
    pub fn like_last(self) -> Self {
        Self { like_last: true, ..self }
    }
}

/// Something that happens in an [opening](Model::opening).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Play {
    /// The request at this place in the script is asked of this node.
    Ask(usize, NodeId),
    /// A timer fires.
    Fire(NodeId),
    /// A disk finishes.
    Sync(NodeId),
    /// All that is in flight on a link arrives, in order.
    Deliver {
        /// From whom.
        from: NodeId,
        /// To whom.
        to: NodeId,
    },
    /// All that is in flight on a link is lost.
    Lose {
        /// From whom.
        from: NodeId,
        /// To whom.
        to: NodeId,
    },
    /// A node dies, with all that its disk had not finished.
    Crash(NodeId),
    /// A node comes up.
    Restart(NodeId),
    /// Disks finish and messages arrive until nothing is left to do.
    Settle,
}

/// How much may happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// How time passes.
    pub clocks: Clocks,
    /// How many crashes there may be. Restarts are free.
    pub crashes: u8,
    /// How many times a node may go down and lose all that is on its disk. It comes up with another boot
    /// seed then.
    pub wipes: u8,
    /// How many messages may be lost by a move of its own.
    pub losses: u8,
    /// How many messages may arrive once more.
    pub duplicates: u8,
    /// How many messages may be in flight; what is sent beyond is lost.
    pub flight: usize,
    /// Which messages may arrive next.
    pub links: Links,
    /// When what is written becomes durable.
    pub disk: Disk,
    /// Whether states that differ by the names of interchangeable nodes alone are taken for one. It
    /// has no effect where nodes are not ([`Explorable::INTERCHANGEABLE`]), or where a request of
    /// the script that is still to be asked names one.
    pub symmetry: bool,
}

impl Default for Bounds {
    /// No timer, no fault; links without order, disks that finish whenever they may.
    fn default() -> Self {
        Self {
            clocks: Clocks::Free { firings: 0, firings_each: 0 },
            crashes: 0,
            wipes: 0,
            losses: 0,
            duplicates: 0,
            flight: usize::MAX,
            links: Links::Unordered,
            disk: Disk::Whole,
            symmetry: true,
        }
    }
}

/// How time passes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Clocks {
    /// As it likes, on each node by itself: any timer may fire at any moment.
    Free {
        /// How often timers fire in all.
        firings: u8,
        /// How often each node's does.
        firings_each: u8,
    },
    /// Alike on all nodes, from one deadline to the next: time passes only when no timer is due.
    Alike {
        /// How often it passes.
        ticks: u8,
        /// How often it may pass while a message is under way; 255 for any number. With zero, time
        /// also waits for every disk.
        delay_max: u8,
        /// Nothing crashes or comes up, and nothing is lost or doubled by a move of its own, once
        /// time has passed so often.
        faults_before: u8,
    },
}

/// Which messages may arrive next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Links {
    /// Any.
    Unordered,
    /// The first of each link.
    Ordered,
}

/// When what is written becomes durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Disk {
    /// At once: no crash falls between a write and its sync.
    Instant,
    /// By a move of its own, all that is written by then.
    Whole,
    /// By a move of its own, what was written in one step.
    Batches,
}

impl<N: Explorable> Model<N> {
    /// Explores every schedule within the bounds, each judged by a copy of `property`.
    ///
    /// # Errors
    /// What [`Node::validate`] says of the configuration, or that the script or the opening names
    /// what is not there.
    pub fn explore<P: Property<N>>(
        &self,
        property: P,
        limits: &Limits,
    ) -> Result<Report, InvalidConfig> {
        N::validate(&self.config, &self.members)?;
        self.check()?;
        // An audit looks for nodes that look alike and are not; to share what one of them did would
        // hide it.
        let turns = if limits.audit.is_none() { Turns::remembered() } else { Turns::afresh() };
        Ok(search(&World::new(self, property, turns), limits))
    }

    /// Whether states that differ by the nodes' names alone are one.
    fn is_symmetric(&self) -> bool {
        let asked_already = |place: usize| {
            self.opening.iter().any(|play| matches!(play, Play::Ask(asked, _) if *asked == place))
        };
        let names_nobody =
            |(place, ask): (usize, &Ask<N::Request>)| ask.at.is_none() || asked_already(place);
        // Each node draws from a stream of its own. Where clocks run alike, what it draws decides
        // whose timer is due first, so a node that takes another's name behaves differently.
        let draws_show = matches!(self.bounds.clocks, Clocks::Alike { .. });
        // What finds no room is what is sent last, and nodes send in the order of their names.
        let overflows = !matches!(self.bounds.flight, 0 | usize::MAX);
        self.bounds.symmetry
            && N::INTERCHANGEABLE
            && !draws_show
            && !overflows
            && self.script.iter().enumerate().all(names_nobody)
    }

    fn check(&self) -> Result<(), InvalidConfig> {
        let requests = self.script.len();
        if requests > 32 {
            return Err(InvalidConfig::new("script", requests, "at most 32 requests"));
        }
        for (place, ask) in self.script.iter().enumerate() {
            if let Some(node) = ask.at.filter(|&node| !self.members.contains(node)) {
                return Err(InvalidConfig::new("script", node, "a member"));
            }
            if let Some(before) = ask.after.filter(|&before| before >= place) {
                let expected = format!("a request before request {place}");
                return Err(InvalidConfig::new("script", before, expected));
            }
        }
        for play in &self.opening {
            let nodes = match *play {
                Play::Ask(request, _) if request >= requests => {
                    return Err(InvalidConfig::new("opening", request, "a request of the script"));
                }
                Play::Ask(_, node)
                | Play::Fire(node)
                | Play::Sync(node)
                | Play::Crash(node)
                | Play::Restart(node) => vec![node],
                Play::Deliver { from, to } | Play::Lose { from, to } => vec![from, to],
                Play::Settle => Vec::new(),
            };
            if let Some(node) = nodes.into_iter().find(|&node| !self.members.contains(node)) {
                return Err(InvalidConfig::new("opening", node, "a member"));
            }
        }
        Ok(())
    }
}
