//! The paper's sentences, one test each, on a table of nodes moved by hand. The section is in the
//! name. Those that take a configuration are also run with planted bugs, in `mutants.rs`.
//!
//! Here: terms and elections (§5.1, §5.2), and what all of them need.

use std::collections::BTreeSet;
use std::time::Duration;

use raft::{
    Append, Appended, Config, Entries, Entry, Error, Identity, Kind, LogIndex, Message, Payload,
    Position, Round, Term,
};

use crate::bed::plain;
use crate::journal::Journal;
use crate::table::{Table, n};

pub(crate) fn table(count: usize, config: Config<Journal>) -> Table {
    Table::new(count, config, 7)
}

pub(crate) fn at(term: u64, index: u64) -> Position {
    Position { term: Term::new(term), index: LogIndex::new(index) }
}

/// Entries of these terms and values, after index `prev`.
pub(crate) fn entries(prev: u64, list: &[(u64, u64)]) -> Entries<u64> {
    let entry = |(place, &(term, value)): (usize, &(u64, u64))| {
        let payload = if value == 0 { Payload::Noop } else { Payload::Command(value) };
        let index = LogIndex::new(prev).plus(place).next();
        Entry { term: Term::new(term), index, payload }
    };
    list.iter().enumerate().map(entry).collect()
}

pub(crate) fn append(term: u64, prev: Position, list: &[(u64, u64)], commit: u64) -> Message<u64> {
    Message::Append(Append {
        term: Term::new(term),
        prev,
        entries: entries(prev.index.get(), list),
        commit: LogIndex::new(commit),
        round: Round::ZERO,
        kind: Kind::Full,
    })
}

pub(crate) fn request_vote(term: u64, last: Position) -> Message<u64> {
    Message::RequestVote { term: Term::new(term), last, transfer: false }
}

/// What the last message says: a vote, and in which term.
pub(crate) fn last_vote(table: &Table) -> (u64, bool) {
    match table.wires.last().map(|wire| &wire.message) {
        Some(Message::Vote { term, granted, .. }) => (term.get(), *granted),
        other => panic!("no vote but {other:?}"),
    }
}

pub(crate) fn last_appended(table: &Table) -> (u64, Appended) {
    match table.wires.last().map(|wire| &wire.message) {
        Some(Message::Appended { term, outcome, .. }) => (term.get(), *outcome),
        other => panic!("no answer to an append but {other:?}"),
    }
}

pub(crate) fn matched(index: u64) -> Appended {
    Appended::Matched(LogIndex::new(index))
}

// Figure 2 and §5.1: terms.

#[test]
fn figure_2_a_lower_term_is_refused_and_told_the_higher_one() {
    let mut table = table(3, plain());
    table.inject(n(2), n(1), append(5, at(0, 0), &[], 0));
    table.inject(n(3), n(1), append(4, at(0, 0), &[(4, 1)], 1));
    assert_eq!(last_appended(&table), (5, Appended::Stale));
    assert_eq!(table.log(1), []);
    table.inject(n(3), n(1), request_vote(4, at(4, 9)));
    assert_eq!(last_vote(&table), (5, false));
}

/// "If a candidate or leader discovers that its term is out of date, it immediately reverts to
/// follower state" (§5.1).
pub(crate) fn higher_term_deposes(config: Config<Journal>) {
    let mut table = table(3, config);
    table.elect(1, &[2]);
    let request = table.write(n(1), 1);
    table.wires.clear();
    let message = Message::Vote { term: Term::new(9), granted: false, by: Identity::default() };
    table.inject(n(3), n(1), message);
    assert!(!table.node(n(1)).is_leader(), "it leads on");
    assert_eq!(table.node(n(1)).term(), Term::new(9));
    assert!(matches!(table.answer(request), Some(Err(Error::Deposed))));
}

#[test]
fn section_5_1_a_higher_term_deposes() {
    higher_term_deposes(plain());
}

// §5.2: leader election.

#[test]
fn section_5_2_a_node_stands_only_after_its_whole_timeout() {
    let mut table = table(3, plain());
    table.tick_after(n(1), Duration::from_millis(149));
    assert!(table.wires.is_empty());
    table.tick(n(1));
    assert_eq!(table.node(n(1)).term(), Term::new(1));
    assert_eq!(table.wires.len(), 2);
}

/// "Raft uses randomized election timeouts" (§5.2), and draws them anew each time.
pub(crate) fn timeouts_are_random(config: Config<Journal>) {
    let mut table = table(3, config);
    let mut spans = BTreeSet::new();
    for _ in 0..20 {
        let before = cluster::Node::deadline(table.node(n(1))).unwrap();
        table.tick(n(1));
        let after = cluster::Node::deadline(table.node(n(1))).unwrap();
        spans.insert(after.since(before));
    }
    let range = Duration::from_millis(150)..=Duration::from_millis(300);
    assert!(spans.iter().all(|span| range.contains(span)), "{spans:?}");
    assert!(spans.len() > 15, "{spans:?}");
}

#[test]
fn section_5_2_election_timeouts_are_random() {
    timeouts_are_random(plain());
}

/// "Each server will vote for at most one candidate in a given term" (§5.2).
pub(crate) fn one_vote_a_term(config: Config<Journal>) {
    let mut table = table(3, config);
    table.inject(n(2), n(1), request_vote(1, at(0, 0)));
    assert_eq!(last_vote(&table), (1, true));
    table.inject(n(3), n(1), request_vote(1, at(0, 0)));
    assert_eq!(last_vote(&table), (1, false));
    // The same candidate asks again, because the answer was lost.
    table.inject(n(2), n(1), request_vote(1, at(0, 0)));
    assert_eq!(last_vote(&table), (1, true));
}

#[test]
fn section_5_2_one_vote_a_term() {
    one_vote_a_term(plain());
}

#[test]
fn section_5_2_a_vote_is_remembered_through_a_crash() {
    let mut table = table(3, plain());
    table.inject(n(2), n(1), request_vote(1, at(0, 0)));
    table.crash(n(1), 0);
    table.restart(n(1));
    table.inject(n(3), n(1), request_vote(1, at(0, 0)));
    assert_eq!(last_vote(&table), (1, false));
}

/// Term and vote are "updated on stable storage before responding to RPCs" (figure 2).
pub(crate) fn votes_wait_for_the_disk(config: Config<Journal>) {
    let mut table = table(3, config);
    table.instant_disks = false;
    table.inject(n(2), n(1), request_vote(1, at(0, 0)));
    assert!(table.wires.is_empty(), "{:?}", table.wires);
    table.sync(n(1));
    assert_eq!(last_vote(&table), (1, true));
}

#[test]
fn figure_2_votes_wait_for_the_disk() {
    votes_wait_for_the_disk(plain());
}

#[test]
fn figure_2_a_candidate_asks_and_counts_itself_only_once_its_vote_is_durable() {
    let mut table = table(3, plain());
    table.instant_disks = false;
    table.tick(n(1));
    assert!(table.wires.is_empty(), "it asked: {:?}", table.wires);
    let vote = Message::Vote { term: Term::new(1), granted: true, by: Identity::default() };
    table.inject(n(2), n(1), vote);
    assert!(!table.node(n(1)).is_leader(), "one durable vote of three");
    table.sync(n(1));
    assert!(table.node(n(1)).is_leader());
}

#[test]
fn section_5_2_a_duplicate_vote_counts_once() {
    let mut table = table(5, plain());
    table.tick(n(1));
    for _ in 0..3 {
        table.inject(
            n(2),
            n(1),
            Message::Vote { term: Term::new(1), granted: true, by: Identity::default() },
        );
    }
    assert!(!table.node(n(1)).is_leader(), "two of five");
    table.inject(
        n(3),
        n(1),
        Message::Vote { term: Term::new(1), granted: true, by: Identity::default() },
    );
    assert!(table.node(n(1)).is_leader());
}

#[test]
fn section_5_2_a_vote_of_an_earlier_term_does_not_count() {
    let mut table = table(3, plain());
    table.tick(n(1));
    table.tick(n(1));
    assert_eq!(table.node(n(1)).term(), Term::new(2));
    table.inject(
        n(2),
        n(1),
        Message::Vote { term: Term::new(1), granted: true, by: Identity::default() },
    );
    assert!(!table.node(n(1)).is_leader());
}

#[test]
fn section_5_2_the_timer_starts_again_on_granting_a_vote_and_not_on_refusing() {
    let mut table = table(3, plain());
    let deadline = |table: &Table| cluster::Node::deadline(table.node(n(1))).unwrap();
    table.tick_after(n(1), Duration::from_millis(100));
    let first = deadline(&table);
    table.inject(n(2), n(1), request_vote(1, at(0, 0)));
    let granted = deadline(&table);
    assert_ne!(granted, first);
    table.inject(n(3), n(1), request_vote(1, at(0, 0)));
    assert_eq!(deadline(&table), granted);
}

/// "If the leader's term is at least as large as the candidate's current term, then the candidate
/// recognizes the leader as legitimate and returns to follower state" (§5.2).
pub(crate) fn candidate_accepts_leader_of_its_term(config: Config<Journal>) {
    let mut table = table(3, config);
    table.tick(n(1));
    table.inject(n(2), n(1), append(1, at(0, 0), &[(1, 0)], 0));
    assert_eq!(last_appended(&table), (1, matched(1)));
    assert_eq!(table.node(n(1)).leader(), Some(n(2)));
    assert_eq!(table.node(n(1)).vote(), Some(n(1)), "its vote in the term stays");
}

#[test]
fn section_5_2_a_candidate_accepts_the_leader_of_its_term() {
    candidate_accepts_leader_of_its_term(plain());
}

#[test]
fn section_5_2_a_split_vote_ends_with_the_next_term() {
    let mut table = table(4, plain());
    table.tick(n(1));
    table.tick(n(2));
    table.wires.retain(|wire| [wire.from, wire.to] != [n(1), n(4)]);
    table.wires.retain(|wire| [wire.from, wire.to] != [n(2), n(3)]);
    table.settle(&[1, 2, 3, 4]);
    assert!((1..=4).all(|id| !table.node(n(id)).is_leader()));
    table.elect(1, &[2, 3, 4]);
    assert_eq!(table.node(n(1)).term(), Term::new(2));
}
