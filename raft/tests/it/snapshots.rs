//! Snapshots and compaction (§7; thesis §5), on a table of nodes moved by hand.

use std::time::Duration;

use raft::{
    Appended, Config, Identity, Install, Installed, LogIndex, Message, Position, Record, Round,
    Term,
};

use crate::bed::{config, plain};
use crate::journal::Journal;
use crate::paper::{append, at, last_appended, matched, table};
use crate::table::{Table, Wire, n};

const HEARTBEAT: Duration = Duration::from_millis(50);

/// Snapshots every five entries, nothing kept before them, in parts of a few bytes.
fn small(config: Config<Journal>) -> Config<Journal> {
    config.with_snapshot_every(5).with_keep_behind(0).with_lag_max(40).with_chunk_bytes(8)
}

/// `n1` leads three nodes, and all but those away have `count` values, and know of it.
fn led(config: Config<Journal>, there: &[u32], count: u64) -> Table {
    let mut table = table(3, config);
    table.elect(1, &[2, 3]);
    write(&mut table, there, 1..=count);
    if there.len() < 3 {
        // Until nothing is kept any more for the one that is away.
        heartbeats(&mut table, 1, there, 20);
    }
    table
}

fn write(table: &mut Table, there: &[u32], values: std::ops::RangeInclusive<u64>) {
    for value in values {
        table.write(n(1), value);
        table.settle(there);
    }
    heartbeats(table, 1, there, 2);
}

fn heartbeats(table: &mut Table, leader: u32, there: &[u32], count: usize) {
    for _ in 0..count {
        table.tick_after(n(leader), HEARTBEAT);
        table.settle(there);
    }
    table.assert_safe();
}

fn values(table: &Table, id: u32) -> &[u64] {
    &table.node(n(id)).machine().values
}

fn gauge(table: &Table, id: u32, name: &str) -> u64 {
    let gauges = cluster::Node::gauges(table.node(n(id)));
    gauges.into_iter().find(|(it, _)| *it == name).expect("a gauge").1
}

fn install(wire: &Wire) -> Option<&Install> {
    match &wire.message {
        Message::Install(install) => Some(install),
        _ => None,
    }
}

/// "Each server takes snapshots independently, covering just the committed entries in its log" (§7).
#[test]
fn section_7_each_node_drops_what_its_snapshot_covers() {
    let table = led(small(config()), &[1, 2, 3], 13);
    for id in [1, 2, 3] {
        let node = table.node(n(id));
        assert_eq!(node.base(), at(1, 10), "n{id}");
        assert_eq!(node.snapshot_index(), LogIndex::new(10));
        assert_eq!(node.entries(LogIndex::ZERO, usize::MAX).count(), 4);
        assert_eq!(node.entry(LogIndex::new(10)), None);
        assert_eq!(values(&table, id), (1..=13).collect::<Vec<_>>());
        let records = table.records(n(id));
        assert!(matches!(&records[0], Record::Checkpoint(it) if it.position == at(1, 10)));
        assert!(records.len() < 30, "n{id}: {} records", records.len());
    }
}

/// A restart brings machine, applied index and log back together, and goes on.
#[test]
fn section_7_a_restart_begins_at_the_snapshot() {
    for drops_percent in [0, 50, 100] {
        let mut table = table(3, small(config()));
        table.drops_percent = drops_percent;
        table.elect(1, &[2, 3]);
        write(&mut table, &[1, 2, 3], 1..=13);
        for id in [1, 2, 3] {
            table.crash(n(id), 0);
        }
        for id in [1, 2, 3] {
            table.restart(n(id));
            let node = table.node(n(id));
            assert_eq!((node.base(), node.commit_index()), (at(1, 10), LogIndex::new(10)));
            assert_eq!(node.applied_index(), LogIndex::new(10));
            assert_eq!((node.last_index(), node.term()), (LogIndex::new(14), Term::new(1)));
            assert_eq!(values(&table, id), (1..=9).collect::<Vec<_>>());
        }
        table.elect(2, &[1, 3]);
        heartbeats(&mut table, 2, &[1, 2, 3], 2);
        assert_eq!(values(&table, 1), (1..=13).collect::<Vec<_>>());
    }
}

/// Between any two records of a snapshot, and whether or not older records are dropped: a node that
/// dies comes back with all it had acknowledged.
pub(crate) fn crashes_between_records(config: Config<Journal>) {
    for drops_percent in [0, 100] {
        for lucky in 0..30 {
            let mut table = table(3, small(config.clone()));
            table.drops_percent = drops_percent;
            table.elect(1, &[2, 3]);
            write(&mut table, &[1, 2, 3], 1..=7);
            // What follows is written and not synced: entries, and the snapshot up to i10.
            table.instant_disks = false;
            let acknowledged = table.node(n(2)).last_index();
            write(&mut table, &[1, 2], 8..=8);
            for value in 9..=13 {
                table.write(n(1), value);
            }
            for _ in 0..4 {
                table.tick_after(n(1), HEARTBEAT);
                table.settle(&[1, 2, 3]);
                for id in [1, 3] {
                    table.sync(n(id));
                }
                table.settle(&[1, 2, 3]);
            }
            assert_eq!(table.node(n(2)).applied_index(), LogIndex::new(14));
            table.crash(n(2), lucky);
            table.restart(n(2));
            assert!(table.is_up(n(2)), "it boots with {lucky} records more");
            assert!(table.node(n(2)).last_index() >= acknowledged);
            table.instant_disks = true;
            for id in [1, 2, 3] {
                table.sync(n(id));
            }
            heartbeats(&mut table, 1, &[1, 2, 3], 4);
            assert_eq!(values(&table, 2), (1..=13).collect::<Vec<_>>(), "{lucky}");
        }
    }
}

#[test]
fn a_crash_at_any_point_of_a_snapshot_is_harmless() {
    crashes_between_records(config());
}

/// Item 10: an append that begins before the snapshot is acknowledged as far as it goes.
pub(crate) fn acknowledged_below(config: Config<Journal>) {
    let mut table = led(small(config), &[1, 2, 3], 13);
    assert_eq!(table.node(n(2)).base(), at(1, 10));
    let all: Vec<(u64, u64)> = std::iter::once((1, 0)).chain((1..=14).map(|it| (1, it))).collect();
    for (prev, count, reached) in [(0, 0, 10), (3, 2, 10), (3, 7, 10), (3, 9, 12), (8, 7, 15)] {
        let prev_term = u64::from(prev > 0);
        let list = &all[prev as usize..prev as usize + count];
        table.inject(n(1), n(2), append(1, at(prev_term, prev), list, 14));
        assert_eq!(last_appended(&table), (1, matched(reached)), "{count} after i{prev}");
    }
    assert_eq!(table.node(n(2)).last_index(), LogIndex::new(15));
    table.assert_safe();
}

#[test]
fn or_511_an_append_below_the_snapshot_is_acknowledged() {
    acknowledged_below(config());
}

/// What contradicts a snapshot was sent by no leader.
#[test]
fn an_append_that_contradicts_the_snapshot_is_dropped() {
    let mut table = led(small(config()), &[1, 2, 3], 13);
    table.wires.clear();
    table.inject(n(1), n(2), append(1, at(0, 0), &[(1, 0); 9], 14));
    assert_eq!(last_appended(&table), (1, matched(10)));
    table.wires.clear();
    let mut list = [(1, 5); 12];
    (list[9].0, list[10].0, list[11].0) = (2, 2, 2);
    table.inject(n(1), n(2), append(2, at(0, 0), &list, 14));
    assert!(table.wires.is_empty(), "{:?}", table.wires);
    assert_eq!(gauge(&table, 2, "messages dropped"), 1);
}

/// "The leader must occasionally send snapshots to followers that lag behind" (§7): in parts, each
/// acknowledged, a few ahead.
#[test]
fn ee_9000_a_follower_far_behind_is_sent_the_snapshot_in_parts() {
    let mut table = led(small(config()), &[1, 2], 23);
    assert_eq!(values(&table, 3), [], "it was away");
    let mut parts = 0;
    table.tick_after(n(1), HEARTBEAT);
    while !table.wires.is_empty() {
        parts += usize::from(install(&table.wires[0]).is_some());
        let under_way = table.wires.iter().filter_map(install);
        assert!(under_way.map(|it| it.chunk.len()).sum::<usize>() <= 4 * 8, "too far ahead");
        table.deliver(0);
    }
    heartbeats(&mut table, 1, &[1, 2, 3], 3);
    assert!(parts >= 4, "{parts}");
    assert_eq!(values(&table, 3), values(&table, 1));
    assert_eq!(table.node(n(3)).base(), table.node(n(1)).base());
    assert_eq!(gauge(&table, 3, "snapshots installed"), 1);
}

/// Delivers what lies there until the follower `n3` holds some parts of a snapshot, not all, and
/// returns how many bytes its leader knows it to have. All that is under way then is lost.
fn half(table: &mut Table, parts: usize) -> u64 {
    let mut held = 0;
    let mut seen = 0;
    // The leader must find out what is missing first.
    for _ in 0..3 {
        table.tick_after(n(1), HEARTBEAT);
        while seen < parts
            && let Some(place) = table.wires.iter().position(|wire| wire.to != n(2))
        {
            seen += usize::from(install(&table.wires[place]).is_some());
            if let Message::Installed { outcome: Installed::Holds(bytes), .. } =
                table.wires[place].message
            {
                held = bytes.max(held);
            }
            table.deliver(place);
        }
    }
    table.wires.clear();
    assert!(held > 0 && gauge(table, 3, "snapshots installed") == 0, "{held} bytes");
    held
}

/// Item 14: a lost part is sent again, from where the follower is, and nothing before it.
#[test]
fn a_lost_part_is_sent_again_from_where_the_follower_is() {
    let mut table = led(small(config()), &[1, 2], 23);
    let held = half(&mut table, 3);
    let mut offsets = Vec::new();
    for _ in 0..3 {
        table.tick_after(n(1), HEARTBEAT);
        while !table.wires.is_empty() {
            offsets.extend(install(&table.wires[0]).map(|install| install.offset));
            table.deliver(0);
        }
    }
    assert!(!offsets.is_empty() && offsets.iter().all(|&it| it >= held), "{held}: {offsets:?}");
    assert_eq!(values(&table, 3), values(&table, 1));
}

/// Parts that come twice, or late, change nothing.
#[test]
fn doubled_and_late_parts_change_nothing() {
    let mut table = led(small(config()), &[1, 2], 23);
    half(&mut table, 2);
    table.tick_after(n(1), HEARTBEAT);
    let mut late = Vec::new();
    for _ in 0..40 {
        if table.wires.is_empty() {
            table.tick_after(n(1), HEARTBEAT);
        }
        // The last first, and each once more.
        let wire = table.wires.last().cloned().expect("something is under way");
        table.deliver(table.wires.len() - 1);
        if install(&wire).is_some() {
            late.push(wire);
        }
    }
    for Wire { from, to, message } in late {
        table.inject(from, to, message);
    }
    heartbeats(&mut table, 1, &[1, 2, 3], 8);
    assert_eq!(values(&table, 3), values(&table, 1));
    assert_eq!(gauge(&table, 3, "snapshots begun to install"), 1);
}

/// A follower that restarts in the middle begins anew.
#[test]
fn a_follower_that_restarts_begins_the_transfer_anew() {
    let mut table = led(small(config()), &[1, 2], 23);
    half(&mut table, 3);
    table.crash(n(3), 0);
    table.restart(n(3));
    heartbeats(&mut table, 1, &[1, 2, 3], 8);
    assert_eq!(values(&table, 3), values(&table, 1));
}

/// All nodes take the same snapshots, so another leader goes on where the first one stopped.
#[test]
fn another_leader_goes_on_with_the_same_snapshot() {
    let mut table = led(small(config()), &[1, 2], 23);
    let held = half(&mut table, 4);
    table.crash(n(1), 0);
    table.elect(2, &[3]);
    let mut beginnings = 0;
    for _ in 0..6 {
        table.tick_after(n(2), HEARTBEAT);
        while !table.wires.is_empty() {
            let early = install(&table.wires[0]).filter(|it| it.offset < held);
            beginnings += usize::from(early.is_some());
            table.deliver(0);
        }
    }
    table.assert_safe();
    assert_eq!(values(&table, 3), values(&table, 2));
    assert_eq!(gauge(&table, 3, "snapshots begun to install"), 1);
    assert!(beginnings <= 1, "one part asks; {beginnings} repeat what is there");
}

/// Another snapshot is another transfer.
#[test]
fn parts_of_two_snapshots_are_not_mixed() {
    let mut table = led(small(config()), &[1, 2], 23);
    half(&mut table, 3);
    write(&mut table, &[1, 2], 24..=34);
    table.crash(n(1), 0);
    table.elect(2, &[3]);
    heartbeats(&mut table, 2, &[2, 3], 8);
    assert_eq!(values(&table, 3), (1..=34).collect::<Vec<_>>());
    assert_eq!(gauge(&table, 3, "snapshots begun to install"), 2);
    assert_eq!(gauge(&table, 3, "snapshots unreadable"), 0);
}

/// A snapshot that is not what its id names is dropped, counted, and sent again.
pub(crate) fn damaged(config: Config<Journal>) {
    let mut table = led(small(config), &[1, 2], 23);
    let mut damage = 2;
    for _ in 0..8 {
        table.tick_after(n(1), HEARTBEAT);
        while !table.wires.is_empty() {
            if let Message::Install(install) = &mut table.wires[0].message
                && install.offset > 20
                && !install.chunk.is_empty()
                && damage > 0
            {
                damage -= 1;
                let mut bytes = install.chunk.to_vec();
                // Still a number, and another one.
                bytes[0] ^= 1;
                install.chunk = bytes.into();
            }
            table.deliver(0);
            table.assert_safe();
        }
    }
    assert_eq!(damage, 0);
    assert_eq!(values(&table, 3), values(&table, 1));
    assert!(gauge(&table, 3, "snapshots unreadable") > 0);
}

#[test]
fn a_damaged_snapshot_is_refused_and_sent_again() {
    damaged(config());
}

/// All parts of `n1`'s snapshot, as sent to `n3`, which takes none of them.
fn captured(table: &mut Table) -> Vec<Install> {
    let mut parts: Vec<Install> = Vec::new();
    for _ in 0..60 {
        table.tick_after(n(1), HEARTBEAT);
        while let Some(place) = table.wires.iter().position(|wire| wire.to != n(2)) {
            let wire = table.wires[place].clone();
            match install(&wire) {
                Some(part) => {
                    table.wires.remove(place);
                    if parts.last().is_none_or(|last| last.offset < part.offset) {
                        parts.push(part.clone());
                    }
                    let bytes = part.offset + part.chunk.len() as u64;
                    if bytes < part.id.bytes {
                        let (term, round, id) = (part.term, part.round, part.id);
                        let outcome = Installed::Holds(bytes);
                        table.inject(
                            n(3),
                            n(1),
                            Message::Installed {
                                term,
                                round,
                                id,
                                outcome,
                                by: Identity::default(),
                            },
                        );
                    }
                }
                None => table.deliver(place),
            }
        }
    }
    parts
}

/// Item 14; figure 13: "If existing log entry has same index and term as snapshot's last included
/// entry, retain log entries following it", else "discard the entire log".
pub(crate) fn conflicts(config: Config<Journal>) {
    let mut donor = led(small(config.clone()), &[1, 2], 13);
    let parts = captured(&mut donor);
    let position = parts[0].id.position;
    assert_eq!(position, at(1, 10));
    for (term_there, kept) in [(1, 12), (2, 10)] {
        let mut table = table(3, config.clone());
        // What stands at i10 to i12 is of this term.
        let mut list = vec![(1, 7); 9];
        list.extend([(term_there, 8); 3]);
        table.inject(n(2), n(1), append(term_there, at(0, 0), &list, 0));
        for part in &parts {
            let term = Term::new(5);
            table.inject(n(3), n(1), Message::Install(Install { term, ..part.clone() }));
        }
        assert_eq!(last_appended(&table), (5, matched(10)));
        let node = table.node(n(1));
        assert_eq!((node.base(), node.commit_index()), (position, LogIndex::new(10)));
        assert_eq!(node.last_index(), LogIndex::new(kept), "{term_there} at i10");
        assert_eq!(values(&table, 1), (1..=9).collect::<Vec<_>>());
        table.crash(n(1), 0);
        table.restart(n(1));
        let node = table.node(n(1));
        assert_eq!((node.base(), node.last_index()), (position, LogIndex::new(kept)));
        assert_eq!(values(&table, 1), (1..=9).collect::<Vec<_>>());
    }
}

#[test]
fn figure_13_a_conflicting_log_goes_and_a_matching_suffix_stays() {
    conflicts(config());
}

/// A snapshot of what is committed here already, in part or in full, is acknowledged like entries.
#[test]
fn a_snapshot_of_the_past_is_acknowledged() {
    let mut table = led(small(plain()), &[1, 2], 13);
    let parts = captured(&mut table);
    write(&mut table, &[1, 2], 14..=23);
    let before = table.node(n(2)).base();
    table.inject(n(1), n(2), Message::Install(parts[0].clone()));
    assert_eq!(last_appended(&table), (1, matched(10)));
    assert_eq!(table.node(n(2)).base(), before);
    assert_eq!(gauge(&table, 2, "snapshots begun to install"), 0);
}

/// What makes no sense is dropped and counted: of another cluster's term, or longer than it says.
#[test]
fn an_absurd_part_is_dropped() {
    let mut donor = led(small(config()), &[1, 2], 13);
    let part = captured(&mut donor).remove(0);
    let mut table = table(3, config());
    let mut late = part.clone();
    late.offset = late.id.bytes;
    let mut wild = part.clone();
    wild.offset = u64::MAX;
    let mut ahead = part.clone();
    ahead.id.position = Position { term: Term::new(9), ..ahead.id.position };
    let mut empty = part.clone();
    (empty.id.bytes, empty.chunk, empty.offset) = (0, Vec::new().into(), 0);
    for (count, part) in [late, wild, ahead, empty].into_iter().enumerate() {
        table.inject(n(2), n(1), Message::Install(part));
        assert_eq!(gauge(&table, 1, "messages dropped"), count as u64 + 1);
    }
    // An older leader is told that it is none.
    table.inject(n(2), n(1), append(3, at(0, 0), &[], 0));
    table.inject(n(3), n(1), Message::Install(part));
    assert_eq!(last_appended(&table), (3, Appended::Stale));
}

/// A snapshot is acknowledged once it is on the disk.
pub(crate) fn durable_first(config: Config<Journal>) {
    let mut donor = led(small(config.clone()), &[1, 2], 13);
    let parts = captured(&mut donor);
    let mut table = table(3, config);
    table.inject(n(3), n(1), append(1, at(0, 0), &[], 0));
    table.instant_disks = false;
    table.wires.clear();
    for part in &parts {
        table.inject(n(3), n(1), Message::Install(part.clone()));
    }
    let acknowledged = |table: &Table| {
        let is = |wire: &Wire| matches!(wire.message, Message::Appended { .. });
        table.wires.iter().any(is)
    };
    assert!(!acknowledged(&table));
    table.sync(n(1));
    assert!(acknowledged(&table));
    assert_eq!(last_appended(&table), (1, matched(10)));
}

#[test]
fn a_snapshot_is_acknowledged_once_it_is_durable() {
    durable_first(config());
}

/// Complaint 9 (hashicorp/raft#212, braft#423): while a follower installs a snapshot, its leader
/// takes writes and snapshots, and the follower needs no second one.
pub(crate) fn no_loop(config: Config<Journal>) {
    let config = small(config).with_lag_max(1_000);
    let mut table = led(config, &[1, 2], 23);
    let mut value = 24;
    table.tick_after(n(1), HEARTBEAT);
    for step in 0..400 {
        if gauge(&table, 3, "snapshots installed") > 0 && table.wires.is_empty() {
            break;
        }
        // For each part that arrives, the leader takes two writes: a snapshot every few parts.
        let Some(place) = table.wires.iter().position(|wire| wire.to == n(3) || wire.from == n(3))
        else {
            table.tick_after(n(1), HEARTBEAT);
            continue;
        };
        table.deliver(place);
        if step % 2 == 0 {
            table.write(n(1), value);
            value += 1;
        }
        while let Some(place) =
            table.wires.iter().position(|wire| wire.to != n(3) && wire.from != n(3))
        {
            table.deliver(place);
        }
    }
    assert!(table.node(n(1)).snapshot_index() > LogIndex::new(25), "it took more snapshots");
    heartbeats(&mut table, 1, &[1, 2, 3], 4);
    assert_eq!(values(&table, 3), values(&table, 1));
    assert_eq!(gauge(&table, 3, "snapshots begun to install"), 1, "no loop");
    assert_eq!(gauge(&table, 3, "snapshots installed"), 1);
}

#[test]
fn hr_212_br_423_no_snapshot_loop_while_the_leader_takes_writes() {
    no_loop(config());
}

/// What is kept for a follower has an end, and so has the wait for one that does not answer.
#[test]
fn the_log_kept_for_a_follower_is_bounded() {
    let config = small(config()).with_lag_max(15);
    let mut table = led(config.clone(), &[1, 2], 3);
    heartbeats(&mut table, 1, &[1, 2, 3], 3);
    write(&mut table, &[1, 2], 4..=12);
    assert_eq!(table.node(n(1)).base().index.get(), 4, "n3 has that much");
    write(&mut table, &[1, 2], 13..=40);
    assert_eq!(table.node(n(1)).base().index.get(), 40 - 15, "not more than lag_max");
    heartbeats(&mut table, 1, &[1, 2], 20);
    assert_eq!(table.node(n(1)).base().index.get(), 40, "n3 does not answer");
    assert_eq!(table.node(n(2)).base().index.get(), 40, "followers keep for nobody");
}

/// A follower a little behind needs no snapshot.
#[test]
fn a_follower_a_little_behind_is_sent_entries() {
    let config = small(config()).with_keep_behind(8).with_lag_max(8);
    let mut table = led(config, &[1, 2, 3], 8);
    write(&mut table, &[1, 2], 9..=14);
    assert_eq!(table.node(n(1)).base().index.get(), 7);
    heartbeats(&mut table, 1, &[1, 2, 3], 3);
    assert_eq!(values(&table, 3), values(&table, 1));
    assert_eq!(gauge(&table, 3, "snapshots begun to install"), 0);
}

/// Answers that come of no transfer, or of another one, change nothing.
#[test]
fn strange_answers_to_parts_change_nothing() {
    let mut table = led(small(config()), &[1, 2], 23);
    let id = {
        let mut donor = led(small(config()), &[1, 2], 13);
        captured(&mut donor)[0].id
    };
    let (term, round) = (Term::new(1), Round::ZERO);
    for outcome in [Installed::Holds(u64::MAX), Installed::Holds(0), Installed::Unreadable] {
        for from in [2, 3] {
            table.inject(
                n(from),
                n(1),
                Message::Installed { term, round, id, outcome, by: Identity::default() },
            );
        }
    }
    heartbeats(&mut table, 1, &[1, 2, 3], 6);
    assert_eq!(values(&table, 3), values(&table, 1));
}
