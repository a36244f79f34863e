//! What is in the log, what nodes tell each other, what they write down, and what clients ask.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use cluster::NodeId;
use serde::{Deserialize, Serialize};

use crate::configuration::{Change, Configuration};
use crate::entries::Entries;
use crate::session::Submission;
use crate::snapshot::{Chunk, SnapshotId};
use crate::{Error, LogIndex, Position, Round, SessionId, StateMachine, Status, Term};

/// One entry of the log. Shared, in [`Entries`], between the log, the messages and the disk.
#[derive(Clone, Debug, Hash, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry<C> {
    /// The term of the leader that made it.
    pub term: Term,
    /// Its place.
    pub index: LogIndex,
    /// What it holds.
    pub payload: Payload<C>,
}

impl<C> Entry<C> {
    /// Where it stands.
    pub fn position(&self) -> Position {
        Position { term: self.term, index: self.index }
    }
}

/// What an entry holds.
#[derive(Clone, Debug, Hash, PartialEq, Eq, Serialize, Deserialize)]
pub enum Payload<C> {
    /// Nothing: a leader's first entry, by which it learns what is committed (§8).
    Noop,
    /// A command for the state machine.
    Command(C),
    /// A client opens a session, whose name is this entry's index (thesis §6.3).
    Open {
        /// How many sessions there may be from here on; those in longest disuse end.
        sessions_max: u32,
    },
    /// A command in a session, to be applied once.
    Submit(Box<Submission<C>>),
    /// A client ends a session. Its commands that come later are not applied.
    Close(SessionId),
    /// Who takes part from here on, committed or not (§6).
    Configuration(Arc<Configuration>),
}

impl<C> Payload<C> {
    /// The command in it, if there is one, be it in a session or not.
    pub fn command(&self) -> Option<&C> {
        match self {
            Self::Command(command) => Some(command),
            Self::Submit(submission) => Some(&submission.command),
            Self::Noop | Self::Open { .. } | Self::Close(_) | Self::Configuration(_) => None,
        }
    }
}

/// What nodes tell each other. Every message carries its sender's term.
#[derive(Clone, Debug, Hash, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message<C> {
    /// A candidate asks for a vote (RequestVote, figure 2). Answered by [`Message::Vote`].
    RequestVote {
        /// The candidate's term.
        term: Term,
        /// Where its log ends.
        last: Position,
        /// Its leader told it to stand: voters need not stay with that leader (§3.10 of the thesis).
        transfer: bool,
    },
    /// The answer to [`Message::RequestVote`].
    Vote {
        /// The voter's term.
        term: Term,
        /// Whether the vote in that term is the candidate's. It is on the voter's disk.
        granted: bool,
    },
    /// A leader replicates, or shows that it is there (AppendEntries, figure 2). Answered by
    /// [`Message::Appended`]; several of one leader that arrive together may be answered as one.
    Append(Append<C>),
    /// The answer to [`Message::Append`].
    Appended {
        /// The follower's term.
        term: Term,
        /// The round that the append belonged to.
        round: Round,
        /// What came of it.
        outcome: Appended,
    },
    /// A node asks whether it would get a vote in the next term (§9.6 of the thesis). Answered by
    /// [`Message::PreVoted`], and by [`Message::Lent`] too if the voter's log is ahead.
    PreVote {
        /// The term that the asker is in. The receiver does not take it over.
        term: Term,
        /// Where its log ends.
        last: Position,
        /// Where its log may agree with others at the latest.
        agrees: Position,
    },
    /// The answer to [`Message::PreVote`].
    PreVoted {
        /// The voter's term.
        term: Term,
        /// The term of the question.
        asked: Term,
        /// Where the asker's log ended then.
        last: Position,
        /// Whether the voter would vote so. It promises nothing.
        granted: bool,
    },
    /// What the log of a node lacks that asked for a pre-vote. Never answered.
    Lent {
        /// The lender's term.
        term: Term,
        /// The entry before `entries`: the receiver must hold it too.
        prev: Position,
        /// What follows it in the lender's log.
        entries: Entries<C>,
    },
    /// The leader tells a follower, who holds its whole log, to stand for election at once (§3.10 of
    /// the thesis). Answered by the election.
    TimeoutNow {
        /// The leader's term.
        term: Term,
    },
    /// A follower asks its leader how far to wait before it reads. Answered by
    /// [`Message::ReadFrom`], once the leader has made sure that it leads.
    AskIndex {
        /// The follower's term.
        term: Term,
        /// To be named in the answer.
        tag: ReadTag,
    },
    /// The answer to [`Message::AskIndex`].
    ReadFrom {
        /// The leader's term.
        term: Term,
        /// As in the question.
        tag: ReadTag,
        /// What was committed before the question arrived is at or before this index. None: whoever
        /// was asked does not lead, or no longer, or has too much to do.
        index: Option<LogIndex>,
    },
    /// A leader sends a part of its snapshot to a follower that lacks entries which the leader no
    /// longer has (InstallSnapshot, figure 13). Answered by [`Message::Installed`], or by
    /// [`Message::Appended`] once the follower holds all that the snapshot covers.
    Install(Install),
    /// The answer to [`Message::Install`] while the snapshot is not whole.
    Installed {
        /// The follower's term.
        term: Term,
        /// The round that the part belonged to.
        round: Round,
        /// Which snapshot.
        id: SnapshotId,
        /// How far it is there.
        outcome: Installed,
    },
}

/// Which question of a follower this is. No two questions have the same.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadTag {
    /// Which life of the node asks: an answer to an earlier one would be old.
    pub life: u64,
    /// Which of its questions.
    pub number: u64,
}

impl<C> Message<C> {
    /// The sender's term.
    pub fn term(&self) -> Term {
        match self {
            Self::RequestVote { term, .. }
            | Self::Vote { term, .. }
            | Self::Append(Append { term, .. })
            | Self::Appended { term, .. }
            | Self::PreVote { term, .. }
            | Self::PreVoted { term, .. }
            | Self::Lent { term, .. }
            | Self::TimeoutNow { term }
            | Self::AskIndex { term, .. }
            | Self::ReadFrom { term, .. }
            | Self::Install(Install { term, .. })
            | Self::Installed { term, .. } => *term,
        }
    }
}

/// The body of [`Message::Append`].
#[derive(Clone, Debug, Hash, PartialEq, Eq, Serialize, Deserialize)]
pub struct Append<C> {
    /// The leader's term.
    pub term: Term,
    /// The entry before `entries`: the follower must hold it too.
    pub prev: Position,
    /// What follows it; nothing in a heartbeat.
    pub entries: Entries<C>,
    /// How far the leader has committed; it may be beyond `entries`.
    pub commit: LogIndex,
    /// The latest round of reading that the leader has begun.
    pub round: Round,
}

/// What came of an append.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, Serialize, Deserialize)]
pub enum Appended {
    /// Up to here the follower's log equals the leader's, durably.
    Matched(LogIndex),
    /// The follower does not hold the entry before the new ones. Nothing was appended.
    Refused {
        /// The index that the follower did not hold as the leader does.
        prev: LogIndex,
        /// The last position of the follower's log, at or before `prev`, at which the two logs may
        /// still agree: its term is not above that of the entry that the leader named.
        hint: Position,
    },
    /// The sender's term is over; the follower's is in the message.
    Stale,
}

/// The body of [`Message::Install`].
#[derive(Clone, Debug, Hash, PartialEq, Eq, Serialize, Deserialize)]
pub struct Install {
    /// The leader's term.
    pub term: Term,
    /// Which snapshot.
    pub id: SnapshotId,
    /// How many of its bytes come before these.
    pub offset: u64,
    /// Some bytes; none if the leader only shows itself.
    pub chunk: Chunk,
    /// The latest round of reading that the leader has begun.
    pub round: Round,
}

/// What came of a part of a snapshot.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, Serialize, Deserialize)]
pub enum Installed {
    /// The follower has so many bytes, from the first on. They are not on its disk yet.
    Holds(u64),
    /// All bytes were there, and they were not those that the id names, or no snapshot. They are
    /// dropped.
    Unreadable,
}

/// What a boot needs of a node's past, but for the state of the machine, which the
/// [`Record::Piece`]s after it hold.
///
/// Once all pieces are there, whatever was written before this says nothing that this and what
/// follows do not say.
#[derive(Clone, Debug, Hash, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint<C> {
    /// The last entry that the snapshot covers.
    pub position: Position,
    /// The node's term.
    pub term: Term,
    /// Whom it voted for in that term.
    pub vote: Option<NodeId>,
    /// The log after `position`. May be empty.
    pub entries: Entries<C>,
}

/// What a node writes to its disk.
#[derive(Clone, Debug, Hash, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record<C> {
    /// From now on the node is in this term, and has given this vote in it.
    Ballot {
        /// The term.
        term: Term,
        /// Whom it voted for in that term.
        vote: Option<NodeId>,
    },
    /// From the index of the first of these on, the log is these. Never empty.
    Entries(Entries<C>),
    /// A snapshot begins (§7).
    Checkpoint(Checkpoint<C>),
    /// The next bytes of the snapshot that the last checkpoint began.
    Piece {
        /// How many of its bytes come before these.
        offset: u64,
        /// The bytes.
        chunk: Chunk,
        /// Whether these are the last: the snapshot's id then.
        id: Option<SnapshotId>,
    },
}

/// What clients ask.
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
