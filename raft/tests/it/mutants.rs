//! Every planted bug is caught: by a sentence of the paper, or by a storm.

use std::panic::{AssertUnwindSafe, catch_unwind};

use raft::{Config, Mutant};

use crate::bed::{config, plain};
use crate::journal::Journal;
use crate::storm::storm;
use crate::{paper, reads, replication, safety};

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
        sentence(plain());
        let caught = catch_unwind(AssertUnwindSafe(|| sentence(plain().plant(mutant))));
        assert!(caught.is_err(), "{mutant:?} was not caught");
    }
}

/// Bugs that a storm need not find: one only delays an election, one needs a vote to be lost in a
/// crash within the moment before its sync, and a second election in the same term.
const LEFT_TO_THE_PAPER: [Mutant; 2] = [Mutant::CandidateIgnoresLeader, Mutant::VotesBeforeDurable];

#[test]
fn storms_catch_what_breaks_clients_or_logs() {
    for mutant in Mutant::ALL {
        if LEFT_TO_THE_PAPER.contains(&mutant) {
            assert!(sentence(mutant).is_some());
            continue;
        }
        let caught = (0..600).find_map(|seed| {
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
