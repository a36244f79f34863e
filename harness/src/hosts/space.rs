//! Namespaces of this kernel, held by file descriptors: whatever they hold is gone when nobody holds
//! them any more, however the holder ended.

use std::fs::File;
use std::io;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::thread;

use super::kernel;
use super::tool::run;

/// A network of its own, without a name and without links; and, if wanted, a small file system that
/// is seen only from within.
#[derive(Debug)]
pub(super) struct Space {
    net: File,
    small: Option<SmallDisk>,
}

/// A file system in memory, whose size can be changed.
#[derive(Debug)]
struct SmallDisk {
    mounts: File,
    dir: PathBuf,
}

/// How much a small disk holds while it is not full; taken only when written.
const ROOM_BYTES: u64 = 512 << 20;
/// How often a disk is found to have grown while it was being filled, before that is an error.
const GROWTHS_MAX: usize = 1_000;

impl Space {
    /// A network of its own.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { net: kernel::new_network()?, small: None })
    }

    /// A network of its own, and a small disk that whoever is started in it finds at `dir`.
    pub(super) fn with_small_disk(dir: &Path) -> io::Result<Self> {
        let (net, mounts) = kernel::new_network_and_mounts(dir, ROOM_BYTES)?;
        Ok(Self { net, small: Some(SmallDisk { mounts, dir: dir.to_owned() }) })
    }

    /// Moves the calling thread into this network, for good.
    pub(super) fn enter(&self) -> io::Result<()> {
        kernel::enter_network(&self.net)
    }

    /// Does `f` in this network, on a thread of its own.
    pub(super) fn inside<T: Send>(&self, f: impl FnOnce() -> T + Send) -> io::Result<T> {
        aside(|| self.enter().map(|()| f()))
    }

    /// Does `f` where the small disk is seen, if there is one.
    pub(super) fn with_disk<T: Send>(&self, f: impl FnOnce() -> T + Send) -> io::Result<T> {
        match &self.small {
            Some(disk) => aside(|| kernel::enter_mounts(&disk.mounts).map(|()| f())),
            None => Ok(f()),
        }
    }

    /// What starts a program in here, to stand before its name.
    pub(super) fn prefix(&self, nsenter: &Path) -> Vec<String> {
        let mut prefix = vec![nsenter.display().to_string(), format!("--net={}", self.path())];
        prefix.extend(self.small.iter().map(|disk| format!("--mount={}", path(&disk.mounts))));
        prefix.push("--".to_owned());
        prefix
    }

    /// Where other processes of this machine find its network, as long as this one lives.
    pub(super) fn path(&self) -> String {
        path(&self.net)
    }

    /// Runs `ip` on each of `lines` in this network.
    pub(super) fn ip(&self, lines: &[String]) -> io::Result<()> {
        self.inside(|| run("ip", &["-batch", "-"], &lines.join("\n")))?.map(drop)
    }

    /// Whether it has a disk that can be filled.
    pub(super) fn has_small_disk(&self) -> bool {
        self.small.is_some()
    }

    /// From now on nothing can be added to the small disk, or it has room again.
    pub(super) fn fill(&self, full: bool) -> io::Result<()> {
        let disk = self.small.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        self.with_disk(|| {
            if !full {
                return kernel::resize(&disk.dir, ROOM_BYTES);
            }
            // It may grow between the look and the change, which the kernel then refuses.
            for _ in 1..GROWTHS_MAX {
                if kernel::resize(&disk.dir, kernel::used(&disk.dir)?).is_ok() {
                    return Ok(());
                }
            }
            kernel::resize(&disk.dir, kernel::used(&disk.dir)?)
        })?
    }
}

/// Does `f` on a thread that ends with it: threads do not come back out of namespaces.
fn aside<T: Send>(f: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    thread::scope(|scope| scope.spawn(f).join()).unwrap_or_else(|panic| resume_unwind(panic))
}

fn path(held: &File) -> String {
    use std::os::fd::AsRawFd;
    format!("/proc/{}/fd/{}", std::process::id(), held.as_raw_fd())
}
