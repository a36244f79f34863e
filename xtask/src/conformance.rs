//! `cargo xtask conformance`: implementations, scenarios, worlds, seeds; a table of verdicts.

mod pages;

use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

#[cfg(not(feature = "rivals"))]
use crate::shell::again_with;
use anyhow::{Context, bail};
use clap::builder::PossibleValuesParser;
use harness::case::Case;
use harness::hosts;
use harness::implementation::{Implementation, NODE_WORLDS, Setting, World};
use harness::implementations::RIVALS;
use harness::page::Killed;
use harness::report;
use harness::run::{NoRun, Options, Report, run_case};
use harness::scenario::{self, Scenario};
use harness::shrink::Shrunk;
use harness::sometimes;
use harness::suite::{self, Cell, Selection};

use indicatif::{ProgressBar, ProgressStyle};

use crate::input;

/// The largest scenario file, and the largest matrix of planted bugs.
const MEBIBYTES_MAX: u64 = 4;
/// With how many seeds each simulated cell is run, unless told otherwise.
const SEEDS: u64 = 200;

/// Put implementations through the failure scenarios and print what holds.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only this implementation; may be given several times
    #[arg(long, short, value_parser = PossibleValuesParser::new(implementation_names()))]
    implementation: Vec<String>,
    /// The field's implementations too: raft-rs, omnipaxos, openraft, and etcd if it is installed
    #[arg(long)]
    rivals: bool,
    /// Only this scenario; may be given several times
    #[arg(long, short, value_parser = PossibleValuesParser::new(Scenario::names()))]
    scenario: Vec<String>,
    /// Only this world; may be given several times. Unless `net` is asked for, only who lives nowhere else
    /// is judged among processes
    #[arg(long, short, value_parser = PossibleValuesParser::new(World::ALL.map(World::name)))]
    world: Vec<String>,
    /// How many seeds each simulated cell is run with
    #[arg(long, default_value_t = SEEDS, value_parser = whole::<1, 1_000_000>)]
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
    /// How long faults last in the world of threads, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 1_500, value_parser = whole::<500, 3_600_000>)]
    scenario_time_real: u64,
    /// How long faults last in the world of processes, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 3_000, value_parser = whole::<500, 3_600_000>)]
    scenario_time_net: u64,
    /// Run what this file describes, instead of the suite's scenarios
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "scenario", "world", "seeds", "first_seed", "seed", "nodes", "scenario_time",
        "scenario_time_real", "scenario_time_net", "json", "junit",
    ])]
    scenario_file: Option<PathBuf>,
    /// Write the verdicts and a page for each finding into this folder, as HTML
    #[arg(long, value_name = "DIR", conflicts_with_all = ["seed", "scenario_file"])]
    report: Option<PathBuf>,
    /// With --report: show these verdicts on planted bugs, from `cargo xtask mutants --json`
    #[arg(long, value_name = "FILE", requires = "report")]
    mutants: Option<PathBuf>,
    /// With --seed: cut down a run that breaks something, and write it to this file
    #[arg(long, value_name = "FILE", requires = "seed")]
    shrink: Option<PathBuf>,
    /// With --seed or --scenario-file: print a line for everything that happens in the simulated world
    #[arg(long)]
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
    let ours =
        harness::implementations::all().into_iter().map(|implementation| implementation.name);
    ours.chain(RIVALS).collect()
}

/// Whether an ordinary build has those of `names`, or all if there are none, and the field's if wanted.
#[cfg(not(feature = "rivals"))]
fn is_enough(names: &[String], rivals: bool) -> bool {
    !(rivals || names.iter().any(|name| RIVALS.contains(&name.as_str())))
}

/// Those of `names`, or all if there are none; the field's too if that is wanted or they are named. Who
/// is absent from this machine is told of.
fn judged(names: &[String], rivals: bool) -> anyhow::Result<Vec<Implementation>> {
    let chosen = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
    let mut all = harness::implementations::all();
    #[cfg(not(feature = "rivals"))]
    assert!(is_enough(names, rivals), "another build has been asked for");
    #[cfg(feature = "rivals")]
    if rivals || !names.is_empty() {
        for (name, why) in harness::rivals::absent() {
            if chosen(name) {
                println!("skipped: {name}: {why}");
                if std::env::var_os("CI_REQUIRE_ENGINES").is_some() {
                    bail!("{name} is required here");
                }
            }
        }
        all.extend(harness::rivals::all());
    }
    all.retain(|implementation| chosen(implementation.name));
    Ok(all)
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    #[cfg(not(feature = "rivals"))]
    if !is_enough(&args.implementation, args.rivals) {
        return again_with("rivals");
    }
    if args.trace && args.seed.is_none() && args.scenario_file.is_none() {
        bail!("--trace tells one run: add --seed or --scenario-file");
    }
    if let Some(path) = &args.scenario_file {
        return replay_file(args, path);
    }
    // What is wrong with a file is told before the work, not after it.
    for (option, path) in [("json", &args.json), ("junit", &args.junit), ("shrink", &args.shrink)] {
        if let Some(path) = path {
            input::check_writable(path).with_context(|| format!("--{option}"))?;
        }
    }
    let killed = args.mutants.as_deref().map(pages::read_mutants).transpose()?;
    if let Some(dir) = &args.report {
        fs::create_dir_all(dir).with_context(|| format!("--report {}", dir.display()))?;
    }
    let selection = select(args)?;
    match args.seed {
        Some(seed) => replay(args, &selection, seed),
        None => judge(args, &selection, &killed.unwrap_or_default()),
    }
}

fn select(args: &Args) -> anyhow::Result<Selection> {
    let chosen =
        |chosen: &[String], name: &str| chosen.is_empty() || chosen.iter().any(|it| it == name);
    let mut implementations = judged(&args.implementation, args.rivals)?;
    if args.world.is_empty() {
        implementations.iter_mut().for_each(spare_processes);
    }
    let scenarios = scenario::ALL
        .iter()
        .copied()
        .filter(|scenario| chosen(&args.scenario, scenario.name))
        .collect();
    let mut worlds: Vec<World> = match (args.world.is_empty(), args.seed) {
        // A seed means something only where it decides everything.
        (true, Some(_)) => vec![World::Sim],
        _ => World::ALL.into_iter().filter(|world| chosen(&args.world, world.name())).collect(),
    };
    // Asked for or not, a world in which nobody lives has no table.
    worlds.retain(|world| implementations.iter().any(|one| one.worlds.contains(world)));
    check_hosts(&implementations, &worlds)?;
    if let Some(nodes) = args.nodes {
        for implementation in &implementations {
            let world = implementation.worlds[0];
            if let Err(invalid) = (implementation.start)(&Setting::new(world, nodes, 0)) {
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
        span_net: Duration::from_millis(args.scenario_time_net),
    })
}

/// What lives elsewhere too is judged among processes only when that is asked for: it takes its time.
fn spare_processes(implementation: &mut Implementation) {
    if implementation.worlds.contains(&World::Sim) {
        implementation.worlds = NODE_WORLDS;
    }
}

/// Says so if processes are to be judged and have no hosts of their own here.
fn check_hosts(implementations: &[Implementation], worlds: &[World]) -> anyhow::Result<()> {
    let lives = |one: &Implementation| one.worlds.contains(&World::Net);
    if worlds.contains(&World::Net)
        && implementations.iter().any(lives)
        && let Err(why) = hosts::available()
    {
        println!("{why}: processes run {}", hosts::kind());
        if std::env::var_os("CI_REQUIRE_ENGINES").is_some() {
            bail!("namespaces are required here");
        }
    }
    Ok(())
}

/// Every selected run, and the tables.
fn judge(args: &Args, selection: &Selection, killed: &[Killed]) -> anyhow::Result<ExitCode> {
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
    if let Some(dir) = &args.report {
        pages::write(dir, killed, selection, &cells, start.elapsed())?;
    }
    let failed = cells.iter().filter(|cell| cell.failed()).count();
    let missing = if is_full(args) { unreached(&cells) } else { Vec::new() };
    for (implementation, state) in &missing {
        println!("NEVER REACHED by {implementation}: {state}");
    }
    if runs == 0 {
        bail!("nothing was run: none of the implementations can take any of the scenarios");
    }
    if failed > 0 {
        println!("{failed} cells failed");
        return Ok(ExitCode::FAILURE);
    }
    println!("every claim held");
    if !missing.is_empty() {
        println!(
            "but {} rare states were never reached: what they would show is not known",
            missing.len()
        );
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether every scenario is run with as many seeds as usual: then every rare state must be reached.
fn is_full(args: &Args) -> bool {
    let simulated =
        args.world.is_empty() || args.world.iter().any(|world| world == World::Sim.name());
    args.scenario.is_empty() && args.nodes.is_none() && args.seeds >= SEEDS && simulated
}

/// The rare states that no run reached though some should have, with the implementation.
fn unreached(cells: &[Cell]) -> Vec<(&'static str, &'static str)> {
    let mut missing = Vec::new();
    for (name, coverage) in suite::coverage(cells) {
        let due = |state: &&str| !sometimes::impossible(name).contains(state);
        missing.extend(coverage.missing().filter(due).map(|state| (name, state)));
    }
    missing
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
    let mut runs = 0;
    for implementation in &selection.implementations {
        for scenario in &selection.scenarios {
            for &world in &selection.worlds {
                let span = selection.span_in(world);
                let nodes = selection.nodes;
                let options = Options { world, seed, nodes, span, trace: args.trace };
                println!("{} × {} × {world}, seed {seed}", implementation.name, scenario.name);
                match harness::run::run(implementation, scenario, &options) {
                    Ok(report) => {
                        runs += 1;
                        let case = Case::draw(implementation, scenario, &options);
                        tell_drawn(&case);
                        failed |= tell(implementation, case.beyond.as_deref(), &report);
                        if let Some(path) = &args.shrink {
                            shrink(implementation, &case, &report, path)?;
                        }
                    }
                    Err(no_run @ NoRun::Config(_)) => bail!("{}: {no_run}", implementation.name),
                    Err(no_run) => println!("  cannot take this fault: {no_run}"),
                }
            }
        }
    }
    if runs == 0 {
        bail!("nothing was run: none of the implementations can take any of the scenarios");
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Cuts down the first thing that `report` shows broken, and writes it to `path`.
fn shrink(
    implementation: &Implementation,
    case: &Case,
    report: &Report,
    path: &Path,
) -> anyhow::Result<()> {
    let Some(violation) = report.violations.first() else {
        bail!("--shrink: nothing is broken in this run");
    };
    let Some(shrunk) = harness::shrink::shrink(implementation, case, violation.guarantee) else {
        bail!("--shrink: the run does not break {} again", violation.guarantee);
    };
    fs::write(path, shrunk.case.to_toml()).with_context(|| path.display().to_string())?;
    let Shrunk { events, events_before, runs, .. } = shrunk;
    println!("  cut down from {events_before} events to {events}, in {runs} runs");
    println!("  replay: cargo xtask conformance --scenario-file {}", path.display());
    Ok(())
}

/// The run that a file describes, of the implementation that it names or of those chosen.
fn replay_file(args: &Args, path: &Path) -> anyhow::Result<ExitCode> {
    let text = input::read_text(path, MEBIBYTES_MAX)?;
    let case = Case::from_toml(&text).with_context(|| path.display().to_string())?;
    let names: Vec<String> = match &case.implementation {
        Some(name) if args.implementation.is_empty() => vec![name.clone()],
        _ => args.implementation.clone(),
    };
    #[cfg(not(feature = "rivals"))]
    if !is_enough(&names, args.rivals) {
        return again_with("rivals");
    }
    let mut failed = false;
    let mut runs = 0;
    for implementation in judged(&names, args.rivals)? {
        println!(
            "{} × {} × {}, seed {}",
            implementation.name, case.scenario, case.world, case.seed
        );
        match run_case(&implementation, &case, args.trace) {
            Ok(report) => {
                runs += 1;
                tell_drawn(&case);
                failed |= tell_case(&implementation, &case, &report);
            }
            Err(no_run @ NoRun::Config(_)) => bail!("{}: {no_run}", implementation.name),
            Err(no_run) => println!("  cannot take this fault: {no_run}"),
        }
    }
    if runs == 0 {
        bail!("{}: nothing was run", path.display());
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Prints one run of a file. Whether it is not what the file says.
fn tell_case(implementation: &Implementation, case: &Case, report: &Report) -> bool {
    let failed = tell(implementation, case.beyond.as_deref(), report);
    let Some(expected) = case.breaks else { return failed };
    let shown = report.violations.iter().any(|violation| violation.guarantee == expected);
    println!(
        "  {} {expected}, as the file expects",
        if shown { "breaks" } else { "does not break" }
    );
    !shown
}

/// Prints what there is to a run before it is run.
fn tell_drawn(case: &Case) {
    for line in case.to_string().lines() {
        println!("  {line}");
    }
}

/// Prints one run. Whether it failed.
fn tell(implementation: &Implementation, beyond: Option<&str>, report: &Report) -> bool {
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
        let claimed = beyond.is_none() && implementation.claims.contains(&violation.guarantee);
        failed |= claimed;
        println!("  {}: {violation}", if claimed { "BROKEN" } else { "not claimed" });
    }
    if let Some(why) = beyond {
        println!("  {} does not claim to survive this: {why}", implementation.name);
    }
    if let Some(why) = &report.vacuous {
        failed |= beyond.is_none();
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
