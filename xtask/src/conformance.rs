//! `cargo xtask conformance`: implementations, scenarios, worlds, seeds; a table of verdicts.

use std::fs;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::builder::PossibleValuesParser;
use harness::implementation::{Implementation, Setting, World};
use harness::report;
use harness::run::{NoRun, Options, Report};
use harness::scenario::{self, Scenario};
use harness::suite::{self, Selection};
use indicatif::{ProgressBar, ProgressStyle};

/// Put implementations through the failure scenarios and print what holds.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only this implementation; may be given several times
    #[arg(long, short, value_parser = PossibleValuesParser::new(implementation_names()))]
    implementation: Vec<String>,
    /// Only this scenario; may be given several times
    #[arg(long, short, value_parser = PossibleValuesParser::new(Scenario::names()))]
    scenario: Vec<String>,
    /// Only this world; may be given several times
    #[arg(long, short, value_parser = PossibleValuesParser::new(World::ALL.map(World::name)))]
    world: Vec<String>,
    /// How many seeds each simulated cell is run with
    #[arg(long, default_value_t = 200, value_parser = whole::<1, 1_000_000>)]
    seeds: u64,
    /// The first of those seeds
    #[arg(long, default_value_t = 1, value_parser = whole::<0, { u64::MAX / 2 }>)]
    first_seed: u64,
    /// One seed alone: prints what happened in that run, and its event-log hash
    #[arg(long, conflicts_with_all = ["seeds", "first_seed"], value_parser = whole::<0, { u64::MAX }>)]
    seed: Option<u64>,
    /// How many nodes a cluster has (by default, what the implementation wants)
    #[arg(long, value_parser = nodes)]
    nodes: Option<usize>,
    /// How long faults last in the simulated world, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 6_000, value_parser = whole::<1_000, 3_600_000>)]
    scenario_time: u64,
    /// How long faults last in real time, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 1_500, value_parser = whole::<500, 3_600_000>)]
    scenario_time_real: u64,
    /// With --seed: print a line for everything that happens in the simulated world
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Write the verdicts to this file, as JSON
    #[arg(long, value_name = "FILE", conflicts_with = "seed")]
    json: Option<PathBuf>,
    /// Write the verdicts to this file, as a JUnit report
    #[arg(long, value_name = "FILE", conflicts_with = "seed")]
    junit: Option<PathBuf>,
}

/// A whole number from `LEAST` to `MOST`.
fn whole<const LEAST: u64, const MOST: u64>(text: &str) -> Result<u64, String> {
    text.parse()
        .ok()
        .filter(|number| (LEAST..=MOST).contains(number))
        .ok_or_else(|| format!("expected a whole number from {LEAST} to {MOST}"))
}

/// How many nodes; whether an implementation can do with so many is its own business.
fn nodes(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|&nodes| nodes <= 64)
        .ok_or_else(|| "expected a whole number of nodes, at most 64".to_owned())
}

fn implementation_names() -> Vec<&'static str> {
    harness::implementations::all().iter().map(|implementation| implementation.name).collect()
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let selection = select(args)?;
    match args.seed {
        Some(seed) => replay(args, &selection, seed),
        None => judge(args, &selection),
    }
}

fn select(args: &Args) -> anyhow::Result<Selection> {
    let chosen =
        |chosen: &[String], name: &str| chosen.is_empty() || chosen.iter().any(|it| it == name);
    let implementations: Vec<Implementation> = harness::implementations::all()
        .into_iter()
        .filter(|implementation| chosen(&args.implementation, implementation.name))
        .collect();
    let scenarios = scenario::ALL
        .iter()
        .copied()
        .filter(|scenario| chosen(&args.scenario, scenario.name))
        .collect();
    let worlds = match (args.world.is_empty(), args.seed) {
        // A seed means something only where it decides everything.
        (true, Some(_)) => vec![World::Sim],
        _ => World::ALL.into_iter().filter(|world| chosen(&args.world, world.name())).collect(),
    };
    if let Some(nodes) = args.nodes {
        for implementation in &implementations {
            if let Err(invalid) = (implementation.start)(&Setting::new(World::Sim, nodes, 0)) {
                bail!("--nodes {nodes}: {} cannot be built so: {invalid}", implementation.name);
            }
        }
    }
    Ok(Selection {
        implementations,
        scenarios,
        worlds,
        seeds: args.first_seed..args.first_seed + args.seeds,
        nodes: args.nodes,
        span: Duration::from_millis(args.scenario_time),
        span_real: Duration::from_millis(args.scenario_time_real),
    })
}

/// Every selected run, and the tables.
fn judge(args: &Args, selection: &Selection) -> anyhow::Result<ExitCode> {
    let start = Instant::now();
    let bar = progress_bar(suite::runs(selection));
    let cells = suite::judge(selection, &|| bar.inc(1))?;
    bar.finish_and_clear();
    print!("{}", report::tables(selection, &cells));
    let events: u64 = cells.iter().map(|cell| cell.totals.events).sum();
    let runs: u64 = cells.iter().map(|cell| cell.totals.runs).sum();
    let simulated: Duration =
        cells.iter().filter(|cell| cell.world == World::Sim).map(|cell| cell.totals.elapsed).sum();
    println!(
        "{runs} runs, {:.1} M simulated events, {:.1} h of simulated time, in {:.0} s",
        events as f64 / 1e6,
        simulated.as_secs_f64() / 3_600.0,
        start.elapsed().as_secs_f64(),
    );
    if let Some(path) = &args.json {
        let json = serde_json::to_string_pretty(&cells).context("verdicts as JSON")?;
        fs::write(path, json).with_context(|| format!("--json {}", path.display()))?;
    }
    if let Some(path) = &args.junit {
        fs::write(path, report::junit(&cells)?)
            .with_context(|| format!("--junit {}", path.display()))?;
    }
    let failed = cells.iter().filter(|cell| cell.failed()).count();
    if runs == 0 {
        bail!("nothing was run: none of the implementations can take any of the scenarios");
    }
    if failed > 0 {
        println!("{failed} cells failed");
        return Ok(ExitCode::FAILURE);
    }
    println!("every claim held");
    Ok(ExitCode::SUCCESS)
}

fn progress_bar(runs: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} runs, {eta} left")
        .expect("the template is well formed");
    ProgressBar::new(runs).with_style(style)
}

/// One seed of every selected cell, told in full.
fn replay(args: &Args, selection: &Selection, seed: u64) -> anyhow::Result<ExitCode> {
    let mut failed = false;
    for implementation in &selection.implementations {
        for scenario in &selection.scenarios {
            for &world in &selection.worlds {
                let span = selection.span_in(world);
                let nodes = selection.nodes;
                let options = Options { world, seed, nodes, span, trace: args.trace };
                println!("{} × {} × {world}, seed {seed}", implementation.name, scenario.name);
                match harness::run::run(implementation, scenario, &options) {
                    Ok(report) => failed |= tell(implementation, &report),
                    Err(no_run @ NoRun::Config(_)) => bail!("{}: {no_run}", implementation.name),
                    Err(no_run) => println!("  cannot take this fault: {no_run}"),
                }
            }
        }
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Prints one run. Whether it failed.
fn tell(implementation: &Implementation, report: &Report) -> bool {
    for line in &report.trace {
        println!("  {line}");
    }
    println!(
        "  {} calls, {} served, {} faults, {} events, {:.3} s",
        report.calls,
        report.served,
        report.faults,
        report.events,
        report.elapsed.as_secs_f64()
    );
    let mut failed = false;
    for violation in &report.violations {
        let claimed = implementation.claims.contains(&violation.guarantee);
        failed |= claimed;
        println!("  {}: {violation}", if claimed { "BROKEN" } else { "not claimed" });
    }
    if let Some(why) = &report.vacuous {
        failed = true;
        println!("  VACUOUS: {why}");
    }
    if !failed {
        println!("  every claim held");
    }
    match report.digest {
        Some(digest) => println!("  event-log hash {digest:016x}"),
        None => println!("  no event-log hash: real time cannot be replayed"),
    }
    failed
}
