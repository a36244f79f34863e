//! The paper on log replication (§5.3, figures 2 and 7), and what no correct peer sends; see
//! `paper.rs`.

use raft::{
    Append, Appended, Config, Error, Identity, Kind, LogIndex, Message, Position, Reply, Round,
    Term,
};

use crate::bed::plain;
use crate::journal::Journal;
use crate::paper::{append, at, entries, last_appended, matched, request_vote, table};
use crate::table::n;

#[test]
fn section_5_3_a_write_is_answered_once_a_majority_holds_it() {
    let mut table = table(5, plain());
    table.elect(1, &[2, 3, 4, 5]);
    let request = table.write(n(1), 10);
    assert!(table.answer(request).is_none());
    table.settle(&[1, 2]);
    assert!(table.answer(request).is_none(), "two of five");
    table.tick(n(1));
    table.settle(&[1, 2, 3]);
    match table.answer(request) {
        Some(Ok(Reply::Written { index, output })) => {
            assert_eq!((index.get(), *output), (2, 0));
        }
        other => panic!("{other:?}"),
    }
    table.assert_safe();
}

/// The leader's own disk is one of the majority, and not before it has synced (§10.2.1 of the
/// thesis).
pub(crate) fn leader_counts_itself_once_durable(config: Config<Journal>) {
    let mut table = table(3, config);
    table.elect(1, &[2, 3]);
    table.instant_disks = false;
    let request = table.write(n(1), 10);
    assert_eq!(table.wires.len(), 2, "it sends while it writes");
    table.wires.retain(|wire| wire.to == n(2));
    table.deliver(0);
    table.sync(n(2));
    table.deliver(0);
    assert_eq!(table.commit(1), 1, "one durable copy of three");
    table.sync(n(1));
    assert_eq!(table.commit(1), 2);
    assert!(table.answer(request).is_some());
}

#[test]
fn section_5_3_a_leader_counts_itself_once_durable() {
    leader_counts_itself_once_durable(plain());
}

/// A follower "responds to the leader" once the entries are in its log, that is, on its disk.
pub(crate) fn acknowledgements_wait_for_the_disk(config: Config<Journal>) {
    let mut table = table(3, config);
    table.instant_disks = false;
    table.inject(n(2), n(1), append(1, at(0, 0), &[(1, 0), (1, 5)], 0));
    assert!(table.wires.is_empty(), "{:?}", table.wires);
    table.sync(n(1));
    assert_eq!(last_appended(&table), (1, matched(2)));
}

#[test]
fn figure_2_acknowledgements_wait_for_the_disk() {
    acknowledgements_wait_for_the_disk(plain());
}

#[test]
fn ee_14370_a_single_node_commits_when_its_disk_has_synced() {
    let mut table = table(1, plain());
    table.instant_disks = false;
    table.tick(n(1));
    assert!(!table.node(n(1)).is_leader(), "its vote is not durable");
    table.sync(n(1));
    assert!(table.node(n(1)).is_leader());
    let request = table.write(n(1), 10);
    assert!(table.answer(request).is_none());
    table.sync(n(1));
    assert!(matches!(table.answer(request), Some(Ok(Reply::Written { .. }))));
}

/// "Reply false if log doesn't contain an entry at prevLogIndex whose term matches prevLogTerm"
/// (figure 2), and commit nothing by it.
pub(crate) fn refuses_without_the_previous_entry(config: Config<Journal>) {
    let mut table = table(3, config);
    table.inject(n(2), n(1), append(1, at(0, 0), &[(1, 0), (1, 5)], 0));
    // Too short.
    table.inject(n(2), n(1), append(1, at(1, 4), &[(1, 8)], 4));
    let refused = |prev, hint| Appended::Refused { prev: LogIndex::new(prev), hint };
    assert_eq!(last_appended(&table), (1, refused(4, at(1, 2))));
    assert_eq!(table.commit(1), 0);
    // Another term there.
    table.inject(n(3), n(1), append(3, at(2, 2), &[(3, 0)], 3));
    assert_eq!(last_appended(&table), (3, refused(2, at(1, 2))));
    assert_eq!(table.log(1), [(1, 0), (1, 5)]);
    assert_eq!(table.commit(1), 0);
}

#[test]
fn figure_2_an_append_without_its_previous_entry_is_refused() {
    refuses_without_the_previous_entry(plain());
}

/// "If an existing entry conflicts with a new one, delete the existing entry and all that follow
/// it" (figure 2): if, and only if.
pub(crate) fn truncates_on_conflict_only(config: Config<Journal>) {
    let mut table = table(3, config);
    table.inject(n(2), n(1), append(1, at(0, 0), &[(1, 0), (1, 5), (1, 6)], 0));
    // The first of two appends comes again, after the second: nothing is lost.
    table.inject(n(2), n(1), append(1, at(0, 0), &[(1, 0), (1, 5)], 0));
    assert_eq!(table.log(1), [(1, 0), (1, 5), (1, 6)]);
    assert_eq!(last_appended(&table), (1, matched(2)), "what that append verified");
    // So does a heartbeat.
    table.inject(n(2), n(1), append(1, at(1, 1), &[], 0));
    assert_eq!(table.log(1).len(), 3);
    // A leader of a later term knows better.
    table.inject(n(3), n(1), append(2, at(1, 1), &[(2, 0)], 0));
    assert_eq!(table.log(1), [(1, 0), (2, 0)]);
    assert_eq!(last_appended(&table), (2, matched(2)));
}

#[test]
fn figure_2_truncates_on_conflict_only() {
    truncates_on_conflict_only(plain());
}

/// "Set commitIndex = min(leaderCommit, index of last new entry)" (figure 2).
pub(crate) fn commits_only_what_was_verified(config: Config<Journal>) {
    let mut table = table(3, config);
    table.inject(n(2), n(1), append(1, at(0, 0), &[(1, 0), (1, 5), (1, 6)], 0));
    // The leader of term 2 shares one entry with it, and has committed three of its own.
    table.inject(n(3), n(1), append(2, at(1, 1), &[], 3));
    assert_eq!(table.commit(1), 1);
    assert_eq!(last_appended(&table), (2, matched(1)), "not its own last index");
}

#[test]
fn figure_2_a_follower_commits_only_what_was_verified() {
    commits_only_what_was_verified(plain());
}

/// Figure 7: followers (a) to (f) and the leader for term 8. After its election all logs are equal
/// to its own.
#[test]
fn figure_7_a_new_leader_brings_any_follower_into_line() {
    let leader: &[u64] = &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
    let followers: [&[u64]; 6] = [
        &[1, 1, 1, 4, 4, 5, 5, 6, 6],
        &[1, 1, 1, 4],
        &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
        &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
        &[1, 1, 1, 4, 4, 4, 4],
        &[1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
    ];
    for (name, terms) in ["a", "b", "c", "d", "e", "f"].iter().zip(followers) {
        let mut table = table(3, plain());
        for (id, terms) in [(1, leader), (2, terms)] {
            // The value tells the place and the term, so that equal entries are equal.
            let list: Vec<(u64, u64)> =
                (1..).zip(terms).map(|(place, &term)| (term, place * 100 + term)).collect();
            // The last leader of term 7 got no further than (d).
            table.inject(n(3), n(id), append(7, at(0, 0), &list, 0));
        }
        table.wires.clear();
        table.tick(n(1));
        table.wires.clear();
        // A majority of the seven elects it; here the third node alone does.
        table.inject(
            n(3),
            n(1),
            Message::Vote { term: Term::new(8), granted: true, by: Identity::default() },
        );
        let steps_before = table.wires.len();
        table.settle(&[1, 2]);
        assert_eq!(table.log(2), table.log(1), "follower ({name}) after {steps_before}");
        assert_eq!(table.log(1).len(), leader.len() + 1);
        assert_eq!(table.commit(1), 11, "follower ({name})");
        table.assert_safe();
    }
}

/// "The protocol can be optimized to reduce the number of rejected AppendEntries RPCs" (§5.3): one
/// for each conflicting term, at most.
#[test]
fn section_5_3_backtracking_skips_whole_terms() {
    let mut table = table(3, plain());
    let common: Vec<(u64, u64)> = (1..=5).map(|value| (1, value)).collect();
    let tail = |term: u64| (0..200).map(move |value| (term, 1000 + value));
    let of_leader: Vec<_> = common.iter().copied().chain(tail(3)).collect();
    let of_follower: Vec<_> = common.iter().copied().chain(tail(2)).collect();
    table.inject(n(3), n(1), append(3, at(0, 0), &of_leader, 0));
    table.inject(n(3), n(2), append(2, at(0, 0), &of_follower, 0));
    table.wires.clear();
    table.tick(n(1));
    table.wires.clear();
    table.inject(
        n(3),
        n(1),
        Message::Vote { term: Term::new(4), granted: true, by: Identity::default() },
    );
    let mut refusals = 0;
    while let Some(place) = table.wires.iter().position(|wire| wire.to != n(3)) {
        let wire = &table.wires[place];
        refusals += u64::from(matches!(
            wire.message,
            Message::Appended { outcome: Appended::Refused { .. }, .. }
        ));
        table.deliver(place);
    }
    assert_eq!(table.log(2), table.log(1));
    assert!(refusals <= 2, "{refusals} refusals for one term");
}

#[test]
fn section_5_3_an_old_or_repeated_acknowledgement_counts_once() {
    let mut table = table(5, plain());
    table.elect(1, &[2, 3, 4, 5]);
    table.write(n(1), 10);
    table.wires.clear();
    let ack = |index: u64| Message::Appended {
        term: Term::new(1),
        round: Round::ZERO,
        outcome: matched(index),
        by: Identity::default(),
    };
    table.inject(n(2), n(1), ack(2));
    table.inject(n(2), n(1), ack(2));
    table.inject(n(2), n(1), ack(1));
    assert_eq!(table.commit(1), 1);
    table.inject(n(3), n(1), ack(2));
    assert_eq!(table.commit(1), 2);
}

#[test]
fn section_5_3_lost_appends_are_found_by_the_next_heartbeat() {
    let mut table = table(3, plain());
    table.elect(1, &[2, 3]);
    for value in 1..=20 {
        table.write(n(1), value);
    }
    table.wires.clear();
    assert_eq!(table.commit(1), 1);
    table.tick(n(1));
    table.settle(&[1, 2, 3]);
    assert_eq!(table.commit(1), 21);
    table.assert_safe();
}

#[test]
fn section_5_3_a_window_is_never_exceeded_and_opens_again() {
    let mut table = table(3, plain().with_inflight_max(4).with_entries_max(2));
    table.elect(1, &[2, 3]);
    for value in 1..=50 {
        table.write(n(1), value);
    }
    let to_n2 = table.wires.iter().filter(|wire| wire.to == n(2)).count();
    assert_eq!(to_n2, 4);
    for wire in &table.wires {
        let Message::Append(append) = &wire.message else { panic!("{wire:?}") };
        assert!(append.entries.len() <= 2);
    }
    table.settle(&[1, 2, 3]);
    assert_eq!(table.commit(1), 51);
}

#[test]
fn overloaded_leaders_refuse_and_recover() {
    let mut table = table(3, plain().with_pending_max(3));
    table.elect(1, &[2, 3]);
    let requests: Vec<_> = (1..=4).map(|value| table.write(n(1), value)).collect();
    assert!(matches!(table.answer(requests[3]), Some(Err(Error::Overloaded))));
    table.settle(&[1, 2, 3]);
    assert!(matches!(table.answer(requests[2]), Some(Ok(Reply::Written { .. }))));
    table.write(n(1), 5);
    table.settle(&[1, 2, 3]);
    assert_eq!(table.log(2).iter().map(|entry| entry.1).collect::<Vec<_>>(), [0, 1, 2, 3, 5]);
}

// What no correct peer sends.

#[test]
fn or_1795_nonsense_is_dropped_and_counted() {
    let mut table = table(3, plain());
    table.elect(1, &[2, 3]);
    let huge = LogIndex::new(u64::MAX);
    let ack = |outcome| Message::Appended {
        term: Term::new(1),
        round: Round::new(99),
        outcome,
        by: Identity::default(),
    };
    let max = Position { term: Term::new(1), index: huge };
    let before = table.log(2);
    for (from, to, message) in [
        (9, 1, request_vote(7, at(9, 9))),
        (1, 1, request_vote(7, at(9, 9))),
        (2, 1, request_vote(u64::MAX, at(9, 9))),
        (2, 1, ack(Appended::Matched(huge))),
        (2, 1, ack(Appended::Refused { prev: huge, hint: max })),
        (3, 1, append(1, at(0, 0), &[(1, 5)], 1)),
        (3, 2, append(1, at(0, 0), &[(1, 5)], 1)),
        (1, 2, append(1, max, &[], u64::MAX)),
        (1, 2, append(1, at(1, 1), &[(9, 1)], 1)),
        (1, 2, append(1, at(1, 1), &[(1, 1), (0, 2)], 1)),
    ] {
        table.inject(n(from), n(to), message);
    }
    let entries = entries(1, &[(1, 5), (1, 6)]).skip(1);
    table.inject(
        n(1),
        n(2),
        Message::Append(Append {
            term: Term::new(1),
            prev: at(1, 1),
            entries,
            commit: LogIndex::ZERO,
            round: Round::ZERO,
            kind: Kind::Full,
        }),
    );
    assert_eq!(table.log(2), before);
    assert!(table.node(n(1)).is_leader());
    let gauge = |id: u32| {
        let gauges = cluster::Node::gauges(table.node(n(id)));
        gauges.into_iter().find(|(name, _)| *name == "messages dropped").unwrap().1
    };
    assert_eq!((gauge(1), gauge(2)), (6, 4));
    table.wires.clear();
    table.write(n(1), 77);
    table.settle(&[1, 2, 3]);
    assert_eq!(table.commit(1), 2);
    table.assert_safe();
}

#[test]
fn nr_185_a_conflict_with_what_is_committed_is_refused() {
    let mut table = table(3, plain());
    table.elect(1, &[2, 3]);
    table.write(n(1), 10);
    table.settle(&[1, 2, 3]);
    table.tick(n(1));
    table.settle(&[1, 2, 3]);
    assert_eq!(table.commit(2), 2);
    table.inject(n(3), n(2), append(5, at(1, 1), &[(5, 0)], 0));
    assert_eq!(table.log(2), [(1, 0), (1, 10)]);
    assert!(table.wires.is_empty(), "no acknowledgement");
}
