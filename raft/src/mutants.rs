//! Bugs, planted on request, so that tests can show that they would be caught.
//!
//! Without the feature `mutants` no bug can be planted: [`Planted`] has no size, its answer is
//! always no, and the compiler removes what depends on it.

/// A bug that someone has shipped, or might.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
#[cfg_attr(not(feature = "mutants"), expect(unreachable_pub, reason = "public with the feature"))]
pub enum Mutant {
    /// A voter grants every candidate of its term that is up to date.
    VotesTwice,
    /// A vote is sent before it is on the disk.
    VotesBeforeDurable,
    /// A voter does not compare logs (§5.4.1).
    NoUpToDateCheck,
    /// A voter compares the lengths of the logs before their last terms.
    LengthBeforeTerm,
    /// A leader goes on as if it had not seen a higher term.
    IgnoresHigherTerm,
    /// A leader commits entries of earlier terms by counting (figure 8).
    CommitsOldTerms,
    /// A leader takes half of the nodes, rounded down, for a majority.
    CommitsWithoutMajority,
    /// A follower takes over the leader's commit index from an append that it refuses.
    CommitsOnRefusal,
    /// A follower drops what follows an append's entries, conflict or not.
    TruncatesAlways,
    /// A follower acknowledges the end of its own log instead of what the append verified.
    AcknowledgesOwnLast,
    /// A follower does not check that it holds the entry before the new ones.
    NoPreviousCheck,
    /// A follower acknowledges entries before they are on the disk.
    AcknowledgesBeforeDurable,
    /// A leader counts itself before its entries are on the disk.
    CountsItselfBeforeDurable,
    /// A follower commits as far as its leader, beyond what the append verified.
    CommitsBeyondVerified,
    /// A leader answers reads without asking whether it still leads.
    ReadsWithoutQuorum,
    /// A leader reads before an entry of its term is committed.
    ReadsBeforeNoop,
    /// Every election timeout is the shortest.
    FixedTimeouts,
    /// A candidate does not accept the leader of its own term.
    CandidateIgnoresLeader,
    /// After a restart, a node takes all of its log for committed.
    CommitsAllAtBoot,
    /// A node applies each batch of committed commands last first.
    AppliesBackwards,
    /// A node takes over the term of whoever asks for a pre-vote.
    PreVoteRaisesTerm,
    /// A node that grants a pre-vote waits for a leader anew.
    PreVoteResetsTimer,
    /// A pre-vote is refused without saying that the voter's term is higher.
    PreVoteHidesTerm,
    /// A follower refuses its own leader, who has stopped leading, out of loyalty to it.
    RefusesItsOwnLeader,
    /// A voter keeps to itself what a candidate's log lacks.
    LendsNothing,
    /// A leader that hears from no majority leads on.
    LeadsWithoutQuorum,
    /// A leader whose disk hangs leads on.
    LeadsOnAHungDisk,
    /// A follower counts the time its own disk took as silence of the leader.
    SlowDiskStands,
    /// Voters ignore a candidate that its leader told to stand.
    TransferRespectsLoyalty,
    /// A leader tells a follower to stand before it holds the whole log.
    TransfersToALaggard,
    /// A leader takes commands while it hands over.
    ProposesDuringTransfer,
    /// A leader reads by lease after it told another to stand.
    KeepsLeaseAfterTransfer,
    /// A leader that once held a lease reads by it for ever.
    LeaseNeverEnds,
    /// A lease is as long as the loyalty of followers whose clocks may be faster.
    LeaseIgnoresDrift,
    /// A node votes right after its boot, whatever lease it granted before.
    ForgetsLeaseAtBoot,
    /// A leader tells a follower its commit index without asking whether it still leads.
    FollowerReadsUnconfirmed,
    /// A follower reads before it has applied what its leader had committed.
    FollowerReadsUnapplied,
    /// A follower takes the answer to an earlier question for one to the last.
    OldReadIndex,
    /// A command of a session is applied as often as it comes (thesis §6.3).
    AppliesRetries,
    /// Only the node that a client asked ends its session; the others keep it.
    ClosesWhereAsked,
    /// A snapshot leaves the sessions out.
    ForgetsSessions,
    /// A node lets old records go when its snapshot is written, not when that is durable.
    ForgetsBeforeDurable,
    /// A follower refuses an append that begins before its snapshot.
    RefusesBelowSnapshot,
    /// A follower that has installed a snapshot keeps what followed it in a log that conflicts.
    KeepsConflictAfterInstall,
    /// A follower does not check a snapshot's bytes against its id.
    UnverifiedSnapshot,
    /// A follower acknowledges a snapshot before it is on the disk.
    AcknowledgesSnapshotBeforeDurable,
    /// A leader keeps nothing for followers that install a snapshot.
    CompactsPastInstalls,
    /// While it is joint, only the outgoing voters count (§6: "separate majorities from both").
    CountsOutgoingOnly,
    /// A learner's word counts as a voter's.
    CountsLearners,
    /// A learner stands for election.
    LearnersStand,
    /// A leader changes the configuration before an entry of its term is committed.
    ChangesBeforeNoop,
    /// A leader changes the configuration before the last change is committed.
    ChangesTwiceAtOnce,
    /// A leader changes many voters at once, without a joint configuration.
    ChangesManyAtOnce,
    /// A leader leaves the joint configuration before that is committed.
    LeavesJointEarly,
    /// A leader does not leave a joint configuration that an earlier leader entered.
    StaysJoint,
    /// A node gets a vote before it has caught up.
    AddsWithoutCatchUp,
    /// A leader that has no vote any more counts itself.
    RemovedCountsItself,
    /// A leader that has no vote any more leads on.
    RemovedLeadsOn,
    /// A node keeps the configuration of an entry that was overwritten.
    KeepsTruncatedConfiguration,
    /// A node that takes over a snapshot does not take over its configuration.
    ForgetsConfiguration,
    /// What counts is from whom it is, and not on which disk it is.
    CountsAnyDisk,
    /// A founder takes part once it has met the others, whatever they know it by.
    WipedFounderVotes,
    /// A founder says what it knows of another before that is on the disk.
    KnowsFoundersUnsaved,
    /// A voter gets another disk in one step.
    RenewsInOneStep,
    /// A leader keeps what it knew of a follower whose disk is another one.
    KeepsProgressOfAnotherDisk,
    /// A node hears copies of a disk, and a disk as it was earlier.
    HearsOlderLives,
    /// A leader steps down for a higher term of a node that has no vote.
    GuestsDepose,
    /// A leader that is to outlive such a term stands while commands are under way.
    RenewsTooSoon,
    /// A leader tells who takes no part how far to wait before it reads.
    AnswersOutsiders,
    /// A follower leaves a leader that may hold a lease when it is told that its process has ended.
    HintsBreakLeases,
    /// A witness stands for election.
    WitnessStands,
    /// A change makes witnesses of more than half of the voters.
    AnyNumberOfWitnesses,
    /// A witness votes for whoever asks first, however short its log.
    WitnessVotesForAll,
    /// A leader sends witnesses what no other full replica holds.
    WitnessesFirst,
    /// A leader sends witnesses what is on no disk of a full replica.
    WitnessesBeforeDisks,
    /// A witness becomes a full replica on the disk that lacks the commands.
    PromotesInPlace,
    /// No bug: a leader is heard twice as often.
    HeartbeatsTwiceAsOften,
    /// No bug: a new leader begins its term with two empty entries.
    NoopTwice,
}

impl Mutant {
    /// All of them.
    #[cfg(feature = "mutants")]
    pub const ALL: [Self; 76] = [
        Self::VotesTwice,
        Self::VotesBeforeDurable,
        Self::NoUpToDateCheck,
        Self::LengthBeforeTerm,
        Self::IgnoresHigherTerm,
        Self::CommitsOldTerms,
        Self::CommitsWithoutMajority,
        Self::CommitsOnRefusal,
        Self::TruncatesAlways,
        Self::AcknowledgesOwnLast,
        Self::NoPreviousCheck,
        Self::AcknowledgesBeforeDurable,
        Self::CountsItselfBeforeDurable,
        Self::CommitsBeyondVerified,
        Self::ReadsWithoutQuorum,
        Self::ReadsBeforeNoop,
        Self::FixedTimeouts,
        Self::CandidateIgnoresLeader,
        Self::CommitsAllAtBoot,
        Self::AppliesBackwards,
        Self::PreVoteRaisesTerm,
        Self::PreVoteResetsTimer,
        Self::PreVoteHidesTerm,
        Self::RefusesItsOwnLeader,
        Self::LendsNothing,
        Self::LeadsWithoutQuorum,
        Self::LeadsOnAHungDisk,
        Self::SlowDiskStands,
        Self::TransferRespectsLoyalty,
        Self::TransfersToALaggard,
        Self::ProposesDuringTransfer,
        Self::KeepsLeaseAfterTransfer,
        Self::LeaseNeverEnds,
        Self::LeaseIgnoresDrift,
        Self::ForgetsLeaseAtBoot,
        Self::FollowerReadsUnconfirmed,
        Self::FollowerReadsUnapplied,
        Self::OldReadIndex,
        Self::AppliesRetries,
        Self::ClosesWhereAsked,
        Self::ForgetsSessions,
        Self::ForgetsBeforeDurable,
        Self::RefusesBelowSnapshot,
        Self::KeepsConflictAfterInstall,
        Self::UnverifiedSnapshot,
        Self::AcknowledgesSnapshotBeforeDurable,
        Self::CompactsPastInstalls,
        Self::CountsOutgoingOnly,
        Self::CountsLearners,
        Self::LearnersStand,
        Self::ChangesBeforeNoop,
        Self::ChangesTwiceAtOnce,
        Self::ChangesManyAtOnce,
        Self::LeavesJointEarly,
        Self::StaysJoint,
        Self::AddsWithoutCatchUp,
        Self::RemovedCountsItself,
        Self::RemovedLeadsOn,
        Self::KeepsTruncatedConfiguration,
        Self::ForgetsConfiguration,
        Self::CountsAnyDisk,
        Self::WipedFounderVotes,
        Self::KnowsFoundersUnsaved,
        Self::RenewsInOneStep,
        Self::KeepsProgressOfAnotherDisk,
        Self::HearsOlderLives,
        Self::GuestsDepose,
        Self::RenewsTooSoon,
        Self::AnswersOutsiders,
        Self::HintsBreakLeases,
        Self::WitnessStands,
        Self::AnyNumberOfWitnesses,
        Self::WitnessVotesForAll,
        Self::WitnessesFirst,
        Self::WitnessesBeforeDisks,
        Self::PromotesInPlace,
    ];

    /// Those that only this crate's own tests look for: what they cost is time, peace, or a margin of a
    /// promise about clocks, or it takes a transfer or a learner, for which the suite's clients never
    /// ask, a session that is in a snapshot, a snapshot damaged on its way or in the place of a log that
    /// conflicts with it, a disk that is lost, renewed or copied, or witnesses.
    #[cfg(feature = "mutants")]
    pub const OWN: [Self; 42] = [
        Self::PreVoteRaisesTerm,
        Self::PreVoteResetsTimer,
        Self::PreVoteHidesTerm,
        Self::RefusesItsOwnLeader,
        Self::LendsNothing,
        Self::LeadsWithoutQuorum,
        Self::LeadsOnAHungDisk,
        Self::SlowDiskStands,
        Self::TransfersToALaggard,
        Self::ProposesDuringTransfer,
        Self::KeepsLeaseAfterTransfer,
        Self::LeaseIgnoresDrift,
        Self::ForgetsLeaseAtBoot,
        Self::OldReadIndex,
        Self::ClosesWhereAsked,
        Self::ForgetsSessions,
        Self::RefusesBelowSnapshot,
        Self::KeepsConflictAfterInstall,
        Self::UnverifiedSnapshot,
        Self::AcknowledgesSnapshotBeforeDurable,
        Self::CompactsPastInstalls,
        Self::CountsLearners,
        Self::LearnersStand,
        Self::AddsWithoutCatchUp,
        Self::RemovedCountsItself,
        Self::RemovedLeadsOn,
        Self::CountsAnyDisk,
        Self::WipedFounderVotes,
        Self::KnowsFoundersUnsaved,
        Self::RenewsInOneStep,
        Self::KeepsProgressOfAnotherDisk,
        Self::HearsOlderLives,
        Self::GuestsDepose,
        Self::RenewsTooSoon,
        Self::AnswersOutsiders,
        Self::HintsBreakLeases,
        Self::WitnessStands,
        Self::AnyNumberOfWitnesses,
        Self::WitnessVotesForAll,
        Self::WitnessesFirst,
        Self::WitnessesBeforeDisks,
        Self::PromotesInPlace,
    ];

    /// All but [`OWN`](Self::OWN).
    #[cfg(feature = "mutants")]
    pub fn judged() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|mutant| !Self::OWN.contains(mutant))
    }

    /// Changes that break nothing, and that no judge may take for a bug.
    #[cfg(feature = "mutants")]
    pub const HARMLESS: [Self; 2] = [Self::HeartbeatsTwiceAsOften, Self::NoopTwice];
}

cluster::planted!(pub(crate) Mutant);
