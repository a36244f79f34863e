//! Versions are totally ordered, and merging them is a join.

use cluster::NodeId;
use proptest::prelude::*;
use quorum::{Entry, Incarnation, OpId, Value, Version};

fn version() -> impl Strategy<Value = Version> {
    (0..4u64, 1..4u32, 1..3u32, 1..3u64).prop_map(|(counter, writer, incarnation, count)| {
        let op = OpId { incarnation: Incarnation::new(incarnation), count };
        match counter {
            0 => Version::ZERO,
            _ => Version::new(counter, NodeId::new(writer), op),
        }
    })
}

/// Entries in which, as in a store, a version has one value.
fn entry() -> impl Strategy<Value = Entry> {
    version().prop_map(|version| {
        let deleted = version.is_zero() || version.op().count == 2;
        let value = (!deleted).then(|| Value::from(format!("{version:?}")));
        Entry { version, value }
    })
}

proptest! {
    #[test]
    fn merge_is_a_join(a in entry(), b in entry(), c in entry()) {
        let merge = |a: &Entry, b: &Entry| a.clone().merge(b.clone());
        prop_assert_eq!(merge(&a, &b), merge(&b, &a));
        prop_assert_eq!(merge(&merge(&a, &b), &c), merge(&a, &merge(&b, &c)));
        prop_assert_eq!(merge(&a, &a), a.clone());
        prop_assert_eq!(merge(&a, &Entry::NEVER), a.clone());
        prop_assert!(merge(&a, &b).version >= a.version.max(b.version));
    }

    #[test]
    fn order_is_total_and_agrees_with_equality(a in version(), b in version(), c in version()) {
        let count = usize::from(a < b) + usize::from(a == b) + usize::from(a > b);
        prop_assert_eq!(count, 1);
        if a <= b && b <= c {
            prop_assert!(a <= c);
        }
        if a.counter() < b.counter() {
            prop_assert!(a < b);
        }
        prop_assert!(Version::ZERO <= a);
    }
}

#[test]
fn names_print_short() {
    let op = OpId { incarnation: Incarnation::new(2), count: 7 };
    let version = Version::new(5, NodeId::new(3), op);
    assert_eq!(format!("{version:?} {:?}", Version::ZERO), "v5.n3.b2#7 v0");
    let entry = Entry { version, value: Some("x".into()) };
    assert_eq!(format!("{entry:?}"), "\"x\"[v5.n3.b2#7]");
    assert_eq!(format!("{:?}", Value::from(vec![0xff, 0xfe])), "[2 bytes]");
}
