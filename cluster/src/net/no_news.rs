//! In the place of news, without the feature `tracing`.

use std::net::SocketAddr;

use super::refusal::Refused;
use super::wire::Broken;
use crate::NodeId;

pub(super) fn opened(_node: NodeId, _at: SocketAddr) {}

pub(super) fn lost(_node: NodeId, _at: SocketAddr, _broken: &Broken) {}

pub(super) fn refused(_peer: SocketAddr, _refused: &Refused) {}

pub(super) fn unsendable(_peer: SocketAddr, _problem: &str) {}

pub(super) fn deaf(_error: &std::io::Error) {}

#[cfg(feature = "tls")]
pub(super) fn stale(_error: &super::TlsError) {}
