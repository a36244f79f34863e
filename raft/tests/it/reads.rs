//! Linearizable reads (§8; ReadIndex, §6.4 of the thesis).

use raft::{Config, Error, LogIndex, Payload, Reply, Request};

use crate::bed::plain;
use crate::journal::Journal;
use crate::paper::table;
use crate::table::{Table, n};

#[track_caller]
fn check_answer(table: &Table, request: cluster::RequestId, expected: Option<usize>) {
    match (table.answer(request), expected) {
        (None, None) => {}
        (Some(Ok(Reply::Answer(len))), Some(expected)) => assert_eq!(*len, expected),
        (answer, expected) => panic!("{answer:?}, not {expected:?}"),
    }
}

/// "A leader must check whether it has been deposed before processing a read-only request" (§8).
pub(crate) fn a_read_waits_for_a_majority(config: Config<Journal>) {
    let mut table = table(5, config);
    table.elect(1, &[2, 3, 4, 5]);
    table.write(n(1), 10);
    table.settle(&[1, 2, 3, 4, 5]);
    let read = table.ask(n(1), Request::Read(()));
    check_answer(&table, read, None);
    table.settle(&[1, 2]);
    check_answer(&table, read, None);
    table.tick(n(1));
    table.settle(&[1, 2, 3]);
    check_answer(&table, read, Some(1));
}

#[test]
fn section_8_a_read_waits_for_a_majority() {
    a_read_waits_for_a_majority(plain());
}

#[test]
fn section_8_a_deposed_leader_does_not_answer_reads() {
    let mut table = table(3, plain());
    table.elect(1, &[2, 3]);
    table.elect(2, &[3]);
    table.write(n(2), 10);
    table.settle(&[2, 3]);
    assert!(table.node(n(1)).is_leader(), "it does not know better");
    let read = table.ask(n(1), Request::Read(()));
    check_answer(&table, read, None);
    table.settle(&[1, 2, 3]);
    assert!(matches!(table.answer(read), Some(Err(Error::NotLeader { .. }))));
}

/// Each round is a fresh one: an answer to what was sent before the read arrived proves nothing.
#[test]
fn section_8_an_earlier_answer_does_not_confirm_a_later_read() {
    let mut table = table(3, plain());
    table.elect(1, &[2, 3]);
    let first = table.ask(n(1), Request::Read(()));
    let to_n2 = table.wires.iter().position(|wire| wire.to == n(2)).unwrap();
    table.deliver(to_n2);
    table.wires.retain(|wire| wire.to == n(1));
    let late = table.wires.clone();
    table.settle(&[1, 2]);
    check_answer(&table, first, Some(0));
    // The same answer again, and nothing else, after the second read.
    let second = table.ask(n(1), Request::Read(()));
    table.wires.clear();
    for wire in late {
        table.inject(wire.from, wire.to, wire.message);
    }
    check_answer(&table, second, None);
    // A heartbeat asks again.
    table.tick(n(1));
    table.settle(&[1, 2]);
    check_answer(&table, second, Some(0));
}

/// "Raft handles this by having each leader commit a blank no-op entry at the start of its term"
/// (§8): before that, it does not know what is committed.
pub(crate) fn a_new_leader_reads_after_its_noop(config: Config<Journal>) {
    let mut table = table(3, config);
    table.elect(1, &[2, 3]);
    let write = table.write(n(1), 10);
    table.settle(&[1, 2, 3]);
    assert!(table.answer(write).is_some(), "it is acknowledged");
    table.crash(n(1), 0);
    // Node 2 has the entry, does not know that it is committed, and wins.
    assert_eq!(table.commit(2), 1);
    table.tick(n(2));
    let request = table.wires.iter().position(|wire| wire.to == n(3)).unwrap();
    table.deliver(request);
    let vote = table.wires.iter().position(|wire| wire.to == n(2)).unwrap();
    table.deliver(vote);
    assert!(table.node(n(2)).is_leader());
    let read = table.ask(n(2), Request::Read(()));
    // Whatever was sent last arrives first.
    table.wires.reverse();
    table.settle(&[2, 3]);
    check_answer(&table, read, Some(1));
}

#[test]
fn section_8_a_new_leader_reads_after_its_noop() {
    a_new_leader_reads_after_its_noop(plain());
}

#[test]
fn section_8_a_single_node_reads_at_once() {
    let mut table = table(1, plain());
    table.tick(n(1));
    table.write(n(1), 10);
    let read = table.ask(n(1), Request::Read(()));
    check_answer(&table, read, Some(1));
}

#[test]
fn reads_that_arrive_together_share_a_round() {
    let mut table = table(3, plain());
    table.elect(1, &[2, 3]);
    let reads: Vec<_> = (0..100).map(|_| table.ask(n(1), Request::Read(()))).collect();
    // The first began a round; the others wait for the next.
    assert_eq!(table.wires.len(), 2);
    let mut delivered = 0;
    while !table.wires.is_empty() {
        table.deliver(0);
        delivered += 1;
    }
    assert!(delivered <= 8, "{delivered} messages for 100 reads");
    for read in reads {
        check_answer(&table, read, Some(0));
    }
}

#[test]
fn followers_redirect_and_serve_what_they_know() {
    let mut table = table(3, plain());
    table.elect(1, &[2, 3]);
    table.write(n(1), 10);
    table.settle(&[1, 2, 3]);
    for request in [Request::Read(()), Request::Write(11)] {
        let request = table.ask(n(2), request);
        let Some(Err(Error::NotLeader { leader: Some(leader) })) = table.answer(request) else {
            panic!("{:?}", table.answer(request));
        };
        assert_eq!(*leader, n(1));
        let redirect = <raft::Raft<Journal> as cluster::Node>::redirect;
        assert_eq!(redirect(table.answer(request).unwrap()).unwrap().to, Some(n(1)));
    }
    // It has not heard of the commit, so it serves the past.
    let local = table.ask(n(2), Request::ReadLocal(()));
    check_answer(&table, local, Some(0));
    table.tick(n(1));
    table.settle(&[1, 2, 3]);
    let local = table.ask(n(2), Request::ReadLocal(()));
    check_answer(&table, local, Some(1));
    let committed = table.ask(n(2), Request::Committed { from: LogIndex::ZERO, max: 10 });
    let Some(Ok(Reply::Committed(entries))) = table.answer(committed) else { panic!() };
    let payloads: Vec<_> = entries.iter().map(|entry| entry.payload.clone()).collect();
    assert_eq!(payloads, [Payload::Noop, Payload::Command(10)]);
    let none = table.ask(n(2), Request::Committed { from: LogIndex::new(99), max: 10 });
    assert!(matches!(table.answer(none), Some(Ok(Reply::Committed(list))) if list.is_empty()));
}
