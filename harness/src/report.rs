//! Verdicts, for people and for machines.

use std::fmt::Write as _;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{ColumnConstraint, ContentArrangement, Table};
use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};

use crate::guarantee::Guarantee;
use crate::hosts;
use crate::implementation::{Implementation, World};
use crate::suite::{self, Cell, Finding, Selection, Verdict};

/// All tables: one a world (scenarios by implementations), one of guarantees, then what was broken.
pub fn tables(selection: &Selection, cells: &[Cell]) -> String {
    let mut text = String::new();
    for &world in &selection.worlds {
        let _ = writeln!(
            text,
            "\nVerdicts in the {world} world{}. In brackets: how many runs the claims held in; below it, \
             the least seed that breaks something not claimed.",
            ground(world)
        );
        let _ = writeln!(text, "{}", scenario_table(selection, cells, world));
    }
    let _ = writeln!(text, "\nGuarantees (n: runs in which it held)");
    let _ = writeln!(text, "{}", guarantee_table(selection, cells));
    text.push_str(&coverage(cells));
    text.push_str(&not_taken(cells));
    text.push_str(&findings(cells));
    text
}

/// What a world stands on, if there is a choice.
fn ground(world: World) -> String {
    match world {
        World::Sim | World::Threads => String::new(),
        World::Net => format!(", {}", hosts::kind()),
    }
}

fn new_table() -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    if !table.is_tty() {
        table.set_width(160);
    }
    table
}

fn names(implementations: &[Implementation]) -> impl Iterator<Item = &'static str> {
    implementations.iter().map(|implementation| implementation.name)
}

fn scenario_table(selection: &Selection, cells: &[Cell], world: World) -> Table {
    let mut table = new_table();
    table.set_header(std::iter::once("scenario").chain(names(&selection.implementations)));
    if let Some(names) = table.column_mut(0) {
        names.set_constraint(ColumnConstraint::ContentWidth);
    }
    for scenario in &selection.scenarios {
        let cell = |implementation: &Implementation| {
            cells
                .iter()
                .find(|cell| {
                    cell.world == world
                        && cell.scenario == scenario.name
                        && cell.implementation == implementation.name
                })
                .map_or_else(String::new, Cell::to_string)
        };
        let row = std::iter::once(scenario.name.to_owned());
        table.add_row(row.chain(selection.implementations.iter().map(cell)));
    }
    table
}

fn guarantee_table(selection: &Selection, cells: &[Cell]) -> Table {
    let mut table = new_table();
    table.set_header(std::iter::once("guarantee").chain(names(&selection.implementations)));
    for guarantee in Guarantee::ALL {
        let word = |implementation: &Implementation| standing(implementation, guarantee, cells);
        let row = std::iter::once(guarantee.name().to_owned());
        table.add_row(row.chain(selection.implementations.iter().map(word)));
    }
    table
}

/// How one guarantee of one implementation stands after all runs.
fn standing(implementation: &Implementation, guarantee: Guarantee, cells: &[Cell]) -> String {
    if !implementation.judges(guarantee) {
        return "–".to_owned();
    }
    let mut runs = 0;
    let mut found: Option<(&Cell, &Finding)> = None;
    let mut shown: Option<(&Cell, &Finding)> = None;
    for cell in cells.iter().filter(|cell| cell.implementation == implementation.name) {
        if !implementation.judges_in(guarantee, cell.world) {
            continue;
        }
        if let Verdict::Judged { broken, counterexamples } = &cell.verdict {
            runs += cell.totals.runs;
            let of_it =
                |findings: &[Finding]| findings.iter().position(|it| it.guarantee == guarantee);
            found = found.or_else(|| of_it(broken).map(|place| (cell, &broken[place])));
            shown = shown
                .or_else(|| of_it(counterexamples).map(|place| (cell, &counterexamples[place])));
        }
    }
    let claimed = implementation.claims.contains(&guarantee);
    match (found, claimed, shown) {
        (Some((cell, finding)), _, _) => {
            format!("BROKEN: {} seed {}", cell.scenario, finding.seed)
        }
        (None, _, None) if runs == 0 => "not tried".to_owned(),
        (None, true, None) => format!("holds ({runs})"),
        // What is claimed was broken by what no one claims to survive.
        (None, true, Some((cell, finding))) => {
            format!("holds ({runs})\n(beyond: {} seed {})", cell.scenario, finding.seed)
        }
        (None, false, Some((cell, finding))) => {
            format!("not claimed: {} seed {}", cell.scenario, finding.seed)
        }
        (None, false, None) => "not claimed".to_owned(),
    }
}

/// In how many runs of each implementation rare states were reached: the three rarest, and those that
/// were not.
fn coverage(cells: &[Cell]) -> String {
    let mut text = String::new();
    for (name, coverage) in suite::coverage(cells) {
        let reached = coverage.states.iter().filter(|(_, runs)| *runs > 0).count();
        let mut rarest = coverage.states.clone();
        rarest.sort_by_key(|(_, runs)| *runs);
        let rarest: Vec<String> =
            rarest.iter().take(3).map(|(state, runs)| format!("{state} ({runs})")).collect();
        let all = coverage.states.len();
        let rarest = rarest.join(", ");
        let _ = writeln!(text, "Rare states, {name}: {reached} of {all} reached; rarest: {rarest}");
    }
    text
}

/// Which scenarios were not run, and why: whoever cannot take one fault, for one reason, in one line.
fn not_taken(cells: &[Cell]) -> String {
    let alike = |a: &Cell, b: &Cell| {
        a.implementation == b.implementation && a.world == b.world && a.verdict == b.verdict
    };
    let mut text = String::new();
    for (place, cell) in cells.iter().enumerate() {
        let Verdict::CannotTake { why } = &cell.verdict else { continue };
        if cells[..place].iter().any(|told| alike(told, cell)) {
            continue;
        }
        let scenarios: Vec<&str> =
            cells.iter().filter(|other| alike(other, cell)).map(|other| other.scenario).collect();
        let Cell { implementation, world, .. } = cell;
        let scenarios = scenarios.join(", ");
        let _ = writeln!(text, "Not run: {implementation} in {world}, {scenarios}: {why}");
    }
    text
}

/// What was broken, and one counterexample of each guarantee that an implementation does not claim.
fn findings(cells: &[Cell]) -> String {
    let mut text = String::new();
    let mut told: Vec<(&str, Guarantee)> = Vec::new();
    for cell in cells {
        let place = format!("{} × {} × {}", cell.implementation, cell.scenario, cell.world);
        match &cell.verdict {
            Verdict::Judged { broken, counterexamples } => {
                for finding in broken {
                    let _ = writeln!(text, "\nBROKEN {place}: {}", finding.guarantee);
                    tell(&mut text, cell, finding);
                }
                for finding in counterexamples {
                    let key = (cell.implementation, finding.guarantee);
                    if !told.contains(&key) {
                        told.push(key);
                        let _ = writeln!(text, "\nNot claimed by {place}: {}", finding.guarantee);
                        tell(&mut text, cell, finding);
                    }
                }
            }
            Verdict::Vacuous { seed, why } => {
                let _ = writeln!(text, "\nVACUOUS {place}, seed {seed}: {why}");
                let _ = writeln!(text, "    replay: {}", cell.replay(*seed));
            }
            Verdict::CannotTake { .. } => {}
        }
    }
    text
}

fn tell(text: &mut String, cell: &Cell, finding: &Finding) {
    for line in finding.what.lines() {
        let _ = writeln!(text, "    {line}");
    }
    let _ = writeln!(text, "    replay: {}", cell.replay(finding.seed));
}

/// A JUnit report: a suite for each implementation and world, a case for each scenario.
///
/// # Errors
/// When the report cannot be written as XML.
pub fn junit(cells: &[Cell]) -> Result<String, quick_junit::SerializeError> {
    let mut report = quick_junit::Report::new("conformance");
    let mut suites: Vec<(String, TestSuite)> = Vec::new();
    for cell in cells {
        let name = format!("{} in {}", cell.implementation, cell.world);
        let status = match &cell.verdict {
            Verdict::Judged { broken, .. } if broken.is_empty() => TestCaseStatus::success(),
            Verdict::Judged { broken, .. } => {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                let lines = broken.iter().map(|it| {
                    format!("{}: {}\nreplay: {}", it.guarantee, it.what, cell.replay(it.seed))
                });
                status.set_message(lines.collect::<Vec<_>>().join("\n"));
                status
            }
            Verdict::Vacuous { seed, why } => {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
                status.set_message(format!(
                    "vacuous at seed {seed}: {why}\nreplay: {}",
                    cell.replay(*seed)
                ));
                status
            }
            Verdict::CannotTake { why } => {
                let mut status = TestCaseStatus::skipped();
                status.set_message(why.clone());
                status
            }
        };
        let case = TestCase::new(cell.scenario, status);
        match suites.iter_mut().find(|(known, _)| *known == name) {
            Some((_, suite)) => {
                suite.add_test_case(case);
            }
            None => {
                let mut suite = TestSuite::new(name.clone());
                suite.add_test_case(case);
                suites.push((name, suite));
            }
        }
    }
    report.add_test_suites(suites.into_iter().map(|(_, suite)| suite));
    report.to_string()
}
