//! What an errand is for.

use cluster::NodeId;

use crate::client::ledger::Slot;
use crate::observe::Kind;
use crate::{Change, ReadLevel, Request, SessionId, StateMachine, Submission};

/// What is to be asked, and of whom.
pub(crate) enum Task<S: StateMachine> {
    /// In the session of the handle.
    Write(S::Command),
    /// In no session.
    WriteSessionless(S::Command),
    Read(ReadLevel, S::Query),
    /// At this node and no other.
    ReadFrom(NodeId, ReadLevel, S::Query),
    Transfer(Option<NodeId>),
    Change(Change),
    /// Of this node.
    Status(NodeId),
    Open,
    Close(SessionId),
}

impl<S: StateMachine> Task<S> {
    /// As which it counts.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Write(_) | Self::WriteSessionless(_) => Kind::Write,
            Self::Read(..) | Self::ReadFrom(..) => Kind::Read,
            Self::Transfer(_) => Kind::Transfer,
            Self::Change(_) => Kind::Change,
            Self::Status(_) => Kind::Status,
            Self::Open | Self::Close(_) => Kind::Session,
        }
    }

    /// Whether it needs a place in a session.
    pub(crate) fn needs_slot(&self) -> bool {
        matches!(self, Self::Write(_))
    }

    /// The request for it; in its place of a session, if it has one.
    pub(crate) fn request(&self, slot: Option<Slot>) -> Request<S> {
        match (self, slot) {
            (Self::Write(command), Some(Slot { session, sequence, unanswered })) => {
                let command = command.clone();
                Request::Submit(Submission { session, sequence, unanswered, command })
            }
            (Self::Write(command) | Self::WriteSessionless(command), _) => {
                Request::Write(command.clone())
            }
            (Self::Read(level, query) | Self::ReadFrom(_, level, query), _) => {
                Request::ReadAt(*level, query.clone())
            }
            (Self::Transfer(to), _) => Request::Transfer { to: *to },
            (Self::Change(change), _) => Request::Change(change.clone()),
            (Self::Status(_), _) => Request::Status,
            (Self::Open, _) => Request::Open,
            (Self::Close(session), _) => Request::Close(*session),
        }
    }

    /// The only node to ask.
    pub(crate) fn only(&self) -> Option<NodeId> {
        match self {
            Self::ReadFrom(node, ..) | Self::Status(node) => Some(*node),
            Self::Write(_)
            | Self::WriteSessionless(_)
            | Self::Read(..)
            | Self::Transfer(_)
            | Self::Change(_)
            | Self::Open
            | Self::Close(_) => None,
        }
    }

    /// Whether asking matters to anybody but whoever asks. (That of a session matters to nobody until
    /// something is written in it.)
    pub(crate) fn has_effect(&self) -> bool {
        match self {
            Self::Write(_) | Self::WriteSessionless(_) | Self::Transfer(_) | Self::Change(_) => {
                true
            }
            Self::Read(..) | Self::ReadFrom(..) | Self::Status(_) | Self::Open | Self::Close(_) => {
                false
            }
        }
    }

    /// Whether it may be asked again where it is not known what became of it.
    pub(crate) fn may_repeat(&self) -> bool {
        match self {
            Self::Write(_) | Self::Read(..) | Self::Open | Self::Close(_) => true,
            Self::ReadFrom(..)
            | Self::Status(_)
            | Self::WriteSessionless(_)
            | Self::Transfer(_)
            | Self::Change(_) => false,
        }
    }
}
