//! The way into a node, for requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crossbeam_channel::Sender;

use crate::threads::host::Mail;
use crate::threads::port::{CalledBack, hand_in};
use crate::{NoAnswer, Node, ReplyTo};

/// The node's inbox, until it is shut.
pub(super) struct Entrance<N: Node> {
    pub(super) inbox: Sender<Mail<N>>,
    common: Arc<Common>,
}

#[derive(Default)]
struct Common {
    names: CalledBack,
    shut: AtomicBool,
    visits: AtomicUsize,
}

/// Somebody from outside has asked, and is not answered.
pub(super) struct Visit(Arc<Common>);

impl<N: Node> Entrance<N> {
    pub(super) fn new(inbox: Sender<Mail<N>>) -> Self {
        Self { inbox, common: Arc::default() }
    }

    /// Asks the node, unless it is shut.
    pub(super) fn submit(&self, request: N::Request, reply: ReplyTo<N::Response>) {
        if self.common.shut.load(Ordering::SeqCst) {
            return reply.complete(Err(NoAnswer::Unreachable));
        }
        hand_in(&self.inbox, &self.common.names, request, reply);
    }

    /// Lets somebody in, unless it is shut.
    pub(super) fn enter(&self) -> Option<Visit> {
        self.common.visits.fetch_add(1, Ordering::SeqCst);
        // Counted before it looks: whoever shuts it and then counts misses nobody.
        let visit = Visit(Arc::clone(&self.common));
        (!self.common.shut.load(Ordering::SeqCst)).then_some(visit)
    }

    /// Turns everybody away from now on.
    pub(super) fn shut(&self) {
        self.common.shut.store(true, Ordering::SeqCst);
    }

    /// Whether somebody from outside waits for an answer.
    pub(super) fn is_busy(&self) -> bool {
        self.common.visits.load(Ordering::SeqCst) > 0
    }
}

impl<N: Node> Clone for Entrance<N> {
    fn clone(&self) -> Self {
        Self { inbox: self.inbox.clone(), common: Arc::clone(&self.common) }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.0.visits.fetch_sub(1, Ordering::SeqCst);
    }
}
