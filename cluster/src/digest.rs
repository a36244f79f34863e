//! One hash for all that must come out the same on every machine.

use std::fmt;
use std::hash::{Hash, Hasher};

use xxhash_rust::xxh3::{Xxh3Default, xxh3_64};

/// For an `impl Hasher`: integers are written as on a little-endian machine of 64 bits, whatever this
/// one is. The default of each is the machine's own form.
macro_rules! little_endian_integers {
    () => {
        little_endian_integers!(
            write_u8: u8, write_u16: u16, write_u32: u32, write_u64: u64, write_u128: u128,
            write_i8: i8, write_i16: i16, write_i32: i32, write_i64: i64, write_i128: i128
        );

        #[inline]
        fn write_usize(&mut self, value: usize) {
            self.write_u64(value as u64);
        }

        #[inline]
        fn write_isize(&mut self, value: isize) {
            self.write_i64(value as i64);
        }
    };
    ($($write:ident: $integer:ty),*) => {
        $(
            #[inline]
            fn $write(&mut self, value: $integer) {
                self.write(&value.to_le_bytes());
            }
        )*
    };
}
pub(crate) use little_endian_integers;

/// How many bytes are gathered before they are hashed: a block of XXH3's stream.
const BUFFER: usize = 256;

/// A running 64-bit hash (XXH3) of everything written to it, in order.
///
/// The standard hashers may change between releases and write integers in the machine's byte
/// order; this one writes them little-endian, `usize` as 64 bits, so that two machines that saw
/// the same events print the same digest. One thing the standard library keeps out of its hands:
/// a slice (or `Vec`) of bare integers wider than a byte is written as it lies in memory; wrap
/// them in a newtype if big-endian machines matter. Not for hostile input: it is not keyed.
#[derive(Clone)]
pub struct Digest {
    /// What is not yet in `long`. Most values hashed alone never leave it.
    buffer: [u8; BUFFER],
    filled: usize,
    long: Option<Box<Xxh3Default>>,
}

impl Digest {
    /// The digest of nothing.
    pub fn new() -> Self {
        Self { buffer: [0; BUFFER], filled: 0, long: None }
    }

    /// The digest of `value` alone.
    pub fn of(value: &(impl Hash + ?Sized)) -> u64 {
        let mut digest = Self::new();
        value.hash(&mut digest);
        digest.finish()
    }

    fn spill(&mut self, bytes: &[u8]) {
        let long = self.long.get_or_insert_default();
        long.update(&self.buffer[..self.filled]);
        self.filled = 0;
        if bytes.len() > BUFFER {
            long.update(bytes);
        } else {
            self.write(bytes);
        }
    }
}

impl Default for Digest {
    fn default() -> Self {
        Self::new()
    }
}

impl Hasher for Digest {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let end = self.filled + bytes.len();
        match self.buffer.get_mut(self.filled..end) {
            Some(place) => {
                place.copy_from_slice(bytes);
                self.filled = end;
            }
            None => self.spill(bytes),
        }
    }

    little_endian_integers!();

    fn finish(&self) -> u64 {
        let rest = &self.buffer[..self.filled];
        match &self.long {
            None => xxh3_64(rest),
            Some(long) => {
                let mut long = long.clone();
                long.update(rest);
                long.digest()
            }
        }
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.finish())
    }
}
