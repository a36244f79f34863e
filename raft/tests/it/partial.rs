//! Partial connectivity (H. Ng, S. Haridi, P. Carbone, *Omni-Paxos*, EuroSys 2023, §2): links fail
//! between some nodes and not between others. A stable leader must be there within a few election
//! timeouts, and stay.

use std::time::Duration;

use cluster::sim::Options;
use cluster::{Cluster, Fault, NodeId};
use raft::Config;

use crate::bed::{Bed, SECOND, config};
use crate::journal::Journal;

/// The longest election timeout.
const TIMEOUT: Duration = Duration::from_millis(300);

/// Cuts the link between `a` and `b`, both ways.
fn cut(bed: &mut Bed, a: NodeId, b: NodeId) {
    bed.inject(&Fault::Partition { groups: vec![vec![a], vec![b]] });
}

/// Writes at whichever of `nodes` leads, until one is written; then nobody may be elected for five
/// seconds. Returns how long it took.
#[track_caller]
fn settles(bed: &mut Bed, nodes: &[NodeId], value: u64) -> Duration {
    let start = bed.sim.now();
    loop {
        let took = bed.sim.now().since(start);
        assert!(took < 10 * TIMEOUT, "no leader serves after {took:?}");
        let leader = nodes.iter().copied().filter(|&id| bed.sim.peek(id).leads());
        let leader = leader.max_by_key(|&id| bed.node(id).term());
        let Some(leader) = leader else {
            bed.run(Duration::from_millis(5));
            continue;
        };
        let written = bed.ask(leader, raft::Request::Write(value), Duration::from_millis(50));
        if let Some(Ok(Ok(raft::Reply::Written { .. }))) = written {
            break;
        }
    }
    let took = bed.sim.now().since(start);
    let elections = bed.monitor.leaders().len();
    bed.run(5 * SECOND);
    assert_eq!(bed.monitor.leaders().len(), elections, "the leader is not stable");
    took
}

fn bed(nodes: usize, config: Config<Journal>, seed: u64) -> (Bed, NodeId, Vec<NodeId>) {
    let mut bed = Bed::with(nodes, config, Options::seeded(seed));
    bed.write(1);
    let leader = bed.await_leader();
    let others = bed.members().into_iter().filter(|&id| id != leader).collect();
    (bed, leader, others)
}

/// Runs `scenario` over seeds, and demands that the slowest is done in time.
#[track_caller]
fn over_seeds(timeouts: u32, scenario: impl Fn(u64) -> Duration) {
    let mut all: Vec<Duration> = (0..60).map(scenario).collect();
    all.sort_unstable();
    let (median, worst) = (all[30], all[59]);
    println!("median {median:?}, worst {worst:?}");
    assert!(worst <= timeouts * TIMEOUT, "{worst:?}");
}

/// Three nodes in a chain: the leader loses its link to one of the others, and the third sees both.
#[test]
fn partial_connectivity_chained() {
    over_seeds(1, |seed| {
        let (mut bed, leader, others) = bed(3, config(), seed);
        bed.run(SECOND);
        let before = bed.monitor.leaders().len();
        cut(&mut bed, leader, others[1]);
        let all = bed.members();
        let took = settles(&mut bed, &all, 2);
        assert_eq!(bed.monitor.leaders().len(), before, "nobody had to be elected");
        took
    });
}

/// A longer chain, whose leader stands at its end: it loses its majority, and one in the middle
/// has one.
#[test]
fn partial_connectivity_chain_of_five() {
    over_seeds(8, |seed| {
        let (mut bed, leader, others) = bed(5, config(), seed);
        let chain = [&[leader][..], &others].concat();
        for (place, &a) in chain.iter().enumerate() {
            for &b in &chain[(place + 2).min(chain.len())..] {
                cut(&mut bed, a, b);
            }
        }
        let all = bed.members();
        settles(&mut bed, &all, 2)
    });
}

/// Every node is connected to one, the hub, and to nobody else; the leader is not the hub, and has
/// lost its majority, but its heartbeats still reach the hub.
#[test]
fn partial_connectivity_quorum_loss() {
    over_seeds(5, |seed| {
        let (mut bed, leader, others) = bed(5, config(), seed);
        let hub = others[0];
        let ends = [&[leader][..], &others[1..]].concat();
        for (place, &a) in ends.iter().enumerate() {
            ends[place + 1..].iter().for_each(|&b| cut(&mut bed, a, b));
        }
        let all = bed.members();
        let took = settles(&mut bed, &all, 2);
        assert!(bed.node(hub).is_leader());
        took
    });
}

/// The leader is gone, and the only node that is connected to a majority lacks entries that are
/// committed.
pub(crate) fn constrained_election(config: Config<Journal>) {
    over_seeds(5, |seed| {
        let (mut bed, leader, others) = bed(5, config.clone(), seed);
        let hub = others[0];
        // The hub is away while something is committed.
        bed.cut_off(&[hub]);
        for value in 2..50 {
            bed.write(value);
        }
        bed.run(Duration::from_millis(100));
        bed.cut_off(&[]);
        // Before it hears of that, the leader is cut off, and the others see the hub alone.
        bed.cut_off(&[leader]);
        for (place, &a) in others[1..].iter().enumerate() {
            others[1..][place + 1..].iter().for_each(|&b| cut(&mut bed, a, b));
        }
        let took = settles(&mut bed, &others, 100);
        assert!(bed.node(hub).is_leader());
        assert!(bed.node(hub).machine().values.contains(&49), "committed, and lost");
        took
    });
}

#[test]
fn partial_connectivity_constrained_election() {
    constrained_election(config());
}

/// One-way links: the leader is heard by all, and hears from nobody.
#[test]
fn partial_connectivity_a_leader_that_is_deaf() {
    over_seeds(5, |seed| {
        let (mut bed, leader, others) = bed(5, config(), seed);
        bed.inject(&Fault::Cut { from: others.clone(), to: vec![leader] });
        settles(&mut bed, &others, 2)
    });
}

/// Flapping: the links of one follower come and go, and the leader stays.
#[test]
fn partial_connectivity_a_flapping_follower() {
    for seed in 0..20 {
        let (mut bed, leader, others) = bed(5, config(), seed);
        let elections = bed.monitor.leaders().len();
        for round in 0..20 {
            bed.cut_off(&[others[0]]);
            bed.run(Duration::from_millis(350));
            bed.cut_off(&[]);
            bed.run(Duration::from_millis(20 + round));
        }
        assert_eq!(bed.monitor.leaders().len(), elections, "seed {seed}");
        assert!(bed.sim.peek(leader).leads());
    }
}
