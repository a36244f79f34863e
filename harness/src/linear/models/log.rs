//! A log that only grows.

use std::fmt::Debug;
use std::hash::Hash;
use std::marker::PhantomData;

use xxhash_rust::xxh3::Xxh3;

use crate::linear::Model;

/// One log of entries of type `V`, at first empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Log<V>(PhantomData<V>);

impl<V> Default for Log<V> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

/// The first entries of a log: how many, and 128 bits that stand for them (a chain of XXH3).
///
/// Two logs with the same prefix are the same: that they differ all the same has a chance of about
/// n²/2^129 among n different ones.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Prefix {
    len: u64,
    digest: u128,
}

impl Prefix {
    /// These entries.
    pub fn of<V: Hash>(entries: &[V]) -> Self {
        entries.iter().fold(Self::default(), |prefix, entry| prefix.then(entry))
    }

    /// These entries, and then `entry`.
    #[must_use]
    pub fn then<V: Hash>(self, entry: &V) -> Self {
        let mut hasher = Xxh3::new();
        self.digest.hash(&mut hasher);
        entry.hash(&mut hasher);
        Self { len: self.len + 1, digest: hasher.digest128() }
    }
}

/// What was done to a log, and seen.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum LogOp<V> {
    /// This was added to its end.
    Append {
        /// What.
        entry: V,
        /// Where it came to stand, counted from one, if the answer said so.
        index: Option<u64>,
    },
    /// A read of the whole log saw this.
    Read(Prefix),
    /// A read of its length saw this.
    Len(u64),
}

impl<V: Clone + Eq + Hash + Debug> Model for Log<V> {
    type State = Prefix;
    type Op = LogOp<V>;
    type Key = ();

    fn key(&self, _: &LogOp<V>) {}

    fn init(&self) -> Prefix {
        Prefix::default()
    }

    fn step(&self, log: &Prefix, op: &LogOp<V>) -> Option<Prefix> {
        match op {
            LogOp::Append { entry, index } => {
                let next = log.then(entry);
                index.is_none_or(|index| index == next.len).then_some(next)
            }
            LogOp::Read(seen) => (seen == log).then_some(*log),
            LogOp::Len(seen) => (*seen == log.len).then_some(*log),
        }
    }

    fn observes(&self, op: &LogOp<V>) -> bool {
        match op {
            LogOp::Read(_) | LogOp::Len(_) => true,
            LogOp::Append { .. } => false,
        }
    }

    fn describe(&self, op: &LogOp<V>) -> String {
        match op {
            LogOp::Append { entry, index: Some(index) } => format!("append {entry:?} → {index}"),
            LogOp::Append { entry, index: None } => format!("append {entry:?}"),
            LogOp::Read(seen) => format!("read → {} entries ({:08x})", seen.len, short(seen)),
            LogOp::Len(seen) => format!("length → {seen}"),
        }
    }

    fn describe_state(&self, log: &Prefix) -> String {
        format!("{} entries ({:08x})", log.len, short(log))
    }
}

/// What tells prefixes of one length apart, for people.
fn short(prefix: &Prefix) -> u32 {
    prefix.digest as u32
}
