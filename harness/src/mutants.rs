//! The judge is judged: bugs are planted, one at a time, and each must be caught; changes that break
//! nothing are planted, and none may be taken for a bug.
//!
//! Only with the feature `mutants`; a build without it contains no bug.

mod known;

use std::fmt;
use std::sync::Arc;

use cluster::sim;
use rayon::iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};

use crate::exhaustive;
use crate::guarantee::Guarantee;
use crate::implementation::{Implementation, World};
use crate::implementations;
use crate::run::{Options, run};
use crate::scenario::{self, Scenario};
use crate::suite::SPAN;

/// A bug, or a change that is none, and what it is planted in.
#[derive(Clone, Debug)]
pub struct Planted {
    /// Where: a pattern's crate, or `world`.
    pub place: &'static str,
    /// Which.
    pub name: String,
    /// The implementation that has it.
    pub implementation: Implementation,
}

/// How a bug was caught.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Caught {
    /// In which scenario.
    pub scenario: &'static str,
    /// What it broke.
    pub guarantee: Guarantee,
    /// By which run, counted from one.
    pub seeds: u64,
}

impl fmt::Display for Planted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.place, self.name)
    }
}

/// Every bug that can be planted.
pub fn all() -> Vec<Planted> {
    let bullies = bully::Mutant::ALL.map(bully);
    let rafts = raft::Mutant::judged().map(raft);
    let locks = dlock::Mutant::ALL.map(dlock);
    let stores = quorum::Mutant::ALL.map(quorum);
    let worlds = sim::Mutant::ALL.map(world);
    bullies.into_iter().chain(rafts).chain(locks).chain(stores).chain(worlds).collect()
}

/// Changes that break nothing.
pub fn harmless() -> Vec<Planted> {
    let bullies = bully::Mutant::HARMLESS.map(bully);
    let rafts = raft::Mutant::HARMLESS.map(raft);
    let locks = dlock::Mutant::HARMLESS.map(dlock);
    let stores = quorum::Mutant::HARMLESS.map(quorum);
    bullies.into_iter().chain(rafts).chain(locks).chain(stores).collect()
}

fn planted(
    place: &'static str,
    mutant: impl fmt::Debug,
    implementation: Implementation,
) -> Planted {
    Planted { place, name: format!("{mutant:?}"), implementation }
}

fn bully(mutant: bully::Mutant) -> Planted {
    use bully::Mutant::{CoordinatorFromLowerId, TwoLeadersKeptAfterHealing};
    let config = bully::Config::default().plant(mutant);
    let implementation = match mutant {
        CoordinatorFromLowerId | TwoLeadersKeptAfterHealing => {
            implementations::bully::textbook_with(config)
        }
        _ => implementations::bully::with(config),
    };
    planted("bully", mutant, implementation)
}

fn raft(mutant: raft::Mutant) -> Planted {
    use implementations::raft::{DRIFT_PPM, config, with};
    use raft::Mutant::{
        ChangesBeforeNoop, ChangesTwiceAtOnce, ForgetsConfiguration, KeepsTruncatedConfiguration,
        LeaseNeverEnds, StaysJoint,
    };
    let config = match mutant {
        ChangesBeforeNoop
        | ChangesTwiceAtOnce
        | ForgetsConfiguration
        | KeepsTruncatedConfiguration
        | LeaseNeverEnds
        | StaysJoint => config().with_lease(DRIFT_PPM),
        // Bugs in what the paper's first half says show where elections are many, and no snapshot
        // covers them up.
        _ => {
            let never = u64::MAX;
            config().with_textbook_elections().with_snapshot_every(never).with_snapshot_bytes(never)
        }
    };
    planted("raft", mutant, with(config.plant(mutant)))
}

fn dlock(mutant: dlock::Mutant) -> Planted {
    let config = dlock::Config::default().plant(mutant);
    planted("dlock", mutant, implementations::dlock::with(config))
}

fn quorum(mutant: quorum::Mutant) -> Planted {
    let config = quorum::Config::default().plant(mutant);
    planted("quorum", mutant, implementations::quorum::with(config))
}

/// A bug of the world, under a replicated log; what a log would notice by itself, under a store.
fn world(mutant: sim::Mutant) -> Planted {
    let sound = match mutant {
        sim::Mutant::SkipsDamage => implementations::quorum::tagged(),
        _ => implementations::raft::raft(),
    };
    let start = Arc::clone(&sound.start);
    let start = move |setting: &crate::implementation::Setting| {
        let mut setting = setting.clone();
        setting.sim = setting.sim.plant(mutant);
        start(&setting)
    };
    planted("world", mutant, Implementation { start: Arc::new(start), ..sound })
}

/// The first of `seeds` runs of `scenario`, with seeds from `base` on, in which a claim breaks.
pub fn hunt(planted: &Planted, scenario: &Scenario, base: u64, seeds: u64) -> Option<Caught> {
    Vec::from_iter(0..seeds).into_par_iter().by_exponential_blocks().find_map_first(|nth| {
        let options =
            Options { world: World::Sim, seed: base + nth, nodes: None, span: SPAN, trace: false };
        let report = run(&planted.implementation, scenario, &options).ok()?;
        let claims = planted.implementation.claims;
        let broken = report.violations.iter().find(|it| claims.contains(&it.guarantee))?;
        Some(Caught { scenario: scenario.name, guarantee: broken.guarantee, seeds: nth + 1 })
    })
}

/// The median of what hunts with at most `seeds` seeds from each of [`BASES`] take; none if one of
/// them is in vain.
fn median(planted: &Planted, scenario: &Scenario, seeds: u64) -> Option<Caught> {
    let hunts = BASES.iter().map(|&base| hunt(planted, scenario, base, seeds));
    let mut hunts = hunts.collect::<Option<Vec<_>>>()?;
    hunts.sort_by_key(|caught| caught.seeds);
    Some(hunts[hunts.len() / 2])
}

/// What a planted change is tried by.
fn scenarios() -> impl Iterator<Item = &'static Scenario> {
    scenario::ALL.iter().filter(|scenario| scenario.beyond.is_none())
}

/// The scenario that catches `planted` with the fewest seeds, by the median of several hunts of at
/// most [`SEEDS`] each.
pub fn scan(planted: &Planted) -> Option<Caught> {
    let caught = scenarios().filter_map(|scenario| median(planted, scenario, SEEDS));
    caught.min_by_key(|caught| caught.seeds)
}

/// With how many seeds a bug must be caught: as many as a cell of an ordinary run has.
pub const SEEDS: u64 = 200;
/// Where the seeds of the hunts begin: what takes a lucky seed is found out by the others.
const BASES: [u64; 3] = [1, 10_001, 20_001];

/// What became of a planted change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It was taken for a bug.
    Caught {
        /// By what.
        by: Detector,
        /// After how many seeds: the median of several hunts; one if no seed decides.
        seeds: u64,
    },
    /// It was not.
    Missed,
}

impl Verdict {
    fn by_suite(Caught { scenario, guarantee, seeds }: Caught) -> Self {
        Self::Caught { by: Detector::Suite { scenario, guarantee }, seeds }
    }
}

/// What catches bugs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Detector {
    /// The suite.
    Suite {
        /// In which scenario.
        scenario: &'static str,
        /// What is broken.
        guarantee: Guarantee,
    },
    /// A search of every schedule.
    Exhaustive {
        /// Which run.
        run: String,
        /// What is broken.
        invariant: String,
    },
}

/// Whether the scenario that is known to catch `planted` does, within [`SEEDS`] seeds of each of
/// several beginnings; for a bug without one, whether the search of every schedule does.
pub fn judge(planted: &Planted) -> Verdict {
    let known = known::SCENARIOS
        .iter()
        .find(|(place, name, _)| *place == planted.place && *name == planted.name);
    let Some((_, _, scenario)) = known else { return search(planted) };
    let scenario = Scenario::named(scenario).expect("the known scenarios exist");
    median(planted, &scenario, SEEDS).map_or(Verdict::Missed, Verdict::by_suite)
}

/// Whether a search of every schedule finds `planted`.
fn search(planted: &Planted) -> Verdict {
    let found = exhaustive::Planted::named(planted.place, &planted.name)
        .and_then(|it| exhaustive::hunt(it, &exhaustive::Limits::default()));
    match found {
        Some(caught) => {
            let (run, invariant) = (caught.run.to_owned(), caught.guarantee.to_owned());
            Verdict::Caught { by: Detector::Exhaustive { run, invariant }, seeds: 1 }
        }
        None => Verdict::Missed,
    }
}

/// Whether some scenario takes `planted` for a bug.
pub fn judge_harmless(planted: &Planted) -> Verdict {
    let caught = scenarios().find_map(|scenario| hunt(planted, scenario, 1, SEEDS / 10));
    caught.map_or(Verdict::Missed, Verdict::by_suite)
}
