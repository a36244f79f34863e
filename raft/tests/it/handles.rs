//! Groups and their handles, on real threads. Waits are for conditions, with deadlines.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use cluster::{Cluster, Fault, Members, NodeId, NodeState, Role, Timestamp};
use raft::{CallError, Change, Config, Group, Handle, ReadLevel, Status};

use crate::journal::{History, Journal, What};
use crate::table::n;

/// Longer than anything takes here.
const LONG: Duration = Duration::from_secs(30);

fn start(nodes: usize) -> Group<Journal> {
    start_with(nodes, |config| config)
}

fn start_with(
    nodes: usize,
    change: impl FnOnce(Config<Journal>) -> Config<Journal>,
) -> Group<Journal> {
    // Long, so that a busy machine does not depose a leader without need.
    let timeout = Duration::from_millis(300)..=Duration::from_millis(600);
    let builder = Group::builder(Journal::default()).nodes(nodes).timeout(LONG);
    builder.config(|config| change(config.with_election_timeout(timeout))).start().unwrap()
}

pub(crate) fn crash_all(group: &mut Group<Journal>) {
    for node in group.members().to_vec() {
        group.cluster().inject(&Fault::Crash { node }).unwrap();
    }
}

#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LONG;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

/// Who leads, as nodes say that are up.
#[track_caller]
pub(crate) fn await_leader(handle: &Handle<Journal>) -> Status {
    eventually("no leader", || {
        let asked = handle.members().iter().map(|&node| handle.status(node).wait());
        asked.flatten().find(|status| status.role == Role::Leader)
    })
}

/// Writes and reads from four threads, two of them with clones of one handle, while leaders die in the
/// middle of what they do: every write takes effect once, and every answer fits one order of them all
/// (MIT 6.5840, "many clients, unreliable servers").
#[test]
fn many_threads_write_once_while_leaders_die() {
    let mut group = start(3);
    let (history, over) = (Mutex::new(History::default()), AtomicBool::new(false));
    let shared = group.handle();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|client| {
                let handle = if client < 2 { shared.clone() } else { group.handle() };
                let (history, over) = (&history, &over);
                scope.spawn(move || write_and_read(&handle, client * 1_000_000, history, over))
            })
            .collect();
        for round in 0..6 {
            let node = await_leader(&shared).node;
            let cluster = group.cluster();
            cluster.inject(&Fault::CrashAfter { node, effects: 5 + 17 * round }).unwrap();
            eventually("it lives on", || (cluster.state(node) == NodeState::Down).then_some(()));
            cluster.inject(&Fault::Restart { node }).unwrap();
        }
        shared.read(()).wait().unwrap();
        over.store(true, Ordering::Relaxed);
        clients.into_iter().for_each(|client| client.join().unwrap());
    });
    let history = history.into_inner().unwrap();
    let mut writes: Vec<_> = history.writes().map(|(value, place)| (place, value)).collect();
    writes.sort_unstable();
    let (places, values): (Vec<_>, Vec<_>) = writes.into_iter().unzip();
    assert!(places.iter().copied().eq(0..places.len()), "each once, and nothing else: {places:?}");
    assert_eq!(shared.read(()).wait(), Ok(places.len()));
    history.judge(&values).unwrap();
    group.shutdown();
}

fn write_and_read(
    handle: &Handle<Journal>,
    first: u64,
    history: &Mutex<History>,
    over: &AtomicBool,
) {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let now = || Timestamp::ZERO + START.elapsed();
    for value in first.. {
        let asked = now();
        let place = handle.write(value).wait().unwrap();
        history.lock().unwrap().push(asked, now(), What::Wrote { value, place });
        let asked = now();
        let len = handle.read(()).wait().unwrap();
        history.lock().unwrap().push(asked, now(), What::Read { len });
        if over.load(Ordering::Relaxed) {
            return;
        }
    }
}

/// A window of calls of one handle, awaited in tasks of two executors that know nothing of raft.
#[test]
fn calls_are_awaited_in_any_executor() {
    let group = start(3);
    let (one, other) = (group.handle(), group.handle());
    async fn write_all(handle: Handle<Journal>, from: u64) -> Result<Vec<usize>, CallError> {
        let calls: Vec<_> = (from..from + 200).map(|value| handle.write(value)).collect();
        let mut places = Vec::new();
        for call in calls {
            places.push(call.await?);
        }
        Ok(places)
    }
    let mut places = std::thread::scope(|scope| {
        let pollster = scope.spawn(|| pollster::block_on(write_all(one, 0)));
        let futures = scope.spawn(|| futures_executor::block_on(write_all(other, 200)));
        let mut places = pollster.join().unwrap().unwrap();
        places.extend(futures.join().unwrap().unwrap());
        places
    });
    places.sort_unstable();
    assert_eq!(places, (0..400).collect::<Vec<_>>());
    group.shutdown();
}

/// A handle takes so many calls at once and no more; a call that is dropped leaves its place.
#[test]
fn a_handle_bounds_its_calls() {
    let builder = Group::builder(Journal::default()).outstanding_max(2).timeout(LONG);
    let mut group = builder.start().unwrap();
    crash_all(&mut group);
    let handle = group.handle();
    let clone = handle.clone();
    let (first, second) = (handle.write(1), clone.write(2));
    assert_eq!(handle.write(3).wait(), Err(CallError::Overloaded));
    assert_eq!(clone.read(()).wait(), Err(CallError::Overloaded));
    drop(first);
    let third = handle.read(());
    assert_eq!(handle.write(3).wait(), Err(CallError::Overloaded));
    for node in group.members().to_vec() {
        group.cluster().inject(&Fault::Restart { node }).unwrap();
    }
    third.wait().unwrap();
    second.wait().unwrap();
    handle.write(3).wait().unwrap();
    group.shutdown();
}

/// Whoever waits when a group goes is told at once, and so is whoever asks later: nothing is promised
/// that is not known.
#[test]
fn the_end_of_a_group_ends_its_calls() {
    let mut group = start(3);
    let handle = group.handle();
    handle.write(1).wait().unwrap();
    crash_all(&mut group);
    let calls = [handle.write(2), handle.write(3)];
    let unopened = group.handle().write(4);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let waiting = calls.map(|call| scope.spawn(|| call.wait()));
        let opening = scope.spawn(|| unopened.wait());
        group.shutdown();
        for call in waiting {
            let ended = call.join().unwrap();
            assert!(
                matches!(ended, Err(CallError::Unknown { .. } | CallError::Unavailable { .. })),
                "{ended:?}"
            );
        }
        let ended = opening.join().unwrap();
        assert!(matches!(ended, Err(CallError::Unavailable { .. })), "{ended:?}");
    });
    for ended in [handle.write(5).wait().err(), handle.read(()).wait().err()] {
        assert!(matches!(ended, Some(CallError::Unavailable { .. })), "{ended:?}");
    }
    assert!(begun.elapsed() < LONG, "long before their deadlines");
}

/// Each node tells how it is doing; followers answer reads of their own; the lead is handed over.
#[test]
fn nodes_are_asked_one_by_one() {
    let group = start(3);
    let handle = group.handle();
    let place = handle.write(7).wait().unwrap();
    let leader = await_leader(&handle);
    assert!(leader.gauge("leaderships") >= 1 && leader.commit <= leader.last);
    let followers = handle.members().iter().filter(|&&node| node != leader.node);
    for &node in followers {
        let len = handle.read_from(node, ReadLevel::Follower, ()).wait();
        assert_eq!(len, Ok(place + 1), "linearizable at {node}");
        assert!(handle.read_from(node, ReadLevel::Local, ()).wait().unwrap() <= place + 1);
    }
    let to = *handle.members().iter().find(|&&node| node != leader.node).unwrap();
    assert_eq!(handle.transfer(Some(to)).wait(), Ok(to));
    assert_eq!(handle.transfer(Some(n(9))).wait(), Err(CallError::NoSuchMember));
    handle.write(8).wait().unwrap();
    group.shutdown();
}

/// Clients that leave do not linger: their sessions end at once, on every node, while others stay.
#[test]
fn sessions_end_with_their_handles() {
    let group = start(3);
    let stays = group.handle();
    stays.write(0).wait().unwrap();
    for value in 0..20 {
        group.handle().write(value).wait().unwrap();
    }
    eventually("sessions linger", || {
        let mut nodes = stays.members().iter();
        nodes.all(|&node| stays.status(node).wait().unwrap().gauge("sessions") == 1).then_some(())
    });
    stays.write(1).wait().unwrap();
    group.shutdown();
}

#[track_caller]
fn refused(builder: raft::Builder<Journal>, field: &str) {
    let error = builder.start().err().expect("it makes no sense");
    assert!(error.to_string().contains(field), "{error}");
}

/// What makes no sense is refused by name, before anything is started.
#[test]
fn nonsense_is_refused() {
    let builder = || Group::builder(Journal::default());
    refused(builder().nodes(0), "members");
    refused(builder().timeout(Duration::ZERO), "timeout");
    refused(builder().outstanding_max(0), "outstanding_max");
    refused(builder().config(|config| config.with_heartbeat(Duration::ZERO)), "heartbeat");
    let named = Members::new([5, 9].map(NodeId::new)).unwrap();
    let group = builder().members(named).start().unwrap();
    assert_eq!(group.members(), [n(5), n(9)]);
    group.handle().write(1).wait().unwrap();
}

/// Who takes part is changed by calls, while others write: a node takes the place of another, even of
/// the leader, and has all that was written.
#[test]
fn members_change_by_calls_while_others_write() {
    let group = start_with(4, |config| config.with_voters([1, 2, 3].map(n)));
    let (handle, over) = (group.handle(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            (0..)
                .take_while(|_| !over.load(Ordering::Relaxed))
                .map(|value| {
                    handle.write(value).wait().expect("service goes on");
                })
                .count()
        });
        let leader = await_leader(&handle).node;
        let change = Change::Replace { old: leader, new: n(4) };
        let configuration = handle.change(change).wait().expect("n4 catches up");
        assert!(configuration.votes(n(4)) && !configuration.contains(leader));
        assert!(!configuration.is_joint());
        over.store(true, Ordering::Relaxed);
        let written = writer.join().expect("it ends");
        let caught_up = || {
            let read = handle.read_from(n(4), ReadLevel::Local, ()).wait();
            (read == Ok(written)).then_some(())
        };
        eventually("n4 has not all of it", caught_up);
        let strange = Change::Promote(leader);
        assert_eq!(handle.change(strange).wait(), Err(CallError::NoSuchMember));
    });
}
