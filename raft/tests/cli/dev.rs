//! A cluster in one terminal.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Stdio;

use crate::processes::{Process, answers, eventually, in_directory, output, raft};

/// A port such that those that `dev` needs are free; each test has its own range.
fn first_port(from: u16) -> u16 {
    let free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    let all = |&port: &u16| {
        (0..3).all(|place| [0, 10_000, 20_000].iter().all(|stride| free(port + stride + place)))
    };
    (from..from + 100).step_by(3).find(all).expect("some ports are free")
}

struct Dev {
    process: Process,
    directory: tempfile::TempDir,
    fronts: Vec<SocketAddr>,
}

fn start(from: u16, words: &[&str]) -> Dev {
    let port = first_port(from);
    let directory = tempfile::tempdir().expect("a directory");
    let mut command = raft(["dev", "--port", &port.to_string(), "--data"]);
    command.arg(directory.path()).args(words);
    let process = Process::start(command);
    let fronts = (port..port + 3).map(|port| (Ipv4Addr::LOCALHOST, port).into()).collect();
    let dev = Dev { process, directory, fronts };
    answers(dev.fronts[0], &["SET", "sky", "blue"], "+OK");
    dev.fronts.iter().for_each(|&front| answers(front, &["GET", "sky"], "blue"));
    dev
}

/// It serves, and leaves nobody behind: its nodes end with it, on Ctrl-C and when it is killed.
#[test]
fn it_leaves_no_process_behind() {
    for (signal, from) in [("INT", 11_000), ("TERM", 11_100), ("KILL", 11_200)] {
        let mut dev = start(from, &[]);
        assert_eq!(in_directory(dev.directory.path()), 4, "three nodes, and who started them");
        dev.process.signal(signal);
        let ended = dev.process.ended();
        assert_eq!(ended.success(), signal != "KILL");
        eventually("nodes are left", || (in_directory(dev.directory.path()) == 0).then_some(()));
    }
}

/// A node that is killed is told of, and the others go on; with `--restart` it comes back.
#[test]
fn a_node_that_is_killed_is_told_of_and_comes_back_if_wanted() {
    let dev = start(11_300, &["--restart"]);
    let killed = dev.directory.path().join("n2");
    let victim =
        std::fs::read_dir("/proc").expect("a system that has it").flatten().find(|entry| {
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(killed.to_str().expect("text"))
        });
    let id = victim.expect("it runs").file_name();
    let sent = std::process::Command::new("kill").arg("-9").arg(&id).status();
    assert!(sent.expect("kill starts").success());
    answers(dev.fronts[0], &["SET", "sky", "grey"], "+OK");
    answers(dev.fronts[1], &["GET", "sky"], "grey");
}

/// By its number.
#[test]
fn a_port_in_use_is_named() {
    let port = first_port(11_400);
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, port + 10_001)).expect("it was free");
    let mut command = raft(["dev", "--port", &port.to_string()]);
    command.stdin(Stdio::null());
    let (ended, said) = output(command);
    assert!(!ended.status.success(), "{said}");
    let number = taken.local_addr().expect("it is bound").port().to_string();
    assert!(said.contains(&number) && said.contains("--port"), "{said}");
}
