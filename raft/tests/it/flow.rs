//! How much is sent ahead, by count and by bytes, and what happens when some of it is lost.

use std::time::Duration;

use cluster::sim::Options;
use cluster::{Cluster, LinkFault};
use raft::{Config, Error, Message, Reply, Request};

use crate::bed::{Bed, SECOND, config};
use crate::journal::Journal;
use crate::paper::table;
use crate::table::{Table, n};

/// A command of the journal takes eight bytes.
fn small() -> Config<Journal> {
    config().with_append_bytes_max(24).with_inflight_bytes_max(64)
}

/// How many entries each append to `id` carries.
fn appends_to(table: &Table, id: u32) -> Vec<usize> {
    let of = |message: &Message<u64>| match message {
        Message::Append(append) => Some(append.entries.len()),
        _ => None,
    };
    table
        .wires
        .iter()
        .filter(|wire| wire.to == n(id))
        .filter_map(|wire| of(&wire.message))
        .collect()
}

fn written(table: &Table, id: u32) -> usize {
    table.node(n(id)).last_index().get() as usize - 1
}

#[test]
fn a_command_that_is_too_large_is_refused() {
    let mut table = table(3, config().with_entry_bytes_max(7));
    table.elect(1, &[2, 3]);
    let request = table.write(n(1), 10);
    let answer = table.answer(request);
    assert!(matches!(answer, Some(Err(Error::TooLarge { bytes: 8, limit: 7 }))), "{answer:?}");
    assert_eq!(written(&table, 1), 0);
    assert!(table.wires.is_empty(), "nothing was done");
}

#[test]
fn appends_and_windows_are_bounded_by_bytes() {
    let mut table = table(3, small());
    table.elect(1, &[2, 3]);
    for value in 1..=50 {
        table.write(n(1), value);
    }
    // Eight of eight bytes each, and no more.
    assert_eq!(appends_to(&table, 2), [1; 8]);
    table.wires.clear();
    table.tick(n(1));
    // The window is full, so an empty append shows that the leader is there.
    assert_eq!(appends_to(&table, 2), [0]);
    assert_eq!(appends_to(&table, 3), [0]);
    // It is refused; then one append probes, and the rest follows, by three entries each.
    let mut largest = 0;
    while !table.wires.is_empty() {
        let (two, three) = (appends_to(&table, 2), appends_to(&table, 3));
        largest = largest.max(two.iter().copied().max().unwrap_or(0));
        assert!(two.iter().sum::<usize>() <= 10 && three.iter().sum::<usize>() <= 10);
        table.deliver(0);
    }
    assert_eq!(largest, 3);
    assert_eq!((written(&table, 2), written(&table, 3)), (50, 50));
    assert_eq!(table.commit(1), 51);
}

/// One entry is sent, however large it is: a limit must not stop what it cannot shrink.
#[test]
fn a_window_smaller_than_an_entry_lets_one_through_at_a_time() {
    let mut table = table(3, config().with_append_bytes_max(1).with_inflight_bytes_max(1));
    table.elect(1, &[2, 3]);
    for value in 1..=5 {
        table.write(n(1), value);
    }
    assert_eq!(appends_to(&table, 2), [1]);
    table.settle(&[1, 2, 3]);
    assert_eq!(table.commit(1), 6);
}

/// What a toy gets wrong, 13: what was in flight when it was lost takes no room for ever.
#[test]
fn lost_appends_free_their_bytes() {
    let mut table = table(3, small());
    table.elect(1, &[2, 3]);
    for round in 1..=20 {
        for value in 1..=8 {
            table.write(n(1), round * 10 + value);
        }
        // All is lost, the probe after it too.
        table.wires.clear();
        table.tick(n(1));
        table.wires.clear();
        table.beat(1, &[2, 3], Duration::from_millis(100));
        assert_eq!(written(&table, 2), 8 * round as usize, "round {round}");
        assert_eq!(table.commit(1), 1 + 8 * round);
    }
}

/// The same when the answers are lost.
#[test]
fn lost_answers_free_their_bytes() {
    let mut table = table(3, small());
    table.elect(1, &[2, 3]);
    for round in 1..=20 {
        for value in 1..=8 {
            table.write(n(1), round * 10 + value);
        }
        while let Some(place) = table.wires.iter().position(|wire| wire.to != n(1)) {
            table.deliver(place);
        }
        table.wires.clear();
        table.beat(1, &[2, 3], Duration::from_millis(100));
        assert_eq!(table.commit(1), 1 + 8 * round);
    }
}

/// hr#541, hr#612: a follower whose link is bad gets heartbeats and starves. Here it keeps up, with a
/// window of two and of a thousand.
#[test]
fn hr_541_hr_612_a_follower_behind_a_bad_link_does_not_starve() {
    for seed in 0..10 {
        for window in [2, 1000] {
            let config = config().with_inflight_max(window).with_entries_max(16);
            let mut bed = Bed::with(3, config, Options::seeded(seed));
            bed.await_leader();
            bed.inject(&cluster::Fault::Links(LinkFault {
                loss_ppm: 100_000,
                duplicate_ppm: 50_000,
                delay_ppm: 300_000,
                delay_max: Duration::from_millis(30),
            }));
            let mut value = 0;
            for _ in 0..200 {
                if let Some(leader) = bed.leader() {
                    for _ in 0..10 {
                        value += 1;
                        bed.submit(leader, value);
                    }
                }
                bed.run(Duration::from_millis(10));
            }
            bed.inject(&cluster::Fault::Links(LinkFault::default()));
            let healed = bed.sim.now();
            let journal = bed.await_convergence();
            let took = bed.sim.now().since(healed);
            assert!(took < SECOND, "seed {seed}, window {window}: {took:?}");
            assert!(journal.len() > 1_000, "only {} were written", journal.len());
        }
    }
}

/// A follower that says nothing costs its leader no memory, and the others no time (or#1810).
#[test]
fn or_1810_a_follower_that_hangs_holds_up_nobody() {
    let mut bed =
        Bed::with(3, config().with_entries_max(8).with_inflight_max(4), Options::seeded(5));
    bed.write(1);
    let leader = bed.await_leader();
    let hung = bed.members().into_iter().find(|&id| id != leader).unwrap();
    bed.inject(&cluster::Fault::Pause { node: hung });
    let (before, _) = bed.sim.messages();
    for value in 2..500 {
        let answer = bed.ask(leader, Request::Write(value), SECOND);
        assert!(matches!(answer, Some(Ok(Ok(Reply::Written { .. })))), "{answer:?}");
    }
    let (after, _) = bed.sim.messages();
    // One append and one answer for each write, four appends to the one that hangs, heartbeats.
    assert!(after - before < 500 * 2 + 200, "{}", after - before);
    bed.inject(&cluster::Fault::Resume { node: hung });
    assert_eq!(bed.await_convergence().len(), 499);
}
