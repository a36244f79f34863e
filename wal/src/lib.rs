//! A write-ahead log: records of bytes that survive crashes, in checksummed files.
//!
//! **Append any number of records, sync once, and only then act on what they say.**
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let temporary = tempfile::TempDir::new()?;
//! # let directory = temporary.path().join("log");
//! use wal::{Options, Replay, Wal};
//!
//! let mut records = Vec::new();
//! let (mut wal, recovered) = Wal::open(&directory, Options::default(), |replay| match replay {
//!     Replay::Record { sequence, bytes } => records.push((sequence, bytes.to_vec())),
//!     Replay::Head(_) => {}
//! })?;
//! assert_eq!((records.len(), recovered.torn), (0, None));
//!
//! wal.append(b"set x to 1")?;
//! let last = wal.append(b"set y to 2")?;
//! assert_eq!(wal.sync()?, last); // one write and one fdatasync for both
//! wal.close()?;
//!
//! let (_, recovered) = Wal::open(&directory, Options::default(), |_| {})?;
//! assert_eq!(recovered.next, last.next());
//! # Ok(())
//! # }
//! ```
//!
//! # What a disk may do to you
//! - **Forget.** What was written but not synced is in memory. A power loss takes any part of it, not
//!   the last part only: the end of a write may be there and its beginning not.
//! - **Forget names.** A file that was made, renamed or removed is so for good only when its directory
//!   was synced.
//! - **Fail to sync, once.** The system then may take for clean what it never wrote: the next sync
//!   succeeds, a read shows the data, and a power loss takes it all the same. So a log that failed is
//!   poisoned, and what is read at open is written again before it is called durable.
//! - **Rot, drop a write, or put it elsewhere.** Seen by checksums that cover what, and where.
//!
//! The hard part is to tell the first from the last when a log is opened. To cut off what was never
//! called durable is right; to cut off what was, because one bit of it flipped, loses acknowledged
//! data without a word. To refuse whatever looks odd would be safe, and a nuisance after every power
//! loss.
//!
//! # How it tells them apart
//! ```text
//!  segment-1                          segment-2: begun when segment-1 was durable, says where it ends
//! ┌────────┬───────┬───────┬──────┐  ┌────────┬───────┬───────┬───────┬─ ─ ─ ─ ─ ┐
//! │ header │ start │ batch │ seal │  │ header │ start │ batch │ batch │  zeroes   
//! │        │ head  │ 1 2 3 │      │  │        │ head  │ 4 5   │ 6     │          │
//! └────────┴───────┴───────┴──────┘  └────────┴───────┴───────┴───────┴─ ─ ─ ─ ─ ┘
//!                                                       ▲ "all before me was durable when I was
//!                                                          written": proves 4 5, not itself
//! ```
//! All records of one sync are one *batch* under one checksum, and it says up to where the segment was
//! durable when it was written. Damage is a torn write if no sound batch and no segment proves that
//! its place was durable; otherwise it is corruption. `FORMAT.md` has each byte, and each proof.
//!
//! # The head
//! What must outlive compaction, a vote say, is set as the *head*: it is ordered with the records, and
//! every segment begins with the head as it was then. So old segments can go, whatever they held.
//!
//! # What it promises
//! 1. What [`Wal::sync`] has returned for survives every crash and power loss.
//! 2. What was not synced is there up to the end of some batch, in order, or not at all.
//! 3. Nothing is read that was not appended.
//! 4. Damage to what is proven to be durable is refused, by file and offset, and nothing is changed,
//!    unless [`OnCorruption::Truncate`] was asked for, which tells what is lost.
//!
//! # What it does not promise
//! - To notice that a disk lost the very last batch after it had reported it durable, if the process
//!   died right then: nothing on the disk proves that one. After [`Wal::close`], and after the next
//!   open, it is proven.
//! - To survive a sector that is garbled because a neighbour on it was written; but see
//!   [`Options::align`].
//! - Secrecy, or that someone who can write to the files is noticed: checksums are no signatures.
//!
//! # What it costs
//! A sync is one write of the batch and one `fdatasync`, to a file that has its size already: the next
//! segment is written over one that is not needed any more, or over a file of zeroes, which another
//! thread makes while this segment is filled. When a segment is full the sync that begins the next takes
//! four syncs more, once in 32 MiB.
//!
//! [`Blobs`] keeps what is too large for a log, such as snapshots, in files that are there as a whole
//! or not at all.

mod beside;
mod blob;
mod error;
mod files;
mod format;
mod mutants;
mod options;
mod recovery;
mod segment;
mod settle;
mod stock;
mod wal;

pub use beside::Beside;
pub use blob::{BlobError, BlobReader, BlobWriter, Blobs};
pub use error::{AppendError, Corrupt, OpenError, OptionsError, Poisoned, SyncError};
pub use files::{Files, Os};
#[cfg(feature = "sim")]
pub use files::{Restart, SimDirectory, SimFile, Trouble};
pub use format::Sequence;
#[cfg(feature = "mutants")]
pub use mutants::Mutant;
pub use options::{OnCorruption, Options};
pub use recovery::{Recovered, Replay, Torn};
pub use wal::Wal;
