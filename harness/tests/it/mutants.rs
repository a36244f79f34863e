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

fn raft() -> raft::Config<implementations::raft::Registers> {
    raft::Config::new(implementations::raft::Registers::default())
}

planted! {
    bully_silence_is_victory: bully bully::Config::default(), SilenceIsVictory, "minority-partition";
    bully_epoch_granted_twice: bully bully::Config::default(), EpochGrantedTwice, "swarm";
    raft_votes_twice: raft raft(), VotesTwice, "swarm";
    raft_no_up_to_date_check: raft raft(), NoUpToDateCheck, "crash-cascade";
    dlock_token_kept_on_regrant: dlock dlock::Config::default(), TokenKeptOnRegrant, "steady";
    dlock_last_come_first_served: dlock dlock::Config::default(), LastComeFirstServed, "steady";
    quorum_no_write_back: quorum quorum::Config::default(), NoWriteBack, "lossy-network";
    quorum_no_tag_query: quorum quorum::Config::default(), NoTagQuery, "steady";
}

/// Without a bug in it, nothing is found: the same path, unplanted.
#[test]
fn the_unplanted_are_not_flagged() {
    for implementation in [
        implementations::bully::with(bully::Config::default()),
        implementations::raft::with(raft()),
        implementations::dlock::with(dlock::Config::default()),
        implementations::quorum::with(quorum::Config::default()),
    ] {
        for scenario in ["steady", "swarm"] {
            assert_eq!(caught(&implementation, scenario), None, "{}", implementation.name);
        }
    }
}
