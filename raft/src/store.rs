//! Blocking calls, for applications that run the cluster on threads of their own process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::threads::{CallError, Client, Threads};
use cluster::{Node, NodeId};

use crate::{
    Change, Configuration, Error, Raft, ReadLevel, Reply, Request, Response, Sequence, SessionId,
    StateMachine, Submission,
};

/// How long to wait before asking around again when nobody knows a leader.
const BACKOFF: Duration = Duration::from_millis(5);
/// How long one node may be silent before the same command is sent to another.
const SILENCE_MAX: Duration = Duration::from_secs(1);

/// A handle on a replicated machine, for one thread. Clone it for another.
///
/// It finds the leader by itself. Its writes are made in a session, which it opens when it first
/// needs one, so that it can send them again until they are answered and yet each takes effect once;
/// [`write_sessionless`](Store::write_sessionless) tries again only where nothing was done.
pub struct Store<S: StateMachine> {
    client: Client<Raft<S>>,
    /// Who answered last.
    preferred: NodeId,
    session: Option<SessionId>,
    /// Of the last write in the session.
    sequence: Sequence,
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
    /// There is no such member to hand over to, or to change. Nothing was done, and nothing will be.
    #[error("there is no such member; nothing was done")]
    NoSuchMember,
    /// The configuration was not changed, for this reason. Nothing was done, and nothing will be.
    #[error(transparent)]
    Unchanged(Error),
    /// A leader took the call and was not heard of again, or was deposed; or the session ended before
    /// a command that was sent several times was answered. A write may have had an effect, or may
    /// have one yet, but not after the next write of the same handle in the same session.
    #[error("a leader took the call and did not finish it; its effect is unknown")]
    Unknown,
}

/// What came of a request that may be sent again.
struct Asked<S: StateMachine> {
    response: Response<S>,
    /// An earlier sending of it may have had an effect.
    repeated: bool,
}

impl<S: StateMachine> Store<S> {
    /// A handle on the machine that `cluster` replicates.
    pub fn new(cluster: &Threads<Raft<S>>) -> Self {
        Self::of(cluster.client())
    }

    fn of(client: Client<Raft<S>>) -> Self {
        let preferred = client.members()[0];
        Self { client, preferred, session: None, sequence: Sequence::ZERO }
    }

    /// Replicates `command`, and returns its output once it is committed and applied. It is sent
    /// again, for at most `timeout` in all, until it is answered, and applied once.
    ///
    /// # Errors
    /// [`StoreError`] says whether the command may have had an effect.
    pub fn write(
        &mut self,
        command: S::Command,
        timeout: Duration,
    ) -> Result<S::Output, StoreError> {
        let deadline = Instant::now() + timeout;
        loop {
            let session = match self.session {
                Some(session) => session,
                None => self.open(deadline, timeout)?,
            };
            let sequence = self.sequence.next();
            self.sequence = sequence;
            // One call at a time: all earlier ones have ended.
            let unanswered = sequence;
            let command = command.clone();
            let submission = Submission { session, sequence, unanswered, command };
            let Asked { response, repeated } =
                self.insist(&Request::Submit(submission), deadline, timeout)?;
            match response {
                Ok(Reply::Written { output, .. }) => return Ok(output),
                Err(Error::SessionExpired) => {
                    self.session = None;
                    if repeated {
                        return Err(StoreError::Unknown);
                    }
                }
                Err(_) if repeated => return Err(StoreError::Unknown),
                Err(error) => return Err(failure(error)),
                Ok(
                    Reply::Opened(_)
                    | Reply::Answer(_)
                    | Reply::Committed(_)
                    | Reply::Transferred { .. }
                    | Reply::Changed { .. },
                ) => {
                    unreachable!("a write is answered Written")
                }
            }
        }
    }

    /// As [`write`](Store::write), but sent again only where nothing was done, and outside any
    /// session: the log and the snapshots keep less, and an error may leave its effect unknown.
    ///
    /// # Errors
    /// [`StoreError`] says whether the command may have had an effect.
    pub fn write_sessionless(
        &mut self,
        command: S::Command,
        timeout: Duration,
    ) -> Result<S::Output, StoreError> {
        match self.ask(Request::Write(command), timeout)? {
            Reply::Written { output, .. } => Ok(output),
            Reply::Opened(_)
            | Reply::Answer(_)
            | Reply::Committed(_)
            | Reply::Transferred { .. }
            | Reply::Changed { .. } => {
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
            Reply::Opened(_)
            | Reply::Written { .. }
            | Reply::Committed(_)
            | Reply::Transferred { .. }
            | Reply::Changed { .. } => {
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
            Reply::Opened(_)
            | Reply::Answer(_)
            | Reply::Committed(_)
            | Reply::Written { .. }
            | Reply::Changed { .. } => {
                unreachable!("a transfer is answered Transferred")
            }
        }
    }

    /// Changes who takes part, and returns who does once that is committed.
    ///
    /// # Errors
    /// [`StoreError::Unchanged`] and the others but [`StoreError::Unknown`]: nothing was done. After
    /// that one, ask again: each change is a goal, and may be asked for twice.
    pub fn change(
        &mut self,
        change: Change,
        timeout: Duration,
    ) -> Result<Arc<Configuration>, StoreError> {
        match self.ask(Request::Change(change), timeout)? {
            Reply::Changed { configuration, .. } => Ok(configuration),
            Reply::Opened(_)
            | Reply::Answer(_)
            | Reply::Committed(_)
            | Reply::Written { .. }
            | Reply::Transferred { .. } => {
                unreachable!("a change is answered Changed")
            }
        }
    }

    fn ask(&mut self, request: Request<S>, timeout: Duration) -> Result<Reply<S>, StoreError> {
        let response: Response<S> =
            self.client.ask(request, timeout).map_err(|error| match error {
                CallError::Unavailable { waited } => StoreError::Unavailable { waited },
                CallError::Unknown { .. } => StoreError::Unknown,
            })?;
        response.map_err(failure)
    }

    /// Opens a session. To open two does no harm.
    fn open(&mut self, deadline: Instant, timeout: Duration) -> Result<SessionId, StoreError> {
        let opened = self.insist(&Request::Open, deadline, timeout);
        let nothing_written = |error| match error {
            StoreError::Unknown => StoreError::Unavailable { waited: timeout },
            StoreError::Unavailable { .. }
            | StoreError::Overloaded
            | StoreError::TooLarge { .. }
            | StoreError::NoSuchMember
            | StoreError::Unchanged(_) => error,
        };
        match opened.map_err(nothing_written)?.response {
            Ok(Reply::Opened(session)) => {
                self.session = Some(session);
                self.sequence = Sequence::ZERO;
                Ok(session)
            }
            Err(error) => Err(nothing_written(failure(error))),
            Ok(
                Reply::Written { .. }
                | Reply::Answer(_)
                | Reply::Committed(_)
                | Reply::Transferred { .. }
                | Reply::Changed { .. },
            ) => {
                unreachable!("it is answered Opened")
            }
        }
    }

    /// Sends `request`, which does no harm if it comes twice, to one node after the other until one
    /// answers for good.
    fn insist(
        &mut self,
        request: &Request<S>,
        deadline: Instant,
        timeout: Duration,
    ) -> Result<Asked<S>, StoreError> {
        let mut node = self.preferred;
        let mut repeated = false;
        let mut hops_left = self.client.members().len();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let known = match self.client.call(node, request.clone(), left.min(SILENCE_MAX)) {
                Ok(response) => match (Raft::<S>::redirect(&response), &response) {
                    (Some(redirect), _) => redirect.to.filter(|&to| to != node),
                    (None, Err(Error::Deposed)) => {
                        repeated = true;
                        None
                    }
                    (None, _) => {
                        self.preferred = node;
                        return Ok(Asked { response, repeated });
                    }
                },
                Err(CallError::Unavailable { .. }) => None,
                Err(CallError::Unknown { .. }) => {
                    repeated = true;
                    None
                }
            };
            let at_once = known.is_some() && hops_left > 0;
            if deadline.saturating_duration_since(Instant::now()) <= 2 * BACKOFF {
                let unknown = StoreError::Unknown;
                let waited = timeout;
                return Err(if repeated { unknown } else { StoreError::Unavailable { waited } });
            }
            if at_once {
                hops_left -= 1;
            } else {
                std::thread::sleep(BACKOFF);
                hops_left = self.client.members().len();
            }
            node = known.unwrap_or_else(|| self.after(node));
        }
    }

    /// The member after `node`, going round.
    fn after(&self, node: NodeId) -> NodeId {
        let members = self.client.members();
        let next = members.partition_point(|&member| member <= node);
        members[next % members.len()]
    }
}

fn failure(error: Error) -> StoreError {
    match error {
        Error::Overloaded => StoreError::Overloaded,
        Error::Deposed | Error::NotTransferred | Error::SessionExpired => StoreError::Unknown,
        Error::TooLarge { bytes, limit } => StoreError::TooLarge { bytes, limit },
        Error::NoSuchMember => StoreError::NoSuchMember,
        Error::ChangeInProgress | Error::NotCaughtUp | Error::UnfitMember | Error::LastVoter => {
            StoreError::Unchanged(error)
        }
        Error::NotLeader { .. } | Error::Transferring { .. } => {
            unreachable!("the client follows redirections")
        }
    }
}

/// The clone opens a session of its own.
impl<S: StateMachine> Clone for Store<S> {
    fn clone(&self) -> Self {
        Self::of(self.client.clone())
    }
}
