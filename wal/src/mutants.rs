//! Bugs to plant on purpose, so that whoever judges this crate can be judged.
//!
//! Without the feature `mutants` every question [`Planted::is`] is a constant no.

/// A bug that can be planted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[cfg_attr(not(feature = "mutants"), expect(unreachable_pub, reason = "public with the feature"))]
pub enum Mutant {
    /// Records are called durable when they are written, not when they are synced.
    AcksBeforeSync,
    /// A new segment is written to before its name is safe.
    SkipsDirSync,
    /// What a checksum says is not heeded.
    IgnoresChecksum,
    /// Damage in the last segment is taken for its end, whatever follows.
    CutsInTheMiddle,
    /// A torn tail is stepped over, not cut off.
    KeepsTornTail,
    /// The last record's number is given again after the log was opened.
    ReusesSequence,
    /// What an earlier life of a segment's file holds is taken for this segment's.
    RecycledRecordsRead,
    /// A file of unknown content is taken for one of zeroes when it becomes a segment.
    TakesSparesForNew,
    /// The segment that holds the first record to be kept is dropped too.
    CompactsTooMuch,
    /// After a failed sync the log goes on, and the next sync reports success.
    RetriesFailedSync,
    /// What is read at open is taken for durable, though it may be in the page cache only.
    TrustsPageCache,
    /// A new segment does not repeat the head.
    ForgetsHead,
    /// Dropped segments are not recorded, so that a missing first one is taken for a dropped one.
    ForgetsFloor,
    /// A full segment does not say that another follows.
    ForgetsSeal,
    /// Segments are dropped newest first.
    DropsNewestFirst,
    /// Two may have the log open.
    SkipsLock,
}

impl Mutant {
    /// All of them.
    #[cfg(feature = "mutants")]
    pub const ALL: [Self; 16] = [
        Self::AcksBeforeSync,
        Self::SkipsDirSync,
        Self::IgnoresChecksum,
        Self::CutsInTheMiddle,
        Self::KeepsTornTail,
        Self::ReusesSequence,
        Self::RecycledRecordsRead,
        Self::TakesSparesForNew,
        Self::CompactsTooMuch,
        Self::RetriesFailedSync,
        Self::TrustsPageCache,
        Self::ForgetsHead,
        Self::ForgetsFloor,
        Self::ForgetsSeal,
        Self::DropsNewestFirst,
        Self::SkipsLock,
    ];
}

/// Which bug is planted, if any.
#[cfg(feature = "mutants")]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Planted(Option<Mutant>);

#[cfg(feature = "mutants")]
impl Planted {
    pub(crate) fn of(mutant: Mutant) -> Self {
        Self(Some(mutant))
    }

    pub(crate) fn is(&self, mutant: Mutant) -> bool {
        self.0 == Some(mutant)
    }
}

/// No bug is planted, nor can one be.
#[cfg(not(feature = "mutants"))]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Planted(());

#[cfg(not(feature = "mutants"))]
impl Planted {
    pub(crate) const fn is(&self, _mutant: Mutant) -> bool {
        false
    }
}
