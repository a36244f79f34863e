//! A cluster that a pattern's binary runs for trying out, as the tests of these binaries use it.

#[path = "wait.rs"]
pub(crate) mod wait;

use std::process::{Child, Command, Stdio};

use wait::{eventually, first_port};

/// `dev` of a binary, three nodes, until the test ends.
pub(crate) struct Dev {
    pub(crate) child: Child,
    /// The first node's for clients.
    pub(crate) port: u16,
    program: &'static str,
    _directory: tempfile::TempDir,
}

impl Dev {
    /// On ports from `from` on, see [`first_port`]; once its `status` finds nothing wrong.
    #[track_caller]
    pub(crate) fn start(program: &'static str, from: u16) -> Self {
        let port = first_port(from);
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
