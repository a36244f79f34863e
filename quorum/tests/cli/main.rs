//! The binary `quorum`, as its users meet it: real processes.

mod consistency;
#[path = "../../../cluster/tests/support/dev.rs"]
mod dev;
#[path = "../../../cluster/tests/support/program.rs"]
mod program;

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use dev::Dev;
use dev::wait::{LONG, eventually};

const QUORUM: &str = env!("CARGO_BIN_EXE_quorum");

/// What a Redis client is answered to these lines on one connection: of each the first line, or what a
/// string holds.
fn said(front: SocketAddr, asked: &[&str]) -> Option<Vec<String>> {
    let stream = TcpStream::connect(front).ok()?;
    stream.set_read_timeout(Some(LONG)).ok()?;
    (&stream).write_all(format!("{}\r\n", asked.join("\r\n")).as_bytes()).ok()?;
    let mut lines = BufReader::new(&stream).lines();
    let mut reply = || {
        let first = lines.next()?.ok()?;
        // Of a string that is its length.
        if first.starts_with('$') && first != "$-1" { lines.next()?.ok() } else { Some(first) }
    };
    asked.iter().map(|_| reply()).collect()
}

/// What the node at `place` answers.
fn asked(dev: &Dev, place: u16, line: &str) -> Option<String> {
    said((Ipv4Addr::LOCALHOST, dev.port + place).into(), &[line])?.pop()
}

#[track_caller]
fn answers(dev: &Dev, place: u16, line: &str, expected: &str) {
    eventually(&format!("{line} is not {expected}"), || {
        (asked(dev, place, line)? == expected).then_some(())
    });
}

/// Whichever node is asked coordinates: by the Redis protocol, and by its own commands.
#[test]
fn any_node_coordinates_reads_and_writes() {
    let dev = Dev::start(QUORUM, 10_400);
    answers(&dev, 0, "SET sky blue", "+OK");
    (0..3).for_each(|place| answers(&dev, place, "GET sky", "blue"));
    assert_eq!(asked(&dev, 1, "EXISTS sky sea").as_deref(), Some(":1"));
    let refused = asked(&dev, 2, "INCR sky").expect("an answer");
    assert!(refused.starts_with("-ERR "), "{refused}");
    let (code, said) = dev.said("put", &["--quorum", "3", "sea", "green"]);
    assert!(code == Some(0) && said.contains("Linearizable"), "{said}");
    let (code, said) = dev.said("get", &["--quorum", "1", "sea"]);
    assert!(code == Some(0) && said.starts_with("green\n"), "{said}");
    let (code, said) = dev.said("get", &["--quorum", "4", "sea"]);
    assert!(code == Some(1) && said.contains("a quorum of 4"), "{said}");
    assert_eq!(asked(&dev, 2, "DEL sky sea moon").as_deref(), Some(":2"));
    assert_eq!(asked(&dev, 0, "GET sea").as_deref(), Some("$-1"));
    let (code, said) = dev.said("status", &[]);
    assert!(code == Some(0) && said.matches("linearizable").count() == 3, "{said}");
}
