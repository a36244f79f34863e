//! Every planted bug is caught: by a sentence of the paper, or by a storm.

use std::panic::{AssertUnwindSafe, catch_unwind};

use raft::{Config, Mutant};

use crate::bed::config;
use crate::journal::Journal;
use crate::storm::storm;
use crate::{paper, reads, replication, safety, sessions, snapshots};

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
        // No bugs.
        Mutant::HeartbeatsTwiceAsOften | Mutant::NoopTwice => None,
    }
}

#[test]
fn sentences_of_the_paper_catch_what_they_forbid() {
    for mutant in Mutant::ALL {
        let Some(sentence) = sentence(mutant) else { continue };
        sentence(config());
        let caught = catch_unwind(AssertUnwindSafe(|| sentence(config().plant(mutant))));
        assert!(caught.is_err(), "{mutant:?} was not caught");
    }
}

/// Bugs that a storm need not find: one only delays an election; two need a vote or a snapshot to be
/// lost in a crash within the moment before its sync, and then one more event of a kind; no storm
/// damages messages; and what is sent too often, or refused and sent again, is only slow.
const LEFT_TO_THE_PAPER: [Mutant; 6] = [
    Mutant::CandidateIgnoresLeader,
    Mutant::VotesBeforeDurable,
    Mutant::AcknowledgesSnapshotBeforeDurable,
    Mutant::UnverifiedSnapshot,
    Mutant::CompactsPastInstalls,
    Mutant::RefusesBelowSnapshot,
];

#[test]
fn storms_catch_what_breaks_clients_or_logs() {
    for mutant in Mutant::ALL {
        if LEFT_TO_THE_PAPER.contains(&mutant) {
            assert!(sentence(mutant).is_some());
            continue;
        }
        let caught = (0..4_000).find_map(|seed| {
            // A planted bug may break an assertion too.
            let weather = catch_unwind(AssertUnwindSafe(|| storm(seed, config().plant(mutant))));
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
