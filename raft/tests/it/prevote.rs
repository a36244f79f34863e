//! Asking before standing (§9.6 of the thesis), and what a voter lends to whoever asks.

use std::time::Duration;

use raft::{Config, Identity, LogIndex, Message, Position, Term};

use crate::bed::config;
use crate::journal::Journal;
use crate::paper::{append, at, entries, table};
use crate::table::{Table, n};

const MILLI: Duration = Duration::from_millis(1);

fn pre_vote(term: u64, last: Position) -> Message<u64> {
    Message::PreVote { term: Term::new(term), last, agrees: last }
}

fn vote(term: u64) -> Message<u64> {
    Message::Vote { term: Term::new(term), granted: false, by: Identity::default() }
}

/// What the last answer to a pre-vote says: the voter's term, and whether it would vote so.
#[track_caller]
fn last_pre_voted(table: &Table) -> (u64, bool) {
    let said = table.wires.iter().rev().find_map(|wire| match wire.message {
        Message::PreVoted { term, granted, .. } => Some((term.get(), granted)),
        _ => None,
    });
    said.expect("an answer to a pre-vote")
}

#[test]
fn thesis_9_6_a_node_asks_before_it_stands() {
    let mut table = table(3, config());
    table.tick(n(1));
    assert_eq!(table.node(n(1)).term(), Term::ZERO, "its term has not changed");
    assert!(table.wires.iter().all(|wire| matches!(wire.message, Message::PreVote { .. })));
    table.deliver(0);
    let answer = table.wires.len() - 1;
    table.deliver(answer);
    // Two of three would vote for it.
    assert_eq!(table.node(n(1)).term(), Term::new(1));
    assert!(table.wires.iter().any(|wire| matches!(wire.message, Message::RequestVote { .. })));
    table.settle(&[1, 2, 3]);
    assert!(table.node(n(1)).is_leader());
    table.assert_safe();
}

/// "It does not change the receiver's term or vote": nor does it hold back the receiver's own
/// candidacy (what a toy gets wrong, 7).
pub(crate) fn pre_vote_does_not_reset_election_timers(config: Config<Journal>) {
    let mut table = table(3, config);
    table.pass(100 * MILLI);
    let before = table.deadline(n(1));
    table.inject(n(2), n(1), pre_vote(7, at(3, 9)));
    assert!(last_pre_voted(&table).1);
    assert_eq!(table.deadline(n(1)), before, "its timer started again");
    assert_eq!(table.node(n(1)).term(), Term::ZERO, "it took over the term");
    assert_eq!(table.node(n(1)).vote(), None);
    // The others may be granted one as well: it is no vote.
    table.inject(n(3), n(1), pre_vote(7, at(3, 9)));
    assert!(last_pre_voted(&table).1);
}

#[test]
fn thesis_9_6_a_pre_vote_does_not_reset_election_timers() {
    pre_vote_does_not_reset_election_timers(config());
}

/// Otherwise whoever fell behind in terms asks for ever in a term that is over (ee#8243).
pub(crate) fn pre_vote_rejection_carries_the_higher_term(config: Config<Journal>) {
    let mut table = table(3, config);
    table.inject(n(3), n(1), vote(5));
    table.tick(n(2));
    table.settle(&[1, 2]);
    assert!(table.node(n(2)).is_leader());
    assert_eq!(table.node(n(2)).term(), Term::new(6));
}

#[test]
fn ee_8243_a_pre_vote_rejection_carries_the_higher_term() {
    pre_vote_rejection_carries_the_higher_term(config());
}

/// A leader that restarts, or steps down, is not kept from standing by its followers' loyalty to it
/// (hr#606).
pub(crate) fn pre_vote_does_not_reject_the_leader_one_follows(config: Config<Journal>) {
    let mut table = table(3, config);
    table.elect(1, &[2, 3]);
    table.inject(n(3), n(2), pre_vote(1, at(1, 1)));
    assert_eq!(last_pre_voted(&table), (1, false), "it has just heard of n1");
    table.inject(n(1), n(2), pre_vote(1, at(1, 1)));
    assert_eq!(last_pre_voted(&table), (1, true), "n1 itself");
}

#[test]
fn hr_606_a_pre_vote_does_not_reject_the_leader_one_follows() {
    pre_vote_does_not_reject_the_leader_one_follows(config());
}

#[test]
fn hr_609_a_leader_that_restarts_at_once_is_elected_again() {
    let mut table = table(3, config());
    table.elect(1, &[2, 3]);
    table.crash(n(1), 0);
    table.restart(n(1));
    table.tick(n(1));
    table.settle(&[1, 2, 3]);
    assert!(table.node(n(1)).is_leader());
    assert_eq!(table.node(n(1)).term(), Term::new(2));
}

#[test]
fn thesis_9_6_a_node_behind_gets_no_pre_vote_and_disturbs_nobody() {
    let mut table = table(3, config());
    table.elect(1, &[2, 3]);
    table.write(n(1), 10);
    table.settle(&[1, 2]);
    // Away from the leader for a hundred timeouts.
    for _ in 0..100 {
        while table.clock() < table.deadline(n(3)) {
            table.beat(1, &[2], MILLI);
        }
        table.tick(n(3));
        table.wires.clear();
    }
    assert_eq!(table.node(n(3)).term(), Term::new(1));
    while table.clock() < table.deadline(n(3)) {
        table.beat(1, &[2], MILLI);
    }
    table.tick(n(3));
    table.settle(&[1, 2, 3]);
    assert!(table.node(n(1)).is_leader(), "the leader that serves was deposed");
    assert_eq!(table.node(n(1)).term(), Term::new(1));
    table.tick(n(1));
    table.settle(&[1, 2, 3]);
    assert_eq!(table.node(n(3)).leader(), Some(n(1)));
    assert_eq!(table.log(3), table.log(1));
}

/// A node with the longest log and a higher term than the leader that the rest has: it heals when
/// they meet, and nobody waits for ever (ee#8501, or#1796).
#[test]
fn ee_8501_a_node_with_a_higher_term_and_a_longer_log_heals() {
    for alone_with in [2, 3] {
        let mut table = table(3, config());
        table.elect(1, &[2, 3]);
        // n3 has been in t5, and has entries of t4 that nobody else has.
        table.inject(n(2), n(3), append(4, at(1, 1), &[(4, 1), (4, 2)], 0));
        table.inject(n(2), n(3), vote(5));
        table.wires.clear();
        // The leader reaches a majority without it; n3 asks, and gets nothing.
        table.beat(1, &[2], 200 * MILLI);
        table.tick(n(3));
        table.settle(&[1, 2, 3]);
        // It is told of the leader, and tells the leader of its term.
        for _ in 0..40 {
            let up: Vec<u32> = if alone_with == 2 { vec![1, 2, 3] } else { vec![1, 3] };
            let next = up.iter().copied().min_by_key(|&id| table.deadline(n(id))).unwrap();
            table.tick(n(next));
            table.settle(&up);
        }
        let leader = (1..=3).find(|&id| {
            let node = table.node(n(id));
            node.is_leader() && node.term() > Term::new(5)
        });
        let leader = leader.expect("a leader that all can follow");
        assert_eq!(table.log(leader), table.log(3), "with n{alone_with}");
        table.assert_safe();
    }
}

/// Two nodes are enough, whatever their terms: the one behind in terms is ahead in its log.
#[test]
fn or_1796_mixed_terms_heal() {
    let mut table = table(3, config());
    table.crash(n(1), 0);
    table.inject(n(1), n(2), append(3, at(0, 0), &[(3, 0), (3, 1)], 0));
    table.inject(n(1), n(3), vote(9));
    table.wires.clear();
    table.pass(400 * MILLI);
    for _ in 0..20 {
        let next = if table.deadline(n(2)) < table.deadline(n(3)) { 2 } else { 3 };
        table.tick(n(next));
        table.settle(&[2, 3]);
    }
    assert!(table.node(n(2)).is_leader() || table.node(n(3)).is_leader());
    assert_eq!(table.log(2), table.log(3));
    assert!(table.log(2).starts_with(&[(3, 0), (3, 1)]), "{:?}", table.log(2));
}

/// A lone node can only ask; when it hears its leader again, it follows as if nothing had been.
#[test]
fn thesis_9_6_a_pre_candidate_returns_to_the_leader_of_its_term() {
    let mut table = table(3, config());
    table.elect(1, &[2, 3]);
    table.tick(n(3));
    table.wires.clear();
    assert_eq!(table.node(n(3)).leader(), None);
    table.tick(n(1));
    table.settle(&[1, 2, 3]);
    assert_eq!(table.node(n(3)).leader(), Some(n(1)));
    assert_eq!(table.node(n(3)).term(), Term::new(1));
}

#[test]
fn thesis_9_6_an_answer_of_another_term_or_from_the_same_voter_counts_once() {
    let mut table = table(5, config());
    table.tick(n(1));
    table.wires.clear();
    let answer = |asked: u64, last| Message::PreVoted {
        term: Term::new(0),
        asked: Term::new(asked),
        last,
        granted: true,
        by: Identity::default(),
    };
    for _ in 0..3 {
        table.inject(n(2), n(1), answer(0, Position::ZERO));
        table.inject(n(3), n(1), answer(7, Position::ZERO));
        table.inject(n(4), n(1), answer(0, at(1, 1)));
    }
    assert_eq!(table.node(n(1)).term(), Term::ZERO);
    table.inject(n(3), n(1), answer(0, Position::ZERO));
    assert_eq!(table.node(n(1)).term(), Term::new(1));
}

// Loans.

/// Gives `id` this log, as a leader of the last of these terms would have.
fn give(table: &mut Table, id: u32, list: &[(u64, u64)]) {
    let term = list.last().map_or(1, |&(term, _)| term);
    let from = if id == 1 { n(2) } else { n(1) };
    table.inject(from, n(id), append(term, at(0, 0), list, 0));
    table.wires.clear();
}

/// The only node that reaches a majority is behind: it is lent what it lacks, and wins.
pub(crate) fn a_voter_lends_what_the_asker_lacks(config: Config<Journal>) {
    let mut table = table(5, config);
    let full: Vec<(u64, u64)> = (0..40).map(|value| (1 + value / 20, value)).collect();
    for id in 2..=5 {
        give(&mut table, id, &full);
    }
    give(&mut table, 1, &full[..7]);
    table.pass(400 * MILLI);
    table.tick(n(1));
    // n5 is away, and the others hear of n1 alone.
    while let Some(place) = table.wires.iter().position(|wire| {
        [wire.from, wire.to].contains(&n(1)) && ![wire.from, wire.to].contains(&n(5))
    }) {
        table.deliver(place);
    }
    assert!(table.node(n(1)).is_leader(), "{:?}", table.log(1));
    assert!(table.log(1).starts_with(&full));
    table.assert_safe();
}

#[test]
fn constrained_election_a_voter_lends_what_the_asker_lacks() {
    a_voter_lends_what_the_asker_lacks(config());
    a_voter_lends_what_the_asker_lacks(config().with_entries_max(3));
}

/// Logs that differ in several terms are brought together, and the borrower goes into a later term
/// before it drops what a leader of its own may count on.
#[test]
fn constrained_election_a_loan_replaces_a_conflict_in_a_later_term() {
    let mut table = table(3, config().with_entries_max(2));
    give(&mut table, 1, &[(1, 1), (1, 2), (2, 3), (2, 4), (4, 5), (4, 6), (4, 7), (4, 8)]);
    give(&mut table, 2, &[(1, 1), (1, 2), (3, 9), (3, 10), (5, 11)]);
    let before = table.node(n(1)).term();
    table.inject(n(3), n(1), vote(5));
    assert!(before < Term::new(5));
    table.pass(400 * MILLI);
    table.tick(n(1));
    table.settle(&[1, 2]);
    assert!(table.log(1).starts_with(&[(1, 1), (1, 2), (3, 9), (3, 10), (5, 11)]));
    assert!(table.gauge(n(1), "entries borrowed") >= 3);
    // In t6 it dropped, so it stood in t7.
    table.tick(n(1));
    table.settle(&[1, 2]);
    assert!(table.node(n(1)).is_leader());
    assert!(table.node(n(1)).term() > Term::new(6));
    table.assert_safe();
}

#[test]
fn a_loan_is_taken_by_whoever_asks_and_nobody_else() {
    let mut table = table(3, config());
    let loan = || Message::Lent {
        term: Term::new(1),
        prev: Position::ZERO,
        entries: entries(0, &[(1, 0), (1, 5)]),
    };
    table.inject(n(2), n(1), loan());
    assert_eq!(table.log(1), [], "a follower takes none");
    table.inject(n(2), n(1), vote(1));
    table.tick(n(1));
    // One that gains nothing, one that does not fit, one with a gap.
    let empty = Message::Lent { term: Term::new(1), prev: at(0, 0), entries: entries(0, &[]) };
    table.inject(n(2), n(1), empty);
    let far = Message::Lent { term: Term::new(1), prev: at(1, 9), entries: entries(9, &[(1, 5)]) };
    table.inject(n(2), n(1), far);
    assert_eq!(table.log(1), []);
    let strange =
        Message::Lent { term: Term::new(1), prev: at(0, 0), entries: entries(3, &[(1, 5)]) };
    let dropped = table.gauge(n(1), "messages dropped");
    table.inject(n(2), n(1), strange);
    assert_eq!(table.gauge(n(1), "messages dropped"), dropped + 1);
    table.inject(n(2), n(1), loan());
    assert_eq!(table.log(1), [(1, 0), (1, 5)]);
    assert_eq!(table.node(n(1)).commit_index(), LogIndex::ZERO, "a loan commits nothing");
}
