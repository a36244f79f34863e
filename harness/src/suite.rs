//! Many runs, gathered into verdicts.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::time::Duration;

use rayon::iter::{IntoParallelIterator, ParallelIterator};
use serde::Serialize;

use crate::guarantee::{Guarantee, Violation};
use crate::implementation::{Implementation, World};
use crate::implementations::RIVALS;
use crate::run::{NoRun, Options, Report, run};
use crate::scenario::Scenario;
use crate::sometimes::Coverage;

/// Which runs to make.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Of these implementations.
    pub implementations: Vec<Implementation>,
    /// Through these scenarios.
    pub scenarios: Vec<Scenario>,
    /// In these worlds.
    pub worlds: Vec<World>,
    /// With these seeds, in worlds that replay. Elsewhere only the first one is run, once.
    pub seeds: Range<u64>,
    /// How many nodes; each implementation's own number if none.
    pub nodes: Option<usize>,
    /// How long faults last in the simulated world.
    pub span: Duration,
    /// How long faults last in real time, in one process.
    pub span_real: Duration,
    /// How long faults last among processes.
    pub span_net: Duration,
}

impl Selection {
    /// How long faults last in `world`.
    pub fn span_in(&self, world: World) -> Duration {
        match world {
            World::Sim => self.span,
            World::Threads => self.span_real,
            World::Net => self.span_net,
        }
    }
}

/// What all runs of one implementation through one scenario in one world came to.
#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    /// Which implementation.
    pub implementation: &'static str,
    /// Which scenario.
    pub scenario: &'static str,
    /// Which world.
    pub world: World,
    /// The verdict.
    pub verdict: Verdict,
    /// What it rests on.
    pub totals: Totals,
    /// Which rare states it was in, in how many runs.
    pub coverage: Coverage,
    /// How many nodes its clusters had, if not as many as the implementation wants.
    pub nodes: Option<usize>,
    /// How long faults lasted.
    pub span: Duration,
}

/// What runs of one cell add up to.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Totals {
    /// Runs.
    pub runs: u64,
    /// Inputs that nodes handled, in worlds that count them.
    pub events: u64,
    /// Time that passed for the clusters.
    pub elapsed: Duration,
    /// Calls that clients made.
    pub calls: u64,
    /// Calls that were served.
    pub served: u64,
    /// Faults that were injected.
    pub faults: u64,
}

/// A verdict. Only [`Verdict::Judged`] says anything about the implementation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// There were runs, and they showed something.
    Judged {
        /// Claims that were broken. Empty: every claim held in every run.
        broken: Vec<Finding>,
        /// What is not claimed, and was broken.
        counterexamples: Vec<Finding>,
    },
    /// Some run proved nothing: nothing happened in it, or a checker could not decide.
    Vacuous {
        /// The first such seed.
        seed: u64,
        /// Why.
        why: String,
    },
    /// The implementation cannot take a fault of the scenario.
    CannotTake {
        /// Why not.
        why: String,
    },
}

/// A guarantee that did not hold, with the least seed that shows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    /// Which guarantee.
    pub guarantee: Guarantee,
    /// The seed.
    pub seed: u64,
    /// What was seen.
    pub what: String,
}

impl Cell {
    /// Whether a claim was broken, or nothing was shown where something should have been.
    pub fn failed(&self) -> bool {
        match &self.verdict {
            Verdict::Judged { broken, .. } => !broken.is_empty(),
            Verdict::Vacuous { .. } => true,
            Verdict::CannotTake { .. } => false,
        }
    }

    /// The command that shows the run of `seed` again.
    pub fn replay(&self, seed: u64) -> String {
        let mut command = format!(
            "cargo xtask conformance --implementation {} --scenario {} --world {} --seed {seed}",
            self.implementation, self.scenario, self.world
        );
        if RIVALS.contains(&self.implementation) {
            command += " --rivals";
        }
        if let Some(nodes) = self.nodes {
            command += &format!(" --nodes {nodes}");
        }
        let (option, usual) = match self.world {
            World::Sim => ("--scenario-time", SPAN),
            World::Threads => ("--scenario-time-real", SPAN_REAL),
            World::Net => ("--scenario-time-net", SPAN_NET),
        };
        if self.span != usual {
            command += &format!(" {option} {}", self.span.as_millis());
        }
        command
    }
}

impl fmt::Display for Cell {
    /// The verdict in a few words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs = self.totals.runs;
        match &self.verdict {
            Verdict::Judged { broken, counterexamples } => {
                let least = |findings: &[Finding]| findings.iter().map(|it| it.seed).min();
                match (least(broken), least(counterexamples)) {
                    (Some(seed), _) => write!(f, "BROKEN (seed {seed})"),
                    (None, Some(seed)) => write!(f, "holds ({runs})\n(not claimed: seed {seed})"),
                    (None, None) => write!(f, "holds ({runs})"),
                }
            }
            Verdict::Vacuous { seed, .. } => write!(f, "VACUOUS (seed {seed})"),
            Verdict::CannotTake { .. } => write!(f, "cannot take this fault"),
        }
    }
}

/// Which rare states each implementation was in, over all of its cells.
pub fn coverage(cells: &[Cell]) -> Vec<(&'static str, Coverage)> {
    let mut all: Vec<(&'static str, Coverage)> = Vec::new();
    for cell in cells.iter().filter(|cell| !cell.coverage.states.is_empty()) {
        match all.iter_mut().find(|(name, _)| *name == cell.implementation) {
            Some((_, coverage)) => coverage.merge(&cell.coverage),
            None => all.push((cell.implementation, cell.coverage.clone())),
        }
    }
    all
}

/// Makes every selected run, a few at a time, and tells `progress` of each that is over.
///
/// Real-time cells run first, many at once, since they mostly wait; then the simulated ones, as many
/// at once as there are cores.
///
/// # Errors
/// [`NoRun::Config`], when an implementation cannot be configured as selected.
pub fn judge(selection: &Selection, progress: &(dyn Fn() + Sync)) -> Result<Vec<Cell>, NoRun> {
    let mut cells = Vec::new();
    for &world in &selection.worlds {
        let wanted: Vec<(&Implementation, &Scenario)> = selection
            .implementations
            .iter()
            .filter(|implementation| implementation.worlds.contains(&world))
            .flat_map(|one| selection.scenarios.iter().map(move |scenario| (one, scenario)))
            .collect();
        match world {
            World::Sim => {
                for (implementation, scenario) in wanted {
                    cells.push(simulated(selection, implementation, scenario, progress)?);
                }
            }
            World::Threads | World::Net => {
                cells.extend(real(selection, world, &wanted, progress)?);
            }
        }
    }
    Ok(cells)
}

/// How many runs [`judge`] will make.
pub fn runs(selection: &Selection) -> u64 {
    let seeds = selection.seeds.end.saturating_sub(selection.seeds.start);
    let in_world = |world: &World| {
        let run_there = |one: &&Implementation| one.worlds.contains(world);
        let implementations = selection.implementations.iter().filter(run_there).count();
        let cells = (implementations * selection.scenarios.len()) as u64;
        cells * if world.replays() { seeds } else { 1 }
    };
    selection.worlds.iter().map(in_world).sum()
}

fn simulated(
    selection: &Selection,
    implementation: &Implementation,
    scenario: &Scenario,
    progress: &(dyn Fn() + Sync),
) -> Result<Cell, NoRun> {
    let reports: Vec<Result<Report, NoRun>> = selection
        .seeds
        .clone()
        .into_par_iter()
        .map(|seed| {
            let options = options(selection, World::Sim, seed);
            let report = run(implementation, scenario, &options);
            progress();
            report
        })
        .collect();
    gather(selection, implementation, scenario, World::Sim, reports)
}

/// How many real-time clusters run at once: they sleep most of the time.
const REAL_AT_ONCE: usize = 16;

fn real(
    selection: &Selection,
    world: World,
    wanted: &[(&Implementation, &Scenario)],
    progress: &(dyn Fn() + Sync),
) -> Result<Vec<Cell>, NoRun> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(REAL_AT_ONCE)
        .build()
        .expect("threads can be started");
    let seed = selection.seeds.start;
    pool.install(|| {
        wanted
            .into_par_iter()
            .map(|(implementation, scenario)| {
                let options = options(selection, world, seed);
                let report = run(implementation, scenario, &options);
                progress();
                gather(selection, implementation, scenario, world, vec![report])
            })
            .collect()
    })
}

/// How long faults last in the simulated world, unless told otherwise.
pub const SPAN: Duration = Duration::from_secs(6);
/// How long faults last in real time, in one process, unless told otherwise.
pub const SPAN_REAL: Duration = Duration::from_millis(1_500);
/// How long faults last among processes, unless told otherwise: what TCP does about a bad link takes
/// its time.
pub const SPAN_NET: Duration = Duration::from_millis(3_000);

fn options(selection: &Selection, world: World, seed: u64) -> Options {
    let span = selection.span_in(world);
    Options { world, seed, nodes: selection.nodes, span, trace: false }
}

/// Adds the runs of one cell up.
fn gather(
    selection: &Selection,
    implementation: &Implementation,
    scenario: &Scenario,
    world: World,
    reports: Vec<Result<Report, NoRun>>,
) -> Result<Cell, NoRun> {
    let mut totals = Totals::default();
    let mut coverage = Coverage::default();
    let mut findings: BTreeMap<Guarantee, Finding> = BTreeMap::new();
    let mut vacuous = None;
    let mut cannot = None;
    for report in reports {
        let report = match report {
            Ok(report) => report,
            Err(NoRun::Config(invalid)) => return Err(NoRun::Config(invalid)),
            Err(
                no_run @ (NoRun::Unsupported(_)
                | NoRun::NoLocks { .. }
                | NoRun::FixedVoters { .. }
                | NoRun::TooFewNodes { .. }),
            ) => {
                cannot.get_or_insert(no_run.to_string());
                continue;
            }
        };
        totals.runs += 1;
        coverage.add(report.sometimes.0, report.sometimes.1);
        totals.events += report.events;
        totals.elapsed += report.elapsed;
        totals.calls += report.calls as u64;
        totals.served += report.served as u64;
        totals.faults += u64::from(report.faults);
        if let (None, Some(why)) = (&vacuous, report.vacuous) {
            vacuous = Some((report.seed, why));
        }
        for Violation { guarantee, what } in report.violations {
            let finding = Finding { guarantee, seed: report.seed, what };
            let least = findings.entry(guarantee).or_insert_with(|| finding.clone());
            if finding.seed < least.seed {
                *least = finding;
            }
        }
    }
    let beyond = scenario.beyond_of(implementation.name).is_some();
    let claims: &[Guarantee] = if beyond { &[] } else { implementation.claims };
    let (broken, counterexamples): (Vec<_>, Vec<_>) =
        findings.into_values().partition(|finding| claims.contains(&finding.guarantee));
    let verdict = match (cannot, vacuous) {
        (Some(why), _) if totals.runs == 0 => Verdict::CannotTake { why },
        // A broken claim says more than a run that proved nothing.
        (_, Some((seed, why))) if broken.is_empty() && !beyond => Verdict::Vacuous { seed, why },
        (_, _) => Verdict::Judged { broken, counterexamples },
    };
    let (implementation, scenario) = (implementation.name, scenario.name);
    let (nodes, span) = (selection.nodes, selection.span_in(world));
    Ok(Cell { implementation, scenario, world, verdict, totals, coverage, nodes, span })
}
