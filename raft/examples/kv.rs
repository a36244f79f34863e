//! A replicated map to type at: `cargo run -p raft --example kv`.
//!
//! Three nodes on threads of this process. `set KEY VALUE` and `get KEY`; `crash` kills the leader and
//! `restart` brings it back, and the map goes on as if nothing had happened; `status` shows the nodes.

use std::collections::BTreeMap;
use std::io::{BufRead, Write, stdin, stdout};

use cluster::{Cluster, Fault, NodeId, Role};
use raft::{Group, Handle, Image, LogIndex, StateMachine};
use serde::{Deserialize, Serialize};

#[derive(Clone, Default, Serialize, Deserialize)]
struct Map(BTreeMap<String, String>);

impl StateMachine for Map {
    /// Set this key to this value.
    type Command = (String, String);
    /// What it was before.
    type Output = Option<String>;
    type Query = String;
    type Answer = Option<String>;
    type Snapshot = Image<Self>;

    fn apply(&mut self, _: LogIndex, (key, value): &(String, String)) -> Option<String> {
        self.0.insert(key.clone(), value.clone())
    }

    fn query(&self, key: &String) -> Option<String> {
        self.0.get(key).cloned()
    }

    fn size_of((key, value): &(String, String)) -> usize {
        key.len() + value.len()
    }
}

fn main() -> anyhow::Result<()> {
    let mut group = Group::builder(Map::default()).nodes(3).start()?;
    let map = group.handle();
    let mut crashed = Vec::new();
    println!("set KEY VALUE, get KEY, status, crash, restart; end with Ctrl-D");
    for line in stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["set", key, value] => match map.write((key.into(), value.into())).wait()? {
                Some(before) => println!("it was {before}"),
                None => println!("it was not set"),
            },
            ["get", key] => match map.read(key.into()).wait()? {
                Some(value) => println!("{value}"),
                None => println!("it is not set"),
            },
            ["status"] => status(&map),
            ["crash"] => {
                if let Some(node) = leader(&map) {
                    group.cluster().inject(&Fault::Crash { node })?;
                    crashed.push(node);
                    println!("{node} is down");
                }
            }
            ["restart"] => {
                for node in crashed.drain(..) {
                    group.cluster().inject(&Fault::Restart { node })?;
                    println!("{node} is up");
                }
            }
            [] => {}
            _ => println!("set KEY VALUE, get KEY, status, crash, restart"),
        }
        stdout().flush()?;
    }
    group.shutdown();
    Ok(())
}

fn leader(map: &Handle<Map>) -> Option<NodeId> {
    let nodes = map.members().iter().filter_map(|&node| map.status(node).wait().ok());
    nodes.filter(|status| status.role == Role::Leader).map(|status| status.node).next()
}

fn status(map: &Handle<Map>) {
    for &node in map.members() {
        match map.status(node).wait() {
            Ok(it) => println!("{node}: {:?} in {}, applied {}", it.role, it.term, it.applied),
            Err(_) => println!("{node}: down"),
        }
    }
}
