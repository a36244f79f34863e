//! What a machine's state is written as, so that the log before it can go (§7).

use std::fmt;
use std::hash::Hasher;
use std::ops::Deref;
use std::sync::Arc;

use cluster::Digest;
use serde::de::{DeserializeOwned, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Position;

/// How the state of a machine `S` becomes bytes, and bytes a state.
///
/// The node goes on while a snapshot is written: it [`take`](Snapshot::take)s one between two
/// commands, and reads it piece by piece afterwards, while the machine moves on. A machine that is
/// `Clone` and serializable uses [`Image`]. One that is too large to be cloned or encoded at once
/// shares its parts copy-on-write, and encodes one part a [`read`](Snapshot::read); or hands the
/// work to a thread of its own, and says [`Part::Later`] until that has something.
///
/// Nodes that took a snapshot at the same index should read the same bytes from it: then a transfer
/// that one leader began goes on with the next. If they do not, it begins again, no more.
pub trait Snapshot<S>: Clone + Send + 'static {
    /// The state of `machine` as it is. Should be cheap: the node waits for it.
    fn take(machine: &S) -> Self;

    /// The next bytes of it, at best `max` of them, at least one; more are taken too.
    fn read(&mut self, max: usize) -> Part;

    /// Makes `machine`, which is as it was configured, the one whose snapshot read as `bytes`. It is
    /// dropped after an error.
    ///
    /// # Errors
    /// When the bytes are of no snapshot of such a machine.
    fn restore(machine: &mut S, bytes: &[u8]) -> Result<(), Unreadable>;
}

/// What there is to read of a snapshot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Part {
    /// The next bytes.
    Bytes(Vec<u8>),
    /// Nothing yet. The node asks again with its next input, at the latest at its next timer.
    Later,
    /// Nothing: that was all.
    End,
}

/// Bytes that are no snapshot. Says what was wrong.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("unreadable snapshot: {0}")]
pub struct Unreadable(pub String);

/// The snapshot of a machine that is `Clone` and serializable: a clone, encoded at once when it is
/// first read (in postcard's format).
#[derive(Clone, Debug)]
pub struct Image<S>(State<S>);

#[derive(Clone, Debug)]
enum State<S> {
    Machine(S),
    Encoded { bytes: Arc<[u8]>, read: usize },
}

impl<S> Snapshot<S> for Image<S>
where
    S: Clone + Send + Serialize + DeserializeOwned + 'static,
{
    fn take(machine: &S) -> Self {
        Self(State::Machine(machine.clone()))
    }

    fn read(&mut self, max: usize) -> Part {
        if let State::Machine(machine) = &self.0 {
            let bytes = encode(machine).into();
            self.0 = State::Encoded { bytes, read: 0 };
        }
        let State::Encoded { bytes, read } = &mut self.0 else { return Part::End };
        let end = read.saturating_add(max.max(1)).min(bytes.len());
        let part = bytes[*read..end].to_vec();
        *read = end;
        if part.is_empty() { Part::End } else { Part::Bytes(part) }
    }

    fn restore(machine: &mut S, bytes: &[u8]) -> Result<(), Unreadable> {
        *machine = decode(bytes)?;
        Ok(())
    }
}

/// `value` as bytes.
///
/// # Panics
/// When `value`'s own `Serialize` fails: that of plain data does not.
pub(crate) fn encode(value: &impl Serialize) -> Vec<u8> {
    postcard::to_allocvec(value).expect("plain data can be written")
}

pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Unreadable> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(Unreadable(format!("{} bytes too many", rest.len()))),
        Err(error) => Err(Unreadable(error.to_string())),
    }
}

/// Which snapshot: two with the same id are the same bytes. Prints as `i7@t3+120`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SnapshotId {
    /// The last entry that it covers.
    pub position: Position,
    /// How many bytes it has.
    pub bytes: u64,
    /// XXH3 of them.
    pub digest: u64,
}

impl fmt::Debug for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}+{}", self.position, self.bytes)
    }
}

/// Some bytes of a snapshot. Shared, never copied, between memory, messages and disk.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Chunk(Arc<[u8]>);

impl From<Vec<u8>> for Chunk {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Serialize for Chunk {
    fn serialize<T: Serializer>(&self, to: T) -> Result<T::Ok, T::Error> {
        to.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Chunk {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_byte_buf(Bytes)
    }
}

struct Bytes;

impl<'de> Visitor<'de> for Bytes {
    type Value = Chunk;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Chunk, E> {
        Ok(Chunk(bytes.into()))
    }

    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Chunk, E> {
        Ok(bytes.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut bytes: A) -> Result<Chunk, A::Error> {
        let mut all = Vec::new();
        while let Some(byte) = bytes.next_element()? {
            all.push(byte);
        }
        Ok(all.into())
    }
}

/// The bytes of one snapshot, as far as they are there.
///
/// Guarantee: the chunks follow each other without a gap, and none is empty.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pieces {
    /// Each with the number of bytes before it.
    chunks: Vec<(u64, Chunk)>,
    bytes: u64,
    digest: Digest,
}

impl Pieces {
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn push(&mut self, chunk: Chunk) {
        if !chunk.is_empty() {
            let before = self.bytes;
            self.bytes += chunk.len() as u64;
            self.digest.write(&chunk);
            self.chunks.push((before, chunk));
        }
    }

    /// Each chunk, with the number of bytes before it.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &(u64, Chunk)> {
        self.chunks.iter()
    }

    /// Some bytes from `offset` on; none at the end.
    pub(crate) fn from(&self, offset: u64) -> Option<Chunk> {
        let place = self.chunks.partition_point(|(before, _)| *before <= offset).checked_sub(1)?;
        let (before, chunk) = &self.chunks[place];
        let skipped = usize::try_from(offset - before).ok()?;
        match skipped {
            0 => Some(chunk.clone()),
            _ if skipped < chunk.len() => Some(chunk[skipped..].to_vec().into()),
            _ => None,
        }
    }

    /// What names these bytes as the snapshot up to `position`.
    pub(crate) fn id(&self, position: Position) -> SnapshotId {
        SnapshotId { position, bytes: self.bytes, digest: self.digest.finish() }
    }

    /// All bytes, in one piece.
    pub(crate) fn whole(&self) -> Vec<u8> {
        let chunks: Vec<&[u8]> = self.chunks.iter().map(|(_, chunk)| &**chunk).collect();
        chunks.concat()
    }
}

/// A complete snapshot.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) id: SnapshotId,
    pub(crate) pieces: Pieces,
}

impl Held {
    pub(crate) fn new(position: Position, pieces: Pieces) -> Arc<Self> {
        Arc::new(Self { id: pieces.id(position), pieces })
    }
}

/// The id tells the bytes.
impl std::hash::Hash for Held {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}
