//! What can be seen of a server, by whoever holds it and by whoever watches it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Sender;

use super::Spoken;
use super::dial::Calling;
use super::entrance::Entrance;
use super::link::Link;
use crate::threads::host::{Control, Mail};
use crate::{Members, NodeId, NodeState};

/// How long a node may take to say how it is: its disk may hang, or its machine be busy.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a server is made of, but for its threads.
pub(super) struct Inside<N: Spoken> {
    pub(super) here: NodeId,
    pub(super) members: Members,
    /// By the member's place: where each is.
    pub(super) nodes: Vec<(NodeId, SocketAddr)>,
    pub(super) calling: Arc<Calling>,
    pub(super) entrance: Entrance<N>,
    /// By the member's place; none for the node itself.
    pub(super) links: Vec<Option<Arc<Link>>>,
}

impl<N: Spoken> Inside<N> {
    pub(super) fn state(&self) -> NodeState {
        self.question(Control::State).unwrap_or(NodeState::Down)
    }

    pub(super) fn gauges(&self) -> Option<Vec<(&'static str, u64)>> {
        self.question(Control::Gauges).flatten()
    }

    pub(super) fn traffic(&self) -> Vec<(String, u64)> {
        let mut figures = self.calling.tally.figures();
        figures.push(("net-waiting-bytes".to_owned(), self.calling.budget.taken() as u64));
        figures.push(("net-peers".to_owned(), self.peers().count() as u64));
        figures
    }

    pub(super) fn peers(&self) -> impl Iterator<Item = NodeId> + '_ {
        let linked = self.members.iter().zip(&self.links);
        let open = linked.filter(|(_, link)| link.as_ref().is_some_and(|link| link.is_open()));
        open.map(|(id, _)| id)
    }

    /// Asks the node, or its host. None if it does not say in time, or there is none any more.
    pub(super) fn question<T>(&self, control: impl FnOnce(Sender<T>) -> Control<N>) -> Option<T> {
        let (reply, answer) = crossbeam_channel::bounded(1);
        self.entrance.inbox.send(Mail::Control(control(reply))).ok()?;
        answer.recv_timeout(PATIENCE).ok()
    }
}
