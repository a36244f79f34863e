//! From a run that breaks something to the smallest one found that breaks the same thing.
//!
//! Think of a photographer who crops: end the run sooner, leave out steps, nodes, clients, let less
//! time pass between what is left; after each cut look whether the picture still shows it. A cut that
//! changes which nodes there are changes what chance does with them, so the larger cuts are tried
//! under a few other seeds as well.

use std::time::Duration;

use crate::case::{Case, Timing};
use crate::guarantee::{Guarantee, Violation};
use crate::implementation::Implementation;
use crate::moves::Step;
use crate::run::run_case;

/// A case cut down.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The smallest case found; it says what it breaks.
    pub case: Case,
    /// How the guarantee shows broken in it.
    pub violation: Violation,
    /// How many inputs nodes handled in it.
    pub events: u64,
    /// How many they handled in the case that it was cut from.
    pub events_before: u64,
    /// How many runs it took to find.
    pub runs: u32,
}

/// The most runs to spend.
const RUNS_MAX: u32 = 1_500;
/// Under how many other seeds a larger cut is tried.
const OTHER_SEEDS: u64 = 12;

/// The smallest case found that breaks `guarantee` as `case` does; none if `case` does not, or runs in
/// a world that does not replay.
pub fn shrink(
    implementation: &Implementation,
    case: &Case,
    guarantee: Guarantee,
) -> Option<Shrunk> {
    if !case.world.replays() {
        return None;
    }
    let (violation, events) = broken(implementation, case, guarantee)?;
    let case = Case { breaks: Some(guarantee), faults_min: 0, served_min: 0, ..case.clone() };
    let best = Shrunk { case, violation, events, events_before: events, runs: 1 };
    let mut search = Search { implementation, guarantee, best };
    loop {
        let before = search.best.events;
        search.cut_end();
        search.drop_steps();
        search.drop_nodes();
        search.drop_clients();
        search.cut_begin();
        search.squeeze();
        search.usual_timing();
        if search.best.events == before || search.best.runs >= RUNS_MAX {
            return Some(search.best);
        }
    }
}

/// How `guarantee` shows broken in `case`, and after how many events.
fn broken(
    implementation: &Implementation,
    case: &Case,
    guarantee: Guarantee,
) -> Option<(Violation, u64)> {
    let report = run_case(implementation, case, false).ok()?;
    let violation = report.violations.into_iter().find(|it| it.guarantee == guarantee)?;
    Some((violation, report.events))
}

struct Search<'a> {
    implementation: &'a Implementation,
    guarantee: Guarantee,
    best: Shrunk,
}

impl Search<'_> {
    /// Takes `case` for the best so far if it breaks the guarantee with fewer events, or with as many
    /// and fewer steps.
    fn try_case(&mut self, case: Case) -> bool {
        if case == self.best.case || self.best.runs >= RUNS_MAX {
            return false;
        }
        self.best.runs += 1;
        let Some((violation, events)) = broken(self.implementation, &case, self.guarantee) else {
            return false;
        };
        let size = |case: &Case, events: u64| (events, case.steps.len());
        if size(&case, events) >= size(&self.best.case, self.best.events) {
            return false;
        }
        self.best = Shrunk { case, violation, events, ..self.best.clone() };
        true
    }

    /// As [`Search::try_case`], under other seeds too.
    fn try_seeds(&mut self, case: Case) -> bool {
        let seed = case.seed;
        let others = (0..OTHER_SEEDS).map(|other| seed.wrapping_add(other));
        others.into_iter().any(|seed| self.try_case(Case { seed, ..case.clone() }))
    }

    fn cut_end(&mut self) {
        let case = self.best.case.clone();
        self.try_case(Case { recovery: false, ..case.clone() });
        self.try_case(Case { core_first: false, recovery: false, ..case.clone() });
        self.try_case(Case { operator: false, ..case });
        for eighths in [1, 2, 4, 6, 7] {
            let case = self.best.case.clone();
            let span = case.span * eighths / 8;
            let steps = case.steps.iter().filter(|step| step.at <= span).cloned().collect();
            if self.try_case(Case { span, steps, core_first: false, recovery: false, ..case }) {
                break;
            }
        }
    }

    /// Leaves out runs of steps: long ones first, then one at a time.
    fn drop_steps(&mut self) {
        let mut len = self.best.case.steps.len();
        while len > 0 {
            let mut from = 0;
            while from < self.best.case.steps.len() {
                let case = self.best.case.clone();
                let mut steps = case.steps.clone();
                steps.drain(from..(from + len).min(steps.len()));
                if !self.try_case(Case { steps, ..case }) {
                    from += len;
                }
            }
            len /= 2;
        }
    }

    fn drop_nodes(&mut self) {
        for nodes in 1..self.best.case.nodes {
            let case = self.best.case.clone();
            if self.try_seeds(Case { nodes, ..case }) {
                return;
            }
        }
    }

    fn drop_clients(&mut self) {
        for clients in 1..self.best.case.clients {
            let case = self.best.case.clone();
            if self.try_seeds(Case { clients, ..case }) {
                return;
            }
        }
    }

    fn cut_begin(&mut self) {
        for eighths in [0, 1, 2, 4, 6] {
            let case = self.best.case.clone();
            let warm_up = case.warm_up * eighths / 8;
            if self.try_seeds(Case { warm_up, ..case }) {
                return;
            }
        }
    }

    /// Lets less time pass between steps.
    fn squeeze(&mut self) {
        for eighths in [1, 2, 4, 6] {
            let case = self.best.case.clone();
            let scaled = |at: Duration| at * eighths / 8;
            let step = |step: &Step| Step { at: scaled(step.at), what: step.what.clone() };
            let steps = case.steps.iter().map(step).collect();
            if self.try_seeds(Case { steps, span: scaled(case.span), ..case }) {
                return;
            }
        }
    }

    fn usual_timing(&mut self) {
        let case = self.best.case.clone();
        self.try_seeds(Case { timing: Timing::default(), ..case });
    }
}
