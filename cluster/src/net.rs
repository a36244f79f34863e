//! The net world: a process a node, TCP for links, real disks.
//!
//! What a process runs is a [`Server`]: one node, on the thread that the [`threads`](crate::threads)
//! world gives it, and one more thread for all connections. Clients are [`Remote`]s: a
//! [`Port`](crate::Port) from outside.
//!
//! ```text
//!                     ┌ process of n1 ──────────────────────────────────────┐
//!  Remote ── request ─▶ Gate ── inbox ──▶ Host: Node::handle ── Persist ─▶ journal
//!         ◀─ response ──────────────────────┘ │                             │
//!                     │                       └─ Send ─▶ Link ──────────────┼─ message ─▶ n2's Gate
//!  n2's Link ─ message ▶ Gate ── inbox ──▶ Host                             │
//!                     └─────────────────────────────────────────────────────┘
//! ```
//! A node's own thread writes what it sends straight to the sockets, as much as they take; whatever would
//! block (connecting, reading, the rest of what a slow peer does not take) is the other thread's, which
//! waits for all sockets at once. So a slow peer holds up neither the node nor another peer, ten thousand
//! silent connections cost no thread, and a request crosses four threads on its way there and back.
//!
//! # Connections
//! A node connects to each of its peers, and sends messages by that connection only; so between two nodes
//! there is one for each direction, and each is made anew whenever it is lost. What a node sends while
//! there is none, or while [more than so much](Limits::link_max) waits on it, is lost: messages may be, to
//! every [`Node`]. Nothing else is: on one connection they arrive once and in order.
//!
//! Whoever connects says first who it is and whom it calls. It is refused, by a frame that says why, if
//! it is of another cluster, calls another node, is no member, or is a member in an *earlier life*: a
//! node that was started in a copy of another's directory, say, or one that was thought to be dead and is
//! not. Each refusal is counted by its [`Reason`], and logged.
//!
//! # Frames
//! Version 1 of the protocol. Numbers are little-endian. Every frame begins with 16 bytes:
//!
//! | bytes | |
//! |---|---|
//! | 0, 1 | `C7 5E` |
//! | 2 | the version, [`PROTOCOL`] |
//! | 3 | the kind |
//! | 4 to 7 | the length of the body, in bytes; at most [`Limits::frame_max`], and 1024 in the first frame |
//! | 8 to 15 | XXH3 (64 bits) of the body, with bytes 0 to 7 as the seed |
//!
//! The body follows, in [postcard's format](https://postcard.jamesmunns.com) but for a refusal:
//!
//! | kind | from | body |
//! |---|---|---|
//! | 1 hello | whoever connected, first and once | cluster (string), whom it calls (u32), who it is: 0 and its id (u32) and life (u64) for a node, 1 for a client |
//! | 2 welcome | whoever was connected to, first and once | its life (u64) |
//! | 3 refusal | either, last | one byte for the [`Reason`], then UTF-8 text; so in every version |
//! | 4 message | a node that connected, after the welcome | [`Node::Message`] |
//! | 5 request | a client, after the welcome | tag (u64), [`Node::Request`] |
//! | 6 response | to a client | tag (u64), then 0 and [`Node::Response`], or 1: nothing was done, or 2: nobody knows |
//!
//! A frame of another version is refused by name, with both versions. What a connection is sent that makes
//! no sense is the end of that connection, and of nothing else.
//!
//! # What waits, and for how much of it there is room
//! All that waits in buffers comes out of one [budget](Limits::memory_max): parts of frames, messages
//! that the node has not been handed, requests that it has not answered, and what sockets have not taken.
//! When it is used up, messages are dropped, requests are turned away with nothing done, and a client that
//! does not read its answers is cut off. A body is never allocated by its announced length, but as it
//! arrives; and a sequence in it by the bytes that are there. (Types of which nothing is encoded, `()`
//! say, cost no bytes: a message type must not hold a sequence of those.) What the budget does not count is
//! what a connection itself takes: some hundred bytes, and with TLS some tens of KiB.
//!
//! # Secrecy
//! With `Tls` both sides show certificates of one authority, and a node's must be for its own name in
//! its own cluster. Without, a server listens on loopback only, unless it is told to do so
//! [`insecurely`](Builder::insecurely): who can connect can do all that a client, and a node, can.
//!
//! # A process around it
//! With the feature `process`, a `process::Stop` waits for SIGTERM, after which a server
//! [retires](Server::retire), and a `process::Lookout` tells by HTTP whether the node lives, whether it is
//! ready, and what it counts.
//!
//! # What is not promised
//! - That a node which lost its disk is noticed: it begins again, in a life that is later than those
//!   before. Whether its promises still count is the pattern's to know, as Raft's disks have names. If the
//!   machine's clock went back since, it is refused by peers that remember it, until they are started
//!   anew.
//! - That addresses are looked up: nodes are at the addresses that were given.

mod budget;
mod client;
mod dial;
mod entrance;
mod frame;
mod gate;
mod greeting;
mod id;
mod inside;
mod limits;
mod link;
mod passport;
#[cfg(feature = "process")]
pub mod process;
mod reactor;
mod reader;
mod refusal;
mod remote;
mod server;
mod unsent;
mod wire;

#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "net/no_tls.rs"]
mod tls;

#[cfg(feature = "tracing")]
mod news;
#[cfg(not(feature = "tracing"))]
#[path = "net/no_news.rs"]
mod news;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::SocketAddr;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{InvalidConfig, Members, Node, NodeId, Rng};

pub use frame::PROTOCOL;
pub use id::{ClusterId, Incarnation};
pub use limits::Limits;
pub use passport::PassportError;
pub use refusal::{Reason, Refused};
pub use remote::{Remote, RemoteBuilder};
#[cfg(feature = "cli")]
pub(crate) use server::BACKLOG;
pub use server::{Builder, Server};
#[cfg(feature = "tls")]
pub use tls::{Tls, TlsError};

/// A node whose messages, requests and responses can be sent: every [`Node`] for which they are
/// serializable.
pub trait Spoken:
    Node<
        Message: Serialize + DeserializeOwned,
        Request: Serialize + DeserializeOwned,
        Response: Serialize + DeserializeOwned,
    >
{
}

impl<N> Spoken for N where
    N: Node<
            Message: Serialize + DeserializeOwned,
            Request: Serialize + DeserializeOwned,
            Response: Serialize + DeserializeOwned,
        >
{
}

/// Why nothing was started, or connected.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting makes no sense.
    #[error(transparent)]
    Invalid(#[from] InvalidConfig),
    /// The directory is not this node's.
    #[error(transparent)]
    Directory(#[from] PassportError),
    /// The system failed.
    #[error("{attempt}: {source}")]
    System {
        /// What was tried.
        attempt: &'static str,
        /// What came of it.
        source: io::Error,
    },
}

impl StartError {
    fn system(attempt: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Self::System { attempt, source }
    }
}

/// The members that are named, and where each is, in their order.
fn node_map(
    nodes: Vec<(NodeId, SocketAddr)>,
) -> Result<(Members, Vec<(NodeId, SocketAddr)>), InvalidConfig> {
    let members = Members::new(nodes.iter().map(|(id, _)| *id))?;
    let nodes: BTreeMap<_, _> = nodes.into_iter().collect();
    Ok((members, nodes.into_iter().collect()))
}

/// Chance that nothing hangs on: how long connections rest.
fn chance() -> Rng {
    Rng::from_seed(RandomState::new().hash_one(0))
}
