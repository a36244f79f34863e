//! The way to the nodes of one group, for clients that know of no others.

use std::sync::Arc;

use super::{GroupId, Many, NoSuchGroup, Tagged};
use crate::port::{Port, ReplyTo, Sink};
use crate::{NoAnswer, Node, NodeId};

/// A [`Port`] to the nodes of one group, over one to all groups.
///
/// If there is no such group, requests end as [`NoAnswer::Unreachable`].
pub struct GroupPort<N: Node> {
    all: Arc<dyn Port<Many<N>>>,
    group: GroupId,
}

impl<N: Node> GroupPort<N> {
    /// To `group`, by way of `all`.
    pub fn new(all: Arc<dyn Port<Many<N>>>, group: GroupId) -> Self {
        Self { all, group }
    }
}

impl<N: Node> Port<N> for GroupPort<N> {
    fn members(&self) -> &[NodeId] {
        self.all.members()
    }

    fn submit(&self, node: NodeId, request: N::Request, reply: ReplyTo<N::Response>) {
        let request = Tagged { group: self.group, body: request };
        self.all.submit(node, request, reply.through(|sink| Arc::new(Untag(sink))));
    }
}

/// Passes on the outcomes of one group.
struct Untag<P>(Arc<dyn Sink<P>>);

impl<P> Sink<Result<P, NoSuchGroup>> for Untag<P> {
    fn complete(self: Arc<Self>, tag: u64, outcome: Result<Result<P, NoSuchGroup>, NoAnswer>) {
        let outcome = outcome.and_then(|response| {
            response.map_err(|NoSuchGroup { group: _ }| NoAnswer::Unreachable)
        });
        Arc::clone(&self.0).complete(tag, outcome);
    }
}
