//! The judge is judged: protocol bugs are planted, one at a time, and the suite must catch each.
//!
//! These are the bugs that show through the suite's scenarios. Each pattern crate plants more, which
//! need a scripted schedule to show, and catches them in its own tests.

use std::time::Duration;

use harness::guarantee::Guarantee;
use harness::implementation::{Implementation, World};
use harness::implementations;
use harness::run::{Options, run};
use harness::scenario::Scenario;
use rayon::iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};

/// As many as a cell of an ordinary conformance run has.
const SEEDS: u64 = 200;

/// Runs `mutant` through `scenario` until a claim breaks: the guarantee, and the seed.
fn caught(mutant: &Implementation, scenario: &str) -> Option<(Guarantee, u64)> {
    let scenario = Scenario::named(scenario).expect("it exists");
    Vec::from_iter(1..=SEEDS).into_par_iter().by_exponential_blocks().find_map_first(|seed| {
        let span = Duration::from_secs(4);
        let options = Options { world: World::Sim, seed, nodes: None, span, trace: false };
        let report = run(mutant, &scenario, &options).expect("it can be run");
        let broken = report.violations.iter().map(|violation| violation.guarantee);
        broken.filter(|it| mutant.claims.contains(it)).map(|it| (it, seed)).next()
    })
}

#[track_caller]
fn check(mutant: &Implementation, name: &str, scenario: &str) {
    match caught(mutant, scenario) {
        Some((guarantee, seed)) => {
            println!("{} {name}: {guarantee}, {scenario}, seed {seed}", mutant.name);
        }
        None => panic!("{} {name}: not caught by {scenario} in {SEEDS} seeds", mutant.name),
    }
}

macro_rules! planted {
    ($($test:ident: $pattern:ident $config:expr, $mutant:ident, $scenario:literal;)*) => {$(
        #[test]
        fn $test() {
            let mutant = ::$pattern::Mutant::$mutant;
            let implementation = implementations::$pattern::with($config.plant(mutant));
            check(&implementation, stringify!($mutant), $scenario);
        }
    )*};
}

fn bully() -> ::bully::Config {
    ::bully::Config::default()
}

fn raft() -> ::raft::Config<implementations::raft::Registers> {
    ::raft::Config::new(implementations::raft::Registers::default())
}

fn dlock() -> ::dlock::Config {
    ::dlock::Config::default()
}

fn quorum() -> ::quorum::Config {
    ::quorum::Config::default()
}

planted! {
    bully_silence_is_victory: bully bully(), SilenceIsVictory, "minority-partition";
    bully_bound_voter_votes: bully bully(), BoundVoterVotes, "minority-partition";
    bully_promise_not_durable: bully bully(), PromiseNotDurable, "swarm";
    raft_commits_without_majority: raft raft(), CommitsWithoutMajority, "minority-partition";
    raft_reads_without_quorum: raft raft(), ReadsWithoutQuorum, "minority-partition";
    raft_no_up_to_date_check: raft raft(), NoUpToDateCheck, "majority-partition";
    raft_truncates_always: raft raft(), TruncatesAlways, "lossy-network";
    raft_ignores_higher_term: raft raft(), IgnoresHigherTerm, "pause-resume";
    dlock_token_kept_on_regrant: dlock dlock(), TokenKeptOnRegrant, "steady";
    dlock_answers_before_commit: dlock dlock(), AnswersBeforeCommit, "leader-crash";
    dlock_last_come_first_served: dlock dlock(), LastComeFirstServed, "steady";
    dlock_leases_lost_on_failover: dlock dlock(), LeasesLostOnFailover, "swarm";
    quorum_no_tag_query: quorum quorum(), NoTagQuery, "steady";
    quorum_no_write_back: quorum quorum(), NoWriteBack, "reordering-network";
    quorum_outsiders_count: quorum quorum(), OutsidersCount, "minority-partition";
    quorum_hints_overwrite: quorum quorum(), HintsOverwrite, "leader-crash";
    quorum_incarnation_kept: quorum quorum(), IncarnationKept, "power-loss";
}

/// Without a bug in it, nothing is found: the same path, unplanted.
#[test]
fn the_unplanted_are_not_flagged() {
    for implementation in [
        implementations::bully::with(bully()),
        implementations::raft::with(raft()),
        implementations::dlock::with(dlock()),
        implementations::quorum::with(quorum()),
    ] {
        for scenario in ["steady", "swarm"] {
            assert_eq!(caught(&implementation, scenario), None, "{}", implementation.name);
        }
    }
}
