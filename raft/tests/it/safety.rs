//! The paper on safety (§5.4, figure 8); see `paper.rs`.

use cluster::NodeId;
use raft::{Config, Identity, Message, Round, Term};

use crate::bed::plain;
use crate::journal::Journal;
use crate::paper::{append, at, last_vote, matched, request_vote, table};
use crate::table::{Table, n};

/// "The voter denies its vote if its own log is more up-to-date than that of the candidate"
/// (§5.4.1): later last term, or the same one and longer.
pub(crate) fn up_to_date(config: Config<Journal>) {
    for (last, granted) in [
        (at(1, 9), false),
        (at(2, 1), false),
        (at(2, 2), true),
        (at(2, 3), true),
        (at(3, 1), true),
        (at(0, 0), false),
    ] {
        let mut table = table(3, config.clone());
        table.inject(n(2), n(1), append(2, at(0, 0), &[(1, 1), (2, 2)], 0));
        table.inject(n(3), n(1), request_vote(3, last));
        assert_eq!(last_vote(&table), (3, granted), "{last:?}");
    }
}

#[test]
fn section_5_4_1_up_to_date() {
    up_to_date(plain());
}

/// Figure 8: S1 leads in term 2 and replicates index 2 partly; S5 leads in term 3 with another
/// entry there; S1 leads again in term 4 and finishes what it began. A majority holds the entry of
/// term 2 then, and S5 could still overwrite it: it is not committed before one of term 4 is.
pub(crate) fn figure_8(config: Config<Journal>) {
    let mut table = table(5, config);
    // Index 1, of term 1, is everywhere.
    for id in 1..=5 {
        let from = if id == 2 { n(3) } else { n(2) };
        table.inject(from, n(id), append(1, at(0, 0), &[(1, 1)], 0));
    }
    table.wires.clear();
    // (a) S1 leads in term 2; its no-op is the entry that reaches S2 only.
    table.tick(n(1));
    table.wires.retain(|wire| [n(3), n(4)].contains(&wire.to));
    deliver_all_to(&mut table, &[n(3), n(4)]);
    table.wires.retain(|wire| wire.to == n(1));
    deliver_all_to(&mut table, &[n(1)]);
    assert!(table.node(n(1)).is_leader());
    table.wires.retain(|wire| wire.to == n(2));
    deliver_all_to(&mut table, &[n(2)]);
    table.wires.clear();
    // (b) S5 leads in term 3 by S3 and S4, and reaches nobody.
    table.crash(n(1), 0);
    table.tick(n(5));
    table.wires.clear();
    table.tick(n(5));
    deliver_all_to(&mut table, &[n(3), n(4)]);
    table.wires.retain(|wire| wire.to == n(5));
    deliver_all_to(&mut table, &[n(5)]);
    assert!(table.node(n(5)).is_leader());
    assert_eq!(table.node(n(5)).term(), Term::new(3));
    table.wires.clear();
    // (c) S5 crashes; S1 leads in term 4 by S2 and S3, and brings its old entry to S3, but its new
    // one nowhere: only the append up to index 2 arrives.
    table.crash(n(5), 0);
    table.restart(n(1));
    while table.node(n(1)).term() < Term::new(4) {
        table.wires.clear();
        table.tick(n(1));
    }
    deliver_all_to(&mut table, &[n(2), n(3)]);
    table.wires.retain(|wire| wire.to == n(1));
    deliver_all_to(&mut table, &[n(1)]);
    assert!(table.node(n(1)).is_leader());
    table.wires.clear();
    table.inject(n(1), n(3), append(4, at(1, 1), &[(2, 0)], 0));
    table.wires.retain(|wire| wire.to == n(1));
    deliver_all_to(&mut table, &[n(1)]);
    let ack = |index| Message::Appended {
        term: Term::new(4),
        round: Round::ZERO,
        outcome: matched(index),
        by: Identity::default(),
    };
    table.inject(n(2), n(1), ack(2));
    table.wires.clear();
    assert_eq!(table.commit(1), 0, "an entry of term 2 is held by a majority in term 4");
    // (d) So S5 may win term 5 and overwrite it.
    table.crash(n(1), 0);
    table.restart(n(5));
    while table.node(n(5)).term() < Term::new(5) {
        table.wires.clear();
        table.tick(n(5));
    }
    table.settle(&[2, 3, 4, 5]);
    assert!(table.node(n(5)).is_leader());
    assert_eq!(table.log(3), table.log(5));
    table.assert_safe();
}

fn deliver_all_to(table: &mut Table, nodes: &[NodeId]) {
    while let Some(place) = table.wires.iter().position(|wire| nodes.contains(&wire.to)) {
        table.deliver(place);
    }
}

#[test]
fn figure_8_no_commit_of_an_old_term_by_counting() {
    figure_8(plain());
}

/// "Figure 8(e)": once an entry of its own term is committed, so are those before it.
#[test]
fn section_5_4_2_the_first_commit_of_a_term_commits_what_is_before() {
    let mut table = table(3, plain());
    table.elect(1, &[2, 3]);
    table.write(n(1), 10);
    table.settle(&[1]);
    table.crash(n(1), 0);
    table.restart(n(1));
    table.elect(1, &[2]);
    assert_eq!(table.commit(1), 3);
    assert_eq!(table.log(2), [(1, 0), (1, 10), (2, 0)]);
}
