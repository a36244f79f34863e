//! What only this kernel can do: Linux.

use std::fs::File;
use std::io;
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::statvfs::statvfs;
use nix::unistd::geteuid;

/// Whether this process may make namespaces.
pub(super) fn is_root() -> bool {
    geteuid().is_root()
}

/// A new network namespace.
pub(super) fn new_network() -> io::Result<File> {
    std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET)?;
        File::open("/proc/thread-self/ns/net")
    })
    .join()
    .map_err(|_| io::Error::other("the thread that makes a namespace panicked"))?
}

/// A new network namespace, and a new mount namespace with a file system in memory of at most `bytes`
/// at `dir`.
pub(super) fn new_network_and_mounts(dir: &Path, bytes: u64) -> io::Result<(File, File)> {
    let dir = dir.to_owned();
    std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)?;
        let nothing = None::<&str>;
        // What is mounted from here on is seen nowhere else.
        mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)?;
        let options = format!("size={bytes},mode=0700");
        mount(Some("tmpfs"), &dir, Some("tmpfs"), MsFlags::empty(), Some(options.as_str()))?;
        Ok((File::open("/proc/thread-self/ns/net")?, File::open("/proc/thread-self/ns/mnt")?))
    })
    .join()
    .map_err(|_| io::Error::other("the thread that makes namespaces panicked"))?
}

/// Moves the calling thread into `network`.
pub(super) fn enter_network(network: &File) -> io::Result<()> {
    Ok(setns(network, CloneFlags::CLONE_NEWNET)?)
}

/// Moves the calling thread to where `mounts` are seen.
pub(super) fn enter_mounts(mounts: &File) -> io::Result<()> {
    // Threads that share their working directory cannot see different mounts.
    unshare(CloneFlags::CLONE_FS)?;
    Ok(setns(mounts, CloneFlags::CLONE_NEWNS)?)
}

/// How many bytes are taken in the file system in memory at `dir`.
pub(super) fn used(dir: &Path) -> io::Result<u64> {
    let all = statvfs(dir)?;
    Ok((all.blocks() - all.blocks_free()) * all.fragment_size())
}

/// Lets the file system in memory at `dir` hold `bytes` and no more; at least a page.
///
/// # Errors
/// When it holds more already.
pub(super) fn resize(dir: &Path, bytes: u64) -> io::Result<()> {
    // To this file system, nothing is without bounds.
    let size = format!("size={}", bytes.max(4_096));
    let nothing = None::<&str>;
    Ok(mount(nothing, dir, nothing, MsFlags::MS_REMOUNT, Some(size.as_str()))?)
}
