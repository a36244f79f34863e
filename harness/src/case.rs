//! A run before it is run: everything that decides it, as data.
//!
//! A [`Scenario`] draws a case from a seed. A case can be cut down, written to a file, edited by hand
//! and run again: see [`Case::from_toml`] for the form of the file.

mod file;
mod steps;

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use cluster::{Rng, sim};

use crate::guarantee::Guarantee;
use crate::implementation::{Implementation, Setting, Workload, World};
use crate::moves::Step;
use crate::scenario::{Needs, Scenario};

pub use file::BadCase;

/// How long clients work before faults begin, unless a case says otherwise.
pub const WARM_UP: Duration = Duration::from_millis(800);
/// Keeps the suite's choices apart from those of the world, which are drawn from the same seed.
const SUITE_STREAM: u64 = 0x5CE7_A410_0000_0001;
/// A run of a whole scenario with fewer served calls proves nothing.
const SERVED_MIN: usize = 10;

/// Everything that decides a run.
#[derive(Clone, PartialEq, Debug)]
pub struct Case {
    /// The name of the implementation that it was drawn for, or is meant for.
    pub implementation: Option<String>,
    /// What is tried: the name of the scenario that it was drawn from, or any other.
    pub scenario: String,
    /// What it is known to break.
    pub breaks: Option<Guarantee>,
    /// Why no implementation claims to come through it, if none does.
    pub beyond: Option<String>,
    /// Where.
    pub world: World,
    /// Decides what is left to chance: in the simulated world everything.
    pub seed: u64,
    /// How many nodes.
    pub nodes: usize,
    /// How many clients.
    pub clients: u32,
    /// How long clients work before faults begin.
    pub warm_up: Duration,
    /// How long faults last, counted from the end of the warm-up.
    pub span: Duration,
    /// Whether just enough nodes are repaired at the end of the faults, and must serve, before all
    /// are.
    pub core_first: bool,
    /// Whether somebody changes who votes, all through.
    pub operator: bool,
    /// Whether everything is repaired in the end, and the cluster must serve and agree again. If not,
    /// the run ends with the faults.
    pub recovery: bool,
    /// How quick links and disks are, in the simulated world.
    pub timing: Timing,
    /// Whether nodes are told of each other's ends, in the simulated world. Processes always are.
    pub tells_ends: bool,
    /// What goes wrong, in the order of time.
    pub steps: Vec<Step>,
    /// How many faults must have been injected, or the run proves nothing.
    pub faults_min: u32,
    /// How many calls must have been served, or the run proves nothing.
    pub served_min: usize,
}

/// How quick links and disks are, in the simulated world.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Timing {
    /// From one node to another.
    pub latency: RangeInclusive<Duration>,
    /// From a client to a node, and back.
    pub client_latency: RangeInclusive<Duration>,
    /// To make a write durable.
    pub sync: RangeInclusive<Duration>,
}

impl Default for Timing {
    fn default() -> Self {
        let sim::Options { latency, client_latency, sync, .. } = sim::Options::seeded(0);
        Self { latency, client_latency, sync }
    }
}

impl Timing {
    /// A network and disks of some quality, drawn: a good one most of the time.
    fn drawn(rng: &mut Rng) -> Self {
        let micros = Duration::from_micros;
        let mut range = |most: u64| {
            let low = micros(rng.within(20..=most / 4));
            low..=micros(rng.within(most / 4 + 1..=most))
        };
        Self { latency: range(6_000), client_latency: range(3_000), sync: range(4_000) }
    }
}

/// Which run of a scenario.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where.
    pub world: World,
    /// Decides everything, in worlds that replay.
    pub seed: u64,
    /// How many nodes; the implementation's own number if none.
    pub nodes: Option<usize>,
    /// How long faults last.
    pub span: Duration,
    /// Whether to keep everything that happens.
    pub trace: bool,
}

impl Case {
    /// The run of `scenario` that `options` choose for `implementation`.
    pub fn draw(implementation: &Implementation, scenario: &Scenario, options: &Options) -> Self {
        let Options { world, seed, nodes, span, trace: _ } = *options;
        let mut rng = Rng::from_seed(seed ^ SUITE_STREAM);
        // Where faults are a mixture, so are sizes and speeds.
        let (drawn_nodes, timing) = if scenario.core_first && world.replays() {
            let sizes = [implementation.nodes, 3, 5, 7];
            (*rng.pick(&sizes).expect("there are several"), Timing::drawn(&mut rng))
        } else {
            (implementation.nodes, Timing::default())
        };
        let nodes = nodes.unwrap_or(drawn_nodes);
        let steps = scenario.steps(world, nodes, span, &mut rng);
        let tells_ends = Rng::from_seed(seed ^ SUITE_STREAM).fork(3).chance(500_000);
        let harms: usize = steps.iter().map(|step| step.what.harm(nodes)).sum();
        Self {
            implementation: Some(implementation.name.to_owned()),
            scenario: scenario.name.to_owned(),
            breaks: None,
            beyond: scenario.beyond_of(implementation.name).map(str::to_owned),
            world,
            seed,
            nodes,
            clients: clients(implementation.workload),
            warm_up: WARM_UP,
            span,
            core_first: scenario.core_first,
            operator: scenario.needs == Needs::Voters,
            recovery: true,
            timing,
            tells_ends,
            steps,
            faults_min: scenario.faults_min.min(u32::try_from(harms).unwrap_or(u32::MAX)),
            served_min: SERVED_MIN,
        }
    }

    /// What `implementation` claims of such a run: nothing, of one beyond what it can survive.
    pub fn claims(&self, implementation: &Implementation) -> &'static [Guarantee] {
        if self.beyond.is_none() { implementation.claims } else { &[] }
    }

    /// How to start its cluster.
    pub fn setting(&self) -> Setting {
        let Timing { latency, client_latency, sync } = self.timing.clone();
        let usual = Setting::new(self.world, self.nodes, self.seed);
        let tells_ends = self.tells_ends;
        let sim = sim::Options { latency, client_latency, sync, tells_ends, ..usual.sim };
        let small_disks = self.steps.iter().any(|step| step.what.fills_disks());
        Setting { sim, small_disks, ..usual }
    }

    /// All that the suite leaves to chance.
    pub(crate) fn rng(&self) -> Rng {
        Rng::from_seed(self.seed ^ SUITE_STREAM).fork(2)
    }
}

impl fmt::Display for Case {
    /// What was drawn, in a few lines, with the words of a file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nodes, clients, warm_up, span, .. } = self;
        write!(f, "{nodes} nodes, {clients} clients")?;
        if self.operator {
            f.write_str(" and one that changes who votes")?;
        }
        writeln!(f, ", {warm_up:?} without faults, {span:?} with")?;
        if self.world == World::Sim {
            let Timing { latency, client_latency, sync } = &self.timing;
            writeln!(
                f,
                "a message takes {latency:?}, to and from clients {client_latency:?}, a sync {sync:?}"
            )?;
            if self.tells_ends {
                writeln!(f, "nodes are told of each other's ends")?;
            }
        }
        for step in &self.steps {
            writeln!(f, "{}", steps::RawStep::line(step).trim_end())?;
        }
        let end = match (self.core_first, self.recovery) {
            (true, true) => "just enough nodes are repaired and must serve, then all",
            (true, false) => "just enough nodes are repaired and must serve",
            (false, true) => "all is repaired, and it must serve and agree again",
            (false, false) => "the run ends here",
        };
        write!(f, "{:>9.3} s  {end}", span.as_secs_f64())
    }
}

/// How many clients ask an implementation, unless a case says otherwise.
pub fn clients(workload: Workload) -> u32 {
    match workload {
        Workload::Elections => 3,
        Workload::Registers | Workload::Locks => 4,
    }
}
