//! Every schedule of small clusters: what was searched, and what came of it.
//!
//! Scenarios and seeds ask whether anything goes wrong in many runs. For three nodes and a few
//! steps there is a better question: does anything go wrong in *any* run? [`cluster::explore`]
//! answers it for the very nodes that run in production. This module holds the questions, each
//! under a name: a cluster, what is asked of it, how much may happen, and what must hold.
//!
//! A run that must hold has to be searched to its end; one that must break has to break the
//! property it is there for, and the way there is a shortest one. The second kind shows that the
//! first can fail.

pub mod atomic;
mod bully;
#[cfg(feature = "mutants")]
mod hunt;
mod locks;
mod quorum;
mod raft;
mod service;

pub use cluster::explore::{Counterexample, Limits, Report, Verdict};

#[cfg(feature = "mutants")]
pub use hunt::{Caught, Planted, hunt};

/// A search with a name.
#[derive(Clone, Copy)]
pub struct Run {
    /// Which pattern it is about.
    pub pattern: &'static str,
    /// What it is called.
    pub name: &'static str,
    /// What is searched, in a line: the cluster, the requests, the faults.
    pub about: &'static str,
    /// What must come of it.
    pub expected: Expected,
    explore: fn(&Limits) -> Report,
}

/// What must come of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expected {
    /// All is searched, and every property holds.
    Holds,
    /// This property is broken.
    Breaks(&'static str),
}

impl Run {
    /// Searches, within `limits`.
    pub fn explore(&self, limits: &Limits) -> Report {
        (self.explore)(limits)
    }

    /// Whether `report` is what must come of it.
    pub fn is_as_expected(&self, report: &Report) -> bool {
        match (&report.verdict, self.expected) {
            (Verdict::Exhausted, Expected::Holds) => true,
            (Verdict::Broken(counterexample), Expected::Breaks(guarantee)) => {
                counterexample.broken.guarantee == guarantee
            }
            (Verdict::Exhausted | Verdict::Broken(_), Expected::Holds | Expected::Breaks(_))
            | (Verdict::Stopped | Verdict::Unsound(_), _) => false,
        }
    }
}

/// All runs, in the order in which to read them.
pub fn runs() -> impl Iterator<Item = Run> {
    [bully::RUNS, raft::RUNS, raft::membership::RUNS, locks::RUNS, service::RUNS, quorum::RUNS]
        .into_iter()
        .flatten()
        .copied()
}
