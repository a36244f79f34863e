//! Threads: crashes between effects, and disks that fail, in real time.

use std::time::{Duration, Instant};

use cluster::threads::{Refusal, Threads};
use cluster::{Cluster, Damage, DiskFault, Fault, NoAnswer, NodeState};

use crate::scribe::{Answer, Ask, Config, Scribe, eventually, n};
use crate::threads_calls::{LONG, gauge, inject, start};

fn disk(cluster: &mut Threads<Scribe>, node: u32, disk: DiskFault) {
    inject(cluster, Fault::Disk { node: n(node), disk });
}

fn append(cluster: &Threads<Scribe>, value: u64) {
    assert_eq!(cluster.client().call(n(1), Ask::Append(value), LONG), Ok(Answer::Done));
}

fn count(cluster: &Threads<Scribe>) -> u64 {
    match cluster.client().call(n(1), Ask::Count, LONG) {
        Ok(Answer::Count(count)) => count,
        other => panic!("{other:?}"),
    }
}

/// Asks n1 to append `value`, and returns what came of it.
fn end(cluster: &mut Threads<Scribe>, value: u64) -> Result<Answer, NoAnswer> {
    let id = cluster.submit(n(1), Ask::Append(value));
    let end = cluster.poll(cluster.now() + LONG).expect("an end");
    assert_eq!(end.request, id);
    end.outcome
}

/// Of seven effects: the record, a note to each of two at once and one when it is durable, which is
/// at once, an event and an answer.
#[test]
fn after_every_effect_of_a_batch() {
    for effects in 0..=7_u32 {
        let mut cluster = start(3, Config::default());
        inject(&mut cluster, Fault::CrashAfter { node: n(1), effects });
        let answered = end(&mut cluster, 7);
        let expected = if effects >= 6 { Ok(Answer::Done) } else { Err(NoAnswer::Lost) };
        assert_eq!(answered, expected, "{effects} effects");
        assert_eq!(cluster.state(n(1)), NodeState::Down, "{effects} effects");
        // Its mail was in their inboxes before it died.
        let heard = |node| gauge(&cluster, node, "heard") as u32;
        assert_eq!(heard(2) + heard(3), effects.clamp(1, 5) - 1, "{effects} effects");
        inject(&mut cluster, Fault::Restart { node: n(1) });
        assert_eq!(count(&cluster), u64::from(effects > 0), "{effects} effects");
        append(&cluster, 8);
        cluster.shutdown();
    }
}

#[test]
fn a_restart_calls_it_off() {
    let mut cluster = start(1, Config::default());
    inject(&mut cluster, Fault::CrashAfter { node: n(1), effects: 0 });
    inject(&mut cluster, Fault::Restart { node: n(1) });
    append(&cluster, 1);
    inject(&mut cluster, Fault::CrashAfter { node: n(1), effects: 0 });
    inject(&mut cluster, Fault::Crash { node: n(1) });
    inject(&mut cluster, Fault::Restart { node: n(1) });
    append(&cluster, 2);
    cluster.shutdown();
}

#[test]
fn a_slow_disk_takes_so_much_longer_and_the_process_goes_on() {
    let mut cluster = start(2, Config::default());
    let slow = Duration::from_millis(200);
    disk(&mut cluster, 1, DiskFault { slow, ..DiskFault::default() });
    let asked = Instant::now();
    let id = cluster.submit(n(1), Ask::Append(1));
    assert_eq!(count(&cluster), 1, "what waits for nothing is answered");
    eventually("the open note is heard", || gauge(&cluster, 2, "heard") >= 1);
    let end = cluster.poll(cluster.now() + LONG).expect("an answer");
    assert_eq!((end.request, end.outcome), (id, Ok(Answer::Done)));
    assert!(asked.elapsed() >= slow, "{:?}", asked.elapsed());
    eventually("the gated note is heard", || gauge(&cluster, 2, "heard") == 2);
    cluster.shutdown();
}

#[test]
fn while_a_disk_is_stalled_only_what_waits_for_it_waits() {
    let mut cluster = start(2, Config::default());
    disk(&mut cluster, 1, DiskFault { stalled: true, ..DiskFault::default() });
    cluster.submit(n(1), Ask::Append(1));
    cluster.submit(n(1), Ask::Append(2));
    eventually("the open notes are heard", || gauge(&cluster, 2, "heard") == 2);
    assert!(cluster.poll(cluster.now() + Duration::from_millis(30)).is_none());
    assert_eq!(gauge(&cluster, 2, "heard"), 2);
    // A paused process is told when it goes on.
    inject(&mut cluster, Fault::Pause { node: n(1) });
    disk(&mut cluster, 1, DiskFault::default());
    assert!(cluster.poll(cluster.now() + Duration::from_millis(30)).is_none());
    inject(&mut cluster, Fault::Resume { node: n(1) });
    for _ in 0..2 {
        let end = cluster.poll(cluster.now() + LONG).expect("an answer");
        assert_eq!(end.outcome, Ok(Answer::Done));
    }
    eventually("the gated notes are heard", || gauge(&cluster, 2, "heard") == 4);
    append(&cluster, 3);
    cluster.shutdown();
}

#[test]
fn a_power_loss_takes_what_was_not_synced() {
    let mut cluster = start(1, Config::default());
    append(&cluster, 1);
    disk(&mut cluster, 1, DiskFault { stalled: true, ..DiskFault::default() });
    let lost = cluster.submit(n(1), Ask::Append(2));
    assert_eq!(count(&cluster), 2, "written, not durable");
    inject(&mut cluster, Fault::PowerLoss);
    let end = cluster.poll(cluster.now() + LONG).expect("an end");
    assert_eq!((end.request, end.outcome), (lost, Err(NoAnswer::Lost)));
    disk(&mut cluster, 1, DiskFault::default());
    inject(&mut cluster, Fault::Restart { node: n(1) });
    assert_eq!(count(&cluster), 1);
    append(&cluster, 3);
    assert_eq!(count(&cluster), 2);
    cluster.shutdown();
}

#[test]
fn a_full_disk_kills_whoever_writes_until_there_is_room() {
    let mut cluster = start(1, Config::default());
    append(&cluster, 1);
    disk(&mut cluster, 1, DiskFault { full: true, ..DiskFault::default() });
    for _ in 0..3 {
        assert_eq!(count(&cluster), 1);
        assert_eq!(end(&mut cluster, 2), Err(NoAnswer::Lost));
        assert_eq!(cluster.state(n(1)), NodeState::Down);
        let why = cluster.refusal(n(1)).expect("nobody stopped it");
        assert!(why.to_string().contains("the disk is full"), "{why}");
        inject(&mut cluster, Fault::Restart { node: n(1) });
    }
    disk(&mut cluster, 1, DiskFault::default());
    append(&cluster, 3);
    assert_eq!(count(&cluster), 2);
    cluster.shutdown();
}

#[test]
fn rot_is_refused_and_a_wiped_node_comes_back_with_nothing() {
    let mut cluster = start(1, Config::default());
    (1..=3).for_each(|value| append(&cluster, value));
    inject(&mut cluster, Fault::Rot { node: n(1), at_ppm: 500_000, damage: Damage::Lost });
    assert_eq!(count(&cluster), 3, "who runs does not notice");
    inject(&mut cluster, Fault::Crash { node: n(1) });
    inject(&mut cluster, Fault::Restart { node: n(1) });
    assert_eq!(cluster.state(n(1)), NodeState::Down);
    match cluster.refusal(n(1)) {
        Some(Refusal::Records(corrupt)) => assert_eq!(corrupt.position, 1),
        other => panic!("{other:?}"),
    }
    inject(&mut cluster, Fault::Wipe { node: n(1) });
    inject(&mut cluster, Fault::Restart { node: n(1) });
    assert_eq!(count(&cluster), 0);
    append(&cluster, 4);
    assert_eq!(cluster.refusal(n(1)), None);
    inject(&mut cluster, Fault::Wipe { node: n(1) });
    assert_eq!(cluster.state(n(1)), NodeState::Down, "it died of it");
    cluster.shutdown();
}
