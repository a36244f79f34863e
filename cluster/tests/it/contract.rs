//! The small words of the contract: members, faults as data, digests, chance.

use std::hash::{Hash, Hasher};
use std::time::Duration;

use cluster::{
    ClockFault, Cuts, Damage, Digest, DiskFault, Epoch, Fault, LinkFault, Members, NodeId,
    RequestId, Rng, Timestamp,
};
use proptest::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

use crate::scribe::n;

#[track_caller]
fn check(members: Result<Members, cluster::InvalidConfig>, expected: &str) {
    let got = match members {
        Ok(members) => format!("{:?}", members.as_slice()),
        Err(refusal) => refusal.to_string(),
    };
    assert_eq!(got, expected);
}

#[test]
fn members_are_some_and_distinct_and_not_too_many() {
    check(Members::first(3), "[n1, n2, n3]");
    check(Members::new([n(7), n(2)]), "[n2, n7]");
    check(Members::first(0), "members is 0, expected between 1 and 1024 nodes");
    check(Members::new([]), "members is 0, expected between 1 and 1024 nodes");
    check(Members::new([n(1), n(2), n(1)]), "members is n1, expected each node once");
    check(Members::first(5_000), "members is 5000, expected between 1 and 1024 nodes");
    check(
        Members::first(usize::MAX),
        &format!("members is {}, expected between 1 and 1024 nodes", usize::MAX),
    );
    assert_eq!(Members::first(Members::MAX).expect("just not too many").count(), 1024);
}

#[test]
fn majorities_share_a_node() {
    for count in 1..=100 {
        let majority = Members::first(count).expect("valid").majority();
        assert!(2 * majority > count && 2 * (majority - 1) <= count, "{count}");
    }
}

#[test]
fn members_know_their_places() {
    let members = Members::new([n(30), n(10), n(20)]).expect("valid");
    assert_eq!(members.index_of(n(20)), Some(1));
    assert_eq!(members.index_of(n(11)), None);
    assert_eq!(members.others(n(20)).collect::<Vec<_>>(), [n(10), n(30)]);
}

#[test]
fn names_print_short() {
    let names = format!("{:?} {} {:?} {:?}", n(3), n(4), RequestId::new(3, 17), Epoch::new(9));
    assert_eq!(names, "n3 n4 r3.17 e9");
    assert_eq!(format!("{:?}", Timestamp::from_nanos(1_234_567)), "1.234567ms");
    let last = RequestId::new(RequestId::CLIENT_MAX, RequestId::COUNT_MAX);
    assert_eq!((last.client(), last.count()), (RequestId::CLIENT_MAX, RequestId::COUNT_MAX));
    assert_eq!(Epoch::new(u64::MAX).next(), Epoch::new(u64::MAX));
}

#[test]
fn faults_survive_a_file() {
    let node = n(2);
    let faults = [
        (Fault::Crash { node }, r#"{"fault":"crash","node":2}"#),
        (Fault::Restart { node }, r#"{"fault":"restart","node":2}"#),
        (Fault::Pause { node }, r#"{"fault":"pause","node":2}"#),
        (Fault::Resume { node }, r#"{"fault":"resume","node":2}"#),
        (Fault::PowerLoss, r#"{"fault":"power-loss"}"#),
        (
            Fault::Partition { groups: vec![vec![n(1)], vec![n(2), n(3)]] },
            r#"{"fault":"partition","groups":[[1],[2,3]]}"#,
        ),
        (Fault::Cut { from: vec![n(1)], to: vec![n(2)] }, r#"{"fault":"cut","from":[1],"to":[2]}"#),
        (Fault::Heal, r#"{"fault":"heal"}"#),
        (
            Fault::Links(LinkFault {
                loss_ppm: 1,
                duplicate_ppm: 2,
                delay_ppm: 3,
                delay_max: Duration::from_millis(4),
            }),
            r#"{"fault":"links","loss-ppm":1,"duplicate-ppm":2,"delay-ppm":3,"delay-max":{"secs":0,"nanos":4000000}}"#,
        ),
        (
            Fault::Clock { node, clock: ClockFault { drift_ppm: -5, jump_nanos: 6 } },
            r#"{"fault":"clock","node":2,"clock":{"drift-ppm":-5,"jump-nanos":6}}"#,
        ),
        (Fault::CrashAfter { node, effects: 7 }, r#"{"fault":"crash-after","node":2,"effects":7}"#),
        (
            Fault::Disk {
                node,
                disk: DiskFault {
                    slow: Duration::from_nanos(8),
                    stalled: true,
                    full: false,
                    torn: true,
                },
            },
            r#"{"fault":"disk","node":2,"disk":{"slow":{"secs":0,"nanos":8},"stalled":true,"full":false,"torn":true}}"#,
        ),
        (
            Fault::Rot { node, at_ppm: 9, damage: Damage::Misdirected },
            r#"{"fault":"rot","node":2,"at-ppm":9,"damage":"misdirected"}"#,
        ),
        (Fault::Wipe { node }, r#"{"fault":"wipe","node":2}"#),
    ];
    for (fault, text) in faults {
        assert_eq!(serde_json::to_string(&fault).expect("plain data"), text);
        assert_eq!(serde_json::from_str::<Fault>(text).expect("as written"), fault);
    }
    let short: Fault = serde_json::from_str(r#"{"fault":"links","loss-ppm":9}"#).expect("defaults");
    assert_eq!(short, Fault::Links(LinkFault { loss_ppm: 9, ..LinkFault::default() }));
}

#[test]
fn faults_are_checked() {
    let refused = |fault: Fault| {
        fault.check(&Members::first(2).expect("two")).expect_err("it makes no sense").reason
    };
    let (node, disk) = (n(3), DiskFault::default());
    let stranger = "it names a node that the cluster does not have";
    assert_eq!(refused(Fault::CrashAfter { node, effects: 0 }), stranger);
    assert_eq!(refused(Fault::Disk { node, disk }), stranger);
    assert_eq!(refused(Fault::Rot { node, at_ppm: 0, damage: Damage::Flip }), stranger);
    assert_eq!(refused(Fault::Wipe { node }), stranger);
    let beyond = Fault::Rot { node: n(2), at_ppm: 1_000_001, damage: Damage::Flip };
    assert_eq!(refused(beyond), "it points beyond the last record");
}

#[test]
fn cuts_know_no_strangers() {
    let mut cuts = Cuts::none(3);
    let index_of = |node: NodeId| (node.get() < 3).then_some(node.get() as usize);
    cuts.apply(&Fault::Cut { from: vec![n(0), n(9)], to: vec![n(0), n(2), n(8)] }, index_of);
    let cut: Vec<_> =
        (0..9).map(|link| (link / 3, link % 3)).filter(|&(a, b)| cuts.is_cut(a, b)).collect();
    assert_eq!(cut, [(0, 2)], "and none from a node to itself");
    assert!(cuts.any());
    cuts.apply(&Fault::PowerLoss, index_of);
    assert!(cuts.any(), "no cut, no healing");
    cuts.apply(&Fault::Heal, index_of);
    assert!(!cuts.any());
}

/// The bytes that a value comes to, in the order and the width that the digest promises.
#[test]
fn digests_are_of_little_endian_bytes() {
    let mut digest = Digest::new();
    0x0102_u16.hash(&mut digest);
    0x0102_0304_u32.hash(&mut digest);
    5_u64.hash(&mut digest);
    6_usize.hash(&mut digest);
    (-1_i8).hash(&mut digest);
    (-2_i16).hash(&mut digest);
    (-3_i32).hash(&mut digest);
    (-4_i64).hash(&mut digest);
    (-5_isize).hash(&mut digest);
    7_u128.hash(&mut digest);
    (-8_i128).hash(&mut digest);
    let mut bytes = vec![2, 1, 4, 3, 2, 1];
    bytes.extend(5_u64.to_le_bytes());
    bytes.extend(6_u64.to_le_bytes());
    bytes.push(255);
    bytes.extend((-2_i16).to_le_bytes());
    bytes.extend((-3_i32).to_le_bytes());
    bytes.extend((-4_i64).to_le_bytes());
    bytes.extend((-5_i64).to_le_bytes());
    bytes.extend(7_u128.to_le_bytes());
    bytes.extend((-8_i128).to_le_bytes());
    assert_eq!(digest.finish(), xxh3_64(&bytes));
    assert_eq!(Digest::new().finish(), xxh3_64(&[]));
    assert_eq!(format!("{:?}", Digest::new()), "2d06800538d394c2");
    assert_eq!(Digest::of(&n(7)), xxh3_64(&[7, 0, 0, 0]));
}

proptest! {
    /// However the bytes are cut into writes, and however many they are, the digest is theirs.
    #[test]
    fn digests_do_not_see_the_cuts(writes in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..600), 0..12)) {
        let mut digest = Digest::new();
        let mut all = Vec::new();
        for bytes in &writes {
            digest.write(bytes);
            all.extend_from_slice(bytes);
            prop_assert_eq!(digest.finish(), xxh3_64(&all));
        }
    }

    #[test]
    fn chance_stays_within_its_ranges(seed: u64, low: u64, high: u64, bound: u64) {
        let mut rng = Rng::from_seed(seed);
        let drawn = rng.within(low..=high);
        if low <= high {
            prop_assert!((low..=high).contains(&drawn));
        } else {
            prop_assert_eq!(drawn, low);
        }
        prop_assert!(rng.below(bound) < bound.max(1));
        prop_assert!(!rng.chance(0) && rng.chance(1_000_000));
        let mut items: Vec<u64> = (0..50).collect();
        rng.shuffle(&mut items);
        items.sort_unstable();
        prop_assert_eq!(items, (0..50).collect::<Vec<_>>());
    }
}

/// A seed means the same for ever: the stream is xoshiro256++ from SplitMix64, the ranges are ours.
#[test]
fn chance_is_pinned() {
    let mut rng = Rng::from_seed(0);
    assert_eq!(rng.next(), 0x53175D61490B23DF);
    assert_eq!(rng.next(), 0x61DA6F3DC380D507);
    assert_eq!(rng.below(1_000), 359);
    assert_eq!(rng.fork(7).next(), 7_887_787_790_871_829_800);
    assert_eq!(rng.pick::<u8>(&[]), None);
    assert_eq!(rng.index(0), 0);
    assert_eq!(rng.span(Duration::from_nanos(5)..=Duration::from_nanos(5)).as_nanos(), 5);
}
