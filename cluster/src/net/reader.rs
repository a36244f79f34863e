//! From bytes that arrive to frames.

use super::budget::Share;
use super::frame::{self, Frame, GREETING_MAX};
use super::refusal::{Reason, Refused};
use super::wire::{Broken, Read1, Wire};

/// How many times one connection is read before the others have their turn.
const READS_MAX: usize = 8;
/// Buffers that grew beyond this are not kept.
const KEPT_MAX: usize = 1 << 16;

/// What has arrived of a frame that is not here whole.
#[derive(Debug)]
pub(super) struct Reader {
    partial: Vec<u8>,
    share: Share,
    /// Whether the first frame has arrived.
    begun: bool,
    body_max: usize,
}

/// How far it has come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// There is nothing more for now.
    Drained,
    /// There may be more.
    More,
    /// The other side has closed it.
    End,
}

impl Reader {
    /// Of frames whose bodies are of at most `body_max` bytes; the first one must be a short one.
    pub(super) fn new(share: Share, body_max: usize) -> Self {
        Self { partial: Vec::new(), share, begun: false, body_max }
    }

    /// Reads what is there, and hands over each frame.
    pub(super) fn read(
        &mut self,
        wire: &Wire,
        room: &mut [u8],
        mut each: impl FnMut(Frame<'_>) -> Result<(), Refused>,
    ) -> Result<Progress, Broken> {
        for _ in 0..READS_MAX {
            match wire.read(room)? {
                Read1::Bytes(count) => self.take(&room[..count], &mut each)?,
                Read1::Nothing => return Ok(Progress::Drained),
                Read1::End => return Ok(Progress::End),
            }
        }
        Ok(Progress::More)
    }

    /// Takes bytes that have arrived.
    fn take(
        &mut self,
        bytes: &[u8],
        each: &mut impl FnMut(Frame<'_>) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        if self.partial.is_empty() {
            let used = self.frames(bytes, each)?;
            self.partial.extend_from_slice(&bytes[used..]);
        } else {
            let mut partial = std::mem::take(&mut self.partial);
            partial.extend_from_slice(bytes);
            let used = self.frames(&partial, each)?;
            partial.drain(..used);
            self.partial = partial;
        }
        if self.partial.is_empty() {
            self.partial.shrink_to(KEPT_MAX);
        }
        if self.share.resize(self.partial.len()) {
            Ok(())
        } else {
            Err(Refused::new(Reason::Overloaded, "too much waits here to take a part of a frame"))
        }
    }

    /// Hands over the frames that are whole. How many bytes they took.
    fn frames(
        &mut self,
        bytes: &[u8],
        each: &mut impl FnMut(Frame<'_>) -> Result<(), Refused>,
    ) -> Result<usize, Refused> {
        let mut used = 0;
        loop {
            let body_max = if self.begun { self.body_max } else { GREETING_MAX };
            let Some(frame) = frame::next(&bytes[used..], body_max)? else { return Ok(used) };
            self.begun = true;
            used += frame.len();
            each(frame)?;
        }
    }
}
