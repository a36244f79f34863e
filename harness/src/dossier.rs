//! All that there is to say about one finding: the run again, with everything that happened in it, and
//! the smallest run found that breaks the same thing.

use std::path::Path;
use std::{fs, io};

use crate::case::{Case, Options};
use crate::guarantee::Guarantee;
use crate::implementation::Implementation;
use crate::page;
use crate::recording::{About, Recording};
use crate::run::run_case;
use crate::scenario::Scenario;
use crate::shrink::shrink;
use crate::suite::{Cell, Finding, Selection, Verdict};

/// One finding, told in full.
#[derive(Clone, Debug)]
pub struct Dossier {
    /// The run that showed it.
    pub recording: Recording,
    /// The smallest one that shows it too, and its page; none if the run does not replay.
    pub shrunk: Option<(Case, Recording)>,
}

impl Dossier {
    /// Tells `finding` of `cell`. None if the run, made again, does not show it: in real time it may
    /// not.
    pub fn of(
        implementation: &Implementation,
        scenario: &Scenario,
        cell: &Cell,
        finding: &Finding,
    ) -> Option<Self> {
        let options = Options {
            world: cell.world,
            seed: finding.seed,
            nodes: cell.nodes,
            span: cell.span,
            trace: true,
        };
        let case = Case::draw(implementation, scenario, &options);
        let claims = case.claims(implementation);
        let guarantee = finding.guarantee;
        let record = |case: &Case, replay: String| {
            record(implementation, claims, scenario.summary, case, guarantee, replay)
        };
        let mut recording = record(&case, cell.replay(finding.seed))?;
        let name = page::name_of(&recording);
        let stem = name.trim_end_matches(".html");
        let shrunk = shrink(implementation, &case, guarantee).and_then(|shrunk| {
            let file = format!("{stem}.toml");
            let replay = format!("cargo xtask conformance --scenario-file {file}");
            let text = shrunk.case.to_toml();
            let page = record(&shrunk.case, replay)?.with_schedules(Some(text), None);
            Some((shrunk.case, page))
        });
        recording.shrunk_page = shrunk.as_ref().map(|_| format!("{stem}.shrunk.html"));
        let text = shrunk.as_ref().map(|(case, _)| case.to_toml());
        Some(Self { recording: recording.with_schedules(Some(case.to_toml()), text), shrunk })
    }

    /// Writes the shrunk case and its page into `dir`, beside the page of the run itself.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write_shrunk(&self, dir: &Path) -> io::Result<()> {
        let Some((case, recording)) = &self.shrunk else { return Ok(()) };
        let name = page::name_of(&self.recording);
        let stem = name.trim_end_matches(".html");
        fs::write(dir.join(format!("{stem}.toml")), case.to_toml())?;
        fs::write(dir.join(format!("{stem}.shrunk.html")), page::failure(recording))
    }
}

fn record(
    implementation: &Implementation,
    claims: &[Guarantee],
    summary: &str,
    case: &Case,
    guarantee: Guarantee,
    replay: String,
) -> Option<Recording> {
    let report = run_case(implementation, case, true).ok()?;
    report.violations.iter().find(|violation| violation.guarantee == guarantee)?;
    let about = About { implementation: implementation.name, claims, case, summary, replay };
    Some(Recording::of(about, &report).on(guarantee))
}

/// The findings of `cells` that are worth a page: all that broke a claim, and for each implementation
/// and guarantee that is not claimed the first that shows why.
pub fn worth_telling<'a>(
    selection: &'a Selection,
    cells: &'a [Cell],
) -> Vec<(&'a Implementation, &'a Scenario, &'a Cell, &'a Finding)> {
    let mut told: Vec<(&str, Guarantee)> = Vec::new();
    let mut worth = Vec::new();
    for cell in cells {
        let Verdict::Judged { broken, counterexamples } = &cell.verdict else { continue };
        let named = |one: &&Implementation| one.name == cell.implementation;
        let Some(implementation) = selection.implementations.iter().find(named) else { continue };
        let named = |one: &&Scenario| one.name == cell.scenario;
        let Some(scenario) = selection.scenarios.iter().find(named) else { continue };
        worth.extend(broken.iter().map(|finding| (implementation, scenario, cell, finding)));
        for finding in counterexamples {
            let key = (cell.implementation, finding.guarantee);
            if !told.contains(&key) {
                told.push(key);
                worth.push((implementation, scenario, cell, finding));
            }
        }
    }
    worth
}
