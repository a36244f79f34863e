//! What followers do when they are told that the process of their leader has ended.

use std::time::Duration;

use cluster::sim::Options;
use cluster::{Cluster, Fault, Input};
use raft::Config;

use crate::bed::{Bed, SECOND, config};
use crate::journal::Journal;
use crate::paper::{at, last_vote, request_vote, table};
use crate::table::n;

const MILLI: Duration = Duration::from_millis(1);

/// How long it took to the next leader, over many crashes, in a cluster of so many whose elections come
/// after a second or two of silence.
#[track_caller]
fn outages(nodes: usize, tells_ends: bool) -> Vec<Duration> {
    let outage = |seed| {
        let config = config().with_election_timeout(SECOND..=2 * SECOND);
        let options = Options { tells_ends, ..Options::seeded(seed) };
        let mut bed = Bed::with(nodes, config, options);
        let leader = bed.await_leader();
        bed.run(SECOND);
        let crash = bed.sim_now();
        bed.sim.inject(&Fault::Crash { node: leader }).expect("it can");
        bed.wait("another leader", 10 * SECOND, |bed| bed.leader().is_some());
        bed.sim_now().since(crash)
    };
    (0..50).map(outage).collect()
}

#[test]
fn who_is_told_of_the_end_of_its_leader_does_not_wait_until_it_is_missed() {
    for nodes in [3, 5] {
        let told = outages(nodes, true).into_iter().max().expect("there are some");
        assert!(told < 500 * MILLI, "{told:?} of {nodes} nodes");
        let untold = outages(nodes, false).into_iter().min().expect("there are some");
        assert!(untold > 700 * MILLI, "{untold:?} of {nodes} nodes");
    }
}

/// Voters stand one after the other, and who has been told votes for whom it hears.
#[test]
fn each_stands_at_its_turn_and_helps_the_one_before() {
    let mut table = table(5, config());
    table.elect(5, &[1, 2, 3, 4]);
    let told = table.clock();
    for node in [1, 3] {
        table.input(n(node), Input::Ended { node: n(5) });
    }
    // An eighth of 150 ms each: the first voter at once, the third after two others.
    assert_eq!(table.deadline(n(1)).since(told), 150 * MILLI / 8);
    assert_eq!(table.deadline(n(3)).since(told), 150 * MILLI / 8 * 3);
    table.inject(n(1), n(3), request_vote(2, at(1, 1)));
    assert_eq!(last_vote(&table), (2, true));
    // Who has not been told stays.
    table.wires.clear();
    table.inject(n(1), n(2), request_vote(2, at(1, 1)));
    assert!(table.wires.is_empty());
}

/// A witness never stands, so nobody waits for its turn.
#[test]
fn witnesses_have_no_turn() {
    let mut table = table(3, config().with_witnesses([n(1)]));
    table.elect(3, &[1, 2]);
    let told = table.clock();
    table.input(n(2), Input::Ended { node: n(3) });
    assert_eq!(table.deadline(n(2)).since(told), 150 * MILLI / 8);
}

#[test]
fn the_end_of_another_than_the_leader_changes_nothing() {
    let mut table = table(3, config());
    table.elect(1, &[2, 3]);
    let before = table.deadline(n(2));
    table.input(n(2), Input::Ended { node: n(3) });
    assert_eq!(table.deadline(n(2)), before);
    table.wires.clear();
    table.inject(n(3), n(2), request_vote(9, at(9, 9)));
    assert!(table.wires.is_empty());
}

/// A leader counts on it that who has heard it elects nobody else for a while.
pub(crate) fn a_lease_outlives_hints(config: Config<Journal>) {
    let mut table = table(3, config.with_lease(1_000));
    table.pass(SECOND);
    table.elect(1, &[2, 3]);
    table.input(n(2), Input::Ended { node: n(1) });
    table.wires.clear();
    table.inject(n(3), n(2), request_vote(9, at(9, 9)));
    assert!(table.wires.is_empty(), "it is disloyal");
}

#[test]
fn thesis_6_4_1_a_lease_outlives_hints() {
    a_lease_outlives_hints(config());
}

/// The others are told of a crash when the leader is back, or another one leads: there may be an election
/// more, and that is all.
#[test]
fn a_wrong_hint_costs_an_election_at_most() {
    for seed in 0..50 {
        let options = Options { tells_ends: true, ..Options::seeded(seed) };
        let mut bed = Bed::with(3, config(), options);
        bed.await_leader();
        let place = bed.write(1);
        let late = cluster::LinkFault {
            delay_ppm: 1_000_000,
            delay_max: 100 * MILLI,
            ..cluster::LinkFault::default()
        };
        bed.sim.inject(&Fault::Links(late)).expect("it can");
        let leader = bed.leader().expect("it leads");
        bed.sim.inject(&Fault::Crash { node: leader }).expect("it can");
        bed.sim.inject(&Fault::Restart { node: leader }).expect("it can");
        bed.run(SECOND);
        bed.sim.inject(&Fault::Links(cluster::LinkFault::default())).expect("it can");
        bed.await_leader();
        assert!(bed.write(2) > place, "seed {seed}");
        bed.assert_safe();
    }
}
