//! The way to a cluster of threads for clients with many requests under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::{SendError, Sender};

use crate::port::{Port, ReplyTo};
use crate::{NoAnswer, Node, NodeId, RequestId};

use super::Shared;
use super::host::Mail;

/// Puts requests straight into the inboxes of the nodes, whose threads call back.
pub(super) struct Inboxes<N: Node> {
    pub(super) shared: Arc<Shared<N>>,
}

impl<N: Node> Port<N> for Inboxes<N> {
    fn members(&self) -> &[NodeId] {
        self.shared.members.as_slice()
    }

    fn submit(&self, node: NodeId, body: N::Request, reply: ReplyTo<N::Response>) {
        let Some(index) = self.shared.members.index_of(node) else {
            return reply.complete(Err(NoAnswer::Unreachable));
        };
        hand_in(&self.shared.inboxes[index], &self.shared.called_back, body, reply);
    }
}

/// Puts a request into an inbox, under a new name of `names`.
pub(crate) fn hand_in<N: Node>(
    inbox: &Sender<Mail<N>>,
    names: &CalledBack,
    body: N::Request,
    reply: ReplyTo<N::Response>,
) {
    let mail = Mail::Request { id: names.next(), body, reply: Some(reply) };
    // The node has shut down: nobody will ever read it.
    if let Err(SendError(Mail::Request { reply: Some(reply), .. })) = inbox.send(mail) {
        reply.complete(Err(NoAnswer::Unreachable));
    }
}

/// Names for requests that are answered by a call back, out of the upper half of the client numbers:
/// more than can ever be used.
#[derive(Default)]
pub(crate) struct CalledBack(AtomicU64);

impl CalledBack {
    /// The first client number that is theirs.
    pub(crate) const FIRST_CLIENT: u32 = (RequestId::CLIENT_MAX >> 1) + 1;

    fn next(&self) -> RequestId {
        let count = self.0.fetch_add(1, Ordering::Relaxed);
        Self::name(count)
    }

    fn name(count: u64) -> RequestId {
        let clients = u64::from(RequestId::CLIENT_MAX - Self::FIRST_CLIENT) + 1;
        let client = (count / (RequestId::COUNT_MAX + 1)) % clients;
        let client = Self::FIRST_CLIENT + u32::try_from(client).expect("few enough");
        RequestId::new(client, count % (RequestId::COUNT_MAX + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::{CalledBack, RequestId};

    #[test]
    fn names_are_unlike_each_other_and_all_others() {
        let full = RequestId::COUNT_MAX + 1;
        let (last, next) = (CalledBack::name(full - 1), CalledBack::name(full));
        assert_eq!(last, RequestId::new(CalledBack::FIRST_CLIENT, RequestId::COUNT_MAX));
        assert_eq!(next, RequestId::new(CalledBack::FIRST_CLIENT + 1, 0));
        assert!(CalledBack::name(u64::MAX).client() >= CalledBack::FIRST_CLIENT);
    }
}
