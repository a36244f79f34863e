//! The log.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::path::Path;

use crate::error::{AppendError, Failed, Naming as _, OpenError, Poisoned, SyncError};
use crate::files::{Files, Os};
use crate::format::{self, FRAME_LEN, FrameHeader, ITEM_LEN, Kind, SegmentHeader, Sequence};
use crate::mutants::Mutant;
use crate::options::Options;
use crate::recovery::{Recovered, Recovery, Replay};
use crate::segment::{self, Active, LOCK, NEXT, Name, segment_name, spare_name};
use crate::settle::write_frame;
use crate::stock::Stock;

/// A log, open for appending. One owner; every call that touches the disk blocks. What another thread
/// does ([`Files::beside`]) is to make files of zeroes for it; it is over when the `Wal` is dropped.
///
/// **Append any number of records, then [`sync`](Wal::sync) once, and only then act on what they
/// say.** What was not synced when a `Wal` is dropped is not written.
///
/// Guarantees:
/// 1. what `sync` has returned for survives any crash, as it was, in the order of appending;
/// 2. what was appended and not synced survives as a whole, up to the last `sync`, or not at all;
/// 3. numbers go up by one from record to record, but for [`Recovered::gaps`];
/// 4. nothing that was not appended is ever read.
pub struct Wal<F: Files = Os> {
    files: F,
    options: Options,
    active: Active<F::File>,
    /// The segments before it, oldest first, each with the number of its first record.
    older: VecDeque<(u64, Sequence)>,
    stock: Stock,
    floor: u64,
    /// The number of the first record that waits, or will.
    first: Sequence,
    /// Room for a frame's header, and what waits for a sync.
    buffer: Vec<u8>,
    waiting: u32,
    /// As set last, and as it was before what waits for a sync.
    head: Option<Vec<u8>>,
    safe_head: Option<Vec<u8>>,
    zeroes: Vec<u8>,
    poison: Option<Poisoned>,
    _lock: Option<F::File>,
}

/// How much memory for records that wait is kept from one sync to the next, in bytes.
const BUFFER_KEPT: usize = 4 << 20;

impl Wal<Os> {
    /// Opens the log in the directory `path`, or begins one. `visit` is shown what is in it, in
    /// order, as it is read; that counts for nothing if an error is returned.
    ///
    /// # Errors
    /// See [`OpenError`]. Nothing that is durable is ever lost by it.
    pub fn open(
        path: impl AsRef<Path>,
        options: Options,
        visit: impl FnMut(Replay<'_>),
    ) -> Result<(Self, Recovered), OpenError> {
        options.check()?;
        let path = path.as_ref();
        if !options.creates() && !path.is_dir() {
            return Err(OpenError::Missing);
        }
        let files = Os::open(path).or_failed("make", &path.display().to_string())?;
        Self::open_in(files, options, visit)
    }
}

impl<F: Files> Wal<F> {
    /// Like [`Wal::open`], in any directory.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open_in(
        mut files: F,
        options: Options,
        visit: impl FnMut(Replay<'_>),
    ) -> Result<(Self, Recovered), OpenError> {
        options.check()?;
        let lock = if options.planted.is(Mutant::SkipsLock) {
            None
        } else {
            let locked = || OpenError::Locked { file: LOCK.to_owned() };
            Some(files.lock(LOCK).or_failed("lock", LOCK)?.ok_or_else(locked)?)
        };
        let (segments, mut spares, unfinished) = survey(&mut files)?;
        let (found, fresh) = if segments.is_empty() {
            if !options.creates() {
                return Err(OpenError::Missing);
            }
            (None, Some(first_segment(&mut files, &options)?))
        } else {
            (Some(Recovery::new(&mut files, &options, visit).run(&segments)?), None)
        };
        if unfinished && fresh.is_none() {
            files.remove(NEXT).or_failed("remove", NEXT)?;
        }
        let (recovered, active, older, floor) = match (found, fresh) {
            (Some(it), _) => (it.recovered, it.active, it.older, it.floor),
            (None, Some(active)) => {
                let first = Sequence::ZERO.next();
                let recovered = Recovered { first, next: first, ..Recovered::default() };
                (recovered, active, VecDeque::new(), 1)
            }
            (None, None) => unreachable!("a log was found or begun"),
        };
        // Not more than are wanted: the options may have changed.
        for spare in spares.drain(options.spares().min(spares.len())..) {
            files.remove(&spare).or_failed("remove", &spare)?;
        }
        let mut wal = Self {
            files,
            active,
            older,
            stock: Stock::new(spares, &options),
            floor,
            first: recovered.next,
            buffer: vec![0; FRAME_LEN],
            waiting: 0,
            head: recovered.head.clone(),
            safe_head: recovered.head.clone(),
            zeroes: Vec::new(),
            poison: None,
            options,
            _lock: lock,
        };
        wal.drop_segments()?;
        Ok((wal, recovered))
    }

    /// Appends a record, in memory: returns its number.
    ///
    /// # Errors
    /// See [`AppendError`]; nothing is done then.
    pub fn append(&mut self, record: &[u8]) -> Result<Sequence, AppendError> {
        self.admit(record.len())?;
        self.buffer.extend_from_slice(&format::record_prefix(record.len()));
        self.buffer.extend_from_slice(record);
        Ok(self.appended())
    }

    /// Appends a record that is in several pieces.
    ///
    /// # Errors
    /// As [`Wal::append`].
    pub fn append_parts(&mut self, parts: &[IoSlice<'_>]) -> Result<Sequence, AppendError> {
        let len = parts.iter().map(|part| part.len()).sum();
        self.admit(len)?;
        self.buffer.extend_from_slice(&format::record_prefix(len));
        for part in parts {
            self.buffer.extend_from_slice(part);
        }
        Ok(self.appended())
    }

    /// Appends a record that `write` puts at the end of the bytes it is given, which it must not
    /// otherwise change: so that a record is encoded where it will be written from.
    ///
    /// # Errors
    /// As [`Wal::append`]; the record is taken back then.
    pub fn append_with(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Sequence, AppendError> {
        self.admit(0)?;
        let start = self.buffer.len();
        self.buffer.extend_from_slice(&[0; ITEM_LEN]);
        write(&mut self.buffer);
        let len = self.buffer.len().saturating_sub(start + ITEM_LEN);
        if let Err(refused) = self.admit_after(start, len) {
            self.buffer.truncate(start);
            return Err(refused);
        }
        self.buffer[start..start + ITEM_LEN].copy_from_slice(&format::record_prefix(len));
        Ok(self.appended())
    }

    /// Sets the head, in memory: a few bytes that outlive compaction, because every segment begins
    /// with them. It is ordered with the records, and like them durable after the next sync.
    ///
    /// # Errors
    /// As [`Wal::append`]: a head is at most as long as a record.
    pub fn set_head(&mut self, head: &[u8]) -> Result<(), AppendError> {
        self.admit(head.len())?;
        self.buffer.extend_from_slice(&format::head_prefix(head.len()));
        self.buffer.extend_from_slice(head);
        let kept = self.head.get_or_insert_default();
        kept.clear();
        kept.extend_from_slice(head);
        Ok(())
    }

    fn admit(&self, len: usize) -> Result<(), AppendError> {
        self.admit_after(self.buffer.len(), len)
    }

    /// Whether something of `len` bytes may come after `used` bytes of the buffer.
    fn admit_after(&self, used: usize, len: usize) -> Result<(), AppendError> {
        self.sound()?;
        if len > self.options.record_max() {
            return Err(AppendError::TooLong { len, max: self.options.record_max() });
        }
        let max = self.options.batch_max();
        if used - FRAME_LEN + ITEM_LEN + len > max || self.waiting == u32::MAX {
            return Err(AppendError::BatchFull { max });
        }
        Ok(())
    }

    fn appended(&mut self) -> Sequence {
        self.waiting += 1;
        self.last()
    }

    /// Makes all that was appended durable: one write and one `fdatasync`, more when the next segment
    /// is begun. Returns the number of the last record that is durable. Without anything to do, it
    /// does nothing.
    ///
    /// # Errors
    /// See [`SyncError`]: the log takes nothing more then.
    pub fn sync(&mut self) -> Result<Sequence, SyncError> {
        self.sound()?;
        if self.buffer.len() > FRAME_LEN {
            self.poisoning(Self::write_batch)?;
        }
        Ok(self.first.prev())
    }

    /// Begins the next segment now, so that what is before it can be compacted away. Syncs first.
    ///
    /// # Errors
    /// As [`Wal::sync`].
    pub fn roll_over(&mut self) -> Result<(), SyncError> {
        self.sync()?;
        self.poisoning(Self::next_segment)
    }

    /// Drops the segments that hold no record from `before` on, and returns the number of the first
    /// record that is kept. Syncs first. At most all segments but the last go: see
    /// [`Wal::roll_over`].
    ///
    /// # Errors
    /// As [`Wal::sync`]. Whatever was to be kept is kept.
    pub fn compact(&mut self, before: Sequence) -> Result<Sequence, SyncError> {
        self.sync()?;
        let starts = self.older.iter().copied().skip(1);
        let starts = starts.chain([(self.active.header.segment, self.active.header.first)]);
        let most = self.options.planted.is(Mutant::CompactsTooMuch);
        let reach = if most { before.next().next() } else { before };
        let floor = starts.rev().find(|&(_, first)| first <= reach).map(|(id, _)| id);
        let Some(floor) = floor.filter(|&floor| floor > self.floor) else {
            return Ok(self.first_kept());
        };
        self.floor = floor;
        self.poisoning(|wal| {
            // First it is written that they may be missing, then they go, oldest first: so that
            // whatever is left at a crash has no hole.
            if !wal.options.planted.is(Mutant::ForgetsFloor) {
                wal.write_mark()?;
            }
            wal.drop_segments()
        })?;
        Ok(self.first_kept())
    }

    /// Syncs, and writes that all is durable: damage to the last records is then told from a torn
    /// write, too, when the log is opened again.
    ///
    /// # Errors
    /// As [`Wal::sync`].
    pub fn close(mut self) -> Result<(), SyncError> {
        self.sync()?;
        self.poisoning(Self::write_mark)
    }

    /// The number of the last record that was appended; of the one before the first if none was.
    pub fn last(&self) -> Sequence {
        self.first.plus(self.waiting).prev()
    }

    /// The number of the last record that is durable.
    pub fn durable(&self) -> Sequence {
        self.first.prev()
    }

    /// The number of the first record that is kept, or will be.
    pub fn first_kept(&self) -> Sequence {
        self.older.front().map_or(self.active.header.first, |&(_, first)| first)
    }

    /// The head as it was set last, synced or not.
    pub fn head(&self) -> Option<&[u8]> {
        self.head.as_deref()
    }

    /// How many segments there are.
    pub fn segments(&self) -> usize {
        self.older.len() + 1
    }

    fn sound(&self) -> Result<(), Poisoned> {
        match &self.poison {
            Some(poison) => Err(poison.clone()),
            None => Ok(()),
        }
    }

    /// Does something that must not fail.
    fn poisoning(
        &mut self,
        act: impl FnOnce(&mut Self) -> Result<(), Failed>,
    ) -> Result<(), SyncError> {
        act(self).map_err(|failed| {
            if !self.options.planted.is(Mutant::RetriesFailedSync) {
                let because = format!("{} {}: {}", failed.action, failed.file, failed.source);
                self.poison = Some(Poisoned { because });
            }
            failed.into()
        })
    }

    fn write_batch(&mut self) -> Result<(), Failed> {
        let len = self.buffer.len() as u64;
        if self.is_full_for(len) {
            self.next_segment()?;
        }
        let at = self.active.next_frame();
        let header = FrameHeader {
            checksum: 0,
            kind: Kind::Batch,
            body: (self.buffer.len() - FRAME_LEN) as u32,
            segment: self.active.header.segment,
            offset: at,
            durable: at,
            first: self.first,
            records: self.waiting,
            floor: self.floor,
        };
        let checksum = header.seal(&mut self.buffer, self.active.header.log);
        self.prepare(at + len)?;
        let Self { files, active, buffer, .. } = self;
        files.write_at(&active.file, at, buffer).or_failed("write", &active.name)?;
        let early = self.options.planted.is(Mutant::RetriesFailedSync);
        if early {
            self.batch_done(header, checksum);
        }
        if !self.options.planted.is(Mutant::AcksBeforeSync) {
            self.files.sync(&self.active.file).or_failed("sync", &self.active.name)?;
        }
        if !early {
            self.batch_done(header, checksum);
        }
        // Not sooner: a log that is hardly written to shall take little room, and no time of the disk's.
        if self.active.end > self.active.prepared / 2 {
            self.stock.replenish(&mut self.files, self.active.header.segment);
        }
        Ok(())
    }

    /// Whether a frame of `len` bytes belongs in the next segment: because this one would get too long,
    /// or would have to grow while a file for the next one lies ready.
    fn is_full_for(&mut self, len: u64) -> bool {
        let end = self.active.next_frame() + len;
        let grows = self.options.prepare_step() > 0 && end > self.active.prepared;
        let full = end > self.options.segment_len() || grows && self.stock.is_ready();
        full && !self.active.is_fresh()
    }

    fn batch_done(&mut self, header: FrameHeader, checksum: u64) {
        self.active.end = header.end();
        self.active.checksum = checksum;
        self.active.prepared = self.active.prepared.max(header.end());
        self.first = header.next_sequence();
        self.waiting = 0;
        self.buffer.truncate(FRAME_LEN);
        self.buffer.shrink_to(BUFFER_KEPT);
        if let Some(head) = &self.head {
            let safe = self.safe_head.get_or_insert_default();
            safe.clear();
            safe.extend_from_slice(head);
        }
    }

    /// Writes zeroes ahead of a frame that ends at `end`, if it goes beyond what was written. Not while
    /// the next segment is being made: this one gives way to it soon.
    fn prepare(&mut self, end: u64) -> Result<(), Failed> {
        let step = self.options.prepare_step();
        let from = self.active.prepared;
        if step == 0 || end <= from || self.stock.is_making() {
            return Ok(());
        }
        let upto = (end + step).min(self.options.segment_len().max(end));
        let len = (upto - from).min(ZEROES_MAX) as usize;
        self.zeroes.resize(self.zeroes.len().max(len), 0);
        let mut at = from;
        while at < upto {
            let len = (upto - at).min(ZEROES_MAX) as usize;
            self.files
                .write_at(&self.active.file, at, &self.zeroes[..len])
                .or_failed("write", &self.active.name)?;
            at += len as u64;
        }
        self.active.prepared = upto;
        Ok(())
    }

    fn write_mark(&mut self) -> Result<(), Failed> {
        let (end, checksum) =
            write_frame(&mut self.files, &self.active, Kind::Mark, self.first, self.floor, &[])?;
        self.active.end = end;
        self.active.checksum = checksum;
        self.active.prepared = self.active.prepared.max(end);
        Ok(())
    }

    /// Begins the next segment. All of this one is durable.
    fn next_segment(&mut self) -> Result<(), Failed> {
        let spare = self.stock.take();
        let header = SegmentHeader {
            align: self.options.alignment(),
            log: self.active.header.log,
            segment: self.active.header.segment + 1,
            first: self.first,
            previous_end: self.active.end,
            previous_checksum: self.active.checksum,
            floor: self.floor,
            recycled: spare.as_ref().is_some_and(|spare| !spare.zeroes),
        };
        let head = if self.options.planted.is(Mutant::ForgetsHead) {
            None
        } else {
            self.safe_head.as_deref()
        };
        let next = segment::begin(
            &mut self.files,
            header,
            head,
            spare.as_ref().map(|spare| spare.name.as_str()),
            self.options.prepare_step().min(self.options.segment_len()),
            !self.options.planted.is(Mutant::SkipsDirSync),
        )?;
        // Now that the next one is there for good, this one says so: should it go missing, that shows.
        if !self.options.planted.is(Mutant::ForgetsSeal) {
            let old = &self.active;
            write_frame(&mut self.files, old, Kind::Seal, self.first, self.floor, &[])?;
        }
        let old = std::mem::replace(&mut self.active, next);
        self.older.push_back((old.header.segment, old.header.first));
        Ok(())
    }

    /// Drops all segments before the floor, oldest first, each for good before the next.
    fn drop_segments(&mut self) -> Result<(), Failed> {
        let backwards = self.options.planted.is(Mutant::DropsNewestFirst);
        while self.older.front().is_some_and(|&(id, _)| id < self.floor) {
            let place = match backwards {
                true => self.older.partition_point(|&(id, _)| id < self.floor) - 1,
                false => 0,
            };
            let Some((id, _)) = self.older.remove(place) else { return Ok(()) };
            let name = segment_name(id);
            // One that a huge batch had to itself is not worth its room.
            let file = self.files.open(&name).or_failed("open", &name)?;
            let len = self.files.len(&file).or_failed("measure", &name)?;
            let handy = len <= 2 * self.options.segment_len();
            if handy && self.stock.has_room() {
                let spare = spare_name(id);
                self.files.rename(&name, &spare).or_failed("rename", &name)?;
                self.files.sync_dir().or_failed("sync the directory of", &name)?;
                self.stock.put(spare);
            } else {
                self.files.remove(&name).or_failed("remove", &name)?;
                self.files.sync_dir().or_failed("sync the directory of", &name)?;
            }
        }
        Ok(())
    }
}

/// How many zeroes are written at a time, in bytes.
const ZEROES_MAX: u64 = 4 << 20;

/// The numbers of all segments, ascending; the names of all spares; whether a segment was begun and
/// not finished.
fn survey<F: Files>(files: &mut F) -> Result<(Vec<u64>, Vec<String>, bool), OpenError> {
    let (mut segments, mut spares, mut unfinished) = (Vec::new(), Vec::new(), false);
    for name in files.list().or_failed("list", "the directory")? {
        match Name::parse(&name) {
            Some(Name::Lock) => {}
            Some(Name::Next) => unfinished = true,
            Some(Name::Segment(id)) => segments.push(id),
            Some(Name::Spare(_)) => spares.push(name),
            None => return Err(OpenError::Foreign { file: name }),
        }
    }
    segments.sort_unstable();
    spares.sort_unstable();
    Ok((segments, spares, unfinished))
}

fn first_segment<F: Files>(files: &mut F, options: &Options) -> Result<Active<F::File>, OpenError> {
    let header = SegmentHeader {
        align: options.alignment(),
        log: files.random(),
        segment: 1,
        first: Sequence::ZERO.next(),
        previous_end: 0,
        previous_checksum: 0,
        floor: 1,
        recycled: false,
    };
    let prepare = options.prepare_step().min(options.segment_len());
    Ok(segment::begin(files, header, None, None, prepare, true)?)
}
