//! One member: a process, its ports and its directory.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use ::cluster::NodeId;
use rustix::process::{Pid, Signal, kill_process};

/// How a cluster of processes is started.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) program: PathBuf,
    /// Kills a program when the thread that started it ends, if it is installed.
    pub(super) setpriv: Option<PathBuf>,
    pub(super) seats: Vec<Seat>,
}

/// Where a member lives.
#[derive(Clone, Debug)]
pub(super) struct Seat {
    pub(super) id: NodeId,
    pub(super) clients: SocketAddr,
    pub(super) peers: SocketAddr,
    pub(super) dir: PathBuf,
}

impl Plan {
    /// A plan for `nodes` below `dir`, on ports that are free now.
    pub(super) fn new(program: &Path, nodes: &[NodeId], dir: &Path) -> io::Result<Self> {
        // Held until all are found, so that none is found twice.
        let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let mut held = Vec::new();
        let mut seats = Vec::new();
        for &id in nodes {
            let (clients, peers) = (free()?, free()?);
            seats.push(Seat {
                id,
                clients: clients.local_addr()?,
                peers: peers.local_addr()?,
                dir: dir.join(id.to_string()),
            });
            held.extend([clients, peers]);
        }
        Ok(Self { program: program.to_owned(), setpriv: super::find("setpriv"), seats })
    }

    fn command(&self, seat: &Seat) -> io::Result<Command> {
        let mut command = match &self.setpriv {
            Some(setpriv) => {
                let mut command = Command::new(setpriv);
                command.args(["--pdeathsig", "KILL", "--"]).arg(&self.program);
                command
            }
            None => Command::new(&self.program),
        };
        let url = |address: &SocketAddr| format!("http://{address}");
        let all: Vec<String> =
            self.seats.iter().map(|seat| format!("{}={}", seat.id, url(&seat.peers))).collect();
        command
            .arg("--name")
            .arg(seat.id.to_string())
            .arg("--data-dir")
            .arg(&seat.dir)
            .args(["--listen-client-urls", &url(&seat.clients)])
            .args(["--advertise-client-urls", &url(&seat.clients)])
            .args(["--listen-peer-urls", &url(&seat.peers)])
            .args(["--initial-advertise-peer-urls", &url(&seat.peers)])
            .args(["--initial-cluster", &all.join(",")])
            .args(["--heartbeat-interval", "50", "--election-timeout", "500"])
            .args(["--pre-vote=true", "--logger", "zap", "--log-level", "error"])
            // It takes settings from its environment, too.
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::options().create(true).append(true).open(self.log_of(seat))?);
        Ok(command)
    }

    /// What the member writes on its standard error.
    pub(super) fn log_of(&self, seat: &Seat) -> PathBuf {
        seat.dir.with_extension("log")
    }

    /// Starts the member that lives at place `index`.
    pub(super) fn spawn(&self, index: usize) -> io::Result<Member> {
        Ok(Member(self.command(&self.seats[index])?.spawn()?))
    }
}

/// A running process. Dropping it kills it, and waits until it is gone.
#[derive(Debug)]
pub(super) struct Member(Child);

impl Member {
    /// As `SIGSTOP` or `SIGCONT`.
    pub(super) fn signal(&self, signal: Signal) -> io::Result<()> {
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or(io::ErrorKind::NotFound)?;
        // The process is a child that was not waited for, so its number is still its own.
        Ok(kill_process(pid, signal)?)
    }

    /// Whether it runs, or stands still.
    pub(super) fn lives(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }

    /// kill -9, without waiting.
    pub(super) fn kill(&mut self) {
        // It may have died by itself.
        let _ = self.0.kill();
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kill();
        let _ = self.0.wait();
    }
}
