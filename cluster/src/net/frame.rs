//! What goes over a connection: frames, one after the other. The module's essay has their layout.

use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::refusal::{Reason, Refused};
use crate::encoding;

/// The version of all that is said here about frames and greetings.
pub const PROTOCOL: u8 = 1;
/// What every frame begins with.
pub(super) const MAGIC: [u8; 2] = [0xC7, 0x5E];
/// How long the header is, in bytes.
pub(super) const HEADER: usize = 16;
/// The longest first frame of a connection, in bytes. Before it nothing is known of who calls.
pub(super) const GREETING_MAX: usize = 1024;

/// What a frame is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Kind {
    /// The first of whoever has connected: who it is, and whom it believes to be calling.
    Hello = 1,
    /// The answer to that: who is here.
    Welcome = 2,
    /// Why the connection is closed.
    Refusal = 3,
    /// From node to node.
    Message = 4,
    /// From a client.
    Request = 5,
    /// To a client.
    Response = 6,
}

impl Kind {
    const ALL: [Self; 6] =
        [Self::Hello, Self::Welcome, Self::Refusal, Self::Message, Self::Request, Self::Response];

    fn of(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// A frame that has arrived whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) kind: Kind,
    pub(super) body: &'a [u8],
}

impl Frame<'_> {
    /// How many bytes it took.
    pub(super) fn len(&self) -> usize {
        HEADER + self.body.len()
    }
}

/// A body longer than a frame may be, or that has no encoding. Nothing was written.
#[derive(Debug)]
pub(super) struct Unsendable(pub(super) String);

/// Adds a frame to `out`, whose body is `value`.
pub(super) fn append(
    kind: Kind,
    value: &impl Serialize,
    body_max: usize,
    out: &mut Vec<u8>,
) -> Result<(), Unsendable> {
    let written = |body: &mut Vec<u8>| encoding::append(value, body).map_err(|it| it.to_string());
    append_with(kind, body_max, out, written)
}

/// Adds a frame that says why the connection is closed. In every version of the protocol its body is one
/// byte for the reason, and a text for people.
pub(super) fn append_refusal(refused: &Refused, out: &mut Vec<u8>) {
    let cut = (0..GREETING_MAX).rev().find(|&cut| refused.detail.is_char_boundary(cut));
    let detail = &refused.detail[..cut.unwrap_or(0)];
    let written = |body: &mut Vec<u8>| {
        body.push(refused.reason as u8);
        body.extend_from_slice(detail.as_bytes());
        Ok(())
    };
    append_with(Kind::Refusal, GREETING_MAX, out, written).expect("it is short enough");
}

/// What [`append_refusal`] wrote, or another version of it.
pub(super) fn read_refusal(body: &[u8]) -> Refused {
    let (code, detail) = body.split_first().map_or((0, &[][..]), |(code, rest)| (*code, rest));
    let reason = Reason::of(code).unwrap_or(Reason::Garbled);
    let detail = String::from_utf8_lossy(&detail[..detail.len().min(GREETING_MAX)]);
    // It may be shown on somebody's terminal.
    let detail = detail.chars().filter(|letter| !letter.is_control()).collect();
    Refused { reason, detail }
}

fn append_with(
    kind: Kind,
    body_max: usize,
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), String>,
) -> Result<(), Unsendable> {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER]);
    let written = write(out);
    let len = out.len() - start - HEADER;
    let problem = match (written, u32::try_from(len)) {
        (Ok(()), Ok(len)) if len as usize <= body_max => {
            let (header, body) = out[start..].split_at_mut(HEADER);
            let [magic0, magic1] = MAGIC;
            header[..4].copy_from_slice(&[magic0, magic1, PROTOCOL, kind as u8]);
            header[4..8].copy_from_slice(&len.to_le_bytes());
            let sum = checksum(header, body);
            header[8..].copy_from_slice(&sum.to_le_bytes());
            return Ok(());
        }
        (Ok(()), _) => format!("a body of {len} bytes, where {body_max} is the limit"),
        (Err(problem), _) => problem,
    };
    out.truncate(start);
    Err(Unsendable(problem))
}

/// The first frame of `bytes`, if it is there whole. What is wrong with it is said as soon as it can be
/// known: a length that is too great before any of the body is here.
pub(super) fn next(bytes: &[u8], body_max: usize) -> Result<Option<Frame<'_>>, Refused> {
    let seen = bytes.len().min(MAGIC.len());
    if bytes[..seen] != MAGIC[..seen] {
        return Err(Refused::new(Reason::Foreign, "these bytes are no frame"));
    }
    let Some((header, rest)) = bytes.split_at_checked(HEADER) else { return Ok(None) };
    let kind = Kind::of(header[3]);
    if header[2] != PROTOCOL && kind != Some(Kind::Refusal) {
        let detail = format!("a frame of protocol {}, expected {PROTOCOL}", header[2]);
        return Err(Refused::new(Reason::Version, detail));
    }
    let Some(kind) = kind else {
        return Err(Refused::new(Reason::Garbled, format!("a frame of kind {}", header[3])));
    };
    let len = u32::from_le_bytes(header[4..8].try_into().expect("four bytes"));
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    if len > body_max {
        let detail = format!("a frame of {len} bytes, where {body_max} is the limit");
        return Err(Refused::new(Reason::TooLong, detail));
    }
    let Some(body) = rest.get(..len) else { return Ok(None) };
    let sum = u64::from_le_bytes(header[8..].try_into().expect("eight bytes"));
    if sum != checksum(header, body) {
        return Err(Refused::new(Reason::Garbled, "a frame whose checksum is wrong"));
    }
    Ok(Some(Frame { kind, body }))
}

/// What a body says, to whom it may concern.
pub(super) fn read<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Refused> {
    encoding::read(body).map_err(|problem| Refused::new(Reason::Garbled, problem))
}

/// XXH3 of the body, with the first eight bytes of the header as the seed.
fn checksum(header: &[u8], body: &[u8]) -> u64 {
    let seed = u64::from_le_bytes(header[..8].try_into().expect("eight bytes"));
    xxh3_64_with_seed(body, seed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAX: usize = 4096;

    /// A sequence that announces more than there is: refused, and not allocated.
    #[test]
    fn a_length_that_lies_is_refused() {
        // 2^62 elements, as a variable-length number.
        let mut body = vec![0x80; 8];
        body.push(0x40);
        for bytes in [&body[..], &[&body[..], &[0; 100]].concat()] {
            assert!(read::<Vec<u64>>(bytes).is_err());
            assert!(read::<Vec<Vec<u8>>>(bytes).is_err());
            assert!(read::<String>(bytes).is_err());
            assert!(read::<std::collections::BTreeMap<u64, u64>>(bytes).is_err());
        }
    }

    #[test]
    fn what_is_too_long_to_be_sent_leaves_nothing_behind() {
        let mut out = vec![7];
        assert!(append(Kind::Message, &vec![0u8; MAX], MAX, &mut out).is_err());
        assert_eq!(out, [7]);
    }

    #[test]
    fn a_refusal_is_read_as_it_was_written_and_cut_if_it_is_long() {
        for reason in Reason::ALL {
            let refused = Refused::new(reason, "ä".repeat(2000));
            let mut out = Vec::new();
            append_refusal(&refused, &mut out);
            // Of whatever version it is.
            out[2] = 99;
            let sum = checksum(&out[..HEADER], &out[HEADER..]);
            out[8..HEADER].copy_from_slice(&sum.to_le_bytes());
            let frame = next(&out, GREETING_MAX).expect("sound").expect("whole");
            let read = read_refusal(frame.body);
            assert_eq!((frame.kind, read.reason), (Kind::Refusal, reason));
            assert!(refused.detail.starts_with(&read.detail) && read.detail.len() > 1000);
        }
        assert_eq!(read_refusal(b"\x02bell: \x07").detail, "bell: ");
    }

    proptest! {
        /// Frames come out as they went in, one after the other; of a part of one, nothing does.
        #[test]
        fn frames_are_read_as_they_were_written(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 1..5),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut out = Vec::new();
            for body in &bodies {
                append(Kind::Message, body, MAX, &mut out).expect("short enough");
            }
            let mut rest = &out[..cut.index(out.len())];
            let mut whole = 0;
            while let Some(frame) = next(rest, MAX).expect("sound") {
                prop_assert_eq!(&read::<Vec<u8>>(frame.body).expect("a body"), &bodies[whole]);
                rest = &rest[frame.len()..];
                whole += 1;
            }
            prop_assert!(whole < bodies.len());
        }

        /// No flipped bit goes unnoticed.
        #[test]
        fn a_flipped_bit_is_found(
            body in prop::collection::vec(any::<u8>(), 0..100),
            place in any::<prop::sample::Index>(),
            bit in 0u32..8,
        ) {
            let mut out = Vec::new();
            append(Kind::Message, &body, MAX, &mut out).expect("short enough");
            let place = place.index(out.len());
            out[place] ^= 1u8 << bit;
            // A length that has grown is waited for, and then does not fit.
            out.resize(out.len() + MAX, 0);
            prop_assert!(next(&out, MAX).is_err(), "byte {}, bit {}", place, bit);
        }
    }
}
