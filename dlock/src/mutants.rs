//! Planted bugs: each a mistake that lock services make, switched on to see that the judges notice.
//!
//! Without the feature `mutants` nothing of this is left: [`Planted`] has no size and its answer is
//! the constant `false`.

/// A bug that can be planted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[cfg_attr(not(feature = "mutants"), expect(unreachable_pub, reason = "public with the feature"))]
pub enum Mutant {
    /// The token counter is forgotten when no lock is held, and starts again.
    TokenForgottenWhenFree,
    /// A waiter that gets the lock from its predecessor gets the predecessor's token too.
    TokenKeptOnRegrant,
    /// Release does not look at the owner.
    ReleaseByAnyone,
    /// Release does not look at the token.
    ReleaseByAnyToken,
    /// A renewal brings a lease back that has ended, if nobody else holds the lock.
    RenewalAfterExpiry,
    /// Every replica expires leases by its own clock while it applies, not by the log's time.
    OwnClockExpiry,
    /// The leader answers when it proposes, not when the command is committed.
    AnswersBeforeCommit,
    /// The waiter that came last is served first.
    LastComeFirstServed,
    /// A retried attempt counts as one more hold.
    RetryCountedTwice,
    /// A new leader's time is far ahead of the old one's, so that a failover ends every lease.
    LeasesLostOnFailover,
    /// Waiters stay in the queue when their wait has ended, and are granted the lock later.
    GhostWaiters,
    /// Reads are answered from the local table, without asking a majority.
    LocalReads,
    /// Nobody proposes that time has passed: leases and waits end when somebody happens to ask.
    NeverTicks,
    /// No bug: what ends a lease is written to the log twice.
    TicksTwice,
}

#[cfg(feature = "mutants")]
impl Mutant {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::TokenForgottenWhenFree,
        Self::TokenKeptOnRegrant,
        Self::ReleaseByAnyone,
        Self::ReleaseByAnyToken,
        Self::RenewalAfterExpiry,
        Self::OwnClockExpiry,
        Self::AnswersBeforeCommit,
        Self::LastComeFirstServed,
        Self::RetryCountedTwice,
        Self::LeasesLostOnFailover,
        Self::GhostWaiters,
        Self::LocalReads,
        Self::NeverTicks,
    ];

    /// Changes that break nothing, and that no judge may take for a bug.
    pub const HARMLESS: [Self; 1] = [Self::TicksTwice];
}

cluster::planted!(pub(crate) Mutant);
