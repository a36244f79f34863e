//! What a log asks of a directory: small, so that a directory can be simulated.

mod os;
#[cfg(feature = "sim")]
mod sim;

use std::io;

use crate::Beside;
pub use os::Os;

#[cfg(feature = "sim")]
pub use sim::{Restart, SimDirectory, SimFile, Trouble};

/// One flat directory that belongs to one log or to one set of blobs.
///
/// Names are file names without a path. What an implementation may forget at a power loss, and a log
/// counts on nothing else:
/// 1. what was written to a file is safe once [`sync`](Files::sync) of it has returned;
/// 2. that a file has its name is safe once [`sync_dir`](Files::sync_dir) has returned;
/// 3. a rename is atomic: one of the two names leads to the file;
/// 4. of a write that was not synced, any subset of the 512-byte sectors may be there; a sector is
///    either old or new, and sectors that were not written are not touched.
pub trait Files: Send {
    /// An open file.
    type File: Send;

    /// The names of all files, in any order. Directories are left out.
    ///
    /// # Errors
    /// Those of the system; nothing is done then.
    fn list(&mut self) -> io::Result<Vec<String>>;

    /// Takes the lock `name`, a file that is made if need be, for as long as the file returned lives.
    /// None if somebody else has it.
    ///
    /// # Errors
    /// Those of the system; the lock is not held then.
    fn lock(&mut self, name: &str) -> io::Result<Option<Self::File>>;

    /// Makes a new, empty file; an existing one of that name is emptied.
    ///
    /// # Errors
    /// Those of the system; the file may have been made.
    fn create(&mut self, name: &str) -> io::Result<Self::File>;

    /// Opens an existing file for reading and writing.
    ///
    /// # Errors
    /// Those of the system; nothing is done then.
    fn open(&mut self, name: &str) -> io::Result<Self::File>;

    /// How many bytes the file has.
    ///
    /// # Errors
    /// Those of the system.
    fn len(&mut self, file: &Self::File) -> io::Result<u64>;

    /// Fills `bytes` from `offset` on, as far as the file goes; returns how many bytes that were.
    ///
    /// # Errors
    /// Those of the system; what is in `bytes` means nothing then.
    fn read_at(&mut self, file: &Self::File, offset: u64, bytes: &mut [u8]) -> io::Result<usize>;

    /// Writes all of `bytes` at `offset`; the file grows as needed, with zeroes in between.
    ///
    /// # Errors
    /// Those of the system; any part may have been written.
    fn write_at(&mut self, file: &Self::File, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes what was written to the file safe, and its length (`fdatasync`).
    ///
    /// # Errors
    /// Those of the system; any part of what was written since the last sync may be lost for good,
    /// even if a later sync succeeds.
    fn sync(&mut self, file: &Self::File) -> io::Result<()>;

    /// Gives a file another name, in place of the file that has it now, if any.
    ///
    /// # Errors
    /// Those of the system; it may have been done.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// Those of the system; it may have been done.
    fn remove(&mut self, name: &str) -> io::Result<()>;

    /// Makes all names safe: what was made, renamed and removed.
    ///
    /// # Errors
    /// Those of the system; any part may be lost.
    fn sync_dir(&mut self) -> io::Result<()>;

    /// A number that no other log is likely to get.
    fn random(&mut self) -> u64;

    /// Has `work` done by another thread, with a handle of its own on the same directory; or at once,
    /// before it returns, where everything is to happen on one thread. This does it at once.
    ///
    /// # Errors
    /// Those of the system, which has no thread for it; nothing is done then.
    fn beside<T, W>(&mut self, work: W) -> io::Result<Beside<T>>
    where
        Self: Sized,
        T: Send + 'static,
        W: FnOnce(&mut Self) -> T + Send + 'static,
    {
        Ok(Beside::done(work(self)))
    }
}
