//! Which nodes hold which keys.
//!
//! Think of a clock face. Every node paints itself on it many times over, at places that a hash of
//! its name decides; a key's hash is a place too, and its replicas are the first N different nodes
//! met clockwise from there. A node that joins takes over the stretches before its own marks and
//! nothing else moves (Karger et al., "Consistent Hashing and Random Trees", 1997, section 4).

use cluster::{InvalidConfig, Members, NodeId};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::version::Key;

/// Keeps the hashes of nodes apart from those of keys.
const NODE_SEED: u64 = 0x7175_6f72_756d_0001;

/// A consistent-hash ring with virtual nodes.
///
/// Guarantees:
/// 1. every key has exactly N replicas, all different nodes, in an order of preference;
/// 2. the same members, N and number of virtual nodes give the same replicas on every machine;
/// 3. when a node joins, a key's list changes only by that node entering it and the last leaving
///    it, and the other way round when a node leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ring {
    /// Where the virtual nodes are, ascending.
    points: Vec<u64>,
    /// For each point, the N nodes met from there on.
    lists: Vec<NodeId>,
    replication: usize,
}

/// A key's place on a [`Ring`], found once and kept while an operation runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place(usize);

impl Ring {
    /// A ring of `members` with so many points each, and so many replicas of each key.
    ///
    /// # Errors
    /// When either number is zero, or there are to be more replicas than nodes.
    pub fn new(
        members: &Members,
        virtual_nodes: usize,
        replication: usize,
    ) -> Result<Self, InvalidConfig> {
        if virtual_nodes == 0 {
            return Err(InvalidConfig::new("virtual_nodes", 0, "at least 1"));
        }
        if replication == 0 || replication > members.count() {
            let expected = format!("between 1 and {}, the nodes of the cluster", members.count());
            return Err(InvalidConfig::new("replication", replication, expected));
        }
        let mut marks: Vec<(u64, NodeId)> = members
            .iter()
            .flat_map(|node| (0..virtual_nodes).map(move |count| (point(node, count), node)))
            .collect();
        marks.sort_unstable();
        let mut lists = Vec::with_capacity(marks.len() * replication);
        for start in 0..marks.len() {
            let list_start = lists.len();
            for &(_, node) in marks[start..].iter().chain(&marks[..start]) {
                if !lists[list_start..].contains(&node) {
                    lists.push(node);
                }
                if lists.len() == list_start + replication {
                    break;
                }
            }
        }
        let points = marks.into_iter().map(|(point, _)| point).collect();
        Ok(Self { points, lists, replication })
    }

    /// The replicas of `key`, in order of preference. No allocation.
    pub fn replicas(&self, key: &Key) -> &[NodeId] {
        self.at(self.place(key))
    }

    /// Where `key` is.
    pub(crate) fn place(&self, key: &Key) -> Place {
        let hash = xxh3_64(key.as_str().as_bytes());
        let next = self.points.partition_point(|&point| point < hash);
        Place(next % self.points.len())
    }

    /// The replicas of the keys at `place`.
    pub(crate) fn at(&self, place: Place) -> &[NodeId] {
        &self.lists[place.0 * self.replication..][..self.replication]
    }
}

/// Where virtual node number `count` of `node` is.
fn point(node: NodeId, count: usize) -> u64 {
    let mut name = [0; 12];
    name[..4].copy_from_slice(&node.get().to_le_bytes());
    name[4..].copy_from_slice(&(count as u64).to_le_bytes());
    xxh3_64_with_seed(&name, NODE_SEED)
}
