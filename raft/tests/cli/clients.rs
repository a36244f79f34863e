//! Redis's own clients.

use std::process::Command;

use crate::processes::{Nodes, Redis, answers, output};
use crate::program::has;

fn client(program: &str, port: u16, words: &[&str]) -> (bool, String) {
    let mut command = Command::new(program);
    command.args(["-p", &port.to_string()]).args(words);
    let (output, said) = output(command);
    (output.status.success(), said)
}

/// Whichever node is asked, the answer is that of all.
#[test]
fn redis_cli_sets_and_gets_through_every_node() {
    if !has("redis-cli") {
        return;
    }
    let nodes = Nodes::start();
    answers(nodes.fronts[0], &["SET", "first", "1"], "+OK");
    for (setting, front) in nodes.fronts.iter().enumerate() {
        let (key, value) = (format!("key{setting}"), format!("value{setting}"));
        assert_eq!(
            client("redis-cli", front.port(), &["set", &key, &value]),
            (true, "OK\n".into())
        );
        for front in &nodes.fronts {
            let got = client("redis-cli", front.port(), &["get", &key]);
            assert_eq!(got, (true, format!("{value}\n")));
        }
    }
    let (_, refused) = client("redis-cli", nodes.fronts[0].port(), &["incr", "key0"]);
    assert_eq!(refused.trim(), "ERR value is not an integer or out of range");
}

#[test]
fn redis_benchmark_runs_through_every_node() {
    if !has("redis-benchmark") {
        return;
    }
    let nodes = Nodes::start();
    for front in &nodes.fronts {
        answers(*front, &["SET", "first", "1"], "+OK");
        let words = ["-t", "set,get,incr", "-n", "500", "-c", "20", "-P", "4", "-q"];
        let (ended_well, said) = client("redis-benchmark", front.port(), &words);
        assert!(ended_well, "{said}");
        let results = said.matches("requests per second").count();
        assert_eq!(results, 3, "{said}");
    }
}

/// What names a long value often is refused before it is in any memory, whichever node is asked; what only
/// counts is not, nor are many commands that are answered one by one.
#[test]
fn a_reply_has_an_end() {
    let nodes = Nodes::start();
    let long = "x".repeat(400 << 10);
    answers(nodes.fronts[0], &["SET", "long", &long], "+OK");
    for &front in &nodes.fronts {
        let mut redis = Redis::connect(front).expect("it listens");
        let words =
            |name| std::iter::once(name).chain([["long"; 500]].concat()).collect::<Vec<_>>();
        let refused = redis.ask(&words("MGET")).expect("an answer");
        assert!(refused.starts_with("-ERR too long a reply"), "{refused}");
        assert_eq!(redis.ask(&words("EXISTS")).as_deref(), Some(":500"));
        let gets = redis.ask_all(&[&["GET", "long"][..]; 50]).expect("answers");
        assert!(gets.len() == 50 && gets.iter().all(|got| *got == long), "some differ");
    }
}
