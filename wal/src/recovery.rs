//! Recovery: what a log holds when it is opened, and what may be done about damage.
//!
//! **Damage at a place is a torn write if nothing proves that the place was durable**; it is
//! corruption if something does: a sound frame further on that was written when all before it was
//! durable, or a later segment, or that segments get their names with a durable beginning.

use std::collections::VecDeque;
use std::ops::Range;

use crate::error::{Corrupt, OpenError};
use crate::files::Files;
use crate::format::{
    self, FRAME_LEN, FrameHeader, HEADER_LEN, HeaderProblem, Item, Kind, SegmentHeader, Sequence,
};
use crate::mutants::Mutant;
use crate::options::Options;
use crate::segment::{Active, NoFrame, Reader, segment_name};

/// What a log is made of, one after the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Replay<'a> {
    /// The head, as [`Wal::set_head`](crate::Wal::set_head) left it at this point. The first one
    /// comes before all records that follow it, even if the records before it are gone.
    Head(&'a [u8]),
    /// A record.
    Record {
        /// Its number.
        sequence: Sequence,
        /// What was appended.
        bytes: &'a [u8],
    },
}

/// What was found when a log was opened.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Recovered {
    /// The number of the first record that was shown, or would have been. If a compaction was cut
    /// short these are more than [`Wal::first_kept`](crate::Wal::first_kept) says: it was finished.
    pub first: Sequence,
    /// The number that the next record will get.
    pub next: Sequence,
    /// The head as it was set last; none if it never was.
    pub head: Option<Vec<u8>>,
    /// The end of a write that was never finished, which was cut off.
    pub torn: Option<Torn>,
    /// Records that were given up because they were corrupt
    /// ([`OnCorruption::Truncate`](crate::OnCorruption::Truncate)), now or at an earlier open, by
    /// their numbers; the heads between them are lost, too. A gap whose two ends are equal lost no
    /// record that is known of. Stays until compaction drops the segment.
    pub gaps: Vec<Range<Sequence>>,
    /// What was corrupt, if something was given up just now.
    pub corrupt: Option<Corrupt>,
}

/// What was left of a write that was never finished. None of it was ever called durable, unless the
/// disk lost the very last write that it had called durable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Torn {
    /// In which file.
    pub file: String,
    /// From which byte on.
    pub offset: u64,
    /// How many bytes there were up to the last one that is not zero.
    pub bytes: u64,
}

/// What is known of a log after it was read.
pub(crate) struct Found<T> {
    pub(crate) recovered: Recovered,
    pub(crate) active: Active<T>,
    /// The segments before it, oldest first, each with the number of its first record.
    pub(crate) older: VecDeque<(u64, Sequence)>,
    pub(crate) floor: u64,
}

/// Where a segment must end, as the next one says.
#[derive(Clone, Copy)]
struct Limit {
    end: u64,
    checksum: u64,
    first: Sequence,
}

/// Where reading a segment stopped.
pub(crate) struct Stop {
    /// Where the next frame would begin.
    pub(crate) at: u64,
    /// The last sound frame.
    pub(crate) last: FrameHeader,
    pub(crate) sealed: bool,
    pub(crate) why: Why,
}

pub(crate) enum Why {
    /// It is all there, as the next segment says.
    Whole,
    /// Nothing follows that was ever durable; what is to be wiped ends here.
    End {
        wipe: Option<u64>,
        torn: u64,
    },
    Corrupt(Corrupt),
}

pub(crate) struct Recovery<'a, F: Files, V> {
    pub(crate) files: &'a mut F,
    pub(crate) options: &'a Options,
    pub(crate) visit: V,
    pub(crate) log: u64,
    /// The number that the next record must have.
    pub(crate) expected: Sequence,
    pub(crate) floor: u64,
    pub(crate) recovered: Recovered,
}

fn corrupt<T: Into<String>>(file: String, offset: u64, problem: T) -> Corrupt {
    Corrupt { file, offset, problem: problem.into() }
}

impl<'a, F: Files, V: FnMut(Replay<'_>)> Recovery<'a, F, V> {
    pub(crate) fn new(files: &'a mut F, options: &'a Options, visit: V) -> Self {
        Self {
            files,
            options,
            visit,
            log: 0,
            expected: Sequence::ZERO,
            floor: 0,
            recovered: Recovered::default(),
        }
    }

    fn heed(&self) -> bool {
        !self.options.planted.is(Mutant::IgnoresChecksum)
    }

    /// Reads segments `ids`, ascending and at least one; then cuts, repairs and proves its end.
    pub(crate) fn run(mut self, ids: &[u64]) -> Result<Found<F::File>, OpenError> {
        let (headers, trouble) = self.headers(ids)?;
        if let Some(trouble) = &trouble
            && (headers.is_empty() || !self.options.truncates())
        {
            return Err(OpenError::Corrupt(trouble.clone()));
        }
        self.log = headers[0].log;
        self.expected = headers[0].first;
        self.recovered.first = headers[0].first;
        let mut stops: Vec<Stop> = Vec::new();
        let mut damage = None;
        for (place, header) in headers.iter().enumerate() {
            let limit = headers.get(place + 1).map(|next| Limit {
                end: next.previous_end,
                checksum: next.previous_checksum,
                first: next.first,
            });
            let stop = self.segment(header, limit, place == 0)?;
            let why = match &stop {
                Ok(stop) => match &stop.why {
                    Why::Corrupt(why) => Some(why.clone()),
                    Why::Whole | Why::End { .. } => None,
                },
                Err(why) => Some(why.clone()),
            };
            stops.extend(stop);
            if why.is_some() {
                damage = why;
                break;
            }
        }
        let damage = damage.or(trouble).or_else(|| self.missing_start(ids[0]));
        match damage {
            Some(damage) if !self.options.truncates() || stops.is_empty() => {
                Err(OpenError::Corrupt(damage))
            }
            Some(damage) => self.repair(ids, &headers, &stops, damage),
            None => self.settle(&headers, &stops),
        }
    }

    /// The headers of all segments up to the first that is missing or has none, and that one.
    fn headers(&mut self, ids: &[u64]) -> Result<(Vec<SegmentHeader>, Option<Corrupt>), OpenError> {
        let mut headers: Vec<SegmentHeader> = Vec::new();
        for (place, &id) in ids.iter().enumerate() {
            let due = ids[0] + place as u64;
            if id != due {
                let problem = format!("it is missing, expected it before {}", segment_name(id));
                return Ok((headers, Some(corrupt(segment_name(due), 0, problem))));
            }
            match self.header(id, headers.last())? {
                Ok(header) => headers.push(header),
                Err(problem) => return Ok((headers, Some(corrupt(segment_name(id), 0, problem)))),
            }
        }
        Ok((headers, None))
    }

    fn header(
        &mut self,
        id: u64,
        previous: Option<&SegmentHeader>,
    ) -> Result<Result<SegmentHeader, String>, OpenError> {
        let heed = self.heed();
        let name = segment_name(id);
        let mut reader = Reader::open(self.files, name.clone())?;
        let header = match SegmentHeader::decode(reader.bytes(self.files, 0, HEADER_LEN)?, heed) {
            Ok(header) => header,
            Err(HeaderProblem::Version(found)) => {
                return Err(OpenError::Version { file: name, found, expected: format::VERSION });
            }
            Err(HeaderProblem::Bad(problem)) => return Ok(Err(problem.to_owned())),
        };
        if header.segment != id {
            let problem = format!("it is segment {}, expected {id} by its name", header.segment);
            return Ok(Err(problem));
        }
        if let Some(previous) = previous {
            if header.log != previous.log {
                return Ok(Err("it is of another log, expected one log in a directory".into()));
            }
            if header.first < previous.first {
                return Ok(Err(format!(
                    "it begins with {}, expected at least {}",
                    header.first, previous.first
                )));
            }
        }
        Ok(Ok(header))
    }

    /// Reads one segment and shows what is in it. An error is damage where it begins.
    fn segment(
        &mut self,
        header: &SegmentHeader,
        limit: Option<Limit>,
        oldest: bool,
    ) -> Result<Result<Stop, Corrupt>, OpenError> {
        let heed = self.heed();
        let name = segment_name(header.segment);
        self.floor = self.floor.max(header.floor);
        let mut at = format::first_frame(header.align);
        let mut last: Option<FrameHeader> = None;
        let mut reader = Reader::open(self.files, name.clone())?;
        loop {
            if let (Some(limit), Some(frame)) = (limit, last)
                && frame.end() >= limit.end
            {
                return Ok(Ok(self.limited(&mut reader, header, frame, limit, at)?));
            }
            let found = reader.frame(self.files, at, self.log, heed)?;
            let sound = match found {
                Ok(frame) if self.is_here(&frame, header, at) => frame,
                other => {
                    let proven = limit.is_some() || last.is_none();
                    let why = self.unsound(&mut reader, header, other, at, proven)?;
                    let Some(last) = last else { return Ok(Err(must_be_corrupt(why))) };
                    return Ok(Ok(Stop { at, last, sealed: false, why }));
                }
            };
            if sound.kind == Kind::Seal {
                let why = corrupt(
                    segment_name(header.segment + 1),
                    0,
                    format!("it is missing, expected it because {name} says that it follows"),
                );
                let Some(last) = last else { return Ok(Err(why)) };
                return Ok(Ok(Stop { at, last, sealed: true, why: Why::Corrupt(why) }));
            }
            if let Err(problem) = self.show(&mut reader, &sound, at, oldest, last.is_none())? {
                let why = corrupt(name, at, problem);
                let Some(last) = last else { return Ok(Err(why)) };
                return Ok(Ok(Stop { at, last, sealed: false, why: Why::Corrupt(why) }));
            }
            last = Some(sound);
            at = format::align_up(sound.end(), header.align);
        }
    }

    fn is_here(&self, frame: &FrameHeader, header: &SegmentHeader, at: u64) -> bool {
        let any = self.options.planted.is(Mutant::RecycledRecordsRead);
        any || (frame.segment == header.segment && frame.offset == at)
    }

    /// The segment goes as far as the next one says, or further.
    fn limited(
        &mut self,
        reader: &mut Reader<F::File>,
        header: &SegmentHeader,
        last: FrameHeader,
        limit: Limit,
        at: u64,
    ) -> Result<Stop, OpenError> {
        let whole = last.end() == limit.end
            && (last.checksum == limit.checksum || !self.heed())
            && self.expected == limit.first;
        let name = segment_name(header.segment);
        let seal = reader.frame(self.files, at, self.log, true)?;
        let sealed = seal.is_ok_and(|it| it.kind == Kind::Seal && it.segment == header.segment);
        let why = if whole {
            Why::Whole
        } else {
            let problem = format!(
                "it ends at byte {} before {}, expected byte {} and {} as the next segment says",
                last.end(),
                self.expected,
                limit.end,
                limit.first
            );
            Why::Corrupt(corrupt(name, last.offset, problem))
        };
        Ok(Stop { at, last, sealed, why })
    }

    /// There is no frame of this segment at `at`: its end, or corruption?
    fn unsound(
        &mut self,
        reader: &mut Reader<F::File>,
        header: &SegmentHeader,
        found: Result<FrameHeader, NoFrame>,
        at: u64,
        proven: bool,
    ) -> Result<Why, OpenError> {
        let name = segment_name(header.segment);
        let mut problem = match found {
            Err(no) => no.problem().to_owned(),
            Ok(frame) if header.recycled && frame.segment < header.segment => {
                format!(
                    "a frame of segment {}, which had this file before, is there",
                    frame.segment
                )
            }
            Ok(frame) => {
                // Sound, but written for another place: no torn write leaves that.
                let problem = format!(
                    "the frame there is of segment {} at byte {}, expected one of this place",
                    frame.segment, frame.offset
                );
                return Ok(Why::Corrupt(corrupt(name, at, problem)));
            }
        };
        if proven {
            problem.push_str(", expected a sound one: it was durable before a later write");
            return Ok(Why::Corrupt(corrupt(name, at, problem)));
        }
        let beyond = reader.beyond(self.files, at, self.log, header.segment)?;
        if let Some(proof) = beyond.proof
            && !self.options.planted.is(Mutant::CutsInTheMiddle)
        {
            problem.push_str(&format!(
                ", expected a sound one: the frame at byte {proof} shows that it was durable"
            ));
            return Ok(Why::Corrupt(corrupt(name, at, problem)));
        }
        // In a file that was used before, whatever is not ours may be from then.
        let used = match found {
            _ if !header.recycled => beyond.used,
            Err(NoFrame::Checksum) => {
                let claimed = FrameHeader::claimed_body(reader.bytes(self.files, at, FRAME_LEN)?);
                (at + FRAME_LEN as u64 + u64::from(claimed)).min(reader.len).max(beyond.end)
            }
            Ok(_) | Err(NoFrame::Nothing | NoFrame::Unknown | NoFrame::Short) => beyond.end,
        };
        let wipe = (used > at).then_some(used);
        Ok(Why::End { wipe, torn: used - at })
    }

    /// Checks what a sound frame says, and hands out what is in it.
    fn show(
        &mut self,
        reader: &mut Reader<F::File>,
        frame: &FrameHeader,
        at: u64,
        oldest: bool,
        opening: bool,
    ) -> Result<Result<(), String>, OpenError> {
        let mut body = reader.body(self.files, frame, at)?;
        if frame.durable > at {
            return Ok(Err("the frame there claims that bytes after it are durable".into()));
        }
        if opening != (frame.kind == Kind::Start) {
            return Ok(Err("a frame is out of order, expected one `Start`, at the start".into()));
        }
        if frame.kind == Kind::Gap {
            let Some(from) = body.first_chunk::<8>().filter(|_| frame.first >= self.expected)
            else {
                return Ok(Err("a gap is malformed, expected where it begins".into()));
            };
            let from = Sequence::new(u64::from_le_bytes(*from));
            self.recovered.gaps.push(from..frame.first);
            self.expected = frame.first;
            self.floor = self.floor.max(frame.floor);
            return Ok(Ok(()));
        }
        if frame.first != self.expected {
            return Ok(Err(format!(
                "the frame there begins with {}, expected {}",
                frame.first, self.expected
            )));
        }
        let mut sequence = frame.first;
        while !body.is_empty() {
            match format::take_item(&mut body) {
                Some(Item::Record(bytes)) => {
                    (self.visit)(Replay::Record { sequence, bytes });
                    sequence = sequence.next();
                }
                Some(Item::Head(head)) => {
                    self.recovered.head = Some(head.to_vec());
                    if !opening || oldest {
                        (self.visit)(Replay::Head(head));
                    }
                }
                None => {
                    return Ok(Err("the frame there is malformed, expected whole items".into()));
                }
            }
        }
        if sequence != frame.next_sequence() {
            return Ok(Err("the frame there has another number of records than it says".into()));
        }
        if opening && frame.body == 0 {
            self.recovered.head = None;
        }
        self.expected = sequence;
        self.floor = self.floor.max(frame.floor);
        Ok(Ok(()))
    }

    fn missing_start(&mut self, oldest: u64) -> Option<Corrupt> {
        if oldest <= self.floor || self.options.planted.is(Mutant::ForgetsFloor) {
            return None;
        }
        let problem = format!("it is missing, expected it as the oldest, not {oldest}");
        Some(corrupt(segment_name(self.floor), 0, problem))
    }
}

/// Damage to how a segment begins is never taken for a torn write.
fn must_be_corrupt(why: Why) -> Corrupt {
    match why {
        Why::Corrupt(corrupt) => corrupt,
        Why::Whole | Why::End { .. } => unreachable!("how a segment begins is proven by its name"),
    }
}
