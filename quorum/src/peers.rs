//! Which other nodes are believed live.
//!
//! A node is believed live as long as it answers: a probe, or anything else it is asked. That it
//! speaks is not enough, for a link may be cut one way, and a replica that cannot be reached is of
//! no use. Silence is counted in probes that this node sent and that went unanswered, not in time,
//! so that a node that was stopped for a while does not wake up suspecting everybody.
//!
//! A belief may be wrong. It decides only whether a request is refused at once, when a hint is
//! written and whether a message is sent again; never what a quorum is.

use std::time::Duration;

use cluster::{Members, NodeId};

#[derive(Clone, Debug, Hash)]
struct Peer {
    id: NodeId,
    /// Whether it was probed and has answered nothing since.
    awaited: bool,
    /// Probe intervals that ended so, in a row.
    misses: u32,
}

/// The liveness view of one node.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Peers {
    own: NodeId,
    /// Ascending by id, the node itself not among them.
    peers: Vec<Peer>,
    /// How many misses make a node suspected; at least 1.
    misses_max: u32,
}

impl Peers {
    pub(crate) fn new(
        own: NodeId,
        members: &Members,
        probe_interval: Duration,
        suspect_after: Duration,
    ) -> Self {
        let peers = members.others(own).map(|id| Peer { id, awaited: false, misses: 0 }).collect();
        let misses = suspect_after.as_nanos().div_ceil(probe_interval.as_nanos().max(1));
        let misses_max = u32::try_from(misses).unwrap_or(u32::MAX).max(1);
        Self { own, peers, misses_max }
    }

    fn index_of(&self, node: NodeId) -> Option<usize> {
        self.peers.binary_search_by_key(&node, |peer| peer.id).ok()
    }

    pub(crate) fn is_live(&self, node: NodeId) -> bool {
        let live = |index: usize| self.peers[index].misses < self.misses_max;
        node == self.own || self.index_of(node).is_some_and(live)
    }

    pub(crate) fn live_among(&self, nodes: &[NodeId]) -> usize {
        nodes.iter().filter(|&&node| self.is_live(node)).count()
    }

    /// Notes that `node` has answered. True if it was suspected until now.
    pub(crate) fn answered(&mut self, node: NodeId) -> bool {
        let Some(index) = self.index_of(node) else { return false };
        let peer = &mut self.peers[index];
        let was_suspected = peer.misses >= self.misses_max;
        peer.awaited = false;
        peer.misses = 0;
        was_suspected
    }

    /// Ends one probe interval and begins the next: every node is to be probed again, in the order
    /// given. True marks those that are suspected from now on.
    pub(crate) fn probe(&mut self) -> impl Iterator<Item = (NodeId, bool)> + '_ {
        let misses_max = self.misses_max;
        self.peers.iter_mut().map(move |peer| {
            let before = peer.misses;
            if peer.awaited {
                peer.misses = peer.misses.saturating_add(1);
            }
            peer.awaited = true;
            (peer.id, before < misses_max && peer.misses >= misses_max)
        })
    }
}
