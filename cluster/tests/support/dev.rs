//! A cluster that a pattern's binary runs for trying out, as the tests of these binaries use it.

use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longer than anything takes here.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Looks until there is something to see.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LONG;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// `dev` of a binary, three nodes, until the test ends.
pub(crate) struct Dev {
    pub(crate) child: Child,
    /// The first node's for clients.
    pub(crate) port: u16,
    program: &'static str,
    _directory: tempfile::TempDir,
}

impl Dev {
    /// On ports from `from` on, at which each test has a hundred of its own; once its `status` finds
    /// nothing wrong.
    #[track_caller]
    pub(crate) fn start(program: &'static str, from: u16) -> Self {
        let free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        let all = |&port: &u16| {
            (0..3).all(|place| [0, 10_000, 20_000].iter().all(|stride| free(port + stride + place)))
        };
        let port = (from..from + 100).step_by(3).find(all).expect("some ports are free");
        let directory = tempfile::tempdir().expect("a directory");
        let mut command = Command::new(program);
        command.args(["dev", "--port", &port.to_string(), "--data"]).arg(directory.path());
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("it starts");
        let dev = Self { child, port, program, _directory: directory };
        eventually("it does not serve", || (dev.said("status", &[]).0 == Some(0)).then_some(()));
        dev
    }

    /// The binary with this command, of this cluster.
    pub(crate) fn command(&self, name: &str, words: &[&str]) -> Command {
        let named = |place| format!("{}=127.0.0.1:{}", place + 1, self.port + 10_000 + place);
        let nodes: Vec<_> = (0..3).map(named).collect();
        let mut command = Command::new(self.program);
        command.args([name, "--cluster", "dev", "--nodes", &nodes.join(",")]).args(words);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// What it ends with, and what it says.
    pub(crate) fn said(&self, name: &str, words: &[&str]) -> (Option<i32>, String) {
        let mut command = self.command(name, words);
        let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output();
        let output = output.expect("it starts");
        let said = [&output.stdout[..], &output.stderr[..]].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // Its nodes end with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
