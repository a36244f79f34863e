//! A cluster in one terminal.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{ChildStdout, Stdio};
use std::sync::{Arc, Mutex};

use crate::processes::{Process, answers, in_directory, output, raft};
use crate::wait::{eventually, first_port};

struct Dev {
    process: Process,
    directory: tempfile::TempDir,
    fronts: Vec<SocketAddr>,
    /// What it has said so far.
    said: Arc<Mutex<String>>,
}

fn start(from: u16, words: &[&str]) -> Dev {
    let port = first_port(from);
    let directory = tempfile::tempdir().expect("a directory");
    let mut command = raft(["dev", "--port", &port.to_string(), "--data"]);
    command.arg(directory.path()).args(words).stdout(Stdio::piped());
    let mut process = Process::start(command);
    let said = listen(process.0.stdout.take().expect("it is piped"));
    let fronts = (port..port + 3).map(|port| (Ipv4Addr::LOCALHOST, port).into()).collect();
    let dev = Dev { process, directory, fronts, said };
    answers(dev.fronts[0], &["SET", "sky", "blue"], "+OK");
    dev.fronts.iter().for_each(|&front| answers(front, &["GET", "sky"], "blue"));
    dev
}

/// Collects what is said, line by line, until nothing is any more.
fn listen(out: ChildStdout) -> Arc<Mutex<String>> {
    let said = Arc::new(Mutex::new(String::new()));
    let heard = Arc::clone(&said);
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            heard.lock().expect("nobody panics").push_str(&(line + "\n"));
        }
    });
    said
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
    eventually("nobody tells of it", || {
        let said = dev.said.lock().expect("nobody panics");
        said.contains("n2 │ died, signal: 9 (SIGKILL); starting it again").then_some(())
    });
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
