//! Searching for planted bugs: the second detector, beside scenarios and seeds.
//!
//! Each bug has the searches in which it should show. They are the searches of the runs that must
//! hold, or as small as those, so a bug that is found is found by a shortest way, and one that is
//! not is not there within the bounds.

use cluster::explore::{Counterexample, Limits, Report, Verdict};

use super::{bully, locks, quorum, raft, service};

/// A bug in one of the patterns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Planted {
    /// In `bully`.
    Bully(::bully::Mutant),
    /// In `raft`.
    Raft(::raft::Mutant),
    /// In `dlock`.
    Dlock(::dlock::Mutant),
    /// In `quorum`.
    Quorum(::quorum::Mutant),
}

impl Planted {
    /// Every bug of every pattern, and the changes that are none.
    fn everything() -> impl Iterator<Item = Self> {
        let bully = ::bully::Mutant::HARMLESS.map(Self::Bully);
        let raft = ::raft::Mutant::HARMLESS.map(Self::Raft);
        let dlock = ::dlock::Mutant::HARMLESS.map(Self::Dlock);
        let quorum = ::quorum::Mutant::HARMLESS.map(Self::Quorum);
        let harmless = bully.into_iter().chain(raft).chain(dlock).chain(quorum);
        Self::all().into_iter().chain(harmless)
    }

    /// What is called `name` in the pattern `place`, be it a bug or a change that is none.
    pub fn named(place: &str, name: &str) -> Option<Self> {
        Self::everything().find(|it| it.place() == place && it.name() == name)
    }

    /// In which pattern it is.
    pub fn place(self) -> &'static str {
        match self {
            Self::Bully(_) => "bully",
            Self::Raft(_) => "raft",
            Self::Dlock(_) => "dlock",
            Self::Quorum(_) => "quorum",
        }
    }

    /// What it is called there.
    pub fn name(self) -> String {
        match self {
            Self::Bully(mutant) => format!("{mutant:?}"),
            Self::Raft(mutant) => format!("{mutant:?}"),
            Self::Dlock(mutant) => format!("{mutant:?}"),
            Self::Quorum(mutant) => format!("{mutant:?}"),
        }
    }

    /// Every change that is no bug.
    pub fn harmless() -> Vec<Self> {
        let all = Self::all();
        Self::everything().filter(|it| !all.contains(it)).collect()
    }

    /// Every bug of every pattern.
    pub fn all() -> Vec<Self> {
        let bully = ::bully::Mutant::ALL.map(Self::Bully);
        let raft = ::raft::Mutant::judged().map(Self::Raft);
        let dlock = ::dlock::Mutant::ALL.map(Self::Dlock);
        let quorum = ::quorum::Mutant::ALL.map(Self::Quorum);
        bully.into_iter().chain(raft).chain(dlock).chain(quorum).collect()
    }
}

/// How a bug was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Caught {
    /// By which search.
    pub run: &'static str,
    /// What it broke.
    pub guarantee: &'static str,
    /// How many distinct states were searched until then.
    pub states: u64,
    /// How many steps the shortest way has.
    pub depth: u32,
    /// That way.
    pub counterexample: Counterexample,
}

/// A search that can be made of any configuration.
pub(super) struct Stage<C> {
    pub(super) name: &'static str,
    pub(super) explore: fn(C, &Limits) -> Report,
}

/// Searches for `planted`, in one search after another, each within `limits`. None if it shows in
/// none of them, or if there is none for it.
pub fn hunt(planted: Planted, limits: &Limits) -> Option<Caught> {
    match planted {
        Planted::Bully(mutant) => {
            let config = bully::config(::bully::Mode::Guarded).plant(mutant);
            first(bully::stages(mutant), &config, limits)
        }
        Planted::Raft(mutant) => first(raft::stages(mutant), &raft::config().plant(mutant), limits),
        Planted::Dlock(mutant) => {
            let config = locks::config().plant(mutant);
            first(locks::stages(mutant), &config, limits)
                .or_else(|| first(service::stages(mutant), &config, limits))
        }
        Planted::Quorum(mutant) => {
            first(quorum::stages(mutant), &quorum::config().plant(mutant), limits)
        }
    }
}

fn first<C: Clone>(stages: Vec<Stage<C>>, config: &C, limits: &Limits) -> Option<Caught> {
    stages.into_iter().find_map(|Stage { name, explore }| {
        let report = explore(config.clone(), limits);
        match report.verdict {
            Verdict::Broken(counterexample) => Some(Caught {
                run: name,
                guarantee: counterexample.broken.guarantee,
                states: report.distinct,
                depth: report.depth,
                counterexample,
            }),
            Verdict::Exhausted | Verdict::Stopped | Verdict::Unsound(_) => None,
        }
    })
}
