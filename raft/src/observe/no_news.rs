//! In the place of news, without the feature `tracing`.

use std::time::Duration;

use cluster::NodeId;

use super::Kind;
use crate::{CallError, Event};

pub(super) fn heard(_group: &str, _node: NodeId, _event: &Event) {}

pub(super) fn turned(_group: &str, _node: NodeId, _up: bool) {}

pub(super) fn ended(_group: &str, _kind: Kind, _error: Option<&CallError>, _elapsed: Duration) {}
