//! What becomes of the processes.

use std::time::Duration;

use cluster::{ClockFault, Cluster as _, Damage, DiskFault, Fault, NoAnswer, NodeId, NodeState};
use harness::hosts::{Cluster, Kind};
use harness::subject::Subject as _;
use harness::vocabulary::{Op, Outcome};

use crate::probe::Probe;
use crate::{PATIENCE, ask, kinds, n, namespaces, start, until};

#[track_caller]
fn write(cluster: &mut Cluster<Probe>, node: NodeId, value: u64) {
    let op = Op::Write { key: 1, value, ticket: None };
    let done = ask(cluster, node, op, PATIENCE).map(|it| it.outcome);
    assert_eq!(done, Some(Ok(Ok(Outcome::Written))));
}

#[track_caller]
fn reads(cluster: &mut Cluster<Probe>, node: NodeId, value: Option<u64>) {
    // One that has just been started may not listen yet.
    let read = until("it reads", || {
        let read = ask(cluster, node, Op::read(1), PATIENCE)?;
        (read.outcome != Err(NoAnswer::Unreachable)).then_some(read.outcome)
    });
    assert_eq!(read, Ok(Ok(Outcome::Value(value))));
}

#[test]
fn the_killed_are_down_and_come_back_with_their_files() {
    for kind in kinds() {
        let mut cluster = start(kind, 2, false);
        let node = n(2);
        write(&mut cluster, node, 7);
        cluster.inject(&Fault::Crash { node }).expect("it can be killed");
        assert_eq!(cluster.state(node), NodeState::Down);
        let read = ask(&mut cluster, node, Op::read(1), PATIENCE).map(|it| it.outcome);
        assert_eq!(read, Some(Err(NoAnswer::Unreachable)), "{kind}");
        cluster.inject(&Fault::Restart { node }).expect("it can be started");
        reads(&mut cluster, node, Some(7));
        assert!(matches!(cluster.state(node), NodeState::Up(_)));
        cluster.inject(&Fault::PowerLoss).expect("all can be killed");
        for node in [n(1), n(2)] {
            assert_eq!(cluster.state(node), NodeState::Down, "{kind}");
        }
    }
}

#[test]
fn the_stopped_stand_still_until_they_go_on() {
    for kind in kinds() {
        let mut cluster = start(kind, 1, false);
        let node = n(1);
        write(&mut cluster, node, 7);
        cluster.inject(&Fault::Pause { node }).expect("it can be stopped");
        assert_eq!(cluster.state(node), NodeState::Paused);
        let late = ask(&mut cluster, node, Op::read(1), Duration::from_millis(300));
        assert!(late.is_none(), "{kind}: {late:?}");
        cluster.inject(&Fault::Resume { node }).expect("it can go on");
        reads(&mut cluster, node, Some(7));
    }
}

/// One that was stopped and killed is not stopped any more.
#[test]
fn the_killed_are_not_stopped_when_they_come_back() {
    let mut cluster = start(Kind::Loopback, 1, false);
    let node = n(1);
    for fault in [Fault::Pause { node }, Fault::Crash { node }, Fault::Restart { node }] {
        cluster.inject(&fault).expect("it can be done");
    }
    reads(&mut cluster, node, None);
    assert!(matches!(cluster.state(node), NodeState::Up(_)));
}

#[test]
fn the_wiped_remember_nothing() {
    for small_disks in [false, true] {
        for kind in kinds() {
            let mut cluster = start(kind, 2, small_disks);
            write(&mut cluster, n(1), 7);
            write(&mut cluster, n(2), 8);
            cluster.inject(&Fault::Wipe { node: n(1) }).expect("it can be wiped");
            assert_eq!(cluster.state(n(1)), NodeState::Down);
            cluster.inject(&Fault::Restart { node: n(1) }).expect("it can be started");
            reads(&mut cluster, n(1), None);
            reads(&mut cluster, n(2), Some(8));
        }
    }
}

/// A full disk takes nothing more, and gives back what it has; a disk that has room again takes more.
#[test]
fn a_full_disk_is_full_until_it_has_room() {
    let Some(kind) = namespaces() else { return };
    let mut cluster = start(kind, 2, true);
    let (node, other) = (n(1), n(2));
    write(&mut cluster, node, 7);
    let disk = |full| Fault::Disk { node, disk: DiskFault { full, ..DiskFault::default() } };
    cluster.inject(&disk(true)).expect("it can be filled");
    // One page is left if it was empty; a file cannot take less.
    until("it dies of it", || {
        let op = Op::Write { key: 2, value: 1, ticket: None };
        let op = if cluster.state(node) == NodeState::Down { None } else { Some(op) };
        match op {
            Some(op) => ask(&mut cluster, node, op, PATIENCE).and(None),
            None => Some(()),
        }
    });
    let said = cluster.said().into_iter().find(|(id, _)| *id == node).expect("it is a member").1;
    assert!(said.contains("No space left"), "{said}");
    write(&mut cluster, other, 9);
    cluster.inject(&Fault::Restart { node }).expect("it can be started");
    reads(&mut cluster, node, Some(7));
    cluster.inject(&disk(false)).expect("it can have room");
    write(&mut cluster, node, 8);
    reads(&mut cluster, node, Some(8));
}

/// Nothing that cannot be done is passed over.
#[test]
fn what_cannot_be_done_is_refused() {
    for kind in kinds() {
        let mut cluster = start(kind, 1, false);
        let node = n(1);
        let sound = DiskFault::default();
        let disk = |disk| Fault::Disk { node, disk };
        for fault in [
            disk(DiskFault { slow: Duration::from_millis(1), ..sound }),
            disk(DiskFault { stalled: true, ..sound }),
            disk(DiskFault { torn: true, ..sound }),
            // It was not asked for small disks.
            disk(DiskFault { full: true, ..sound }),
            Fault::Clock { node, clock: ClockFault { drift_ppm: 1, jump_nanos: 0 } },
            Fault::CrashAfter { node, effects: 1 },
            Fault::Rot { node, at_ppm: 0, damage: Damage::Flip },
        ] {
            cluster.inject(&fault).expect_err("a process has no such thing");
        }
        for fault in [disk(sound), Fault::Clock { node, clock: ClockFault::default() }] {
            cluster.inject(&fault).expect("nothing is wrong");
        }
        reads(&mut cluster, node, None);
    }
}
