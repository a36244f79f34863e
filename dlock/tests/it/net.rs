//! The service as processes have it: over TCP, with certificates.

#[path = "../../../cluster/tests/support/authority.rs"]
mod authority;

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use authority::Authority;
use cluster::NodeId;
use cluster::call::Caller;
use cluster::net::{ClusterId, Remote, Server, Tls};
use dlock::{Config, LockError, LockNode, Locks};

use crate::support::ms;

const LONG: Duration = Duration::from_secs(20);

fn tls(authority: &Authority, name: &str) -> Tls {
    let [pem, key] = ["pem", "key"].map(|kind| authority.path(&format!("{name}.{kind}")));
    Tls::from_pem_files(authority.path("ca.pem"), pem, key).expect("certificates")
}

fn start(authority: &Authority) -> (Vec<Server<LockNode>>, Arc<Remote<LockNode>>) {
    let cluster = ClusterId::new("locks").expect("a name");
    let doors = [(); 3].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port"));
    let addresses = doors.each_ref().map(|door| door.local_addr().expect("it is bound"));
    let nodes: Vec<_> = (1..).map(NodeId::new).zip(addresses).collect();
    let servers = doors.into_iter().zip(&nodes).map(|(door, &(id, _))| {
        let name = format!("n{}", id.get());
        authority.sign(&name, &format!("{name}.locks"), 4000);
        let builder = Server::builder(cluster.clone(), id, Config::default());
        let builder = builder.nodes(nodes.iter().copied()).listener(door);
        builder.tls(tls(authority, &name)).start().expect("it starts")
    });
    let servers = servers.collect();
    authority.sign("ann", "ann", 4000);
    let remote = Remote::builder(cluster, nodes).tls(tls(authority, "ann"));
    (servers, remote.connect().expect("it starts"))
}

/// The leader is gone while two await a lock: one gets it at the next leader, and the other, who has no time
/// for that, is told that it did not.
#[test]
fn an_await_survives_the_leader() {
    let authority = Authority::new();
    let (mut servers, remote) = start(&authority);
    let caller = Caller::over(remote);
    let locks = |owner: &str| Locks::new(caller.clone(), owner);
    let (ann, bob) = (locks("ann").patience(LONG), locks("bob").patience(LONG));
    pollster::block_on(async {
        let lease = ann.try_acquire("r", Some(LONG)).await.expect("free");
        let waiting = bob.acquire("r", None, LONG);
        let deadline = Instant::now() + LONG;
        while ann.info("r").await.expect("an answer").expect("locked").waiters == 0 {
            assert!(Instant::now() < deadline, "bob does not stand in line");
        }
        let leader = servers.iter().position(|server| server.state().leads()).expect("one leads");
        drop(servers.remove(leader));
        ann.release(&lease).await.expect("held");
        let second = waiting.await.expect("granted");
        assert!(second.token > lease.token);
        drop(servers);
        let begun = Instant::now();
        let hasty = ann.patience(ms(50));
        let refused = hasty.is_locked("r").await.expect_err("nobody is there");
        let honest = matches!(refused, LockError::Unavailable { .. } | LockError::Unknown { .. });
        assert!(honest && begun.elapsed() < LONG, "{refused}");
    });
}
