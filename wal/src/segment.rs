//! Segments: the names of their files, how they are read, how one is begun.

use crate::error::{Failed, Naming as _};
use crate::files::Files;
use crate::format::{self, FRAME_LEN, FrameHeader, HEADER_LEN, Kind, SegmentHeader, Sequence};

/// The file that keeps others out.
pub(crate) const LOCK: &str = "lock";
/// A segment that is not finished yet.
pub(crate) const NEXT: &str = "next.tmp";

/// What a file in the directory of a log is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Name {
    Lock,
    Next,
    Segment(u64),
    Spare(u64),
}

impl Name {
    /// None for a file that is not ours.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name {
            LOCK => return Some(Self::Lock),
            NEXT => return Some(Self::Next),
            _ => {}
        }
        let (kind, digits) = name.split_once('-')?;
        if digits.len() != 20 || !digits.bytes().all(|it| it.is_ascii_digit()) {
            return None;
        }
        let id = digits.parse().ok().filter(|&id| id > 0)?;
        match kind {
            "segment" => Some(Self::Segment(id)),
            "spare" => Some(Self::Spare(id)),
            _ => None,
        }
    }
}

pub(crate) fn segment_name(id: u64) -> String {
    format!("segment-{id:020}")
}

pub(crate) fn spare_name(id: u64) -> String {
    format!("spare-{id:020}")
}

/// How much is read at a time, in bytes.
const CHUNK: usize = 1 << 20;

/// Reads a file through a window.
pub(crate) struct Reader<T> {
    file: T,
    pub(crate) name: String,
    pub(crate) len: u64,
    window: Vec<u8>,
    /// Where the window begins, and how much of it is filled.
    at: u64,
    filled: usize,
}

/// Why there is no frame at some place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NoFrame {
    /// Zeroes, or the end of the file.
    Nothing,
    /// Something else.
    Unknown,
    /// A header that claims more than the file has.
    Short,
    /// The checksum does not match.
    Checksum,
}

impl NoFrame {
    pub(crate) fn problem(self) -> &'static str {
        match self {
            Self::Nothing => "nothing is there",
            Self::Unknown => "what is there does not begin as a frame does",
            Self::Short => "the frame there claims to be longer than the file",
            Self::Checksum => "the checksum of the frame there does not match",
        }
    }
}

impl<T: Send> Reader<T> {
    pub(crate) fn open<F: Files<File = T>>(files: &mut F, name: String) -> Result<Self, Failed> {
        let file = files.open(&name).or_failed("open", &name)?;
        let len = files.len(&file).or_failed("measure", &name)?;
        Ok(Self { file, name, len, window: Vec::new(), at: 0, filled: 0 })
    }

    /// The `len` bytes at `offset`, or as many as there are.
    pub(crate) fn bytes<F: Files<File = T>>(
        &mut self,
        files: &mut F,
        offset: u64,
        len: usize,
    ) -> Result<&[u8], Failed> {
        let len = len.min(usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX));
        let inside = offset >= self.at && offset + len as u64 <= self.at + self.filled as u64;
        if !inside {
            let rest = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
            let want = len.max(CHUNK).min(rest);
            if self.window.len() < want {
                self.window.resize(want, 0);
            }
            let window = &mut self.window[..want];
            self.filled =
                files.read_at(&self.file, offset, window).or_failed("read", &self.name)?;
            self.at = offset;
        }
        let start = (offset - self.at) as usize;
        Ok(&self.window[start..(start + len).min(self.filled)])
    }

    /// The frame at `offset`, if it is sound, whatever segment it is of.
    pub(crate) fn frame<F: Files<File = T>>(
        &mut self,
        files: &mut F,
        offset: u64,
        log: u64,
        heed: bool,
    ) -> Result<Result<FrameHeader, NoFrame>, Failed> {
        let header = self.bytes(files, offset, FRAME_LEN)?;
        if !FrameHeader::is_likely(header) {
            let nothing = header.iter().all(|&it| it == 0);
            return Ok(Err(if nothing { NoFrame::Nothing } else { NoFrame::Unknown }));
        }
        let len = FRAME_LEN + FrameHeader::claimed_body(header) as usize;
        let frame = self.bytes(files, offset, len)?;
        if frame.len() < len {
            return Ok(Err(NoFrame::Short));
        }
        Ok(FrameHeader::verify(frame, log, heed).ok_or(NoFrame::Checksum))
    }

    /// What follows the header of a frame that was found.
    pub(crate) fn body<F: Files<File = T>>(
        &mut self,
        files: &mut F,
        frame: &FrameHeader,
        offset: u64,
    ) -> Result<&[u8], Failed> {
        self.bytes(files, offset + FRAME_LEN as u64, frame.body as usize)
    }

    /// What the rest of the file, from after `offset` on, says about damage at `offset`.
    pub(crate) fn beyond<F: Files<File = T>>(
        &mut self,
        files: &mut F,
        offset: u64,
        log: u64,
        segment: u64,
    ) -> Result<Beyond, Failed> {
        let mut beyond = Beyond { proof: None, end: offset, used: offset, last: Sequence::ZERO };
        let step = format::ALIGN_MIN as usize;
        let mut at = offset;
        while at < self.len {
            // Overlapping by a header, so that none is missed where two chunks meet.
            let chunk = self.bytes(files, at, CHUNK)?;
            if let Some(last) = chunk.iter().rposition(|&it| it != 0) {
                beyond.used = at + last as u64 + 1;
            }
            let likely = |place: &usize| FrameHeader::is_likely(&chunk[*place..]);
            let places: Vec<usize> = (0..chunk.len()).step_by(step).filter(likely).collect();
            let taken = if chunk.len() < CHUNK { chunk.len() } else { CHUNK - FRAME_LEN };
            for place in places.into_iter().filter(|&place| place < taken) {
                let place = at + place as u64;
                if place > offset {
                    self.look(files, (place, offset), (log, segment), &mut beyond)?;
                }
            }
            at += taken.max(1) as u64;
        }
        Ok(beyond)
    }

    fn look<F: Files<File = T>>(
        &mut self,
        files: &mut F,
        (place, damage): (u64, u64),
        (log, segment): (u64, u64),
        beyond: &mut Beyond,
    ) -> Result<(), Failed> {
        let Ok(frame) = self.frame(files, place, log, true)? else { return Ok(()) };
        if frame.segment != segment || frame.offset != place {
            return Ok(());
        }
        beyond.last = beyond.last.max(frame.next_sequence().prev());
        beyond.end = beyond.end.max(frame.end());
        if frame.durable > damage && beyond.proof.is_none() {
            beyond.proof = Some(place);
        }
        Ok(())
    }
}

/// What comes after damage.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beyond {
    /// The first sound frame that was written when the damaged place was durable.
    pub(crate) proof: Option<u64>,
    /// Where the last sound frame ends.
    pub(crate) end: u64,
    /// Where the zeroes up to the end of the file begin.
    pub(crate) used: u64,
    /// The last record number that a sound frame names.
    pub(crate) last: Sequence,
}

/// The segment that is written to.
pub(crate) struct Active<T> {
    pub(crate) file: T,
    pub(crate) name: String,
    pub(crate) header: SegmentHeader,
    /// Where the last frame ends, and its checksum.
    pub(crate) end: u64,
    pub(crate) checksum: u64,
    /// Up to where bytes were written, zeroes mostly.
    pub(crate) prepared: u64,
}

impl<T> Active<T> {
    /// Where the next frame begins.
    pub(crate) fn next_frame(&self) -> u64 {
        format::align_up(self.end, self.header.align)
    }

    /// Whether nothing was written to it but how it begins.
    pub(crate) fn is_fresh(&self) -> bool {
        self.end <= format::first_frame(self.header.align) + FRAME_LEN as u64
    }
}

/// A frame of its own, with its header written.
pub(crate) fn frame(header: FrameHeader, body: &[u8], log: u64) -> (Vec<u8>, u64) {
    let mut bytes = vec![0; FRAME_LEN];
    bytes.extend_from_slice(body);
    let checksum = header.seal(&mut bytes, log);
    (bytes, checksum)
}

/// Makes a segment under another name: header, first frame and, unless it is written over an old
/// one, `prepare` bytes of zeroes. When it is all durable, and only then, it gets its name: a segment
/// that has its name has a sound beginning, so damage there is never taken for a torn write.
pub(crate) fn begin<F: Files>(
    files: &mut F,
    header: SegmentHeader,
    head: Option<&[u8]>,
    spare: Option<&str>,
    prepare: u64,
    sync_dir: bool,
) -> Result<Active<F::File>, Failed> {
    let working = spare.unwrap_or(NEXT);
    let file = match spare {
        Some(spare) => files.open(spare).or_failed("open", spare)?,
        None => files.create(NEXT).or_failed("create", NEXT)?,
    };
    let at = format::first_frame(header.align);
    let mut body = Vec::new();
    if let Some(head) = head {
        body.extend_from_slice(&format::head_prefix(head.len()));
        body.extend_from_slice(head);
    }
    let start = FrameHeader {
        checksum: 0,
        kind: Kind::Start,
        body: body.len() as u32,
        segment: header.segment,
        offset: at,
        durable: 0,
        first: header.first,
        records: 0,
        floor: header.floor,
    };
    let (frame, checksum) = frame(start, &body, header.log);
    let mut bytes = header.encode().to_vec();
    debug_assert_eq!(bytes.len(), HEADER_LEN);
    bytes.resize(at as usize, 0);
    bytes.extend_from_slice(&frame);
    let end = bytes.len() as u64;
    if spare.is_none() && (bytes.len() as u64) < prepare {
        bytes.resize(prepare as usize, 0);
    }
    files.write_at(&file, 0, &bytes).or_failed("write", working)?;
    files.sync(&file).or_failed("sync", working)?;
    let name = segment_name(header.segment);
    files.rename(working, &name).or_failed("rename", working)?;
    if sync_dir {
        files.sync_dir().or_failed("sync the directory of", &name)?;
    }
    let prepared = files.len(&file).or_failed("measure", &name)?;
    Ok(Active { file, name, header, end, checksum, prepared })
}
