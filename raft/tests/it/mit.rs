//! The behaviours that the labs of MIT 6.5840 test a Raft for, in virtual time, over many seeds.

use std::time::Duration;

use cluster::sim::Options;
use cluster::{Cluster, Fault, LinkFault, NodeId, Rng};
use raft::{Error, Reply, Request};

use crate::bed::{Bed, SECOND, config, plain};

const MILLI: Duration = Duration::from_millis(1);

/// Runs `test` on beds of `nodes` nodes, for seeds from zero.
fn over_seeds(seeds: u64, nodes: usize, test: impl Fn(&mut Bed, &mut Rng)) {
    for seed in 0..seeds {
        let mut bed = Bed::new(nodes, seed);
        test(&mut bed, &mut Rng::from_seed(seed));
        bed.assert_safe();
    }
}

fn write_all(bed: &mut Bed, values: impl IntoIterator<Item = u64>) {
    for value in values {
        bed.write(value);
    }
}

/// `count` of `nodes`, by chance.
fn some(nodes: &[NodeId], count: usize, rng: &mut Rng) -> Vec<NodeId> {
    let mut nodes = nodes.to_vec();
    rng.shuffle(&mut nodes);
    nodes.truncate(count);
    nodes
}

#[test]
fn initial_election_and_no_other_without_failures() {
    over_seeds(50, 3, |bed, _| {
        bed.await_leader();
        bed.run(SECOND / 2);
        let elections = bed.monitor.leaders().len();
        bed.run(10 * SECOND);
        assert_eq!(bed.monitor.leaders().len(), elections);
    });
}

#[test]
fn election_after_network_failure() {
    over_seeds(50, 3, |bed, _| {
        let first = bed.await_leader();
        bed.cut_off(&[first]);
        let second = bed.await_leader();
        assert_ne!(first, second);
        // The old leader comes back, and gives way.
        bed.cut_off(&[]);
        bed.run(SECOND);
        assert_eq!(bed.await_leader(), second);
        assert!(!bed.node(first).is_leader());
        // Without a majority there is no new leader.
        let other = bed.members().into_iter().find(|&id| id != second && id != first).unwrap();
        let before = bed.monitor.leaders().len();
        bed.cut_off(&[second, other]);
        bed.run(2 * SECOND);
        assert_eq!(bed.monitor.leaders().len(), before);
        bed.cut_off(&[second]);
        bed.await_leader();
        bed.cut_off(&[]);
        bed.await_leader();
    });
}

#[test]
fn many_elections_with_seven_nodes() {
    over_seeds(10, 7, |bed, rng| {
        for _ in 0..10 {
            bed.await_leader();
            bed.cut_off(&some(&bed.members(), 3, rng));
            bed.await_leader();
        }
        bed.cut_off(&[]);
        bed.write(1);
        assert_eq!(bed.await_convergence(), [1]);
    });
}

#[test]
fn basic_agreement_and_its_messages() {
    over_seeds(20, 3, |bed, _| {
        bed.await_leader();
        bed.run(SECOND);
        let (before, _) = bed.sim.messages();
        let entries = 10;
        for value in 0..entries {
            assert_eq!(bed.write(value), value as usize);
        }
        let (after, _) = bed.sim.messages();
        // MIT allows (n + 1 + 2) · 3 calls, each of two messages.
        assert!(after - before <= (entries + 1 + 2) * 3 * 2, "{}", after - before);
        bed.run(SECOND);
        let (idle_from, _) = bed.sim.messages();
        bed.run(SECOND);
        let (idle_to, _) = bed.sim.messages();
        assert!(idle_to - idle_from <= 60 * 2, "{} in an idle second", idle_to - idle_from);
        assert_eq!(bed.await_convergence(), (0..entries).collect::<Vec<_>>());
    });
}

#[test]
fn agreement_goes_on_without_a_minority_and_with_it_again() {
    over_seeds(30, 3, |bed, _| {
        let leader = bed.await_leader();
        bed.write(1);
        let follower = bed.members().into_iter().find(|&id| id != leader).unwrap();
        bed.cut_off(&[follower]);
        write_all(bed, 2..=6);
        bed.run(SECOND);
        bed.cut_off(&[]);
        write_all(bed, 7..=9);
        let journal = bed.await_convergence();
        // A write that was cut off by the follower's return may have been retried.
        let mut once = journal.clone();
        once.dedup();
        assert_eq!(once, (1..=9).collect::<Vec<_>>());
    });
}

#[test]
fn no_agreement_without_a_majority() {
    over_seeds(30, 5, |bed, _| {
        // The first election may be a race of several.
        bed.run(SECOND);
        let leader = bed.await_leader();
        bed.write(1);
        let others: Vec<NodeId> =
            bed.members().into_iter().filter(|&id| id != leader).take(3).collect();
        bed.cut_off(&others);
        // The leader notices that it has no majority, and cannot know what became of the write.
        let answer = bed.ask(leader, Request::Write(2), 2 * SECOND);
        assert!(matches!(answer, Some(Ok(Err(Error::Deposed)))), "{answer:?}");
        bed.cut_off(&[]);
        bed.write(3);
        let journal = bed.await_convergence();
        assert!(journal.starts_with(&[1]) && journal.contains(&3), "{journal:?}");
    });
}

#[test]
fn concurrent_writes_each_get_their_place() {
    over_seeds(30, 3, |bed, _| {
        let leader = bed.await_leader();
        let mut asked: Vec<_> = (0..100).map(|value| (bed.submit(leader, value), value)).collect();
        let mut places = Vec::new();
        while let Some(completion) = bed.poll(bed.sim.now() + SECOND) {
            let Ok(Ok(Reply::Written { output, .. })) = completion.outcome else {
                panic!("{completion:?}");
            };
            let index = asked.iter().position(|(id, _)| *id == completion.request).unwrap();
            places.push((output, asked.swap_remove(index).1));
        }
        assert!(asked.is_empty());
        places.sort_unstable();
        let journal = bed.await_convergence();
        let expected: Vec<_> = journal.into_iter().enumerate().collect();
        assert_eq!(places, expected);
    });
}

#[test]
fn a_partitioned_leader_rejoins_and_forgets_what_it_could_not_commit() {
    over_seeds(30, 3, |bed, _| {
        bed.write(101);
        let first = bed.await_leader();
        bed.cut_off(&[first]);
        for value in [102, 103, 104] {
            bed.submit(first, value);
        }
        bed.await_leader();
        bed.write(203);
        let second = bed.await_leader();
        bed.cut_off(&[second]);
        bed.sim.inject(&Fault::Heal).unwrap();
        bed.cut_off(&[second]);
        bed.await_leader();
        bed.write(304);
        bed.cut_off(&[]);
        bed.write(405);
        assert_eq!(bed.await_convergence(), [101, 203, 304, 405]);
    });
}

#[test]
fn fast_backup_over_long_divergences() {
    over_seeds(10, 5, |bed, rng| {
        bed.write(1);
        for round in 0..6 {
            // A leader with one follower takes fifty entries that go nowhere.
            let leader = bed.await_leader();
            let mut others: Vec<NodeId> =
                bed.members().into_iter().filter(|&id| id != leader).collect();
            rng.shuffle(&mut others);
            let (with_leader, without) = others.split_at(1);
            let minority = vec![leader, with_leader[0]];
            bed.cut_off(&[]);
            bed.inject(&Fault::Partition { groups: vec![minority.clone(), without.to_vec()] });
            for value in 0..50 {
                bed.submit(leader, 1_000 + round * 100 + value);
            }
            bed.run(SECOND);
            bed.cut_off(&minority);
            for value in 0..50 {
                bed.write(10_000 + round * 100 + value);
            }
        }
        bed.cut_off(&[]);
        let healed = bed.sim.now();
        bed.await_leader();
        bed.write(2);
        let journal = bed.await_convergence();
        let took = bed.sim.now().since(healed);
        assert!(took < 2 * SECOND, "{took:?} to back up");
        assert_eq!(journal.iter().filter(|&&value| value >= 10_000).count(), 300);
        assert!(journal.iter().all(|&value| !(1_000..10_000).contains(&value)));
    });
}

#[test]
fn what_was_written_survives_crashes_of_all() {
    over_seeds(30, 5, |bed, rng| {
        let mut expected = Vec::new();
        for value in 0..8 {
            bed.write(value);
            expected.push(value);
            match rng.below(3) {
                0 => bed.inject(&Fault::PowerLoss),
                1 => {
                    for id in bed.members() {
                        bed.crash(id);
                    }
                }
                _ => {
                    let leader = bed.await_leader();
                    bed.crash(leader);
                }
            }
            for id in bed.members() {
                bed.restart(id);
            }
        }
        bed.write(100);
        let mut journal = bed.await_convergence();
        assert_eq!(journal.pop(), Some(100));
        // A write is retried when its answer was lost.
        journal.dedup();
        assert_eq!(journal, expected);
    });
}

/// Figure 8: leaders crash right after they took a command, often before it is replicated.
fn figure_8(seed: u64, links: LinkFault, rounds: u64) {
    let mut options = Options::seeded(seed);
    options.sync = Duration::from_micros(50)..=10 * MILLI;
    let mut bed = Bed::with(5, config(), options);
    let mut rng = Rng::from_seed(seed);
    bed.inject(&Fault::Links(links));
    let mut up = bed.members().len();
    for round in 0..rounds {
        let leaders: Vec<NodeId> =
            bed.members().into_iter().filter(|&id| bed.sim.peek(id).leads()).collect();
        for leader in leaders {
            bed.submit(leader, round);
            if up > 3 && rng.chance(700_000) {
                let wait = rng.span(Duration::ZERO..=8 * MILLI);
                bed.run(wait);
                bed.crash(leader);
                up -= 1;
            }
        }
        bed.run(rng.span(MILLI..=250 * MILLI));
        if up < 4 || rng.chance(200_000) {
            let down: Vec<NodeId> =
                bed.members().into_iter().filter(|&id| bed.sim.node(id).is_none()).collect();
            if let Some(&id) = rng.pick(&down) {
                bed.restart(id);
                up += 1;
            }
        }
    }
    bed.inject(&Fault::Links(LinkFault::default()));
    for id in bed.members() {
        bed.restart(id);
    }
    bed.write(u64::MAX);
    bed.await_convergence();
    assert!(bed.monitor.leaders().len() > 3, "{} leaders", bed.monitor.leaders().len());
}

#[test]
fn figure_8_over_many_seeds() {
    for seed in 0..60 {
        figure_8(seed, LinkFault::default(), 60);
    }
}

#[test]
fn figure_8_on_an_unreliable_network() {
    let links = LinkFault {
        loss_ppm: 100_000,
        duplicate_ppm: 50_000,
        delay_ppm: 600_000,
        delay_max: 100 * MILLI,
    };
    for seed in 0..60 {
        figure_8(seed, links, 60);
    }
}

/// A node that was away comes with a high term in the paper, and disturbs; the cluster recovers.
#[test]
fn a_disrupted_node_rejoins() {
    for seed in 0..30 {
        let mut bed = Bed::with(5, plain(), Options::seeded(seed));
        let leader = bed.await_leader();
        let away = bed.members().into_iter().find(|&id| id != leader).unwrap();
        bed.cut_off(&[away]);
        bed.run(5 * SECOND);
        bed.write(1);
        assert!(bed.node(away).term() > bed.node(leader).term());
        bed.cut_off(&[]);
        bed.run(SECOND);
        bed.write(2);
        let journal = bed.await_convergence();
        assert!(journal.contains(&1) && journal.contains(&2));
    }
}

#[test]
fn a_restarted_node_catches_up_over_thousands_of_entries() {
    over_seeds(3, 3, |bed, _| {
        let leader = bed.await_leader();
        let away = bed.members().into_iter().find(|&id| id != leader).unwrap();
        bed.crash(away);
        for value in 0..5_000 {
            bed.submit(leader, value);
        }
        bed.run(SECOND);
        bed.restart(away);
        let (before, _) = bed.sim.messages();
        assert_eq!(bed.await_convergence().len(), 5_000);
        let (after, _) = bed.sim.messages();
        assert!(after - before < 100, "{} messages to catch up", after - before);
    });
}

#[test]
fn the_same_seed_is_the_same_run() {
    let run = |seed| {
        let mut bed = Bed::new(5, seed);
        let leader = bed.await_leader();
        write_all(&mut bed, 0..20);
        bed.crash(leader);
        bed.write(20);
        bed.sim.digest()
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}
