//! From bytes to words.

use std::ops::Range;

use redis_protocol::resp2::decode::decode_range;
use redis_protocol::resp2::types::RangeFrame;

use crate::Limits;

/// A request that is whole: where its words are, and where it ends.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Words {
    pub(crate) places: Vec<Range<usize>>,
    pub(crate) end: usize,
}

/// What is no request, and will not become one.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("Protocol error: invalid multibulk length, expected 0 to {0}")]
    Count(usize),
    #[error("Protocol error: expected '$', got '{}'", .0.escape_ascii())]
    NoString(u8),
    #[error("Protocol error: invalid bulk length, expected 0 to {0}")]
    Length(usize),
    #[error("Protocol error: too big request, expected at most {0} bytes")]
    TooLong(usize),
}

/// The longest line that says how many words there are, or how long one is.
const HEADER_MAX: usize = 32;

/// The first request in `bytes`; none if more of it is yet to come.
pub(crate) fn first(bytes: &[u8], limits: &Limits) -> Result<Option<Words>, Malformed> {
    let found = match bytes.first() {
        Some(b'*') => array(bytes, limits)?,
        _ => line(bytes),
    };
    // Whatever comes next, there is too much of it.
    let end = found.as_ref().map_or(bytes.len(), |words| words.end);
    if end > limits.request_max { Err(Malformed::TooLong(limits.request_max)) } else { Ok(found) }
}

/// As programs write: an array of strings.
fn array(bytes: &[u8], limits: &Limits) -> Result<Option<Words>, Malformed> {
    let count_bad = Malformed::Count(limits.words_max);
    let Some((count, mut at)) = number(bytes, 1).map_err(|()| count_bad.clone())? else {
        return Ok(None);
    };
    // As of Redis: an empty array, and none at all, are no request, and no error.
    let count = usize::try_from(count.max(0)).unwrap_or(usize::MAX);
    if count > limits.words_max {
        return Err(count_bad);
    }
    let mut places = Vec::new();
    for _ in 0..count {
        let rest = &bytes[at..];
        match rest.first() {
            None => return Ok(None),
            Some(b'$') => {}
            // An array in an array, for one, which the decoder would follow down as far as it goes.
            Some(&other) => return Err(Malformed::NoString(other)),
        }
        let length_bad = Malformed::Length(limits.request_max);
        match number(rest, 1) {
            Ok(None) => return Ok(None),
            Ok(Some((length, _))) if (0..=limits.request_max as i64).contains(&length) => {}
            Ok(Some(_)) | Err(()) => return Err(length_bad),
        }
        match decode_range(rest) {
            Ok(Some((RangeFrame::BulkString((start, end)), taken))) => {
                places.push(at + start..at + end);
                at += taken;
            }
            Ok(None) => return Ok(None),
            Ok(Some(_)) | Err(_) => return Err(length_bad),
        }
    }
    Ok(Some(Words { places, end: at }))
}

/// The number in the line that begins at `start`, and where the next line begins; none if the line is not
/// whole.
fn number(bytes: &[u8], start: usize) -> Result<Option<(i64, usize)>, ()> {
    let line = &bytes[start..bytes.len().min(start + HEADER_MAX)];
    let Some(end) = line.windows(2).position(|pair| pair == b"\r\n") else {
        return if line.len() < HEADER_MAX { Ok(None) } else { Err(()) };
    };
    let digits = std::str::from_utf8(&line[..end]).map_err(drop)?;
    Ok(Some((digits.parse().map_err(drop)?, start + end + 2)))
}

/// As people type: a line of words.
fn line(bytes: &[u8]) -> Option<Words> {
    let end = bytes.iter().position(|&byte| byte == b'\n')?;
    let mut places = Vec::new();
    let mut at = 0;
    for word in bytes[..end].split(u8::is_ascii_whitespace) {
        if !word.is_empty() {
            places.push(at..at + word.len());
        }
        at += word.len() + 1;
    }
    Some(Words { places, end: end + 1 })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limits() -> Limits {
        Limits { request_max: 100, words_max: 5, ..Limits::default() }
    }

    #[track_caller]
    fn check(bytes: &str, words: &[&str], rest: &str) {
        let found = first(bytes.as_bytes(), &limits()).expect("a request").expect("it is whole");
        let read: Vec<&str> = found.places.into_iter().map(|place| &bytes[place]).collect();
        assert_eq!((&read[..], &bytes[found.end..]), (words, rest));
        for cut in 0..found.end {
            assert_eq!(first(&bytes.as_bytes()[..cut], &limits()), Ok(None), "cut at {cut}");
        }
    }

    #[track_caller]
    fn refused(bytes: &str, why: &str) {
        let refused = first(bytes.as_bytes(), &limits()).expect_err("no request");
        assert_eq!(refused.to_string(), format!("Protocol error: {why}"));
    }

    #[test]
    fn requests_are_found_whole_or_not_at_all() {
        check("*2\r\n$3\r\nGET\r\n$1\r\na\r\n*1", &["GET", "a"], "*1");
        check("*1\r\n$4\r\na\r\nb\r\n", &["a\r\nb"], "");
        check("*1\r\n$0\r\n\r\n", &[""], "");
        check("*0\r\n", &[], "");
        check("*-1\r\nPING\r\n", &[], "PING\r\n");
        check("set a  1\r\nget a\n", &["set", "a", "1"], "get a\n");
        check("\r\n", &[], "");
    }

    #[test]
    fn what_is_no_request_is_refused_by_what_is_wrong() {
        refused("*6\r\n", "invalid multibulk length, expected 0 to 5");
        refused("*9999999999999999999\r\n", "invalid multibulk length, expected 0 to 5");
        refused("*x\r\n", "invalid multibulk length, expected 0 to 5");
        refused(&format!("*{}", "1".repeat(40)), "invalid multibulk length, expected 0 to 5");
        refused(&"*1\r\n".repeat(1_000_000), "expected '$', got '*'");
        refused("*1\r\n:1\r\n", "expected '$', got ':'");
        refused("*1\r\n$-1\r\n", "invalid bulk length, expected 0 to 100");
        refused("*1\r\n$101\r\n", "invalid bulk length, expected 0 to 100");
        refused(&"x".repeat(101), "too big request, expected at most 100 bytes");
        let pair = format!("*2\r\n$60\r\n{}\r\n$60\r\n{}\r\n", "a".repeat(60), "b".repeat(60));
        refused(&pair, "too big request, expected at most 100 bytes");
        refused(&pair[..110], "too big request, expected at most 100 bytes");
    }

    proptest! {
        /// Whatever comes, it ends, in bounds.
        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(prop::sample::select(
            b"*$:+-0123459\r\nab \xFF".to_vec()), 0..150)) {
            if let Ok(Some(words)) = first(&bytes, &limits()) {
                prop_assert!(words.end <= bytes.len().min(100));
                prop_assert!(words.places.iter().all(|place| place.end <= words.end));
            }
        }
    }
}
