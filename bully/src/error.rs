//! What a node refuses.

use cluster::NodeId;
use serde::{Deserialize, Serialize};

/// Why a request was not carried out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize, thiserror::Error)]
pub enum Error {
    /// The node does not act as leader. Nothing was done, and nothing will be.
    #[error("this node does not lead{}", follows(*.leader))]
    NotLeader {
        /// Whom it follows, if it knows a leader.
        leader: Option<NodeId>,
    },
}

fn follows(leader: Option<NodeId>) -> String {
    leader.map_or_else(|| "; it knows no leader".into(), |leader| format!("; {leader} does"))
}
