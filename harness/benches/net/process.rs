//! Processes, and what the system says of them.

use std::ffi::OsString;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

/// How long servers may take to start, and to serve again.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A process of a server. Dropped, it is killed.
pub(crate) struct Process {
    child: Child,
    program: PathBuf,
    args: Vec<OsString>,
    log: PathBuf,
}

impl Process {
    /// Starts it; what it says goes to the file `log`.
    pub(crate) fn start(program: &Path, args: &[OsString], log: &Path) -> anyhow::Result<Self> {
        let said = File::options().create(true).append(true).open(log)?;
        let mut command = Command::new(program);
        command.args(args).env_clear();
        command.stdin(Stdio::null()).stdout(said.try_clone()?).stderr(said);
        let child = command.spawn().with_context(|| program.display().to_string())?;
        let (program, args) = (program.to_owned(), args.to_owned());
        Ok(Self { child, program, args, log: log.to_owned() })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Starts it again, as it was started.
    pub(crate) fn restart(&mut self) -> anyhow::Result<()> {
        *self = Self::start(&self.program.clone(), &self.args.clone(), &self.log.clone())?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have died by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until `ready` finds what it looks for.
pub(crate) fn wait_for<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> anyhow::Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = ready() {
            return Ok(found);
        }
        anyhow::ensure!(Instant::now() < deadline, "waited {PATIENCE:?} for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Addresses on loopback where nobody listens.
pub(crate) fn addresses<const N: usize>() -> anyhow::Result<[SocketAddr; N]> {
    let doors: Vec<TcpListener> = (0..N)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .collect::<std::io::Result<_>>()?;
    let free: Vec<SocketAddr> =
        doors.iter().map(TcpListener::local_addr).collect::<std::io::Result<_>>()?;
    Ok(free.try_into().expect("as many as asked for"))
}

/// The processor time that this process has used.
pub(crate) fn cpu_here() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let nanos = time.tv_sec * 1_000_000_000 + time.tv_nsec;
    Duration::from_nanos(u64::try_from(nanos).expect("it starts at zero"))
}

/// The processor time that these processes have used together, to some hundredths of a second.
pub(crate) fn cpu_of(processes: &[u32]) -> Duration {
    /// proc(5): in hundredths of a second, on every system of today.
    const TICK: Duration = Duration::from_millis(10);
    let ticks = |id: &u32| -> Option<u32> {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name may hold anything, but ends with the last parenthesis; the third field follows.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        Some(fields.get(11)?.parse::<u32>().ok()? + fields.get(12)?.parse::<u32>().ok()?)
    };
    processes.iter().filter_map(ticks).map(|ticks| TICK * ticks).sum()
}

/// How many bytes that process holds in memory; 0 if it is gone.
pub(crate) fn resident(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// Lets this process, and those that it starts, open as many files as it may.
pub(crate) fn raise_limits() -> anyhow::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    Ok(())
}

/// How busy the machine was in the last minutes.
pub(crate) fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}
