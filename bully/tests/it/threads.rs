//! Real threads, real time. Every wait is for a condition, with a deadline.

use std::time::{Duration, Instant};

use bully::{Bully, Config, Election, ElectionError, Error};
use cluster::call::CallError;
use cluster::threads::{Options, Threads};
use cluster::{Cluster, Fault, Members};

use crate::support::n;

const LONG: Duration = Duration::from_secs(20);

#[track_caller]
fn await_leader(election: &Election, leader: u32, nodes: &[u32]) {
    let deadline = Instant::now() + LONG;
    for &node in nodes {
        let named = || election.belief(n(node)).wait().expect("it is up").leader;
        while named() != Some(n(leader)) {
            assert!(Instant::now() < deadline, "n{node} does not name n{leader}");
            std::thread::yield_now();
        }
    }
}

fn start() -> (Threads<Bully>, Election) {
    let members = Members::first(5).unwrap();
    let cluster = Threads::<Bully>::start(Config::default(), members, Options::default()).unwrap();
    let election = Election::new(cluster.caller(), LONG);
    (cluster, election)
}

#[test]
fn a_cluster_of_threads_elects_fails_over_and_shuts_down() {
    let (mut cluster, election) = start();
    await_leader(&election, 5, &[1, 2, 3, 4, 5]);
    let first = election.leader().wait().expect("somebody leads");
    assert_eq!(first.node, n(5));
    cluster.inject(&Fault::Crash { node: n(5) }).unwrap();
    // While there is no leader it is looked for.
    let second = election.leader().wait().expect("somebody leads");
    assert!(second.epoch > first.epoch);
    await_leader(&election, 4, &[1, 2, 3, 4]);
    cluster.inject(&Fault::Restart { node: n(5) }).unwrap();
    await_leader(&election, 5, &[1, 2, 3, 4, 5]);
    let refusal = election.lead(n(1)).wait().unwrap_err();
    assert_eq!(refusal, ElectionError::Refused(Error::NotLeader { leader: Some(n(5)) }));
    cluster.shutdown();
}

/// The leader dies while it is asked, and is asked for meanwhile; then it resigns; then nobody is left, and
/// a call ends by its deadline.
#[test]
fn calls_are_awaited_over_a_change_of_leader() {
    let (mut cluster, election) = start();
    await_leader(&election, 5, &[1, 2, 3, 4, 5]);
    pollster::block_on(async {
        let first = election.leader().await.expect("somebody leads");
        cluster.inject(&Fault::Pause { node: first.node }).unwrap();
        let (asked, sought) = (election.lead(first.node), election.leader());
        drop(election.resign(first.node));
        cluster.inject(&Fault::Crash { node: first.node }).unwrap();
        let lost = asked.await.expect_err("it was stopped");
        assert!(matches!(lost, ElectionError::NoAnswer(CallError::Unknown { .. })), "{lost}");
        let second = sought.await.expect("another one leads");
        assert!(second.node != first.node && second.epoch > first.epoch);
        await_leader(&election, 4, &[1, 2, 3, 4]);
        election.resign(n(4)).await.expect("it leads");
        assert_ne!(election.belief(n(4)).await.expect("it is up").leader, Some(n(4)));
        for node in 1..=4 {
            cluster.inject(&Fault::Crash { node: n(node) }).unwrap();
        }
        let hasty = Election::new(cluster.caller(), Duration::from_millis(50));
        let nobody = hasty.leader().await.expect_err("nobody is up");
        assert!(matches!(nobody, ElectionError::NoAnswer(_)), "{nobody}");
    });
    cluster.shutdown();
}
