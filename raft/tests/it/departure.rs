//! Leaving (§4.2.2 and §4.2.3 of the thesis): leaders that go, and nodes that do not know that they
//! went.

use std::time::Duration;

use raft::{Change, Config, Error, LogIndex, Message, ReadLevel, Reply, Request, Term};

use crate::bed::{config, plain};
use crate::journal::Journal;
use crate::membership::{change, check, check_changed, check_failed, led, voters};
use crate::paper::{at, request_vote, table};
use crate::table::n;

const MILLI: Duration = Duration::from_millis(1);

/// "There will be a period of time (while it is committing C_new) when a leader can manage a cluster
/// that does not include itself; it replicates log entries but does not count itself in majorities."
pub(crate) fn a_leader_that_goes_does_not_count_itself(config: Config<Journal>) {
    let mut table = led(config);
    table.settle(&[1, 2, 3]);
    let request = change(&mut table, 1, Change::Remove(n(1)));
    let write = table.write(n(1), 10);
    table.settle(&[1, 2]);
    check(&table, &[1, 2], "voters=(2 3)");
    assert_eq!(table.commit(1), 1, "one of two voters holds it");
    assert!(table.node(n(1)).is_leader(), "it leads until then");
    assert!(table.answer(request).is_none());
    table.tick(n(1));
    table.settle(&[1, 2, 3]);
    check_changed(&table, request, "voters=(2 3)");
    assert!(matches!(table.answer(write), Some(Ok(Reply::Written { .. }))));
}

#[test]
fn thesis_4_2_2_a_leader_that_goes_does_not_count_itself() {
    a_leader_that_goes_does_not_count_itself(plain());
}

/// "The leader steps down once C_new is committed", and its successor stands at once; a demoted leader
/// goes on as a learner.
pub(crate) fn a_leader_that_is_out_steps_down(config: Config<Journal>) {
    for wish in [Change::Remove(n(1)), Change::Demote(n(1)), voters(&[2, 3, 4])] {
        let mut table = led(config.clone());
        table.settle(&[1, 2, 3]);
        let request = change(&mut table, 1, wish.clone());
        let everyone = [1, 2, 3, 4];
        for _ in 0..2 {
            table.settle(&everyone);
            table.tick(n(1));
        }
        table.settle(&everyone);
        assert!(matches!(table.answer(request), Some(Ok(Reply::Changed { .. }))));
        assert!(!table.node(n(1)).is_leader(), "after {wish:?} it leads on");
        let successor = [2, 3, 4].into_iter().find(|&id| table.node(n(id)).is_leader());
        let successor = successor.expect("somebody was told to stand");
        table.write(n(successor), 10);
        table.settle(&everyone);
        assert!(table.log(2).ends_with(&[(2, 0), (2, 10)]), "{:?}", table.log(2));
        let demoted = table.node(n(successor)).configuration().learners().contains(&n(1));
        let holds = table.log(1).ends_with(&[(2, 10)]);
        assert_eq!(demoted, holds, "after {wish:?}");
        table.assert_safe();
    }
}

#[test]
fn thesis_4_2_2_a_leader_that_is_out_steps_down_and_hands_over() {
    a_leader_that_is_out_steps_down(plain());
    a_leader_that_is_out_steps_down(config());
}

/// "A server that is not part of its own latest configuration should still start new elections, as it
/// might still be needed until the C_new entry is committed (as in figure 4.6). It does not count its
/// own vote."
#[test]
fn thesis_4_2_2_figure_4_6_a_node_that_goes_may_be_needed() {
    let mut table = table(2, plain());
    table.elect(1, &[2]);
    table.settle(&[1, 2]);
    let request = change(&mut table, 1, Change::Remove(n(1)));
    table.wires.clear();
    table.crash(n(1), 0);
    table.restart(n(1));
    check(&table, &[1], "voters=(2)");
    check(&table, &[2], "voters=(1 2)");
    // n2 needs n1, whose log is longer.
    for _ in 0..3 {
        table.tick(n(2));
        table.settle(&[1, 2]);
        assert!(!table.node(n(2)).is_leader());
    }
    // n1 stands, and wins by n2's vote, which is the only one; then it goes.
    table.tick(n(1));
    assert!(!table.node(n(1)).is_leader(), "its own vote does not count");
    for _ in 0..3 {
        table.settle(&[1, 2]);
        table.tick(n(1));
    }
    assert!(table.node(n(2)).is_leader() && !table.node(n(1)).is_leader());
    check(&table, &[1, 2], "voters=(2)");
    assert!(table.answer(request).is_none());
    // Now it is not needed any more, and knows.
    table.wires.clear();
    table.tick(n(1));
    assert!(table.wires.is_empty());
}

/// A node that is removed while it is there learns of it: it is sent the entry that leaves it out, and
/// that this is committed, and nothing after that.
#[test]
fn removed_nodes_learn_that_they_are() {
    let mut table = led(plain());
    table.settle(&[1, 2, 3]);
    for (id, left) in [(3, "voters=(1 2)"), (2, "voters=(1)")] {
        let request = change(&mut table, 1, Change::Remove(n(id)));
        table.settle(&[1, 2, 3]);
        check_changed(&table, request, left);
        check(&table, &[1, id], left);
        assert!(table.node(n(id)).commit_index() >= table.node(n(id)).configured_at());
        table.write(n(1), 10);
        table.tick(n(1));
        assert!(table.wires.iter().all(|wire| wire.to != n(id)), "n{id} is sent more");
        table.settle(&[1, 2, 3]);
        table.tick(n(id));
        assert!(table.wires.is_empty(), "n{id} stands");
    }
}

/// One that is not there is not waited for, nor kept in mind for long.
#[test]
fn a_removed_node_that_is_away_is_forgotten() {
    let mut table = led(plain());
    table.settle(&[1, 2, 3]);
    let request = change(&mut table, 1, Change::Remove(n(3)));
    table.settle(&[1, 2]);
    check_changed(&table, request, "voters=(1 2)");
    table.tick(n(1));
    assert!(table.wires.iter().any(|wire| wire.to == n(3)), "it is told again");
    table.beat(1, &[2], 310 * MILLI);
    table.tick(n(1));
    assert!(table.wires.iter().all(|wire| wire.to != n(3)), "it is told for ever");
    // It may come back all the same.
    let request = change(&mut table, 1, Change::AddVoter(n(3)));
    table.settle(&[1, 2, 3]);
    check_changed(&table, request, "voters=(1 2 3)");
    check(&table, &[3], "voters=(1 2 3)");
}

/// Complaint 12 (hr#524, db#195): "servers that are not in C_new will not receive heartbeats, so they
/// will time out and start new elections" and must disturb nobody (§4.2.3 of the thesis).
#[test]
fn complaint_12_a_removed_node_that_does_not_know_disturbs_nobody() {
    let mut table = led(config());
    table.settle(&[1, 2, 3]);
    let request = change(&mut table, 1, Change::Remove(n(3)));
    table.settle(&[1, 2]);
    check_changed(&table, request, "voters=(1 2)");
    check(&table, &[3], "voters=(1 2 3)");
    let term = table.node(n(1)).term();
    for round in 0..30 {
        table.beat(1, &[2], 60 * MILLI);
        // Whenever its time has come it asks, and gets no encouragement.
        table.tick_after(n(3), Duration::ZERO);
        table.settle(&[1, 2, 3]);
        // Even one that does not ask before it stands is ignored.
        table.inject(n(3), n(2), request_vote(50 + round, at(40, 40)));
        table.inject(n(3), n(1), request_vote(50 + round, at(40, 40)));
        table.wires.clear();
        for id in [1, 2] {
            assert_eq!(table.node(n(id)).term(), term, "n{id}, round {round}");
        }
        assert!(table.node(n(1)).is_leader() && !table.node(n(3)).is_leader());
    }
    let write = table.write(n(1), 10);
    table.settle(&[1, 2]);
    assert!(matches!(table.answer(write), Some(Ok(Reply::Written { .. }))));
    assert!(table.gauge(n(3), "canvasses") > 3, "it did ask");
    assert_eq!(table.node(n(3)).term(), Term::new(1));
}

/// Nothing is kept in the log for who is out.
#[test]
fn the_log_is_not_kept_for_those_who_are_out() {
    let config = plain().with_snapshot_every(4).with_keep_behind(0).with_lag_max(1_000);
    let mut table = led(config);
    table.settle(&[1, 2, 3]);
    let request = change(&mut table, 1, Change::Remove(n(3)));
    table.settle(&[1, 2, 3]);
    check_changed(&table, request, "voters=(1 2)");
    for value in 1..=20 {
        table.write(n(1), value);
        table.settle(&[1, 2]);
    }
    table.tick(n(1));
    assert!(table.node(n(1)).base().index >= LogIndex::new(20), "{:?}", table.node(n(1)).base());
}

/// The target of a transfer is told to stand by a leader that it may not know any more: it stands only
/// if it has a vote.
#[test]
fn an_order_to_stand_does_not_give_a_vote() {
    let mut table = led(plain());
    table.settle(&[1, 2, 3]);
    change(&mut table, 1, Change::Remove(n(3)));
    table.settle(&[1, 2, 3]);
    let order = Message::TimeoutNow { term: Term::new(1) };
    table.inject(n(1), n(3), order);
    assert!(table.wires.is_empty(), "{:?}", table.wires);
    let transfer = table.ask(n(1), Request::Transfer { to: None });
    table.settle(&[1, 2, 3]);
    assert!(matches!(table.answer(transfer), Some(Ok(Reply::Transferred { to })) if *to == n(2)));
}

/// A node that is out is sent nothing that a read there could wait for: it refuses, whether its leader
/// is still known to it or not, and says that it is no member as soon as it knows.
pub(crate) fn who_is_out_answers_no_reads(config: Config<Journal>) {
    for knows in [true, false] {
        let mut table = led(config.clone());
        table.settle(&[1, 2, 3]);
        let request = change(&mut table, 1, Change::Remove(n(3)));
        table.settle(if knows { &[1, 2, 3] } else { &[1, 2] });
        check_changed(&table, request, "voters=(1 2)");
        table.write(n(1), 10);
        table.settle(&[1, 2]);
        let leader = Some(n(1));
        let error = if knows { Error::NoSuchMember } else { Error::NotLeader { leader } };
        let read = table.ask(n(3), Request::ReadAt(ReadLevel::Follower, ()));
        table.settle(&[1, 2, 3]);
        check_failed(&table, read, error);
        table.tick(n(3));
        table.wires.clear();
        let error = if knows { error } else { Error::NotLeader { leader: None } };
        let read = table.ask(n(3), Request::ReadAt(ReadLevel::Follower, ()));
        check_failed(&table, read, error);
    }
}

#[test]
fn who_is_out_refuses_reads_by_name() {
    who_is_out_answers_no_reads(plain());
    who_is_out_answers_no_reads(config());
}
