//! How one client reaches the nodes.

use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::answers::{self, Answers};
use super::{Seat, Shared};
use crate::{NoAnswer, Node, NodeId, Port, ReplyTo, RequestId, Sink};

/// A way that has room for one request at a time; a clone is another one.
pub(super) enum Way<N: Node> {
    Seated(Seated<N>),
    Ported(Ported<N>),
}

/// To nodes on threads of this process, from a seat of its own.
pub(super) struct Seated<N: Node> {
    shared: Arc<Shared<N>>,
    seat: Seat,
    completions: Receiver<Answers<N::Response>>,
}

/// By a port, to nodes wherever they are.
pub(super) struct Ported<N: Node> {
    port: Arc<dyn Port<N>>,
    mailbox: Arc<Mailbox<N::Response>>,
    outcomes: Receiver<Outcome<N::Response>>,
    /// The last request's.
    tag: u64,
}

/// Of which request, and what came of it.
type Outcome<P> = (u64, Result<P, NoAnswer>);

struct Mailbox<P>(Sender<Outcome<P>>);

impl<P: Send> Sink<P> for Mailbox<P> {
    fn complete(self: Arc<Self>, tag: u64, outcome: Result<P, NoAnswer>) {
        // A client that is gone wants none.
        let _ = self.0.send((tag, outcome));
    }
}

/// What came of asking one node.
pub(super) enum Attempt<P> {
    Answered(P),
    /// It was down; nothing was done.
    Refused,
    /// It may have done something.
    Silent,
}

impl<N: Node> Way<N> {
    pub(super) fn members(&self) -> &[NodeId] {
        match self {
            Self::Seated(seated) => seated.shared.members.as_slice(),
            Self::Ported(ported) => ported.port.members(),
        }
    }

    pub(super) fn attempt(
        &mut self,
        node: NodeId,
        request: N::Request,
        deadline: Instant,
    ) -> Attempt<N::Response> {
        let outcome = match self {
            Self::Seated(seated) => seated.outcome(node, request, deadline),
            Self::Ported(ported) => ported.outcome(node, request, deadline),
        };
        match outcome {
            Some(Ok(response)) => Attempt::Answered(response),
            Some(Err(NoAnswer::Unreachable)) => Attempt::Refused,
            Some(Err(NoAnswer::Lost)) | None => Attempt::Silent,
        }
    }
}

impl<N: Node> Seated<N> {
    pub(super) fn new(shared: Arc<Shared<N>>) -> Self {
        let (sender, completions) = unbounded();
        let seat = shared.register(&sender);
        Self { shared, seat, completions }
    }

    fn next_request(&mut self) -> RequestId {
        if let Some(id) = self.seat.next_request() {
            return id;
        }
        // The seat is used up: take another.
        *self = Self::new(Arc::clone(&self.shared));
        self.seat.next_request().expect("a new seat has requests left")
    }

    /// None if there is none before the deadline.
    fn outcome(
        &mut self,
        node: NodeId,
        request: N::Request,
        deadline: Instant,
    ) -> Option<Result<N::Response, NoAnswer>> {
        let id = self.next_request();
        if !self.shared.submit(node, id, request) {
            return Some(Err(NoAnswer::Unreachable));
        }
        loop {
            let heard = answers::next(&self.completions, self.shared.spins, Some(deadline));
            let Answers { list, .. } = heard.ok()?;
            // The others are answers to earlier calls, which had been given up.
            if let Some((_, outcome)) = list.into_iter().find(|(request, _)| *request == id) {
                return Some(outcome);
            }
        }
    }
}

impl<N: Node> Drop for Seated<N> {
    fn drop(&mut self) {
        self.shared.unregister(self.seat);
    }
}

impl<N: Node> Ported<N> {
    pub(super) fn new(port: Arc<dyn Port<N>>) -> Self {
        let (sender, outcomes) = unbounded();
        Self { port, mailbox: Arc::new(Mailbox(sender)), outcomes, tag: 0 }
    }

    /// None if there is none before the deadline.
    fn outcome(
        &mut self,
        node: NodeId,
        request: N::Request,
        deadline: Instant,
    ) -> Option<Result<N::Response, NoAnswer>> {
        self.tag += 1;
        let sink = Arc::clone(&self.mailbox) as Arc<dyn Sink<N::Response>>;
        self.port.submit(node, request, ReplyTo::new(sink, self.tag));
        loop {
            // The others are of earlier calls, which had been given up.
            let (tag, outcome) = self.outcomes.recv_deadline(deadline).ok()?;
            if tag == self.tag {
                return Some(outcome);
            }
        }
    }
}

impl<N: Node> Clone for Way<N> {
    fn clone(&self) -> Self {
        match self {
            Self::Seated(seated) => Self::Seated(Seated::new(Arc::clone(&seated.shared))),
            Self::Ported(ported) => Self::Ported(Ported::new(Arc::clone(&ported.port))),
        }
    }
}
