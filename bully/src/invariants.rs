//! What must be true of all nodes together after every step, whatever went wrong.
//!
//! Worlds that can look inside hand the nodes to a [`Monitor`] after each step; it remembers what
//! it must. In textbook mode it finds the split brains that the textbook algorithm has.

use std::collections::BTreeMap;
use std::fmt;

use cluster::{Epoch, Node, NodeId, Now, Role};

use crate::Bully;

/// A promise that a run has broken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// Which promise: "election safety" or "no split brain".
    pub guarantee: &'static str,
    /// What was seen.
    pub what: String,
}

impl Violation {
    fn election_safety(what: String) -> Self {
        Self { guarantee: "election safety", what }
    }

    fn no_split_brain(what: String) -> Self {
        Self { guarantee: "no split brain", what }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.guarantee, self.what)
    }
}

/// Watches one run of one cluster.
#[derive(Clone, Debug, Default)]
pub struct Monitor {
    /// Who was elected for each epoch.
    elected: BTreeMap<Epoch, NodeId>,
    /// The life in which each node was last seen, and what it had promised then.
    promised: BTreeMap<NodeId, (u64, Epoch)>,
}

impl Monitor {
    /// A monitor for a run that has not begun.
    pub fn new() -> Self {
        Self::default()
    }

    /// Every leader that was seen, by epoch.
    pub fn elected(&self) -> impl ExactSizeIterator<Item = (Epoch, NodeId)> + '_ {
        self.elected.iter().map(|(&epoch, &leader)| (epoch, leader))
    }

    /// Looks at all nodes that are in memory (paused ones too), each with what its own clocks show
    /// at one moment of true time.
    ///
    /// # Errors
    /// The first promise that this moment breaks. The monitor may be used on afterwards.
    pub fn observe<'a>(
        &mut self,
        nodes: impl Iterator<Item = (NodeId, &'a Bully, Now)>,
    ) -> Result<(), Violation> {
        let mut acting: Option<(NodeId, Epoch)> = None;
        let mut verdict = Ok(());
        for (id, node, now) in nodes {
            verdict = verdict
                .and(self.elections(id, node))
                .and(self.progress(id, node))
                .and(presence(id, node, now));
            let standing = node.standing(now);
            if standing.role != Role::Leader {
                continue;
            }
            if let Some((other, epoch)) = acting {
                verdict = verdict.and(Err(Violation::no_split_brain(format!(
                    "{other} acts as leader of {epoch} and {id} as leader of {}, at once",
                    standing.epoch
                ))));
            }
            acting = Some((id, standing.epoch));
        }
        verdict
    }

    /// No epoch has two leaders, over the whole run.
    fn elections(&mut self, id: NodeId, node: &Bully) -> Result<(), Violation> {
        let Some(epoch) = node.reigns() else { return Ok(()) };
        let first = *self.elected.entry(epoch).or_insert(id);
        if first != id {
            let what = format!("{first} and {id} were both elected for {epoch}");
            return Err(Violation::election_safety(what));
        }
        if epoch > node.promised() {
            let what = format!(
                "{id} leads {epoch} and has promised itself no more than {}",
                node.promised()
            );
            return Err(Violation::election_safety(what));
        }
        Ok(())
    }

    /// No node goes back to an earlier epoch, from one state to the next of the same life.
    fn progress(&mut self, id: NodeId, node: &Bully) -> Result<(), Violation> {
        let now = (node.incarnation(), node.promised());
        let before = self.promised.insert(id, now).unwrap_or(now);
        if before.0 == now.0 && before.1 > now.1 {
            let what = format!("{id} had promised {} and went back to {}", before.1, now.1);
            return Err(Violation::election_safety(what));
        }
        Ok(())
    }
}

/// No node follows a leader of an epoch that it has gone beyond.
fn presence(id: NodeId, node: &Bully, now: Now) -> Result<(), Violation> {
    let standing = node.standing(now);
    if standing.leader.is_some() && standing.epoch < node.promised() {
        let what = format!(
            "{id} follows a leader of {} and has promised {}",
            standing.epoch,
            node.promised()
        );
        return Err(Violation::election_safety(what));
    }
    Ok(())
}
