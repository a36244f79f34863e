//! The store as an application calls it: blocking, from any thread.

use std::time::Duration;

use cluster::NodeId;
use cluster::threads::{CallError, Client};

use crate::config::Guarantee;
use crate::error::Error;
use crate::message::{Reply, Request, Status};
use crate::node::Replica;
use crate::version::{Key, Value, Version};

/// A client of a store, on the nodes that a [`Client`] reaches.
///
/// Each call waits for the answer of one node. Cloning makes another, independent client.
#[derive(Clone)]
pub struct Store {
    client: Client<Replica>,
    timeout: Duration,
}

/// What a read returned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Read {
    /// The value; none if it was deleted or never written.
    pub value: Option<Value>,
    /// Of which write.
    pub version: Version,
    /// What the read promises.
    pub guarantee: Guarantee,
}

/// Why a call failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StoreError {
    /// A node answered that it was not done. Effect: as that error says.
    #[error(transparent)]
    Refused(#[from] Error),
    /// No node answered. Effect: as that error says.
    #[error(transparent)]
    NoAnswer(#[from] CallError),
    /// The node answered another question than it was asked: it is broken, or of another version. A
    /// write may have had an effect.
    #[error("the node answered another question; the effect of a write is unknown")]
    Mismatch,
}

impl StoreError {
    /// Whether a write that failed so has had no effect and never will.
    pub fn is_without_effect(self) -> bool {
        match self {
            Self::Refused(error) => error.is_without_effect(),
            Self::NoAnswer(CallError::Unavailable { .. }) => true,
            Self::NoAnswer(CallError::Unknown { .. }) | Self::Mismatch => false,
        }
    }
}

impl Store {
    /// A store behind `client`. `timeout` bounds the wait for a node's answer; let it exceed the
    /// nodes' own [`Config::timeout`](crate::Config::timeout), or calls end as unknown that the
    /// node would have explained.
    pub fn new(client: Client<Replica>, timeout: Duration) -> Self {
        Self { client, timeout }
    }

    /// Reads `key` at the store's R, through any node that is up.
    ///
    /// # Errors
    /// Nothing was written by this call, whatever the error.
    pub fn get(&mut self, key: impl Into<Key>) -> Result<Read, StoreError> {
        match self.ask(Request::get(key))? {
            Reply::Value { value, version, guarantee } => Ok(Read { value, version, guarantee }),
            Reply::Written { .. } | Reply::Status(_) => Err(StoreError::Mismatch),
        }
    }

    /// Writes `value` under `key` at the store's W, through any node that is up. Returns the
    /// version of the write.
    ///
    /// # Errors
    /// See [`StoreError::is_without_effect`].
    pub fn put(
        &mut self,
        key: impl Into<Key>,
        value: impl Into<Value>,
    ) -> Result<Version, StoreError> {
        self.write(Request::put(key, value))
    }

    /// Deletes `key` at the store's W, through any node that is up. Returns the version of the
    /// deletion.
    ///
    /// # Errors
    /// See [`StoreError::is_without_effect`].
    pub fn delete(&mut self, key: impl Into<Key>) -> Result<Version, StoreError> {
        self.write(Request::delete(key))
    }

    /// How `node` is doing.
    ///
    /// # Errors
    /// [`StoreError::NoAnswer`] when it is down or does not answer.
    pub fn status(&mut self, node: NodeId) -> Result<Status, StoreError> {
        match self.client.call(node, Request::Status, self.timeout)?? {
            Reply::Status(status) => Ok(status),
            Reply::Value { .. } | Reply::Written { .. } => Err(StoreError::Mismatch),
        }
    }

    /// Asks `node` and no other. For requests with quorums of their own, and for tests.
    ///
    /// # Errors
    /// See [`StoreError::is_without_effect`].
    pub fn ask_node(&mut self, node: NodeId, request: Request) -> Result<Reply, StoreError> {
        Ok(self.client.call(node, request, self.timeout)??)
    }

    fn write(&mut self, request: Request) -> Result<Version, StoreError> {
        match self.ask(request)? {
            Reply::Written { version, .. } => Ok(version),
            Reply::Value { .. } | Reply::Status(_) => Err(StoreError::Mismatch),
        }
    }

    fn ask(&mut self, request: Request) -> Result<Reply, StoreError> {
        Ok(self.client.ask(request, self.timeout)??)
    }
}
