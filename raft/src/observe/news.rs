//! News, by the facade `tracing`, with the target `raft`: what an operator would want to read.

use std::time::Duration;

use cluster::NodeId;
use tracing::{debug, info, warn};

use super::Kind;
use crate::{CallError, Event};

/// A call that takes so long is news.
const SLOW: Duration = Duration::from_secs(1);

/// A node has said something.
pub(super) fn heard(group: &str, node: NodeId, event: &Event) {
    match event {
        Event::ElectedLeader { term } => {
            info!(target: "raft", group, %node, term = term.get(), "elected leader");
        }
        Event::SteppedDown { term } => {
            info!(target: "raft", group, %node, term = term.get(), "stepped down");
        }
        Event::Follows { leader, term } => {
            debug!(target: "raft", group, %node, %leader, term = term.get(), "follows");
        }
        Event::SnapshotTaken { upto } => {
            debug!(target: "raft", group, %node, upto = upto.get(), "snapshot taken");
        }
        Event::SnapshotInstalled { upto } => {
            info!(target: "raft", group, %node, upto = upto.get(), "snapshot installed");
        }
    }
}

/// A node answers again, or no longer.
pub(super) fn turned(group: &str, node: NodeId, up: bool) {
    if up {
        info!(target: "raft", group, %node, "up");
    } else {
        warn!(target: "raft", group, %node, "does not answer");
    }
}

/// A call has come to its end.
pub(super) fn ended(group: &str, kind: Kind, error: Option<&CallError>, elapsed: Duration) {
    let elapsed_ms = elapsed.as_millis() as u64;
    match error {
        None if elapsed < SLOW => {}
        None => warn!(target: "raft", group, call = %kind, elapsed_ms, "slow call"),
        // Where these are, they are many: the figures are for them.
        Some(error @ (CallError::Overloaded | CallError::TooLarge { .. })) => {
            debug!(target: "raft", group, call = %kind, %error, "call refused");
        }
        Some(
            error @ (CallError::NoSuchMember
            | CallError::NotCaughtUp
            | CallError::UnfitMember
            | CallError::LastVoter
            | CallError::Witness(_)),
        ) => {
            warn!(target: "raft", group, call = %kind, %error, "call refused");
        }
        Some(error @ (CallError::Unavailable { .. } | CallError::Unknown { .. })) => {
            warn!(target: "raft", group, call = %kind, elapsed_ms, %error, "call failed");
        }
    }
}
