//! What is left behind: nothing.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use harness::hosts::Kind;

use crate::probe::DIR;
use crate::{kinds, start, until};

/// In the environment of an owner: on what its cluster is to stand.
const OWNS: &str = "HOSTS_OWNS";

/// The processes that live in directories below `dir`.
fn inhabitants(dir: &Path) -> Vec<PathBuf> {
    let lives = format!("{DIR}={}/", dir.display());
    let processes = fs::read_dir("/proc").expect("there is a /proc").filter_map(Result::ok);
    let lives_there = |process: &PathBuf| {
        let environment = fs::read(process.join("environ")).unwrap_or_default();
        environment.split(|&byte| byte == 0).any(|line| line.starts_with(lives.as_bytes()))
    };
    processes.map(|entry| entry.path()).filter(lives_there).collect()
}

#[test]
fn a_cluster_that_is_dropped_leaves_nothing() {
    for kind in kinds() {
        let cluster = start(kind, 2, true);
        let dir = cluster.seats()[0].dir.parent().expect("it lies in one").to_owned();
        assert_eq!(inhabitants(&dir).len(), 2, "{kind}");
        assert!(dir.exists());
        drop(cluster);
        assert_eq!(inhabitants(&dir), Vec::<PathBuf>::new(), "{kind}");
        assert!(!dir.exists(), "{kind}");
    }
}

#[test]
fn namespaces_have_no_names_and_mounts_are_not_seen() {
    if crate::namespaces().is_none() {
        return;
    }
    let seen = || {
        let names = fs::read_dir("/run/netns").map_or(0, Iterator::count);
        let links = fs::read_dir("/sys/class/net").expect("there is one").count();
        (names, links)
    };
    let before = seen();
    let cluster = start(Kind::Namespaces, 2, true);
    assert_eq!(seen(), before);
    let mounts = fs::read_to_string("/proc/self/mounts").expect("there are mounts");
    assert!(!mounts.contains(&cluster.seats()[0].dir.display().to_string()), "{mounts}");
}

/// The other life of this binary: starts a cluster, says where, and waits to be killed. As a test it
/// does nothing.
#[test]
fn own() {
    let Some(kind) = std::env::var_os(OWNS) else { return };
    let kind = if kind == "namespaces" { Kind::Namespaces } else { Kind::Loopback };
    let cluster = start(kind, 2, true);
    println!("\nat {}", cluster.seats()[0].dir.parent().expect("it lies in one").display());
    loop {
        std::thread::park();
    }
}

/// An owner, and where its cluster lives.
#[track_caller]
fn owner(kind: Kind) -> (Child, PathBuf) {
    let mut child = Command::new(std::env::current_exe().expect("a test runs from a file"))
        .args(["--exact", "left::own", "--nocapture"])
        .env(OWNS, if kind == Kind::Namespaces { "namespaces" } else { "loopback" })
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let at = |line: std::io::Result<String>| line.ok()?.strip_prefix("at ").map(PathBuf::from);
    let dir = lines.into_iter().find_map(at).expect("it says where");
    (child, dir)
}

#[track_caller]
fn kill(mut owner: Child) {
    owner.kill().expect("it lives");
    owner.wait().expect("it is a child");
}

/// kill -9 of the owner: the nodes die with it, and the next owner removes what they wrote.
#[test]
fn an_owner_that_is_killed_leaves_nothing_that_stays() {
    for kind in kinds() {
        let (first, dir) = owner(kind);
        assert_eq!(inhabitants(&dir).len(), 2, "{kind}");
        kill(first);
        until("its nodes die", || inhabitants(&dir).is_empty().then_some(()));
        let (second, other) = owner(kind);
        assert!(!dir.exists(), "{kind}: the second owner sweeps");
        kill(second);
        until("its nodes die", || inhabitants(&other).is_empty().then_some(()));
        fs::remove_dir_all(&other).expect("nobody else removes it");
    }
}
