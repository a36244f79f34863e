//! How a connection begins.

use serde::{Deserialize, Serialize};

use super::id::{ClusterId, Incarnation};
use super::refusal::{Reason, Refused};
use crate::{Members, NodeId};

/// What whoever has connected says first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) cluster: ClusterId,
    /// Whom it believes to be calling.
    pub(super) to: NodeId,
    pub(super) caller: Caller,
}

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Caller {
    Node { id: NodeId, incarnation: Incarnation },
    Client,
}

/// What is said to that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Welcome {
    pub(super) incarnation: Incarnation,
}

impl Hello {
    /// Whether node `here` of `cluster` is whom this is for, and it comes from one of its peers or from
    /// a client. What is known of lives is the caller's to look at.
    pub(super) fn check(
        &self,
        cluster: &ClusterId,
        members: &Members,
        here: NodeId,
    ) -> Result<(), Refused> {
        if self.cluster != *cluster {
            let detail = format!("it is of cluster {}, this is {cluster}", self.cluster);
            return Err(Refused::new(Reason::Cluster, detail));
        }
        if self.to != here {
            let detail = format!("it called {}, this is {here}", self.to);
            return Err(Refused::new(Reason::Address, detail));
        }
        match self.caller {
            Caller::Node { id, .. } if id == here || !members.contains(id) => {
                let detail = format!("{id} is no peer of {here}");
                Err(Refused::new(Reason::Stranger, detail))
            }
            Caller::Node { .. } | Caller::Client => Ok(()),
        }
    }
}

/// The latest life in which each peer was met.
#[derive(Debug, Default)]
pub(super) struct Lives(std::collections::BTreeMap<NodeId, Incarnation>);

impl Lives {
    /// `id` is met in its life `incarnation`, which is refused if it was met in a later one.
    pub(super) fn meet(&mut self, id: NodeId, incarnation: Incarnation) -> Result<(), Refused> {
        let latest = self.0.entry(id).or_insert(incarnation);
        if incarnation < *latest {
            let detail = format!("{id} in its life {incarnation} was met in {latest} before");
            return Err(Refused::new(Reason::Incarnation, detail));
        }
        *latest = incarnation;
        Ok(())
    }
}
