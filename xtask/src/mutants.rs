//! `cargo xtask mutants`: the judge is judged.

use std::path::PathBuf;

/// Plant bugs, one at a time, and print what catches each; and changes that break nothing, which
/// nothing may catch.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only those whose name contains this
    filter: Option<String>,
    /// Look through every scenario for the one that catches each bug soonest, instead of those that
    /// are known to
    #[arg(long)]
    scan: bool,
    /// Write the matrix to this file, as JSON, for `cargo xtask conformance --report`
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[cfg(not(feature = "mutants"))]
pub(crate) fn run(args: &Args) -> anyhow::Result<std::process::ExitCode> {
    // Read by the build that can plant bugs.
    let Args { filter: _, scan: _, json: _ } = args;
    crate::shell::again_with("mutants")
}

#[cfg(feature = "mutants")]
pub(crate) use planted::run;

#[cfg(feature = "mutants")]
mod planted {
    use std::fs;
    use std::process::ExitCode;
    use std::time::Instant;

    use anyhow::Context;
    use comfy_table::Table;
    use comfy_table::presets::UTF8_FULL_CONDENSED;
    use harness::mutants::{self, Detector, Planted, Verdict};
    use harness::page::Killed;

    use super::Args;

    pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
        let start = Instant::now();
        let wanted = |planted: &Planted| match &args.filter {
            Some(filter) => planted.to_string().contains(filter.as_str()),
            None => true,
        };
        if args.scan {
            for planted in mutants::all().into_iter().filter(wanted) {
                println!("{planted}: {:?}", mutants::scan(&planted));
            }
            return Ok(ExitCode::SUCCESS);
        }
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        table.set_header(["where", "bug", "caught by", "breaks", "seeds needed"]);
        let mut killed = Vec::new();
        let mut missed = Vec::new();
        for planted in mutants::all().into_iter().filter(wanted) {
            let verdict = mutants::judge(&planted);
            let [by, breaks, seeds] = words(&verdict);
            table.add_row([planted.place, &planted.name, &by, &breaks, &seeds]);
            if !matches!(verdict, Verdict::Caught { .. }) {
                missed.push(planted.to_string());
            }
            killed.push(row(&planted, &verdict, false));
        }
        let bugs = killed.len();
        let mut flagged = Vec::new();
        for planted in mutants::harmless().into_iter().filter(wanted) {
            let verdict = mutants::judge_harmless(&planted);
            let [by, breaks, _] = words(&verdict);
            table.add_row([planted.place, &planted.name, &by, &breaks, "harmless"]);
            if let Verdict::Caught { .. } = verdict {
                flagged.push(planted.to_string());
            }
            killed.push(row(&planted, &verdict, true));
        }
        println!("{table}");
        let (caught, harmless) = (bugs - missed.len(), killed.len() - bugs);
        println!(
            "{caught} of {bugs} bugs caught, {} of {harmless} harmless changes flagged, in {:.0} s",
            flagged.len(),
            start.elapsed().as_secs_f64(),
        );
        if let Some(path) = &args.json {
            let json = serde_json::to_string_pretty(&killed).context("the matrix as JSON")?;
            fs::write(path, json).with_context(|| format!("--json {}", path.display()))?;
        }
        for name in &missed {
            println!("NOT CAUGHT: {name}");
        }
        for name in &flagged {
            println!("FLAGGED, though harmless: {name}");
        }
        let right = missed.is_empty() && flagged.is_empty();
        Ok(if right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// What caught it, what broke, and how many seeds that took.
    fn words(verdict: &Verdict) -> [String; 3] {
        match verdict {
            Verdict::Caught { by: Detector::Suite { scenario, guarantee }, seeds } => {
                [scenario.to_string(), guarantee.to_string(), seeds.to_string()]
            }
            Verdict::Caught { by: Detector::Exhaustive { run, invariant }, .. } => {
                [format!("exhaustive: {run}"), invariant.clone(), "–".to_owned()]
            }
            Verdict::Missed => ["nothing".to_owned(), "–".to_owned(), "–".to_owned()],
        }
    }

    fn row(planted: &Planted, verdict: &Verdict, harmless: bool) -> Killed {
        let (by, seeds) = match verdict {
            Verdict::Caught { seeds, .. } => (Some(words(verdict)[0].clone()), *seeds),
            Verdict::Missed => (None, 0),
        };
        let (mutant, pattern) = (planted.name.clone(), planted.place.to_owned());
        Killed { mutant, pattern, by, seeds, harmless }
    }
}
