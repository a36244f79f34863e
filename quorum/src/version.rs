//! Keys, values, and the versions that order them.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use cluster::NodeId;
use serde::{Deserialize, Serialize};

/// The name of a value. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(Arc<str>);

impl Key {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Key {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl From<String> for Key {
    fn from(name: String) -> Self {
        Self(name.into())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Bytes stored under a [`Key`]. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Value(Bytes);

impl Value {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self(text.into_bytes().into())
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self(Bytes::copy_from_slice(bytes))
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl fmt::Debug for Value {
    /// Text as text, anything else by its length.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match std::str::from_utf8(&self.0) {
            Ok(text) => write!(f, "{text:?}"),
            Err(_) => write!(f, "[{} bytes]", self.0.len()),
        }
    }
}

/// How often a node has booted, counted on its disk. Prints as `b2`.
///
/// It is part of every version and every operation's name: what a node names after a crash differs
/// from what it named before, even though it remembers none of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(u32);

impl Incarnation {
    /// Before the first boot.
    pub const ZERO: Self = Self(0);

    /// Boot number `number`.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// Its number; the first boot is 1.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The one after it; none after the last that fits.
    pub const fn next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }
}

impl fmt::Debug for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b{}", self.0)
    }
}

/// The name of one operation of one coordinator. Prints as `b2#7`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OpId {
    /// The coordinator's life in which it began.
    pub incarnation: Incarnation,
    /// Its number in that life.
    pub count: u64,
}

impl fmt::Debug for OpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}#{}", self.incarnation, self.count)
    }
}

/// The version of a value: the tag of Attiya, Bar-Noy and Dolev (1995) for many writers.
///
/// Guarantees:
/// 1. versions are totally ordered: by counter, then writer, then operation;
/// 2. no two writes have the same one, for no operation has the name of another (see [`OpId`]);
/// 3. [`Version::ZERO`], of what was never written, is less than that of any write.
///
/// Prints as `v5.n2.b1#7`: counter 5, written by node 2 in operation `b1#7`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version {
    counter: u64,
    writer: NodeId,
    op: OpId,
}

impl Version {
    /// The version of what was never written.
    pub const ZERO: Self = Self {
        counter: 0,
        writer: NodeId::new(0),
        op: OpId { incarnation: Incarnation::ZERO, count: 0 },
    };

    /// The largest counter that replicas accept. Nobody counts that far; whoever sends more is
    /// broken, and would leave no room for a next version.
    pub const COUNTER_MAX: u64 = u64::MAX / 2;

    /// The version numbered `counter`, of the write `op` that `writer` coordinates.
    pub const fn new(counter: u64, writer: NodeId, op: OpId) -> Self {
        Self { counter, writer, op }
    }

    /// What orders versions first: a count, or nanoseconds since 1970 with
    /// [`Versioning::WallClock`](crate::Versioning::WallClock).
    pub const fn counter(self) -> u64 {
        self.counter
    }

    /// The node that coordinated the write.
    pub const fn writer(self) -> NodeId {
        self.writer
    }

    /// The operation that wrote it.
    pub const fn op(self) -> OpId {
        self.op
    }

    /// Whether it is the version of what was never written.
    pub fn is_zero(self) -> bool {
        self == Self::ZERO
    }

    /// Whether a write can have it: neither zero nor out of all proportion.
    pub(crate) fn is_credible(self) -> bool {
        !self.is_zero() && self.counter <= Self::COUNTER_MAX
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_zero() {
            return f.write_str("v0");
        }
        write!(f, "v{}.{:?}.{:?}", self.counter, self.writer, self.op)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What a replica holds for a key: a version with its value, or with the mark of a deletion.
///
/// A deletion is a write like any other. Removing the entry instead would let any older version
/// that still travels, in a message or a hint, bring the value back.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Entry {
    /// Which write it comes from.
    pub version: Version,
    /// What was written; none for a deletion, and for what was never written.
    pub value: Option<Value>,
}

impl Entry {
    /// What was never written.
    pub const NEVER: Self = Self { version: Version::ZERO, value: None };

    /// The one with the greater version. Commutative, associative and idempotent among entries of
    /// one key, since there a version has one value.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        if other.version > self.version { other } else { self }
    }

    /// Whether it marks a deletion.
    pub fn is_tombstone(&self) -> bool {
        self.value.is_none() && !self.version.is_zero()
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{value:?}[{:?}]", self.version),
            None if self.version.is_zero() => f.write_str("never"),
            None => write!(f, "deleted[{:?}]", self.version),
        }
    }
}
