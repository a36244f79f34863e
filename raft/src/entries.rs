//! Entries that stay together: shared, not copied, between the log, the messages and the disk.
//!
//! What was proposed together is put into *runs*, one allocation each. From then on only runs are
//! handed around, or parts of them, which cost a counter:
//!
//! ```text
//!              ┌ run ─────────┐┌ run ────────────────┐┌ run ─┐
//!   the log    │ i1  i2  i3   ││ i4  i5  i6  i7  i8  ││ i9   │
//!              └──────────────┘└─────────────────────┘└──────┘
//!   an append                        ╰── i6  i7  i8  ── i9 ╯
//! ```
//! As long as one entry of a run is needed, all of it is kept. So runs are short.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::iter::Flatten;
use std::ops::{Deref, Range};
use std::slice;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::LogIndex;
use crate::message::Entry;

/// How many entries make a run at most: so many are kept for the sake of one.
const RUN_MAX: usize = 128;

/// Some entries of one allocation; at least one.
pub(crate) struct Run<C> {
    /// The index of the first, looked up often.
    first: LogIndex,
    chunk: Arc<[Entry<C>]>,
    start: u32,
    end: u32,
}

impl<C> Run<C> {
    /// All of `chunk`, which is not empty.
    fn of(chunk: Arc<[Entry<C>]>) -> Self {
        Self { first: chunk[0].index, start: 0, end: chunk.len() as u32, chunk }
    }

    /// The entries at these places of it, of which there are some.
    pub(crate) fn part(&self, places: Range<usize>) -> Self {
        let (start, end) = (self.start + places.start as u32, self.start + places.end as u32);
        debug_assert!(start < end && end <= self.end, "a part, and not an empty one");
        let first = self.chunk[start as usize].index;
        Self { first, chunk: Arc::clone(&self.chunk), start, end }
    }

    /// The index of the first entry.
    pub(crate) fn first_index(&self) -> LogIndex {
        self.first
    }

    /// The index after that of the last entry, if they have no gap.
    pub(crate) fn end_index(&self) -> LogIndex {
        self.first.plus(self.len())
    }

    pub(crate) fn len(&self) -> usize {
        (self.end - self.start) as usize
    }
}

impl<C> Deref for Run<C> {
    type Target = [Entry<C>];

    fn deref(&self) -> &[Entry<C>] {
        &self.chunk[self.start as usize..self.end as usize]
    }
}

impl<C> Clone for Run<C> {
    fn clone(&self) -> Self {
        Self { first: self.first, chunk: Arc::clone(&self.chunk), start: self.start, end: self.end }
    }
}

impl<C: fmt::Debug> fmt::Debug for Run<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a, C> IntoIterator for &'a Run<C> {
    type Item = &'a Entry<C>;
    type IntoIter = slice::Iter<'a, Entry<C>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Makes runs of `entries`, and leaves it empty with its memory.
pub(crate) fn runs_of<C>(entries: &mut Vec<Entry<C>>) -> impl Iterator<Item = Run<C>> {
    let mut rest = entries.drain(..);
    std::iter::from_fn(move || {
        let chunk: Arc<[_]> = rest.by_ref().take(RUN_MAX).collect();
        (!chunk.is_empty()).then(|| Run::of(chunk))
    })
}

/// The first `count` entries of `runs` after the first `skip`: in which run, at which places.
pub(crate) fn parts<C>(runs: &[Run<C>], skip: usize, count: usize) -> Parts<'_, C> {
    Parts { runs: runs.iter(), skip, left: count }
}

/// See [`parts`]. Written out, since most logs are asked for one run at a time, and often.
pub(crate) struct Parts<'a, C> {
    runs: slice::Iter<'a, Run<C>>,
    skip: usize,
    left: usize,
}

impl<'a, C> Iterator for Parts<'a, C> {
    type Item = (&'a Run<C>, Range<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        while self.left > 0 {
            let run = self.runs.next()?;
            let start = run.len().min(self.skip);
            let end = run.len().min(start.saturating_add(self.left));
            self.skip -= start;
            self.left -= end - start;
            if start < end {
                return Some((run, start..end));
            }
        }
        None
    }
}

impl<C> Clone for Parts<'_, C> {
    fn clone(&self) -> Self {
        Self { runs: self.runs.clone(), ..*self }
    }
}

/// Some consecutive entries, of which clones and parts are cheap: they share the entries.
///
/// On the wire, on the disk, to a hash and to the eye it is the list of the entries.
pub struct Entries<C>(Runs<C>);

enum Runs<C> {
    None,
    /// What was proposed together, and is not much.
    One(Run<C>),
    Many(Arc<[Run<C>]>),
}

impl<C> Entries<C> {
    /// None.
    pub fn new() -> Self {
        Self(Runs::None)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.runs().iter().map(Run::len).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.runs().is_empty()
    }

    /// The first of them.
    pub fn first(&self) -> Option<&Entry<C>> {
        self.runs().first()?.first()
    }

    /// The last of them.
    pub fn last(&self) -> Option<&Entry<C>> {
        self.runs().last()?.last()
    }

    /// All of them, in order.
    pub fn iter(&self) -> EntriesIter<'_, C> {
        EntriesIter(self.runs().iter().flatten())
    }

    /// All but the first `count`, shared.
    #[must_use]
    pub fn skip(self, count: usize) -> Self {
        if count == 0 { self } else { Self::of(parts(self.runs(), count, usize::MAX)) }
    }

    /// These parts of runs, put together.
    pub(crate) fn of<'a>(parts: impl Iterator<Item = (&'a Run<C>, Range<usize>)>) -> Self
    where
        C: 'a,
    {
        Self::of_runs(parts.map(|(run, places)| run.part(places)))
    }

    fn of_runs(mut runs: impl Iterator<Item = Run<C>>) -> Self {
        let Some(first) = runs.next() else { return Self::new() };
        match runs.next() {
            None => Self(Runs::One(first)),
            Some(second) => Self(Runs::Many([first, second].into_iter().chain(runs).collect())),
        }
    }

    fn runs(&self) -> &[Run<C>] {
        match &self.0 {
            Runs::None => &[],
            Runs::One(run) => slice::from_ref(run),
            Runs::Many(runs) => runs,
        }
    }

    /// Puts them at the end of `runs`.
    pub(crate) fn append_to(self, runs: &mut Vec<Run<C>>) {
        match self.0 {
            Runs::None => {}
            Runs::One(run) => runs.push(run),
            Runs::Many(more) => runs.extend_from_slice(&more),
        }
    }
}

/// The entries of an [`Entries`], in order.
#[derive(Clone)]
pub struct EntriesIter<'a, C>(Flatten<slice::Iter<'a, Run<C>>>);

impl<'a, C> Iterator for EntriesIter<'a, C> {
    type Item = &'a Entry<C>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }

    fn fold<B, F: FnMut(B, Self::Item) -> B>(self, init: B, f: F) -> B {
        self.0.fold(init, f)
    }
}

impl<'a, C> IntoIterator for &'a Entries<C> {
    type Item = &'a Entry<C>;
    type IntoIter = EntriesIter<'a, C>;

    fn into_iter(self) -> EntriesIter<'a, C> {
        self.iter()
    }
}

impl<C> From<Run<C>> for Entries<C> {
    fn from(run: Run<C>) -> Self {
        Self(Runs::One(run))
    }
}

impl<C> From<Vec<Entry<C>>> for Entries<C> {
    fn from(mut entries: Vec<Entry<C>>) -> Self {
        Self::of_runs(runs_of(&mut entries))
    }
}

impl<C> FromIterator<Entry<C>> for Entries<C> {
    fn from_iter<I: IntoIterator<Item = Entry<C>>>(entries: I) -> Self {
        entries.into_iter().collect::<Vec<_>>().into()
    }
}

impl<C> Default for Entries<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C> Clone for Entries<C> {
    fn clone(&self) -> Self {
        Self(match &self.0 {
            Runs::None => Runs::None,
            Runs::One(run) => Runs::One(run.clone()),
            Runs::Many(runs) => Runs::Many(Arc::clone(runs)),
        })
    }
}

impl<C: fmt::Debug> fmt::Debug for Entries<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

impl<C: Hash> Hash for Entries<C> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_usize(self.len());
        self.iter().for_each(|entry| entry.hash(state));
    }
}

impl<C: PartialEq> PartialEq for Entries<C> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other)
    }
}

impl<C: Eq> Eq for Entries<C> {}

impl<C: Serialize> Serialize for Entries<C> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeSeq;
        let mut list = serializer.serialize_seq(Some(self.len()))?;
        self.iter().try_for_each(|entry| list.serialize_element(entry))?;
        list.end()
    }
}

impl<'de, C: Deserialize<'de>> Deserialize<'de> for Entries<C> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self::from)
    }
}
