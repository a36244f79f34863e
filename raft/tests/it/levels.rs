//! Read levels: by lease (§6.4.1 of the thesis), and at followers (§6.4).

use std::time::Duration;

use cluster::sim::Options;
use cluster::{ClockFault, Fault, InvalidConfig, Members, RequestId};
use raft::{Config, Error, LogIndex, Message, ReadLevel, ReadTag, Reply, Request, Term};

use crate::bed::{Bed, config};
use crate::journal::Journal;
use crate::paper::{at, request_vote, table};
use crate::table::{Table, n};

const MILLI: Duration = Duration::from_millis(1);

/// Clocks may differ by half: a lease lasts 100 of 150 ms.
pub(crate) fn leased() -> Config<Journal> {
    config().with_lease(500_000)
}

#[track_caller]
fn check_answer(table: &Table, request: RequestId, expected: Option<usize>) {
    match (table.answer(request), expected) {
        (None, None) => {}
        (Some(Ok(Reply::Answer(len))), Some(expected)) => assert_eq!(*len, expected),
        (answer, expected) => panic!("{answer:?}, not {expected:?}"),
    }
}

fn read(table: &mut Table, id: u32, level: ReadLevel) -> RequestId {
    table.ask(n(id), Request::ReadAt(level, ()))
}

/// `n1` leads, and everyone has heard that one value is committed.
fn led(nodes: usize, config: Config<Journal>) -> Table {
    let mut table = table(nodes, config);
    // Where there are leases, nobody votes right after the boot.
    table.pass(200 * MILLI);
    let others: Vec<u32> = (2..=nodes as u32).collect();
    table.elect(1, &others);
    table.write(n(1), 10);
    table.beat(1, &others, 100 * MILLI);
    table
}

#[test]
fn each_level_answers() {
    let mut table = led(3, leased());
    for level in [ReadLevel::Index, ReadLevel::Lease, ReadLevel::Follower, ReadLevel::Local] {
        for id in 1..=3 {
            let request = read(&mut table, id, level);
            table.settle(&[1, 2, 3]);
            let needs_leader = matches!(level, ReadLevel::Index | ReadLevel::Lease);
            match table.answer(request) {
                Some(Err(Error::NotLeader { leader })) if needs_leader && id != 1 => {
                    assert_eq!(*leader, Some(n(1)));
                }
                _ => check_answer(&table, request, Some(1)),
            }
        }
    }
}

/// A leader answers by its lease without a word to anyone, and no longer than the lease lasts: the
/// shortest election timeout, less what clocks may drift apart.
pub(crate) fn leases_end(config: Config<Journal>) {
    let mut table = led(3, config);
    let messages = table.wires.len();
    let now = read(&mut table, 1, ReadLevel::Lease);
    check_answer(&table, now, Some(1));
    assert_eq!(table.wires.len(), messages, "it asked somebody");
    // The last round that was answered began at the last heartbeat.
    table.pass(99 * MILLI);
    let late = read(&mut table, 1, ReadLevel::Lease);
    check_answer(&table, late, Some(1));
    table.pass(2 * MILLI);
    let too_late = read(&mut table, 1, ReadLevel::Lease);
    check_answer(&table, too_late, None);
    table.settle(&[1, 2, 3]);
    check_answer(&table, too_late, Some(1));
}

#[test]
fn thesis_6_4_1_a_lease_ends_in_time() {
    leases_end(leased());
}

/// Words without an answer make no lease, nor do answers of a minority.
#[test]
fn thesis_6_4_1_a_lease_needs_a_majority() {
    let mut table = led(5, leased());
    table.beat(1, &[2], 150 * MILLI);
    let request = read(&mut table, 1, ReadLevel::Lease);
    check_answer(&table, request, None);
}

#[test]
fn without_a_bound_on_drift_there_are_no_leases() {
    let mut table = led(3, config());
    let request = read(&mut table, 1, ReadLevel::Lease);
    check_answer(&table, request, None);
    table.settle(&[1, 2, 3]);
    check_answer(&table, request, Some(1));
    // Nor without what leases rest on.
    for config in [leased().with_stickiness(false), leased().with_check_quorum(false)] {
        let InvalidConfig { field, .. } = config.validate(&Members::first(3).unwrap()).unwrap_err();
        assert_eq!(field, "lease");
    }
}

#[test]
fn er_397_each_round_is_a_fresh_one() {
    let mut table = led(3, leased());
    table.wires.clear();
    let first = read(&mut table, 1, ReadLevel::Index);
    let asked: Vec<_> = table.wires.drain(..).collect();
    // Heartbeats renew the lease meanwhile; their answers say nothing of an earlier read that
    // they do not follow, and everything of one that they do.
    let second = read(&mut table, 1, ReadLevel::Index);
    for wire in asked {
        table.inject(wire.from, wire.to, wire.message);
    }
    while let Some(place) = table.wires.iter().position(|wire| wire.to == n(1)) {
        table.deliver(place);
    }
    check_answer(&table, first, Some(1));
    check_answer(&table, second, None);
    table.settle(&[1, 2, 3]);
    check_answer(&table, second, Some(1));
}

/// A lease that a node granted before it went down binds it after it comes up.
pub(crate) fn a_boot_forgets_no_lease(config: Config<Journal>) {
    let mut table = led(3, config);
    table.crash(n(2), 0);
    table.restart(n(2));
    table.inject(n(3), n(2), request_vote(9, at(9, 9)));
    assert!(table.wires.is_empty(), "it votes");
    table.pass(150 * MILLI);
    table.inject(n(3), n(2), request_vote(9, at(9, 9)));
    assert!(!table.wires.is_empty());
}

#[test]
fn thesis_6_4_1_a_boot_forgets_no_lease() {
    a_boot_forgets_no_lease(leased());
}

/// Clients write at one leader and read by lease at another that does not know it is deposed, with
/// clocks as far apart as was promised.
#[test]
fn ee_7331_no_stale_read_by_lease_while_clocks_keep_their_promise() {
    let mut by_lease = 0;
    for seed in 0..60 {
        let mut bed = Bed::with(5, leased(), Options::seeded(seed));
        let leader = bed.await_leader();
        bed.write(1);
        bed.run(300 * MILLI);
        // The leader's clock is slow, and everyone else's is fast.
        for node in bed.members() {
            let drift_ppm = if node == leader { -200_000 } else { 190_000 };
            let clock = ClockFault { drift_ppm, jump_nanos: 0 };
            bed.inject(&Fault::Clock { node, clock });
        }
        bed.run(300 * MILLI);
        let old = bed.await_leader();
        bed.cut_off(&[old]);
        let mut written = 1;
        for _ in 0..1_000 {
            let next = bed.leader();
            if let Some(next) = next.filter(|&next| next != old) {
                let write = Request::Write(written as u64 + 1);
                if let Some(Ok(Ok(Reply::Written { output, .. }))) = bed.ask(next, write, MILLI * 5)
                {
                    written = written.max(output + 1);
                }
            }
            let lease = Request::ReadAt(ReadLevel::Lease, ());
            if let Some(Ok(Ok(Reply::Answer(len)))) = bed.ask(old, lease, 3 * MILLI) {
                assert!(len >= written, "seed {seed}: {len} of {written}");
                by_lease += 1;
            }
            if written > 3 {
                break;
            }
        }
        assert!(written > 1, "seed {seed}: no other leader");
    }
    assert!(by_lease > 60, "{by_lease} reads by lease");
}

// At followers.

#[track_caller]
fn asked(table: &Table) -> ReadTag {
    let asked = table.wires.iter().rev().find_map(|wire| match wire.message {
        Message::AskIndex { tag, .. } => Some(tag),
        _ => None,
    });
    asked.expect("a question")
}

/// The leader makes sure that it leads before it says how far it has committed.
pub(crate) fn a_follower_read_waits_for_a_majority(config: Config<Journal>) {
    let mut table = led(5, config);
    let request = read(&mut table, 2, ReadLevel::Follower);
    table.settle(&[1, 2]);
    check_answer(&table, request, None);
    table.tick(n(1));
    table.settle(&[1, 2, 3]);
    check_answer(&table, request, Some(1));
}

#[test]
fn thesis_6_4_a_follower_read_waits_for_a_majority() {
    a_follower_read_waits_for_a_majority(config());
}

/// "The follower then waits until its state machine has advanced at least as far."
pub(crate) fn a_follower_read_waits_until_it_has_applied(config: Config<Journal>) {
    let mut table = led(3, config);
    table.write(n(1), 11);
    table.wires.retain(|wire| wire.to == n(3));
    table.settle(&[1, 3]);
    assert_eq!(table.commit(1), 3);
    let request = read(&mut table, 2, ReadLevel::Follower);
    // The appends of the round reach n3 alone; n2 hears the answer.
    loop {
        table.wires.retain(|wire| !(wire.to == n(2) && matches!(wire.message, Message::Append(_))));
        if table.wires.is_empty() {
            break;
        }
        table.deliver(0);
    }
    check_answer(&table, request, None);
    table.tick(n(1));
    table.settle(&[1, 2, 3]);
    table.tick(n(1));
    table.settle(&[1, 2, 3]);
    check_answer(&table, request, Some(2));
}

#[test]
fn thesis_6_4_a_follower_read_waits_until_it_has_applied() {
    a_follower_read_waits_until_it_has_applied(config());
}

/// An answer that comes late, or twice, is none to a later question.
pub(crate) fn an_old_answer_is_no_answer(config: Config<Journal>) {
    let mut table = led(3, config);
    let first = read(&mut table, 2, ReadLevel::Follower);
    let tag = asked(&table);
    table.settle(&[1, 2, 3]);
    check_answer(&table, first, Some(1));
    let second = read(&mut table, 2, ReadLevel::Follower);
    assert_ne!(asked(&table), tag);
    let said = |tag| Message::ReadFrom { term: Term::new(1), tag, index: Some(LogIndex::new(1)) };
    table.inject(n(1), n(2), said(tag));
    table.inject(n(1), n(2), said(ReadTag { life: !tag.life, ..asked(&table) }));
    check_answer(&table, second, None);
    table.settle(&[1, 2, 3]);
    check_answer(&table, second, Some(1));
}

#[test]
fn er_397_an_old_answer_is_no_answer() {
    an_old_answer_is_no_answer(config());
}

#[test]
fn follower_reads_share_questions_and_ask_again() {
    let mut table = led(3, config());
    let requests: Vec<_> = (0..50).map(|_| read(&mut table, 2, ReadLevel::Follower)).collect();
    assert_eq!(table.wires.len(), 1, "the first asked; the others wait");
    // The question is lost.
    table.wires.clear();
    table.tick(n(2));
    assert_eq!(table.wires.len(), 1);
    table.settle(&[1, 2, 3]);
    for request in requests {
        check_answer(&table, request, Some(1));
    }
}

#[test]
fn follower_reads_end_with_their_leader() {
    let mut table = led(3, config());
    let request = read(&mut table, 2, ReadLevel::Follower);
    table.wires.clear();
    table.crash(n(1), 0);
    while table.answer(request).is_none() {
        table.tick(n(2));
        table.wires.clear();
    }
    let answer = table.answer(request);
    assert!(matches!(answer, Some(Err(Error::NotLeader { leader: None }))), "{answer:?}");
    let refused = read(&mut table, 2, ReadLevel::Follower);
    assert!(matches!(table.answer(refused), Some(Err(Error::NotLeader { leader: None }))));
}

#[test]
fn a_follower_that_becomes_leader_serves_its_own_reads() {
    let mut table = led(3, config());
    let request = read(&mut table, 2, ReadLevel::Follower);
    table.wires.clear();
    // Told to stand, it loses its leader, and with it the question.
    table.ask(n(1), Request::Transfer { to: Some(n(2)) });
    table.settle(&[1, 2, 3]);
    assert!(table.node(n(2)).is_leader());
    let answer = table.answer(request);
    assert!(matches!(answer, Some(Err(Error::NotLeader { .. }))), "{answer:?}");
    let again = read(&mut table, 2, ReadLevel::Follower);
    table.settle(&[1, 2, 3]);
    check_answer(&table, again, Some(1));
}
