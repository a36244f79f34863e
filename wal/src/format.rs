//! The bytes on the disk: see `FORMAT.md`. Nothing here does I/O.

use std::fmt;

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The number of a record: from 1, one more for each, never given twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Sequence(u64);

impl Sequence {
    /// Before the first record.
    pub const ZERO: Self = Self(0);

    /// The record with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// As a number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The one after it.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    pub(crate) const fn plus(self, count: u32) -> Self {
        Self(self.0.saturating_add(count as u64))
    }

    pub(crate) const fn prev(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl fmt::Debug for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.0)
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// The version of the format.
pub(crate) const VERSION: u32 = 1;
/// The length of a segment's header, in bytes.
pub(crate) const HEADER_LEN: usize = 96;
/// The length of a frame's header, in bytes.
pub(crate) const FRAME_LEN: usize = 64;
/// What stands before each record, in bytes.
pub(crate) const ITEM_LEN: usize = 4;
/// The least distance that frames begin at.
pub(crate) const ALIGN_MIN: u32 = 8;
const ALIGN_MAX: u32 = 4096;

const SEGMENT_MAGIC: [u8; 8] = *b"wal-sgmt";
const FRAME_MAGIC: [u8; 4] = *b"walf";
/// The bit of an item's length that says that it is a head.
const HEAD_BIT: u32 = 1 << 31;

pub(crate) fn is_align(align: u32) -> bool {
    align.is_power_of_two() && (ALIGN_MIN..=ALIGN_MAX).contains(&align)
}

pub(crate) fn align_up(offset: u64, align: u32) -> u64 {
    offset.next_multiple_of(u64::from(align))
}

/// Where the first frame of a segment begins.
pub(crate) fn first_frame(align: u32) -> u64 {
    align_up(HEADER_LEN as u64, align)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

/// What a segment begins with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SegmentHeader {
    pub(crate) align: u32,
    /// Drawn when the log was begun: tells its files from another log's.
    pub(crate) log: u64,
    /// From 1, one more for each.
    pub(crate) segment: u64,
    /// The number of the first record in it, if there is one.
    pub(crate) first: Sequence,
    /// Where the frames of the segment before it end, and the checksum of the last of them.
    pub(crate) previous_end: u64,
    pub(crate) previous_checksum: u64,
    /// The oldest segment that is still needed.
    pub(crate) floor: u64,
    /// Whether the file held an earlier segment.
    pub(crate) recycled: bool,
}

/// Why bytes are no header of a segment.
#[derive(Debug)]
pub(crate) enum HeaderProblem {
    Version(u32),
    Bad(&'static str),
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[8..16].copy_from_slice(&SEGMENT_MAGIC);
        bytes[16..20].copy_from_slice(&VERSION.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.align.to_le_bytes());
        let words = [
            self.log,
            self.segment,
            self.first.0,
            self.previous_end,
            self.previous_checksum,
            self.floor,
            u64::from(self.recycled),
        ];
        for (place, word) in bytes[24..].chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        let checksum = xxh3_64_with_seed(&bytes[8..], 0);
        bytes[..8].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8], heed: bool) -> Result<Self, HeaderProblem> {
        let bad = |problem| Err(HeaderProblem::Bad(problem));
        if bytes.len() < HEADER_LEN {
            return bad("the file ends within its header, expected 96 bytes");
        }
        let bytes = &bytes[..HEADER_LEN];
        if bytes[8..16] != SEGMENT_MAGIC {
            return bad("it does not begin as a segment does, expected `wal-sgmt` at byte 8");
        }
        let version = u32_at(bytes, 16);
        if version != VERSION {
            return Err(HeaderProblem::Version(version));
        }
        if heed && u64_at(bytes, 0) != xxh3_64_with_seed(&bytes[8..], 0) {
            return bad("the header's checksum does not match, expected a match");
        }
        let align = u32_at(bytes, 20);
        if !is_align(align) {
            return bad("the alignment is odd, expected a power of two from 8 to 4096");
        }
        Ok(Self {
            align,
            log: u64_at(bytes, 24),
            segment: u64_at(bytes, 32),
            first: Sequence(u64_at(bytes, 40)),
            previous_end: u64_at(bytes, 48),
            previous_checksum: u64_at(bytes, 56),
            floor: u64_at(bytes, 64),
            recycled: u64_at(bytes, 72) & 1 == 1,
        })
    }
}

/// What a frame is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Records and heads, one sync's worth.
    Batch,
    /// Nothing but what its header proves.
    Mark,
    /// The first in a segment: the head as it was then.
    Start,
    /// The last in a segment: another follows.
    Seal,
    /// What was here is lost: the numbers go on further up.
    Gap,
}

impl Kind {
    fn code(self) -> u32 {
        match self {
            Self::Batch => 0,
            Self::Mark => 1,
            Self::Start => 2,
            Self::Seal => 3,
            Self::Gap => 4,
        }
    }

    fn of(code: u32) -> Option<Self> {
        Some(match code {
            0 => Self::Batch,
            1 => Self::Mark,
            2 => Self::Start,
            3 => Self::Seal,
            4 => Self::Gap,
            _ => return None,
        })
    }
}

/// What a frame begins with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FrameHeader {
    pub(crate) checksum: u64,
    pub(crate) kind: Kind,
    /// The length of what follows the header, in bytes.
    pub(crate) body: u32,
    pub(crate) segment: u64,
    /// Where it begins.
    pub(crate) offset: u64,
    /// All bytes of its segment before this one were durable when it was written.
    pub(crate) durable: u64,
    /// The number of its first record; of the next one if it has none.
    pub(crate) first: Sequence,
    /// How many records it has.
    pub(crate) records: u32,
    /// The oldest segment that is still needed.
    pub(crate) floor: u64,
}

impl FrameHeader {
    pub(crate) fn end(&self) -> u64 {
        self.offset + FRAME_LEN as u64 + u64::from(self.body)
    }

    pub(crate) fn next_sequence(&self) -> Sequence {
        self.first.plus(self.records)
    }

    /// Whether bytes look like the header of some frame.
    pub(crate) fn is_likely(bytes: &[u8]) -> bool {
        bytes.len() >= FRAME_LEN && bytes[8..12] == FRAME_MAGIC
    }

    /// The length of the body that the header at the start of `bytes` claims.
    pub(crate) fn claimed_body(bytes: &[u8]) -> u32 {
        u32_at(bytes, 12)
    }

    /// Writes the header over the start of `frame`, whose rest is the body; returns its checksum.
    pub(crate) fn seal(&self, frame: &mut [u8], log: u64) -> u64 {
        frame[8..12].copy_from_slice(&FRAME_MAGIC);
        frame[12..16].copy_from_slice(&self.body.to_le_bytes());
        let words = [self.segment, self.offset, self.durable, self.first.0, self.floor];
        for (place, word) in frame[16..56].chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        frame[56..60].copy_from_slice(&self.records.to_le_bytes());
        frame[60..64].copy_from_slice(&self.kind.code().to_le_bytes());
        let checksum = xxh3_64_with_seed(&frame[8..], log);
        frame[..8].copy_from_slice(&checksum.to_le_bytes());
        checksum
    }

    /// The header of `frame`, which is as long as it claims to be; none unless its checksum matches.
    pub(crate) fn verify(frame: &[u8], log: u64, heed: bool) -> Option<Self> {
        let checksum = u64_at(frame, 0);
        if heed && checksum != xxh3_64_with_seed(&frame[8..], log) {
            return None;
        }
        Some(Self {
            checksum,
            kind: Kind::of(u32_at(frame, 60))?,
            body: u32_at(frame, 12),
            segment: u64_at(frame, 16),
            offset: u64_at(frame, 24),
            durable: u64_at(frame, 32),
            first: Sequence(u64_at(frame, 40)),
            floor: u64_at(frame, 48),
            records: u32_at(frame, 56),
        })
    }
}

/// One thing in the body of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Item<'a> {
    Record(&'a [u8]),
    Head(&'a [u8]),
}

/// What stands before a record of `len` bytes.
pub(crate) fn record_prefix(len: usize) -> [u8; ITEM_LEN] {
    (len as u32).to_le_bytes()
}

/// What stands before a head of `len` bytes.
pub(crate) fn head_prefix(len: usize) -> [u8; ITEM_LEN] {
    (len as u32 | HEAD_BIT).to_le_bytes()
}

/// Takes the first item off `body`; none if there is none, or it is malformed.
pub(crate) fn take_item<'a>(body: &mut &'a [u8]) -> Option<Item<'a>> {
    let (prefix, rest) = body.split_first_chunk::<ITEM_LEN>()?;
    let prefix = u32::from_le_bytes(*prefix);
    let (item, rest) = rest.split_at_checked((prefix & !HEAD_BIT) as usize)?;
    *body = rest;
    Some(if prefix & HEAD_BIT == 0 { Item::Record(item) } else { Item::Head(item) })
}
