//! What the binaries of patterns have in common, so that who knows one knows all.
//!
//! | command | made of |
//! |---|---|
//! | `run` | [`Serving`]: one node as a process, and what it is told on its command line |
//! | `dev` | [`Dev`]: a cluster of such processes in one terminal, for trying out |
//! | what asks a cluster | [`Peers`]: which cluster, where its nodes are, and by which certificates |
//!
//! [`Logging`] goes with all of them, and [`table`] prints what was learnt.

mod dev;
mod failure;
mod logging;
mod peers;
mod serving;
mod table;

pub use dev::{Dev, Place};
pub use failure::Failure;
pub use logging::Logging;
pub use peers::{Named, Peers, node, span};
pub use serving::{Running, Serving};
pub use table::table;
