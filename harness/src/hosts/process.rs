//! One process: started, stopped, killed.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A program, and how it is called. Its environment is empty but for what stands here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Launch {
    /// Where it is.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Its environment.
    pub env: Vec<(OsString, OsString)>,
}

/// A running process. Dropping it kills it, and waits until it is gone.
#[derive(Debug)]
pub(super) struct Process(Child);

impl Process {
    /// Starts `launch`, by the programs of `prefix`, each of which becomes the next one. What it says
    /// on either output is added to the file `log`.
    pub(super) fn spawn(prefix: &[String], launch: &Launch, log: &Path) -> io::Result<Self> {
        let mut words: Vec<OsString> = prefix.iter().map(OsString::from).collect();
        words.push(launch.program.clone().into_os_string());
        words.extend(launch.args.iter().cloned());
        let mut words = words.into_iter();
        let first = words.next().ok_or(io::ErrorKind::InvalidInput)?;
        let log = File::options().create(true).append(true).open(log)?;
        let mut command = Command::new(first);
        command.args(words).env_clear().envs(launch.env.iter().cloned());
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(Self(command.spawn()?))
    }

    /// As `SIGSTOP` or `SIGCONT`.
    pub(super) fn signal(&self, signal: Signal) -> io::Result<()> {
        let id = i32::try_from(self.0.id()).map_err(io::Error::other)?;
        // The process is a child that was not waited for, so its number is still its own.
        Ok(kill(Pid::from_raw(id), signal)?)
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

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        let _ = self.0.wait();
    }
}

/// How much of what a process said is shown, in bytes.
const TAIL_MAX: u64 = 2_048;

/// The end of what was said into `log`; nothing if that cannot be read.
pub(super) fn tail(log: &Path) -> String {
    let read = || -> io::Result<String> {
        let mut file = File::open(log)?;
        let len = file.metadata()?.len();
        file.seek(SeekFrom::Start(len.saturating_sub(TAIL_MAX)))?;
        let mut bytes = Vec::new();
        file.take(TAIL_MAX).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_default()
}
