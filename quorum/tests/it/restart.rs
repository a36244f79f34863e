//! What a crash leaves, and what a node may say before its disk is ready.

use cluster::{Boot, EffectsOf, Members, Node, Now, Timestamp, WallTime};
use quorum::{Config, Entry, Incarnation, OpId, Record, Replica, Reply, Request, Version};

use crate::rig::{Fate, Rig, Sync, all, among, n};

#[test]
fn nothing_is_acknowledged_before_it_is_durable() {
    let mut rig = Rig::new(Config::default(), 3);
    rig.set_sync(Sync::Never);
    let write = rig.request(n(1), Request::put("key", "value"));
    rig.deliver(all);
    assert_eq!(rig.answer(write), None);
    assert_eq!(rig.entry(n(2), "key").version.counter(), 1, "it is there, and not on disk");
    rig.set_sync(Sync::AtOnce);
    // Anything that makes the disks sync lets the acknowledgements out.
    rig.run(std::time::Duration::from_millis(200), all);
    rig.done(n(1), Request::put("other", "value"));
    rig.deliver(all);
    assert!(matches!(rig.answer(write), Some(Ok(_))));
}

/// A reader that answered with what a crash then undoes would have seen what never was.
#[test]
fn nothing_is_read_before_it_is_durable() {
    let mut rig = Rig::new(Config::default().with_quorums(3, 1, 3), 3);
    rig.set_sync(Sync::Never);
    rig.request(n(1), Request::put("key", "value"));
    rig.deliver(all);
    let read = rig.request(n(2), Request::Get { key: "key".into(), read_quorum: Some(1) });
    rig.deliver(all);
    assert_eq!(rig.answer(read), None);
    for node in [1, 2, 3] {
        rig.crash(n(node));
    }
    rig.set_sync(Sync::AtOnce);
    for node in [1, 2, 3] {
        rig.restart(n(node));
    }
    assert_eq!(rig.read(n(2), "key", all).0, None);
    assert_eq!(rig.violation, None);
}

#[test]
fn what_was_acknowledged_survives_the_loss_of_power() {
    let mut rig = Rig::new(Config::default(), 3);
    rig.done(n(1), Request::put("kept", "value"));
    rig.done(n(1), Request::put("gone", "value"));
    rig.done(n(1), Request::delete("gone"));
    for node in [1, 2, 3] {
        rig.crash(n(node));
    }
    for node in [1, 2, 3] {
        rig.restart(n(node));
    }
    assert_eq!(rig.read(n(3), "kept", all), "value");
    assert_eq!(rig.read(n(3), "gone", all).0, None);
    assert_eq!((rig.gauge(n(2), "keys"), rig.gauge(n(2), "tombstones")), (1, 1));
    assert_eq!(rig.node(n(2)).incarnation(), Incarnation::new(2));
    assert_eq!(rig.violation, None);
}

/// A coordinator that forgot what it wrote does not write it again under the same name.
#[test]
fn versions_are_not_used_again_after_amnesia() {
    let mut rig = Rig::new(Config::default().with_hints_max(0), 4);
    let nodes = rig.preference("key");
    let (replicas, coordinator) = (&nodes[..3], nodes[3]);
    // It reaches one replica, then the coordinator crashes.
    rig.request(coordinator, Request::put("key", "before"));
    rig.deliver(|letter| match letter.message {
        quorum::Message::Store { .. } if letter.to != replicas[0] => Fate::Drop,
        _ => Fate::Deliver,
    });
    rig.crash(coordinator);
    rig.restart(coordinator);
    // It asks the other two, which have nothing.
    let others = [coordinator, replicas[1], replicas[2]];
    let after = rig.request(coordinator, Request::put("key", "after"));
    rig.deliver(among(&others));
    let Some(Ok(Reply::Written { version, .. })) = rig.answer(after) else { panic!("a quorum") };
    let before = rig.entry(replicas[0], "key").version;
    assert_eq!((before.counter(), before.writer()), (version.counter(), version.writer()));
    assert!(before < *version, "{before:?} and {version:?}");
    assert_eq!(rig.violation, None);
}

/// Until the incarnation is durable nothing may be named by it.
#[test]
fn a_node_coordinates_nothing_before_its_incarnation_is_durable() {
    let mut rig = Rig::new(Config::default(), 3);
    rig.crash(n(1));
    rig.set_sync(Sync::Never);
    rig.restart(n(1));
    let early = rig.request(n(1), Request::put("key", "value"));
    assert!(rig.wire.is_empty(), "{:?}", rig.wire);
    // As a replica it serves at once.
    rig.request(n(2), Request::get("key"));
    rig.deliver(all);
    assert_eq!(rig.answer(early), None);
    rig.set_sync(Sync::AtOnce);
    rig.request(n(1), Request::Status);
    rig.deliver(all);
    assert!(matches!(rig.answer(early), Some(Ok(_))));
}

#[track_caller]
fn check_refused(records: Vec<Record>, problem: &str) {
    let now = Now { monotonic: Timestamp::ZERO, wall: WallTime::from_nanos(0) };
    let members = Members::first(3).expect("a cluster");
    let boot = Boot { id: n(1), members, now, seed: 1, records };
    let refusal = Replica::boot(&Config::default(), boot, &mut EffectsOf::<Replica>::new());
    let refusal = refusal.expect_err("contradictory records");
    assert!(refusal.problem.contains(problem), "{refusal}");
}

#[test]
fn contradictory_disks_are_refused() {
    let booted = |number| Record::Booted { incarnation: Incarnation::new(number) };
    let op = OpId { incarnation: Incarnation::new(1), count: 1 };
    let stored =
        |version| Record::Stored { key: "key".into(), entry: Entry { version, value: None } };
    check_refused(vec![stored(Version::new(1, n(2), op))], "before any boot");
    check_refused(vec![booted(2), booted(2)], "expected one after b2");
    check_refused(vec![booted(1), stored(Version::ZERO)], "expected one of a write");
    check_refused(vec![booted(u32::MAX)], "no incarnation is left");
    let hinted = Record::Hinted { to: n(2), key: "key".into(), entry: Entry::NEVER };
    check_refused(vec![booted(1), hinted], "expected one of a write");
}
