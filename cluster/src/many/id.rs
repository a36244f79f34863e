//! Names of groups.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The name of a group, unique among those of its nodes and never used again for another.
///
/// Prints as `g1`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GroupId(u32);

impl GroupId {
    /// The group numbered `number`.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number that [`GroupId::new`] was given.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// `g1` to `g<count>`.
    pub fn first(count: u32) -> impl ExactSizeIterator<Item = Self> + Clone {
        (0..count).map(|before| Self(before + 1))
    }
}

impl fmt::Debug for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "g{}", self.0)
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
