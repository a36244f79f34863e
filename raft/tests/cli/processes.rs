//! Processes, and what is asked of them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use crate::wait::{LONG, eventually};

/// The binary, told these words.
pub(crate) fn raft<W: AsRef<std::ffi::OsStr>>(words: impl IntoIterator<Item = W>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_raft"));
    command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.env_remove("RUST_LOG");
    command
}

/// What the command says, and how it ends.
pub(crate) fn output(mut command: Command) -> (Output, String) {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = command.output().expect("it starts");
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    (output, String::from_utf8_lossy(&said).into_owned())
}

/// So many addresses on loopback that nobody listened at a moment ago, and that the system gives to no
/// connection: a node that was killed finds its own again.
pub(crate) fn free_addresses(count: usize) -> Vec<SocketAddr> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Apart from those of another run of these tests, as a rule.
    let first = 12_000 + (std::process::id() % 100) as u16 * 80;
    let next =
        || SocketAddr::from((Ipv4Addr::LOCALHOST, first + NEXT.fetch_add(1, Ordering::Relaxed)));
    let free = |address: &SocketAddr| TcpListener::bind(address).is_ok();
    std::iter::repeat_with(next).filter(free).take(count).collect()
}

/// A process that ends with the test.
pub(crate) struct Process(pub(crate) Child);

impl Process {
    pub(crate) fn start(mut command: Command) -> Self {
        Self(command.spawn().expect("it starts"))
    }

    /// SIGTERM, or another signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.0.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status().expect("kill starts");
        assert!(sent.success(), "kill -s {name} {id}");
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.0.kill().expect("it runs");
        self.0.wait().expect("it ends");
    }

    /// Waits for its end; what it ended with.
    #[track_caller]
    pub(crate) fn ended(&mut self) -> std::process::ExitStatus {
        eventually("it does not end", || self.0.try_wait().expect("it is a child"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended already is let be.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Nodes, each a process behind a port for Redis clients, in directories that go away.
pub(crate) struct Nodes {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) peers: Vec<SocketAddr>,
    pub(crate) fronts: Vec<SocketAddr>,
    pub(crate) running: Vec<Option<Process>>,
    /// What the node at a place is told besides.
    besides: Box<dyn Fn(usize) -> Vec<String>>,
}

impl Nodes {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// Three, which are all told this besides.
    pub(crate) fn start_with(besides: &'static [&'static str]) -> Self {
        Self::start_each(3, move |_| besides.iter().map(ToString::to_string).collect())
    }

    /// So many, of which each is told what `besides` has for its place.
    pub(crate) fn start_each(
        count: usize,
        besides: impl Fn(usize) -> Vec<String> + 'static,
    ) -> Self {
        let mut peers = free_addresses(2 * count);
        let (fronts, running) = (peers.split_off(count), (0..count).map(|_| None).collect());
        let directory = tempfile::tempdir().expect("a directory");
        let mut nodes = Self { directory, peers, fronts, running, besides: Box::new(besides) };
        (0..count).for_each(|place| nodes.boot(place));
        nodes
    }

    /// What the binary says to a command about these nodes, and whether it is content.
    pub(crate) fn ask(&self, words: &[&str]) -> (bool, String) {
        let named = self.named();
        let whom = ["--cluster", "tests", "--nodes", &named];
        let (output, said) = output(raft([&words[..1], &whom, &words[1..]].concat()));
        (output.status.success(), said)
    }

    /// Where the node at `place` keeps what it has promised.
    pub(crate) fn data(&self, place: usize) -> PathBuf {
        self.directory.path().join((place + 1).to_string())
    }

    /// All nodes, as the command line has them.
    pub(crate) fn named(&self) -> String {
        let named = |(place, address)| format!("{}={address}", place + 1);
        let nodes: Vec<_> = self.peers.iter().enumerate().map(named).collect();
        nodes.join(",")
    }

    /// How the node at `place` is started.
    pub(crate) fn command(&self, place: usize) -> Command {
        let mut command = raft(["run", "--cluster", "tests", "--nodes", &self.named()]);
        command.args([
            "--id",
            &(place + 1).to_string(),
            "--redis",
            &self.fronts[place].to_string(),
        ]);
        command.arg("--data").arg(self.data(place)).args((self.besides)(place));
        command
    }

    pub(crate) fn boot(&mut self, place: usize) {
        self.running[place] = Some(Process::start(self.command(place)));
    }

    pub(crate) fn process(&mut self, place: usize) -> &mut Process {
        self.running[place].as_mut().expect("it runs")
    }

    /// The place of the node that leads, among those that run.
    #[track_caller]
    pub(crate) fn leader(&self) -> usize {
        eventually("no leader", || {
            let leads = |place: &usize| {
                let info = Redis::connect(self.fronts[*place])?.ask(&["INFO"])?;
                info.contains("role:master").then_some(())
            };
            (0..self.running.len())
                .filter(|&place| self.running[place].is_some())
                .find(|place| leads(place).is_some())
        })
    }
}

/// A client that speaks just enough RESP.
pub(crate) struct Redis(BufReader<TcpStream>);

impl Redis {
    pub(crate) fn connect(address: SocketAddr) -> Option<Self> {
        let stream = TcpStream::connect(address).ok()?;
        stream.set_read_timeout(Some(LONG)).ok()?;
        stream.set_nodelay(true).ok()?;
        Some(Self(BufReader::new(stream)))
    }

    /// The reply, as its first line or, of a string, what it holds; none if the connection is lost.
    pub(crate) fn ask(&mut self, words: &[&str]) -> Option<String> {
        self.ask_all(&[words])?.pop()
    }

    /// The same for several commands, sent together.
    pub(crate) fn ask_all(&mut self, commands: &[&[&str]]) -> Option<Vec<String>> {
        let mut request = String::new();
        for words in commands {
            request.push_str(&format!("*{}\r\n", words.len()));
            for word in *words {
                request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
            }
        }
        self.0.get_mut().write_all(request.as_bytes()).ok()?;
        commands.iter().map(|_| self.reply()).collect()
    }

    fn reply(&mut self) -> Option<String> {
        let mut line = String::new();
        self.0.read_line(&mut line).ok().filter(|&length| length > 0)?;
        let line = line.trim_end().to_owned();
        let Some(length) = line.strip_prefix('$') else { return Some(line) };
        let Ok(length) = length.parse::<usize>() else { return Some("nil".to_owned()) };
        let mut bytes = vec![0; length + 2];
        self.0.read_exact(&mut bytes).ok()?;
        bytes.truncate(length);
        String::from_utf8(bytes).ok()
    }
}

/// Asks whoever is at `address` until it answers what is expected.
#[track_caller]
pub(crate) fn answers(address: SocketAddr, words: &[&str], expected: &str) {
    eventually(&format!("{words:?} at {address} is not {expected}"), || {
        let answer = Redis::connect(address)?.ask(words)?;
        (answer == expected).then_some(())
    });
}

/// The processes whose command lines name this directory.
pub(crate) fn in_directory(directory: &Path) -> usize {
    let directory = directory.to_str().expect("a path of text");
    let entries = std::fs::read_dir("/proc").expect("a system that has it");
    let lines =
        entries.flatten().filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.filter(|line| String::from_utf8_lossy(line).contains(directory)).count()
}
