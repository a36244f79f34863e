//! Real threads, real time. Every wait is for a condition, with a deadline.

use std::time::{Duration, Instant};

use bully::{Answer, Bully, Config, Error, Request};
use cluster::threads::{CallError, Client, Options, Threads};
use cluster::{Cluster, Fault, Members, NodeId};

use crate::support::n;

const LONG: Duration = Duration::from_secs(20);

#[track_caller]
fn await_leader(client: &mut Client<Bully>, leader: u32, nodes: &[u32]) {
    let deadline = Instant::now() + LONG;
    for &node in nodes {
        let named = |client: &mut Client<Bully>| -> Result<Option<NodeId>, CallError> {
            match client.call(n(node), Request::Leader, LONG)? {
                Ok(Answer::Leader { leader, .. }) => Ok(leader),
                other => panic!("{other:?}"),
            }
        };
        while named(client).unwrap() != Some(n(leader)) {
            assert!(Instant::now() < deadline, "n{node} does not name n{leader}");
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_cluster_of_threads_elects_fails_over_and_shuts_down() {
    let members = Members::first(5).unwrap();
    let mut cluster =
        Threads::<Bully>::start(Config::default(), members, Options::default()).unwrap();
    let mut client = cluster.client();
    await_leader(&mut client, 5, &[1, 2, 3, 4, 5]);
    let Ok(Ok(Answer::Leading { epoch: first })) = client.ask(Request::Lead, LONG) else {
        panic!("somebody leads")
    };
    cluster.inject(&Fault::Crash { node: n(5) }).unwrap();
    await_leader(&mut client, 4, &[1, 2, 3, 4]);
    let Ok(Ok(Answer::Leading { epoch: second })) = client.ask(Request::Lead, LONG) else {
        panic!("somebody leads")
    };
    assert!(second > first);
    cluster.inject(&Fault::Restart { node: n(5) }).unwrap();
    await_leader(&mut client, 5, &[1, 2, 3, 4, 5]);
    let refusal = client.call(n(1), Request::Lead, LONG).unwrap();
    assert_eq!(refusal, Err(Error::NotLeader { leader: Some(n(5)) }));
    cluster.shutdown();
}
