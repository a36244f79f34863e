//! Strings that grow by appending, and share what they grew from.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// A string that costs the same to append to, clone and hash however long it is.
///
/// Comparing unequal ones is quick as well: they carry a hash. It is a chain of pieces from the last
/// to the first, made one piece again after every 32.
#[derive(Clone)]
pub struct Text(Arc<Chain>);

struct Chain {
    before: Option<Text>,
    piece: Arc<str>,
    /// Bytes in all.
    len: usize,
    /// A polynomial over all bytes, so that it does not depend on where the pieces end.
    hash: u64,
    pieces: u8,
}

/// The longest chain. It also bounds the recursion when a chain is dropped.
const PIECES_MAX: u8 = 32;

impl Text {
    /// A text of one piece.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        let piece = text.into();
        let (len, hash) = (piece.len(), extend(0, &piece));
        Self(Arc::new(Chain { before: None, piece, len, hash, pieces: 1 }))
    }

    /// This text, then `piece`.
    pub fn append(&self, piece: &Arc<str>) -> Self {
        if self.0.pieces == PIECES_MAX {
            let mut whole = self.to_string();
            whole.push_str(piece);
            return Self::new(whole);
        }
        Self(Arc::new(Chain {
            before: Some(self.clone()),
            piece: Arc::clone(piece),
            len: self.0.len + piece.len(),
            hash: extend(self.0.hash, piece),
            pieces: self.0.pieces + 1,
        }))
    }

    /// Bytes in all.
    pub fn len(&self) -> usize {
        self.0.len
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.0.len == 0
    }

    /// Whether it begins with `start`.
    pub fn starts_with(&self, start: &Self) -> bool {
        if start.len() >= self.len() {
            return start == self;
        }
        match &self.0.before {
            None => {
                // From its end on: that is where texts differ that grew from one.
                let (whole, mut end) = (self.0.piece.as_bytes(), start.len());
                start.backwards().all(|piece| {
                    let from = end - piece.len();
                    let is_same = whole[from..end] == *piece.as_bytes();
                    end = from;
                    is_same
                })
            }
            Some(_) => self.to_string().as_bytes().starts_with(start.to_string().as_bytes()),
        }
    }

    /// Whether a text as long as this one has the same bytes.
    fn is_same(&self, other: &Self) -> bool {
        let (mut ones, mut others) = (self.backwards(), other.backwards());
        let (mut one, mut two): (&[u8], &[u8]) = (&[], &[]);
        loop {
            while one.is_empty() {
                let Some(piece) = ones.next() else { return true };
                one = piece.as_bytes();
            }
            while two.is_empty() {
                let Some(piece) = others.next() else { return true };
                two = piece.as_bytes();
            }
            let len = one.len().min(two.len());
            let (one_left, one_end) = one.split_at(one.len() - len);
            let (two_left, two_end) = two.split_at(two.len() - len);
            if one_end != two_end {
                return false;
            }
            (one, two) = (one_left, two_left);
        }
    }

    /// The pieces, from the last to the first.
    fn backwards(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(Some(self), |text| text.0.before.as_ref()).map(|text| &*text.0.piece)
    }
}

/// The polynomial's next values, modulo 2^61 - 1.
fn extend(hash: u64, piece: &str) -> u64 {
    const PRIME: u128 = (1 << 61) - 1;
    const BASE: u128 = 0x0FE1_9AC5_24D1_6B37;
    piece
        .bytes()
        .fold(hash, |hash, byte| ((u128::from(hash) * BASE + u128::from(byte) + 1) % PRIME) as u64)
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        if Arc::ptr_eq(&self.0, &other.0) {
            return true;
        }
        if (self.0.len, self.0.hash) != (other.0.len, other.0.hash) {
            return false;
        }
        self.is_same(other)
    }
}

impl Eq for Text {}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash);
    }
}

impl Default for Text {
    /// The empty text.
    fn default() -> Self {
        Self::new("")
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pieces: Vec<&str> = self.backwards().collect();
        pieces.iter().rev().try_for_each(|piece| f.write_str(piece))
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}
