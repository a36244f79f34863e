//! What clients ask, what nodes tell each other, and what they write to their disks.

use cluster::NodeId;
use serde::{Deserialize, Serialize};

use crate::config::Guarantee;
use crate::error::Error;
use crate::version::{Entry, Incarnation, Key, OpId, Value, Version};

/// What a client asks of any node; that node coordinates it.
#[derive(Clone, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// What is stored under `key`?
    Get {
        /// Under which key.
        key: Key,
        /// How many replicas must answer; the store's R if none.
        read_quorum: Option<usize>,
    },
    /// Store `value` under `key`.
    Put {
        /// Under which key.
        key: Key,
        /// What.
        value: Value,
        /// How many replicas must store it; the store's W if none.
        write_quorum: Option<usize>,
    },
    /// Store nothing under `key`.
    Delete {
        /// Under which key.
        key: Key,
        /// How many replicas must store that; the store's W if none.
        write_quorum: Option<usize>,
    },
    /// How is the node asked doing?
    Status,
}

impl Request {
    /// A read at the store's R.
    pub fn get(key: impl Into<Key>) -> Self {
        Self::Get { key: key.into(), read_quorum: None }
    }

    /// A write at the store's W.
    pub fn put(key: impl Into<Key>, value: impl Into<Value>) -> Self {
        Self::Put { key: key.into(), value: value.into(), write_quorum: None }
    }

    /// A deletion at the store's W.
    pub fn delete(key: impl Into<Key>) -> Self {
        Self::Delete { key: key.into(), write_quorum: None }
    }
}

/// What a client is answered.
pub type Response = Result<Reply, Error>;

/// What was done, and what that is worth.
#[derive(Clone, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// Answers [`Request::Get`].
    Value {
        /// What is stored; none if it was deleted or never written.
        value: Option<Value>,
        /// Of which write; [`Version::ZERO`] if it was never written.
        version: Version,
        /// What the read promises.
        guarantee: Guarantee,
    },
    /// Answers [`Request::Put`] and [`Request::Delete`]: a write quorum has it on its disks.
    Written {
        /// The version of the write.
        version: Version,
        /// What the write promises.
        guarantee: Guarantee,
    },
    /// Answers [`Request::Status`].
    Status(Status),
}

/// How a node is doing.
#[derive(Clone, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
pub struct Status {
    /// Which node.
    pub node: NodeId,
    /// How often it has booted.
    pub incarnation: Incarnation,
    /// Keys that it holds a value of.
    pub keys: usize,
    /// Keys that it holds a deletion of.
    pub tombstones: usize,
    /// Hints that it keeps for other nodes.
    pub hints: usize,
    /// Hints that it dropped, for want of room, since it booted.
    pub hints_dropped: u64,
    /// Which nodes it believes live, ascending by node, itself among them.
    pub live: Vec<(NodeId, bool)>,
    /// What the store promises at its own quorums.
    pub guarantee: Guarantee,
}

/// What nodes tell each other.
///
/// The first of each pair is sent by a coordinator (to itself, too, without the network), the
/// second answers it. Each may be lost, delayed or doubled without harm.
#[derive(Clone, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Message {
    /// Are you there? Answered by [`Message::Pong`].
    Ping,
    /// I am.
    Pong,
    /// What do you hold? Answered by [`Message::Held`].
    Read {
        /// For which operation.
        op: OpId,
        /// Of which key.
        key: Key,
    },
    /// This, on disk. What was never written is an answer too, with version zero.
    Held {
        /// For which operation.
        op: OpId,
        /// What.
        entry: Entry,
    },
    /// Which version do you hold? Answered by [`Message::Tag`].
    Query {
        /// For which operation.
        op: OpId,
        /// Of which key.
        key: Key,
    },
    /// This one, though a crash may yet undo it: it bounds what exists, and promises nothing.
    Tag {
        /// For which operation.
        op: OpId,
        /// Which.
        version: Version,
    },
    /// Store this, unless you hold a greater version. Answered by [`Message::Stored`].
    Store {
        /// For which operation.
        op: OpId,
        /// Under which key.
        key: Key,
        /// What.
        entry: Entry,
    },
    /// It, or a greater version, is on my disk.
    Stored {
        /// For which operation.
        op: OpId,
        /// Which version was to be stored.
        version: Version,
    },
    /// You missed this; store it, unless you hold a greater version. Answered by
    /// [`Message::HintStored`].
    Hint {
        /// Under which key.
        key: Key,
        /// What.
        entry: Entry,
    },
    /// It, or a greater version, is on my disk.
    HintStored {
        /// Under which key.
        key: Key,
        /// Which version was to be stored.
        version: Version,
    },
}

/// What a node appends to its disk.
#[derive(Clone, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Record {
    /// The node came up.
    Booted {
        /// For which time.
        incarnation: Incarnation,
    },
    /// The node, as a replica, holds this.
    Stored {
        /// Under which key.
        key: Key,
        /// What.
        entry: Entry,
    },
    /// The node keeps this for another, in place of any earlier hint for that node and key.
    Hinted {
        /// For which node.
        to: NodeId,
        /// Under which key.
        key: Key,
        /// What.
        entry: Entry,
    },
    /// The node no longer keeps a hint.
    HintDone {
        /// For which node.
        to: NodeId,
        /// Under which key.
        key: Key,
    },
}

/// What the application that embeds a node is told.
#[derive(Clone, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// A node has been silent for too long; it is still written to, and no longer counted on.
    Suspected {
        /// Which node.
        node: NodeId,
    },
    /// A suspected node has answered.
    Recovered {
        /// Which node.
        node: NodeId,
    },
    /// Every hint for a node has been replayed.
    HintsDrained {
        /// Which node.
        node: NodeId,
    },
    /// There was no room for a hint: the replica will lack this write until the key is read or
    /// written again.
    HintDropped {
        /// For which node.
        node: NodeId,
        /// Under which key.
        key: Key,
    },
}
