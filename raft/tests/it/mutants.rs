//! Every planted bug is caught: by a sentence of the paper, or by a storm.

use std::panic::{AssertUnwindSafe, catch_unwind};

use raft::{Config, Mutant};

use crate::bed::{config, plain};
use crate::journal::Journal;
use crate::storm::{storm, storm_as_it_is};
use crate::{
    departure, ended, identity, levels, loyalty, membership, paper, prevote, reads, renewal,
    replication, safety, sessions, snapshots, transfer, witness,
};

/// The tests that tell each bug from its absence.
fn sentence(mutant: Mutant) -> Option<fn(Config<Journal>)> {
    match mutant {
        Mutant::VotesTwice => Some(paper::one_vote_a_term),
        Mutant::VotesBeforeDurable => Some(paper::votes_wait_for_the_disk),
        Mutant::NoUpToDateCheck | Mutant::LengthBeforeTerm => Some(safety::up_to_date),
        Mutant::IgnoresHigherTerm => Some(paper::higher_term_deposes),
        Mutant::CommitsOldTerms => Some(safety::figure_8),
        Mutant::CommitsOnRefusal | Mutant::NoPreviousCheck => {
            Some(replication::refuses_without_the_previous_entry)
        }
        Mutant::TruncatesAlways | Mutant::AcknowledgesOwnLast => {
            Some(replication::truncates_on_conflict_only)
        }
        Mutant::AcknowledgesBeforeDurable => Some(replication::acknowledgements_wait_for_the_disk),
        Mutant::CountsItselfBeforeDurable => Some(replication::leader_counts_itself_once_durable),
        Mutant::CommitsBeyondVerified => Some(replication::commits_only_what_was_verified),
        Mutant::ReadsWithoutQuorum => Some(reads::a_read_waits_for_a_majority),
        Mutant::ReadsBeforeNoop => Some(reads::a_new_leader_reads_after_its_noop),
        Mutant::FixedTimeouts => Some(paper::timeouts_are_random),
        Mutant::CandidateIgnoresLeader => Some(paper::candidate_accepts_leader_of_its_term),
        Mutant::AppliesRetries => Some(sessions::applied_once),
        Mutant::ClosesWhereAsked => Some(sessions::closed_everywhere),
        Mutant::ForgetsSessions => Some(sessions::known_by_snapshot),
        Mutant::ForgetsBeforeDurable => Some(snapshots::crashes_between_records),
        Mutant::RefusesBelowSnapshot => Some(snapshots::acknowledged_below),
        Mutant::KeepsConflictAfterInstall => Some(snapshots::conflicts),
        Mutant::UnverifiedSnapshot => Some(snapshots::damaged),
        Mutant::AcknowledgesSnapshotBeforeDurable => Some(snapshots::durable_first),
        Mutant::CompactsPastInstalls => Some(snapshots::no_loop),
        Mutant::CommitsWithoutMajority | Mutant::CommitsAllAtBoot | Mutant::AppliesBackwards => {
            None
        }
        Mutant::PreVoteRaisesTerm
        | Mutant::PreVoteResetsTimer
        | Mutant::PreVoteHidesTerm
        | Mutant::RefusesItsOwnLeader
        | Mutant::LendsNothing
        | Mutant::LeadsWithoutQuorum
        | Mutant::LeadsOnAHungDisk
        | Mutant::SlowDiskStands
        | Mutant::TransferRespectsLoyalty
        | Mutant::TransfersToALaggard
        | Mutant::ProposesDuringTransfer
        | Mutant::KeepsLeaseAfterTransfer
        | Mutant::LeaseNeverEnds
        | Mutant::LeaseIgnoresDrift
        | Mutant::ForgetsLeaseAtBoot
        | Mutant::FollowerReadsUnconfirmed
        | Mutant::FollowerReadsUnapplied
        | Mutant::OldReadIndex => None,
        Mutant::CountsOutgoingOnly
        | Mutant::CountsLearners
        | Mutant::LearnersStand
        | Mutant::ChangesBeforeNoop
        | Mutant::ChangesTwiceAtOnce
        | Mutant::ChangesManyAtOnce
        | Mutant::LeavesJointEarly
        | Mutant::StaysJoint
        | Mutant::AddsWithoutCatchUp
        | Mutant::RemovedCountsItself
        | Mutant::RemovedLeadsOn
        | Mutant::KeepsTruncatedConfiguration
        | Mutant::ForgetsConfiguration
        | Mutant::GuestsDepose
        | Mutant::RenewsTooSoon
        | Mutant::AnswersOutsiders
        | Mutant::HintsBreakLeases => None,
        Mutant::CountsAnyDisk
        | Mutant::WipedFounderVotes
        | Mutant::KnowsFoundersUnsaved
        | Mutant::RenewsInOneStep
        | Mutant::KeepsProgressOfAnotherDisk
        | Mutant::HearsOlderLives => None,
        Mutant::WitnessStands
        | Mutant::AnyNumberOfWitnesses
        | Mutant::WitnessVotesForAll
        | Mutant::WitnessesFirst
        | Mutant::WitnessesBeforeDisks
        | Mutant::PromotesInPlace => None,
        // No bugs.
        Mutant::HeartbeatsTwiceAsOften | Mutant::NoopTwice => None,
    }
}

/// The tests that tell each bug in what the thesis adds from its absence.
fn sentence_of_the_thesis(mutant: Mutant) -> Option<fn(Config<Journal>)> {
    match mutant {
        Mutant::PreVoteRaisesTerm | Mutant::PreVoteResetsTimer => {
            Some(prevote::pre_vote_does_not_reset_election_timers)
        }
        Mutant::PreVoteHidesTerm => Some(prevote::pre_vote_rejection_carries_the_higher_term),
        Mutant::RefusesItsOwnLeader => {
            Some(prevote::pre_vote_does_not_reject_the_leader_one_follows)
        }
        Mutant::LendsNothing => Some(prevote::a_voter_lends_what_the_asker_lacks),
        Mutant::LeadsWithoutQuorum => Some(loyalty::a_leader_without_a_majority_steps_down),
        Mutant::LeadsOnAHungDisk => Some(loyalty::a_leader_whose_disk_hangs_steps_down),
        Mutant::SlowDiskStands => Some(loyalty::a_slow_disk_is_no_silence),
        Mutant::TransferRespectsLoyalty => Some(transfer::transfer_bypasses_loyalty),
        Mutant::TransfersToALaggard => Some(transfer::transfer_waits_for_the_whole_log),
        Mutant::ProposesDuringTransfer => {
            Some(transfer::a_leader_that_hands_over_takes_no_commands)
        }
        Mutant::KeepsLeaseAfterTransfer => Some(transfer::the_lease_ends_with_a_transfer),
        Mutant::LeaseNeverEnds | Mutant::LeaseIgnoresDrift => Some(levels::leases_end),
        Mutant::HintsBreakLeases => Some(ended::a_lease_outlives_hints),
        Mutant::ForgetsLeaseAtBoot => Some(levels::a_boot_forgets_no_lease),
        Mutant::FollowerReadsUnconfirmed => Some(levels::a_follower_read_waits_for_a_majority),
        Mutant::FollowerReadsUnapplied => Some(levels::a_follower_read_waits_until_it_has_applied),
        Mutant::OldReadIndex => Some(levels::an_old_answer_is_no_answer),
        _ => sentence_on_membership(mutant),
    }
}

/// The tests that tell each bug in a change of the configuration from its absence.
fn sentence_on_membership(mutant: Mutant) -> Option<fn(Config<Journal>)> {
    match mutant {
        Mutant::CountsOutgoingOnly => Some(membership::joint_consensus_needs_both_majorities),
        Mutant::CountsLearners => Some(membership::learners_do_not_count),
        Mutant::LearnersStand => Some(membership::who_has_no_vote_does_not_stand),
        Mutant::ChangesBeforeNoop => Some(membership::changes_wait_for_the_noop),
        Mutant::ChangesTwiceAtOnce => Some(membership::one_at_a_time),
        Mutant::ChangesManyAtOnce | Mutant::LeavesJointEarly => {
            Some(membership::many_voters_go_through_a_joint_configuration)
        }
        Mutant::StaysJoint => Some(membership::the_next_leader_leaves_the_joint_configuration),
        Mutant::AddsWithoutCatchUp => Some(membership::a_new_voter_catches_up_first),
        Mutant::RemovedCountsItself => Some(departure::a_leader_that_goes_does_not_count_itself),
        Mutant::RemovedLeadsOn => Some(departure::a_leader_that_is_out_steps_down),
        Mutant::KeepsTruncatedConfiguration => {
            Some(membership::overwritten_configurations_are_undone)
        }
        Mutant::ForgetsConfiguration => Some(membership::snapshots_carry_the_configuration),
        Mutant::AnswersOutsiders => Some(departure::who_is_out_answers_no_reads),
        Mutant::GuestsDepose | Mutant::RenewsTooSoon => Some(renewal::nothing_under_way_is_lost),
        _ => None,
    }
}

/// The tests that tell each bug in who counts for whom from its absence.
fn sentence_on_identity(mutant: Mutant) -> Option<fn(Config<Journal>)> {
    match mutant {
        Mutant::CountsAnyDisk => Some(identity::another_disk_does_not_count),
        Mutant::WipedFounderVotes => Some(identity::wiped_founders_abstain),
        Mutant::KnowsFoundersUnsaved => Some(identity::founders_are_written_down_first),
        Mutant::RenewsInOneStep => Some(identity::renewal_is_a_joint_change),
        Mutant::KeepsProgressOfAnotherDisk => Some(identity::a_wiped_node_catches_up),
        Mutant::HearsOlderLives => Some(identity::an_old_copy_is_not_heard),
        _ => None,
    }
}

/// The tests that tell each bug in what concerns witnesses from its absence.
fn sentence_on_witnesses(mutant: Mutant) -> Option<fn(Config<Journal>)> {
    match mutant {
        Mutant::WitnessStands => Some(witness::it_does_not_stand),
        Mutant::AnyNumberOfWitnesses => Some(witness::a_majority_holds_a_full_replica),
        Mutant::WitnessVotesForAll => Some(witness::it_refuses_shorter_logs),
        Mutant::WitnessesFirst => Some(witness::it_sends_them_last),
        Mutant::WitnessesBeforeDisks => Some(witness::it_sends_them_what_a_disk_holds),
        Mutant::PromotesInPlace => Some(witness::a_disk_without_commands_is_not_promoted),
        _ => None,
    }
}

/// What tells a bug from its absence, if that is among these tests.
type Sentence = fn(Mutant) -> Option<fn(Config<Journal>)>;

/// Each of these tests passes as configured, and fails with its bug. How many were tried.
#[track_caller]
fn catch(sentence: Sentence, configured: fn(Mutant) -> Config<Journal>) -> usize {
    let mut tried = 0;
    for mutant in Mutant::ALL {
        let Some(sentence) = sentence(mutant) else { continue };
        sentence(configured(mutant));
        let caught = catch_unwind(AssertUnwindSafe(|| sentence(configured(mutant).plant(mutant))));
        assert!(caught.is_err(), "{mutant:?} was not caught");
        tried += 1;
    }
    tried
}

#[test]
fn sentences_on_witnesses_catch_what_they_forbid() {
    assert_eq!(catch(sentence_on_witnesses, |_| plain()), 6);
}

#[test]
fn sentences_on_identity_catch_what_they_forbid() {
    assert_eq!(catch(sentence_on_identity, |_| plain()), 6);
}

#[test]
fn sentences_of_the_thesis_catch_what_they_forbid() {
    const LEASES: [Mutant; 4] = [
        Mutant::KeepsLeaseAfterTransfer,
        Mutant::LeaseNeverEnds,
        Mutant::LeaseIgnoresDrift,
        Mutant::ForgetsLeaseAtBoot,
    ];
    let configured = |mutant| match mutant {
        _ if LEASES.contains(&mutant) => levels::leased(),
        _ if sentence_on_membership(mutant).is_some() => plain(),
        _ => config(),
    };
    assert_eq!(catch(sentence_of_the_thesis, configured), 35);
}

#[test]
fn sentences_of_the_paper_catch_what_they_forbid() {
    assert!(catch(sentence, |_| plain()) > 0);
}

/// Bugs that a storm need not find: one only delays an election; two need a vote or a snapshot to be
/// lost in a crash within the moment before its sync, and then one more event of a kind; no storm
/// damages messages or closes sessions; and what is sent too often, or refused and sent again, is only slow.
const LEFT_TO_THE_PAPER: [Mutant; 7] = [
    Mutant::CandidateIgnoresLeader,
    Mutant::VotesBeforeDurable,
    Mutant::AcknowledgesSnapshotBeforeDurable,
    Mutant::UnverifiedSnapshot,
    Mutant::CompactsPastInstalls,
    Mutant::RefusesBelowSnapshot,
    Mutant::ClosesWhereAsked,
];

/// Bugs that cost time or peace, or that need clocks, crashes and changes of the configuration to meet
/// as they seldom do.
const LEFT_TO_THE_THESIS: [Mutant; 23] = [
    Mutant::PreVoteRaisesTerm,
    Mutant::PreVoteResetsTimer,
    Mutant::PreVoteHidesTerm,
    Mutant::RefusesItsOwnLeader,
    Mutant::LendsNothing,
    Mutant::LeadsWithoutQuorum,
    Mutant::LeadsOnAHungDisk,
    Mutant::SlowDiskStands,
    Mutant::TransferRespectsLoyalty,
    Mutant::TransfersToALaggard,
    Mutant::ProposesDuringTransfer,
    Mutant::LeaseIgnoresDrift,
    Mutant::ForgetsLeaseAtBoot,
    Mutant::CountsOutgoingOnly,
    Mutant::CountsLearners,
    Mutant::LearnersStand,
    Mutant::AddsWithoutCatchUp,
    Mutant::RemovedCountsItself,
    Mutant::RemovedLeadsOn,
    Mutant::GuestsDepose,
    Mutant::RenewsTooSoon,
    Mutant::AnswersOutsiders,
    Mutant::HintsBreakLeases,
];

#[test]
fn storms_catch_what_breaks_clients_or_logs() {
    for mutant in Mutant::ALL {
        if LEFT_TO_THE_PAPER.contains(&mutant) {
            assert!(sentence(mutant).is_some());
            continue;
        }
        if sentence_on_identity(mutant).or(sentence_on_witnesses(mutant)).is_some() {
            continue;
        }
        if LEFT_TO_THE_THESIS.contains(&mutant) {
            assert!(sentence_of_the_thesis(mutant).is_some());
            continue;
        }
        let caught = (0..2_000).find_map(|seed| {
            // A planted bug may break an assertion too.
            let weather = catch_unwind(AssertUnwindSafe(|| match sentence_of_the_thesis(mutant) {
                Some(_) => storm(seed, config().plant(mutant)),
                // There is more to see where elections are many.
                None => storm_as_it_is(seed, plain().plant(mutant)),
            }));
            match weather {
                Ok(Ok(_)) => None,
                Ok(Err(what)) => Some((seed, what)),
                Err(_) => Some((seed, "a panic".to_owned())),
            }
        });
        let Some((seed, what)) = caught else { panic!("{mutant:?} escaped every storm") };
        println!("{mutant:?}, seed {seed}: {what}");
    }
}
