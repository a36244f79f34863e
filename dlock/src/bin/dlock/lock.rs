//! A command that runs while a lock is held.

use std::ffi::OsString;
use std::hash::{BuildHasher, RandomState};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::Context;
use cluster::cli::{Whom, span};
use dlock::{Error, Lease, LockError};

use crate::ask::locks;

/// What `dlock` ends with when it did not do what it was told: a temporary failure (`sysexits.h`).
pub(crate) const FAILED: u8 = 75;
/// What it ends with when the lock was lost, and the command was ended for that.
const LOST: u8 = 76;
/// How often to look at the command.
const GLANCE: Duration = Duration::from_millis(20);

/// Run a command while a lock is held, and end as it does.
///
/// The command finds the lock's name in DLOCK_RESOURCE, and in DLOCK_TOKEN the fencing token, which is
/// greater than that of every holder before: what the lock protects must refuse whoever shows a lower one
/// than it has seen. Ends with 75 if the lock was not got, and with 76 if it was lost and the command was
/// ended for that.
#[derive(clap::Args)]
pub(crate) struct Lock {
    #[command(flatten)]
    whom: Whom,
    /// How long the lock outlives this process; it is renewed three times as often
    #[arg(long, value_name = "SPAN", default_value = "10s", value_parser = span)]
    ttl: Duration,
    /// How long to wait in line for it
    #[arg(long, value_name = "SPAN", default_value = "30s", value_parser = span)]
    wait: Duration,
    /// Who holds it, as `locks` shows; one that nobody else has is made up unless it is given
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    /// End the command (SIGKILL) when the lock is lost, instead of only telling
    #[arg(long)]
    end_when_lost: bool,
    /// What to lock
    resource: String,
    /// The command, and its arguments
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// A lock that is kept.
struct Kept {
    locks: dlock::Locks,
    lease: Lease,
    ttl: Duration,
    renew_at: Instant,
}

impl Lock {
    pub(crate) fn run(&self) -> anyhow::Result<ExitCode> {
        let chance = RandomState::new().hash_one(0);
        let made_up = || format!("{}-{chance:016x}", std::process::id());
        let owner = self.owner.clone().unwrap_or_else(made_up);
        let locks = locks(&self.whom, &owner)?;
        let lease = locks
            .acquire(self.resource.as_str(), Some(self.ttl), self.wait)
            .wait()
            .with_context(|| format!("cannot lock {}", self.resource))?;
        // So that one renewal that fails leaves time for another.
        let locks = locks.patience(self.ttl / 3);
        let mut kept =
            Kept { locks, lease, ttl: self.ttl, renew_at: Instant::now() + self.ttl / 3 };
        let ended = self.run_while(&mut kept);
        // If it cannot be given back, it runs out.
        let given_back = kept.locks.release(&kept.lease).wait();
        let ended = ended?;
        if let Err(error) = given_back {
            eprintln!("dlock: {} is not given back: {error}", self.resource);
        }
        Ok(ended)
    }

    fn run_while(&self, kept: &mut Kept) -> anyhow::Result<ExitCode> {
        let (program, arguments) = self.command.split_first().expect("clap asks for one");
        let mut command = Command::new(program);
        command.args(arguments);
        command.env("DLOCK_RESOURCE", &self.resource);
        command.env("DLOCK_TOKEN", kept.lease.token.get().to_string());
        let mut child = command.spawn().with_context(|| program.display().to_string())?;
        let mut lost = false;
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(code_of(status));
            }
            if !lost && let Err(error) = kept.keep() {
                lost = true;
                eprintln!("dlock: {} is lost: {error}", self.resource);
                if self.end_when_lost {
                    return end(&mut child);
                }
            }
            std::thread::sleep(GLANCE);
        }
    }
}

impl Kept {
    /// Renews the lease when it is time.
    ///
    /// # Errors
    /// When it has ended, for certain or as far as one may rely on it.
    fn keep(&mut self) -> Result<(), LockError> {
        if Instant::now() < self.renew_at {
            return Ok(());
        }
        match self.locks.renew(&self.lease, Some(self.ttl)).wait() {
            Ok(lease) => {
                self.lease = lease;
                self.renew_at = Instant::now() + self.ttl / 3;
            }
            Err(error @ LockError::Refused(Error::NotHolder | Error::StaleToken { .. })) => {
                return Err(error);
            }
            // It is as valid as before: again, while it is.
            Err(error) if !self.lease.is_valid(Instant::now()) => return Err(error),
            Err(_) => {}
        }
        Ok(())
    }
}

fn end(child: &mut Child) -> anyhow::Result<ExitCode> {
    child.kill()?;
    child.wait()?;
    Ok(ExitCode::from(LOST))
}

/// As a shell has it: 128 and the signal's number for a command that was killed.
fn code_of(status: ExitStatus) -> ExitCode {
    let signal = || status.signal().map(|signal| 128 + signal);
    let code = status.code().or_else(signal).and_then(|code| u8::try_from(code).ok());
    ExitCode::from(code.unwrap_or(FAILED))
}
