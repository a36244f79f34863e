//! The suite: one log against a model of it, on a directory that misbehaves and on a real one.

mod blobs;
mod crash;
mod damage;
mod model;
#[cfg(feature = "mutants")]
mod mutants;
mod page_cache;
mod real;
mod refuse;
mod world;

use wal::Options;

/// Runs a scenario on sound code.
#[track_caller]
fn check(scenario: fn(Options) -> anyhow::Result<()>) {
    if let Err(error) = scenario(small()) {
        panic!("{error:#}");
    }
}

/// Segments so small that a few records fill one.
fn small() -> Options {
    Options::default().segment_bytes(4096).prepare_bytes(1024)
}

/// A scenario, for those that run all of them.
#[cfg(feature = "mutants")]
type Scenario = (&'static str, fn(Options) -> anyhow::Result<()>);

/// Every scenario that can tell a planted bug.
#[cfg(feature = "mutants")]
const SCENARIOS: [Scenario; 13] = [
    ("failed sync", page_cache::a_failed_sync_poisons),
    ("page cache", page_cache::what_only_the_page_cache_holds_is_written_again),
    ("lock", refuse::a_second_owner),
    ("missing segments", refuse::missing_segments),
    ("head", model::the_head_outlives_compaction),
    ("numbers", model::numbers_go_on),
    ("compaction", model::compaction_keeps_what_it_must),
    ("middle", damage::damage_before_what_is_proven_is_refused),
    ("torn", damage::a_torn_tail_is_cut_for_good),
    ("recycled", damage::a_recycled_file_shows_nothing_old),
    ("flips", damage::every_flipped_bit),
    ("crashes", crash::at_every_operation),
    ("random", model::random_runs),
];
