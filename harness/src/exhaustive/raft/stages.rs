//! Which search finds which planted bug.

use ::raft::{Config, Mutant, ReadLevel};

use super::*;
use crate::exhaustive::hunt::Stage;

/// Where a planted bug should show.
pub(in crate::exhaustive) fn stages(mutant: Mutant) -> Vec<Stage<Config<Cell>>> {
    let stage = |name, explore| Stage { name, explore };
    match mutant {
        Mutant::VotesTwice | Mutant::VotesBeforeDurable => vec![stage("election", election)],
        Mutant::CandidateIgnoresLeader => vec![stage("rivals", rivals)],
        Mutant::CommitsOldTerms => vec![stage("figure 8", figure8)],
        Mutant::ReadsWithoutQuorum | Mutant::ReadsBeforeNoop => vec![stage("reads", reads)],
        Mutant::AcknowledgesBeforeDurable
        | Mutant::CountsItselfBeforeDurable
        | Mutant::CommitsAllAtBoot
        | Mutant::NoUpToDateCheck
        | Mutant::CommitsWithoutMajority => vec![stage("failover", failover)],
        Mutant::HeartbeatsTwiceAsOften | Mutant::NoopTwice => {
            vec![stage("failover", failover)]
        }
        Mutant::FixedTimeouts => vec![stage("start", start)],
        Mutant::IgnoresHigherTerm => vec![stage("deposed", deposed)],
        Mutant::AppliesBackwards | Mutant::TruncatesAlways => {
            vec![stage("replication", replication)]
        }
        Mutant::CommitsOnRefusal | Mutant::CommitsBeyondVerified => {
            vec![stage("figure 8", figure8)]
        }
        Mutant::NoPreviousCheck => vec![stage("conflict", conflict)],
        Mutant::AcknowledgesOwnLast => {
            vec![stage("overtaken, 5 in flight", |config, limits| overtaken(config, 5, limits))]
        }
        Mutant::LengthBeforeTerm => vec![stage("behind", behind)],
        Mutant::TransferRespectsLoyalty => vec![stage("handed over", handed_over)],
        Mutant::FollowerReadsUnconfirmed | Mutant::FollowerReadsUnapplied => {
            vec![stage("reads, follower", |config, limits| {
                levels(config, ReadLevel::Follower, limits)
            })]
        }
        // Left to the crate's own tests.
        Mutant::PreVoteRaisesTerm
        | Mutant::PreVoteResetsTimer
        | Mutant::PreVoteHidesTerm
        | Mutant::RefusesItsOwnLeader
        | Mutant::LendsNothing
        | Mutant::LeadsWithoutQuorum
        | Mutant::LeadsOnAHungDisk
        | Mutant::SlowDiskStands
        | Mutant::TransfersToALaggard
        | Mutant::ProposesDuringTransfer
        | Mutant::KeepsLeaseAfterTransfer
        | Mutant::LeaseNeverEnds
        | Mutant::LeaseIgnoresDrift
        | Mutant::ForgetsLeaseAtBoot
        | Mutant::OldReadIndex => Vec::new(),
        Mutant::ForgetsBeforeDurable => vec![stage("compaction", compaction)],
        // Left to the crate's own tests: sessions and damaged parts are not explored, a snapshot in
        // the place of a conflicting log needs more elections than fit, and to send more than needed
        // is slow, not wrong.
        Mutant::AppliesRetries
        | Mutant::ClosesWhereAsked
        | Mutant::ForgetsSessions
        | Mutant::RefusesBelowSnapshot
        | Mutant::KeepsConflictAfterInstall
        | Mutant::UnverifiedSnapshot
        | Mutant::AcknowledgesSnapshotBeforeDurable
        | Mutant::CompactsPastInstalls => Vec::new(),
        Mutant::CountsOutgoingOnly | Mutant::ChangesManyAtOnce | Mutant::LeavesJointEarly => {
            vec![stage("joint consensus", membership::joint)]
        }
        // Left to the crate's own tests.
        Mutant::CountsLearners
        | Mutant::LearnersStand
        | Mutant::ChangesBeforeNoop
        | Mutant::ChangesTwiceAtOnce
        | Mutant::StaysJoint
        | Mutant::AddsWithoutCatchUp
        | Mutant::RemovedCountsItself
        | Mutant::RemovedLeadsOn
        | Mutant::KeepsTruncatedConfiguration
        | Mutant::ForgetsConfiguration
        | Mutant::CountsAnyDisk
        | Mutant::WipedFounderVotes
        | Mutant::KnowsFoundersUnsaved
        | Mutant::RenewsInOneStep
        | Mutant::KeepsProgressOfAnotherDisk
        | Mutant::HearsOlderLives
        | Mutant::GuestsDepose
        | Mutant::RenewsTooSoon
        | Mutant::AnswersOutsiders
        | Mutant::HintsBreakLeases
        // No stage has witnesses.
        | Mutant::WitnessStands
        | Mutant::AnyNumberOfWitnesses
        | Mutant::WitnessVotesForAll
        | Mutant::WitnessesFirst
        | Mutant::WitnessesBeforeDisks
        | Mutant::PromotesInPlace => Vec::new(),
    }
}
