//! What will happen, ordered by time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::{Completion, Node, NodeId, RequestId, Timestamp};

/// Something that will happen.
pub(super) enum Event<N: Node> {
    /// A message reaches a host.
    Message { host: usize, from: NodeId, body: N::Message },
    /// A client's request reaches a host.
    Request { host: usize, id: RequestId, body: N::Request },
    /// A host's disk has made its first `upto` records durable.
    Synced { host: usize, boot: u32, upto: usize },
    /// The alarm that a host had set for `at` rings.
    Alarm { host: usize, boot: u32, at: Timestamp },
    /// An answer reaches its client.
    Answer(Completion<N::Response>),
}

impl<N: Node> Event<N> {
    /// The host it happens to; none if it happens to a client.
    pub(super) fn host(&self) -> Option<usize> {
        match self {
            Self::Message { host, .. }
            | Self::Request { host, .. }
            | Self::Synced { host, .. }
            | Self::Alarm { host, .. } => Some(*host),
            Self::Answer(_) => None,
        }
    }

    /// Whether it belonged to an earlier life of its host than boot number `boots`.
    pub(super) fn is_stale(&self, boots: u32) -> bool {
        match self {
            Self::Synced { boot, .. } | Self::Alarm { boot, .. } => *boot != boots,
            Self::Message { .. } | Self::Request { .. } | Self::Answer(_) => false,
        }
    }
}

/// The queue. Among events of one instant, first in is first out.
///
/// The heap holds small keys; the events, which are large, lie still in `slots`.
pub(super) struct Queue<N: Node> {
    heap: BinaryHeap<Reverse<Key>>,
    slots: Vec<Option<Event<N>>>,
    free: Vec<u32>,
    count: u64,
}

/// Ordered by its fields, in their order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    at: Timestamp,
    count: u64,
    slot: u32,
    /// The host, or `u32::MAX` for a client; kept here so that a look ahead need not load the slot.
    host: u32,
}

impl<N: Node> Queue<N> {
    pub(super) fn new() -> Self {
        Self { heap: BinaryHeap::new(), slots: Vec::new(), free: Vec::new(), count: 0 }
    }

    pub(super) fn push(&mut self, at: Timestamp, event: Event<N>) {
        let host = event.host().map_or(u32::MAX, |host| host as u32);
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 events wait")
        });
        self.slots[slot as usize] = Some(event);
        self.count += 1;
        self.heap.push(Reverse(Key { at, count: self.count, slot, host }));
    }

    pub(super) fn pop(&mut self) -> Option<Event<N>> {
        let Reverse(key) = self.heap.pop()?;
        self.free.push(key.slot);
        self.slots[key.slot as usize].take()
    }

    /// When the next event is due.
    pub(super) fn next_at(&self) -> Option<Timestamp> {
        self.heap.peek().map(|Reverse(key)| key.at)
    }

    /// Whether the next event is due at `at`, for `host`.
    pub(super) fn next_is(&self, at: Timestamp, host: usize) -> bool {
        self.heap.peek().is_some_and(|Reverse(key)| key.at == at && key.host == host as u32)
    }
}
