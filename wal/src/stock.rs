//! Files to write the next segments over.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::beside::Beside;
use crate::files::Files;
use crate::mutants::Mutant;
use crate::options::Options;
use crate::segment::spare_name;

/// How many zeroes are written and synced at a time, in bytes: a sync of the log that comes in between
/// waits for no more than that.
const PIECE: u64 = 1 << 20;

/// Files to write the next segments over, so that a sync changes no metadata and writes no zeroes:
/// segments that were dropped and, where there is none of these, one of zeroes that is made beside the
/// log's owner.
///
/// Whatever is in such a file, and however long it is, it may be written over: so a crash at any
/// moment leaves nothing to repair.
pub(crate) struct Stock {
    /// Oldest first.
    ready: VecDeque<Spare>,
    /// How many are kept at most.
    max: usize,
    /// How long one is that is made; zero if none is to be.
    len: u64,
    making: Option<Making>,
    /// The segment that was written to when one was made last: one that could not be made is not tried
    /// again at every batch.
    made_at: u64,
}

/// A file that is no part of the log.
pub(crate) struct Spare {
    pub(crate) name: String,
    /// Whether there is nothing in it but zeroes, for good. Of what was there when the log was opened
    /// nobody knows.
    pub(crate) zeroes: bool,
}

/// A file that is being made.
struct Making {
    name: String,
    work: Option<Beside<io::Result<()>>>,
    /// Nobody wants it any more.
    stop: Arc<AtomicBool>,
}

impl Stock {
    /// Of the files that are there already.
    pub(crate) fn new(ready: Vec<String>, options: &Options) -> Self {
        let makes = options.prepare_step() > 0 && options.spares() > 0;
        let len = if makes { options.segment_len() } else { 0 };
        let zeroes = options.planted.is(Mutant::TakesSparesForNew);
        let ready = ready.into_iter().map(|name| Spare { name, zeroes }).collect();
        Self { ready, max: options.spares(), len, making: None, made_at: 0 }
    }

    /// Whether one more would be kept.
    pub(crate) fn has_room(&self) -> bool {
        self.ready.len() < self.max
    }

    /// Adds a segment that was dropped, under its new name.
    pub(crate) fn put(&mut self, name: String) {
        self.ready.push_back(Spare { name, zeroes: false });
    }

    /// Whether there is one.
    pub(crate) fn is_ready(&mut self) -> bool {
        if let Some(mut making) = self.making.take_if(|making| making.is_done())
            && making.wait().is_some_and(|made| made.is_ok())
        {
            self.ready.push_back(Spare { name: std::mem::take(&mut making.name), zeroes: true });
        }
        !self.ready.is_empty()
    }

    /// Whether one is being made.
    pub(crate) fn is_making(&self) -> bool {
        self.making.is_some()
    }

    /// The one to be used next.
    pub(crate) fn take(&mut self) -> Option<Spare> {
        self.is_ready();
        self.ready.pop_front()
    }

    /// Begins to make one if there is none, for when `segment`, which is written to, is full.
    pub(crate) fn replenish<F: Files>(&mut self, files: &mut F, segment: u64) {
        if self.len == 0 || self.made_at == segment || self.making.is_some() || self.is_ready() {
            return;
        }
        self.made_at = segment;
        // No segment that is dropped ever has this name: those count from below.
        let name = spare_name(u64::MAX - segment);
        let stop = Arc::new(AtomicBool::new(false));
        let (file, len, stopped) = (name.clone(), self.len, Arc::clone(&stop));
        let work = files.beside(move |files| make(files, &file, len, &stopped));
        self.making = work.ok().map(|work| Making { name, work: Some(work), stop });
    }
}

impl Making {
    fn is_done(&self) -> bool {
        self.work.as_ref().is_none_or(Beside::is_done)
    }

    fn wait(&mut self) -> Option<io::Result<()>> {
        self.work.take().map(Beside::wait)
    }
}

/// Whoever lets go of the log's lock must not have its directory written to any longer.
impl Drop for Making {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // A file that could not be made is not there, and that it is missing harms nobody.
        let _ = self.wait();
    }
}

/// Makes file `name` of `len` zeroes, durably; or none, if that fails or nobody wants it any more.
fn make<F: Files>(files: &mut F, name: &str, len: u64, stop: &AtomicBool) -> io::Result<()> {
    let file = files.create(name)?;
    let zeroes = vec![0; PIECE.min(len) as usize];
    let mut pieces = (0..len).step_by(zeroes.len());
    let made = pieces.try_for_each(|at| {
        if stop.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        files.write_at(&file, at, &zeroes[..zeroes.len().min((len - at) as usize)])?;
        files.sync(&file)
    });
    if made.is_err() {
        files.remove(name)?;
    }
    made
}
