//! Single nodes: how they end, and whom they refuse.

use std::time::{Duration, Instant};

use crate::processes::{Nodes, Redis, answers, free_addresses, output, raft};

/// The others do not wait until it is missed, which would take them four seconds at least.
#[test]
fn a_leader_that_is_told_to_end_hands_over_first() {
    let mut nodes = Nodes::start_with(&["--election-timeout", "4s"]);
    answers(nodes.fronts[0], &["SET", "sky", "blue"], "+OK");
    let leader = nodes.leader();
    let told = Instant::now();
    nodes.process(leader).signal("TERM");
    assert!(nodes.process(leader).ended().success());
    nodes.running[leader] = None;
    assert_ne!(nodes.leader(), leader);
    assert!(told.elapsed() < Duration::from_secs(4), "it took {:?}", told.elapsed());
    answers(nodes.fronts[(leader + 1) % 3], &["GET", "sky"], "blue");
}

/// It is told so, and by what.
#[test]
fn a_second_process_in_a_directory_is_refused() {
    let mut nodes = Nodes::start();
    answers(nodes.fronts[0], &["SET", "sky", "blue"], "+OK");
    let addresses = free_addresses(2);
    let mut second = nodes.command(0);
    second.args(["--listen", &addresses[0].to_string()]);
    let (ended, said) = output(second_front(second, &addresses[1].to_string()));
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("n1 is down"), "{said}");
    assert!(said.contains("locked, expected nobody else"), "{said}");
    answers(nodes.fronts[0], &["GET", "sky"], "blue");
    assert!(nodes.process(0).0.try_wait().expect("a child").is_none(), "the first runs on");
}

/// The last `--redis` would be a second one, which is refused: so it is taken out.
fn second_front(command: std::process::Command, front: &str) -> std::process::Command {
    let mut words: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    let place = words.iter().position(|word| word == "--redis").expect("it has one");
    words[place + 1] = front.into();
    raft(words)
}

/// Nobody waits for ever: with no majority, a command is answered by what Redis says in such a case.
#[test]
fn a_node_without_a_leader_says_so() {
    let mut nodes = Nodes::start();
    answers(nodes.fronts[0], &["SET", "sky", "blue"], "+OK");
    for place in [1, 2] {
        nodes.process(place).kill();
        nodes.running[place] = None;
    }
    let mut redis = Redis::connect(nodes.fronts[0]).expect("it listens");
    let answer = redis.ask(&["GET", "sky"]).expect("it answers");
    assert!(answer.starts_with("-CLUSTERDOWN "), "{answer}");
    let answer = redis.ask(&["SET", "sky", "grey"]).expect("it answers");
    assert!(answer.starts_with("-CLUSTERDOWN ") || answer.starts_with("-UNKNOWN "), "{answer}");
    assert_eq!(redis.ask(&["PING"]).as_deref(), Some("+PONG"));
}

#[test]
fn status_tells_of_each_node_and_transfer_moves_the_lead() {
    let mut nodes = Nodes::start();
    answers(nodes.fronts[0], &["SET", "sky", "blue"], "+OK");
    let leader = nodes.leader();
    let to = (leader + 1) % 3;
    let moved = nodes.ask(&["transfer", "--to", &(to + 1).to_string()]);
    assert_eq!(moved, (true, format!("n{} leads\n", to + 1)));
    let (demoted, said) = nodes.ask(&["members", "demote", &(leader + 1).to_string()]);
    assert!(demoted, "{said}");
    assert!(said.contains(&format!("learners=({})", leader + 1)), "{said}");
    nodes.process(leader).kill();
    let (told, said) = nodes.ask(&["status"]);
    assert!(told, "{said}");
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines.len(), 4, "{said}");
    assert!(lines[to + 1].contains(" leader "), "{said}");
    assert!(lines[leader + 1].contains("nobody could serve"), "{said}");
}
