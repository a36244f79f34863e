//! Why a request was not answered as asked.

use cluster::NodeId;
use serde::{Deserialize, Serialize};

/// Why a request failed. Each variant says what became of it.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
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
    /// The leader is handing over to another node, or has itself elected anew. Nothing was done, and
    /// nothing will be: ask again, there.
    #[error("the leader is handing over to {to}; nothing was done")]
    Transferring {
        /// To whom; itself if it stands again.
        to: NodeId,
    },
    /// The lead was to be handed over to a node that has no vote, or to nobody in particular while
    /// nobody else has one; or a change names a node that is no member, or takes no part where it
    /// should; or a node that takes no part was asked to read as a follower. Nothing was done, and
    /// nothing will be.
    #[error("there is no such member; nothing was done")]
    NoSuchMember,
    /// The lead was to be handed over, and that did not come about in time: somebody else leads, or
    /// nobody, or the old leader goes on. It may come about yet.
    #[error("the lead was not handed over in time; it may be yet")]
    NotTransferred,
    /// Another change of the configuration is not finished, or the leader cannot know yet whether one
    /// is, because it has committed nothing in its term. Nothing was done, and nothing will be: ask
    /// again.
    #[error("another change is not finished; nothing was done")]
    ChangeInProgress,
    /// A node that was to vote did not catch up with the log in as many rounds as it has, or was not
    /// heard of (§4.2.1 of the thesis). Nothing was done, and nothing will be.
    #[error("a node that was to vote did not catch up; nothing was done")]
    NotCaughtUp,
    /// A node has not the part that the change supposes: one that was to be added as a learner votes,
    /// or one that was to be replaced does not. Nothing was done, and nothing will be.
    #[error("a node has not the part that the change supposes; nothing was done")]
    UnfitMember,
    /// After the change nobody would vote. Nothing was done, and nothing will be.
    #[error("nobody would vote; nothing was done")]
    LastVoter,
    /// It is not for witnesses, or there would be too many. Nothing was done, and nothing will be.
    #[error("{0}; nothing was done")]
    Witness(WitnessRefusal),
}

/// What [witnesses](crate::Kind::Witness) are refused.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum WitnessRefusal {
    /// The node is a witness: it holds no commands, so it answers no query, and the lead cannot be
    /// handed to it.
    #[error("{node} is a witness, which neither answers queries nor leads")]
    NoReplica {
        /// Which.
        node: NodeId,
    },
    /// After the change more than half of a set of voters would be witnesses, so that a majority could
    /// hold no command.
    #[error("{witnesses} of {voters} voters would be witnesses, expected at most half")]
    TooMany {
        /// How many there would be.
        witnesses: usize,
        /// Of how many voters.
        voters: usize,
    },
    /// A full replica does not become a witness, and a witness no full replica, as long as the node has
    /// the disk that it has: it takes part as the other kind, or its disk says that it did. The way is
    /// to remove it, to wipe its disk, and to add it.
    #[error("{node} is of the other kind, witness or full replica, on its disk")]
    OtherKind {
        /// Which.
        node: NodeId,
    },
}

fn known(leader: Option<NodeId>) -> String {
    leader.map_or_else(|| "none is known".to_owned(), |leader| format!("that is {leader}"))
}
