//! What stands for a state, and by what its parts are measured.

use std::cell::Cell;
use std::hash::Hasher;

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::digest::little_endian_integers;
use crate::{Members, NodeId, PersistCount, Timestamp};

/// Gathers what makes a state, and makes 128 bits of it (XXH3).
///
/// With n states, the chance that any two share a fingerprint is about n²/2^129: for ten million
/// states, 1.5 in 10^25. It is a [`Hasher`], so that whatever is `Hash` can be written to it;
/// integers are written as on a little-endian machine.
pub struct Fingerprint(Vec<u8>);

impl Fingerprint {
    /// The fingerprint of what `write` writes.
    pub fn of(write: impl FnOnce(&mut Self)) -> u128 {
        thread_local! {
            // For its memory. Taken out while in use, so that fingerprints may be nested.
            static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
        }
        let mut gathered = Self(SPARE.take());
        gathered.0.clear();
        write(&mut gathered);
        let print = xxh3_128(&gathered.0);
        SPARE.set(gathered.0);
        print
    }
}

impl Hasher for Fingerprint {
    fn finish(&self) -> u64 {
        xxh3_64(&self.0)
    }

    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    little_endian_integers!();
}

/// Other names for the nodes: a permutation of them.
#[derive(Clone, Debug)]
pub(super) struct Naming {
    members: Members,
    /// The new place of the node at each place.
    new: Vec<u32>,
    /// Whose new place it is.
    old: Vec<usize>,
}

impl Naming {
    /// Every node keeps its name.
    pub(super) fn plain(members: &Members) -> Self {
        let old: Vec<usize> = (0..members.count()).collect();
        Self::of(members, old)
    }

    /// All namings; the plain one is first.
    pub(super) fn all(members: &Members) -> Vec<Self> {
        let mut orders = vec![Vec::new()];
        for count in 0..members.count() {
            orders = orders
                .iter()
                .flat_map(|order: &Vec<usize>| {
                    (0..=count).rev().map(move |place| {
                        let mut order = order.clone();
                        order.insert(place, count);
                        order
                    })
                })
                .collect();
        }
        orders.into_iter().map(|old| Self::of(members, old)).collect()
    }

    fn of(members: &Members, old: Vec<usize>) -> Self {
        let mut new = vec![0; old.len()];
        for (place, &whose) in old.iter().enumerate() {
            new[whose] = place as u32;
        }
        Self { members: members.clone(), new, old }
    }

    /// The new place of the node at `place`.
    pub(super) fn place(&self, place: usize) -> u32 {
        self.new[place]
    }
}

/// What a part of a state is measured by, so that states that differ in nothing that matters have
/// the same measures.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    pub(super) now: Timestamp,
    pub(super) written: PersistCount,
    pub(super) timed: bool,
    pub(super) naming: &'a Naming,
}

impl<'a> Frame<'a> {
    /// What `node` is called. Write this, not the id, where nodes may change names.
    pub fn name(&self, node: NodeId) -> u32 {
        match self.naming.members.index_of(node) {
            Some(place) => self.naming.place(place),
            None => node.get() | 1 << 31,
        }
    }

    /// The places of all members, in the order of what they are called: the order in which to write
    /// what is kept by place.
    pub fn places(&self) -> impl ExactSizeIterator<Item = usize> + use<'a> {
        self.naming.old.iter().copied()
    }

    /// A moment before which nothing happens, and which may then be any time ago: how long until
    /// then. What has passed is all alike.
    pub fn until(&self, at: Timestamp) -> u64 {
        if at == Timestamp::MAX {
            return u64::MAX;
        }
        at.as_nanos().saturating_sub(self.now.as_nanos())
    }

    /// A moment whose age may matter: how long until then, or since then.
    pub fn span(&self, at: Timestamp) -> i64 {
        at.as_nanos().wrapping_sub(self.now.as_nanos()) as i64
    }

    /// A moment that the node learns of by its timer alone, and that is its only one while it has
    /// any meaning. Where clocks run as they like, such a timer may fire whenever it may, so how
    /// far it is does not matter; where they run alike, it is as [`until`](Frame::until).
    pub fn alarm(&self, at: Timestamp) -> u64 {
        if self.timed { self.until(at) } else { 0 }
    }

    /// A frame in which every alarm is measured, for a node that puts another one inside itself and
    /// lets its timer serve both.
    #[must_use]
    pub fn measured(self) -> Self {
        Self { timed: true, ..self }
    }

    /// A count of persisted records: how many were persisted after it.
    pub fn behind(&self, count: PersistCount) -> u64 {
        self.written.0.wrapping_sub(count.0)
    }
}
