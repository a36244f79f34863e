//! `cargo xtask exhaustive`: every schedule of small clusters; a table of what was searched.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::bail;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, ContentArrangement, Table};
use harness::exhaustive::{Expected, Limits, Report, Run, Verdict, runs};

/// Search every schedule of small clusters of the patterns, and print what was searched and whether
/// it came out as it must.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only runs whose pattern and name contain this
    filter: Option<String>,
    /// Stop a run after so many distinct states
    #[arg(long, default_value_t = Limits::default().states)]
    states: usize,
    /// How many threads search (by default, one a core)
    #[arg(long, default_value_t = 0)]
    workers: usize,
    /// Print the shortest counterexamples
    #[arg(long)]
    show: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let start = Instant::now();
    let limits = Limits { states: args.states, workers: args.workers, ..Limits::default() };
    let full_name = |run: &Run| format!("{} {}", run.pattern, run.name);
    let wanted = |run: &Run| match &args.filter {
        Some(filter) => full_name(run).contains(filter.as_str()),
        None => true,
    };
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header([
        "pattern", "run", "searched", "expected", "came out", "distinct", "reached", "depth", "s",
        "states/s",
    ]);
    for column in 5..10 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let (mut count, mut failed) = (0, Vec::new());
    for run in runs().filter(wanted) {
        let report = run.explore(&limits);
        count += 1;
        table.add_row(row(&run, &report));
        if let (true, Some(counterexample)) = (args.show, report.counterexample()) {
            println!("{}: {}\n{counterexample}\n", full_name(&run), run.about);
        }
        if !run.is_as_expected(&report) {
            failed.push(full_name(&run));
        }
    }
    if count == 0 {
        bail!("no run's pattern and name contain that");
    }
    println!("{table}");
    println!("{count} runs in {:.0} s", start.elapsed().as_secs_f64());
    if failed.is_empty() {
        println!("every run came out as expected");
        return Ok(ExitCode::SUCCESS);
    }
    println!("not as expected: {}", failed.join("; "));
    Ok(ExitCode::FAILURE)
}

fn row(run: &Run, report: &Report) -> [String; 10] {
    let expected = match run.expected {
        Expected::Holds => "all holds".to_owned(),
        Expected::Breaks(guarantee) => format!("breaks {guarantee}"),
    };
    let outcome = match &report.verdict {
        Verdict::Exhausted => "all holds, all searched".to_owned(),
        Verdict::Stopped => "stopped by the limit".to_owned(),
        Verdict::Broken(counterexample) => {
            let (steps, broken) = (counterexample.steps.len(), counterexample.broken.guarantee);
            format!("breaks {broken} in {steps} steps")
        }
        Verdict::Unsound(why) => format!("unsound: {why}"),
    };
    [
        run.pattern.to_owned(),
        run.name.to_owned(),
        run.about.to_owned(),
        expected,
        outcome,
        report.distinct.to_string(),
        report.generated.to_string(),
        report.depth.to_string(),
        format!("{:.1}", report.elapsed.as_secs_f64()),
        format!("{:.0}", report.rate()),
    ]
}
