//! What no right node sends: it is dropped and counted, and nothing breaks.

use std::time::Duration;

use cluster::NodeId;
use proptest::prelude::*;
use quorum::{Config, Entry, Incarnation, Key, Message, OpId, Request, Value, Version};

use crate::rig::{Letter, Rig, all, n};

fn op() -> impl Strategy<Value = OpId> {
    let incarnation = prop_oneof![0..3u32, any::<u32>()].prop_map(Incarnation::new);
    let count = prop_oneof![0..6u64, any::<u64>()];
    (incarnation, count).prop_map(|(incarnation, count)| OpId { incarnation, count })
}

fn version() -> impl Strategy<Value = Version> {
    let counter = prop_oneof![0..4u64, any::<u64>(), Just(u64::MAX)];
    (counter, 0..6u32, op())
        .prop_map(|(counter, writer, op)| Version::new(counter, NodeId::new(writer), op))
}

fn key() -> impl Strategy<Value = Key> {
    prop_oneof![Just("key".into()), Just("other".into()), ".*".prop_map(Key::from)]
}

fn entry() -> impl Strategy<Value = Entry> {
    let value = prop::option::of(prop::collection::vec(any::<u8>(), 0..4).prop_map(Value::from));
    (version(), value).prop_map(|(version, value)| Entry { version, value })
}

fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        Just(Message::Ping),
        Just(Message::Pong),
        (op(), key()).prop_map(|(op, key)| Message::Read { op, key }),
        (op(), entry()).prop_map(|(op, entry)| Message::Held { op, entry }),
        (op(), key()).prop_map(|(op, key)| Message::Query { op, key }),
        (op(), version()).prop_map(|(op, version)| Message::Tag { op, version }),
        (op(), key(), entry()).prop_map(|(op, key, entry)| Message::Store { op, key, entry }),
        (op(), version()).prop_map(|(op, version)| Message::Stored { op, version }),
        (key(), entry()).prop_map(|(key, entry)| Message::Hint { key, entry }),
        (key(), version()).prop_map(|(key, version)| Message::HintStored { key, version }),
    ]
}

proptest! {
    /// Whatever arrives from whomever: no panic, and the node goes on.
    #[test]
    fn no_message_breaks_a_node(
        letters in prop::collection::vec((0..7u32, message()), 1..60), write in any::<bool>(),
    ) {
        let mut rig = Rig::new(Config::default(), 5);
        for (from, message) in letters {
            rig.request(n(1), match write {
                true => Request::put("key", "value"),
                false => Request::get("key"),
            });
            rig.hand_over(Letter { from: n(from), to: n(1), message });
        }
        rig.run(Duration::from_millis(700), all);
        prop_assert_eq!(rig.gauge(n(1), "operations"), 0);
    }
}

#[test]
fn strangers_are_not_heard() {
    let mut rig = Rig::new(Config::default(), 3);
    for from in [n(1), n(9)] {
        rig.hand_over(Letter { from, to: n(1), message: Message::Ping });
    }
    assert!(rig.wire.is_empty());
    assert_eq!(rig.gauge(n(1), "dropped"), 2);
}

/// Only a key's replicas are counted, and only for the operation at hand.
#[test]
fn acknowledgements_count_only_from_replicas_of_this_operation() {
    let mut rig = Rig::new(Config::default().with_quorums(3, 1, 3), 5);
    let nodes = rig.preference("key");
    let coordinator = nodes[0];
    let write = rig.request(coordinator, Request::put("key", "value"));
    rig.wire.clear();
    let version = rig.entry(coordinator, "key").version;
    let op = version.op();
    assert_eq!(version.counter(), 1);
    let earlier = OpId { incarnation: Incarnation::ZERO, ..op };
    let another = OpId { count: op.count + 1, ..op };
    let lesser = Version::new(0, coordinator, op);
    let acks = [
        (nodes[3], op, version),
        (nodes[4], op, version),
        (nodes[1], earlier, version),
        (nodes[1], another, version),
        (nodes[1], op, lesser),
        (nodes[2], op, version),
        (nodes[2], op, version),
    ];
    for (from, op, version) in acks {
        let message = Message::Stored { op, version };
        rig.hand_over(Letter { from, to: coordinator, message });
        assert_eq!(rig.answer(write), None, "{from} {op:?} {version:?} made a quorum");
    }
    assert_eq!(rig.gauge(coordinator, "dropped"), 2);
    let message = Message::Stored { op, version };
    rig.hand_over(Letter { from: nodes[1], to: coordinator, message });
    assert!(rig.answer(write).is_some_and(Result::is_ok));
}

#[test]
fn nothing_is_stored_that_belongs_elsewhere_or_cannot_be() {
    let mut rig = Rig::new(Config::default(), 4);
    let nodes = rig.preference("key");
    let op = OpId { incarnation: Incarnation::new(1), count: 1 };
    let entry = |counter| Entry {
        version: Version::new(counter, nodes[0], op),
        value: Some("value".into()),
    };
    let attempts = [
        (nodes[3], entry(1)),
        (nodes[1], entry(u64::MAX)),
        (nodes[1], Entry { value: Some("value".into()), ..Entry::NEVER }),
    ];
    for (to, entry) in attempts {
        let message = Message::Store { op, key: "key".into(), entry };
        rig.hand_over(Letter { from: nodes[0], to, message });
        assert!(rig.wire.is_empty(), "nothing was acknowledged");
        assert_eq!(rig.node(to).entries().count(), 0);
    }
    assert_eq!((rig.gauge(nodes[3], "dropped"), rig.gauge(nodes[1], "dropped")), (1, 2));
}
