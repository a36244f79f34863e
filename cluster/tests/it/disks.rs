//! Disks that are slow, stalled, full, torn, rotten, or empty.

use std::time::Duration;

use cluster::sim::{Options, Sim, Stepped};
use cluster::{Cluster, Damage, DiskFault, Fault, NoAnswer, NodeState, Timestamp};

use crate::scribe::{Answer, Ask, Config, Note, Scribe, configured, done, n, pass, sim};

fn inject(sim: &mut Sim<Scribe>, fault: Fault) {
    sim.inject(&fault).expect("taken");
}

fn disk(sim: &mut Sim<Scribe>, node: u32, disk: DiskFault) {
    inject(sim, Fault::Disk { node: n(node), disk });
}

fn reboot(sim: &mut Sim<Scribe>, node: u32) {
    inject(sim, Fault::Crash { node: n(node) });
    inject(sim, Fault::Restart { node: n(node) });
}

fn heard(sim: &Sim<Scribe>, node: u32) -> Vec<Note> {
    sim.node(n(node)).expect("up").heard.iter().map(|(_, note)| *note).collect()
}

const STALLED: DiskFault =
    DiskFault { slow: Duration::ZERO, stalled: true, full: false, torn: false };
const FULL: DiskFault = DiskFault { slow: Duration::ZERO, stalled: false, full: true, torn: false };
const TORN: DiskFault = DiskFault { slow: Duration::ZERO, stalled: false, full: false, torn: true };
const SOUND: DiskFault =
    DiskFault { slow: Duration::ZERO, stalled: false, full: false, torn: false };

#[test]
fn a_slow_disk_takes_so_much_longer() {
    for (seed, sync) in (0..50).flat_map(|seed| [(seed, 0), (seed, 100)]) {
        let sync = Duration::ZERO..=Duration::from_micros(sync);
        let mut sim = configured(2, Config::default(), Options { sync, ..Options::seeded(seed) });
        let slow = Duration::from_millis(100);
        disk(&mut sim, 1, DiskFault { slow, ..SOUND });
        let asked = sim.now();
        sim.submit(n(1), Ask::Append(1));
        assert!(pass(&mut sim, 100).is_empty(), "seed {seed}");
        assert_eq!(heard(&sim, 2), [Note::Soon(1)], "the network goes on");
        // The process goes on as well: what waits for nothing is answered.
        sim.submit(n(1), Ask::Count);
        let ends = pass(&mut sim, 20);
        assert!(ends.iter().any(|it| it.outcome == Ok(Answer::Done)), "seed {seed}");
        assert!(ends.iter().any(|it| it.outcome == Ok(Answer::Count(1))), "seed {seed}");
        assert_eq!(heard(&sim, 2), [Note::Soon(1), Note::Safe(1)]);
        disk(&mut sim, 1, SOUND);
        let sound = sim.now();
        done(&mut sim, 1, Ask::Append(2));
        assert!(sim.now().since(sound) < sound.since(asked) / 10);
    }
}

/// Group commit is not undone by a slow disk: one sync serves all that was written before it began.
#[test]
fn a_power_loss_takes_what_a_slow_disk_had_not_synced() {
    for seed in 0..50 {
        let mut sim = sim(1, seed);
        done(&mut sim, 1, Ask::Append(1));
        disk(&mut sim, 1, DiskFault { slow: Duration::from_secs(1), ..SOUND });
        let lost = sim.submit(n(1), Ask::Append(2));
        assert!(pass(&mut sim, 500).is_empty());
        inject(&mut sim, Fault::PowerLoss);
        let ends = pass(&mut sim, 2_000);
        assert_eq!((ends[0].request, &ends[0].outcome), (lost, &Err(NoAnswer::Lost)));
        inject(&mut sim, Fault::Restart { node: n(1) });
        assert_eq!(sim.node(n(1)).expect("up").written, [1]);
    }
}

#[test]
fn while_a_disk_is_stalled_only_what_waits_for_it_waits() {
    for seed in 0..50 {
        // Of zero: a disk that needs no time stalls as well.
        let sync = Duration::ZERO..=Duration::from_micros(if seed % 2 == 0 { 0 } else { 300 });
        let mut sim = configured(2, Config::default(), Options { sync, ..Options::seeded(seed) });
        disk(&mut sim, 1, STALLED);
        sim.submit(n(1), Ask::Append(1));
        sim.submit(n(1), Ask::Append(2));
        assert!(pass(&mut sim, 10_000).is_empty(), "seed {seed}");
        let mut soon = heard(&sim, 2);
        soon.sort_by_key(|note| format!("{note:?}"));
        assert_eq!(soon, [Note::Soon(1), Note::Soon(2)], "seed {seed}");
        assert!(sim.durable(n(1)).is_empty());
        disk(&mut sim, 1, SOUND);
        assert_eq!(pass(&mut sim, 5).len(), 2, "seed {seed}");
        assert_eq!((heard(&sim, 2).len(), sim.durable(n(1)).len()), (4, 2));
        done(&mut sim, 1, Ask::Append(3));
    }
}

/// A disk that stalls while its process is paused tells it when both go on, in either order.
#[test]
fn a_stalled_disk_under_a_paused_process() {
    for seed in 0..50 {
        let mut sim = sim(1, seed);
        disk(&mut sim, 1, STALLED);
        sim.submit(n(1), Ask::Append(1));
        pass(&mut sim, 5);
        inject(&mut sim, Fault::Pause { node: n(1) });
        if seed % 2 == 0 {
            disk(&mut sim, 1, SOUND);
            pass(&mut sim, 5);
            assert_eq!(sim.durable(n(1)), [1], "a disk goes on without its process");
            inject(&mut sim, Fault::Resume { node: n(1) });
        } else {
            inject(&mut sim, Fault::Resume { node: n(1) });
            assert!(pass(&mut sim, 5).is_empty());
            disk(&mut sim, 1, SOUND);
        }
        assert_eq!(pass(&mut sim, 5).len(), 1, "seed {seed}");
        done(&mut sim, 1, Ask::Append(2));
    }
}

/// What stalled does not reach into the next life.
#[test]
fn a_crash_on_a_stalled_disk() {
    for seed in 0..50 {
        let mut sim = sim(1, seed);
        disk(&mut sim, 1, STALLED);
        sim.submit(n(1), Ask::Append(1));
        pass(&mut sim, 5);
        inject(&mut sim, Fault::PowerLoss);
        inject(&mut sim, Fault::Restart { node: n(1) });
        if seed % 2 == 0 {
            // Nothing is left that could end.
            disk(&mut sim, 1, SOUND);
            pass(&mut sim, 5);
            assert!(sim.durable(n(1)).is_empty());
            disk(&mut sim, 1, STALLED);
        }
        let waits = sim.submit(n(1), Ask::Append(2));
        let ends = pass(&mut sim, 5);
        assert!(ends.iter().all(|it| it.request != waits), "still stalled");
        disk(&mut sim, 1, SOUND);
        assert_eq!(pass(&mut sim, 5).len(), 1);
        assert_eq!(sim.durable(n(1)), [2], "seed {seed}");
    }
}

#[test]
fn a_full_disk_kills_whoever_writes_until_there_is_room() {
    for seed in 0..50 {
        let mut sim = sim(2, seed);
        done(&mut sim, 1, Ask::Append(1));
        disk(&mut sim, 1, FULL);
        done(&mut sim, 1, Ask::Flood { to: n(2), count: 1 });
        for _ in 0..3 {
            sim.submit(n(1), Ask::Append(2));
            assert_eq!(pass(&mut sim, 5)[0].outcome, Err(NoAnswer::Lost), "seed {seed}");
            assert_eq!(sim.state(n(1)), NodeState::Down);
            assert_eq!(sim.durable(n(1)), [1], "nothing of that record is written");
            assert_eq!(sim.refusal(n(1)), None, "it did not refuse, it died");
            inject(&mut sim, Fault::Restart { node: n(1) });
            assert_eq!(sim.node(n(1)).expect("it boots").written, [1]);
        }
        disk(&mut sim, 1, SOUND);
        done(&mut sim, 1, Ask::Append(3));
        assert_eq!(sim.durable(n(1)), [1, 3]);
        let told = heard(&sim, 2);
        assert!(!told.contains(&Note::Soon(2)), "it stopped at the record: {told:?}");
    }
}

/// A torn record is no record: it is cut off, and counted by nobody.
#[test]
fn a_torn_tail_is_cut_off() {
    let (mut torn, mut whole) = (0, 0);
    for seed in 0..200 {
        let mut sim = sim(1, seed);
        done(&mut sim, 1, Ask::Append(1));
        disk(&mut sim, 1, TORN);
        sim.submit(n(1), Ask::Append(2));
        while sim.node(n(1)).is_some_and(|it| it.written.len() < 2) {
            assert_ne!(sim.step(Timestamp::MAX), Stepped::Idle);
        }
        let power = seed % 2 == 0;
        inject(&mut sim, if power { Fault::PowerLoss } else { Fault::Crash { node: n(1) } });
        let was_torn = sim.is_torn(n(1));
        torn += u32::from(was_torn);
        let kept = sim.durable(n(1)).to_vec();
        assert!(!(was_torn && kept.len() == 2), "a torn record is not whole");
        assert!(!(power && kept.len() == 2), "nor does it survive the power's loss");
        whole += u32::from(kept.len() == 2);
        inject(&mut sim, Fault::Restart { node: n(1) });
        assert_eq!(sim.node(n(1)).expect("it boots").written, kept, "seed {seed}");
        assert!(!sim.is_torn(n(1)));
        pass(&mut sim, 5); // until the end of the request has come
        // Records are counted from what was left, or the scribe's own checks fail.
        done(&mut sim, 1, Ask::Append(3));
        let all = [&kept[..], &[3]].concat();
        assert_eq!(sim.durable(n(1)), all);
        reboot(&mut sim, 1);
        assert_eq!(sim.node(n(1)).expect("it boots").written, all);
    }
    assert!(torn > 40 && whole > 20, "{torn} torn, {whole} whole");
}

/// What a boot makes of `damage` to the record at `at_ppm` of three.
fn rotten(at_ppm: u32, damage: Damage) -> Result<Vec<u64>, String> {
    let mut sim = sim(1, 1);
    for value in [10, 11, 12] {
        done(&mut sim, 1, Ask::Append(value));
    }
    inject(&mut sim, Fault::Rot { node: n(1), at_ppm, damage });
    assert_eq!(sim.node(n(1)).expect("up").written, [10, 11, 12], "who runs does not notice");
    reboot(&mut sim, 1);
    match sim.refusal(n(1)).map(ToString::to_string) {
        Some(refusal) => {
            assert_eq!(sim.state(n(1)), NodeState::Down);
            assert_eq!(sim.durable(n(1)).len(), 3, "nothing is thrown away");
            inject(&mut sim, Fault::Restart { node: n(1) });
            assert!(sim.node(n(1)).is_none(), "and again");
            Err(refusal)
        }
        None => Ok(sim.node(n(1)).expect("up").written.clone()),
    }
}

#[track_caller]
fn check(at_ppm: u32, damage: Damage, expected: Result<&[u64], &str>) {
    let expected = expected.map(<[u64]>::to_vec).map_err(str::to_owned);
    assert_eq!(rotten(at_ppm, damage), expected);
}

#[test]
fn rot_under_sound_records_is_refused_by_name() {
    check(
        0,
        Damage::Flip,
        Err("record 0 on the disk of n1: its checksum does not match, though sound records \
             follow, expected a match"),
    );
    check(
        500_000,
        Damage::Lost,
        Err("record 1 on the disk of n1: it is missing, though sound records follow, expected \
             none to be missing"),
    );
    check(
        999_999,
        Damage::Misdirected,
        Err("record 1 on the disk of n1: it carries another record's number, expected its own"),
    );
}

/// The store has no other mark of how far it was durable: see [`Damage`].
#[test]
fn rot_of_the_last_record_passes_for_a_torn_write() {
    check(1_000_000, Damage::Flip, Ok(&[10, 11]));
    check(1_000_000, Damage::Lost, Ok(&[10, 11]));
    check(
        1_000_000,
        Damage::Misdirected,
        Err("record 2 on the disk of n1: it carries another record's number, expected its own"),
    );
}

/// Rot at the end that nobody noticed is no longer at the end once more is written.
#[test]
fn rot_is_found_when_records_follow_it() {
    let mut sim = sim(1, 1);
    let rot = Fault::Rot { node: n(1), at_ppm: 1_000_000, damage: Damage::Flip };
    inject(&mut sim, rot.clone());
    done(&mut sim, 1, Ask::Append(10));
    inject(&mut sim, rot);
    done(&mut sim, 1, Ask::Append(11));
    reboot(&mut sim, 1);
    assert_eq!(sim.refusal(n(1)).expect("refused").position, 0);
    inject(&mut sim, Fault::Wipe { node: n(1) });
    inject(&mut sim, Fault::Restart { node: n(1) });
    assert_eq!(sim.refusal(n(1)), None, "a new disk helps");
    done(&mut sim, 1, Ask::Append(12));
}

/// Two records in a row at the end: both are cut.
#[test]
fn all_damage_at_the_end_is_cut() {
    let mut sim = sim(1, 1);
    for value in [10, 11, 12] {
        done(&mut sim, 1, Ask::Append(value));
    }
    for (at_ppm, damage) in [(1_000_000, Damage::Flip), (500_000, Damage::Lost)] {
        inject(&mut sim, Fault::Rot { node: n(1), at_ppm, damage });
    }
    reboot(&mut sim, 1);
    assert_eq!(sim.node(n(1)).expect("it boots").written, [10]);
    done(&mut sim, 1, Ask::Append(13));
    reboot(&mut sim, 1);
    assert_eq!(sim.node(n(1)).expect("it boots").written, [10, 13]);
}

#[test]
fn a_wiped_node_comes_back_with_nothing() {
    for down in [false, true] {
        let mut sim = sim(2, 1);
        done(&mut sim, 1, Ask::Append(1));
        let lost = sim.submit(n(1), Ask::Ignore);
        pass(&mut sim, 5);
        if down {
            inject(&mut sim, Fault::Crash { node: n(1) });
        }
        inject(&mut sim, Fault::Wipe { node: n(1) });
        assert_eq!(sim.state(n(1)), NodeState::Down);
        let ends = pass(&mut sim, 5);
        assert_eq!((ends[0].request, &ends[0].outcome), (lost, &Err(NoAnswer::Lost)));
        assert!(sim.durable(n(1)).is_empty());
        inject(&mut sim, Fault::Restart { node: n(1) });
        assert!(sim.node(n(1)).expect("it boots").written.is_empty());
        done(&mut sim, 1, Ask::Append(2));
        assert_eq!(sim.durable(n(1)), [2]);
    }
}

/// What a node lets go is gone, counted from its boot; what it holds on to keeps its place, through
/// damage and crashes.
#[test]
fn records_that_are_let_go_are_gone() {
    let mut sim = sim(1, 4);
    (1..=5).for_each(|value| done(&mut sim, 1, Ask::Append(value)));
    done(&mut sim, 1, Ask::Forget(3));
    assert_eq!(sim.durable(n(1)), [3, 4, 5]);
    done(&mut sim, 1, Ask::Forget(2));
    done(&mut sim, 1, Ask::Forget(0));
    assert_eq!(sim.durable(n(1)), [3, 4, 5], "what is gone stays gone");
    reboot(&mut sim, 1);
    pass(&mut sim, 10);
    assert_eq!(sim.node(n(1)).expect("up").written, [3, 4, 5]);
    (6..=8).for_each(|value| done(&mut sim, 1, Ask::Append(value)));
    // The second record since the boot, and with it what was there before.
    done(&mut sim, 1, Ask::Forget(2));
    assert_eq!(sim.durable(n(1)), [7, 8]);
    done(&mut sim, 1, Ask::Forget(99));
    assert_eq!(sim.durable(n(1)), [0u64; 0], "no more than is there");
    done(&mut sim, 1, Ask::Append(9));
    assert_eq!(sim.node(n(1)).expect("up").durable.0, 4, "the count goes on");
    done(&mut sim, 1, Ask::Append(10));
    inject(&mut sim, Fault::Rot { node: n(1), at_ppm: 0, damage: Damage::Flip });
    reboot(&mut sim, 1);
    let refusal = sim.refusal(n(1)).expect("sound records follow");
    assert_eq!(refusal.position, 0);
}
