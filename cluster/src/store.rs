//! Where a node's records are kept.
//!
//! A [`Store`] is an append-only list of records that outlives its process. A world that has one for
//! each node ([`Threads::start_on`](crate::threads::Threads::start_on)) carries a batch out so: it
//! appends what the node persisted, lets leave what waits for nothing, syncs once, and only then lets
//! leave what waited.
//!
//! [`Journal`] is the store that comes with this crate (feature `journal`, on by default: who asks
//! for a durable cluster should not have to look for one): a write-ahead log of checksummed files, by
//! the crate `wal`. Whoever writes another one runs [`conformance`] against it.

pub mod conformance;
#[cfg(feature = "journal")]
mod journal;

use crate::PersistCount;

#[cfg(feature = "journal")]
pub use journal::{Journal, journals_in};

/// The records of one node, open for appending. One owner; every call may block.
///
/// A store is opened by a function of its author's, which returns it together with the records that
/// it holds ([`Opened`]); worlds open it when a node boots, and drop it when the node dies, at any
/// moment. What every store promises (each has its number in [`conformance::Promise`]):
///
/// 1. **Durability.** What was appended before a [`sync`](Store::sync) that returned `Ok` is there
///    whenever the store is opened again, through every crash and power loss; and so is what an
///    opening returned.
/// 2. **Order.** Records come back in the order of their appending, each once, over all openings.
/// 3. **No gap.** Of what was not synced there is a first part, or nothing: never a record without
///    the one before it. The same holds at the other end: what was forgotten is a first part.
/// 4. **Nothing invented.** No record comes back that was not appended, and each as it was.
/// 5. **Forgetting keeps what is needed.** After [`forget`](Store::forget), the record it names and
///    all later ones are still there.
/// 6. **Poison.** Once an append or a sync has failed, nothing is taken, and no sync succeeds, until
///    the store is opened anew: after a failed `fsync` nobody can tell what is on the disk (Rebello
///    et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020).
pub trait Store<R>: Send {
    /// Adds `record` after all others. It need not be anywhere but in memory until the next sync.
    ///
    /// # Errors
    /// [`StoreError`]: the record was not taken, and what was appended since the last sync may be
    /// lost.
    fn append(&mut self, record: R) -> Result<(), StoreError>;

    /// Makes durable all that was appended, and returns only then.
    ///
    /// # Errors
    /// [`StoreError`]: what was appended since the last sync may survive, in part too, or be lost.
    fn sync(&mut self) -> Result<(), StoreError>;

    /// Records older than the one that was number `before` since this opening, counted from one, are
    /// needed no more: those from earlier openings among them. That record is durable. A store may
    /// drop them now, later, or never.
    ///
    /// # Errors
    /// [`StoreError`], as of a failed sync.
    fn forget(&mut self, before: PersistCount) -> Result<(), StoreError>;
}

/// A store that was just opened, and the records that it holds, oldest first.
pub type Opened<S, R> = Result<(S, Vec<R>), OpenError>;

impl<R, S: Store<R> + ?Sized> Store<R> for Box<S> {
    fn append(&mut self, record: R) -> Result<(), StoreError> {
        (**self).append(record)
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        (**self).sync()
    }

    fn forget(&mut self, before: PersistCount) -> Result<(), StoreError> {
        (**self).forget(before)
    }
}

/// Why a store was not opened. What it holds was not changed, but for what a store does at every
/// opening, such as cutting off a write that was never finished.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Records that were durable are damaged or gone, or of a format that is not known here. To go on
    /// without them would break a promise that the node has made.
    #[error("{place}: {problem}")]
    Corrupt {
        /// Which file and byte, or which record.
        place: String,
        /// What is wrong there, and what was expected.
        problem: String,
    },
    /// The system failed, or somebody else has the store open. To try again is safe.
    #[error("the store does not open: {because}")]
    Failed {
        /// What was tried, and what came of it.
        because: String,
    },
}

/// Why a store takes nothing more. Whoever wrote to it must not go on from what it wrote: it opens
/// the store anew, and begins from what is there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// An append or a sync failed just now.
    #[error("{because}; the store takes nothing more until it is opened anew")]
    Failed {
        /// What was tried, and what came of it.
        because: String,
    },
    /// One failed earlier. Nothing was done.
    #[error("nothing was done, because earlier: {because}")]
    Poisoned {
        /// What was tried then, and what came of it.
        because: String,
    },
}
