//! The index: every verdict, what it rests on, and the way to each counterexample.

use std::time::Duration;

use maud::{Markup, html};
use serde::{Deserialize, Serialize};

use super::{file_name, page, theme_button};
use crate::guarantee::Guarantee;
use crate::implementation::{Implementation, World};
use crate::suite::{Cell, Finding, Verdict};

const STYLE: &str = include_str!("index.css");
const SCRIPT: &str = include_str!("js/filter.js");

/// What the index shows besides the cells.
#[derive(Clone, Debug)]
pub struct Extras<'a> {
    /// Who was judged, with their claims.
    pub implementations: &'a [Implementation],
    /// How many seeds each simulated cell was run with.
    pub seeds: u64,
    /// How long it all took, in real time.
    pub took: Option<Duration>,
    /// The pages that there are, by [`file_name`]; a finding without a page shows its replay command
    /// alone.
    pub pages: &'a [String],
    /// Rare states, and how often runs came to them.
    pub coverage: &'a [Sometimes],
    /// Planted bugs, and what caught them.
    pub mutants: &'a [Killed],
}

/// A state that runs should come to sometimes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sometimes {
    /// Of which pattern.
    pub pattern: String,
    /// The state, in words.
    pub state: String,
    /// How many runs came to it.
    pub runs: u64,
}

/// What became of a planted bug.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Killed {
    /// The bug, in words.
    pub mutant: String,
    /// Where it was planted.
    pub pattern: String,
    /// What caught it; none if nothing did.
    pub by: Option<String>,
    /// How many seeds that took.
    pub seeds: u64,
    /// Whether it is harmless, so that it must not be caught.
    pub harmless: bool,
}

impl Killed {
    /// Whether it is as it should be: caught if it is a bug, not caught if it is harmless.
    pub fn is_right(&self) -> bool {
        self.by.is_some() != self.harmless
    }
}

/// The page of all verdicts: one HTML file that needs nothing but the pages that it links to.
pub fn index(cells: &[Cell], extras: &Extras<'_>) -> String {
    let body = html! {
        a.skip href="#matrix" { "Go to the matrix" }
        header.top {
            nav aria-label="Where this is" { strong { "Conformance" } }
            (theme_button())
        }
        main {
            (headline(cells, extras))
            (summary(cells, extras))
            section #matrix aria-labelledby="matrix-title" {
                div.bar {
                    h2 #matrix-title { "By scenario" }
                    label.filter {
                        "Filter " input #filter type="search" placeholder="raft, partition, broken …"
                            autocomplete="off" spellcheck="false";
                    }
                    output #matches for="filter" {}
                }
                (key())
                @for implementation in extras.implementations {
                    @for world in worlds(cells) {
                        (matrix(implementation, world, cells, extras))
                    }
                }
            }
            (coverage(extras.coverage))
            (mutants(extras.mutants))
        }
    };
    page("Conformance", STYLE, &body, SCRIPT)
}

/// The worlds of `cells`, each once.
fn worlds(cells: &[Cell]) -> impl Iterator<Item = World> {
    World::ALL.into_iter().filter(|world| cells.iter().any(|cell| cell.world == *world))
}

fn headline(cells: &[Cell], extras: &Extras<'_>) -> Markup {
    let vacuous =
        cells.iter().filter(|cell| matches!(cell.verdict, Verdict::Vacuous { .. })).count();
    let broken = cells.iter().filter(|cell| cell.failed()).count() - vacuous;
    let runs: u64 = cells.iter().map(|cell| cell.totals.runs).sum();
    let events: u64 = cells.iter().map(|cell| cell.totals.events).sum();
    let calls: u64 = cells.iter().map(|cell| cell.totals.calls).sum();
    let faults: u64 = cells.iter().map(|cell| cell.totals.faults).sum();
    let simulated: Duration =
        cells.iter().filter(|cell| cell.world == World::Sim).map(|cell| cell.totals.elapsed).sum();
    let took = extras.took.map(|took| format!("{:.0} s", took.as_secs_f64()));
    let mut totals = vec![
        ("runs", thousands(runs)),
        ("seeds a cell", thousands(extras.seeds)),
        ("simulated time", format!("{:.1} h", simulated.as_secs_f64() / 3_600.0)),
        ("simulated events", thousands(events)),
        ("calls", thousands(calls)),
        ("faults", thousands(faults)),
    ];
    totals.extend(took.map(|took| ("took", took)));
    html! {
        section.verdicts aria-labelledby="verdict" {
            @if broken + vacuous == 0 {
                p.kind.held { span.mark aria-hidden="true" { "✓" } " " (cells.len()) " cells" }
                h1 #verdict { "Every claim held." }
            } @else {
                p.kind.broken {
                    span.mark aria-hidden="true" { "✕" }
                    " " (broken + vacuous) " of " (cells.len()) " cells"
                }
                h1 #verdict {
                    @if broken > 0 { "Claims were broken in " (broken) " of " (cells.len()) " cells." }
                    @if broken > 0 && vacuous > 0 { " " }
                    @if vacuous > 0 { "Some run proved nothing in " (vacuous) "." }
                }
            }
            dl.totals {
                @for (name, value) in totals { div { dt { (name) } dd { (value) } } }
            }
        }
    }
}

/// `number` with a thin space between thousands.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{2009}');
        }
        text.push(digit);
    }
    text
}

/// What a cell of the matrix says of one guarantee.
enum Word<'a> {
    /// It held in so many runs.
    Holds(u64),
    /// It is claimed, and was broken.
    Broken(&'a Finding),
    /// It is not claimed, and this shows why.
    Counterexample(&'a Finding),
    /// It is claimed, but not of this scenario, which goes beyond what can be survived.
    Beyond(&'a Finding),
    /// It is not claimed, and nothing broke it.
    NotClaimed,
    /// Some run proved nothing.
    Unknown(&'a str),
    /// The implementation cannot take the fault.
    CannotTake(&'a str),
    /// Nobody looked: it does not show in this world.
    NotJudged,
}

impl<'a> Word<'a> {
    fn of(implementation: &Implementation, guarantee: Guarantee, cell: &'a Cell) -> Self {
        if !implementation.judges_in(guarantee, cell.world) {
            return Self::NotJudged;
        }
        match &cell.verdict {
            Verdict::CannotTake { why } => Self::CannotTake(why),
            Verdict::Vacuous { why, .. } => Self::Unknown(why),
            Verdict::Judged { broken, counterexamples } => {
                let is_it = |finding: &&Finding| finding.guarantee == guarantee;
                if let Some(finding) = broken.iter().find(is_it) {
                    Self::Broken(finding)
                } else {
                    let claimed = implementation.claims.contains(&guarantee);
                    match (claimed, counterexamples.iter().find(is_it)) {
                        (true, Some(finding)) => Self::Beyond(finding),
                        (false, Some(finding)) => Self::Counterexample(finding),
                        (true, None) => Self::Holds(cell.totals.runs),
                        (false, None) => Self::NotClaimed,
                    }
                }
            }
        }
    }

    /// A mark that reads without colour, a class, and a word.
    fn look(&self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Holds(_) => ("✓", "held", "holds"),
            Self::Broken(_) => ("✕", "broken", "broken"),
            Self::Counterexample(_) => ("◇", "open", "not claimed"),
            Self::Beyond(_) => ("△", "open", "beyond what is claimed"),
            Self::NotClaimed => ("○", "open", "not claimed"),
            Self::Unknown(_) => ("?", "unknown", "unknown"),
            Self::CannotTake(_) => ("—", "none", "cannot take"),
            Self::NotJudged => ("·", "none", "not judged here"),
        }
    }

    /// How bad it is.
    fn rank(&self) -> u8 {
        match self {
            Self::Broken(_) => 7,
            Self::Counterexample(_) => 6,
            Self::Unknown(_) => 5,
            Self::Holds(_) => 4,
            Self::Beyond(_) => 3,
            Self::NotClaimed => 2,
            Self::CannotTake(_) => 1,
            Self::NotJudged => 0,
        }
    }
}

fn key() -> Markup {
    html! {
        p.key {
            span.held { "✓ holds" } span.broken { "✕ broken" } span.unknown { "? unknown" }
            span.open { "◇ not claimed, counterexample" } span.open { "○ not claimed, none found" }
            span.open { "△ broken beyond what is claimed" }
            span.none { "— cannot take the fault" } span.none { "· does not show in this world" }
        }
    }
}

/// One cell's word for one guarantee, with the way to its page.
fn word(word: &Word<'_>, cell: &Cell, extras: &Extras<'_>) -> Markup {
    let (mark, class, text) = word.look();
    html! {
        @match word {
            Word::Broken(finding) | Word::Counterexample(finding) | Word::Beyond(finding) => {
                (linked(finding, cell, extras, html! {
                    span.mark aria-hidden="true" { (mark) }
                    span.sr { (text) ", " }
                    " seed " (finding.seed)
                }, class))
            },
            Word::Holds(runs) => {
                span class=(class) title={ "holds in " (runs) " runs" } {
                    span.mark aria-hidden="true" { (mark) } span.sr { (text) } " " (runs)
                }
            },
            Word::Unknown(why) | Word::CannotTake(why) => {
                span class=(class) title=(why) {
                    span.mark aria-hidden="true" { (mark) } span.sr { (text) ": " (why) }
                }
            },
            Word::NotClaimed | Word::NotJudged => {
                span class=(class) title=(text) {
                    span.mark aria-hidden="true" { (mark) } span.sr { (text) }
                }
            },
        }
    }
}

/// `text`, linked to the page of `finding` if there is one.
fn linked(
    finding: &Finding,
    cell: &Cell,
    extras: &Extras<'_>,
    text: Markup,
    class: &str,
) -> Markup {
    let Cell { implementation, scenario, world, .. } = cell;
    let guarantee = Some(finding.guarantee);
    let name = file_name(implementation, scenario, *world, finding.seed, guarantee);
    let title = format!("{}\n{}", finding.what, cell.replay(finding.seed));
    html! {
        @if extras.pages.contains(&name) {
            a class=(class) href=(name) title=(title) { (text) }
        } @else {
            span class=(class) title=(title) { (text) }
        }
    }
}

/// What stands in the implementation's row for each guarantee, over all scenarios.
fn summary(cells: &[Cell], extras: &Extras<'_>) -> Markup {
    let judged: Vec<Guarantee> = Guarantee::ALL
        .into_iter()
        .filter(|&guarantee| extras.implementations.iter().any(|it| it.judges(guarantee)))
        .collect();
    html! {
        section aria-labelledby="guarantees" {
            h2 #guarantees { "By guarantee" }
            div.scroll tabindex="0" role="region" aria-labelledby="guarantees" {
                table.matrix {
                    caption.sr { "How each guarantee of each implementation stands after all runs" }
                    thead { tr {
                        td {}
                        @for implementation in extras.implementations {
                            th scope="col" title=(implementation.summary) { (implementation.name) }
                        }
                    } }
                    tbody {
                        @for &guarantee in &judged {
                            tr data-words={ (guarantee.name()) } {
                                th scope="row" { (guarantee.name()) }
                                @for implementation in extras.implementations {
                                    td { (overall(implementation, guarantee, cells, extras)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The worst word of all cells; how many runs it held in, if it held.
fn overall(
    implementation: &Implementation,
    guarantee: Guarantee,
    cells: &[Cell],
    extras: &Extras<'_>,
) -> Markup {
    let own = cells.iter().filter(|cell| cell.implementation == implementation.name);
    let words = own.map(|cell| (Word::of(implementation, guarantee, cell), cell));
    let (mut runs, mut worst) = (0, None::<(Word<'_>, &Cell)>);
    for (found, cell) in words {
        if let Word::Holds(more) = found {
            runs += more;
        }
        if worst.as_ref().is_none_or(|(known, _)| known.rank() < found.rank()) {
            worst = Some((found, cell));
        }
    }
    html! {
        @match worst {
            None => {},
            Some((Word::NotJudged, _)) if !implementation.judges(guarantee) => span.none { "–" },
            Some((Word::Holds(_), cell)) => (word(&Word::Holds(runs), cell, extras)),
            Some((found @ (Word::Broken(_) | Word::Counterexample(_) | Word::Beyond(_)), cell)) => {
                (word(&found, cell, extras)) span.dim { " " (cell.scenario) }
            },
            Some((found, cell)) => (word(&found, cell, extras)),
        }
    }
}

/// One implementation in one world: a row for each scenario, a column for each guarantee.
fn matrix(
    implementation: &Implementation,
    world: World,
    cells: &[Cell],
    extras: &Extras<'_>,
) -> Markup {
    let rows: Vec<&Cell> = cells
        .iter()
        .filter(|cell| cell.implementation == implementation.name && cell.world == world)
        .collect();
    let judged: Vec<Guarantee> =
        Guarantee::ALL.into_iter().filter(|&it| implementation.judges_in(it, world)).collect();
    let title = format!("{}-{world}", implementation.name);
    html! {
        @if !rows.is_empty() {
            section.one data-words={ (implementation.name) " " (world) } aria-labelledby=(title) {
                h3 id=(title) {
                    (implementation.name) span.dim { " in " (world) ": " (implementation.summary) }
                }
                div.scroll tabindex="0" role="region" aria-labelledby=(title) {
                    table.matrix {
                        thead { tr {
                            td {}
                            @for guarantee in &judged {
                                th scope="col" { (guarantee.name())
                                    @if !implementation.claims.contains(guarantee) {
                                        span.dim { " (not claimed)" }
                                    }
                                }
                            }
                            th scope="col" { "calls served" }
                            th scope="col" { "faults" }
                        } }
                        tbody { @for cell in &rows { (row(implementation, &judged, cell, extras)) } }
                    }
                }
            }
        }
    }
}

fn row(
    implementation: &Implementation,
    judged: &[Guarantee],
    cell: &Cell,
    extras: &Extras<'_>,
) -> Markup {
    let words: Vec<Word<'_>> =
        judged.iter().map(|&guarantee| Word::of(implementation, guarantee, cell)).collect();
    let mut said: Vec<&str> = words.iter().map(|word| word.look().2).collect();
    said.sort_unstable();
    said.dedup();
    let said = said.join(" ");
    html! {
        tr data-words={ (implementation.name) " " (cell.world) " " (cell.scenario) " " (said) } {
            th scope="row" { (cell.scenario) }
            @match &cell.verdict {
                Verdict::CannotTake { why } => {
                    td.wide colspan=(judged.len()) { span.none { "— cannot take: " (why) } }
                },
                Verdict::Vacuous { seed, why } => {
                    td.wide colspan=(judged.len()) {
                        span.unknown { "? unknown, seed " (seed) ": " (why) }
                        br; code { (cell.replay(*seed)) }
                    }
                },
                Verdict::Judged { .. } => {
                    @for found in &words { td { (word(found, cell, extras)) } }
                },
            }
            td.number { (thousands(cell.totals.served)) " of " (thousands(cell.totals.calls)) }
            td.number { (thousands(cell.totals.faults)) }
        }
    }
}

fn coverage(states: &[Sometimes]) -> Markup {
    let missed = states.iter().filter(|state| state.runs == 0).count();
    html! {
        @if !states.is_empty() {
            section aria-labelledby="coverage" {
                h2 #coverage { "Rare states " span.dim {
                    (states.len() - missed) " of " (states.len()) " reached"
                } }
                div.scroll tabindex="0" role="region" aria-labelledby="coverage" {
                    table.list {
                        thead { tr { th scope="col" { "pattern" } th scope="col" { "state" }
                            th.number scope="col" { "runs" } } }
                        tbody { @for state in states {
                            tr data-words={ (state.pattern) " " (state.state)
                                @if state.runs == 0 { " never reached" } } {
                                td { (state.pattern) }
                                td { (state.state) @if state.runs == 0 {
                                    span.broken { span.mark { " ✕" } " never reached" } } }
                                td.number { (thousands(state.runs)) }
                            }
                        } }
                    }
                }
            }
        }
    }
}

fn mutants(mutants: &[Killed]) -> Markup {
    let bugs = mutants.iter().filter(|mutant| !mutant.harmless).count();
    let caught = mutants.iter().filter(|mutant| !mutant.harmless && mutant.by.is_some()).count();
    html! {
        @if !mutants.is_empty() {
            section aria-labelledby="mutants" {
                h2 #mutants { "Planted bugs " span.dim { (caught) " of " (bugs) " caught" } }
                div.scroll tabindex="0" role="region" aria-labelledby="mutants" {
                    table.list {
                        thead { tr { th scope="col" { "pattern" } th scope="col" { "bug" }
                            th scope="col" { "caught by" } th.number scope="col" { "seeds" } } }
                        tbody { @for mutant in mutants { (killed(mutant)) } }
                    }
                }
            }
        }
    }
}

fn killed(mutant: &Killed) -> Markup {
    let class = if mutant.is_right() { "held" } else { "broken" };
    let mark = if mutant.is_right() { "✓" } else { "✕" };
    let fate = match (&mutant.by, mutant.harmless) {
        (Some(by), false) => by.clone(),
        (None, false) => "nothing".to_owned(),
        (None, true) => "nothing, rightly: it is harmless".to_owned(),
        (Some(by), true) => format!("{by}, wrongly: it is harmless"),
    };
    html! {
        tr data-words={ (mutant.pattern) " " (mutant.mutant) " " (fate) } {
            td { (mutant.pattern) }
            td { (mutant.mutant) }
            td { span class=(class) { span.mark aria-hidden="true" { (mark) } " " (fate) } }
            td.number { @if mutant.by.is_some() { (thousands(mutant.seeds)) } @else { "–" } }
        }
    }
}
