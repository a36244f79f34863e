//! What will happen, ordered by time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::trace::MessageNumber;
use crate::{Completion, Node, NodeId, RequestId, Timestamp};

/// Something that will happen.
pub(super) enum Event<N: Node> {
    /// A message reaches a host.
    Message { host: usize, number: MessageNumber, from: NodeId, body: N::Message },
    /// A client's request reaches a host.
    Request { host: usize, id: RequestId, body: N::Request },
    /// A host is told that the process of `node` has ended.
    Ended { host: usize, node: NodeId },
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
            | Self::Ended { host, .. }
            | Self::Synced { host, .. }
            | Self::Alarm { host, .. } => Some(*host),
            Self::Answer(_) => None,
        }
    }

    /// The name of the message, if it is one.
    pub(super) fn message_number(&self) -> MessageNumber {
        match self {
            Self::Message { number, .. } => *number,
            Self::Request { .. }
            | Self::Ended { .. }
            | Self::Synced { .. }
            | Self::Alarm { .. }
            | Self::Answer(_) => MessageNumber::NONE,
        }
    }

    /// Whether it belonged to an earlier life of its host than boot number `boots`.
    #[inline]
    pub(super) fn is_stale(&self, boots: u32) -> bool {
        match self {
            Self::Synced { boot, .. } | Self::Alarm { boot, .. } => *boot != boots,
            Self::Message { .. } | Self::Request { .. } | Self::Ended { .. } | Self::Answer(_) => {
                false
            }
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

/// When an event is due, how many were put in before it, and where it lies: in one number, from the
/// top down, so that two keys are compared without a branch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key(u128);

impl Key {
    const SLOT_BITS: u32 = 24;
    const COUNT_BITS: u32 = 40;

    fn new(at: Timestamp, count: u64, slot: u32) -> Self {
        let (at, count) = (u128::from(at.as_nanos()), u128::from(count));
        Self(at << 64 | count << Self::SLOT_BITS | u128::from(slot))
    }

    fn at(self) -> Timestamp {
        Timestamp::from_nanos((self.0 >> 64) as u64)
    }

    fn slot(self) -> usize {
        self.0 as usize & ((1 << Self::SLOT_BITS) - 1)
    }
}

impl<N: Node> Queue<N> {
    pub(super) fn new() -> Self {
        Self { heap: BinaryHeap::new(), slots: Vec::new(), free: Vec::new(), count: 0 }
    }

    #[inline]
    pub(super) fn push(&mut self, at: Timestamp, event: Event<N>) {
        if self.count >> Key::COUNT_BITS != 0 {
            self.renumber();
        }
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = Some(event);
                slot
            }
            None => self.grow(event),
        };
        self.heap.push(Reverse(Key::new(at, self.count, slot)));
        self.count += 1;
    }

    #[cold]
    fn grow(&mut self, event: Event<N>) -> u32 {
        assert!(self.slots.len() >> Key::SLOT_BITS == 0, "more than 16 million events wait");
        self.slots.push(Some(event));
        (self.slots.len() - 1) as u32
    }

    /// Counts what waits from zero again: after 10^12 events, once in some days.
    #[cold]
    fn renumber(&mut self) {
        let mut keys: Vec<Key> = self.heap.drain().map(|Reverse(key)| key).collect();
        keys.sort_unstable();
        self.count = 0;
        for key in keys {
            self.heap.push(Reverse(Key::new(key.at(), self.count, key.slot() as u32)));
            self.count += 1;
        }
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Option<Event<N>> {
        let Reverse(key) = self.heap.pop()?;
        self.free.push(key.slot() as u32);
        self.slots[key.slot()].take()
    }

    /// When the next event is due.
    #[inline]
    pub(super) fn next_at(&self) -> Option<Timestamp> {
        self.heap.peek().map(|Reverse(key)| key.at())
    }

    /// All that waits, with when it is due, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Timestamp, &Event<N>)> {
        let event = |key: &Key| self.slots[key.slot()].as_ref().map(|it| (key.at(), it));
        self.heap.iter().filter_map(move |Reverse(key)| event(key))
    }

    /// Whether the next event is due at `at`, for `host`.
    #[inline]
    pub(super) fn next_is(&self, at: Timestamp, host: usize) -> bool {
        self.heap.peek().is_some_and(|Reverse(key)| {
            let event = self.slots[key.slot()].as_ref();
            key.at() == at && event.and_then(Event::host) == Some(host)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;

    impl Node for Nothing {
        type Config = ();
        type Request = ();
        type Response = ();
        type Message = ();
        type Record = ();
        type Event = ();

        fn validate(_: &(), _: &crate::Members) -> Result<(), crate::InvalidConfig> {
            Ok(())
        }

        fn boot(
            _: &(),
            _: crate::Boot<()>,
            _: &mut crate::EffectsOf<Self>,
        ) -> Result<Self, crate::CorruptRecords> {
            Ok(Self)
        }

        fn handle(
            &mut self,
            _: crate::Now,
            _: crate::InputOf<Self>,
            _: &mut crate::EffectsOf<Self>,
        ) {
        }

        fn deadline(&self) -> Option<Timestamp> {
            None
        }

        fn standing(&self, _: crate::Now) -> crate::Standing {
            unreachable!("nobody asks")
        }
    }

    /// First in is first out at one instant, before and after the count begins again.
    #[test]
    fn order_outlives_the_count() {
        let mut queue = Queue::<Nothing>::new();
        queue.count = (1 << Key::COUNT_BITS) - 3;
        for host in 0..6 {
            let event = Event::Alarm { host, boot: 0, at: Timestamp::ZERO };
            queue.push(Timestamp::from_millis(7 - host as u64 / 3), event);
        }
        assert_eq!(queue.count, 6);
        let hosts: Vec<_> = std::iter::from_fn(|| queue.pop()).filter_map(|it| it.host()).collect();
        assert_eq!(hosts, [3, 4, 5, 0, 1, 2]);
        assert!(queue.next_at().is_none());
    }
}
