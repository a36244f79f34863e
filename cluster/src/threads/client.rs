//! Blocking calls from any thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::call::{CallError, Search};
use crate::{Node, NodeId, Port};

use super::way::{Attempt, Ported, Seated, Way};
use super::{Shared, after};

/// A client of one cluster: of threads, by [`Threads::client`](super::Threads::client), or of any world,
/// by a [`Port`].
///
/// Each has a queue of its own for answers and one call under way at a time. Cloning makes
/// another, independent one; use one a thread.
pub struct Client<N: Node> {
    way: Way<N>,
    /// Who answered last: the place to try first.
    preferred: NodeId,
}

impl<N: Node> Client<N> {
    pub(super) fn new(shared: Arc<Shared<N>>) -> Self {
        Self::by(Way::Seated(Seated::new(shared)))
    }

    /// A client of the nodes behind `port`, of whatever world.
    pub fn over(port: Arc<dyn Port<N>>) -> Self {
        Self::by(Way::Ported(Ported::new(port)))
    }

    fn by(way: Way<N>) -> Self {
        let preferred = way.members()[0];
        Self { way, preferred }
    }

    /// The nodes of the cluster.
    pub fn members(&self) -> &[NodeId] {
        self.way.members()
    }

    /// Asks `node`, and waits for its answer for at most `timeout`.
    ///
    /// # Errors
    /// [`CallError::Unavailable`] if the node was down, [`CallError::Unknown`] if it gave no answer
    /// in time.
    pub fn call(
        &mut self,
        node: NodeId,
        request: N::Request,
        timeout: Duration,
    ) -> Result<N::Response, CallError> {
        let start = Instant::now();
        match self.way.attempt(node, request, after(start, timeout)) {
            Attempt::Answered(response) => Ok(response),
            Attempt::Refused => Err(CallError::Unavailable { waited: start.elapsed() }),
            Attempt::Silent => Err(CallError::Unknown { waited: start.elapsed() }),
        }
    }

    /// Asks whichever node serves, following redirections, for at most `timeout` in all.
    ///
    /// Tries again only when nothing was done: after an answer that says so, or when the node was
    /// down. A node that has been asked and is silent (it may be paused) is waited for to the end,
    /// because to ask another might do the same thing twice. It does not begin to ask again in the
    /// last few milliseconds.
    ///
    /// # Errors
    /// [`CallError::Unavailable`] if nobody took it, [`CallError::Unknown`] if somebody did and gave
    /// no answer.
    pub fn ask(
        &mut self,
        request: N::Request,
        timeout: Duration,
    ) -> Result<N::Response, CallError> {
        let start = Instant::now();
        let deadline = after(start, timeout);
        let mut search = Search::new(self.members(), self.preferred, deadline);
        loop {
            let node = search.node();
            let hint = match self.way.attempt(node, request.clone(), deadline) {
                Attempt::Answered(response) => match N::redirect(&response) {
                    None => {
                        self.preferred = node;
                        return Ok(response);
                    }
                    Some(redirect) => redirect.to,
                },
                Attempt::Refused => None,
                Attempt::Silent => return Err(CallError::Unknown { waited: start.elapsed() }),
            };
            match search.turned_away(self.members(), hint, Instant::now()) {
                Some(at) => std::thread::sleep(at.saturating_duration_since(Instant::now())),
                None => return Err(CallError::Unavailable { waited: start.elapsed() }),
            }
        }
    }
}

impl<N: Node> Clone for Client<N> {
    fn clone(&self) -> Self {
        Self::by(self.way.clone())
    }
}
