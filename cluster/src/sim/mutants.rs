//! Bugs of the world, planted on request, so that judges can show that they would catch them.
//!
//! Without the feature `mutants` no bug can be planted: [`Planted`] has no size, its answer is
//! always no, and the compiler removes what depends on it.

/// A bug that a real world has had, or might: disks and stores, mostly.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
#[cfg_attr(not(feature = "mutants"), expect(unreachable_pub, reason = "public with the feature"))]
pub enum Mutant {
    /// A disk tells that a sync has ended when it begins: what was acknowledged is lost in a crash.
    SyncsTooSoon,
    /// What waits for the disk does not wait.
    GatesOpen,
    /// A crash takes the last durable record with it.
    LosesLastDurable,
    /// In a crash, the first record that was not synced is lost, and later ones are kept.
    KeepsLaterWrites,
    /// A torn record is not cut off at boot: what is written after it makes it corruption.
    KeepsTornTails,
    /// A store without checksums and numbers: damaged records are passed over at boot.
    SkipsDamage,
}

impl Mutant {
    /// All of them.
    #[cfg(feature = "mutants")]
    pub const ALL: [Self; 6] = [
        Self::SyncsTooSoon,
        Self::GatesOpen,
        Self::LosesLastDurable,
        Self::KeepsLaterWrites,
        Self::KeepsTornTails,
        Self::SkipsDamage,
    ];
}

crate::planted!(pub Mutant);
