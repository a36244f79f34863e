//! The net world: nodes that are reached by TCP.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use cluster::net::{ClusterId, Remote, Server};
use cluster::{NoAnswer, NodeId, Port, ReplyTo, Sink};

use crate::scribe::{Answer, Ask, Config, Scribe, eventually, n};

pub(crate) const LONG: Duration = Duration::from_secs(20);

/// What a request came to.
pub(crate) type Outcome = Result<Answer, NoAnswer>;

/// Collects what requests come to, by their tags.
pub(crate) struct Basket(Sender<(u64, Outcome)>);

impl Basket {
    pub(crate) fn new() -> (Arc<Self>, Receiver<(u64, Outcome)>) {
        let (sender, receiver) = channel();
        (Arc::new(Self(sender)), receiver)
    }
}

impl Sink<Answer> for Basket {
    fn complete(self: Arc<Self>, tag: u64, outcome: Outcome) {
        let _ = self.0.send((tag, outcome));
    }
}

pub(crate) fn orders() -> ClusterId {
    ClusterId::new("orders").expect("a name")
}

/// Sockets that listen, for so many nodes.
pub(crate) fn doors(count: u32) -> (Vec<TcpListener>, Vec<(NodeId, SocketAddr)>) {
    let doors: Vec<_> = (0..count)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"))
        .collect();
    let addresses = doors.iter().map(|door| door.local_addr().expect("it is bound"));
    let nodes = (1..).map(n).zip(addresses).collect();
    (doors, nodes)
}

/// So many nodes, on loopback, whose disks are memory.
pub(crate) fn servers(count: u32) -> (Vec<Server<Scribe>>, Vec<(NodeId, SocketAddr)>) {
    let (doors, nodes) = doors(count);
    let servers = doors.into_iter().zip(&nodes).map(|(door, (id, _))| {
        let builder = Server::builder(orders(), *id, Config::default());
        builder.nodes(nodes.iter().copied()).listener(door).start().expect("it starts")
    });
    (servers.collect(), nodes)
}

pub(crate) fn remote(nodes: &[(NodeId, SocketAddr)]) -> Arc<Remote<Scribe>> {
    Remote::builder(orders(), nodes.iter().copied()).connect().expect("it starts")
}

/// What `node` answers.
#[track_caller]
pub(crate) fn ask(port: &dyn Port<Scribe>, node: u32, ask: Ask) -> Outcome {
    let (basket, outcomes) = Basket::new();
    port.submit(n(node), ask, ReplyTo::new(basket, 7));
    let (tag, outcome) = outcomes.recv_timeout(LONG).expect("an outcome");
    assert_eq!(tag, 7);
    outcome
}

/// Each hears the others, and answers clients; a connection keeps its order.
#[test]
fn messages_and_requests_arrive_once_and_in_order() {
    let (servers, nodes) = servers(3);
    let port = remote(&nodes);
    eventually("all are connected", || servers.iter().all(|it| it.peers().count() == 2));
    assert_eq!(ask(&*port, 1, Ask::Append(7)), Ok(Answer::Done));
    assert_eq!(ask(&*port, 1, Ask::Flood { to: n(2), count: 10_000 }), Ok(Answer::Done));
    let numbers = Ok(Answer::Heard((0..10_000).collect()));
    eventually("all are heard", || ask(&*port, 2, Ask::Heard) == numbers);
    assert_eq!(ask(&*port, 1, Ask::Flood { to: n(1), count: 3 }), Ok(Answer::Done));
    eventually("it hears itself", || {
        ask(&*port, 1, Ask::Heard) == Ok(Answer::Heard(vec![0, 1, 2]))
    });
    servers.into_iter().for_each(Server::shutdown);
}

/// Many requests are under way on one connection.
#[test]
fn a_client_has_many_requests_under_way() {
    let (servers, nodes) = servers(1);
    let port = remote(&nodes);
    let (basket, outcomes) = Basket::new();
    for tag in 0..5000 {
        port.submit(n(1), Ask::Append(tag), ReplyTo::new(basket.clone(), tag));
    }
    let mut tags: Vec<u64> = (0..5000)
        .map(|_| {
            let (tag, outcome) = outcomes.recv_timeout(LONG).expect("an outcome");
            assert_eq!(outcome, Ok(Answer::Done));
            tag
        })
        .collect();
    tags.sort_unstable();
    assert!(tags.into_iter().eq(0..5000), "each has one outcome");
    assert_eq!(ask(&*port, 1, Ask::Count), Ok(Answer::Count(5000)));
    drop(servers);
}

/// What is known of a request when its node is gone is what can be known.
#[test]
fn a_node_that_is_gone_is_unreachable_and_one_that_goes_leaves_doubt() {
    let (mut servers, nodes) = servers(1);
    let port = remote(&nodes);
    assert_eq!(ask(&*port, 1, Ask::Count), Ok(Answer::Count(0)));
    assert_eq!(ask(&*port, 9, Ask::Count), Err(NoAnswer::Unreachable));
    let (basket, outcomes) = Basket::new();
    port.submit(n(1), Ask::Ignore, ReplyTo::new(basket, 1));
    assert_eq!(ask(&*port, 1, Ask::Count), Ok(Answer::Count(0)), "it was taken before that");
    drop(servers.pop());
    assert_eq!(outcomes.recv_timeout(LONG), Ok((1, Err(NoAnswer::Lost))));
    eventually("it is gone", || ask(&*port, 1, Ask::Count) == Err(NoAnswer::Unreachable));
    let builder = Server::<Scribe>::builder(orders(), n(1), Config::default()).nodes(nodes);
    let server = builder.start().expect("the address is free again");
    eventually("it is back", || ask(&*port, 1, Ask::Count) == Ok(Answer::Count(0)));
    server.shutdown();
}

/// A node whose peer's process ends is told so, once, and not before.
#[test]
fn the_end_of_a_process_is_told_to_its_peers() {
    let (mut servers, nodes) = servers(3);
    let ended = |server: &Server<Scribe>| {
        let gauges = server.gauges().expect("it is up");
        gauges.into_iter().find(|(name, _)| *name == "ended").expect("it counts").1
    };
    eventually("all are connected", || servers.iter().all(|it| it.peers().count() == 2));
    assert!(servers.iter().all(|server| ended(server) == 0));
    drop(servers.pop());
    eventually("both are told", || servers.iter().all(|server| ended(server) == 1));
    // It is tried again and again, and of one end nobody is told twice.
    let builder = Server::<Scribe>::builder(orders(), n(3), Config::default()).nodes(nodes);
    servers.push(builder.start().expect("the address is free again"));
    eventually("it is back", || servers.iter().all(|it| it.peers().count() == 2));
    assert!(servers[..2].iter().all(|server| ended(server) == 1));
    drop(servers.pop());
    eventually("both are told again", || servers.iter().all(|server| ended(server) == 2));
}
