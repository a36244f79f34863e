//! How messages leave a host.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use crate::{Members, Node, NodeId, Rng};

use super::host::Mail;
use super::links::{Fate, Links};

/// Where a host puts what its node sends: all that the hosts of two worlds differ in.
pub(crate) trait Outlet<N: Node>: Send {
    /// Sends `body` to `to`, at the latest when the batch ends. To a node that is not there, or cannot be
    /// reached, it is lost.
    fn send(&mut self, to: NodeId, body: N::Message);

    /// A batch was carried out, or a part of it after which the host will be busy for long: what was
    /// sent, and what was answered, is to leave now.
    fn flush(&mut self);
}

/// To the inboxes of the other threads, by links that may be told to fail.
pub(super) struct Inboxes<N: Node> {
    pub(super) from: NodeId,
    pub(super) index: usize,
    pub(super) members: Members,
    pub(super) peers: Vec<Sender<Mail<N>>>,
    pub(super) links: Arc<Links>,
    pub(super) rng: Rng,
}

impl<N: Node> Inboxes<N> {
    fn deliver(&self, to: usize, body: N::Message, delay: Duration) {
        let due = (!delay.is_zero()).then(|| Instant::now() + delay);
        // A peer that is gone gets no mail: that is what being gone means.
        let mail = Mail::Message { from: self.from, body, due, cargo: None };
        let _ = self.peers[to].send(mail);
    }
}

impl<N: Node> Outlet<N> for Inboxes<N> {
    fn send(&mut self, to: NodeId, body: N::Message) {
        let Some(to) = self.members.index_of(to) else { return };
        match self.links.fate(self.index, to, &mut self.rng) {
            Fate::Lost => {}
            Fate::Once(delay) => self.deliver(to, body, delay),
            Fate::Twice(first, again) => {
                self.deliver(to, body.clone(), first);
                self.deliver(to, body, again);
            }
        }
    }

    fn flush(&mut self) {}
}
