//! What must hold, and what whoever judges it gets to see.

use std::sync::Arc;

use crate::{Node, NodeId, Now};

use super::Explorable;
use super::fingerprint::{Fingerprint, Frame};
use super::host::Host;
use super::search::Broken;

/// What must hold in every state, or of every history.
///
/// It is part of the state: each path has its own. What it remembers must be in its fingerprint.
pub trait Property<N: Explorable>: Clone + Send + Sync {
    /// Looks at the nodes after a step, and at what they said in it.
    ///
    /// # Errors
    /// What is broken.
    fn observe(&mut self, view: &View<'_, N>, happened: &Happened<'_, N>) -> Result<(), Broken>;

    /// Looks at a state that no step leads on from.
    ///
    /// # Errors
    /// What should have come about by now, and has not.
    fn end(&self, _view: &View<'_, N>) -> Result<(), Broken> {
        Ok(())
    }

    /// Writes all that it remembers.
    fn fingerprint(&self, frame: &Frame<'_>, into: &mut Fingerprint);
}

/// What a state shows by itself: it must hold in every one, and remembers nothing.
pub struct Always<N: Explorable>(pub fn(&View<'_, N>) -> Result<(), Broken>);

/// What must have come about in every state that no step leads on from. It remembers nothing.
pub struct AtEnd<N: Explorable>(pub fn(&View<'_, N>) -> Result<(), Broken>);

impl<N: Explorable> Clone for Always<N> {
    fn clone(&self) -> Self {
        Self(self.0)
    }
}

impl<N: Explorable> Clone for AtEnd<N> {
    fn clone(&self) -> Self {
        Self(self.0)
    }
}

impl<N: Explorable> Property<N> for Always<N> {
    fn observe(&mut self, view: &View<'_, N>, _happened: &Happened<'_, N>) -> Result<(), Broken> {
        (self.0)(view)
    }

    fn fingerprint(&self, _frame: &Frame<'_>, _into: &mut Fingerprint) {}
}

impl<N: Explorable> Property<N> for AtEnd<N> {
    fn observe(&mut self, _view: &View<'_, N>, _happened: &Happened<'_, N>) -> Result<(), Broken> {
        Ok(())
    }

    fn end(&self, view: &View<'_, N>) -> Result<(), Broken> {
        (self.0)(view)
    }

    fn fingerprint(&self, _frame: &Frame<'_>, _into: &mut Fingerprint) {}
}

/// Both must hold.
impl<N: Explorable, A: Property<N>, B: Property<N>> Property<N> for (A, B) {
    fn observe(&mut self, view: &View<'_, N>, happened: &Happened<'_, N>) -> Result<(), Broken> {
        self.0.observe(view, happened)?;
        self.1.observe(view, happened)
    }

    fn end(&self, view: &View<'_, N>) -> Result<(), Broken> {
        self.0.end(view)?;
        self.1.end(view)
    }

    fn fingerprint(&self, frame: &Frame<'_>, into: &mut Fingerprint) {
        self.0.fingerprint(frame, into);
        self.1.fingerprint(frame, into);
    }
}

/// A state, seen from outside.
pub struct View<'a, N: Explorable> {
    pub(super) hosts: &'a [Arc<Host<N>>],
    pub(super) flying: usize,
    pub(super) ticks: u8,
}

impl<'a, N: Explorable> View<'a, N> {
    /// All nodes that are up, ascending, with what their clocks show.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, &'a N, Now)> + use<'a, N> {
        let hosts = self.hosts;
        hosts.iter().filter_map(|host| Some((host.id, host.node.as_ref()?, host.now())))
    }

    /// Whether every node is up.
    pub fn all_up(&self) -> bool {
        self.hosts.iter().all(|host| host.node.is_some())
    }

    /// All disks, ascending by node: what is durable there.
    pub fn disks(&self) -> impl Iterator<Item = (NodeId, &'a [N::Record])> + use<'a, N> {
        let hosts = self.hosts;
        hosts.iter().map(|host| (host.id, host.durable()))
    }

    /// How many messages are in flight.
    pub fn flying(&self) -> usize {
        self.flying
    }

    /// Whether no message is in flight, and all that is written is durable.
    pub fn is_quiet(&self) -> bool {
        self.flying == 0 && self.hosts.iter().all(|host| host.unsynced() == 0)
    }

    /// How often time has passed, where clocks run alike.
    pub fn ticks(&self) -> u8 {
        self.ticks
    }
}

/// What a step was, and what came out of it.
pub struct Happened<'a, N: Node> {
    /// What it was.
    pub step: Step,
    /// Requests, by their place in the script, that ended with it.
    pub ended: &'a [(usize, Ended<N::Response>)],
    /// What nodes told their applications.
    pub events: &'a [(NodeId, N::Event)],
}

/// The end of a request.
#[derive(Clone, Debug)]
pub enum Ended<P> {
    /// It was answered so.
    Answered(P),
    /// The node went down before it answered.
    Lost,
}

/// One thing that happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Nothing yet: all nodes have booted, and what that wrote is durable.
    Start,
    /// A message arrived.
    Delivered {
        /// Who sent it.
        from: NodeId,
        /// Who got it.
        to: NodeId,
    },
    /// A message was lost.
    Lost {
        /// Who sent it.
        from: NodeId,
        /// Who did not get it.
        to: NodeId,
    },
    /// What a node wrote became durable.
    Synced(NodeId),
    /// A node's timer fired.
    Fired(NodeId),
    /// A client asked a node.
    Asked {
        /// Which request of the script.
        request: usize,
        /// Whom.
        node: NodeId,
    },
    /// A node went down.
    Crashed(NodeId),
    /// A node went down, and lost all that was on its disk.
    Wiped(NodeId),
    /// A node came up.
    Restarted(NodeId),
    /// Time passed, for all nodes alike.
    Ticked,
}
