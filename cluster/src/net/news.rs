//! News, by the facade `tracing`, with the target `cluster::net`: what an operator would want to read.

use std::net::SocketAddr;

use tracing::{debug, info, warn};

use super::refusal::Refused;
use super::wire::Broken;
use crate::NodeId;

/// A connection to `node` is open.
pub(super) fn opened(node: NodeId, at: SocketAddr) {
    info!(target: "cluster::net", %node, %at, "connected");
}

/// A connection to `node` was lost, or not made.
pub(super) fn lost(node: NodeId, at: SocketAddr, broken: &Broken) {
    match broken {
        // While a node is down, each of its peers and clients tries this again and again.
        Broken::Io(error) => debug!(target: "cluster::net", %node, %at, %error, "not connected"),
        Broken::Refused(refused) => {
            let Refused { reason, detail } = refused;
            warn!(target: "cluster::net", %node, %at, %reason, detail, "refused by, or refusing, a node");
        }
    }
}

/// Somebody's connection was refused, or closed.
pub(super) fn refused(peer: SocketAddr, refused: &Refused) {
    let Refused { reason, detail } = refused;
    warn!(target: "cluster::net", %peer, %reason, detail, "refused");
}

/// A message or an answer is no frame, and was dropped.
pub(super) fn unsendable(peer: SocketAddr, problem: &str) {
    warn!(target: "cluster::net", %peer, problem, "dropped what cannot be sent");
}

/// No connection can be taken.
pub(super) fn deaf(error: &std::io::Error) {
    warn!(target: "cluster::net", %error, "cannot take connections");
}

/// Certificates have changed, and cannot be used.
#[cfg(feature = "tls")]
pub(super) fn stale(error: &super::TlsError) {
    warn!(target: "cluster::net", %error, "the earlier certificates are used on");
}
