//! Blocking calls, for applications that run the cluster on threads of their own process.

use std::time::Duration;

use cluster::NodeId;
use cluster::threads::{CallError, Client, Threads};

use crate::{Error, Raft, ReadLevel, Reply, Request, Response, StateMachine};

/// A handle on a replicated machine, for one thread. Clone it for another.
///
/// It finds the leader by itself, and tries again only where nothing was done.
pub struct Store<S: StateMachine> {
    client: Client<Raft<S>>,
}

/// Why a call brought no result. Each variant says what became of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No leader took the call in time. Nothing was done, and nothing will be.
    #[error("no leader took the call within {waited:?}; nothing was done")]
    Unavailable {
        /// How long the call tried.
        waited: Duration,
    },
    /// The leader has too much to do. Nothing was done, and nothing will be.
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
    /// There is no such member to hand over to. Nothing was done, and nothing will be.
    #[error("there is no such member to hand over to; nothing was done")]
    NoSuchMember,
    /// A leader took the call and was not heard of again, or was deposed. A write may have had an
    /// effect, or may have one yet.
    #[error("a leader took the call and did not finish it; its effect is unknown")]
    Unknown,
}

impl<S: StateMachine> Store<S> {
    /// A handle on the machine that `cluster` replicates.
    pub fn new(cluster: &Threads<Raft<S>>) -> Self {
        Self { client: cluster.client() }
    }

    /// Replicates `command`, and returns its output once it is committed and applied.
    ///
    /// # Errors
    /// [`StoreError`] says whether the command may have had an effect.
    pub fn write(
        &mut self,
        command: S::Command,
        timeout: Duration,
    ) -> Result<S::Output, StoreError> {
        match self.ask(Request::Write(command), timeout)? {
            Reply::Written { output, .. } => Ok(output),
            Reply::Answer(_) | Reply::Committed(_) | Reply::Transferred { .. } => {
                unreachable!("a write is answered Written")
            }
        }
    }

    /// Answers `query` from a state that holds every write completed before this call: linearizable.
    ///
    /// # Errors
    /// [`StoreError`]; a read has no effect in any case.
    pub fn read(&mut self, query: S::Query, timeout: Duration) -> Result<S::Answer, StoreError> {
        self.read_at(ReadLevel::Index, query, timeout)
    }

    /// Answers `query` as surely as `level` says.
    ///
    /// # Errors
    /// [`StoreError`]; a read has no effect in any case.
    pub fn read_at(
        &mut self,
        level: ReadLevel,
        query: S::Query,
        timeout: Duration,
    ) -> Result<S::Answer, StoreError> {
        match self.ask(Request::ReadAt(level, query), timeout)? {
            Reply::Answer(answer) => Ok(answer),
            Reply::Written { .. } | Reply::Committed(_) | Reply::Transferred { .. } => {
                unreachable!("a read is answered Answer")
            }
        }
    }

    /// Hands the lead over to `to`, or to the follower that has come furthest, and returns who leads:
    /// what to call before the leader is shut down.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] if it did not come about in time; it may yet.
    pub fn transfer(
        &mut self,
        to: Option<NodeId>,
        timeout: Duration,
    ) -> Result<NodeId, StoreError> {
        match self.ask(Request::Transfer { to }, timeout)? {
            Reply::Transferred { to } => Ok(to),
            Reply::Answer(_) | Reply::Committed(_) | Reply::Written { .. } => {
                unreachable!("a transfer is answered Transferred")
            }
        }
    }

    fn ask(&mut self, request: Request<S>, timeout: Duration) -> Result<Reply<S>, StoreError> {
        let response: Response<S> =
            self.client.ask(request, timeout).map_err(|error| match error {
                CallError::Unavailable { waited } => StoreError::Unavailable { waited },
                CallError::Unknown { .. } => StoreError::Unknown,
            })?;
        response.map_err(|error| match error {
            Error::Overloaded => StoreError::Overloaded,
            Error::Deposed | Error::NotTransferred => StoreError::Unknown,
            Error::TooLarge { bytes, limit } => StoreError::TooLarge { bytes, limit },
            Error::NoSuchMember => StoreError::NoSuchMember,
            Error::NotLeader { .. } | Error::Transferring { .. } => {
                unreachable!("the client follows redirections")
            }
        })
    }
}

impl<S: StateMachine> Clone for Store<S> {
    fn clone(&self) -> Self {
        Self { client: self.client.clone() }
    }
}
