//! What an application calls a replicated machine by.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::call::Courier;
use cluster::{NodeId, Port};

use crate::client::call::{Call, CallError};
use crate::client::desk::{Desk, Presence};
use crate::client::errand::{Errand, Order};
use crate::client::task::Task;
use crate::observe::Meter;
use crate::{Change, Configuration, Raft, ReadLevel, Reply, StateMachine, Status};

/// A handle on a replicated machine: for any thread, for many at once, and cheap to clone.
///
/// Each method sends a request and returns at once with a [`Call`]: `wait()` for it, or `.await` it in
/// any runtime. It finds the leader by itself, and asks again where that can do no harm, until the
/// call's deadline. Calls that are under way at the same time may take effect in any order.
///
/// A handle and its clones write in one session, which is opened by the first write and closed when
/// the last of them and of their calls is gone; so each write takes effect once, however often it had
/// to be sent. If the session ends before that, because too many others are open, the next write opens
/// another, and a write whose effect cannot be told any more says so ([`CallError::Unknown`]).
///
/// They hold a bounded number of calls under way together
/// ([`outstanding_max`](crate::Builder::outstanding_max)); one more is [`CallError::Overloaded`]. Calls
/// that were dropped do not count.
pub struct Handle<S: StateMachine> {
    presence: Arc<Presence<S>>,
    timeout: Duration,
}

impl<S: StateMachine> Handle<S> {
    /// How long a call tries, unless said otherwise.
    pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);
    /// How many calls may be under way, unless said otherwise.
    pub(crate) const OUTSTANDING_MAX: usize = 8192;

    /// A handle on the cluster behind `port`, of whatever world, with the settings that a
    /// [`Builder`](crate::Builder) begins with. It has a thread of its own for what takes time, which
    /// ends when the handle, its clones and their calls are gone and its session is closed.
    ///
    /// # Panics
    /// When the system can start no more threads.
    pub fn over(port: Arc<dyn Port<Raft<S>>>) -> Self {
        let desk = Desk::new(
            port,
            Arc::new(Courier::start()),
            Meter::new(&Arc::from("raft")),
            Self::OUTSTANDING_MAX,
        );
        Self::new(desk, Self::TIMEOUT)
    }

    pub(crate) fn new(desk: Desk<S>, timeout: Duration) -> Self {
        let desk = Arc::new(desk);
        Self { presence: Arc::new(Presence { desk, timeout }), timeout }
    }

    /// The same handle, whose calls try for at most `timeout`.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self { presence: Arc::clone(&self.presence), timeout }
    }

    /// The nodes of the cluster.
    pub fn members(&self) -> &[NodeId] {
        self.presence.desk.port.members()
    }

    fn call<T: Send + 'static>(&self, task: Task<S>, read: fn(Reply<S>) -> Option<T>) -> Call<T> {
        let desk = &self.presence.desk;
        if !desk.admit() {
            let error = CallError::Overloaded;
            desk.meter.ended(task.kind(), Instant::now(), Some(&error));
            return Call::ready(Err(error));
        }
        let errand = Errand::start(desk, Order { task, timeout: self.timeout, read });
        // It keeps the session open.
        Call::new(errand, Arc::clone(&self.presence) as Arc<dyn Any + Send + Sync>)
    }
}

// Calls.
impl<S: StateMachine> Handle<S> {
    /// Replicates `command`, and returns its output once it is committed and applied: once, however
    /// often it has to be sent.
    pub fn write(&self, command: S::Command) -> Call<S::Output> {
        self.call(Task::Write(command), written)
    }

    /// As [`write`](Handle::write), but in no session: log and snapshots keep less of it, and it is
    /// sent again only where nothing was done, so that its effect is [`CallError::Unknown`] whenever
    /// its leader fails.
    pub fn write_sessionless(&self, command: S::Command) -> Call<S::Output> {
        self.call(Task::WriteSessionless(command), written)
    }

    /// Answers `query` from a state that holds every write that was answered before this call:
    /// linearizable ([`ReadLevel::Index`]).
    pub fn read(&self, query: S::Query) -> Call<S::Answer> {
        self.read_at(ReadLevel::Index, query)
    }

    /// Answers `query` as surely as `level` says, at the node that served last: the leader, as a rule.
    pub fn read_at(&self, level: ReadLevel, query: S::Query) -> Call<S::Answer> {
        self.call(Task::Read(level, query), answer)
    }

    /// As [`read_at`](Handle::read_at), at `node` and no other: what [`ReadLevel::Follower`] and
    /// [`ReadLevel::Local`] are for. If it is down, that is [`CallError::Unavailable`] at once.
    pub fn read_from(&self, node: NodeId, level: ReadLevel, query: S::Query) -> Call<S::Answer> {
        self.call(Task::ReadFrom(node, level, query), answer)
    }

    /// Hands the lead over to `to`, or to the follower that has come furthest, and returns who leads:
    /// what to call before the leader is shut down. [`CallError::Unknown`] if it did not come about in
    /// time; it may yet.
    pub fn transfer(&self, to: Option<NodeId>) -> Call<NodeId> {
        self.call(Task::Transfer(to), |reply| match reply {
            Reply::Transferred { to } => Some(to),
            _ => None,
        })
    }

    /// Changes who takes part, and returns who does once that is committed. While another change is not
    /// finished it waits its turn. [`CallError::Unknown`] if its leader failed: it may yet be made.
    pub fn change(&self, change: Change) -> Call<Arc<Configuration>> {
        self.call(Task::Change(change), |reply| match reply {
            Reply::Changed { configuration, .. } => Some(configuration),
            _ => None,
        })
    }

    /// How `node` is doing. If it is down, that is [`CallError::Unavailable`] at once.
    pub fn status(&self, node: NodeId) -> Call<Status> {
        self.call(Task::Status(node), |reply| match reply {
            Reply::Status(status) => Some(*status),
            _ => None,
        })
    }
}

fn written<S: StateMachine>(reply: Reply<S>) -> Option<S::Output> {
    match reply {
        Reply::Written { output, .. } => Some(output),
        _ => None,
    }
}

fn answer<S: StateMachine>(reply: Reply<S>) -> Option<S::Answer> {
    match reply {
        Reply::Answer(answer) => Some(answer),
        _ => None,
    }
}

/// The clone shares the session, and the limit of calls under way.
impl<S: StateMachine> Clone for Handle<S> {
    fn clone(&self) -> Self {
        self.with_timeout(self.timeout)
    }
}
