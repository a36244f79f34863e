//! What users of other implementations reported, where no other test is it already: `or` is openraft,
//! `rr` raft-rs, and the number is that of the issue or pull request.

use raft::{Identity, Message, Term};

use crate::bed::plain;
use crate::paper::{append, at, request_vote, table};
use crate::table::n;

/// openraft#1802: a leader committed by itself what no majority held.
#[test]
fn or_1802_no_commit_without_a_quorum() {
    let mut table = table(5, plain());
    table.elect(1, &[2, 3, 4, 5]);
    for value in 10..40 {
        table.write(n(1), value);
        table.settle(&[1, 2]);
    }
    assert_eq!(table.commit(1), 1, "two of five hold them");
    assert_eq!(table.answers.len(), 0);
    // Another majority never heard of them, and goes on without.
    table.elect(3, &[4, 5]);
    table.write(n(3), 77);
    table.settle(&[3, 4, 5]);
    table.tick(n(3));
    table.settle(&[1, 2, 3, 4, 5]);
    assert_eq!(table.log(1), [(1, 0), (2, 0), (2, 77)]);
    table.assert_safe();
}

/// Reported of several: a refusal that names a higher term was counted as a vote.
#[test]
fn a_vote_of_a_higher_term_deposes_and_does_not_count() {
    let mut table = table(3, plain());
    table.tick(n(1));
    table.inject(
        n(2),
        n(1),
        Message::Vote { term: Term::new(9), granted: true, by: Identity::default() },
    );
    assert!(!table.node(n(1)).is_leader());
    assert_eq!(table.node(n(1)).term(), Term::new(9));
}

/// openraft#511: the entry before an append had been purged, which was taken for a conflict, so that
/// what was committed was cut off.
#[test]
fn or_511_what_was_purged_does_not_conflict() {
    let mut table = table(3, plain().with_snapshot_every(5).with_keep_behind(0));
    table.elect(1, &[2, 3]);
    for value in 1..=20 {
        table.write(n(1), value);
        table.settle(&[1, 2, 3]);
    }
    table.tick(n(1));
    table.settle(&[1, 2, 3]);
    assert!(table.node(n(2)).base().index.get() >= 15);
    let (before, commit) = (table.log(2), table.commit(2));
    // Late appends of the same leader, from before what n2 has dropped.
    table.inject(n(1), n(2), append(1, at(1, 2), &[(1, 2), (1, 3)], 4));
    table.inject(n(1), n(2), append(1, at(1, 2), &[], 2));
    assert_eq!((table.log(2), table.commit(2)), (before, commit));
    table.assert_safe();
}

/// raft-rs#571, among others: a node that votes, dies and comes back under its name in the same term
/// voted again. Its vote is on its disk before it leaves the node.
#[test]
fn rr_571_one_vote_a_term_through_any_crash() {
    let mut table = table(3, plain());
    table.instant_disks = false;
    table.inject(n(2), n(1), request_vote(4, at(0, 0)));
    assert!(table.wires.is_empty(), "the vote waits for the disk");
    table.sync(n(1));
    assert!(matches!(table.wires[..], [ref wire] if
        matches!(wire.message, Message::Vote { granted: true, .. })));
    for _ in 0..3 {
        table.crash(n(1), 0);
        table.restart(n(1));
        table.wires.clear();
        table.inject(n(3), n(1), request_vote(4, at(0, 0)));
        table.sync(n(1));
        assert!(matches!(table.wires[..], [ref wire] if
            matches!(wire.message, Message::Vote { granted: false, .. })));
    }
}
