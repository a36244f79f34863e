//! Certificates: who may speak at all, and as whom.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;

use cluster::net::{Builder, Reason, Remote, Server, StartError, Tls};
use cluster::{NoAnswer, NodeId};

use authority::Authority;

use crate::net::{LONG, ask, doors, orders};
use crate::scribe::{Answer, Ask, Config, Scribe, eventually, n};

#[path = "../support/authority.rs"]
mod authority;

impl Authority {
    fn tls(&self, name: &str) -> Tls {
        self.tls_by(&self.path("ca.pem"), name)
    }

    fn tls_by(&self, authority: &Path, name: &str) -> Tls {
        let [pem, key] = ["pem", "key"].map(|kind| self.path(&format!("{name}.{kind}")));
        Tls::from_pem_files(authority, pem, key).expect("certificates")
    }
}

fn server(door: TcpListener, id: u32, nodes: &[(NodeId, SocketAddr)], tls: Tls) -> Server<Scribe> {
    let builder = Server::builder(orders(), n(id), Config::default()).nodes(nodes.iter().copied());
    builder.listener(door).tls(tls).start().expect("it starts")
}

fn remote(nodes: &[(NodeId, SocketAddr)], tls: Tls) -> Arc<Remote<Scribe>> {
    Remote::builder(orders(), nodes.iter().copied()).tls(tls).connect().expect("it starts")
}

/// So many servers with certificates of their own names, and a client with one of any.
pub(crate) fn servers(count: u32) -> (Authority, Vec<Server<Scribe>>, Arc<Remote<Scribe>>) {
    let authority = Authority::new();
    let (doors, nodes) = doors(count);
    let servers = doors.into_iter().zip(1..).map(|(door, id)| {
        let name = format!("n{id}");
        authority.sign(&name, &format!("{name}.orders"), 4000);
        server(door, id, &nodes, authority.tls(&name))
    });
    let servers = servers.collect();
    authority.sign("ann", "ann", 4000);
    let port = remote(&nodes, authority.tls("ann"));
    (authority, servers, port)
}

#[test]
fn nodes_and_clients_with_certificates_reach_each_other() {
    let (_authority, servers, port) = servers(2);
    eventually("both are connected", || servers.iter().all(|it| it.peers().count() == 1));
    assert_eq!(ask(&*port, 1, Ask::Flood { to: n(2), count: 5000 }), Ok(Answer::Done));
    let numbers = Ok(Answer::Heard((0..5000).collect()));
    eventually("all are heard", || ask(&*port, 2, Ask::Heard) == numbers);
}

/// `client` with its certificate asks node 1, which has that of `host`: nobody serves it, and the one
/// that found fault with the other's certificate says so.
#[track_caller]
fn check_refused(authority: &Authority, host: &str, client: Tls, at_server: bool) {
    let name = format!("server-{host}");
    authority.sign(&name, host, 4000);
    let (mut doors, nodes) = doors(1);
    let server = server(doors.remove(0), 1, &nodes, authority.tls(&name));
    let port = remote(&nodes, client);
    assert_eq!(ask(&*port, 1, Ask::Count), Err(NoAnswer::Unreachable));
    eventually("it is counted", || {
        let count = |at_server| match at_server {
            true => server.refused(Reason::Certificate),
            false => port.refused(Reason::Certificate),
        };
        count(at_server) > 0
    });
    // It serves on.
    authority.sign("good", "good", 4000);
    if host == "n1.orders" {
        let port = remote(&nodes, authority.tls("good"));
        assert_eq!(ask(&*port, 1, Ask::Count), Ok(Answer::Count(0)));
    }
}

#[test]
fn an_expired_certificate_is_refused() {
    let authority = Authority::new();
    authority.sign("late", "late", 2020);
    check_refused(&authority, "n1.orders", authority.tls("late"), true);
}

#[test]
fn a_certificate_of_another_authority_is_refused() {
    let (authority, other) = (Authority::new(), Authority::new());
    other.sign("eve", "eve", 4000);
    let eve = other.tls_by(&authority.path("ca.pem"), "eve");
    check_refused(&authority, "n1.orders", eve, true);
}

/// Nor does a client trust whoever answers: it must be the node that was called.
#[test]
fn a_node_must_show_a_certificate_of_its_own_name() {
    let authority = Authority::new();
    authority.sign("ann", "ann", 4000);
    for host in ["n2.orders", "n1.others", "ann"] {
        check_refused(&authority, host, authority.tls("ann"), false);
    }
}

/// A client's certificate does not make it a node.
#[test]
fn who_calls_as_a_node_must_show_that_nodes_certificate() {
    let authority = Authority::new();
    for (name, host) in [("n1", "n1.orders"), ("ann", "ann")] {
        authority.sign(name, host, 4000);
    }
    let (doors, nodes) = doors(2);
    let mut doors = doors.into_iter();
    let first = server(doors.next().expect("two"), 1, &nodes, authority.tls("n1"));
    let second = server(doors.next().expect("two"), 2, &nodes, authority.tls("ann"));
    eventually("the impostor is refused", || first.refused(Reason::Certificate) > 0);
    eventually("and is not called", || second.peers().count() == 0);
    assert_eq!(first.peers().count(), 0);
}

/// Without TLS at one end, nothing is understood at the other.
#[test]
fn who_speaks_no_tls_is_refused() {
    let authority = Authority::new();
    authority.sign("n1", "n1.orders", 4000);
    let (mut doors, nodes) = doors(1);
    let server = server(doors.remove(0), 1, &nodes, authority.tls("n1"));
    let mut stream = TcpStream::connect(server.addr()).expect("it listens");
    stream.set_read_timeout(Some(LONG)).expect("a deadline");
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("it is sent");
    // What TLS says to that is its own business; then it ends.
    let _ = stream.read_to_end(&mut Vec::new());
    assert_eq!(server.refused(Reason::Foreign), 1);
}

/// A certificate that has expired is replaced while the server runs, and so is a client's.
#[test]
fn new_certificates_need_no_restart() {
    let authority = Authority::new();
    authority.sign("n1", "n1.orders", 2020);
    authority.sign("ann", "ann", 2020);
    let (mut doors, nodes) = doors(1);
    let server = server(doors.remove(0), 1, &nodes, authority.tls("n1"));
    let port = remote(&nodes, authority.tls("ann"));
    eventually("it is refused", || port.refused(Reason::Certificate) > 0);
    authority.sign("n1", "n1.orders", 4000);
    eventually("the client is refused", || server.refused(Reason::Certificate) > 0);
    authority.sign("ann", "ann", 4001);
    eventually("it is served", || ask(&*port, 1, Ask::Count) == Ok(Answer::Count(0)));
}

/// What everybody could read, and everybody could speak to, is not listened on by accident.
#[test]
fn a_plain_server_listens_on_loopback_only() {
    let start = |change: fn(Builder<Scribe>) -> Builder<Scribe>| {
        let everywhere = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a free port");
        let address = everywhere.local_addr().expect("it is bound");
        let builder = Server::builder(orders(), n(1), Config::default()).node(n(1), address);
        change(builder.listener(everywhere)).start()
    };
    let refused = start(|builder| builder);
    assert!(matches!(refused, Err(StartError::Invalid(invalid)) if invalid.field == "listen"));
    start(Builder::insecurely).expect("it was told to").shutdown();
}
