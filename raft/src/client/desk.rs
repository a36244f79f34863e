//! What all calls of a handle and its clones share.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cluster::call::Courier;
use cluster::{NodeId, Port};

use crate::client::call::CallError;
use crate::client::errand::{Errand, Order};
use crate::client::ledger::{Ledger, Opened};
use crate::client::task::Task;
use crate::observe::Meter;
use crate::{Raft, Reply, SessionId, StateMachine};

/// The way to the cluster, who leads it, and the session.
pub(crate) struct Desk<S: StateMachine> {
    pub(crate) port: Arc<dyn Port<Raft<S>>>,
    pub(crate) courier: Arc<Courier>,
    pub(crate) meter: Meter,
    /// Who answered last.
    preferred: AtomicU32,
    ledger: Mutex<Ledger<Arc<dyn Waiter>>>,
    /// Calls that are held and not over.
    outstanding: AtomicUsize,
    outstanding_max: usize,
}

/// Who waits for a session.
pub(crate) trait Waiter: Send + Sync {
    /// There may be one now; or there will be none, because of this error.
    fn resume(self: Arc<Self>, verdict: Result<(), CallError>);
}

impl<S: StateMachine> Desk<S> {
    pub(crate) fn new(
        port: Arc<dyn Port<Raft<S>>>,
        courier: Arc<Courier>,
        meter: Meter,
        outstanding_max: usize,
    ) -> Self {
        let preferred = AtomicU32::new(port.members()[0].get());
        let ledger = Mutex::new(Ledger::new());
        let outstanding = AtomicUsize::new(0);
        Self { port, courier, meter, preferred, ledger, outstanding, outstanding_max }
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger<Arc<dyn Waiter>>> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn preferred(&self) -> NodeId {
        NodeId::new(self.preferred.load(Ordering::Relaxed))
    }

    /// `node` serves.
    pub(crate) fn prefer(&self, node: NodeId) {
        if self.preferred() != node {
            self.preferred.store(node.get(), Ordering::Relaxed);
        }
    }

    /// Takes one more call under way, if that is not one too many.
    pub(crate) fn admit(&self) -> bool {
        let admitted = self.outstanding.fetch_add(1, Ordering::Relaxed) < self.outstanding_max;
        if !admitted {
            self.dismiss();
        }
        admitted
    }

    /// One less is under way.
    pub(crate) fn dismiss(&self) {
        self.outstanding.fetch_sub(1, Ordering::Relaxed);
    }

    /// Opens a session for those who wait for one.
    pub(crate) fn open_session(self: &Arc<Self>, timeout: Duration) {
        let desk = Arc::clone(self);
        let order = Order {
            task: Task::Open,
            timeout,
            read: |reply| match reply {
                Reply::Opened(session) => Some(session),
                _ => None,
            },
        };
        Errand::send_off(self, order, move |opened| match opened {
            Ok(session) => desk.session_opened(session, timeout),
            Err(error) => desk.session_not_opened(error),
        });
    }

    fn session_opened(self: &Arc<Self>, session: SessionId, timeout: Duration) {
        let opened = self.ledger().opened(session);
        match opened {
            Opened::Resume(waiting) => waiting.into_iter().for_each(|it| it.resume(Ok(()))),
            Opened::Close => self.close_session(session, timeout),
        }
    }

    fn session_not_opened(&self, error: CallError) {
        let waiting = self.ledger().failed();
        // Out of time is who asked for it; those who have time left ask anew.
        let verdict = match error {
            CallError::Unavailable { .. } | CallError::Unknown { .. } => Ok(()),
            CallError::Overloaded
            | CallError::TooLarge { .. }
            | CallError::NoSuchMember
            | CallError::NotCaughtUp
            | CallError::UnfitMember
            | CallError::LastVoter
            | CallError::Witness(_) => Err(error),
        };
        waiting.into_iter().for_each(|it| it.resume(verdict));
    }

    fn close_session(self: &Arc<Self>, session: SessionId, timeout: Duration) {
        let task = Task::Close(session);
        let order =
            Order { task, timeout, read: |reply| matches!(reply, Reply::Closed).then_some(()) };
        // If it cannot be closed, it ends by disuse.
        Errand::send_off(self, order, drop);
    }
}

/// That somebody may still call. When nobody may, the session is closed.
pub(crate) struct Presence<S: StateMachine> {
    pub(crate) desk: Arc<Desk<S>>,
    /// How long it is tried to close the session.
    pub(crate) timeout: Duration,
}

impl<S: StateMachine> Drop for Presence<S> {
    fn drop(&mut self) {
        let session = self.desk.ledger().leave();
        if let Some(session) = session {
            self.desk.close_session(session, self.timeout);
        }
    }
}
