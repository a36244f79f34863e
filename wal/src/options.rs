//! How a log is kept.

#[cfg(feature = "mutants")]
use crate::Mutant;
use crate::OptionsError;
use crate::format;
use crate::mutants::Planted;

/// How a log is kept. The defaults are safe, and made for entries of some hundred bytes.
#[derive(Clone, Debug)]
pub struct Options {
    segment_bytes: u64,
    record_bytes_max: usize,
    batch_bytes_max: usize,
    prepare_bytes: u64,
    align: u32,
    spares_max: usize,
    create: bool,
    on_corruption: OnCorruption,
    pub(crate) planted: Planted,
}

/// What to do when durable records turn out to be damaged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnCorruption {
    /// Open nothing, change nothing, name the file and the offset.
    #[default]
    Refuse,
    /// Give up all from the damage on, for good, and tell what that was: see
    /// [`Recovered::gaps`](crate::Recovered::gaps). The head may fall back to an earlier one too.
    /// **Who has promised something that the log was to remember must not go on as if nothing had
    /// happened**: a raft node may have voted in what is lost.
    Truncate,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 32 << 20,
            record_bytes_max: 16 << 20,
            batch_bytes_max: 256 << 20,
            prepare_bytes: 4 << 20,
            align: format::ALIGN_MIN,
            spares_max: 2,
            create: true,
            on_corruption: OnCorruption::Refuse,
            planted: Planted::default(),
        }
    }
}

impl Options {
    /// The next segment is begun when this one would get longer than so many bytes, or would have to
    /// grow while a [spare](Self::spares_max) lies ready. A batch that does not fit into any segment
    /// gets a longer one. Default 32 MiB; 4 KiB to 4 GiB.
    #[must_use]
    pub fn segment_bytes(mut self, bytes: u64) -> Self {
        self.segment_bytes = bytes;
        self
    }

    /// The longest record. Default 16 MiB; 1 byte to 1 GiB.
    #[must_use]
    pub fn record_bytes_max(mut self, bytes: usize) -> Self {
        self.record_bytes_max = bytes;
        self
    }

    /// How much may wait for a sync: this bounds the memory that the log uses, here and when it is
    /// opened. Default 256 MiB; at least the longest record and 64 KiB, at most 2 GiB.
    #[must_use]
    pub fn batch_bytes_max(mut self, bytes: usize) -> Self {
        self.batch_bytes_max = bytes;
        self
    }

    /// Files begin with so many bytes of zeroes and, where no [spare](Self::spares_max) is ready or
    /// being made, grow by so many at a time, so that a sync in between changes no metadata: it is
    /// faster by a third and more where that was measured. Zero for growing with each batch, and for
    /// making no spares. Default 4 MiB; at most 1 GiB.
    #[must_use]
    pub fn prepare_bytes(mut self, bytes: u64) -> Self {
        self.prepare_bytes = bytes;
        self
    }

    /// Every batch begins at a multiple of so many bytes, a power of two from 8 to 4096. Default 8:
    /// a batch may share a sector with an earlier one, which is safe on a disk that writes a sector
    /// whole or not at all. Where a sector may be garbled by a power loss, the size of a sector keeps
    /// the damage away from what was durable; it costs space.
    ///
    /// A segment keeps what it began with; the next one takes what is set now.
    #[must_use]
    pub fn align(mut self, bytes: u32) -> Self {
        self.align = bytes;
        self
    }

    /// How many segments that are not needed any more are kept to be written over, which saves writing
    /// zeroes first. If there is none of these when half of what is prepared is written, one of as many
    /// zeroes as a segment has bytes is made beside the log, by another thread. Zero for neither.
    /// Default 2.
    #[must_use]
    pub fn spares_max(mut self, count: usize) -> Self {
        self.spares_max = count;
        self
    }

    /// Whether a log is begun where there is none. Default yes. Who knows that there was one says no,
    /// and is told of a log that was wiped.
    #[must_use]
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// What to do about corruption. Default [`OnCorruption::Refuse`].
    #[must_use]
    pub fn on_corruption(mut self, what: OnCorruption) -> Self {
        self.on_corruption = what;
        self
    }

    /// Plants a bug.
    #[cfg(feature = "mutants")]
    #[must_use]
    pub fn plant(mut self, mutant: Mutant) -> Self {
        self.planted = Planted::of(mutant);
        self
    }

    pub(crate) fn check(&self) -> Result<(), OptionsError> {
        let refuse = |field, held: u64, expected| Err(OptionsError { field, held, expected });
        if !(4096..=4 << 30).contains(&self.segment_bytes) {
            return refuse("segment_bytes", self.segment_bytes, "4 KiB to 4 GiB");
        }
        if !(1..=1 << 30).contains(&self.record_bytes_max) {
            return refuse("record_bytes_max", self.record_bytes_max as u64, "1 byte to 1 GiB");
        }
        let batch_min = (64 << 10).max(self.record_bytes_max + format::ITEM_LEN);
        if !(batch_min..=2 << 30).contains(&self.batch_bytes_max) {
            let expected = "the longest record and 64 KiB, to 2 GiB";
            return refuse("batch_bytes_max", self.batch_bytes_max as u64, expected);
        }
        if self.prepare_bytes > 1 << 30 {
            return refuse("prepare_bytes", self.prepare_bytes, "at most 1 GiB");
        }
        if !format::is_align(self.align) {
            return refuse("align", u64::from(self.align), "a power of two from 8 to 4096");
        }
        Ok(())
    }

    pub(crate) fn segment_len(&self) -> u64 {
        self.segment_bytes
    }

    pub(crate) fn record_max(&self) -> usize {
        self.record_bytes_max
    }

    pub(crate) fn batch_max(&self) -> usize {
        self.batch_bytes_max
    }

    pub(crate) fn prepare_step(&self) -> u64 {
        self.prepare_bytes
    }

    pub(crate) fn alignment(&self) -> u32 {
        self.align
    }

    pub(crate) fn spares(&self) -> usize {
        self.spares_max
    }

    pub(crate) fn creates(&self) -> bool {
        self.create
    }

    pub(crate) fn truncates(&self) -> bool {
        self.on_corruption == OnCorruption::Truncate
    }
}
