//! What may go wrong, by verb. Each says what it leaves behind.

use std::io;

/// An option that makes no sense. Nothing was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("option {field} is {held}, expected {expected}")]
pub struct OptionsError {
    /// Which.
    pub field: &'static str,
    /// What it held.
    pub held: u64,
    /// What was expected.
    pub expected: &'static str,
}

/// Why a log did not open. Whatever the visitor was shown counts for nothing then.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Nothing was done.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// Somebody else has the log open. Nothing was done.
    #[error("{file} is locked, expected nobody else to have this log open")]
    Locked {
        /// The lock.
        file: String,
    },
    /// There is no log, and none was to be begun. Nothing was done.
    #[error("there is no log here, expected one; a disk that was wiped looks like this")]
    Missing,
    /// A file that is not ours: probably not the right directory. Nothing was done.
    #[error("{file} is not a file of a log, expected nothing else in its directory")]
    Foreign {
        /// Its name.
        file: String,
    },
    /// Another release wrote this. Nothing was done.
    #[error("{file} has format version {found}, expected {expected}")]
    Version {
        /// Which file.
        file: String,
        /// Its version.
        found: u32,
        /// The one that this release reads and writes.
        expected: u32,
    },
    /// Records that were durable are damaged or gone. Nothing was changed.
    #[error("{0}")]
    Corrupt(Corrupt),
    /// The system failed. The log is as it was, or recovered in part; opening again is safe.
    #[error("cannot {action} {file}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        file: String,
        /// The system's word.
        source: io::Error,
    },
}

/// Where what was durable is damaged.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{file} is corrupt at byte {offset}: {problem}")]
pub struct Corrupt {
    /// Which file.
    pub file: String,
    /// From which byte on.
    pub offset: u64,
    /// What is wrong, and what was expected.
    pub problem: String,
}

/// Why a record was not taken. The log is as it was before.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AppendError {
    /// It is longer than [`record_bytes_max`](crate::Options::record_bytes_max).
    #[error("a record of {len} bytes, expected at most {max}; it was not taken")]
    TooLong {
        /// Its length, in bytes.
        len: usize,
        /// The longest allowed.
        max: usize,
    },
    /// More waits for a sync than [`batch_bytes_max`](crate::Options::batch_bytes_max) allows.
    #[error("{max} bytes may wait for a sync; sync first, it was not taken")]
    BatchFull {
        /// How many bytes may wait.
        max: usize,
    },
    /// An earlier write or sync failed.
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
}

/// Why records are not known to be durable, or a log was not compacted.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The system failed. What was to be made durable may be so or not; what was durable is. The log
    /// takes nothing more: open it anew to learn what it holds.
    #[error("cannot {action} {file}: {source}; the log takes nothing more until it is opened anew")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        file: String,
        /// The system's word.
        source: io::Error,
    },
    /// An earlier write or sync failed. Nothing was done.
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
}

/// An earlier write or sync failed, and nobody can tell what is on the disk: the page cache may take
/// for clean what was never written (Rebello et al., "Can Applications Recover from fsync
/// Failures?", USENIX ATC 2020). So nothing is tried again; the log is to be opened anew.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("nothing was done, because earlier the log could not {because}; open it anew")]
pub struct Poisoned {
    /// What failed.
    pub because: String,
}

/// A failed operation on a file, before it is known what it means.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) action: &'static str,
    pub(crate) file: String,
    pub(crate) source: io::Error,
}

impl From<Failed> for OpenError {
    fn from(Failed { action, file, source }: Failed) -> Self {
        Self::Io { action, file, source }
    }
}

impl From<Failed> for SyncError {
    fn from(Failed { action, file, source }: Failed) -> Self {
        Self::Io { action, file, source }
    }
}

/// Says what was tried, on which file.
pub(crate) trait Naming<T> {
    fn or_failed(self, action: &'static str, file: &str) -> Result<T, Failed>;
}

impl<T> Naming<T> for io::Result<T> {
    fn or_failed(self, action: &'static str, file: &str) -> Result<T, Failed> {
        self.map_err(|source| Failed { action, file: file.to_owned(), source })
    }
}
