//! The net world under whatever may connect to it: it serves on, holds no more than it may, and counts
//! and says whom it refused.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use cluster::net::{ClusterId, Limits, PROTOCOL, Reason, Remote, Server};
use cluster::{NoAnswer, NodeId, Port, ReplyTo};
use proptest::prelude::*;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::net::{Basket, LONG, ask, doors, orders, remote};
use crate::scribe::{Answer, Ask, Config, Scribe, eventually, n};

type Nodes = Vec<(NodeId, SocketAddr)>;

const HELLO: u8 = 1;
const WELCOME: u8 = 2;
const REFUSAL: u8 = 3;
const MESSAGE: u8 = 4;
const REQUEST: u8 = 5;

/// A frame as the essay of the module has it, by other code than the one that is tested.
fn frame(version: u8, kind: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![0xC7, 0x5E, version, kind];
    frame.extend_from_slice(&u32::try_from(body.len()).expect("short").to_le_bytes());
    let seed = u64::from_le_bytes(frame[..8].try_into().expect("eight bytes"));
    frame.extend_from_slice(&xxh3_64_with_seed(body, seed).to_le_bytes());
    frame.extend_from_slice(body);
    frame
}

/// Numbers below 128, which are written as themselves.
fn hello(cluster: &str, to: u8, caller: &[u8]) -> Vec<u8> {
    let mut body = vec![u8::try_from(cluster.len()).expect("short")];
    body.extend_from_slice(cluster.as_bytes());
    body.push(to);
    body.extend_from_slice(caller);
    frame(PROTOCOL, HELLO, &body)
}

const CLIENT: &[u8] = &[1];

fn peer(id: u8, life: u8) -> Vec<u8> {
    vec![0, id, life]
}

/// Node 1 of three, of which the others never come up, and its address.
fn start(limits: Limits) -> (Server<Scribe>, Nodes) {
    let (mut doors, nodes) = doors(3);
    let builder = Server::<Scribe>::builder(orders(), n(1), Config::default());
    let builder = builder.nodes(nodes.iter().copied()).listener(doors.remove(0)).limits(limits);
    (builder.start().expect("it starts"), nodes)
}

fn connect(server: &Server<Scribe>) -> TcpStream {
    let stream = TcpStream::connect(server.addr()).expect("it listens");
    stream.set_read_timeout(Some(LONG)).expect("a deadline");
    stream
}

/// The kind and the body of the next frame; none at the end.
fn next_frame(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut header = [0; 16];
    match stream.read_exact(&mut header) {
        Ok(()) => {}
        Err(error) => {
            assert!(
                matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset),
                "{error}: no end in time"
            );
            return None;
        }
    }
    let len = u32::from_le_bytes(header[4..8].try_into().expect("four bytes"));
    let mut body = vec![0; len as usize];
    stream.read_exact(&mut body).expect("a whole frame");
    Some((header[3], body))
}

/// Sends `bytes`; they are refused for `reason`, by a frame that says so, and counted; and the connection
/// ends.
#[track_caller]
fn check(server: &Server<Scribe>, bytes: &[u8], reason: Reason, said: &str) {
    let before = server.refused(reason);
    let mut stream = connect(server);
    stream.write_all(bytes).expect("it is sent");
    let mut frame = next_frame(&mut stream).expect("a refusal");
    if frame.0 == WELCOME {
        frame = next_frame(&mut stream).expect("a refusal");
    }
    let (kind, body) = frame;
    let text = String::from_utf8_lossy(&body[1..]).into_owned();
    assert_eq!((kind, body[0]), (REFUSAL, reason as u8), "{text}");
    assert!(text.contains(said), "{text:?}, expected {said:?}");
    assert_eq!(next_frame(&mut stream), None, "the connection ends");
    assert_eq!(server.refused(reason), before + 1);
}

/// It serves a client that means well, and nothing is left of those that did not.
#[track_caller]
fn serves_on(server: &Server<Scribe>, nodes: &[(NodeId, SocketAddr)]) {
    assert!(matches!(ask(&*remote(nodes), 1, Ask::Count), Ok(Answer::Count(_))));
    let waiting = || server.traffic().into_iter().find(|it| it.0 == "net-waiting-bytes");
    eventually("nothing waits", || waiting().is_some_and(|it| it.1 == 0));
}

#[test]
fn whoever_has_no_business_here_is_told_so() {
    let (server, nodes) = start(Limits::default());
    let check = |bytes: &[u8], reason, said| check(&server, bytes, reason, said);
    check(b"GET / HTTP/1.1\r\nHost: orders\r\n\r\n", Reason::Foreign, "no frame");
    check(&frame(9, HELLO, &[]), Reason::Version, "protocol 9, expected 1");
    check(&frame(PROTOCOL, 77, &[]), Reason::Garbled, "kind 77");
    check(&hello("others", 1, CLIENT), Reason::Cluster, "of cluster others, this is orders");
    check(&hello("No Name", 1, CLIENT), Reason::Garbled, "");
    check(&hello("orders", 2, CLIENT), Reason::Address, "called n2, this is n1");
    check(&hello("orders", 1, &peer(9, 1)), Reason::Stranger, "n9 is no peer of n1");
    check(&hello("orders", 1, &peer(1, 1)), Reason::Stranger, "n1 is no peer of n1");
    check(&frame(PROTOCOL, REQUEST, &[]), Reason::Garbled, "who it is");
    check(&frame(PROTOCOL, HELLO, &[6, b'o']), Reason::Garbled, "");
    let mut torn = hello("orders", 1, CLIENT);
    torn[9] ^= 1;
    check(&torn, Reason::Garbled, "checksum");
    serves_on(&server, &nodes);
}

#[test]
fn who_is_let_in_is_held_to_what_it_said() {
    let (server, nodes) = start(Limits { frame_max: 5000, ..Limits::default() });
    let client = hello("orders", 1, CLIENT);
    let node = hello("orders", 1, &peer(2, 5));
    let check = |first: &[u8], then: &[u8], reason, said| {
        check(&server, &[first, then].concat(), reason, said);
    };
    check(&client, &client, Reason::Garbled, "sends no request");
    check(&client, &frame(PROTOCOL, MESSAGE, &[0]), Reason::Garbled, "sends no request");
    check(&client, &frame(PROTOCOL, REQUEST, &[1, 99]), Reason::Garbled, "");
    check(&client, b"junk", Reason::Foreign, "no frame");
    check(&node, &frame(PROTOCOL, REQUEST, &[1, 1]), Reason::Garbled, "sends no message");
    check(&node, &frame(PROTOCOL, MESSAGE, &[99]), Reason::Garbled, "");
    // Refused by what it announces, before any of that is there.
    let long = &frame(PROTOCOL, MESSAGE, &[0; 6000])[..16];
    check(&node, long, Reason::TooLong, "6000 bytes, where 5000 is the limit");
    check(&[], &frame(PROTOCOL, HELLO, &[0; 2000])[..16], Reason::TooLong, "1024");
    serves_on(&server, &nodes);
}

#[test]
fn an_earlier_life_is_refused_and_a_later_one_takes_the_place() {
    let (server, nodes) = start(Limits::default());
    let mut first = connect(&server);
    first.write_all(&hello("orders", 1, &peer(2, 5))).expect("it is sent");
    assert_eq!(next_frame(&mut first).map(|it| it.0), Some(WELCOME));
    let earlier = hello("orders", 1, &peer(2, 4));
    check(&server, &earlier, Reason::Incarnation, "n2 in its life b4 was met in b5 before");
    let mut second = connect(&server);
    second.write_all(&hello("orders", 1, &peer(2, 6))).expect("it is sent");
    assert_eq!(next_frame(&mut second).map(|it| it.0), Some(WELCOME));
    let (kind, body) = next_frame(&mut first).expect("a refusal");
    assert_eq!((kind, body[0]), (REFUSAL, Reason::Replaced as u8));
    let note = frame(PROTOCOL, MESSAGE, &[2, 42]);
    second.write_all(&note).expect("it is sent");
    let heard = Ok(Answer::Heard(vec![42]));
    eventually("it is heard", || ask(&*remote(&nodes), 1, Ask::Heard) == heard);
}

/// Frames that were begun, and connections that say nothing, are given up after their time.
#[test]
fn who_says_nothing_is_told_to_go() {
    let limits = Limits { greeting_timeout: Duration::from_millis(50), ..Limits::default() };
    let (server, nodes) = start(limits);
    let whole = hello("orders", 1, CLIENT);
    for length in [0, 1, 15, 16, whole.len() - 1] {
        check(&server, &whole[..length], Reason::Silent, "did not say");
    }
    serves_on(&server, &nodes);
}

/// Connections that say nothing are as many as there may be; then the oldest makes room, for those that
/// do say something too.
#[test]
fn ten_thousand_silent_connections_keep_nobody_out() {
    let limits = Limits::default();
    // Both ends of each are this process's.
    let files = rlimit::increase_nofile_limit(40_000).expect("a limit");
    let count = 10_000.min((files as usize).saturating_sub(2000) / 2);
    assert!(count >= 500, "{files} open files are too few to try anything");
    if count < 10_000 {
        println!("{count} connections only: {files} files may be open");
    }
    let (server, nodes) = start(Limits {
        strangers_max: count / 2,
        greeting_timeout: Duration::from_secs(600),
        ..limits
    });
    let silent: Vec<_> = (0..count).map(|_| connect(&server)).collect();
    eventually("the oldest made room", || server.refused(Reason::Full) >= (count / 2) as u64);
    serves_on(&server, &nodes);
    let mut last = silent.last().expect("there are some");
    last.write_all(&hello("orders", 1, CLIENT)).expect("it is sent");
    let mut byte = [0];
    assert!(last.read_exact(&mut byte).is_ok(), "it is still welcome");
    drop(silent);
    serves_on(&server, &nodes);
}

/// There is room for so many clients. Peers find room all the same.
#[test]
fn clients_do_not_keep_peers_out() {
    let (server, _) = start(Limits { clients_max: 2, ..Limits::default() });
    let greet = |hello: &[u8]| {
        let mut stream = connect(&server);
        stream.write_all(hello).expect("it is sent");
        assert_eq!(next_frame(&mut stream).map(|it| it.0), Some(WELCOME));
        stream
    };
    let client = hello("orders", 1, CLIENT);
    let _first = greet(&client);
    let second = greet(&client);
    check(&server, &client, Reason::Full, "2 clients are connected");
    let _peer = greet(&hello("orders", 1, &peer(2, 1)));
    drop(second);
    eventually("one has made room", || {
        let mut stream = connect(&server);
        stream.write_all(&client).expect("it is sent");
        next_frame(&mut stream).is_some_and(|it| it.0 == WELCOME)
    });
}

/// It asks, and never reads what it is answered: it is cut off, and what it held is given back.
#[test]
fn a_client_that_never_reads_is_cut_off() {
    let limits = Limits { memory_max: 1 << 20, ..Limits::default() };
    let (server, nodes) = start(limits);
    let port = remote(&nodes);
    assert_eq!(ask(&*port, 1, Ask::Flood { to: n(1), count: 50_000 }), Ok(Answer::Done));
    eventually("it hears itself", || match ask(&*port, 1, Ask::Heard) {
        Ok(Answer::Heard(numbers)) => numbers.len() == 50_000,
        _ => false,
    });
    let before = server.refused(Reason::Overloaded);
    let mut stream = connect(&server);
    stream.write_all(&hello("orders", 1, CLIENT)).expect("it is sent");
    // Each answer is of some 100 kB: "what did you hear".
    let heard = frame(PROTOCOL, REQUEST, &[1, HEARD]);
    eventually("it is cut off", || {
        // What it is still sent when it was cut off is nobody's business.
        let _ = stream.write_all(&heard);
        server.refused(Reason::Overloaded) > before
    });
    serves_on(&server, &nodes);
}

/// A peer takes its call, and never reads: what waits for it is bounded, the rest is dropped and counted,
/// and neither the node nor another peer notices.
#[test]
fn a_peer_that_never_reads_holds_up_nobody() {
    let (doors, nodes) = doors(3);
    let mut doors = doors.into_iter();
    let [first, deaf, third] = [(); 3].map(|()| doors.next().expect("three"));
    let link_max = 1 << 18;
    let start = |id, door| {
        let builder = Server::<Scribe>::builder(orders(), n(id), Config::default());
        let builder = builder.nodes(nodes.iter().copied()).listener(door);
        builder.limits(Limits { link_max, ..Limits::default() }).start().expect("it starts")
    };
    let (first, third) = (start(1, first), start(3, third));
    let _deaf = loop {
        let (mut stream, _) = deaf.accept().expect("it is called");
        let (kind, body) = next_frame(&mut stream).expect("a greeting");
        assert_eq!((kind, &body[..8]), (HELLO, &b"\x06orders\x02"[..]));
        stream.write_all(&frame(PROTOCOL, WELCOME, &[1])).expect("it is sent");
        // The third node calls too: it is of no interest.
        if body[8..10] == [0, 1] {
            break stream;
        }
    };
    eventually("all are connected", || first.peers().eq([n(2), n(3)]));
    let port = remote(&nodes);
    let figure = |name| first.traffic().into_iter().find(|it| it.0 == name).expect("it counts").1;
    while figure("net-unsent") == 0 {
        assert_eq!(ask(&*port, 1, Ask::Flood { to: n(2), count: 100_000 }), Ok(Answer::Done));
    }
    assert!(figure("net-waiting-bytes") < 2 * link_max as u64, "what waits is bounded");
    assert_eq!(ask(&*port, 1, Ask::Flood { to: n(3), count: 1000 }), Ok(Answer::Done));
    let numbers = Ok(Answer::Heard((0..1000).collect()));
    eventually("the other hears all", || ask(&*port, 3, Ask::Heard) == numbers);
    drop(third);
}

/// The place of [`Ask::Heard`] among its like.
const HEARD: u8 = 9;

/// More requests than there may be are turned away, and nothing is done.
#[test]
fn too_many_requests_are_turned_away() {
    let (server, nodes) = start(Limits { requests_max: 3, ..Limits::default() });
    let port =
        Remote::<Scribe>::builder(orders(), nodes.iter().copied()).connect().expect("it starts");
    let (basket, outcomes) = Basket::new();
    for tag in 0..5 {
        port.submit(n(1), Ask::Ignore, ReplyTo::new(basket.clone(), tag));
    }
    let next = || outcomes.recv_timeout(LONG).expect("an outcome");
    let mut turned_away = [next(), next()];
    turned_away.sort_by_key(|it| it.0);
    assert_eq!(turned_away, [(3, Err(NoAnswer::Unreachable)), (4, Err(NoAnswer::Unreachable))]);
    drop(server);
    assert!((0..3).all(|_| next().1 == Err(NoAnswer::Lost)));
}

/// A node takes a request, and its connection ends: the request may have had an effect.
#[test]
fn a_request_is_lost_with_the_connection_that_took_it() {
    let (doors, nodes) = doors(1);
    let port = remote(&nodes);
    let (basket, outcomes) = Basket::new();
    port.submit(n(1), Ask::Count, ReplyTo::new(basket, 1));
    let (mut stream, _) = doors[0].accept().expect("it is called");
    assert_eq!(next_frame(&mut stream).map(|it| it.0), Some(HELLO));
    stream.write_all(&frame(PROTOCOL, WELCOME, &[1])).expect("it is sent");
    assert_eq!(next_frame(&mut stream), Some((REQUEST, vec![1, 1])), "number 1: how many");
    drop(stream);
    assert_eq!(outcomes.recv_timeout(LONG), Ok((1, Err(NoAnswer::Lost))));
}

/// A client of another cluster knows why nobody answers.
#[test]
fn a_client_of_another_cluster_learns_why() {
    let (_server, nodes) = start(Limits::default());
    let others = ClusterId::new("others").expect("a name");
    let port = Remote::<Scribe>::builder(others, nodes).connect().expect("it starts");
    assert_eq!(ask(&*port, 1, Ask::Count), Err(NoAnswer::Unreachable));
    eventually("it is told", || port.refused(Reason::Cluster) > 0);
}

/// Makes it ask for nothing that does harm, such as to panic: a client may.
fn harmless(body: &mut [u8]) {
    if let [tag, ask, ..] = body {
        *tag %= 128;
        *ask %= 4;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever is sent, before a greeting or after it, whole frames or not: nothing but that connection
    /// ends.
    #[test]
    fn any_bytes_are_survived(
        greeting in prop::sample::select(vec![vec![], hello("orders", 1, CLIENT), hello("orders", 1, &peer(3, 1))]),
        kind in 0u8..8,
        bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6),
        tail in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        use std::sync::LazyLock;
        static SERVER: LazyLock<(Server<Scribe>, Nodes)> =
            LazyLock::new(|| start(Limits::default()));
        let (server, nodes) = &*SERVER;
        let mut stream = connect(server);
        let mut bytes = greeting;
        let mut bodies = bodies;
        if kind == REQUEST {
            bodies.iter_mut().for_each(|body| harmless(body));
        }
        bodies.iter().for_each(|body| bytes.extend(frame(PROTOCOL, kind, body)));
        bytes.extend(tail);
        // It may have ended before all was sent.
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        while next_frame(&mut stream).is_some() {}
        prop_assert!(!matches!(ask(&*remote(nodes), 1, Ask::Count), Err(NoAnswer::Unreachable)));
    }
}
