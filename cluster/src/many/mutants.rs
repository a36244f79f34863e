//! Bugs of sharing, planted on request, so that tests can show that they would catch them.

/// A bug that whoever puts many groups on one disk and one link might have.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
#[cfg_attr(not(feature = "mutants"), expect(unreachable_pub, reason = "public with the feature"))]
pub enum Mutant {
    /// All messages of a bundle go to the group of the first.
    MixesGroups,
    /// Groups are told of durability in the disk's count of records, not in their own.
    TellsSharedCounts,
    /// What one group needs no more is let go, whatever the others need.
    ForgetsForAll,
    /// The originals of a group's records are let go before the copies are durable.
    LetsGoBeforeCopied,
    /// Messages that wait for the disk leave in the bundle of those that do not.
    BundlesOpen,
}

impl Mutant {
    /// All of them.
    #[cfg(feature = "mutants")]
    pub const ALL: [Self; 5] = [
        Self::MixesGroups,
        Self::TellsSharedCounts,
        Self::ForgetsForAll,
        Self::LetsGoBeforeCopied,
        Self::BundlesOpen,
    ];
}

crate::planted!(pub(super) Mutant);
