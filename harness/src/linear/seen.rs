//! Where a search has been.

use super::states::mix;

/// How far a search has come: which operations it ordered, and the state after them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Place {
    /// The least rank that is not ordered yet.
    pub(super) rank: u32,
    /// The state.
    pub(super) state: u32,
    /// Bits: first the slots of those that are ordered though their rank is greater, in as many
    /// words as they take, then the unanswered operations that are ordered.
    pub(super) bits: Vec<u64>,
}

/// All places that a search has been to, without duplicates and (almost) without those that are no
/// better than another: what is the same but for fewer unanswered operations can do all that it
/// could.
pub(super) struct Seen {
    /// Words of slots, and of unanswered operations, in each place.
    slot_words: usize,
    words: usize,
    at: Vec<(u32, u32)>,
    bits: Vec<u64>,
    /// For each place, the next one that differs from it in unanswered operations alone.
    next: Vec<u32>,
    /// Open addressing: first places of those chains, under the hash of what they share.
    table: Vec<u32>,
    chains: usize,
}

/// No place.
const NONE: u32 = u32::MAX;

impl Seen {
    /// Nowhere yet.
    pub(super) fn new(slot_words: usize, unanswered_words: usize) -> Self {
        Self {
            slot_words,
            words: slot_words + unanswered_words,
            at: Vec::new(),
            bits: Vec::new(),
            next: Vec::new(),
            table: vec![NONE; 64],
            chains: 0,
        }
    }

    /// How many places there are.
    pub(super) fn len(&self) -> usize {
        self.at.len()
    }

    /// The rank and state of a place.
    pub(super) fn rank_and_state(&self, place: u32) -> (u32, u32) {
        self.at[place as usize]
    }

    /// How many unanswered operations are ordered at a place.
    pub(super) fn unanswered(&self, place: u32) -> usize {
        let words = &self.bits(place)[self.slot_words..];
        words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Copies a place.
    pub(super) fn load(&self, place: u32, into: &mut Place) {
        (into.rank, into.state) = self.at[place as usize];
        into.bits.clear();
        into.bits.extend_from_slice(self.bits(place));
    }

    fn bits(&self, place: u32) -> &[u64] {
        let from = place as usize * self.words;
        &self.bits[from..from + self.words]
    }

    /// Adds `place` and returns its number, unless the search was there or somewhere better.
    pub(super) fn add(&mut self, place: &Place) -> Option<u32> {
        let mut slot = self.find(place);
        let first = self.table[slot];
        let (mut before, mut other) = (NONE, first);
        while other != NONE {
            let next = self.next[other as usize];
            let unanswered = &self.bits(other)[self.slot_words..];
            let ours = &place.bits[self.slot_words..];
            if is_subset(unanswered, ours) {
                return None;
            }
            if is_subset(ours, unanswered) {
                // It stays where the search may still return to it, but not in its chain.
                match before {
                    NONE => self.table[slot] = next,
                    before => self.next[before as usize] = next,
                }
            } else {
                before = other;
            }
            other = next;
        }
        if first == NONE {
            self.chains += 1;
            if self.chains * 2 > self.table.len() {
                self.grow();
                slot = self.find(place);
            }
        }
        let number = super::part::number(self.at.len());
        self.at.push((place.rank, place.state));
        self.bits.extend_from_slice(&place.bits);
        self.next.push(self.table[slot]);
        self.table[slot] = number;
        Some(number)
    }

    /// Where the chain of `place` begins in the table, or would.
    fn find(&self, place: &Place) -> usize {
        let shared = &place.bits[..self.slot_words];
        let mut slot = hash(place.rank, place.state, shared) as usize & (self.table.len() - 1);
        loop {
            let other = self.table[slot];
            if other == NONE
                || self.at[other as usize] == (place.rank, place.state)
                    && &self.bits(other)[..self.slot_words] == shared
            {
                return slot;
            }
            slot = (slot + 1) & (self.table.len() - 1);
        }
    }

    fn grow(&mut self) {
        let size = self.table.len() * 2;
        let old = std::mem::replace(&mut self.table, vec![NONE; size]);
        for first in old.into_iter().filter(|&first| first != NONE) {
            let (rank, state) = self.at[first as usize];
            let mut slot =
                hash(rank, state, &self.bits(first)[..self.slot_words]) as usize & (size - 1);
            while self.table[slot] != NONE {
                slot = (slot + 1) & (size - 1);
            }
            self.table[slot] = first;
        }
    }
}

fn hash(rank: u32, state: u32, words: &[u64]) -> u64 {
    let first = mix(0, u64::from(rank) << 32 | u64::from(state));
    words.iter().fold(first, |hash, &word| mix(hash, word))
}

fn is_subset(of: &[u64], all: &[u64]) -> bool {
    of.iter().zip(all).all(|(of, all)| of & !all == 0)
}
