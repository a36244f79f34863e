//! A call under way, as whoever made it holds it, and why it may fail.

use std::time::Duration;

use crate::WitnessRefusal;

/// Why a call brought no result. Each variant says what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Nobody could serve it before its deadline: no leader was found, or none could reach a majority.
    /// It had no effect and never will. So ends every read and status that is not answered in time,
    /// since it cannot have one.
    #[error("nobody could serve the call within {waited:?}; nothing was done")]
    Unavailable {
        /// How long it tried.
        waited: Duration,
    },
    /// There is too much under way, of this handle or at the leader. It had no effect and never will:
    /// wait for some of it before asking again.
    #[error("too many calls are under way; nothing was done")]
    Overloaded,
    /// The command is larger than the cluster takes. It had no effect and never will.
    #[error("a command of {bytes} bytes, where {limit} is the limit; nothing was done")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The largest size.
        limit: usize,
    },
    /// There is no such member to hand over to, to change the part of, or to read at as a follower.
    /// Nothing was done.
    #[error("there is no such member; nothing was done")]
    NoSuchMember,
    /// A node that was to vote did not catch up with the log, or was not heard of. Nothing was done.
    #[error("a node that was to vote did not catch up; nothing was done")]
    NotCaughtUp,
    /// A node has not the part that a change supposes, see [`Error::UnfitMember`]. Nothing was done.
    ///
    /// [`Error::UnfitMember`]: crate::Error::UnfitMember
    #[error("a node has not the part that the change supposes; nothing was done")]
    UnfitMember,
    /// After the change nobody would vote. Nothing was done.
    #[error("nobody would vote; nothing was done")]
    LastVoter,
    /// It is not for witnesses, or there would be too many. Nothing was done.
    #[error("{0}; nothing was done")]
    Witness(WitnessRefusal),
    /// A leader may have taken it, and what became of it was not to be learnt before its deadline; or
    /// its session ended before that. It may have had an effect, or may have one yet.
    #[error("a leader may have taken the call, which had no answer within {waited:?}")]
    Unknown {
        /// How long it tried.
        waited: Duration,
    },
}

impl CallError {
    /// Whether it is certain that the call had no effect, and will never have one.
    pub fn nothing_done(&self) -> bool {
        match self {
            Self::Unavailable { .. }
            | Self::Overloaded
            | Self::TooLarge { .. }
            | Self::NoSuchMember
            | Self::NotCaughtUp
            | Self::UnfitMember
            | Self::LastVoter
            | Self::Witness(_) => true,
            Self::Unknown { .. } => false,
        }
    }
}

/// A call under way: see [`cluster::call::Call`]. Its deadline is kept for whoever waits: a call that nobody
/// waits for may stay under way for longer.
pub type Call<T> = cluster::call::Call<Result<T, CallError>>;
