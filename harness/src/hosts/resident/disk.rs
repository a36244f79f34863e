//! A disk that forgets what was not synced, and can be slow, hang and tear.
//!
//! What a journal writes stays in this process until the file is synced; only then does it reach the
//! real file, which is then synced too. So when the process is killed, what was not synced is gone, as
//! when the power goes; and to its owner all looks as it should.
//!
//! A torn disk lets the first half of each write through at once: if the process dies before the sync,
//! that half is there.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use cluster::DiskFault;
use wal::{Beside, Os};

/// The disk of one process.
pub(super) struct Disk {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    fault: DiskFault,
    /// Whether it says that it has synced what it has not.
    lying: bool,
    /// What was written to each file, by the number of its inode, and not synced: in the order of writing.
    unsynced: BTreeMap<u64, Vec<Piece>>,
}

/// Bytes, and where they are to go.
struct Piece {
    offset: u64,
    bytes: Vec<u8>,
}

impl Disk {
    pub(super) fn new(fault: DiskFault) -> Arc<Self> {
        let state = State { fault, lying: false, unsynced: BTreeMap::new() };
        Arc::new(Self { state: Mutex::new(state), changed: Condvar::new() })
    }

    /// From now on it behaves so.
    pub(super) fn misbehave(&self, fault: DiskFault) {
        self.lock().fault = fault;
        self.changed.notify_all();
    }

    /// From now on it says that it has synced what it has not: the bug of this world.
    pub(super) fn lie(&self) {
        self.lock().lying = true;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes as long as a sync takes at present.
    fn wait(&self) {
        let slow = self.lock().fault.slow;
        // A disk that is slow is slow, whatever is asked of it meanwhile.
        std::thread::sleep(slow);
        let stalled = |state: &mut State| state.fault.stalled;
        drop(self.changed.wait_while(self.lock(), stalled));
    }
}

/// A directory on such a disk.
#[derive(Clone)]
pub(super) struct Files {
    os: Os,
    disk: Arc<Disk>,
}

impl Files {
    pub(super) fn new(os: Os, disk: &Arc<Disk>) -> Self {
        Self { os, disk: Arc::clone(disk) }
    }

    /// Forgets what waits for the file of that name, if there is one, since the file goes.
    fn forget(&self, name: &str) {
        if let Ok(metadata) = std::fs::metadata(self.os.path().join(name)) {
            self.disk.lock().unsynced.remove(&metadata.ino());
        }
    }
}

fn inode(file: &File) -> io::Result<u64> {
    file.metadata().map(|it: Metadata| it.ino())
}

impl wal::Files for Files {
    type File = File;

    fn list(&mut self) -> io::Result<Vec<String>> {
        self.os.list()
    }

    fn lock(&mut self, name: &str) -> io::Result<Option<File>> {
        self.os.lock(name)
    }

    fn create(&mut self, name: &str) -> io::Result<File> {
        self.forget(name);
        self.os.create(name)
    }

    fn open(&mut self, name: &str) -> io::Result<File> {
        self.os.open(name)
    }

    fn len(&mut self, file: &File) -> io::Result<u64> {
        let synced = self.os.len(file)?;
        let state = self.disk.lock();
        let pieces = state.unsynced.get(&inode(file)?).into_iter().flatten();
        let ends = pieces.map(|piece| piece.offset + piece.bytes.len() as u64);
        Ok(ends.fold(synced, u64::max))
    }

    fn read_at(&mut self, file: &File, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        let len = self.len(file)?;
        let there = usize::try_from(len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let count = there.min(bytes.len());
        let bytes = &mut bytes[..count];
        bytes.fill(0);
        self.os.read_at(file, offset, bytes)?;
        let state = self.disk.lock();
        for piece in state.unsynced.get(&inode(file)?).into_iter().flatten() {
            piece.overlay(offset, bytes);
        }
        Ok(count)
    }

    fn write_at(&mut self, file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let torn = {
            let mut state = self.disk.lock();
            let piece = Piece { offset, bytes: bytes.to_vec() };
            state.unsynced.entry(inode(file)?).or_default().push(piece);
            state.fault.torn
        };
        if torn { self.os.write_at(file, offset, &bytes[..bytes.len() / 2]) } else { Ok(()) }
    }

    fn sync(&mut self, file: &File) -> io::Result<()> {
        self.disk.wait();
        let pieces = {
            let mut state = self.disk.lock();
            if state.lying {
                return Ok(());
            }
            state.unsynced.remove(&inode(file)?).unwrap_or_default()
        };
        for Piece { offset, bytes } in pieces {
            self.os.write_at(file, offset, &bytes)?;
        }
        self.os.sync(file)
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.forget(to);
        self.os.rename(from, to)
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.forget(name);
        self.os.remove(name)
    }

    fn sync_dir(&mut self) -> io::Result<()> {
        self.os.sync_dir()
    }

    fn random(&mut self) -> u64 {
        self.os.random()
    }

    fn beside<T, W>(&mut self, work: W) -> io::Result<Beside<T>>
    where
        T: Send + 'static,
        W: FnOnce(&mut Self) -> T + Send + 'static,
    {
        let mut files = self.clone();
        let thread = std::thread::Builder::new().name("beside a journal".to_owned());
        thread.spawn(move || work(&mut files)).map(Beside::running)
    }
}

impl Piece {
    /// Puts what of it belongs into `bytes`, which begin at `offset` of the file, there.
    fn overlay(&self, offset: u64, bytes: &mut [u8]) {
        let end = offset + bytes.len() as u64;
        let (from, to) =
            (self.offset.max(offset), (self.offset + self.bytes.len() as u64).min(end));
        if from < to {
            let place = |at: u64, start: u64| usize::try_from(at - start).expect("it is within");
            let source = &self.bytes[place(from, self.offset)..place(to, self.offset)];
            bytes[place(from, offset)..place(to, offset)].copy_from_slice(source);
        }
    }
}

#[cfg(test)]
mod tests {
    use wal::Files as _;

    use super::*;

    fn files(disk: &Arc<Disk>, path: &std::path::Path) -> Files {
        Files::new(Os::open(path).expect("a directory"), disk)
    }

    /// What another process would find.
    fn on_disk(path: &std::path::Path) -> Vec<u8> {
        std::fs::read(path.join("f")).expect("it is there")
    }

    #[test]
    fn what_is_written_is_read_at_once_and_is_on_the_disk_once_synced() {
        let dir = tempfile::tempdir().expect("a directory");
        let disk = Disk::new(DiskFault::default());
        let mut files = files(&disk, dir.path());
        let file = files.create("f").expect("it is made");
        files.write_at(&file, 2, b"abcd").expect("it is written");
        files.write_at(&file, 4, b"XY").expect("it is written");
        assert_eq!(on_disk(dir.path()), b"");
        let again = files.open("f").expect("it is there");
        let mut read = [9; 8];
        assert_eq!(files.read_at(&again, 1, &mut read).expect("it is read"), 5);
        assert_eq!(&read[..5], b"\0abXY");
        files.sync(&file).expect("it is synced");
        assert_eq!(on_disk(dir.path()), b"\0\0abXY");
    }

    #[test]
    fn a_torn_disk_has_half_of_what_was_not_synced() {
        let dir = tempfile::tempdir().expect("a directory");
        let disk = Disk::new(DiskFault { torn: true, ..DiskFault::default() });
        let mut files = files(&disk, dir.path());
        let file = files.create("f").expect("it is made");
        files.write_at(&file, 0, b"abcd").expect("it is written");
        assert_eq!(on_disk(dir.path()), b"ab");
        files.sync(&file).expect("it is synced");
        assert_eq!(on_disk(dir.path()), b"abcd");
    }

    #[test]
    fn a_lying_disk_syncs_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        let disk = Disk::new(DiskFault::default());
        disk.lie();
        let mut files = files(&disk, dir.path());
        let file = files.create("f").expect("it is made");
        files.write_at(&file, 0, b"abcd").expect("it is written");
        files.sync(&file).expect("it says so");
        assert_eq!(on_disk(dir.path()), b"");
        assert_eq!(files.len(&file).expect("it has one"), 4);
    }

    #[test]
    fn a_stalled_disk_syncs_when_it_goes_on() {
        let dir = tempfile::tempdir().expect("a directory");
        let disk = Disk::new(DiskFault { stalled: true, ..DiskFault::default() });
        let mut files = files(&disk, dir.path());
        let file = files.create("f").expect("it is made");
        files.write_at(&file, 0, b"abcd").expect("it is written");
        let syncing = std::thread::spawn(move || files.sync(&file));
        assert_eq!(on_disk(dir.path()), b"");
        assert!(!syncing.is_finished());
        disk.misbehave(DiskFault::default());
        syncing.join().expect("it ends").expect("it is synced");
        assert_eq!(on_disk(dir.path()), b"abcd");
    }
}
