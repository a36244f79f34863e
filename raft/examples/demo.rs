//! The study guide's Raft client, on five real threads: `cargo run -p raft --example demo`.
//!
//! Exits with an error as soon as something is not as expected.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use cluster::threads::{Client, Options, Threads};
use cluster::{Cluster, Fault, Members, NodeId};
use raft::{Config, Entry, Image, LogIndex, Payload, Raft, Reply, Request, StateMachine};
use serde::{Deserialize, Serialize};

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, Hash, PartialEq, Eq, Serialize, Deserialize)]
enum Command {
    Set(String, i64),
    Delete(String),
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set(key, value) => write!(f, "SET {key}={value}"),
            Self::Delete(key) => write!(f, "DELETE {key}"),
        }
    }
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct Variables(BTreeMap<String, i64>);

impl StateMachine for Variables {
    type Command = Command;
    /// What the variable was before.
    type Output = Option<i64>;
    type Query = String;
    type Answer = Option<i64>;
    type Snapshot = Image<Self>;

    fn apply(&mut self, _: LogIndex, command: &Command) -> Option<i64> {
        match command {
            Command::Set(key, value) => self.0.insert(key.clone(), *value),
            Command::Delete(key) => self.0.remove(key),
        }
    }

    fn query(&self, key: &String) -> Option<i64> {
        self.0.get(key).copied()
    }
}

type Nodes = Threads<Raft<Variables>>;

fn set(key: &str, value: i64) -> Command {
    Command::Set(key.to_owned(), value)
}

fn main() -> anyhow::Result<()> {
    println!("=== Raft Consensus Demo ===");
    // Twice the default, so that a busy machine does not elect without need.
    let timeout = Duration::from_millis(300)..=Duration::from_millis(600);
    let config = Config::new(Variables::default()).with_election_timeout(timeout);
    let mut nodes = Nodes::start(config, Members::first(5)?, Options::default())?;
    let mut client = nodes.client();

    println!("\n--- Test 1: Leader Election ---");
    let (leader, term) = await_leader(&mut nodes, None)?;
    println!("{leader} was elected leader in term {term}, by a majority of five.");

    println!("\n--- Test 2: Log Replication ---");
    let mut expected = vec![set("x", 1), set("y", 2), Command::Delete("z".to_owned())];
    for command in &expected {
        append(&mut client, command)?;
    }
    let follower = *nodes.members().iter().find(|&&id| id != leader).context("five nodes")?;
    match client.call(follower, Request::Write(set("x", 9)), LIMIT)? {
        Err(error) => println!("Append 'SET x=9' at {follower}, a follower: refused, {error}."),
        Ok(reply) => bail!("a follower accepted a write: {reply:?}"),
    }

    println!("\n--- Test 3: Committed Entries ---");
    for id in nodes.members().to_vec() {
        print_committed(&mut client, id, &expected)?;
    }

    println!("\n--- Test 4: Leader Failure ---");
    println!("Simulating failure of leader: {leader}");
    let crashed_at = Instant::now();
    nodes.inject(&Fault::Crash { node: leader })?;
    let (new_leader, new_term) = await_leader(&mut nodes, Some(leader))?;
    ensure!(new_term > term, "term {new_term} is not after term {term}");
    let took = crashed_at.elapsed().as_millis();
    println!("{new_leader} was elected leader in term {new_term}, {took} ms later.");

    println!("\n--- Test 5: Append to New Leader ---");
    let command = set("a", 100);
    append(&mut client, &command)?;
    expected.push(command);
    for (key, value) in [("x", Some(1)), ("y", Some(2)), ("z", None), ("a", Some(100))] {
        let read = client.ask(Request::Read(key.to_owned()), LIMIT)??;
        let Reply::Answer(found) = read else { bail!("{read:?}") };
        ensure!(found == value, "{key} is {found:?}, not {value:?}");
        println!("Read {key}: {found:?}");
    }

    println!("\nThe failed node returns, from what its disk kept:");
    nodes.inject(&Fault::Restart { node: leader })?;
    print_committed(&mut client, leader, &expected)?;
    nodes.shutdown();
    println!("\nAll as expected.");
    Ok(())
}

/// Waits for a leader other than `former`; returns it and its term.
fn await_leader(nodes: &mut Nodes, former: Option<NodeId>) -> anyhow::Result<(NodeId, u64)> {
    let deadline = Instant::now() + LIMIT;
    while Instant::now() < deadline {
        for id in nodes.members().to_vec() {
            let state = nodes.state(id);
            if let Some(standing) = state.standing().filter(|_| state.leads() && Some(id) != former)
            {
                return Ok((id, standing.epoch.get()));
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    bail!("no leader within {LIMIT:?}")
}

fn append(client: &mut Client<Raft<Variables>>, command: &Command) -> anyhow::Result<()> {
    let reply = client.ask(Request::Write(command.clone()), LIMIT)??;
    let Reply::Written { index, output } = reply else { bail!("{reply:?}") };
    println!("Append '{command}': SUCCESS at {index}, the variable was {output:?} before");
    Ok(())
}

/// Waits until node `id` knows that `expected` is committed, and prints its log.
fn print_committed(
    client: &mut Client<Raft<Variables>>,
    id: NodeId,
    expected: &[Command],
) -> anyhow::Result<()> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let request = Request::Committed { from: LogIndex::ZERO, max: usize::MAX };
        let reply = client.call(id, request, LIMIT)??;
        let Reply::Committed(entries) = reply else { bail!("{reply:?}") };
        let commands = entries.iter().filter_map(|entry| entry.payload.command());
        if commands.eq(expected) {
            let lines: Vec<String> = entries.iter().map(describe).collect();
            println!("Node {id} committed: {}", lines.join(" "));
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "node {id} committed {entries:?}, not {expected:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn describe(entry: &Entry<Command>) -> String {
    let what = match &entry.payload {
        Payload::Noop => "no-op".to_owned(),
        Payload::Withheld => "withheld".to_owned(),
        Payload::Command(command) => command.to_string(),
        Payload::Open { .. } => "a session opens".to_owned(),
        Payload::Close(session) => format!("{session} is closed"),
        Payload::Configuration(configuration) => configuration.to_string(),
        Payload::Submit(submission) => format!("{} in {}", submission.command, submission.session),
    };
    format!("[{} {} {what}]", entry.index, entry.term)
}
