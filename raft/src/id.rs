//! Terms, places in the log, and rounds of reading.

use std::fmt;

use cluster::Epoch;
use serde::{Deserialize, Serialize};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $letter:literal) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(u64);

        impl $name {
            /// Before the first.
            pub const ZERO: Self = Self(0);

            /// Number `number`.
            pub const fn new(number: u64) -> Self {
                Self(number)
            }

            /// Its number.
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The one after it; the last one if there is none.
            pub const fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($letter, "{}"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self, f)
            }
        }
    };
}

number! {
    /// A stretch of time with at most one leader (§5.1). Zero is before the first election.
    ///
    /// Prints as `t3`.
    Term, "t"
}

number! {
    /// A place in the log, counted from one. Zero is before the first entry.
    ///
    /// Prints as `i7`.
    LogIndex, "i"
}

number! {
    /// A round in which a leader asks its followers whether it still leads (§8). Counted anew in
    /// each term.
    ///
    /// Prints as `c2`, for confirmation.
    Round, "c"
}

number! {
    /// A client's session: the index of the entry that opened it. Zero is none.
    ///
    /// Prints as `s7`.
    SessionId, "s"
}

number! {
    /// A command's number in its session.
    ///
    /// Prints as `q1`.
    Sequence, "q"
}

impl Term {
    /// Terms from here on are refused: no cluster gets so far, and a message that claims one would
    /// leave no term for the next election.
    pub const LIMIT: Self = Self(1 << 62);

    /// How many terms a generation has: more than elections can use up.
    const GENERATION: u64 = 1 << 40;

    /// How often the cluster had to be [recovered](crate::recovery) by hand from a lost majority before
    /// this term.
    pub const fn generation(self) -> u64 {
        self.0 / Self::GENERATION
    }

    /// The first term of the next generation, if there is one.
    pub(crate) fn next_generation(self) -> Option<Self> {
        let next = Self((self.generation() + 1) * Self::GENERATION);
        (next.0 + Self::GENERATION <= Self::LIMIT.0).then_some(next)
    }
}

impl From<Term> for Epoch {
    fn from(term: Term) -> Self {
        Self::new(term.get())
    }
}

impl LogIndex {
    /// The place before it; zero if there is none.
    pub const fn prev(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// The place `count` further on; the last one if there is none.
    pub const fn plus(self, count: usize) -> Self {
        Self(self.0.saturating_add(count as u64))
    }

    /// How many places lie after `earlier` up to here; zero if `earlier` is not earlier.
    pub const fn since(self, earlier: Self) -> usize {
        self.0.saturating_sub(earlier.0) as usize
    }
}

/// Where a log ends, or an entry stands.
///
/// Ordered by term, then by index: the greater of two logs' last positions is that of the log which
/// is more up to date (§5.4.1). Prints as `i7@t3`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Position {
    /// The term of the entry there.
    pub term: Term,
    /// Its index.
    pub index: LogIndex,
}

impl Position {
    /// Before the first entry of every log.
    pub const ZERO: Self = Self { term: Term::ZERO, index: LogIndex::ZERO };
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}@{:?}", self.index, self.term)
    }
}
