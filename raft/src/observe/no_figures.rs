//! In the place of figures, without the feature `metrics`.

use std::time::Duration;

use cluster::NodeId;

use super::Kind;
use crate::{CallError, Event, Status};

pub(super) struct Calls;

impl Calls {
    pub(super) fn new(_group: &str) -> Self {
        Self
    }

    pub(super) fn ended(&self, _kind: Kind, _error: Option<&CallError>, _elapsed: Duration) {}

    pub(super) fn retried(&self, _kind: Kind) {}
}

pub(super) struct Node;

impl Node {
    pub(super) fn new(_group: &str, _node: NodeId) -> Self {
        Self
    }

    pub(super) fn heard(&self, _event: &Event) {}

    pub(super) fn sampled(&mut self, _status: Option<&Status>) {}
}
