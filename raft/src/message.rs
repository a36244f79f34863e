//! What is in the log, what nodes tell each other, and what they write down.

use std::hash::Hash;
use std::sync::Arc;

use cluster::NodeId;
use serde::{Deserialize, Serialize};

use crate::configuration::Configuration;
use crate::entries::Entries;
use crate::session::Submission;
use crate::snapshot::{Chunk, SnapshotId};
use crate::{Disk, Identity, Kind, LogIndex, Papers, Position, Round, SessionId, Term};

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
    /// Something that a [witness](Kind::Witness) is not told. In the logs of witnesses only.
    Withheld,
}

impl<C> Payload<C> {
    /// The command in it, if there is one, be it in a session or not.
    pub fn command(&self) -> Option<&C> {
        match self {
            Self::Command(command) => Some(command),
            Self::Submit(submission) => Some(&submission.command),
            Self::Noop
            | Self::Open { .. }
            | Self::Close(_)
            | Self::Configuration(_)
            | Self::Withheld => None,
        }
    }
}

/// What nodes tell each other. Every message but [`Message::Hello`] carries its sender's term, and what
/// is counted carries its sender's identity.
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
        /// Whose vote it is.
        by: Identity,
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
        /// Who says so.
        by: Identity,
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
        /// Who would.
        by: Identity,
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
        /// Who says so.
        by: Identity,
    },
    /// A founder makes itself known to another, before it promises anything. Answered by the same.
    Hello {
        /// The sender's disk.
        disk: Disk,
        /// The first disk that it knew the receiver by. It is on the sender's disk.
        known: Option<Disk>,
        /// Whether it still wants to be told the same of itself.
        asks: bool,
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
    /// Who made the promise that the message holds, or refused it; none if it holds none.
    pub fn identity(&self) -> Option<Identity> {
        match self {
            Self::Vote { by, .. }
            | Self::PreVoted { by, .. }
            | Self::Appended { by, .. }
            | Self::Installed { by, .. } => Some(*by),
            Self::RequestVote { .. }
            | Self::Append(_)
            | Self::PreVote { .. }
            | Self::Lent { .. }
            | Self::TimeoutNow { .. }
            | Self::AskIndex { .. }
            | Self::ReadFrom { .. }
            | Self::Install(_)
            | Self::Hello { .. } => None,
        }
    }

    /// The sender's term; zero where that does not matter.
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
            Self::Hello { .. } => Term::ZERO,
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
    /// What the leader takes the receiver for.
    pub kind: Kind,
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
    /// The follower's disk is not of the kind that the leader takes it for, with an append or a part of a
    /// snapshot. Nothing was appended.
    Misfit,
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
    /// What the leader takes the receiver for: a witness's snapshot holds no state.
    pub kind: Kind,
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
    /// Who the node is.
    pub papers: Papers,
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
    Checkpoint(Box<Checkpoint<C>>),
    /// The next bytes of the snapshot that the last checkpoint began.
    Piece {
        /// How many of its bytes come before these.
        offset: u64,
        /// The bytes.
        chunk: Chunk,
        /// Whether these are the last: the snapshot's id then.
        id: Option<SnapshotId>,
    },
    /// Who the node is, from now on.
    Papers(Papers),
}
