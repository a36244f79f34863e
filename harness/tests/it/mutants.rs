//! The judge is judged: protocol bugs are planted, one at a time, and the suite must catch each.
//!
//! `cargo xtask mutants` does this for every bug and from several first seeds; here, for a few of each
//! pattern, as a test.

use harness::mutants::{Planted, SEEDS, all, harmless, hunt};
use harness::scenario::Scenario;

#[track_caller]
fn check(place: &str, name: &str, scenario: &str) {
    let is_it = |planted: &Planted| planted.place == place && planted.name == name;
    let planted = all().into_iter().find(is_it).expect("the bug exists");
    let scenario = Scenario::named(scenario).expect("the scenario exists");
    let caught = hunt(&planted, &scenario, 1, SEEDS);
    assert!(caught.is_some(), "{planted}: not caught by {} in {SEEDS} seeds", scenario.name);
}

macro_rules! planted {
    ($($test:ident: $place:literal $name:literal $scenario:literal;)*) => {$(
        #[test]
        fn $test() {
            check($place, $name, $scenario);
        }
    )*};
}

planted! {
    bully_silence_is_victory: "bully" "SilenceIsVictory" "minority-partition";
    bully_highest_never_returns: "bully" "ReturnedHighestNeverChallenges" "leader-crash";
    bully_binding_forgotten: "bully" "ForgetsBindingOnBoot" "voters-restart";
    raft_reads_without_quorum: "raft" "ReadsWithoutQuorum" "minority-partition";
    raft_votes_before_durable: "raft" "VotesBeforeDurable" "slow-voters";
    raft_truncates_always: "raft" "TruncatesAlways" "crash-cascade";
    dlock_token_kept_on_regrant: "dlock" "TokenKeptOnRegrant" "steady";
    dlock_release_by_anyone: "dlock" "ReleaseByAnyone" "steady";
    dlock_retry_counted_twice: "dlock" "RetryCountedTwice" "crash-cascade";
    quorum_no_tag_query: "quorum" "NoTagQuery" "steady";
    quorum_hints_overwrite: "quorum" "HintsOverwrite" "crash-cascade";
    quorum_ack_before_durable: "quorum" "AckBeforeDurable" "power-loss";
    world_syncs_too_soon: "world" "SyncsTooSoon" "power-loss";
    world_keeps_torn_tails: "world" "KeepsTornTails" "torn-write";
}

/// What breaks nothing is not taken for a bug.
#[test]
fn harmless_changes_are_not_flagged() {
    let changes = harmless();
    assert!(changes.len() >= 5);
    for planted in changes {
        for scenario in ["steady", "swarm"] {
            let scenario = Scenario::named(scenario).expect("the scenario exists");
            assert_eq!(hunt(&planted, &scenario, 1, 20), None, "{planted}");
        }
    }
}
