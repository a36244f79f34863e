//! Bugs to plant, so that tests can show that the judges find them.
//!
//! Without the feature `mutants` there is no way to plant one, and [`Planted`] is nothing: the
//! compiler drops every branch that asks for it.

/// A known bug.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[cfg_attr(not(feature = "mutants"), expect(unreachable_pub, reason = "public with the feature"))]
pub enum Mutant {
    /// An acknowledgement that the network delivers twice counts as two.
    DuplicateAcks,
    /// A read answers with the largest version without making sure that a write quorum has it.
    NoWriteBack,
    /// Of two versions with equal counters a replica keeps whichever came first.
    TiesUnbroken,
    /// A node beyond the key's replicas is written to and read from, and its answers count toward
    /// the quorums (a sloppy quorum that claims to be a strict one).
    OutsidersCount,
    /// A hint is stored whatever the replica holds by then.
    HintsOverwrite,
    /// A deletion removes the entry and leaves no tombstone.
    DeletionForgets,
    /// A replica answers for what its disk may still lose.
    AckBeforeDurable,
    /// A writer numbers its versions by a count of its own instead of asking a read quorum.
    NoTagQuery,
    /// A node comes up again with the incarnation it had, and names new versions as old ones.
    IncarnationKept,
    /// No bug: replicas are asked in the other order.
    AsksBackwards,
}

#[cfg(feature = "mutants")]
impl Mutant {
    /// Every known bug.
    pub const ALL: [Self; 9] = [
        Self::DuplicateAcks,
        Self::NoWriteBack,
        Self::TiesUnbroken,
        Self::OutsidersCount,
        Self::HintsOverwrite,
        Self::DeletionForgets,
        Self::AckBeforeDurable,
        Self::NoTagQuery,
        Self::IncarnationKept,
    ];

    /// Changes that break nothing, and that no judge may take for a bug.
    pub const HARMLESS: [Self; 1] = [Self::AsksBackwards];
}

cluster::planted!(pub(crate) Mutant);
