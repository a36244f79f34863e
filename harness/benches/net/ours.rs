//! The binary `raft`: three nodes, each behind a port for Redis clients.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Context;

use crate::Row;
use crate::clients;
use crate::measured::Measured;
use crate::process::{Process, addresses, wait_for};
use crate::served::{Served, Work};

const NODES: usize = 3;
const SYNC: &str =
    "fdatasync of a journal once a batch, on two of three nodes before it is acknowledged";

pub(crate) fn rows() -> anyhow::Result<Vec<Row>> {
    program()?;
    let long = Row {
        name: "ours, 1 s",
        sync: SYNC,
        works: true,
        fails_over: true,
        start: |directory| start(directory, "1s"),
    };
    let short = Row {
        name: "ours, 100 ms",
        works: false,
        start: |directory| start(directory, "100ms"),
        ..long
    };
    Ok(vec![long, short])
}

/// Where the binary is; it is built first, as this bench is.
fn program() -> anyhow::Result<&'static Path> {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    if BUILT.get().is_none() {
        let _ = BUILT.set(build().context("cannot build the binary of raft")?);
    }
    Ok(BUILT.get().expect("it was set"))
}

fn build() -> anyhow::Result<PathBuf> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let profile = if cfg!(debug_assertions) { "dev" } else { "bench" };
    command.args(["build", "--profile", profile, "--package", "raft", "--bin", "raft"]);
    command.args(["--features", "cli", "--message-format", "json-render-diagnostics"]);
    let output = command.stderr(Stdio::inherit()).output()?;
    anyhow::ensure!(output.status.success(), "cargo: {}", output.status);
    let said = String::from_utf8(output.stdout)?;
    let mut built = said.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(PathBuf::from(message.get("executable")?.as_str()?))
    });
    built.next_back().context("cargo names no executable")
}

/// A cluster of ours.
struct Ours {
    processes: Vec<Process>,
    /// Where each listens to clients.
    doors: [SocketAddr; NODES],
}

fn start(directory: &Path, election_timeout: &str) -> anyhow::Result<Box<dyn Served>> {
    let nodes = addresses::<NODES>()?;
    let doors = addresses::<NODES>()?;
    let list = (1..).zip(nodes).map(|(id, at)| format!("{id}={at}")).collect::<Vec<_>>().join(",");
    let start = |(id, door): (usize, &SocketAddr)| {
        let data = directory.join(id.to_string());
        let (id, door) = (id.to_string(), door.to_string());
        let words = [
            "run",
            "--id",
            &id,
            "--cluster",
            "bench",
            "--nodes",
            &list,
            "--redis",
            &door,
            "--redis-clients-max",
            "4096",
            "--election-timeout",
            election_timeout,
            "--data",
        ];
        let mut args: Vec<OsString> = words.map(OsString::from).to_vec();
        args.push(data.into());
        Process::start(program()?, &args, &directory.join(format!("{id}.log")))
    };
    let processes = (1..).zip(&doors).map(start).collect::<anyhow::Result<_>>()?;
    let ours = Ours { processes, doors };
    ours.leader()?;
    Ok(Box::new(ours))
}

impl Ours {
    /// The place of the leader, once every node names it.
    fn leader(&self) -> anyhow::Result<usize> {
        let named = |door: &SocketAddr| {
            let said = clients::say(*door, b"INFO\r\n", |said| said.contains("role=Leader"))?;
            (0..NODES).find(|place| said.contains(&format!("n{}:role=Leader", place + 1)))
        };
        wait_for("all nodes to name one leader", || {
            let leaders: Option<Vec<usize>> = self.doors.iter().map(named).collect();
            leaders.filter(|all| all.iter().all(|it| it == &all[0])).map(|all| all[0])
        })
    }
}

impl Served for Ours {
    fn drive(&mut self, work: Work, clients: usize, span: Duration) -> anyhow::Result<Measured> {
        let servers = self.processes.iter().map(Process::id).collect();
        clients::drive(self.doors[self.leader()?], servers, work, clients, span)
    }

    fn fail_over(&mut self) -> anyhow::Result<Duration> {
        let leader = self.leader()?;
        let survivors: Vec<SocketAddr> =
            (0..NODES).filter(|&place| place != leader).map(|place| self.doors[place]).collect();
        let killed = &mut self.processes[leader];
        let outage = clients::outage(&survivors, || killed.kill())?;
        killed.restart()?;
        self.leader()?;
        Ok(outage)
    }
}
