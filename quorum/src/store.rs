//! The store as an application calls it: waited for or awaited, from any thread.

use std::time::Duration;

use cluster::NodeId;
use cluster::call::{CallError, Caller, Heard, Question};

use crate::config::Guarantee;
use crate::error::Error;
use crate::message::{Reply, Request, Response, Status};
use crate::node::Replica;
use crate::version::{Key, Value, Version};

/// How long a node may be silent before another is asked to read.
const SILENCE_MAX: Duration = Duration::from_secs(1);

/// A call on a store that is under way: see [`cluster::call::Call`].
pub type Call<T> = cluster::call::Call<Result<T, StoreError>>;

/// A client of a store, on the nodes that a [`Caller`] reaches: for any thread, for many calls at once, and
/// cheap to clone.
///
/// Each method asks at once and returns a [`Call`]: `wait()` for it, or `.await` it in any runtime. A read
/// goes on to another node when one is down or silent; a write when one is down, which has done nothing
/// then, and not when one is silent: sent again it would be another write, with a version of its own. A
/// call that is dropped may yet take effect.
#[derive(Clone, Debug)]
pub struct Store {
    caller: Caller<Replica>,
    timeout: Duration,
}

/// What a read returned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Read {
    /// The value; none if it was deleted or never written.
    pub value: Option<Value>,
    /// Of which write.
    pub version: Version,
    /// What the read promises.
    pub guarantee: Guarantee,
}

/// Why a call failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StoreError {
    /// A node answered that it was not done. Effect: as that error says.
    #[error(transparent)]
    Refused(#[from] Error),
    /// No node answered. Effect: as that error says.
    #[error(transparent)]
    NoAnswer(#[from] CallError),
    /// The node answered another question than it was asked: it is broken, or of another version. A
    /// write may have had an effect.
    #[error("the node answered another question; the effect of a write is unknown")]
    Mismatch,
}

impl StoreError {
    /// Whether a write that failed so has had no effect and never will.
    pub fn is_without_effect(self) -> bool {
        match self {
            Self::Refused(error) => error.is_without_effect(),
            Self::NoAnswer(CallError::Unavailable { .. }) => true,
            Self::NoAnswer(CallError::Unknown { .. }) | Self::Mismatch => false,
        }
    }
}

impl Store {
    /// A store whose nodes `caller` reaches. `timeout` bounds each call; let it exceed the nodes' own
    /// [`Config::timeout`](crate::Config::timeout), or calls end as unknown that the node would have
    /// explained.
    pub fn new(caller: Caller<Replica>, timeout: Duration) -> Self {
        Self { caller, timeout }
    }

    /// The nodes of the store.
    pub fn members(&self) -> &[NodeId] {
        self.caller.members()
    }

    /// Reads `key` at the store's R, through any node that is up. Nothing was written by this call,
    /// whatever its error.
    pub fn get(&self, key: impl Into<Key>) -> Call<Read> {
        self.through_any(Request::get(key), |reply| match reply {
            Reply::Value { value, version, guarantee } => Some(Read { value, version, guarantee }),
            Reply::Written { .. } | Reply::Status(_) => None,
        })
    }

    /// Writes `value` under `key` at the store's W, through any node that is up. Returns the version of
    /// the write; of errors see [`StoreError::is_without_effect`].
    pub fn put(&self, key: impl Into<Key>, value: impl Into<Value>) -> Call<Version> {
        self.through_any(Request::put(key, value), written)
    }

    /// Deletes `key` at the store's W, through any node that is up. Returns the version of the deletion;
    /// of errors see [`StoreError::is_without_effect`].
    pub fn delete(&self, key: impl Into<Key>) -> Call<Version> {
        self.through_any(Request::delete(key), written)
    }

    /// What any node that is up answers: for requests with quorums of their own.
    pub fn ask(&self, request: Request) -> Call<Reply> {
        self.through_any(request, Some)
    }

    /// How `node` is doing; [`StoreError::NoAnswer`] when it is down or does not answer.
    pub fn status(&self, node: NodeId) -> Call<Status> {
        self.by(node, Request::Status, |reply| match reply {
            Reply::Status(status) => Some(status),
            Reply::Value { .. } | Reply::Written { .. } => None,
        })
    }

    /// What `node` answers, and no other.
    pub fn ask_node(&self, node: NodeId, request: Request) -> Call<Reply> {
        self.by(node, request, Some)
    }

    fn through_any<T: Send + 'static>(
        &self,
        request: Request,
        read: fn(Reply) -> Option<T>,
    ) -> Call<T> {
        let silence_max = match request {
            Request::Get { .. } | Request::Status => Some(SILENCE_MAX),
            Request::Put { .. } | Request::Delete { .. } => None,
        };
        let heard = Heard::by_redirection::<Replica>;
        let question = Question { request, timeout: self.timeout, silence_max, heard };
        let caller = self.caller.clone();
        Call::run(async move { answered(caller.find(question).await.outcome, read) })
    }

    fn by<T: Send + 'static>(
        &self,
        node: NodeId,
        request: Request,
        read: fn(Reply) -> Option<T>,
    ) -> Call<T> {
        self.caller.call_with(node, request, self.timeout, move |outcome| answered(outcome, read))
    }
}

fn answered<T>(
    outcome: Result<Response, CallError>,
    read: fn(Reply) -> Option<T>,
) -> Result<T, StoreError> {
    read(outcome??).ok_or(StoreError::Mismatch)
}

fn written(reply: Reply) -> Option<Version> {
    match reply {
        Reply::Written { version, .. } => Some(version),
        Reply::Value { .. } | Reply::Status(_) => None,
    }
}
