//! The store that comes with this crate.

use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use postcard::ser_flavors::Flavor;
use serde::Serialize;
use serde::de::DeserializeOwned;
use wal::{AppendError, Files, Options, Os, Replay, Sequence, Wal};

use crate::{NodeId, PersistCount};

use super::{OpenError, Opened, Store, StoreError};

/// The first byte of every record; the rest is in [postcard's format](https://postcard.jamesmunns.com).
const VERSION: u8 = 1;
/// The longest record, in bytes, and so the longest that one batch of a protocol may be written as.
const RECORD_MAX: usize = 256 << 20;

/// A store in a directory of its own: a write-ahead log, by the crate `wal`.
///
/// A [`sync`](Store::sync) is one write and one `fdatasync`. Old records go in whole segments, after
/// the sync that follows [`forget`](Store::forget). Damage to what is proven to have been durable is
/// refused at opening, by file and byte; what is left of a write that was never finished is cut off.
/// The crate `wal` says what proves it, and documents the files.
pub struct Journal<R, F: Files = Os> {
    wal: Wal<F>,
    /// The last record that was there at the opening: a node counts from there.
    base: Sequence,
    /// Records older than this one may go.
    needed: Option<Sequence>,
    /// The first failure.
    failure: Option<String>,
    records: PhantomData<fn(R) -> R>,
}

/// Opens for each node a [`Journal`] in a directory of its own in `path`, named after the node
/// (`n1`): what [`Threads::start_on`](crate::threads::Threads::start_on) asks for.
pub fn journals_in<R: Serialize + DeserializeOwned>(
    path: impl Into<PathBuf>,
) -> impl Fn(NodeId) -> Opened<Journal<R>, R> + Send + Sync + 'static {
    let path = path.into();
    move |node| Journal::open(path.join(node.to_string()))
}

impl<R: Serialize + DeserializeOwned> Journal<R> {
    /// Opens the journal in the directory `path`, or begins one; missing directories are made.
    ///
    /// # Errors
    /// [`OpenError::Corrupt`] names the file and the byte; [`OpenError::Failed`] also when the
    /// journal is open already, here or in another process.
    pub fn open(path: impl AsRef<Path>) -> Opened<Self, R> {
        Self::open_at(path.as_ref(), Self::options())
    }

    /// Like [`Journal::open`], where there must be a journal already.
    ///
    /// # Errors
    /// As [`Journal::open`]; [`OpenError::Failed`] also if there is none. Nothing is made then.
    pub fn open_existing(path: impl AsRef<Path>) -> Opened<Self, R> {
        let path = path.as_ref();
        if !path.is_dir() {
            let because = format!("{} is no directory, expected a journal's", path.display());
            return Err(OpenError::Failed { because });
        }
        Self::open_at(path, Self::options().create(false))
    }

    fn open_at(path: &Path, options: Options) -> Opened<Self, R> {
        let failed = |source| OpenError::Failed {
            because: format!("cannot make {}: {source}", path.display()),
        };
        let files = Os::open(path).map_err(failed)?;
        Self::open_in(files, options).map_err(|error| match error {
            OpenError::Corrupt { place, problem } => {
                OpenError::Corrupt { place: path.join(place).display().to_string(), problem }
            }
            OpenError::Failed { because } => {
                OpenError::Failed { because: format!("{}: {because}", path.display()) }
            }
        })
    }

    /// How a journal is kept by default: as a log is, but for longer records.
    pub fn options() -> Options {
        Options::default().record_bytes_max(RECORD_MAX).batch_bytes_max(2 * RECORD_MAX)
    }
}

impl<R: Serialize + DeserializeOwned, F: Files> Journal<R, F> {
    /// Like [`Journal::open`], in any directory, kept in any way.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn open_in(files: F, options: Options) -> Opened<Self, R> {
        let mut records = Vec::new();
        let mut unreadable = None;
        let visit = |replay: Replay<'_>| match replay {
            Replay::Record { sequence, bytes } if unreadable.is_none() => match decode(bytes) {
                Ok(record) => records.push(record),
                Err(problem) => unreadable = Some((sequence, problem)),
            },
            Replay::Record { .. } | Replay::Head(_) => {}
        };
        let (wal, recovered) = Wal::open_in(files, options, visit).map_err(refusal)?;
        if let Some((sequence, problem)) = unreadable {
            return Err(OpenError::Corrupt { place: format!("record {sequence}"), problem });
        }
        if let Some(gap) = recovered.gaps.first() {
            return Err(OpenError::Corrupt {
                place: format!("records {} to {}", gap.start, gap.end),
                problem: "they were given up as corrupt, expected all records".to_owned(),
            });
        }
        let base = wal.last();
        let journal = Self { wal, base, needed: None, failure: None, records: PhantomData };
        Ok((journal, records))
    }

    fn sound(&self) -> Result<(), StoreError> {
        match &self.failure {
            Some(because) => Err(StoreError::Poisoned { because: because.clone() }),
            None => Ok(()),
        }
    }

    fn failed(&mut self, error: impl ToString) -> StoreError {
        let because = error.to_string();
        self.failure = Some(because.clone());
        StoreError::Failed { because }
    }

    fn try_append(&mut self, record: &R) -> Result<(), AppendError> {
        let mut encoded = Ok(());
        self.wal.append_with(|bytes| encoded = encode(record, bytes))?;
        if let Err(error) = encoded {
            // What is in the log's buffer now is no record, and never leaves it.
            self.failure = Some(error.to_string());
        }
        Ok(())
    }

    fn sync_and_forget(&mut self) -> Result<(), wal::SyncError> {
        self.wal.sync()?;
        if let Some(needed) = self.needed.take() {
            self.wal.compact(needed)?;
        }
        Ok(())
    }
}

impl<R: Serialize + DeserializeOwned, F: Files> Store<R> for Journal<R, F> {
    fn append(&mut self, record: R) -> Result<(), StoreError> {
        self.sound()?;
        let mut appended = self.try_append(&record);
        if matches!(appended, Err(AppendError::BatchFull { .. })) {
            // To sync before one is asked to does no harm.
            self.sync()?;
            appended = self.try_append(&record);
        }
        match (appended, &self.failure) {
            (Err(error), _) => Err(self.failed(error)),
            (Ok(()), Some(because)) => Err(StoreError::Failed { because: because.clone() }),
            (Ok(()), None) => Ok(()),
        }
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        self.sound()?;
        self.sync_and_forget().map_err(|error| self.failed(error))
    }

    fn forget(&mut self, before: PersistCount) -> Result<(), StoreError> {
        self.sound()?;
        let needed = Sequence::new(self.base.get().saturating_add(before.0));
        self.needed = self.needed.max(Some(needed));
        Ok(())
    }
}

fn refusal(error: wal::OpenError) -> OpenError {
    match error {
        wal::OpenError::Corrupt(wal::Corrupt { file, offset, problem }) => {
            OpenError::Corrupt { place: format!("{file} at byte {offset}"), problem }
        }
        wal::OpenError::Version { ref file, .. } => {
            OpenError::Corrupt { place: file.clone(), problem: error.to_string() }
        }
        wal::OpenError::Options(_)
        | wal::OpenError::Locked { .. }
        | wal::OpenError::Missing
        | wal::OpenError::Foreign { .. }
        | wal::OpenError::Io { .. } => OpenError::Failed { because: error.to_string() },
    }
}

/// Adds `record` to `bytes`.
fn encode(record: &impl Serialize, bytes: &mut Vec<u8>) -> postcard::Result<()> {
    bytes.push(VERSION);
    postcard::serialize_with_flavor(record, Tail(bytes))
}

fn decode<R: DeserializeOwned>(bytes: &[u8]) -> Result<R, String> {
    let bytes = match bytes.split_first() {
        Some((&VERSION, bytes)) => bytes,
        Some((other, _)) => return Err(format!("it has version {other}, expected {VERSION}")),
        None => return Err("it is empty, expected a version at least".to_owned()),
    };
    match postcard::take_from_bytes(bytes) {
        Ok((record, [])) => Ok(record),
        Ok((_, rest)) => Err(format!("{} bytes after its end, expected none", rest.len())),
        Err(error) => Err(format!("{error}, expected a record")),
    }
}

/// Writes at the end of some bytes, and leaves them where they are.
struct Tail<'a>(&'a mut Vec<u8>);

impl Flavor for Tail<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}
