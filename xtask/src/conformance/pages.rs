//! `--report DIR`: the verdicts and every finding as pages.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use harness::dossier::{Dossier, worth_telling};
use harness::page::{self, Extras, Killed, Sometimes};
use harness::sometimes;
use harness::suite::{self, Cell, Selection};

/// Writes the pages into `dir`; with what `mutants` says of planted bugs, if it is given.
pub(super) fn write(
    dir: &Path,
    mutants: Option<&Path>,
    selection: &Selection,
    cells: &[Cell],
    took: Duration,
) -> anyhow::Result<()> {
    let dossiers: Vec<Dossier> = worth_telling(selection, cells)
        .into_iter()
        .filter_map(|(implementation, scenario, cell, finding)| {
            Dossier::of(implementation, scenario, cell, finding)
        })
        .collect();
    let recordings: Vec<_> = dossiers.iter().map(|dossier| dossier.recording.clone()).collect();
    let killed: Vec<Killed> = match mutants {
        Some(path) => {
            let text = fs::read_to_string(path)
                .with_context(|| format!("--mutants {}", path.display()))?;
            serde_json::from_str(&text).with_context(|| {
                format!(
                    "--mutants {}: expected what `cargo xtask mutants --json` writes",
                    path.display()
                )
            })?
        }
        None => Vec::new(),
    };
    let extras = Extras {
        implementations: &selection.implementations,
        seeds: selection.seeds.end - selection.seeds.start,
        took: Some(took),
        pages: &[],
        coverage: &coverage(cells),
        mutants: &killed,
    };
    page::write(dir, cells, &extras, &recordings)
        .with_context(|| format!("--report {}", dir.display()))?;
    for dossier in &dossiers {
        dossier.write_shrunk(dir).with_context(|| format!("--report {}", dir.display()))?;
    }
    let index = dir.join("index.html");
    println!("report: {} and {} pages of findings", index.display(), recordings.len());
    Ok(())
}

/// The rare states that each implementation should have been in.
fn coverage(cells: &[Cell]) -> Vec<Sometimes> {
    let mut rows = Vec::new();
    for (name, coverage) in suite::coverage(cells) {
        let impossible = sometimes::impossible(name);
        for (state, runs) in coverage.states {
            if !impossible.contains(&state) {
                rows.push(Sometimes { pattern: name.to_owned(), state: state.to_owned(), runs });
            }
        }
    }
    rows
}
