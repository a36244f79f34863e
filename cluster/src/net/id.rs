//! What a cluster is called, and which life of a node this is.

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::{InvalidConfig, NodeId};

/// The name of a cluster: what keeps nodes and clients of one from talking to another by mistake.
///
/// One to 63 of `a` to `z`, `0` to `9` and `-`, with no `-` at either end: so it can be part of a host's
/// name, and of a certificate's (see `Tls`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClusterId(String);

impl ClusterId {
    /// The longest name.
    const LENGTH_MAX: usize = 63;

    /// The cluster called `name`.
    ///
    /// # Errors
    /// [`InvalidConfig`] naming `cluster`, if it is no such name.
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidConfig> {
        let name = name.into();
        let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        let sound = (1..=Self::LENGTH_MAX).contains(&name.len())
            && name.bytes().all(plain)
            && !name.starts_with('-')
            && !name.ends_with('-');
        if sound {
            return Ok(Self(name));
        }
        let shown: String = name.chars().take(Self::LENGTH_MAX).collect();
        let expected = "1 to 63 of a-z, 0-9 and -, with no - at either end";
        Err(InvalidConfig::new("cluster", format_args!("{shown:?}"), expected))
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the certificate of `node` is to be valid for: `n1.orders`.
    pub fn host_of(&self, node: NodeId) -> String {
        format!("{node}.{self}")
    }
}

impl TryFrom<String> for ClusterId {
    type Error = InvalidConfig;

    fn try_from(name: String) -> Result<Self, InvalidConfig> {
        Self::new(name)
    }
}

impl FromStr for ClusterId {
    type Err = InvalidConfig;

    fn from_str(name: &str) -> Result<Self, InvalidConfig> {
        Self::new(name)
    }
}

impl From<ClusterId> for String {
    fn from(id: ClusterId) -> Self {
        id.0
    }
}

impl fmt::Debug for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which life of a node this is: each start of a server in a directory has the one after the start before,
/// and the first has the time of day, so that a node which lost its directory has a later one than before.
/// Prints as `b7`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(u64);

impl Incarnation {
    /// Number `number`.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// That of a node that remembers no earlier one: the milliseconds since 1970 on this machine's clock,
    /// which are more than any life before has had, unless the clock went back.
    pub(super) fn first() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// The one after it; the last one if there is none.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Debug for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b{}", self.0)
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
