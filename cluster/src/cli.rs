//! What the binaries of patterns have in common, so that who knows one knows all.
//!
//! | command | made of |
//! |---|---|
//! | `run` | [`Serving`]: one node as a process, and what it is told on its command line |
//! | `dev` | [`Dev`]: a cluster of such processes in one terminal, for trying out |
//! | what asks a cluster | [`Whom`]: which cluster, where its nodes are, by which certificates, and how long to try |
//!
//! [`Logging`] and [`end`] go with all of them, and [`table()`] prints what was learnt. A pattern with a
//! front for Redis clients opens it by [`Redis`].

mod dev;
mod failure;
mod logging;
mod peers;
mod redis;
mod serving;
mod table;

pub use dev::{Dev, Trial};
pub use failure::{Failure, end};
pub use logging::Logging;
pub use peers::{Named, Peers, Whom, node, span};
pub use redis::Redis;
pub use serving::{Running, Serving};
pub use table::table;
