//! Configurations that make no sense, and what those that do may claim.

use std::time::Duration;

use cluster::{Members, Node};
use quorum::{Config, Guarantee, Repair, Replica, Versioning};

#[track_caller]
fn check(config: Config, expected: &str) {
    let members = Members::first(3).expect("a cluster");
    let result = Replica::validate(&config, &members);
    let said = result.map_or_else(|invalid| invalid.to_string(), |()| "fine".into());
    assert_eq!(said, expected);
}

#[test]
fn nonsense_is_refused_by_name() {
    let config = Config::default;
    check(config(), "fine");
    check(config().with_quorums(3, 1, 1), "fine");
    let n = "between 1 and 3 (at most the nodes of the cluster, and 64)";
    check(config().with_replication(4), &format!("replication is 4, expected {n}"));
    check(config().with_replication(0), &format!("replication is 0, expected {n}"));
    let q = "between 1 and 3 (at most the replication)";
    check(config().with_read_quorum(0), &format!("read_quorum is 0, expected {q}"));
    check(config().with_read_quorum(4), &format!("read_quorum is 4, expected {q}"));
    check(config().with_write_quorum(0), &format!("write_quorum is 0, expected {q}"));
    check(config().with_write_quorum(4), &format!("write_quorum is 4, expected {q}"));
    check(
        config().with_virtual_nodes(0),
        "virtual_nodes is 0, expected between 1 and 4096 (at most 4096)",
    );
    check(config().with_hint_replay_batch(0), "hint_replay_batch is 0, expected at least 1");
    check(config().with_operations_max(0), "operations_max is 0, expected at least 1");
    check(config().with_timeout(Duration::ZERO), "timeout is 0ns, expected at least 1µs");
    check(
        config().with_suspect_after(Duration::from_millis(1)),
        "suspect_after is 1ms, expected at least the probe interval, 100ms",
    );
}

#[test]
fn claims_follow_from_quorums_versions_and_repair() {
    let of = |(n, r, w), versioning, repair| {
        let config = Config::default().with_quorums(n, r, w);
        config.with_versioning(versioning).with_repair(repair).guarantee()
    };
    use {Guarantee::*, Repair::*, Versioning::*};
    for repair in [WriteBack, Background, Off] {
        assert_eq!(of((3, 1, 2), Tagged, repair), Convergent);
        assert_eq!(of((3, 2, 2), WallClock, repair), Convergent);
    }
    assert_eq!(of((3, 2, 2), Tagged, Off), Regular);
    assert_eq!(of((3, 2, 2), Tagged, Background), Regular);
    assert_eq!(of((3, 2, 2), Tagged, WriteBack), Linearizable);
    assert_eq!(of((3, 1, 3), Tagged, WriteBack), Linearizable);
    assert!(Convergent < Regular && Regular < Linearizable);
    // A write to 1 of 3 meets every read of 3, and a read of 1 every write of 3, but not each
    // other: neither may claim what both would need.
    let all = Config::default().with_quorums(3, 3, 3);
    assert_eq!(all.read_guarantee(1), Convergent);
    assert_eq!(all.write_guarantee(1), Convergent);
    assert_eq!(all.write_guarantee(3), Linearizable);
}
