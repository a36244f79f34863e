//! On real threads: what only they can show. Waits are for conditions, with deadlines.

use std::time::{Duration, Instant};

use cluster::threads::{Options, Threads};
use cluster::{Cluster, Fault, Members, NodeId};
use raft::{LogIndex, Payload, Raft, Reply, Request};

use crate::bed::config;
use crate::journal::Journal;

const LIMIT: Duration = Duration::from_secs(10);

fn start(nodes: usize) -> Threads<Raft<Journal>> {
    // Long, so that a busy machine does not depose a leader in the middle of a write.
    let timeout = Duration::from_millis(500)..=Duration::from_secs(1);
    let config = config().with_election_timeout(timeout);
    Threads::start(config, Members::first(nodes).unwrap(), Options::default()).unwrap()
}

#[track_caller]
fn await_leader(cluster: &mut Threads<Raft<Journal>>) -> NodeId {
    let deadline = Instant::now() + LIMIT;
    loop {
        let members = cluster.members().to_vec();
        if let Some(&leader) = members.iter().find(|&&id| cluster.state(id).leads()) {
            return leader;
        }
        assert!(Instant::now() < deadline, "no leader");
        std::thread::yield_now();
    }
}

#[test]
fn writes_and_reads_survive_the_leader() {
    let mut cluster = start(3);
    let mut client = cluster.client();
    for value in 0..100 {
        let reply = client.ask(Request::Write(value), LIMIT).unwrap().unwrap();
        assert!(matches!(reply, Reply::Written { output, .. } if output == value as usize));
    }
    let leader = await_leader(&mut cluster);
    cluster.inject(&Fault::Crash { node: leader }).unwrap();
    let reply = client.ask(Request::Read(()), LIMIT).unwrap().unwrap();
    assert!(matches!(reply, Reply::Answer(100)), "{reply:?}");
    client.ask(Request::Write(100), LIMIT).unwrap().unwrap();
    cluster.inject(&Fault::Restart { node: leader }).unwrap();
    let deadline = Instant::now() + LIMIT;
    let committed = Request::Committed { from: LogIndex::ZERO, max: usize::MAX };
    let values = loop {
        let reply = client.call(leader, committed.clone(), LIMIT).unwrap().unwrap();
        let Reply::Committed(entries) = reply else { panic!("{reply:?}") };
        let values: Vec<u64> = entries
            .iter()
            .filter_map(|entry| match entry.payload {
                Payload::Command(value) => Some(value),
                Payload::Noop
                | Payload::Open { .. }
                | Payload::Close(_)
                | Payload::Submit(_)
                | Payload::Configuration(_)
                | Payload::Withheld => None,
            })
            .collect();
        if values.len() > 100 {
            break values;
        }
        assert!(Instant::now() < deadline, "it did not catch up: {values:?}");
    };
    assert_eq!(values, (0..=100).collect::<Vec<_>>());
    cluster.shutdown();
}

#[test]
fn many_clients_at_once() {
    let cluster = start(5);
    let places: Vec<usize> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|number| {
                let mut client = cluster.client();
                scope.spawn(move || {
                    (0..200)
                        .map(|value| {
                            let write = Request::Write(number * 1000 + value);
                            match client.ask(write, LIMIT).unwrap().unwrap() {
                                Reply::Written { output, .. } => output,
                                reply => panic!("{reply:?}"),
                            }
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    let mut sorted = places.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (0..1600).collect::<Vec<_>>());
    cluster.shutdown();
}
