//! Why a request was not answered as asked.

use cluster::NodeId;

/// Why a request failed. Each variant says what became of it.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// This node does not lead. Nothing was done, and nothing will be.
    #[error("not the leader ({}); nothing was done", known(*leader))]
    NotLeader {
        /// Who leads, as far as this node knows.
        leader: Option<NodeId>,
    },
    /// The leader took the command and lost its leadership before the command was committed. The
    /// command may have an effect yet, or never.
    #[error("the leader was deposed; the command may have an effect, or may have one yet")]
    Deposed,
    /// The session of the command is not open, or its client has said that it needs no answer to it.
    /// It was not applied and will not be by this attempt; an earlier attempt may have been.
    #[error("the session has ended; this attempt did nothing, an earlier one may have")]
    SessionExpired,
    /// Too much waits at the leader already. Nothing was done, and nothing will be.
    #[error("too many requests wait at the leader; nothing was done")]
    Overloaded,
    /// The command is larger than the cluster takes. Nothing was done, and nothing will be.
    #[error("a command of {bytes} bytes, where {limit} is the limit; nothing was done")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The largest size.
        limit: usize,
    },
    /// The leader is handing over to another node. Nothing was done, and nothing will be: ask again,
    /// there.
    #[error("the leader is handing over to {to}; nothing was done")]
    Transferring {
        /// To whom.
        to: NodeId,
    },
    /// The lead was to be handed over to a node that is no member, or to nobody in particular while
    /// there is no other member. Nothing was done, and nothing will be.
    #[error("there is no such member to hand over to; nothing was done")]
    NoSuchMember,
    /// The lead was to be handed over, and that did not come about in time: somebody else leads, or
    /// nobody, or the old leader goes on. It may come about yet.
    #[error("the lead was not handed over in time; it may be yet")]
    NotTransferred,
}

fn known(leader: Option<NodeId>) -> String {
    leader.map_or_else(|| "none is known".to_owned(), |leader| format!("that is {leader}"))
}
