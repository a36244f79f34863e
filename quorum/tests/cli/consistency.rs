//! What a connection chooses, and what that is worth when nodes are gone.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};

use crate::dev::wait::{eventually, first_port};
use crate::program::has;
use crate::{QUORUM, said};

/// Three nodes that can be killed, and started again where they were.
struct Nodes {
    directory: tempfile::TempDir,
    port: u16,
    running: [Option<Child>; 3],
}

impl Nodes {
    fn start(from: u16) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut nodes = Self { directory, port: first_port(from), running: [const { None }; 3] };
        (0..3).for_each(|place| nodes.boot(place));
        // Each by itself, before it hears of the others.
        (0..3).for_each(|place| nodes.say(place, &["GET sky"], &["$-1"]));
        nodes
    }

    fn front(&self, place: u16) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port + place).into()
    }

    fn boot(&mut self, place: u16) {
        let named = |place| format!("{}=127.0.0.1:{}", place + 1, self.port + 10_000 + place);
        let nodes: Vec<_> = (0..3).map(named).collect();
        let (id, front) = ((place + 1).to_string(), self.front(place).to_string());
        let mut command = Command::new(QUORUM);
        command.args(["run", "--cluster", "tests", "--nodes", &nodes.join(","), "--id", &id]);
        command.args(["--redis", &front, "--data"]).arg(self.directory.path().join(&id));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.running[usize::from(place)] = Some(command.spawn().expect("it starts"));
    }

    fn kill(&mut self, place: u16) {
        let mut child = self.running[usize::from(place)].take().expect("it runs");
        child.kill().expect("it is killed");
        child.wait().expect("it ends");
    }

    /// On one connection to that node, these lines are answered so in the end; of an error the beginning
    /// counts.
    #[track_caller]
    fn say(&self, place: u16, lines: &[&str], expected: &[&str]) {
        eventually(&format!("{lines:?} is not {expected:?}"), || {
            let said = said(self.front(place), lines)?;
            let fits = |(said, expected): (&String, &&str)| match expected.strip_prefix('-') {
                Some(_) if *expected != "$-1" => said.starts_with(expected),
                _ => said == expected,
            };
            (said.len() == expected.len() && said.iter().zip(expected).all(fits)).then_some(())
        });
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for child in self.running.iter_mut().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A node that missed a write and is alone tells what it has to whoever asks ONE, and refuses whoever asks
/// QUORUM; once there is another, who asks QUORUM is told what was written.
#[test]
fn one_is_served_by_a_node_that_is_alone_and_quorum_is_not() {
    let mut nodes = Nodes::start(10_600);
    nodes.say(0, &["CONSISTENCY ALL", "SET sky blue"], &["+OK", "+OK"]);
    nodes.kill(2);
    nodes.say(0, &["SET sky grey"], &["+OK"]);
    nodes.kill(0);
    nodes.kill(1);
    nodes.boot(2);
    nodes.say(2, &["CONSISTENCY ONE", "GET sky"], &["+OK", "blue"]);
    nodes.say(2, &["CONSISTENCY QUORUM", "GET sky"], &["+OK", "-CLUSTERDOWN "]);
    nodes.say(2, &["GET sky"], &["-CLUSTERDOWN "]);
    nodes.say(2, &["CONSISTENCY 1 3", "GET sky", "SET sky red"], &["+OK", "blue", "-"]);
    nodes.boot(0);
    nodes.say(2, &["CONSISTENCY QUORUM", "GET sky"], &["+OK", "grey"]);
}

/// It holds for one connection, until it chooses another; nonsense is refused by what there is, and changes
/// nothing.
#[test]
fn a_connection_chooses_for_itself() {
    let nodes = Nodes::start(10_700);
    let expected =
        "-ERR no such consistency, expected ONE, QUORUM, ALL, DEFAULT, or R and W from 1 to 3";
    let (ask, own) = ("CONSISTENCY", "n=3 r=2 linearizable w=2 linearizable");
    nodes.say(0, &[ask], &[own]);
    nodes.say(0, &["consistency one", ask], &["+OK", "n=3 r=1 convergent w=1 convergent"]);
    nodes.say(0, &["CONSISTENCY ALL", ask], &["+OK", "n=3 r=3 linearizable w=3 linearizable"]);
    nodes.say(0, &["CONSISTENCY 1 3", ask], &["+OK", "n=3 r=1 convergent w=3 linearizable"]);
    nodes.say(0, &["CONSISTENCY ALL", "CONSISTENCY default", ask], &["+OK", "+OK", own]);
    for nonsense in ["TWO", "0 2", "2 4", "2", "1 2 3", "-1 2", "1 one", "\u{e9}"] {
        let wish = format!("CONSISTENCY {nonsense}");
        let lines = ["CONSISTENCY ONE", &wish, ask];
        nodes.say(0, &lines, &["+OK", expected, "n=3 r=1 convergent w=1 convergent"]);
    }
    nodes.say(0, &[ask], &[own]);
}

#[test]
fn redis_cli_chooses_too() {
    if !has("redis-cli") {
        return;
    }
    let nodes = Nodes::start(10_800);
    nodes.say(0, &["SET sky blue"], &["+OK"]);
    let mut client = Command::new("redis-cli");
    client.args(["-p", &nodes.port.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut client = client.spawn().expect("it starts");
    let mut lines = client.stdin.take().expect("it is piped");
    lines.write_all(b"consistency one\nconsistency\nget sky\nconsistency two\n").expect("it reads");
    drop(lines);
    let output = client.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<_> = said.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(lines[..3], ["OK", "n=3 r=1 convergent w=1 convergent", "blue"], "{said}");
    assert!(lines[3].starts_with("ERR no such consistency"), "{said}");
}

/// What names a long value often is refused before it is in any memory; what only counts is not.
#[test]
fn a_reply_has_an_end() {
    let nodes = Nodes::start(10_900);
    let set = format!("SET long {}", "x".repeat(1 << 20));
    nodes.say(0, &[&set], &["+OK"]);
    let (mget, exists) = (" long".repeat(5_000), " long".repeat(20));
    let (mget, exists) = (format!("MGET{mget}"), format!("EXISTS{exists}"));
    nodes.say(1, &[&mget, &exists], &["-ERR too long a reply", ":20"]);
}
