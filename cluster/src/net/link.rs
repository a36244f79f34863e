//! The way to the peers: what a host's messages leave by.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crossbeam_channel::Sender;
use serde::Serialize;

use super::dial::Line;
use super::frame::{Frame, Kind};
use super::greeting::{Lives, Welcome};
use super::news;
use super::refusal::{Reason, Refused, Tally};
use super::unsent::Unsent;
use super::wire::{Pushed, Wire};
use crate::threads::host::Mail;
use crate::threads::outlet::Outlet;
use crate::{Members, Node, NodeId};

/// The connection to one peer, while there is one.
pub(super) struct Link {
    to: NodeId,
    wire: Mutex<Option<Arc<Wire>>>,
    lives: Arc<Mutex<Lives>>,
    tally: Arc<Tally>,
    /// How many bytes may wait.
    waiting_max: usize,
    /// Whom to tell that the peer's process has ended.
    ended: Box<dyn Fn(NodeId) + Send + Sync>,
}

impl Link {
    pub(super) fn new(
        to: NodeId,
        lives: Arc<Mutex<Lives>>,
        tally: Arc<Tally>,
        waiting_max: usize,
        ended: impl Fn(NodeId) + Send + Sync + 'static,
    ) -> Self {
        Self { to, wire: Mutex::default(), lives, tally, waiting_max, ended: Box::new(ended) }
    }

    fn wire(&self) -> MutexGuard<'_, Option<Arc<Wire>>> {
        self.wire.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is a connection.
    pub(super) fn is_open(&self) -> bool {
        self.wire().is_some()
    }

    /// Puts a message behind those that wait. Without a connection, or when too much waits, it is lost:
    /// the newest, since of the others a part may be written.
    fn push(&self, message: &impl Serialize) {
        let wire = self.wire();
        let pushed = match &*wire {
            Some(wire) if wire.waiting() < self.waiting_max => wire.push(Kind::Message, message),
            Some(_) | None => Pushed::Full,
        };
        match pushed {
            Pushed::First | Pushed::Queued => return,
            Pushed::Full | Pushed::Closed => {}
            Pushed::Unsendable(problem) => {
                if let Some(wire) = &*wire {
                    news::unsendable(wire.peer(), &problem.0);
                }
            }
        }
        self.tally.unsent();
    }

    fn flush(&self) {
        let wire = self.wire().clone();
        if let Some(wire) = wire {
            wire.flush();
        }
    }
}

impl Line for Link {
    fn welcomed(&self, welcome: Welcome) -> Result<(), Refused> {
        let mut lives = self.lives.lock().unwrap_or_else(PoisonError::into_inner);
        lives.meet(self.to, welcome.incarnation)
    }

    fn opened(&self, wire: &Arc<Wire>) {
        *self.wire() = Some(Arc::clone(wire));
    }

    fn heard(&self, _: Frame<'_>) -> Result<(), Refused> {
        Err(Refused::new(Reason::Garbled, "a peer speaks by connections of its own"))
    }

    fn closed(&self, _: Instant) {
        *self.wire() = None;
    }

    fn ended(&self) {
        (self.ended)(self.to);
    }
}

/// The outlet of a host: its own inbox, a link to each peer, and the answers to clients.
pub(super) struct Post<N: Node> {
    pub(super) here: NodeId,
    pub(super) members: Members,
    /// By the member's place; none for the node itself.
    pub(super) links: Vec<Option<Arc<Link>>>,
    /// The places of those that something was put on since the last flush.
    pub(super) touched: Vec<usize>,
    pub(super) inbox: Sender<Mail<N>>,
    pub(super) answers: Arc<Unsent>,
}

impl<N: Node<Message: Serialize>> Outlet<N> for Post<N> {
    fn send(&mut self, to: NodeId, body: N::Message) {
        let Some(place) = self.members.index_of(to) else { return };
        match &self.links[place] {
            Some(link) => {
                link.push(&body);
                if !self.touched.contains(&place) {
                    self.touched.push(place);
                }
            }
            None => {
                let mail = Mail::Message { from: self.here, body, due: None, cargo: None };
                let _ = self.inbox.send(mail);
            }
        }
    }

    fn flush(&mut self) {
        for place in self.touched.drain(..) {
            if let Some(link) = &self.links[place] {
                link.flush();
            }
        }
        self.answers.flush_few();
    }
}
