//! The directory of one cluster.

use std::io;
use std::path::Path;
use std::sync::Once;

use tempfile::TempDir;

/// The names of such directories: this, the number of the process that they belong to, and more.
const PREFIX: &str = "hosts-";

/// A directory that is removed with this. Those of processes that ended without removing theirs are
/// removed when the first one is made.
pub(super) struct ClusterDir(TempDir);

impl ClusterDir {
    pub(super) fn new() -> io::Result<Self> {
        static SWEPT: Once = Once::new();
        let parent = std::env::temp_dir();
        SWEPT.call_once(|| sweep(&parent));
        let prefix = format!("{PREFIX}{}-", std::process::id());
        Ok(Self(tempfile::Builder::new().prefix(&prefix).tempdir_in(parent)?))
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }
}

/// Removes the directories in `parent` whose owners are gone.
fn sweep(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else { return };
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name();
        if owner(&name.to_string_lossy()).is_some_and(|owner| !lives(owner)) {
            // Somebody else may be at it, too.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Whose directory that is, if it is one of ours.
fn owner(name: &str) -> Option<i32> {
    name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok()
}

fn lives(process: i32) -> bool {
    use nix::errno::Errno;
    use nix::sys::signal::kill;
    use nix::unistd::Pid;
    // Numbers below one mean others than one process.
    process < 1 || kill(Pid::from_raw(process), None) != Err(Errno::ESRCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_directories_of_the_dead_are_swept() {
        let parent = tempfile::tempdir().expect("a directory");
        let mut child = std::process::Command::new("true").spawn().expect("it starts");
        let dead = child.id();
        child.wait().expect("it ends");
        let make = |name: &str| std::fs::create_dir(parent.path().join(name)).expect("it is new");
        let of = |process: u32| format!("{PREFIX}{process}-abc");
        let keep = [of(std::process::id()), format!("{PREFIX}x"), format!("x{PREFIX}{dead}-abc")];
        keep.iter().map(String::as_str).for_each(make);
        make(&of(dead));
        sweep(parent.path());
        let left = std::fs::read_dir(parent.path()).expect("it is there").count();
        assert_eq!(left, keep.len());
        assert!(!parent.path().join(of(dead)).exists());
    }
}
