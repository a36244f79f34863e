//! What a running cluster is to whoever uses or judges it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Fault, NodeId, RequestId, Standing, Timestamp, Unsupported};

/// A running cluster, of whatever make, in whatever world.
///
/// The worlds of this crate implement it once for every [`Node`](crate::Node); an implementation
/// that is no such node implements it itself. It is object-safe, so that one table holds unlike
/// implementations. Time passes only inside [`poll`](Cluster::poll) (virtual time) or by itself
/// (real time); either way a caller that keeps polling sees every completion.
pub trait Cluster {
    /// What clients ask.
    type Request;
    /// What clients are answered.
    type Response;

    /// All nodes, ascending, whether up or not.
    fn members(&self) -> &[NodeId];

    /// True time, since the cluster started.
    fn now(&self) -> Timestamp;

    /// Asks `node`. At most one [`Completion`] with this id follows, and exactly one unless the node
    /// stays paused, or owes its answer for ever: set a deadline of your own, and call what has not
    /// come by then unknown.
    fn submit(&mut self, node: NodeId, request: Self::Request) -> RequestId;

    /// Waits until a completion is there (and returns it) or true time is `until` (and returns
    /// none).
    fn poll(&mut self, until: Timestamp) -> Option<Completion<Self::Response>>;

    /// How `node` is doing.
    fn state(&mut self, node: NodeId) -> NodeState;

    /// Makes something go wrong, or right again, from now on.
    ///
    /// # Errors
    /// [`Unsupported`] when this implementation cannot take that fault; nothing has changed then.
    fn inject(&mut self, fault: &Fault) -> Result<(), Unsupported>;
}

/// The end of a request.
#[derive(Clone, Debug)]
pub struct Completion<P> {
    /// Which request.
    pub request: RequestId,
    /// When it was over for the client, in true time: after whatever effect it had.
    pub at: Timestamp,
    /// The answer, or why there is none.
    pub outcome: Result<P, NoAnswer>,
}

/// Why the world has no answer from the node. What the node itself refuses is in its response.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, thiserror::Error)]
pub enum NoAnswer {
    /// The node was down when the request arrived. It had no effect, and never will.
    #[error("the node is down; the request had no effect")]
    Unreachable,
    /// The node went down before it answered. The request may have had an effect, or may have one
    /// yet.
    #[error("the node went down before it answered; the request may have had an effect")]
    Lost,
}

/// How a node is doing, seen from outside.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeState {
    /// It runs, and sees itself so.
    Up(Standing),
    /// It is stopped as by SIGSTOP: it has forgotten nothing and does nothing.
    Paused,
    /// It is down: crashed, or it refused to start.
    Down,
}

impl NodeState {
    /// How it sees itself, if it runs.
    pub fn standing(self) -> Option<Standing> {
        match self {
            Self::Up(standing) => Some(standing),
            Self::Paused | Self::Down => None,
        }
    }

    /// Whether it runs and acts as leader.
    pub fn leads(self) -> bool {
        self.standing().is_some_and(|standing| standing.role == Role::Leader)
    }
}

/// Something that a node told the application that embeds it.
#[derive(Clone, Debug)]
pub struct Emitted<E> {
    /// When, in true time.
    pub at: Timestamp,
    /// Which node.
    pub node: NodeId,
    /// What.
    pub event: E,
}

/// The part a node plays.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Follows a leader, or waits for one.
    Follower,
    /// Tries to become leader.
    Candidate,
    /// Acts as leader.
    Leader,
    /// One of equals, in patterns without a leader.
    Replica,
}

/// A number that grows with every change of leader: bully's epoch, Raft's term.
///
/// Prints as `e3`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(u64);

impl Epoch {
    /// Before the first election.
    pub const ZERO: Self = Self(0);

    /// The epoch numbered `number`.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The one after it; the last one if there is none.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "e{}", self.0)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
