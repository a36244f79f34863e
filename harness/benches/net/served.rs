//! What is measured, as the bench sees it.

use std::time::Duration;

use crate::measured::Measured;

/// The length of a value, in bytes.
pub(crate) const VALUE: usize = 256;
/// How many keys there are.
pub(crate) const KEYS: u64 = 1_000;

/// What clients do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Work {
    /// Write every key once, however long it takes.
    Fill,
    /// Write keys at random.
    Puts,
    /// Read keys at random, linearizably.
    Gets,
    /// Either, by turns.
    Mixed,
}

/// A service whose processes run. Dropped, they are killed.
pub(crate) trait Served {
    /// Has so many clients do that work for that long.
    fn drive(&mut self, work: Work, clients: usize, span: Duration) -> anyhow::Result<Measured>;

    /// Kills the leader (-9), and tells how long it took until another acknowledged a write. When it
    /// returns, all run again, and agree who leads.
    fn fail_over(&mut self) -> anyhow::Result<Duration>;
}

/// What one client asks next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ask {
    Put(u64),
    Get(u64),
}

/// What clients ask, one after the other.
pub(crate) struct Plan {
    work: Work,
    asked: u64,
}

impl Plan {
    pub(crate) fn new(work: Work) -> Self {
        Self { work, asked: 0 }
    }

    /// The next one; none if all that is to be done was asked.
    pub(crate) fn next(&mut self) -> Option<Ask> {
        let number = self.asked;
        self.asked += 1;
        // Keys in an order that looks like none: by multiples of an odd number.
        let key = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let key = key % KEYS;
        match self.work {
            Work::Fill => (number < KEYS).then_some(Ask::Put(number)),
            Work::Puts => Some(Ask::Put(key)),
            Work::Gets => Some(Ask::Get(key)),
            Work::Mixed => {
                Some(if number.is_multiple_of(2) { Ask::Put(key) } else { Ask::Get(key) })
            }
        }
    }
}

/// A key's name.
pub(crate) fn name(key: u64) -> String {
    format!("key-{key:012}")
}
