//! What clients ask, what they are answered, and what applications are told.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use cluster::NodeId;
use serde::{Deserialize, Serialize};

use crate::{
    Change, Configuration, Entries, Error, LogIndex, SessionId, StateMachine, Status, Submission,
    Term,
};

/// What clients ask.
#[derive(Serialize, Deserialize)]
#[serde(bound(
    serialize = "S::Command: Serialize, S::Query: Serialize",
    deserialize = "S::Command: Deserialize<'de>, S::Query: Deserialize<'de>"
))]
pub enum Request<S: StateMachine> {
    /// Replicate a command, apply it, and return its output.
    Write(S::Command),
    /// Open a session.
    Open,
    /// As [`Request::Write`], but applied once however often it is sent.
    Submit(Submission<S::Command>),
    /// End a session, whose client wants nothing more of it. To end one that has ended does nothing.
    Close(SessionId),
    /// Answer from a state that holds every write completed before this was asked: linearizable,
    /// by the leader, without a log entry (§8, and §6.4 of the thesis, "ReadIndex").
    Read(S::Query),
    /// Answer from this node's state as it is. It may be arbitrarily old.
    ReadLocal(S::Query),
    /// Answer as surely as the level says.
    ReadAt(ReadLevel, S::Query),
    /// Hand the lead over to this node, or, if none is named, to the follower that has come
    /// furthest: what to ask of a leader before it is shut down. Meanwhile it takes no commands.
    Transfer {
        /// To whom.
        to: Option<NodeId>,
    },
    /// Change who takes part (§6; chapter 4 of the thesis). One at a time. Whoever is to vote gets the
    /// log first, and service goes on meanwhile.
    Change(Change),
    /// The entries that this node knows to be committed. It may lag behind, and what is in a snapshot
    /// is no entry any more: look at the index of the first.
    Committed {
        /// The first index wanted.
        from: LogIndex,
        /// How many at most.
        max: usize,
    },
    /// How is this node doing?
    Status,
}

/// How sure an answer to a query is, and what it costs.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReadLevel {
    /// Linearizable: the leader asks a majority whether it still leads (§6.4 of the thesis,
    /// "ReadIndex"). The same as [`Request::Read`].
    Index,
    /// Linearizable while clocks keep their promise ([`Config::with_lease`]): the leader answers at
    /// once while it holds a lease, and otherwise as for `Index` (§6.4.1 of the thesis).
    ///
    /// [`Config::with_lease`]: crate::Config::with_lease
    Lease,
    /// Linearizable, at any node: a follower asks its leader how far to wait, and answers from its
    /// own state (§6.4 of the thesis). At a leader the same as `Index`.
    Follower,
    /// As it is here and now, which may be arbitrarily old. The same as [`Request::ReadLocal`].
    Local,
}

/// What clients are answered.
#[derive(Serialize, Deserialize)]
#[serde(bound(
    serialize = "S::Command: Serialize, S::Output: Serialize, S::Answer: Serialize",
    deserialize = "S::Command: Deserialize<'de>, S::Output: Deserialize<'de>, S::Answer: Deserialize<'de>"
))]
pub enum Reply<S: StateMachine> {
    /// The command is committed and applied.
    Written {
        /// Where it stands in the log.
        index: LogIndex,
        /// What it returned.
        output: S::Output,
    },
    /// The session is open.
    Opened(SessionId),
    /// The session is not open any more.
    Closed,
    /// The answer to a query, linearizable or local.
    Answer(S::Answer),
    /// Committed entries, in order, without a gap.
    Committed(Entries<S::Command>),
    /// The lead is with the node that was named, or was there already.
    Transferred {
        /// Who leads.
        to: NodeId,
    },
    /// How the node is doing.
    Status(Box<Status>),
    /// The change is made: this configuration is committed.
    Changed {
        /// Where it stands in the log.
        index: LogIndex,
        /// Who takes part.
        configuration: Arc<Configuration>,
    },
}

/// What a node answers.
pub type Response<S> = Result<Reply<S>, Error>;

/// What an application that embeds a node is told.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub enum Event {
    /// This node leads from now on.
    ElectedLeader {
        /// The term it leads in.
        term: Term,
    },
    /// This node leads no longer.
    SteppedDown {
        /// The term it led in.
        term: Term,
    },
    /// This node has learnt who leads.
    Follows {
        /// The leader.
        leader: NodeId,
        /// The term it leads in.
        term: Term,
    },
    /// This node has a snapshot of its machine on its disk.
    SnapshotTaken {
        /// The last entry that it covers.
        upto: LogIndex,
    },
    /// This node has restored its machine from a snapshot that it was sent.
    SnapshotInstalled {
        /// The last entry that it covers.
        upto: LogIndex,
    },
}

/// The end of something that a core was asked, or that its log brought; see
/// [`Raft::take_settled`](crate::Raft::take_settled).
pub enum Settled<S: StateMachine> {
    /// A command was applied on this node.
    Applied {
        /// Where it stands in the log.
        index: LogIndex,
        /// The request it was proposed for, if it was proposed at this node in this leadership.
        request: Option<cluster::RequestId>,
        /// What it returned.
        output: S::Output,
    },
    /// A session is open on this node.
    Opened {
        /// Its name.
        session: SessionId,
        /// The request it was opened for, if at this node in this leadership.
        request: Option<cluster::RequestId>,
    },
    /// A session has been ended by its client on this node.
    Closed {
        /// The request to end it, if it came to this node in this leadership.
        request: Option<cluster::RequestId>,
    },
    /// A command of a session was there before, and was not applied again.
    Repeated {
        /// Where it stood when it was applied.
        index: LogIndex,
        /// The request that it came with this time, if at this node in this leadership.
        request: Option<cluster::RequestId>,
        /// What it returned then.
        output: S::Output,
    },
    /// The machine was replaced by a snapshot, and shows now what the log up to here led to; of the
    /// commands in it since the last one that was settled, nothing else will be heard.
    Restored {
        /// The last entry that the snapshot covers.
        upto: LogIndex,
    },
    /// The machine may now be queried for this request.
    Readable {
        /// As given to [`Raft::read_index`](crate::Raft::read_index).
        request: cluster::RequestId,
    },
    /// The lead has been handed over.
    Transferred {
        /// As given to [`Raft::transfer`](crate::Raft::transfer).
        request: cluster::RequestId,
        /// Who leads.
        to: NodeId,
    },
    /// A configuration is committed.
    Changed {
        /// Where it stands in the log.
        index: LogIndex,
        /// The request that it completes, if that came to this node in this leadership.
        request: Option<cluster::RequestId>,
        /// Who takes part.
        configuration: Arc<Configuration>,
    },
    /// The request has failed.
    Failed {
        /// Which.
        request: cluster::RequestId,
        /// How, and what that says of its effect.
        error: Error,
    },
}

// The derives would ask the machine itself for what only its associated types must have.

impl<S: StateMachine> Clone for Request<S> {
    fn clone(&self) -> Self {
        match self {
            Self::Write(command) => Self::Write(command.clone()),
            Self::Open => Self::Open,
            Self::Submit(submission) => Self::Submit(submission.clone()),
            Self::Close(session) => Self::Close(*session),
            Self::Read(query) => Self::Read(query.clone()),
            Self::ReadLocal(query) => Self::ReadLocal(query.clone()),
            Self::ReadAt(level, query) => Self::ReadAt(*level, query.clone()),
            Self::Transfer { to } => Self::Transfer { to: *to },
            Self::Change(change) => Self::Change(change.clone()),
            Self::Committed { from, max } => Self::Committed { from: *from, max: *max },
            Self::Status => Self::Status,
        }
    }
}

impl<S: StateMachine> fmt::Debug for Request<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(command) => f.debug_tuple("Write").field(command).finish(),
            Self::Open => f.write_str("Open"),
            Self::Submit(submission) => f.debug_tuple("Submit").field(submission).finish(),
            Self::Close(session) => f.debug_tuple("Close").field(session).finish(),
            Self::Read(query) => f.debug_tuple("Read").field(query).finish(),
            Self::ReadLocal(query) => f.debug_tuple("ReadLocal").field(query).finish(),
            Self::ReadAt(level, query) => {
                f.debug_tuple("ReadAt").field(level).field(query).finish()
            }
            Self::Transfer { to } => f.debug_struct("Transfer").field("to", to).finish(),
            Self::Change(change) => f.debug_tuple("Change").field(change).finish(),
            Self::Committed { from, max } => {
                f.debug_struct("Committed").field("from", from).field("max", max).finish()
            }
            Self::Status => f.write_str("Status"),
        }
    }
}

impl<S: StateMachine> Hash for Request<S> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        match self {
            Self::Write(command) => command.hash(state),
            Self::Open | Self::Status => {}
            Self::Submit(submission) => submission.hash(state),
            Self::Close(session) => session.hash(state),
            Self::Read(query) | Self::ReadLocal(query) => query.hash(state),
            Self::ReadAt(level, query) => (level, query).hash(state),
            Self::Transfer { to } => to.hash(state),
            Self::Change(change) => change.hash(state),
            Self::Committed { from, max } => (from, max).hash(state),
        }
    }
}

impl<S: StateMachine> Clone for Reply<S> {
    fn clone(&self) -> Self {
        match self {
            Self::Written { index, output } => {
                Self::Written { index: *index, output: output.clone() }
            }
            Self::Opened(session) => Self::Opened(*session),
            Self::Closed => Self::Closed,
            Self::Answer(answer) => Self::Answer(answer.clone()),
            Self::Committed(entries) => Self::Committed(entries.clone()),
            Self::Transferred { to } => Self::Transferred { to: *to },
            Self::Status(status) => Self::Status(status.clone()),
            Self::Changed { index, configuration } => {
                Self::Changed { index: *index, configuration: Arc::clone(configuration) }
            }
        }
    }
}

impl<S: StateMachine> fmt::Debug for Reply<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Written { index, output } => {
                f.debug_struct("Written").field("index", index).field("output", output).finish()
            }
            Self::Opened(session) => f.debug_tuple("Opened").field(session).finish(),
            Self::Closed => f.write_str("Closed"),
            Self::Answer(answer) => f.debug_tuple("Answer").field(answer).finish(),
            Self::Committed(entries) => f.debug_tuple("Committed").field(entries).finish(),
            Self::Transferred { to } => f.debug_struct("Transferred").field("to", to).finish(),
            Self::Status(status) => f.debug_tuple("Status").field(status).finish(),
            Self::Changed { index, configuration } => f
                .debug_struct("Changed")
                .field("index", index)
                .field("configuration", configuration)
                .finish(),
        }
    }
}

impl<S: StateMachine> Clone for Settled<S> {
    fn clone(&self) -> Self {
        match self {
            Self::Applied { index, request, output } => {
                Self::Applied { index: *index, request: *request, output: output.clone() }
            }
            Self::Opened { session, request } => {
                Self::Opened { session: *session, request: *request }
            }
            Self::Closed { request } => Self::Closed { request: *request },
            Self::Repeated { index, request, output } => {
                Self::Repeated { index: *index, request: *request, output: output.clone() }
            }
            Self::Restored { upto } => Self::Restored { upto: *upto },
            Self::Readable { request } => Self::Readable { request: *request },
            Self::Transferred { request, to } => Self::Transferred { request: *request, to: *to },
            Self::Changed { index, request, configuration } => Self::Changed {
                index: *index,
                request: *request,
                configuration: Arc::clone(configuration),
            },
            Self::Failed { request, error } => Self::Failed { request: *request, error: *error },
        }
    }
}

impl<S: StateMachine> fmt::Debug for Settled<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Applied { index, request, output } => f
                .debug_struct("Applied")
                .field("index", index)
                .field("request", request)
                .field("output", output)
                .finish(),
            Self::Opened { session, request } => f
                .debug_struct("Opened")
                .field("session", session)
                .field("request", request)
                .finish(),
            Self::Closed { request } => f.debug_struct("Closed").field("request", request).finish(),
            Self::Repeated { index, request, output } => f
                .debug_struct("Repeated")
                .field("index", index)
                .field("request", request)
                .field("output", output)
                .finish(),
            Self::Restored { upto } => f.debug_struct("Restored").field("upto", upto).finish(),
            Self::Readable { request } => {
                f.debug_struct("Readable").field("request", request).finish()
            }
            Self::Transferred { request, to } => {
                f.debug_struct("Transferred").field("request", request).field("to", to).finish()
            }
            Self::Changed { index, request, configuration } => f
                .debug_struct("Changed")
                .field("index", index)
                .field("request", request)
                .field("configuration", configuration)
                .finish(),
            Self::Failed { request, error } => {
                f.debug_struct("Failed").field("request", request).field("error", error).finish()
            }
        }
    }
}
