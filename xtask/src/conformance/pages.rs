//! `--report DIR`: the verdicts and every finding as pages.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use harness::dossier::{Dossier, worth_telling};
use harness::page::{self, Extras, Killed, Sometimes};
use harness::sometimes;
use harness::suite::{self, Cell, Selection};

use super::MEBIBYTES_MAX;
use crate::input;

/// What became of planted bugs, from the file at `path`.
///
/// # Errors
/// When it is not what `cargo xtask mutants --json` writes; the error names it and the line.
pub(super) fn read_mutants(path: &Path) -> anyhow::Result<Vec<Killed>> {
    let text = input::read_text(path, MEBIBYTES_MAX).context("--mutants")?;
    serde_json::from_str(&text).with_context(|| {
        let expected = "expected what `cargo xtask mutants --json` writes";
        format!("--mutants {}: {expected}", path.display())
    })
}

/// Writes the pages into `dir`; with what became of planted bugs, if that is known.
pub(super) fn write(
    dir: &Path,
    killed: &[Killed],
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
    let extras = Extras {
        implementations: &selection.implementations,
        seeds: selection.seeds.end - selection.seeds.start,
        took: Some(took),
        pages: &[],
        coverage: &coverage(cells),
        mutants: killed,
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
