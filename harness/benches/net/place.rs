//! Where the servers' directories are.

use std::fmt;
use std::path::PathBuf;

use tempfile::TempDir;

/// A directory on a real disk: the build's own, since the system's temporary ones may be memory.
pub(crate) struct Place {
    parent: PathBuf,
    system: String,
}

impl Place {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let parent = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        std::fs::create_dir_all(&parent)?;
        let system = file_system(&parent.canonicalize()?);
        anyhow::ensure!(system != "tmpfs", "{} is memory, and no disk", parent.display());
        Ok(Self { parent, system })
    }

    /// A new directory, which goes away with what is returned.
    pub(crate) fn fresh(&self, name: &str) -> anyhow::Result<TempDir> {
        Ok(tempfile::Builder::new().prefix(&format!("net-{name}-")).tempdir_in(&self.parent)?)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "disks in {} ({})", self.parent.display(), self.system)
    }
}

/// The kind of file system that holds `path`.
fn file_system(path: &std::path::Path) -> String {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (at, kind) = (fields.next()?, fields.next()?);
        path.starts_with(at).then(|| (at.len(), kind.to_owned()))
    });
    mounts.max().map_or_else(|| "unknown".to_owned(), |(_, kind)| kind)
}
