//! Placement: distinct, alike everywhere, even, and stable.

use std::collections::{BTreeMap, BTreeSet};

use cluster::{Members, NodeId};
use proptest::prelude::*;
use quorum::{Key, Ring};

fn nodes(count: std::ops::Range<usize>) -> impl Strategy<Value = BTreeSet<u32>> {
    prop::collection::btree_set(any::<u32>(), count)
}

fn members(nodes: &BTreeSet<u32>) -> Members {
    Members::new(nodes.iter().copied().map(NodeId::new)).expect("a cluster")
}

fn keys(count: usize) -> impl Iterator<Item = Key> {
    (0..count).map(|number| Key::from(format!("user:{number}")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_key_has_n_different_replicas(nodes in nodes(1..12), n in 1..12usize, vnodes in 1..20usize) {
        let members = members(&nodes);
        let Ok(ring) = Ring::new(&members, vnodes, n) else {
            prop_assert!(n > members.count());
            return Ok(());
        };
        let again = Ring::new(&members, vnodes, n).expect("valid");
        for key in keys(100) {
            let replicas = ring.replicas(&key);
            let different: BTreeSet<_> = replicas.iter().collect();
            prop_assert_eq!(replicas.len(), n);
            prop_assert_eq!(different.len(), n);
            prop_assert!(replicas.iter().all(|&node| members.contains(node)));
            prop_assert_eq!(replicas, again.replicas(&key));
        }
    }

    /// Only what the newcomer gains moves. Read backwards: only what a leaver had moves.
    #[test]
    fn a_node_that_joins_or_leaves_moves_only_its_own(
        nodes in nodes(2..12), newcomer in any::<u32>(), n in 1..4usize,
    ) {
        prop_assume!(!nodes.contains(&newcomer) && n <= nodes.len());
        let mut more = nodes.clone();
        more.insert(newcomer);
        let before = Ring::new(&members(&nodes), 16, n).expect("valid");
        let after = Ring::new(&members(&more), 16, n).expect("valid");
        let newcomer = NodeId::new(newcomer);
        for key in keys(200) {
            let (old, new) = (before.replicas(&key), after.replicas(&key));
            let stayed: Vec<_> = new.iter().copied().filter(|&node| node != newcomer).collect();
            prop_assert_eq!(&stayed[..], &old[..stayed.len()]);
            prop_assert!(stayed.len() >= n - 1);
        }
    }

    #[test]
    fn keys_are_spread_evenly(nodes in nodes(3..10)) {
        const KEYS: usize = 3000;
        let ring = Ring::new(&members(&nodes), 128, 3).expect("valid");
        let mut load: BTreeMap<NodeId, usize> = BTreeMap::new();
        for key in keys(KEYS) {
            for &node in ring.replicas(&key) {
                *load.entry(node).or_default() += 1;
            }
        }
        let fair = KEYS * 3 / nodes.len();
        for (node, load) in load {
            prop_assert!(load * 2 >= fair && load <= fair * 2, "{} has {}, fair is {}", node, load, fair);
        }
    }
}

/// Every machine and every release must place keys alike, or data is where nobody looks.
#[test]
fn placement_is_pinned() {
    let ring = Ring::new(&Members::first(5).expect("a cluster"), 64, 3).expect("valid");
    let placed: Vec<String> = ["user:1", "user:2", "user:3", "counter", ""]
        .iter()
        .map(|&key| format!("{key} {:?}", ring.replicas(&Key::from(key))))
        .collect();
    assert_eq!(placed, PLACED);
}

const PLACED: [&str; 5] = [
    "user:1 [n4, n1, n5]",
    "user:2 [n3, n1, n4]",
    "user:3 [n2, n1, n4]",
    "counter [n4, n1, n3]",
    " [n4, n5, n1]",
];

#[test]
fn nonsense_is_refused() {
    let members = Members::first(3).expect("a cluster");
    for (virtual_nodes, replication) in [(0, 1), (1, 0), (1, 4)] {
        assert!(Ring::new(&members, virtual_nodes, replication).is_err());
    }
}
