//! Names of nodes and requests, and the set of nodes that make a cluster.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The name of a node, unique in its cluster and never used again for another.
///
/// Prints as `n1`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(u32);

impl NodeId {
    /// The node numbered `number`.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number that [`NodeId::new`] was given.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// The name of a request, unique among all requests of one world.
///
/// It carries the client that waits for the completion (upper 24 bits) and that client's count
/// (lower 40 bits), so that a world finds the way back without a table. Prints as `r3.17`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestId(u64);

impl RequestId {
    const COUNT_BITS: u32 = 40;
    /// The greatest client number.
    pub const CLIENT_MAX: u32 = (1 << 24) - 1;
    /// The greatest count: a million requests a second for twelve days.
    pub const COUNT_MAX: u64 = (1 << Self::COUNT_BITS) - 1;

    /// Request number `count` of client `client`.
    ///
    /// # Panics
    /// When `client` is over [`RequestId::CLIENT_MAX`] or `count` over [`RequestId::COUNT_MAX`].
    pub const fn new(client: u32, count: u64) -> Self {
        assert!(client <= Self::CLIENT_MAX && count <= Self::COUNT_MAX);
        Self((client as u64) << Self::COUNT_BITS | count)
    }

    /// This name and those after it, of the same client.
    pub(crate) fn following(self) -> impl Iterator<Item = Self> {
        (self.count()..=Self::COUNT_MAX).map(move |count| Self::new(self.client(), count))
    }

    /// The client that asked.
    pub const fn client(self) -> u32 {
        (self.0 >> Self::COUNT_BITS) as u32
    }

    /// Which of the client's requests this is.
    pub const fn count(self) -> u64 {
        self.0 & Self::COUNT_MAX
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}.{}", self.client(), self.count())
    }
}

/// The nodes of a cluster, in ascending order of id.
///
/// Guarantees, checked by [`Members::new`]:
/// 1. there is at least one;
/// 2. no id occurs twice;
/// 3. there are at most [`Members::MAX`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Members(Vec<NodeId>);

impl Members {
    /// The largest cluster, in nodes.
    pub const MAX: usize = 1024;

    /// A cluster of these nodes, in whatever order they are given.
    ///
    /// # Errors
    /// [`InvalidConfig`] naming `members` when there are none, too many, or one twice.
    pub fn new(nodes: impl IntoIterator<Item = NodeId>) -> Result<Self, InvalidConfig> {
        let mut nodes: Vec<NodeId> = nodes.into_iter().collect();
        nodes.sort_unstable();
        Self::check_count(nodes.len())?;
        if let Some(twice) = nodes.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(InvalidConfig::new("members", twice[0], "each node once"));
        }
        Ok(Self(nodes))
    }

    /// A cluster of nodes `n1` to `n<count>`.
    ///
    /// # Errors
    /// As [`Members::new`].
    pub fn first(count: usize) -> Result<Self, InvalidConfig> {
        Self::check_count(count)?;
        Self::new((1..).take(count).map(NodeId::new))
    }

    fn check_count(count: usize) -> Result<(), InvalidConfig> {
        if (1..=Self::MAX).contains(&count) {
            return Ok(());
        }
        Err(InvalidConfig::new("members", count, format!("between 1 and {} nodes", Self::MAX)))
    }

    /// How many there are; never zero.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The least number of nodes of which any two sets share one.
    pub fn majority(&self) -> usize {
        self.0.len() / 2 + 1
    }

    /// Whether `node` is one of them.
    pub fn contains(&self, node: NodeId) -> bool {
        self.index_of(node).is_some()
    }

    /// The place of `node` in ascending order, if it is a member.
    pub fn index_of(&self, node: NodeId) -> Option<usize> {
        // Most clusters have no gaps in their ids.
        let place = node.0.wrapping_sub(self.0[0].0) as usize;
        if self.0.get(place) == Some(&node) {
            return Some(place);
        }
        self.0.binary_search(&node).ok()
    }

    /// All of them, ascending.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = NodeId> + ExactSizeIterator + Clone + '_ {
        self.0.iter().copied()
    }

    /// All but `node`, ascending.
    pub fn others(&self, node: NodeId) -> impl DoubleEndedIterator<Item = NodeId> + Clone + '_ {
        self.iter().filter(move |&other| other != node)
    }

    /// All of them, ascending, as a slice.
    pub fn as_slice(&self) -> &[NodeId] {
        &self.0
    }
}

/// A configuration that makes no sense: which field, what it held, what it must hold.
///
/// Nothing was started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {value}, expected {expected}")]
pub struct InvalidConfig {
    /// The field or parameter at fault.
    pub field: &'static str,
    /// What it held.
    pub value: String,
    /// What it may hold.
    pub expected: String,
}

impl InvalidConfig {
    /// `field` holds `value` where `expected` was expected.
    pub fn new(field: &'static str, value: impl fmt::Display, expected: impl Into<String>) -> Self {
        Self { field, value: value.to_string(), expected: expected.into() }
    }
}
