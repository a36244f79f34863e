//! What clients are answered.

use redis_protocol::resp2::encode::encode_borrowed;
use redis_protocol::resp2::types::BorrowedFrame;

/// What a client is answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// `OK`.
    Ok,
    /// Another word, as `PONG`. No line breaks.
    Word(&'static str),
    /// An error: first a word in capitals, which programs look at, then what people read. Line breaks
    /// become blanks.
    Error(String),
    /// A whole number.
    Integer(i64),
    /// A string of bytes.
    Bytes(Vec<u8>),
    /// There is none.
    Nil,
    /// Several replies.
    Array(Vec<Reply>),
}

impl Reply {
    /// An error of the kind that has no name of its own.
    pub fn err(what: impl std::fmt::Display) -> Self {
        Self::Error(format!("ERR {what}"))
    }

    /// The error for a reply of several values that are more than [`REPLY_MAX`](crate::REPLY_MAX).
    pub fn too_long() -> Self {
        Self::err(format_args!("too long a reply, expected at most {} bytes", crate::REPLY_MAX))
    }

    /// Adds its bytes to `to`.
    pub(crate) fn write(&self, to: &mut Vec<u8>) {
        match self {
            Self::Array(replies) => {
                to.extend_from_slice(format!("*{}\r\n", replies.len()).as_bytes());
                replies.iter().for_each(|reply| reply.write(to));
            }
            Self::Ok => put(&BorrowedFrame::SimpleString(b"OK"), to),
            Self::Word(word) => put(&BorrowedFrame::SimpleString(word.as_bytes()), to),
            Self::Error(what) => put(&BorrowedFrame::Error(&what.replace(['\r', '\n'], " ")), to),
            Self::Integer(number) => put(&BorrowedFrame::Integer(*number), to),
            Self::Bytes(bytes) => put(&BorrowedFrame::BulkString(bytes), to),
            Self::Nil => put(&BorrowedFrame::Null, to),
        }
    }
}

fn put(frame: &BorrowedFrame<'_>, to: &mut Vec<u8>) {
    let start = to.len();
    to.resize(start + frame.encode_len(false), 0);
    encode_borrowed(&mut to[start..], frame, false).expect("there is room for all of it");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(reply: &Reply, bytes: &str) {
        let mut written = b"before".to_vec();
        reply.write(&mut written);
        assert_eq!(String::from_utf8_lossy(&written), format!("before{bytes}"));
    }

    #[test]
    fn each_reply_has_its_form() {
        check(&Reply::Ok, "+OK\r\n");
        check(&Reply::Word("PONG"), "+PONG\r\n");
        check(&Reply::err("no\r\nway"), "-ERR no  way\r\n");
        check(&Reply::Integer(-7), ":-7\r\n");
        check(&Reply::Bytes(b"a\r\nb".to_vec()), "$4\r\na\r\nb\r\n");
        check(&Reply::Bytes(Vec::new()), "$0\r\n\r\n");
        check(&Reply::Nil, "$-1\r\n");
        check(&Reply::Array(vec![Reply::Nil, Reply::Array(Vec::new())]), "*2\r\n$-1\r\n*0\r\n");
    }
}
