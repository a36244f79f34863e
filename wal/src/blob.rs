//! Blobs: large files that are there as a whole or not at all, snapshots for example.
//!
//! A blob is written under another name, synced, and only then gets its own: whoever finds it finds
//! all of it. It is a chain of chunks with a checksum each, bound to this blob and this place, so that
//! a reader of any length needs little memory and never sees a byte that was not verified.

use std::io::{self, Read, Write};
use std::path::Path;

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::error::Failed;
use crate::error::Naming as _;
use crate::files::{Files, Os};
use crate::segment::LOCK;

/// The version of the format.
const VERSION: u32 = 1;
const MAGIC: [u8; 8] = *b"wal-blob";
/// The header: checksum, magic, version, nothing, number, the seed of the chunks' checksums.
const HEADER_LEN: usize = 40;
/// Before each chunk: checksum, length, and whether it is the last.
const CHUNK_HEADER_LEN: usize = 16;
/// The longest chunk, in bytes.
const CHUNK_MAX: usize = 256 << 10;
const UNFINISHED: &str = "unfinished.tmp";

/// A directory of blobs, each with a number. One owner; it may stand inside the directory of a log.
///
/// Numbers are the owner's, the index that a snapshot stands for say. A blob is never changed, but may
/// be replaced by one of the same number.
pub struct Blobs<F: Files = Os> {
    files: F,
    _lock: F::File,
}

/// Why something could not be done with a blob.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// Somebody else has the directory open. Nothing was done.
    #[error("{file} is locked, expected nobody else to have these blobs open")]
    Locked {
        /// The lock.
        file: String,
    },
    /// There is no blob of this number. Nothing was done.
    #[error("there is no blob {number}")]
    Missing {
        /// Which.
        number: u64,
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
    /// It is damaged. Nothing was changed.
    #[error("{file} is corrupt at byte {offset}: {problem}")]
    Corrupt {
        /// Which file.
        file: String,
        /// From which byte on.
        offset: u64,
        /// What is wrong, and what was expected.
        problem: &'static str,
    },
    /// The system failed. A blob that was being written is not there, or is there as a whole.
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

impl From<Failed> for BlobError {
    fn from(Failed { action, file, source }: Failed) -> Self {
        Self::Io { action, file, source }
    }
}

impl From<BlobError> for io::Error {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Io { source, .. } => source,
            BlobError::Missing { .. } => Self::new(io::ErrorKind::NotFound, error),
            BlobError::Locked { .. } | BlobError::Version { .. } | BlobError::Corrupt { .. } => {
                Self::new(io::ErrorKind::InvalidData, error)
            }
        }
    }
}

fn blob_name(number: u64) -> String {
    format!("blob-{number:020}")
}

fn parse(name: &str) -> Option<u64> {
    let number = name.strip_prefix("blob-")?.parse().ok()?;
    (blob_name(number) == name).then_some(number)
}

impl Blobs<Os> {
    /// The blobs in the directory `path`, which is made if it is not there.
    ///
    /// # Errors
    /// [`BlobError::Locked`] and [`BlobError::Io`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, BlobError> {
        let path = path.as_ref();
        Self::open_in(Os::open(path).or_failed("make", &path.display().to_string())?)
    }
}

impl<F: Files> Blobs<F> {
    /// The blobs in any directory. What was not finished is removed; other files are left alone.
    ///
    /// # Errors
    /// [`BlobError::Locked`] and [`BlobError::Io`].
    pub fn open_in(mut files: F) -> Result<Self, BlobError> {
        let lock = files.lock(LOCK).or_failed("lock", LOCK)?;
        let lock = lock.ok_or_else(|| BlobError::Locked { file: LOCK.to_owned() })?;
        if files.list().or_failed("list", "the directory")?.iter().any(|it| it == UNFINISHED) {
            files.remove(UNFINISHED).or_failed("remove", UNFINISHED)?;
        }
        // What is listed from now on is there for good.
        files.sync_dir().or_failed("sync", "the directory")?;
        Ok(Self { files, _lock: lock })
    }

    /// The numbers of all blobs, ascending.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    pub fn list(&mut self) -> Result<Vec<u64>, BlobError> {
        let names = self.files.list().or_failed("list", "the directory")?;
        let mut numbers: Vec<u64> = names.iter().filter_map(|name| parse(name)).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Begins blob `number`; it is there once [`BlobWriter::commit`] has returned.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    pub fn write(&mut self, number: u64) -> Result<BlobWriter<'_, F>, BlobError> {
        let seed = self.files.random();
        let file = self.files.create(UNFINISHED).or_failed("create", UNFINISHED)?;
        let mut header = [0; HEADER_LEN];
        header[8..16].copy_from_slice(&MAGIC);
        header[16..20].copy_from_slice(&VERSION.to_le_bytes());
        header[24..32].copy_from_slice(&number.to_le_bytes());
        header[32..40].copy_from_slice(&seed.to_le_bytes());
        let checksum = xxh3_64(&header[8..]);
        header[..8].copy_from_slice(&checksum.to_le_bytes());
        self.files.write_at(&file, 0, &header).or_failed("write", UNFINISHED)?;
        let chunk = vec![0; CHUNK_HEADER_LEN];
        Ok(BlobWriter { blobs: self, file, number, seed, at: HEADER_LEN as u64, chunk })
    }

    /// Reads blob `number` from its beginning.
    ///
    /// # Errors
    /// All but [`BlobError::Locked`]. That it was opened does not say that all of it is sound: that
    /// is known when it was read to its end.
    pub fn read(&mut self, number: u64) -> Result<BlobReader<'_, F>, BlobError> {
        let name = blob_name(number);
        let file = match self.files.open(&name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(BlobError::Missing { number });
            }
            other => other.or_failed("open", &name)?,
        };
        let mut header = [0; HEADER_LEN];
        let len = self.files.read_at(&file, 0, &mut header).or_failed("read", &name)?;
        let bad = |problem| BlobError::Corrupt { file: name.clone(), offset: 0, problem };
        if len < HEADER_LEN || header[8..16] != MAGIC {
            return Err(bad("it does not begin as a blob does, expected `wal-blob` at byte 8"));
        }
        let found = u32::from_le_bytes([header[16], header[17], header[18], header[19]]);
        if found != VERSION {
            return Err(BlobError::Version { file: name, found, expected: VERSION });
        }
        if header[..8] != xxh3_64(&header[8..]).to_le_bytes() {
            return Err(bad("the header's checksum does not match, expected a match"));
        }
        if header[24..32] != number.to_le_bytes() {
            return Err(bad("it is another blob, expected the one that its name says"));
        }
        let mut seed = [0; 8];
        seed.copy_from_slice(&header[32..40]);
        let seed = u64::from_le_bytes(seed);
        let at = HEADER_LEN as u64;
        let files = &mut self.files;
        Ok(BlobReader { files, file, name, seed, at, chunk: Vec::new(), taken: 0, ended: false })
    }

    /// Removes blob `number`, for good; it is no error if it is not there.
    ///
    /// # Errors
    /// [`BlobError::Io`]; it may be gone or not.
    pub fn remove(&mut self, number: u64) -> Result<(), BlobError> {
        let name = blob_name(number);
        match self.files.remove(&name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other.or_failed("remove", &name)?,
        }
        self.files.sync_dir().or_failed("sync the directory of", &name)?;
        Ok(())
    }

    /// Removes all blobs with a number below `number`.
    ///
    /// # Errors
    /// [`BlobError::Io`]; some may be gone.
    pub fn remove_before(&mut self, number: u64) -> Result<(), BlobError> {
        let old = self.list()?.into_iter().filter(|&it| it < number);
        old.into_iter().try_for_each(|it| self.remove(it))
    }
}

/// A blob that is being written. Dropped before [`commit`](BlobWriter::commit), nothing is there.
pub struct BlobWriter<'a, F: Files> {
    blobs: &'a mut Blobs<F>,
    file: F::File,
    number: u64,
    seed: u64,
    /// Where the next chunk goes.
    at: u64,
    /// Room for a chunk's header, and what is to be in it.
    chunk: Vec<u8>,
}

impl<F: Files> BlobWriter<'_, F> {
    /// Makes the blob durable, under its name. One of the same number is replaced.
    ///
    /// # Errors
    /// [`BlobError::Io`]: it is there as a whole, or not at all.
    pub fn commit(mut self) -> Result<(), BlobError> {
        self.end_chunk(true)?;
        let name = blob_name(self.number);
        let files = &mut self.blobs.files;
        files.sync(&self.file).or_failed("sync", UNFINISHED)?;
        files.rename(UNFINISHED, &name).or_failed("rename", UNFINISHED)?;
        files.sync_dir().or_failed("sync the directory of", &name)?;
        Ok(())
    }

    fn end_chunk(&mut self, last: bool) -> Result<(), Failed> {
        let len = (self.chunk.len() - CHUNK_HEADER_LEN) as u32;
        self.chunk[8..12].copy_from_slice(&len.to_le_bytes());
        self.chunk[12..16].copy_from_slice(&u32::from(last).to_le_bytes());
        let checksum = chunk_checksum(&self.chunk, self.seed, self.at);
        self.chunk[..8].copy_from_slice(&checksum.to_le_bytes());
        self.blobs
            .files
            .write_at(&self.file, self.at, &self.chunk)
            .or_failed("write", UNFINISHED)?;
        self.at += self.chunk.len() as u64;
        self.chunk.truncate(CHUNK_HEADER_LEN);
        Ok(())
    }
}

/// Bound to the blob and to the place in it.
fn chunk_checksum(chunk: &[u8], seed: u64, at: u64) -> u64 {
    xxh3_64_with_seed(&chunk[8..], seed.wrapping_add(at))
}

impl<F: Files> Write for BlobWriter<'_, F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = CHUNK_HEADER_LEN + CHUNK_MAX - self.chunk.len();
        let taken = bytes.len().min(room);
        self.chunk.extend_from_slice(&bytes[..taken]);
        if taken == room {
            self.end_chunk(false).map_err(|failed| failed.source)?;
        }
        Ok(taken)
    }

    /// Does nothing: it is [`commit`](BlobWriter::commit) that counts.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A blob that is being read. What it returns was verified.
pub struct BlobReader<'a, F: Files> {
    files: &'a mut F,
    file: F::File,
    name: String,
    seed: u64,
    /// Where the next chunk is.
    at: u64,
    chunk: Vec<u8>,
    taken: usize,
    ended: bool,
}

impl<F: Files> BlobReader<'_, F> {
    /// Reads on to the end, for the checksums only.
    ///
    /// # Errors
    /// [`BlobError::Corrupt`] and [`BlobError::Io`].
    pub fn verify(mut self) -> Result<(), BlobError> {
        while !self.ended {
            self.next_chunk()?;
        }
        Ok(())
    }

    fn next_chunk(&mut self) -> Result<(), BlobError> {
        let (file, offset) = (self.name.clone(), self.at);
        let bad = |problem| Err(BlobError::Corrupt { file, offset, problem });
        self.taken = 0;
        self.chunk.resize(CHUNK_HEADER_LEN + CHUNK_MAX, 0);
        let there = self
            .files
            .read_at(&self.file, self.at, &mut self.chunk)
            .or_failed("read", &self.name)?;
        self.chunk.truncate(there);
        let Some(header) = self.chunk.first_chunk::<CHUNK_HEADER_LEN>() else {
            self.chunk.clear();
            return bad("it ends there, expected another chunk");
        };
        let len = u32::from_le_bytes([header[8], header[9], header[10], header[11]]) as usize;
        let checksum = header[..8].to_owned();
        let last = header[12] == 1;
        let whole = CHUNK_HEADER_LEN.saturating_add(len);
        if whole > there {
            self.chunk.clear();
            return bad("the chunk there is longer than may be, or than the file");
        }
        self.chunk.truncate(whole);
        if chunk_checksum(&self.chunk, self.seed, self.at).to_le_bytes() != checksum[..] {
            self.chunk.clear();
            return bad("the checksum of the chunk there does not match, expected a match");
        }
        self.at += whole as u64;
        self.taken = CHUNK_HEADER_LEN;
        self.ended = last;
        Ok(())
    }
}

impl<F: Files> Read for BlobReader<'_, F> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.chunk.len() && !self.ended {
            self.next_chunk()?;
        }
        let rest = &self.chunk[self.taken..];
        let count = rest.len().min(bytes.len());
        bytes[..count].copy_from_slice(&rest[..count]);
        self.taken += count;
        Ok(count)
    }
}
