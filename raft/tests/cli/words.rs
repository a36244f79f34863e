//! What is typed wrong.

use crate::processes::{output, raft};

#[track_caller]
fn check(words: &[&str], expected: &[&str]) {
    let (ended, said) = output(raft(words));
    assert!(!ended.status.success(), "{said}");
    for expected in expected {
        assert!(said.contains(expected), "{expected:?} in {said}");
    }
}

/// Each error names the argument, what it held and what was expected.
#[test]
fn wrong_arguments_are_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("1");
    let data = data.to_str().expect("text");
    let nodes = "1=127.0.0.1:1";
    let run = ["run", "--id", "1", "--cluster", "tests", "--nodes", nodes, "--data", data];
    check(&["run"], &["--id", "--cluster", "--nodes", "--data"]);
    check(&["run", "--id", "one"], &["'one'", "--id", "a node's number"]);
    check(&["run", "--nodes", "1:70"], &["'1:70'", "--nodes", "ID=HOST:PORT"]);
    check(&["run", "--cluster", "Tests"], &["'Tests'", "--cluster", "a-z, 0-9"]);
    check(
        &[&run[..], &["--election-timeout", "fast"]].concat(),
        &["'fast'", "--election-timeout", "150ms"],
    );
    check(&[&run[..], &["--redis", "0.0.0.0:1"]].concat(), &["redis", "0.0.0.0:1", "--insecurely"]);
    check(&[&run[..], &["--listen", "0.0.0.0:0"]].concat(), &["listen", "0.0.0.0:0", "TLS"]);
    check(&[&run[..], &["--tls-cert", "x"]].concat(), &["--tls-key", "--tls-ca"]);
    check(&[&run[..], &["--voters", "2"]].concat(), &["voters"]);
    let other = ["run", "--id", "2", "--cluster", "tests", "--nodes", nodes, "--data", data];
    check(&other, &["nodes", "n2"]);
    check(&["dev", "--nodes", "0"], &["'0'", "--nodes", "1..=9"]);
    check(&["dev", "--log", "raft=loud"], &["'raft=loud'", "--log"]);
}
