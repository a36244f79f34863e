//! What a coordinator keeps for replicas that missed a write.

use std::collections::BTreeMap;

use cluster::NodeId;

use crate::version::{Entry, Key, Version};

/// Hints by node and key.
///
/// A replica keeps only the greatest version of a key, so one hint for each node and key is
/// enough: a greater one takes the place of a lesser.
///
/// Invariants: `count` is the number of hints and at most `max`; no node has an empty map.
#[derive(Clone, Debug)]
pub(crate) struct Hints {
    by_node: BTreeMap<NodeId, BTreeMap<Key, Entry>>,
    count: usize,
    max: usize,
    revision: u64,
}

/// What came of a hint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kept {
    /// It is kept.
    Yes,
    /// A hint of the same or a greater version is kept already.
    Already,
    /// There was no room.
    NoRoom,
}

impl Hints {
    pub(crate) fn new(max: usize) -> Self {
        Self { by_node: BTreeMap::new(), count: 0, max, revision: 0 }
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// How often a hint has been added or replaced.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// All of them, by node and key.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (NodeId, &Key, &Entry)> {
        self.by_node
            .iter()
            .flat_map(|(&node, hints)| hints.iter().map(move |(key, entry)| (node, key, entry)))
    }

    /// The first `batch` hints for `node`, by key.
    pub(crate) fn batch(&self, node: NodeId, batch: usize) -> Vec<(Key, Entry)> {
        let Some(hints) = self.by_node.get(&node) else { return Vec::new() };
        hints.iter().take(batch).map(|(key, entry)| (key.clone(), entry.clone())).collect()
    }

    /// Keeps `entry` for `node`, if it is news and there is room.
    pub(crate) fn keep(&mut self, node: NodeId, key: &Key, entry: &Entry) -> Kept {
        let held = self.by_node.get_mut(&node).and_then(|hints| hints.get_mut(key));
        match held {
            Some(held) if held.version >= entry.version => Kept::Already,
            Some(held) => {
                *held = entry.clone();
                self.revision += 1;
                Kept::Yes
            }
            None if self.count >= self.max => Kept::NoRoom,
            None => {
                self.by_node.entry(node).or_default().insert(key.clone(), entry.clone());
                self.count += 1;
                self.revision += 1;
                Kept::Yes
            }
        }
    }

    /// Forgets the hint for `node` and `key` if it is of `version` or less. True if there was one.
    pub(crate) fn done(&mut self, node: NodeId, key: &Key, version: Version) -> bool {
        let Some(hints) = self.by_node.get_mut(&node) else { return false };
        if hints.get(key).is_none_or(|held| held.version > version) {
            return false;
        }
        hints.remove(key);
        self.count -= 1;
        if hints.is_empty() {
            self.by_node.remove(&node);
        }
        true
    }

    /// Whether there is any for `node`.
    pub(crate) fn any_for(&self, node: NodeId) -> bool {
        self.by_node.contains_key(&node)
    }
}
