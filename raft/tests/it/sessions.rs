//! Commands that take effect once (§8; thesis §6.3).

use std::time::Duration;

use cluster::RequestId;
use raft::{Config, Error, LogIndex, Reply, Request, Sequence, SessionId, Submission};

use crate::bed::config;
use crate::journal::Journal;
use crate::paper::table;
use crate::table::{Table, n};

const ALL: [u32; 3] = [1, 2, 3];

fn open(table: &mut Table, leader: u32) -> SessionId {
    let request = table.ask(n(leader), Request::Open);
    table.settle(&ALL);
    match table.answer(request) {
        Some(Ok(Reply::Opened(session))) => *session,
        other => panic!("no session but {other:?}"),
    }
}

fn submission(
    session: SessionId,
    sequence: u64,
    unanswered: u64,
    command: u64,
) -> Request<Journal> {
    let (sequence, unanswered) = (Sequence::new(sequence), Sequence::new(unanswered));
    Request::Submit(Submission { session, sequence, unanswered, command })
}

/// What `leader` answers to a command in `session`, once all is settled.
fn submit(
    table: &mut Table,
    leader: u32,
    session: SessionId,
    (sequence, unanswered, command): (u64, u64, u64),
) -> Result<(LogIndex, usize), Error> {
    let request = table.ask(n(leader), submission(session, sequence, unanswered, command));
    table.settle(&ALL);
    answer(table, request)
}

fn answer(table: &Table, request: RequestId) -> Result<(LogIndex, usize), Error> {
    match table.answer(request) {
        Some(Ok(Reply::Written { index, output })) => Ok((*index, *output)),
        Some(Err(error)) => Err(*error),
        other => panic!("no answer to a write but {other:?}"),
    }
}

fn heartbeats(table: &mut Table, leader: u32) {
    for _ in 0..4 {
        table.tick_after(n(leader), Duration::from_millis(50));
        table.settle(&ALL);
    }
    table.assert_safe();
}

/// "If it receives a command whose serial number has already been executed, it responds immediately
/// without re-executing the request" (§8): at the same leader, at the next one, after a restart of
/// all, and at a node that knows of it by a snapshot.
pub(crate) fn applied_once(config: Config<Journal>) {
    let config = config.with_snapshot_every(6).with_keep_behind(0).with_chunk_bytes(16);
    let mut table = table(3, config);
    table.elect(1, &[2, 3]);
    let session = open(&mut table, 1);
    let first = submit(&mut table, 1, session, (1, 1, 70)).unwrap();
    assert_eq!(submit(&mut table, 1, session, (1, 1, 70)), Ok(first), "the same leader");
    table.elect(2, &[1, 3]);
    assert_eq!(submit(&mut table, 2, session, (1, 1, 70)), Ok(first), "the next leader");
    for value in 1..=8 {
        table.write(n(2), value);
        table.settle(&[1, 2]);
    }
    heartbeats(&mut table, 2);
    assert!(table.node(n(3)).snapshot_index() > first.0, "it is in a snapshot");
    for id in ALL {
        table.crash(n(id), 0);
        table.restart(n(id));
    }
    table.elect(3, &[1, 2]);
    assert_eq!(submit(&mut table, 3, session, (1, 1, 70)), Ok(first), "after a restart of all");
    heartbeats(&mut table, 3);
    for id in ALL {
        let values = &table.node(n(id)).machine().values;
        assert_eq!(values.iter().filter(|&&value| value == 70).count(), 1, "n{id}: {values:?}");
    }
}

#[test]
fn section_8_a_command_sent_again_is_applied_once() {
    applied_once(config());
}

/// The same at a node that was away, and was sent the sessions in a snapshot (item 15).
pub(crate) fn known_by_snapshot(config: Config<Journal>) {
    let config = config.with_snapshot_every(6).with_keep_behind(0).with_chunk_bytes(16);
    let mut table = table(3, config.with_lag_max(0));
    table.elect(1, &[2, 3]);
    table.crash(n(3), 0);
    let session = open(&mut table, 1);
    let first = submit(&mut table, 1, session, (1, 1, 70)).unwrap();
    for value in 1..=20 {
        table.write(n(1), value);
        table.settle(&ALL);
    }
    table.restart(n(3));
    heartbeats(&mut table, 1);
    heartbeats(&mut table, 1);
    assert_eq!(table.node(n(3)).sessions(), 1);
    table.crash(n(1), 0);
    table.elect(3, &[2]);
    assert_eq!(submit(&mut table, 3, session, (1, 1, 70)), Ok(first));
}

#[test]
fn item_15_sessions_come_with_a_snapshot() {
    known_by_snapshot(config());
}

/// Two copies of a command in one log, as after a leader that was deposed and came back: one effect.
#[test]
fn two_copies_under_way_at_once_are_applied_once() {
    let mut table = table(3, config());
    table.elect(1, &[2, 3]);
    let session = open(&mut table, 1);
    let one = table.ask(n(1), submission(session, 1, 1, 70));
    let two = table.ask(n(1), submission(session, 1, 1, 70));
    table.settle(&ALL);
    let (first, second) = (answer(&table, one), answer(&table, two));
    assert!(first.is_ok() && first == second, "{first:?} {second:?}");
    assert_eq!(table.node(n(1)).machine().values, [70]);
}

/// Commands of a session need not come in order, and a client that has its answers says so.
#[test]
fn outputs_go_when_the_client_has_them() {
    let outputs = |table: &Table, id: u32| {
        let gauges = cluster::Node::gauges(table.node(n(id)));
        gauges.into_iter().find(|(name, _)| *name == "session outputs").unwrap().1
    };
    let mut table = table(3, config());
    table.elect(1, &[2, 3]);
    let session = open(&mut table, 1);
    for (sequence, unanswered, value) in [(3, 1, 30), (1, 1, 10), (2, 1, 20)] {
        assert!(submit(&mut table, 1, session, (sequence, unanswered, value)).is_ok());
    }
    assert_eq!(outputs(&table, 1), 3);
    let third = submit(&mut table, 1, session, (3, 3, 30));
    assert_eq!(third.map(|(_, place)| place), Ok(0));
    assert_eq!(outputs(&table, 1), 1);
    // What it has given up is not applied, whether it was before or not.
    assert_eq!(submit(&mut table, 1, session, (2, 1, 20)), Err(Error::SessionExpired));
    assert_eq!(submit(&mut table, 1, session, (0, 0, 99)), Err(Error::SessionExpired));
    heartbeats(&mut table, 1);
    assert_eq!(outputs(&table, 2), 1);
    assert_eq!(table.node(n(2)).machine().values, [30, 10, 20]);
}

/// Thesis §6.3: "all servers must agree on when to expire a client's session": the one in longest
/// disuse goes, by the limit of the leader that opened another.
#[test]
fn thesis_6_3_the_session_in_longest_disuse_ends_on_all_nodes_alike() {
    let mut table = table(3, config().with_sessions_max(2));
    table.elect(1, &[2, 3]);
    let (one, two) = (open(&mut table, 1), open(&mut table, 1));
    submit(&mut table, 1, one, (1, 1, 10)).unwrap();
    let three = open(&mut table, 1);
    assert_eq!(submit(&mut table, 1, two, (1, 1, 20)), Err(Error::SessionExpired));
    assert!(submit(&mut table, 1, one, (2, 2, 11)).is_ok());
    assert!(submit(&mut table, 1, three, (1, 1, 30)).is_ok());
    heartbeats(&mut table, 1);
    for id in ALL {
        assert_eq!(table.node(n(id)).sessions(), 2, "n{id}");
        assert_eq!(table.node(n(id)).machine().values, [10, 11, 30]);
    }
}

fn close(table: &mut Table, leader: u32, session: SessionId) {
    let request = table.ask(n(leader), Request::Close(session));
    table.settle(&ALL);
    let answer = table.answer(request);
    assert!(matches!(answer, Some(Ok(Reply::Closed))), "{answer:?}");
}

/// A session that its client ends is gone on all nodes, and leaves its place to others: nobody who is
/// still there is evicted for one who has left. What comes of it after that is not applied.
pub(crate) fn closed_everywhere(config: Config<Journal>) {
    let mut table = table(3, config.with_sessions_max(2));
    table.elect(1, &[2, 3]);
    let (stays, leaves) = (open(&mut table, 1), open(&mut table, 1));
    submit(&mut table, 1, leaves, (1, 1, 10)).unwrap();
    close(&mut table, 1, leaves);
    // To close it again does no harm, as a client does that had no answer.
    close(&mut table, 1, leaves);
    let third = open(&mut table, 1);
    heartbeats(&mut table, 1);
    table.elect(2, &[1, 3]);
    assert_eq!(submit(&mut table, 2, leaves, (2, 1, 99)), Err(Error::SessionExpired));
    assert!(submit(&mut table, 2, stays, (1, 1, 20)).is_ok(), "evicted for a closed one");
    assert!(submit(&mut table, 2, third, (1, 1, 30)).is_ok());
    heartbeats(&mut table, 2);
    for id in ALL {
        assert_eq!(table.node(n(id)).sessions(), 2, "n{id}");
        assert_eq!(table.node(n(id)).machine().values, [10, 20, 30], "n{id}");
    }
}

#[test]
fn a_closed_session_is_gone_everywhere() {
    closed_everywhere(config());
}

/// "If there is no session, it returns an error" (thesis §6.3), and applies nothing.
#[test]
fn thesis_6_3_a_command_without_a_session_is_refused() {
    let mut table = table(3, config());
    table.elect(1, &[2, 3]);
    let none = SessionId::new(77);
    assert_eq!(submit(&mut table, 1, none, (1, 1, 10)), Err(Error::SessionExpired));
    assert_eq!(table.node(n(1)).machine().values, []);
}

/// Sessions and their commands are taken by a leader alone.
#[test]
fn followers_redirect() {
    let mut table = table(3, config());
    table.elect(1, &[2, 3]);
    heartbeats(&mut table, 1);
    let leader = Some(n(1));
    let session = SessionId::new(1);
    for request in [Request::Open, submission(session, 1, 1, 1), Request::Close(session)] {
        let asked = table.ask(n(2), request);
        assert!(
            matches!(table.answer(asked), Some(Err(Error::NotLeader { leader: it })) if *it == leader)
        );
    }
}
