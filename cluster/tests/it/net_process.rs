//! What a process around a server tells those who watch it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use cluster::net::process::{Lookout, Stop};

use crate::net::{LONG, servers};
use crate::scribe::eventually;

fn lookout_of(server: &cluster::net::Server<crate::scribe::Scribe>) -> Lookout {
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Lookout::start(anywhere, server, || "further 1\n".to_owned()).expect("it starts")
}

/// What is answered to `question`, if anything is.
fn asked(lookout: &Lookout, question: &[u8]) -> String {
    let mut stream = TcpStream::connect(lookout.addr()).expect("it listens");
    stream.set_read_timeout(Some(LONG)).expect("a deadline");
    stream.write_all(question).expect("it is sent");
    let mut answer = Vec::new();
    // One that is cut off has been told all that it will be.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).expect("text")
}

fn get(lookout: &Lookout, path: &str) -> String {
    asked(lookout, format!("GET {path} HTTP/1.1\r\nHost: here\r\n\r\n").as_bytes())
}

#[test]
fn who_watches_is_told_how_the_node_is() {
    let (mut servers, _) = servers(3);
    let lookout = lookout_of(&servers[0]);
    eventually("it reaches a majority", || get(&lookout, "/ready").starts_with("HTTP/1.1 200 "));
    assert!(get(&lookout, "/live?verbose").starts_with("HTTP/1.1 200 "));
    let metrics = get(&lookout, "/metrics");
    for line in [
        "cluster_up{node=\"n1\"} 1\n",
        "cluster_written{node=\"n1\"} 0\n",
        "cluster_net_refused_foreign{node=\"n1\"} 0\n",
        "further 1\n",
    ] {
        assert!(metrics.contains(line), "{line:?} in {metrics}");
    }
    servers.truncate(1);
    eventually("it reaches nobody", || get(&lookout, "/ready").starts_with("HTTP/1.1 503 "));
    assert!(get(&lookout, "/live").starts_with("HTTP/1.1 200 "));
    servers.clear();
    assert!(get(&lookout, "/live").starts_with("HTTP/1.1 503 "));
}

/// It gives no answer that it was not asked for, and answers on.
#[test]
fn whatever_is_asked_it_answers_on() {
    let (servers, _) = servers(1);
    let lookout = lookout_of(&servers[0]);
    assert!(get(&lookout, "/").starts_with("HTTP/1.1 404 "));
    assert!(asked(&lookout, b"POST /live HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405 "));
    assert!(asked(&lookout, b"\r\n\r\n").starts_with("HTTP/1.1 405 "));
    assert_eq!(asked(&lookout, b"GET /live"), "", "half a question is waited for, for a while");
    assert_eq!(asked(&lookout, &[b'x'; 9000]), "", "a question has an end");
    assert!(get(&lookout, "/live").starts_with("HTTP/1.1 200 "));
}

#[test]
fn a_process_hears_that_it_is_to_stop() {
    let stop = Stop::listen().expect("it listens");
    signal_hook::low_level::raise(signal_hook::consts::SIGTERM).expect("it is sent");
    let waiting = std::thread::spawn(|| stop.wait());
    eventually("it hears", || waiting.is_finished());
    waiting.join().expect("no panic");
}
