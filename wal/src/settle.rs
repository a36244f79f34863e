//! What is done once a log was read: torn tails are cut, what is left is made durable, and what is
//! corrupt is given up if that was asked for.

use crate::error::{Corrupt, Failed, Naming as _, OpenError};
use crate::files::Files;
use crate::format::{FRAME_LEN, FrameHeader, Kind, SegmentHeader, Sequence};
use crate::mutants::Mutant;
use crate::recovery::{Found, Recovery, Replay, Stop, Torn, Why};
use crate::segment::{self, Active, Reader, segment_name};

impl<F: Files, V: FnMut(Replay<'_>)> Recovery<'_, F, V> {
    /// All is well but perhaps for a torn tail.
    pub(crate) fn settle(
        mut self,
        headers: &[SegmentHeader],
        stops: &[Stop],
    ) -> Result<Found<F::File>, OpenError> {
        let (Some(header), Some(stop)) = (headers.last(), stops.last()) else {
            unreachable!("a log has at least one segment, or is damaged")
        };
        let mut active = self.activate(header, stop)?;
        self.files.sync_dir().or_failed("sync the directory of", &active.name)?;
        if let Why::End { wipe: Some(wipe), torn } = stop.why {
            let file = active.name.clone();
            self.recovered.torn = Some(Torn { file, offset: stop.at, bytes: torn });
            if self.options.planted.is(Mutant::KeepsTornTail) {
                active.end = stop.at + torn;
            } else {
                self.wipe(&mut active, stop.at, wipe)?;
            }
        }
        self.seal_previous(headers, stops)?;
        if !self.options.planted.is(Mutant::TrustsPageCache) {
            self.write_again(&active, stop)?;
            if stop.last.kind != Kind::Mark || stop.last.floor != self.floor {
                self.mark(&mut active)?;
            }
        }
        self.finish(headers, active)
    }

    fn activate(
        &mut self,
        header: &SegmentHeader,
        stop: &Stop,
    ) -> Result<Active<F::File>, OpenError> {
        let name = segment_name(header.segment);
        let file = self.files.open(&name).or_failed("open", &name)?;
        let prepared = self.files.len(&file).or_failed("measure", &name)?;
        let (end, checksum) = (stop.last.end(), stop.last.checksum);
        Ok(Active { file, name, header: *header, end, checksum, prepared })
    }

    /// Zeroes from `from` to `to`, durably: nothing of a torn write is left to be misread.
    fn wipe(&mut self, active: &mut Active<F::File>, from: u64, to: u64) -> Result<(), OpenError> {
        let zeroes = vec![0; (to - from).min(1 << 20) as usize];
        let mut at = from;
        while at < to {
            let len = ((to - at) as usize).min(zeroes.len());
            self.files
                .write_at(&active.file, at, &zeroes[..len])
                .or_failed("write", &active.name)?;
            at += len as u64;
        }
        self.files.sync(&active.file).or_failed("sync", &active.name)?;
        Ok(())
    }

    /// The process may have died before it could write that the last segment follows.
    fn seal_previous(
        &mut self,
        headers: &[SegmentHeader],
        stops: &[Stop],
    ) -> Result<(), OpenError> {
        let ([.., header, next], [.., stop, _]) = (headers, stops) else { return Ok(()) };
        if stop.sealed || self.options.planted.is(Mutant::ForgetsSeal) {
            return Ok(());
        }
        let active = self.activate(header, stop)?;
        write_frame(self.files, &active, Kind::Seal, next.first, self.floor, &[])?;
        Ok(())
    }

    /// What was read last may be in the page cache only: after a crash of the process because it was
    /// not synced yet; after a failed sync because the system takes it for clean. So it is written
    /// again and synced, before a mark after it calls it durable.
    fn write_again(&mut self, active: &Active<F::File>, stop: &Stop) -> Result<(), OpenError> {
        let from = stop.last.durable;
        let len = (stop.last.end() - from) as usize;
        let name = active.name.clone();
        let mut reader = Reader::open(self.files, name.clone())?;
        let bytes = reader.bytes(self.files, from, len)?.to_vec();
        self.files.write_at(&active.file, from, &bytes).or_failed("write", &name)?;
        self.files.sync(&active.file).or_failed("sync", &name)?;
        Ok(())
    }

    fn mark(&mut self, active: &mut Active<F::File>) -> Result<(), OpenError> {
        let (end, checksum) =
            write_frame(self.files, active, Kind::Mark, self.expected, self.floor, &[])?;
        (active.end, active.checksum) = (end, checksum);
        active.prepared = active.prepared.max(end);
        Ok(())
    }

    /// Gives up all from the damage on. A crash in between leaves a log that is still refused, and
    /// can be repaired again.
    pub(crate) fn repair(
        mut self,
        ids: &[u64],
        headers: &[SegmentHeader],
        stops: &[Stop],
        damage: Corrupt,
    ) -> Result<Found<F::File>, OpenError> {
        let kept = stops.len();
        let (header, stop) = (&headers[kept - 1], &stops[kept - 1]);
        let lost_from = self.expected;
        let mut active = self.activate(header, stop)?;
        let mut last = self.expected.prev();
        for &id in ids.iter().filter(|&&id| id >= header.segment) {
            let from = if id == header.segment { stop.at } else { 0 };
            let name = segment_name(id);
            let mut reader = Reader::open(self.files, name)?;
            last = last.max(reader.beyond(self.files, from, self.log, id)?.last);
        }
        for &id in ids.iter().rev().filter(|&&id| id > header.segment) {
            let name = segment_name(id);
            self.files.remove(&name).or_failed("remove", &name)?;
            self.files.sync_dir().or_failed("sync the directory of", &name)?;
        }
        self.write_again(&active, stop)?;
        // What a lost frame said of the oldest segment is lost as well.
        self.floor = ids[0];
        self.expected = last.next();
        let body = lost_from.get().to_le_bytes();
        let (end, checksum) =
            write_frame(self.files, &active, Kind::Gap, self.expected, self.floor, &body)?;
        (active.end, active.checksum) = (end, checksum);
        active.prepared = active.prepared.max(end);
        let upto = active.prepared;
        self.wipe(&mut active, end, upto)?;
        self.mark(&mut active)?;
        self.recovered.gaps.push(lost_from..self.expected);
        self.recovered.corrupt = Some(damage);
        self.finish(&headers[..kept], active)
    }

    fn finish(
        mut self,
        headers: &[SegmentHeader],
        active: Active<F::File>,
    ) -> Result<Found<F::File>, OpenError> {
        self.recovered.next = self.expected;
        if self.options.planted.is(Mutant::ReusesSequence) && self.expected.get() > 1 {
            self.recovered.next = self.expected.prev();
        }
        let older = headers.iter().map(|it| (it.segment, it.first));
        let older = older.filter(|&(id, _)| id != active.header.segment).collect();
        Ok(Found { recovered: self.recovered, active, older, floor: self.floor })
    }
}

/// Writes a frame that is no batch where the next frame of `active` begins, and syncs it. Returns
/// where it ends, and its checksum.
pub(crate) fn write_frame<F: Files>(
    files: &mut F,
    active: &Active<F::File>,
    kind: Kind,
    first: Sequence,
    floor: u64,
    body: &[u8],
) -> Result<(u64, u64), Failed> {
    let at = active.next_frame();
    let header = FrameHeader {
        checksum: 0,
        kind,
        body: body.len() as u32,
        segment: active.header.segment,
        offset: at,
        durable: at,
        first,
        records: 0,
        floor,
    };
    let (bytes, checksum) = segment::frame(header, body, active.header.log);
    debug_assert_eq!(bytes.len(), FRAME_LEN + body.len());
    files.write_at(&active.file, at, &bytes).or_failed("write", &active.name)?;
    files.sync(&active.file).or_failed("sync", &active.name)?;
    Ok((at + bytes.len() as u64, checksum))
}
