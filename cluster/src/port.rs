//! How clients that keep many requests under way reach a cluster, in whatever world it runs.

use std::fmt;
use std::sync::Arc;

use crate::{NoAnswer, Node, NodeId};

/// A way to the nodes of one cluster, for any number of threads at once.
pub trait Port<N: Node>: Send + Sync {
    /// The nodes that can be reached, ascending; at least one.
    fn members(&self) -> &[NodeId];

    /// Asks `node`, without waiting. `reply` is called once, as soon as there is an outcome; it may
    /// be from within this call.
    fn submit(&self, node: NodeId, request: N::Request, reply: ReplyTo<N::Response>);
}

/// Where outcomes of requests go.
pub trait Sink<P>: Send + Sync {
    /// The request that was sent with this `tag` has come to its end.
    ///
    /// Called by whoever has the outcome, a node's own thread as a rule, which must not wait: store
    /// it, wake somebody, return. It must not panic.
    fn complete(self: Arc<Self>, tag: u64, outcome: Result<P, NoAnswer>);
}

/// Where the outcome of one request goes. It is told exactly one: if this is dropped, it is
/// [`NoAnswer::Lost`].
pub struct ReplyTo<P> {
    sink: Option<Arc<dyn Sink<P>>>,
    tag: u64,
}

impl<P> ReplyTo<P> {
    /// To `sink`, which tells its requests apart by their tags.
    pub fn new(sink: Arc<dyn Sink<P>>, tag: u64) -> Self {
        Self { sink: Some(sink), tag }
    }

    /// Tells it.
    pub fn complete(mut self, outcome: Result<P, NoAnswer>) {
        self.tell(outcome);
    }

    /// The same, for whoever has outcomes of another kind, which `adapt` makes the sink take.
    pub(crate) fn through<Q>(
        mut self,
        adapt: impl FnOnce(Arc<dyn Sink<P>>) -> Arc<dyn Sink<Q>>,
    ) -> ReplyTo<Q> {
        ReplyTo { sink: self.sink.take().map(adapt), tag: self.tag }
    }

    fn tell(&mut self, outcome: Result<P, NoAnswer>) {
        if let Some(sink) = self.sink.take() {
            sink.complete(self.tag, outcome);
        }
    }
}

impl<P> Drop for ReplyTo<P> {
    fn drop(&mut self) {
        self.tell(Err(NoAnswer::Lost));
    }
}

impl<P> fmt::Debug for ReplyTo<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyTo").field("tag", &self.tag).finish_non_exhaustive()
    }
}
