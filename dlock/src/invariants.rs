//! What must hold of the nodes of one cluster at every step.

use std::collections::BTreeMap;

use cluster::{Digest, NodeId};
use raft::LogIndex;

use crate::{FencingToken, LockNode, LockTable, Owner, Resource};

pub use raft::invariants::Violation;

/// Watches the nodes of one cluster from outside, and remembers what it has seen.
///
/// Besides what [`raft::invariants::Monitor`] checks:
/// 1. each table keeps its own guarantees ([`LockTable::check`]), among them one holder a lock;
/// 2. two tables that have applied the same commands are equal;
/// 3. along the log, time and the last token never go back;
/// 4. a token names one grant: the same resource and the same owner, on every node, for ever;
/// 5. along the log, the token of a resource never goes back.
///
/// Cost: a node whose table has applied nothing since the last look is passed over.
#[derive(Default)]
pub struct Monitor {
    raft: raft::invariants::Monitor<LockTable>,
    /// How far each node's table was when it was last looked at.
    looked: BTreeMap<NodeId, LogIndex>,
    /// What is known of the table at an index that some node was seen at.
    seen: BTreeMap<LogIndex, Seen>,
    /// What each token that was seen stands for.
    grants: BTreeMap<FencingToken, (Resource, Owner)>,
    /// For each resource, the indexes at which a new token was first seen on it.
    tokens: BTreeMap<Resource, BTreeMap<LogIndex, FencingToken>>,
}

#[derive(Clone, Debug)]
struct Seen {
    by: NodeId,
    digest: u64,
    last_token: FencingToken,
}

impl Monitor {
    /// A monitor that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks at the nodes that are up. Call it after every step.
    ///
    /// # Errors
    /// The first guarantee found broken.
    pub fn observe<'a>(
        &mut self,
        nodes: impl IntoIterator<Item = (NodeId, &'a LockNode)>,
    ) -> Result<(), Violation> {
        nodes.into_iter().try_for_each(|(id, node)| self.observe_node(id, node))
    }

    /// Looks at one node: enough after a step that only this node took.
    ///
    /// # Errors
    /// The first guarantee found broken.
    pub fn observe_node(&mut self, id: NodeId, node: &LockNode) -> Result<(), Violation> {
        self.raft.observe_node(id, node.raft())?;
        let index = node.raft().applied_index();
        if self.looked.insert(id, index) != Some(index) {
            self.look(id, index, node.table())?;
        }
        Ok(())
    }

    fn look(&mut self, id: NodeId, index: LogIndex, table: &LockTable) -> Result<(), Violation> {
        let broken = |guarantee, what| Err(Violation { guarantee, what });
        if let Err(problem) = table.check() {
            return broken("lock table", format!("{id} at {index:?}: {problem}"));
        }
        let now = Seen { by: id, digest: Digest::of(table), last_token: table.last_token() };
        let before = self.seen.range(..index).next_back();
        if let Some((at, seen)) = before.filter(|(_, seen)| seen.last_token > now.last_token) {
            let (then, now) = (seen.last_token, now.last_token);
            return broken("fencing", format!("{then} was issued by {at:?}, {now} by {index:?}"));
        }
        let after = self.seen.range(index..).next();
        if let Some((at, seen)) = after.filter(|(_, seen)| seen.last_token < now.last_token) {
            let (now, then) = (now.last_token, seen.last_token);
            return broken("fencing", format!("{now} was issued by {index:?}, {then} by {at:?}"));
        }
        if let Some(seen) = self.seen.get(&index) {
            if seen.digest != now.digest {
                let what = format!("the tables of {} and {id} differ at {index:?}", seen.by);
                return broken("state-machine safety", what);
            }
        } else {
            self.seen.insert(index, now);
        }
        for (resource, lock) in table.locks() {
            self.look_at_grant(index, resource, &lock.owner, lock.token)?;
        }
        Ok(())
    }

    fn look_at_grant(
        &mut self,
        index: LogIndex,
        resource: &Resource,
        owner: &Owner,
        token: FencingToken,
    ) -> Result<(), Violation> {
        let grant = (resource.clone(), owner.clone());
        let known = self.grants.entry(token).or_insert_with(|| grant.clone());
        if *known != grant {
            let what = format!("{token} was granted to {known:?}, and to {grant:?}");
            return Err(Violation { guarantee: "fencing", what });
        }
        let tokens = self.tokens.entry(resource.clone()).or_default();
        let earlier = tokens.range(..=index).next_back().filter(|(_, known)| **known > token);
        let later = tokens.range(index..).next().filter(|(_, known)| **known < token);
        if let Some((at, known)) = earlier.or(later) {
            let what = format!("{resource} has {known} at {at:?}, and {token} at {index:?}");
            return Err(Violation { guarantee: "fencing", what });
        }
        if tokens.range(..=index).next_back().is_none_or(|(_, known)| *known < token) {
            tokens.insert(index, token);
        }
        Ok(())
    }
}
