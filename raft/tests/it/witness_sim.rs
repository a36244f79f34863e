//! Whole clusters with witnesses, in simulated worlds.

use std::time::Duration;

use cluster::sim::Options;
use cluster::{Fault, NodeId};
use raft::{Change, Config, Recognition, Reply, Request};

use crate::bed::{Bed, SECOND, config};
use crate::journal::Journal;
use crate::table::n;

fn bed(nodes: usize, config: Config<Journal>, seed: u64) -> Bed {
    Bed::with(nodes, config, Options::seeded(seed))
}

/// That each of these full replicas comes to hold `values`.
#[track_caller]
fn await_values(bed: &mut Bed, nodes: &[NodeId], values: &[u64]) {
    bed.wait("equal replicas", 5 * SECOND, |bed| {
        nodes.iter().all(|&id| bed.node(id).machine().values == values)
    });
}

/// Whoever leads, as soon as somebody does.
#[track_caller]
fn led_by(bed: &mut Bed) -> NodeId {
    bed.wait("leader", 5 * SECOND, |bed| bed.leader().is_some());
    bed.leader().expect("just seen")
}

/// The change is made, however often it has to be asked for.
#[track_caller]
fn make(bed: &mut Bed, change: &Change) -> String {
    let until = bed.sim_now() + 10 * SECOND;
    loop {
        assert!(bed.sim_now() < until, "{change:?} was not made");
        let leader = led_by(bed);
        match bed.ask(leader, Request::Change(change.clone()), SECOND) {
            Some(Ok(Ok(Reply::Changed { configuration, .. }))) => return configuration.to_string(),
            _ => bed.run(Duration::from_millis(20)),
        }
    }
}

/// Whichever of the two full replicas dies, leader or not, the other one and the witness serve on, and
/// nothing is lost.
#[test]
fn service_goes_on_without_either_full_replica() {
    for seed in 0..30 {
        let mut bed = bed(3, config().with_witnesses([n(3)]), seed);
        let mut values = Vec::new();
        for turn in 0..6 {
            let leader = led_by(&mut bed);
            assert!(leader != n(3), "seed {seed}");
            for _ in 0..5 {
                values.push(values.len() as u64);
                bed.write(values.len() as u64 - 1);
            }
            let victim = n(1 + (turn + seed as u32) % 2);
            // At once, while followers may be behind.
            bed.submit(leader, 1_000);
            bed.crash(victim);
            let survivor = n(3 - victim.get());
            let place = bed.write(values.len() as u64);
            values.push(values.len() as u64);
            let held = bed.node(survivor).machine().values.clone();
            let known: Vec<u64> = held.iter().copied().filter(|&value| value < 1_000).collect();
            assert_eq!(known, values, "seed {seed}");
            assert_eq!(held[place], values.len() as u64 - 1);
            bed.restart(victim);
            bed.run(Duration::from_millis(400));
        }
        assert_eq!(bed.node(n(3)).machine(), &Journal::default());
    }
}

/// Of five, two of which are witnesses, any one node may be down.
#[test]
fn five_with_two_witnesses_serve_without_any_one() {
    for seed in 0..10 {
        let mut bed = bed(5, config().with_witnesses([n(4), n(5)]), seed);
        let mut values = Vec::new();
        for victim in (1..=5).map(n) {
            led_by(&mut bed);
            bed.write(values.len() as u64);
            values.push(values.len() as u64);
            bed.crash(victim);
            bed.write(values.len() as u64);
            values.push(values.len() as u64);
            bed.restart(victim);
            bed.run(Duration::from_millis(500));
        }
        await_values(&mut bed, &[n(1), n(2), n(3)], &values);
        // Both witnesses, which are a minority.
        bed.crash(n(4));
        bed.crash(n(5));
        bed.write(77);
    }
}

/// A witness whose disk is lost counts nowhere until it is renewed, as a witness.
#[test]
fn a_wiped_witness_is_renewed() {
    for seed in 0..10 {
        let mut bed = bed(3, config().with_witnesses([n(3)]), seed);
        led_by(&mut bed);
        bed.write(1);
        bed.inject(&Fault::Wipe { node: n(3) });
        bed.restart(n(3));
        bed.wait("a stranger", 5 * SECOND, |bed| {
            let node = bed.node(n(3));
            node.recognition() == Recognition::Replaced && node.last_index().get() > 1
        });
        assert!(bed.node(n(3)).is_witness());
        bed.write(2);
        make(&mut bed, &Change::Renew(n(3)));
        bed.wait("its vote", 5 * SECOND, |bed| bed.node(n(3)).recognition() == Recognition::Voter);
        let leader = led_by(&mut bed);
        let other = n(3 - leader.get());
        bed.crash(leader);
        bed.write(3);
        await_values(&mut bed, &[other], &[1, 2, 3]);
        assert_eq!(bed.node(n(3)).machine(), &Journal::default());
    }
}

/// A witness is put in and taken out, and another one in its place, while clients write.
#[test]
fn witnesses_come_and_go_under_load() {
    for seed in 0..10 {
        let mut bed = bed(4, config().with_voters([n(1), n(2)]).with_snapshot_every(20), seed);
        let mut values = Vec::new();
        let wishes = [
            Change::AddWitness(n(3)),
            Change::Remove(n(3)),
            Change::AddWitness(n(3)),
            Change::Replace { old: n(3), new: n(4) },
        ];
        for wish in &wishes {
            for _ in 0..15 {
                bed.write(values.len() as u64);
                values.push(values.len() as u64);
            }
            let leader = led_by(&mut bed);
            for late in 0..20 {
                bed.submit(leader, 1_000 + late);
            }
            make(&mut bed, wish);
        }
        let leader = led_by(&mut bed);
        assert_eq!(bed.node(leader).configuration().witnesses().iter().next(), Some(&n(4)));
        bed.crash(leader);
        bed.write(values.len() as u64);
        values.push(values.len() as u64);
        let survivor = n(3 - leader.get());
        let held = bed.node(survivor).machine().values.iter().copied();
        assert_eq!(held.filter(|&value| value < 1_000).collect::<Vec<_>>(), values, "{seed}");
    }
}

/// When an entry is in one full replica and the witness, and that replica dies, nothing is answered
/// wrongly: service waits.
#[test]
fn what_one_full_replica_alone_holds_waits_for_it() {
    let mut bed = bed(3, config().with_witnesses([n(3)]), 1);
    let leader = led_by(&mut bed);
    let other = n(3 - leader.get());
    bed.crash(other);
    bed.write(1);
    bed.crash(leader);
    bed.restart(other);
    let request = bed.submit(other, 2);
    let until = bed.sim_now() + 3 * SECOND;
    while let Some(completion) = bed.poll(until) {
        let served = matches!(completion.outcome, Ok(Ok(_)));
        assert!(completion.request != request || !served, "{completion:?}");
    }
    assert_eq!(bed.leader(), None, "nobody may lead");
    bed.restart(leader);
    bed.write(3);
    bed.wait("both", 5 * SECOND, |bed| {
        [leader, other].iter().all(|&id| bed.node(id).machine().values.starts_with(&[1]))
    });
}
