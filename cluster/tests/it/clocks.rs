//! Clocks: rates, jumps, origins, and alarms that ring by them.

use std::time::Duration;

use cluster::{Clock, ClockFault, Cluster, Fault, Rng, Timestamp, WallTime};
use proptest::prelude::*;

use crate::scribe::{Ask, done, n, pass, sim};

const WALL: WallTime = WallTime::from_nanos(1_700_000_000_000_000_000);

/// A clock with a history of drifts and jumps, and true time at its end.
fn bent(origin: u64, changes: &[(u64, i32, i64)]) -> (Clock, Timestamp) {
    let mut clock = Clock::new(Timestamp::ZERO, Timestamp::from_nanos(origin), WALL);
    let mut at = Timestamp::ZERO;
    for &(passed, drift_ppm, jump) in changes {
        at += Duration::from_nanos(passed);
        clock.drift(at, drift_ppm);
        clock.jump_wall(at, jump);
    }
    (clock, at)
}

fn changes() -> impl Strategy<Value = Vec<(u64, i32, i64)>> {
    let change = (0..10_000_000_000_u64, -600_000..600_000_i32, -5_000_000_000..5_000_000_000_i64);
    prop::collection::vec(change, 0..5)
}

proptest! {
    /// `true_time` names the very first nanosecond at which the clock shows a reading.
    #[test]
    fn true_time_is_the_first_at_which_the_clock_shows_it(
        origin in 0..3_600_000_000_000_u64,
        changes in changes(),
        ahead in 0..100_000_000_000_u64,
    ) {
        let (clock, since) = bent(origin, &changes);
        let reading = clock.read(since).monotonic + Duration::from_nanos(ahead);
        let at = clock.true_time(reading);
        prop_assert!(at >= since);
        prop_assert!(clock.read(at).monotonic >= reading);
        if at > since {
            let before = at - Duration::from_nanos(1);
            prop_assert!(clock.read(before).monotonic < reading);
        }
    }

    /// The monotonic clock never goes back, however it is bent, and the wall clock does not move it.
    #[test]
    fn monotonic_never_goes_back(
        origin in 0..3_600_000_000_000_u64,
        changes in changes(),
        more in 0..10_000_000_000_u64,
        drift in -600_000..600_000_i32,
        jump: i64,
    ) {
        let (mut clock, since) = bent(origin, &changes);
        let at = since + Duration::from_nanos(more);
        let before = clock.read(at);
        clock.drift(at, drift);
        prop_assert_eq!(clock.read(at), before, "a change of rate moves nothing by itself");
        clock.jump_wall(at, jump);
        let after = clock.read(at);
        prop_assert_eq!(after.monotonic, before.monotonic);
        let wall = i128::from(before.wall.as_nanos()) + i128::from(jump);
        prop_assert_eq!(i128::from(after.wall.as_nanos()), wall.clamp(0, i128::from(u64::MAX)));
        let later = clock.read(at + Duration::from_nanos(1));
        prop_assert!(later.monotonic >= after.monotonic);
    }

    /// A clock that runs `ppm` too fast counts so many millionths more.
    #[test]
    fn drift_is_a_rate(ppm in -500_000..500_000_i32, passed in 0..1_000_000_000_000_u64) {
        let (clock, _) = bent(0, &[(0, ppm, 0)]);
        let read = clock.read(Timestamp::from_nanos(passed));
        let expected = u128::from(passed) * (1_000_000 + i128::from(ppm)) as u128 / 1_000_000;
        prop_assert_eq!(u128::from(read.monotonic.as_nanos()), expected);
        prop_assert_eq!(u128::from(read.wall.as_nanos() - WALL.as_nanos()), expected);
    }
}

#[test]
fn clocks_hold_at_the_ends_of_time() {
    let mut clock = Clock::new(Timestamp::ZERO, Timestamp::from_nanos(5), WALL);
    assert_eq!(clock.true_time(Timestamp::ZERO), Timestamp::ZERO, "shown already");
    assert_eq!(clock.read(Timestamp::MAX).monotonic, Timestamp::MAX);
    clock.drift(Timestamp::ZERO, i32::MIN);
    assert_eq!(clock.true_time(Timestamp::MAX), Timestamp::MAX, "never");
    assert_eq!(clock.read(Timestamp::from_nanos(100)).monotonic, Timestamp::from_nanos(55));
    assert_eq!(Timestamp::from_millis(u64::MAX), Timestamp::MAX);
    assert_eq!(Timestamp::MAX + Duration::MAX, Timestamp::MAX);
    assert_eq!(Timestamp::ZERO - Duration::MAX, Timestamp::ZERO);
}

/// An alarm rings at the first nanosecond of true time at which the node's own clock shows its
/// deadline, though the clock changes its rate meanwhile.
#[test]
fn alarms_ring_on_time_by_the_nodes_own_clock() {
    for seed in 0..200 {
        let mut sim = sim(1, seed);
        let mut rng = Rng::from_seed(seed);
        done(&mut sim, 1, Ask::RingIn(Some(Duration::from_millis(100))));
        let changes = rng.below(4);
        for _ in 0..changes {
            let drift_ppm = rng.within(0..=800_000) as i32 - 400_000;
            let clock = ClockFault { drift_ppm, jump_nanos: rng.next() as i64 / 4 };
            sim.inject(&Fault::Clock { node: n(1), clock }).expect("taken");
            assert!(pass(&mut sim, rng.within(1..=15)).is_empty());
        }
        let due = sim.node(n(1)).expect("up").due.expect("set");
        while sim.node(n(1)).expect("up").rings.is_empty() {
            sim.step(Timestamp::MAX);
        }
        let (was_due, rang) = sim.node(n(1)).expect("up").rings[0];
        assert_eq!(was_due, due);
        // A slow clock shows each reading for up to two true nanoseconds, a fast one skips some.
        assert!(rang.since(due) <= Duration::from_nanos(1), "seed {seed}: {due:?} {rang:?}");
    }
}

#[test]
fn wall_jumps_move_no_monotonic_clock() {
    let mut sim = sim(1, 1);
    pass(&mut sim, 5);
    for jump_nanos in [3_600_000_000_000, -7_200_000_000_000] {
        let before = sim.clock(n(1));
        let clock = ClockFault { drift_ppm: 0, jump_nanos };
        sim.inject(&Fault::Clock { node: n(1), clock }).expect("taken");
        let after = sim.clock(n(1));
        assert_eq!(after.monotonic, before.monotonic);
        let moved = after.wall.as_nanos().wrapping_sub(before.wall.as_nanos()) as i64;
        assert_eq!(moved, jump_nanos);
    }
}

#[test]
fn each_boot_has_its_own_origin_and_seed() {
    let mut sim = sim(3, 1);
    let mut origins = Vec::new();
    let mut seeds = Vec::new();
    for _ in 0..5 {
        for node in [n(1), n(2), n(3)] {
            let born = sim.node(node).expect("up");
            origins.push(born.born.monotonic);
            seeds.push(born.seed);
            sim.inject(&Fault::Crash { node }).expect("taken");
            sim.inject(&Fault::Restart { node }).expect("taken");
        }
    }
    for list in [&mut seeds, &mut origins.iter().map(|it| it.as_nanos()).collect()] {
        list.sort_unstable();
        list.dedup();
        assert_eq!(list.len(), 15);
    }
}

#[test]
fn a_deadline_in_the_past_does_not_stop_time() {
    let mut sim = sim(1, 1);
    done(&mut sim, 1, Ask::RingAtOnce(u32::MAX));
    let before = sim.now();
    assert!(pass(&mut sim, 10).is_empty());
    assert_eq!(sim.now().since(before), Duration::from_millis(10));
    let rings = sim.node(n(1)).expect("up").rings.len();
    assert!((1_000..=11_000).contains(&rings), "{rings} in 10 ms");
}

/// A node that means "never" by the latest time there is keeps nobody at the end of time.
#[test]
fn the_end_of_time_is_never() {
    let mut sim = sim(1, 1);
    done(&mut sim, 1, Ask::RingIn(None));
    assert!(sim.poll(Timestamp::MAX).is_none());
    assert!(sim.node(n(1)).expect("up").rings.is_empty());
}
