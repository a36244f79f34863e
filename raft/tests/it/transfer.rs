//! Handing over the lead (§3.10 of the thesis).

use std::time::Duration;

use cluster::sim::Options;
use cluster::{Node, RequestId};
use raft::{Config, Error, Message, Raft, ReadLevel, Reply, Request, Response, Term};

use crate::bed::{Bed, SECOND, config};
use crate::journal::Journal;
use crate::paper::table;
use crate::table::{Table, n};

const MILLI: Duration = Duration::from_millis(1);

fn hand_over(table: &mut Table, to: u32) -> RequestId {
    table.ask(n(1), Request::Transfer { to: Some(n(to)) })
}

fn is_timeout_now(message: &Message<u64>) -> bool {
    matches!(message, Message::TimeoutNow { .. })
}

#[track_caller]
fn check_redirect(response: Option<&Response<Journal>>, to: u32) {
    let response = response.expect("an answer");
    assert!(matches!(response, Err(Error::Transferring { to: said }) if *said == n(to)));
    let redirect = <Raft<Journal> as Node>::redirect(response).expect("nothing was done");
    assert_eq!(redirect.to, Some(n(to)));
}

/// "The leader's TimeoutNow makes the target start an election at once", and voters "do not stay
/// with the leader" then (what a toy gets wrong, 9).
pub(crate) fn transfer_bypasses_loyalty(config: Config<Journal>) {
    let mut table = table(5, config);
    table.elect(1, &[2, 3, 4, 5]);
    table.write(n(1), 10);
    table.settle(&[1, 2, 3, 4, 5]);
    let request = hand_over(&mut table, 3);
    // All have just heard of n1.
    table.settle(&[1, 2, 3, 4, 5]);
    assert!(table.node(n(3)).is_leader(), "it was not elected");
    assert_eq!(table.node(n(3)).term(), Term::new(2));
    assert!(matches!(table.answer(request), Some(Ok(Reply::Transferred { to })) if *to == n(3)));
    table.write(n(3), 11);
    table.settle(&[1, 2, 3, 4, 5]);
    assert_eq!(table.log(1), [(1, 0), (1, 10), (2, 0), (2, 11)]);
    table.assert_safe();
}

#[test]
fn thesis_3_10_a_transfer_bypasses_loyalty() {
    transfer_bypasses_loyalty(config());
}

/// "The target's log is brought up to date first": otherwise it could not win, and would only depose
/// the leader.
pub(crate) fn transfer_waits_for_the_whole_log(config: Config<Journal>) {
    let mut table = table(3, config);
    table.elect(1, &[2, 3]);
    for value in 0..5 {
        table.write(n(1), value);
    }
    // n3 gets none of them for now.
    table.settle(&[1, 2]);
    hand_over(&mut table, 3);
    assert!(!table.wires.iter().any(|wire| is_timeout_now(&wire.message)), "too early");
    table.tick(n(1));
    table.settle(&[1, 2, 3]);
    assert!(table.node(n(3)).is_leader());
    assert_eq!(table.log(3).len(), 7);
    table.assert_safe();
}

#[test]
fn thesis_3_10_a_transfer_waits_until_the_target_has_the_whole_log() {
    transfer_waits_for_the_whole_log(config());
}

/// "The prior leader stops accepting new client requests": with an error that says that nothing was
/// done, and where to go.
pub(crate) fn a_leader_that_hands_over_takes_no_commands(config: Config<Journal>) {
    let mut table = table(3, config);
    table.elect(1, &[2, 3]);
    hand_over(&mut table, 3);
    assert_eq!(table.node(n(1)).transferring(), Some(n(3)));
    let write = table.write(n(1), 10);
    check_redirect(table.answer(write), 3);
    let again = table.ask(n(1), Request::Transfer { to: Some(n(2)) });
    check_redirect(table.answer(again), 3);
    // It leads until somebody else does, and reads change nothing.
    let read = table.ask(n(1), Request::Read(()));
    table.wires.retain(|wire| !is_timeout_now(&wire.message));
    table.settle(&[1, 2, 3]);
    assert!(matches!(table.answer(read), Some(Ok(Reply::Answer(0)))));
}

#[test]
fn thesis_3_10_a_leader_that_hands_over_takes_no_commands() {
    a_leader_that_hands_over_takes_no_commands(config());
}

/// "If leadership transfer does not complete after about an election timeout, the prior leader aborts
/// the transfer and resumes accepting client requests."
#[test]
fn thesis_3_10_a_transfer_is_given_up_after_an_election_timeout() {
    let mut table = table(3, config());
    table.elect(1, &[2, 3]);
    let request = hand_over(&mut table, 3);
    table.beat(1, &[2], 250 * MILLI);
    assert!(table.answer(request).is_none());
    table.beat(1, &[2], 100 * MILLI);
    assert!(matches!(table.answer(request), Some(Err(Error::NotTransferred))));
    assert_eq!(table.node(n(1)).transferring(), None);
    let write = table.write(n(1), 10);
    table.settle(&[1, 2]);
    assert!(matches!(table.answer(write), Some(Ok(Reply::Written { .. }))));
}

#[test]
fn thesis_3_10_a_target_that_loses_its_order_is_told_again() {
    let mut table = table(3, config());
    table.elect(1, &[2, 3]);
    hand_over(&mut table, 2);
    assert!(table.wires.iter().any(|wire| is_timeout_now(&wire.message)));
    table.wires.clear();
    table.tick(n(1));
    table.settle(&[1, 2, 3]);
    assert!(table.node(n(2)).is_leader());
}

#[test]
fn thesis_3_10_another_leader_than_the_target_is_a_failure() {
    let mut table = table(3, config().with_stickiness(false));
    table.elect(1, &[2, 3]);
    let request = hand_over(&mut table, 3);
    table.wires.clear();
    table.elect(2, &[1]);
    assert!(matches!(table.answer(request), Some(Err(Error::NotTransferred))));
}

#[test]
fn orders_that_are_not_the_leaders_are_ignored() {
    let mut table = table(3, config());
    table.elect(1, &[2, 3]);
    let order = |term| Message::TimeoutNow { term: Term::new(term) };
    table.inject(n(3), n(2), order(1));
    table.inject(n(1), n(2), order(0));
    table.inject(n(2), n(1), order(1));
    assert_eq!(table.node(n(2)).term(), Term::new(1));
    assert!(table.node(n(1)).is_leader() && table.wires.is_empty());
}

#[test]
fn whom_to_hand_over_to() {
    let mut table = table(3, config());
    let refused = table.ask(n(1), Request::Transfer { to: None });
    assert!(matches!(table.answer(refused), Some(Err(Error::NotLeader { .. }))));
    table.elect(1, &[2, 3]);
    table.write(n(1), 10);
    table.settle(&[1, 3]);
    let own = hand_over(&mut table, 1);
    assert!(matches!(table.answer(own), Some(Ok(Reply::Transferred { to })) if *to == n(1)));
    let strange = hand_over(&mut table, 9);
    assert!(matches!(table.answer(strange), Some(Err(Error::NoSuchMember))));
    // Whoever has come furthest.
    table.ask(n(1), Request::Transfer { to: None });
    assert_eq!(table.node(n(1)).transferring(), Some(n(3)));
    let mut alone = crate::paper::table(1, config());
    alone.elect(1, &[]);
    let nobody = alone.ask(n(1), Request::Transfer { to: None });
    assert!(matches!(alone.answer(nobody), Some(Err(Error::NoSuchMember))));
}

/// er#99: an order may arrive at any later time, so the lease is gone for the rest of the term, even
/// when the transfer was given up.
pub(crate) fn the_lease_ends_with_a_transfer(config: Config<Journal>) {
    let mut table = table(3, config);
    // Nobody votes right after the boot.
    table.pass(200 * MILLI);
    table.elect(1, &[2, 3]);
    table.beat(1, &[2, 3], 100 * MILLI);
    let read = table.ask(n(1), Request::ReadAt(ReadLevel::Lease, ()));
    assert!(table.answer(read).is_some(), "it holds a lease");
    hand_over(&mut table, 2);
    table.wires.retain(|wire| is_timeout_now(&wire.message));
    let late = table.wires.remove(0);
    table.beat(1, &[3], 400 * MILLI);
    assert_eq!(table.node(n(1)).transferring(), None);
    table.beat(1, &[2, 3], 100 * MILLI);
    // Now the order arrives, and n2 is elected and written to, unknown to n1.
    table.inject(late.from, late.to, late.message);
    table.wires.retain(|wire| wire.to == n(3));
    while let Some(place) = table.wires.iter().position(|wire| wire.to != n(1)) {
        table.deliver(place);
    }
    assert!(table.node(n(2)).is_leader() && table.node(n(1)).is_leader());
    let read = table.ask(n(1), Request::ReadAt(ReadLevel::Lease, ()));
    assert!(table.answer(read).is_none(), "it reads by a lease that others have left");
}

#[test]
fn er_99_the_lease_ends_with_a_transfer() {
    the_lease_ends_with_a_transfer(config().with_lease(100_000));
}

/// What to do before a leader is shut down: the gap in service is some messages long, not an
/// election timeout.
#[test]
fn a_graceful_handover_leaves_no_gap() {
    for seed in 0..40 {
        let mut bed = Bed::with(5, config(), Options::seeded(seed));
        bed.write(1);
        let leader = bed.await_leader();
        let before = bed.sim_now();
        let answer = bed.ask(leader, Request::Transfer { to: None }, SECOND);
        let Some(Ok(Ok(Reply::Transferred { to }))) = answer else { panic!("{answer:?}") };
        bed.crash(leader);
        let written = bed.ask(to, Request::Write(2), SECOND);
        assert!(matches!(written, Some(Ok(Ok(Reply::Written { .. })))), "{written:?}");
        let took = bed.sim_now().since(before);
        assert!(took < 50 * MILLI, "seed {seed}: {took:?}");
        bed.restart(leader);
        assert_eq!(bed.await_convergence(), [1, 2]);
    }
}

/// Under load, what was refused is written by the next leader, and nothing is lost or doubled.
#[test]
fn transfers_under_load_lose_nothing() {
    for seed in 0..20 {
        let mut bed = Bed::new(3, seed);
        let (mut written, mut refused, mut moved) = (0, 0, 0);
        for round in 0..30 {
            let leader = bed.await_leader();
            for value in 0..20 {
                bed.submit(leader, round * 100 + value);
            }
            cluster::Cluster::submit(&mut bed.sim, leader, Request::Transfer { to: None });
            let until = bed.sim_now() + 100 * MILLI;
            while let Some(completion) = bed.poll(until) {
                match completion.outcome {
                    Ok(Ok(Reply::Written { .. })) => written += 1,
                    Ok(Ok(Reply::Transferred { .. })) => moved += 1,
                    Ok(Err(Error::Transferring { .. } | Error::NotLeader { .. })) => refused += 1,
                    other => panic!("{other:?}"),
                }
            }
        }
        assert_eq!(moved, 30, "seed {seed}");
        assert!(written > 100 && refused > 100, "{written} written, {refused} refused");
        bed.run(SECOND);
        let journal = bed.await_convergence();
        let mut once = journal.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), journal.len(), "seed {seed}: something is there twice");
        assert_eq!(journal.len(), written, "seed {seed}: what was refused was not done");
    }
}
