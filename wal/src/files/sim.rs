//! A directory in memory that misbehaves as disks do, from a seed.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng};

use super::Files;

/// What a disk writes all of or nothing of.
const SECTOR: usize = 512;

/// A directory in memory. Clones are the same directory, so that a test keeps one and a log another.
///
/// - What was written but not synced is lost at a power loss in any subset of its sectors; bytes by
///   which a file had grown may then hold anything.
/// - After a failed sync the page cache holds what was written, takes it for clean, and no later sync
///   writes it out (Rebello et al., USENIX ATC 2020).
/// - Names that were not synced are lost in any subset at a power loss; a rename stays atomic.
///
/// Nothing is slow here: a log blocks, so that a slow sync is a sync.
///
/// Every operation that changes something has a number; [`SimDirectory::trouble_at`] makes one fail.
#[derive(Clone, Debug)]
pub struct SimDirectory(Arc<Mutex<State>>);

/// What goes wrong at an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// The machine stops: of a write any first part is done, of anything else nothing. Every later
    /// operation fails until [`SimDirectory::restart`].
    Crash,
    /// The disk is full, from now on: whatever makes a file or has it grow fails, a write after a
    /// first part.
    Full,
    /// The operation fails with an I/O error; see the type for what a sync leaves behind.
    Error,
    /// A write goes to another place of the same file, and is reported done.
    Misdirected,
    /// A write is reported done, and so is its sync, but it never reaches the disk.
    Lost,
}

/// What a crash takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Restart {
    /// Only the process died: all that it wrote is still in the page cache, not on the disk.
    Process,
    /// The power went: what was not synced is lost in part.
    Power,
}

/// An open file. A lock is released when it is dropped.
#[derive(Debug)]
pub struct SimFile {
    inode: usize,
    /// Whose lock, and of which life of the machine.
    held: Option<(SimDirectory, u64)>,
}

#[derive(Debug)]
struct State {
    rng: Xoshiro256PlusPlus,
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    safe_names: BTreeMap<String, usize>,
    unsafe_changes: Vec<Change>,
    locked: bool,
    life: u64,
    down: bool,
    full: bool,
    operations: u64,
    trouble: Option<(u64, Trouble)>,
}

#[derive(Clone, Debug, Default)]
struct Inode {
    /// What a read returns.
    cache: Vec<u8>,
    /// What is on the platter.
    platter: Vec<u8>,
    /// The sectors that the next sync writes out.
    dirty: BTreeSet<usize>,
}

#[derive(Clone, Debug)]
enum Change {
    Made(String, usize),
    Renamed(String, String),
    Removed(String),
}

impl SimDirectory {
    /// An empty directory whose misbehaviour `seed` decides.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            rng: Xoshiro256PlusPlus::seed_from_u64(seed),
            inodes: Vec::new(),
            names: BTreeMap::new(),
            safe_names: BTreeMap::new(),
            unsafe_changes: Vec::new(),
            locked: false,
            life: 0,
            down: false,
            full: false,
            operations: 0,
            trouble: None,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many operations that change something there have been.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// `trouble` befalls the operation that makes [`operations`](Self::operations) `number`, or the
    /// first one after it that it can befall. One trouble at a time.
    pub fn trouble_at(&self, number: u64, trouble: Trouble) {
        self.state().trouble = Some((number, trouble));
    }

    /// The machine, or the process, stops if it has not, and is there again: locks are free, the disk
    /// has room, no trouble is planned, and what `restart` takes is gone.
    pub fn restart(&self, restart: Restart) {
        let mut state = self.state();
        state.life += 1;
        state.locked = false;
        state.down = false;
        state.full = false;
        state.trouble = None;
        if restart == Restart::Power {
            state.lose_power();
        }
    }

    /// What is in file `name`, as a read would return it; none if there is no such file.
    pub fn contents(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.state();
        Some(state.inodes[*state.names.get(name)?].cache.clone())
    }

    /// The names of all files.
    pub fn names(&self) -> Vec<String> {
        self.state().names.keys().cloned().collect()
    }

    /// Puts `contents` in file `name`, safely, by nobody's operation.
    pub fn put(&self, name: &str, contents: &[u8]) {
        let mut state = self.state();
        let (cache, platter) = (contents.to_vec(), contents.to_vec());
        state.inodes.push(Inode { cache, platter, dirty: BTreeSet::new() });
        let inode = state.inodes.len() - 1;
        state.names.insert(name.to_owned(), inode);
        state.safe_names.insert(name.to_owned(), inode);
    }

    /// Takes file `name` away, by nobody's operation.
    pub fn take(&self, name: &str) {
        let mut state = self.state();
        state.names.remove(name);
        state.safe_names.remove(name);
    }
}

impl State {
    fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.rng.next_u64()) * bound as u128) >> 64) as usize
    }

    fn coin(&mut self) -> bool {
        self.rng.next_u64() >> 63 == 0
    }

    fn lose_power(&mut self) {
        for at in 0..self.inodes.len() {
            let mut inode = std::mem::take(&mut self.inodes[at]);
            if self.coin() {
                let (old, new) = (inode.platter.len(), inode.cache.len());
                inode.platter.resize(new, 0);
                for byte in inode.platter.get_mut(old..).unwrap_or_default() {
                    *byte = self.rng.next_u64() as u8;
                }
            }
            for sector in std::mem::take(&mut inode.dirty) {
                if self.coin() {
                    inode.write_out(sector);
                }
            }
            inode.cache = inode.platter.clone();
            self.inodes[at] = inode;
        }
        for change in std::mem::take(&mut self.unsafe_changes) {
            if self.coin() {
                change.apply(&mut self.safe_names);
            }
        }
        self.names = self.safe_names.clone();
    }

    /// Counts an operation; says what befalls it.
    fn begin(&mut self, can: fn(Trouble) -> bool) -> io::Result<Option<Trouble>> {
        self.up()?;
        self.operations += 1;
        match self.trouble {
            Some((number, trouble)) if self.operations >= number && can(trouble) => {
                self.trouble = None;
                self.down |= trouble == Trouble::Crash;
                self.full |= trouble == Trouble::Full;
                Ok(Some(trouble))
            }
            _ => Ok(None),
        }
    }

    fn up(&self) -> io::Result<()> {
        if self.down { Err(io::Error::other("the machine is down")) } else { Ok(()) }
    }

    /// Counts an operation on names; an error if trouble befalls it.
    fn change(&mut self, change: Change) -> io::Result<()> {
        let plain = |trouble| matches!(trouble, Trouble::Crash | Trouble::Error);
        if self.begin(plain)?.is_some() {
            return Err(failed());
        }
        change.apply(&mut self.names);
        self.unsafe_changes.push(change);
        Ok(())
    }

    fn find(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn failed() -> io::Error {
    io::Error::other("the disk failed")
}

impl Change {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Made(name, inode) => {
                names.insert(name.clone(), *inode);
            }
            Self::Renamed(from, to) => {
                if let Some(inode) = names.remove(from) {
                    names.insert(to.clone(), inode);
                }
            }
            Self::Removed(name) => {
                names.remove(name);
            }
        }
    }
}

impl Inode {
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let (old, end) = (self.cache.len(), offset + bytes.len());
        self.cache.resize(old.max(end), 0);
        self.cache[offset..end].copy_from_slice(bytes);
        self.dirty.extend(offset.min(old) / SECTOR..=(end - 1) / SECTOR);
    }

    fn write_out(&mut self, sector: usize) {
        let start = sector * SECTOR;
        let end = (start + SECTOR).min(self.cache.len());
        if self.platter.len() < end {
            self.platter.resize(end, 0);
        }
        self.platter[start..end].copy_from_slice(&self.cache[start..end]);
    }
}

impl Files for SimDirectory {
    type File = SimFile;

    fn list(&mut self) -> io::Result<Vec<String>> {
        self.state().up()?;
        Ok(self.names())
    }

    fn lock(&mut self, _name: &str) -> io::Result<Option<SimFile>> {
        let mut state = self.state();
        state.up()?;
        if std::mem::replace(&mut state.locked, true) {
            return Ok(None);
        }
        Ok(Some(SimFile { inode: usize::MAX, held: Some((self.clone(), state.life)) }))
    }

    fn create(&mut self, name: &str) -> io::Result<SimFile> {
        let mut state = self.state();
        let plain = |it| matches!(it, Trouble::Crash | Trouble::Error | Trouble::Full);
        if state.begin(plain)?.is_some() || state.full {
            return Err(failed());
        }
        state.inodes.push(Inode::default());
        let inode = state.inodes.len() - 1;
        let change = Change::Made(name.to_owned(), inode);
        change.apply(&mut state.names);
        state.unsafe_changes.push(change);
        Ok(SimFile { inode, held: None })
    }

    fn open(&mut self, name: &str) -> io::Result<SimFile> {
        let state = self.state();
        state.up()?;
        Ok(SimFile { inode: state.find(name)?, held: None })
    }

    fn len(&mut self, file: &SimFile) -> io::Result<u64> {
        let state = self.state();
        state.up()?;
        Ok(state.inodes[file.inode].cache.len() as u64)
    }

    fn read_at(&mut self, file: &SimFile, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        let state = self.state();
        state.up()?;
        let cache = &state.inodes[file.inode].cache;
        let rest = &cache[(offset as usize).min(cache.len())..];
        let count = rest.len().min(bytes.len());
        bytes[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&mut self, file: &SimFile, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        let trouble = state.begin(|_| true)?;
        let part = state.below(bytes.len() + 1);
        let inode = &mut state.inodes[file.inode];
        let (offset, len) = (offset as usize, inode.cache.len());
        match trouble {
            Some(Trouble::Crash | Trouble::Error) => inode.write(offset, &bytes[..part]),
            Some(Trouble::Misdirected) => {
                inode.write((offset + SECTOR) % len.max(1) / SECTOR * SECTOR, bytes);
                return Ok(());
            }
            Some(Trouble::Lost) => return Ok(()),
            Some(Trouble::Full) | None => {
                let fits = if state.full { len.saturating_sub(offset) } else { bytes.len() };
                let fits = fits.min(bytes.len());
                state.inodes[file.inode].write(offset, &bytes[..fits]);
                if fits == bytes.len() {
                    return Ok(());
                }
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        Err(failed())
    }

    fn sync(&mut self, file: &SimFile) -> io::Result<()> {
        let mut state = self.state();
        let trouble = state.begin(|it| matches!(it, Trouble::Crash | Trouble::Error))?;
        if trouble == Some(Trouble::Error) {
            state.inodes[file.inode].dirty.clear();
        }
        if trouble.is_some() {
            return Err(failed());
        }
        let inode = &mut state.inodes[file.inode];
        for sector in std::mem::take(&mut inode.dirty) {
            inode.write_out(sector);
        }
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.find(from)?;
        state.change(Change::Renamed(from.to_owned(), to.to_owned()))
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.find(name)?;
        state.change(Change::Removed(name.to_owned()))
    }

    fn sync_dir(&mut self) -> io::Result<()> {
        let mut state = self.state();
        if state.begin(|it| matches!(it, Trouble::Crash | Trouble::Error))?.is_some() {
            return Err(failed());
        }
        state.safe_names = state.names.clone();
        state.unsafe_changes.clear();
        Ok(())
    }

    fn random(&mut self) -> u64 {
        self.state().rng.next_u64()
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        if let Some((directory, life)) = self.held.take() {
            let mut state = directory.state();
            state.locked &= state.life != life;
        }
    }
}
