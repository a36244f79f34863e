//! Bugs to plant on purpose, so that whoever judges this crate can be judged.
//!
//! Without the feature `mutants` every question [`Planted::is`] is a constant no.

/// A bug that can be planted. The first ones break liveness, the others safety.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[cfg_attr(not(feature = "mutants"), expect(unreachable_pub, reason = "public with the feature"))]
pub enum Mutant {
    /// Textbook: a higher node follows a lower leader for good instead of bullying it.
    CoordinatorFromLowerId,
    /// A candidate that was answered waits for the Coordinator for ever, though the node that
    /// answered may have died since.
    NoElectionAfterLostAnswer,
    /// Textbook: a leader takes no notice of another leader, so both stay after a partition heals.
    TwoLeadersKeptAfterHealing,
    /// Guarded: a higher node that returns never challenges the lower leader.
    ReturnedHighestNeverChallenges,
    /// A Coordinator of a past epoch is believed.
    StaleCoordinatorBelieved,
    /// Guarded: a candidate that nobody contradicts within its patience leads without a majority.
    SilenceIsVictory,
    /// Guarded: a voter answers before it has written down whom it promised the epoch.
    PromiseNotDurable,
    /// Guarded: a voter grants one epoch to every candidate that asks.
    EpochGrantedTwice,
    /// Guarded: the lease counts from the moment an acknowledgement arrived, not from the moment
    /// the round was sent.
    LeaseFromReply,
    /// Guarded: any acknowledgement of the epoch counts for the latest round, late and doubled ones
    /// too.
    StaleAckCounts,
    /// Guarded: a node that boots votes and stands at once, though it may have been bound when it
    /// crashed.
    ForgetsBindingOnBoot,
    /// Guarded: a voter that is bound to a leader votes for another all the same.
    BoundVoterVotes,
    /// Guarded: the lease is as long as the bond, as if all clocks ran alike.
    DriftForgotten,
    /// No bug: a higher node answers a candidate twice.
    AnswersTwice,
}

impl Mutant {
    /// All of them.
    #[cfg(feature = "mutants")]
    pub const ALL: [Self; 13] = [
        Self::CoordinatorFromLowerId,
        Self::NoElectionAfterLostAnswer,
        Self::TwoLeadersKeptAfterHealing,
        Self::ReturnedHighestNeverChallenges,
        Self::StaleCoordinatorBelieved,
        Self::SilenceIsVictory,
        Self::PromiseNotDurable,
        Self::EpochGrantedTwice,
        Self::LeaseFromReply,
        Self::StaleAckCounts,
        Self::ForgetsBindingOnBoot,
        Self::BoundVoterVotes,
        Self::DriftForgotten,
    ];

    /// Changes that break nothing, and that no judge may take for a bug.
    #[cfg(feature = "mutants")]
    pub const HARMLESS: [Self; 1] = [Self::AnswersTwice];
}

cluster::planted!(pub(crate) Mutant);
