//! Who takes part: what an operator wishes, and what is left to do when a majority is lost.

use crate::processes::{Nodes, answers, output, raft};

/// `wish` is granted, and this is who takes part then.
#[track_caller]
fn granted(nodes: &Nodes, wish: &[&str], members: &str) {
    let (granted, said) = nodes.ask(&[&["members"], wish].concat());
    assert_eq!((granted, without_disks(&said)), (true, format!("{members}\n")), "{wish:?}");
}

/// Which disk a node has, `1:d5a6`, is different each time.
fn without_disks(said: &str) -> String {
    let mut parts = said.split(":d");
    let first = parts.next().unwrap_or_default().to_owned();
    let rest = parts.map(|part| part.trim_start_matches(|it: char| it.is_ascii_hexdigit()));
    first + &rest.collect::<String>()
}

#[track_caller]
fn refused(nodes: &Nodes, wish: &[&str], why: &str) {
    let (granted, said) = nodes.ask(&[&["members"], wish].concat());
    assert!(!granted && said.contains(why), "{wish:?}: {said}");
}

/// Every wish, one after the other, on a cluster that serves all the while.
#[test]
fn every_wish_is_granted_while_the_cluster_serves() {
    let mut nodes = Nodes::start_each(4, |_| vec!["--voters".into(), "1,2,3".into()]);
    answers(nodes.fronts[0], &["SET", "sky", "blue"], "+OK");
    refused(&nodes, &["promote", "4"], "no such member");
    granted(&nodes, &["add-learner", "4"], "voters=(1 2 3) learners=(4)");
    answers(nodes.fronts[3], &["GET", "sky"], "blue");
    granted(&nodes, &["promote", "4"], "voters=(1 2 3 4)");
    granted(&nodes, &["demote", "4"], "voters=(1 2 3) learners=(4)");
    granted(&nodes, &["remove", "4"], "voters=(1 2 3)");
    granted(&nodes, &["replace", "3", "4"], "voters=(1 2 4)");
    answers(nodes.fronts[1], &["SET", "sky", "grey"], "+OK");
    granted(&nodes, &["voters", "1,2,3"], "voters=(1 2 3)");
    granted(&nodes, &["add", "4"], "voters=(1 2 3 4)");
    // Its disk is lost: it has no vote until somebody says that it may have one.
    nodes.process(1).kill();
    std::fs::remove_dir_all(nodes.data(1)).expect("it was there");
    nodes.boot(1);
    granted(&nodes, &["renew", "2"], "voters=(1 2 3 4)");
    answers(nodes.fronts[1], &["GET", "sky"], "grey");
    // Its vote counts: with one more gone, three of four are needed.
    nodes.process(2).kill();
    nodes.running[2] = None;
    answers(nodes.fronts[1], &["SET", "sky", "red"], "+OK");
}

/// Two of three are gone for good. The third is not touched while it runs, tells what it holds, and goes on
/// by itself when it is told to; then others join it.
#[test]
fn a_node_goes_on_when_the_others_are_lost_for_good() {
    let mut nodes = Nodes::start();
    answers(nodes.fronts[0], &["SET", "sky", "blue"], "+OK");
    // What it holds is known, whoever led.
    answers(nodes.fronts[0], &["GET", "sky"], "blue");
    let (led, said) = nodes.ask(&["transfer", "--to", "1"]);
    assert!(led || nodes.leader() == 0, "{said}");
    for place in [1, 2] {
        nodes.process(place).kill();
        nodes.running[place] = None;
        std::fs::remove_dir_all(nodes.data(place)).expect("it was there");
    }
    let data = nodes.data(0);
    let recover = |words: &[&str]| {
        let mut command = raft(["recover", "--id", "1", "--nodes", "1,2,3", "--data"]);
        command.arg(&data).args(words);
        let (output, said) = output(command);
        (output.status.success(), without_disks(&said))
    };
    let (done, said) = recover(&["--go-on-with", "1"]);
    assert!(!done && said.contains("locked, expected nobody else"), "{said}");
    nodes.running[0].take().expect("it runs").kill();
    let (done, said) = recover(&[]);
    assert!(done && said.contains("n1 knows term"), "{said}");
    assert!(said.contains("it is to go on with voters=(1 2 3)"), "{said}");
    assert!(!said.contains("from now on"), "it was only looked at: {said}");
    let (done, said) = recover(&["--go-on-with", "2"]);
    assert!(!done && said.contains("n1 is not among those to go on with"), "{said}");
    let (done, said) = recover(&["--go-on-with", "1"]);
    assert!(done && said.ends_with("from now on with voters=(1)\n"), "{said}");
    nodes.boot(0);
    answers(nodes.fronts[0], &["GET", "sky"], "blue");
    answers(nodes.fronts[0], &["SET", "sky", "grey"], "+OK");
    nodes.boot(1);
    granted(&nodes, &["add", "2"], "voters=(1 2)");
    answers(nodes.fronts[1], &["GET", "sky"], "grey");
}
