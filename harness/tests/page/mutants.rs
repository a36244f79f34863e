//! A planted bug, from the seed that shows it to a page that a browser opens.

use std::fs;
use std::path::Path;

use harness::case::{Case, Options};
use harness::dossier::{Dossier, worth_telling};
use harness::implementation::World;
use harness::mutants::{Planted, all};
use harness::page::{self, Extras};
use harness::run::run_case;
use harness::scenario::Scenario;
use harness::suite::{self, Selection, Verdict};

use crate::browser::{Browser, Scheme};
use crate::drive::{check_draws, check_is_quiet};

/// The suite finds the bug, its report has a page for it, the page opens and shows the violation, and
/// what it was cut down to has a tenth of the events and breaks the same guarantee again.
#[test]
fn a_planted_bug_has_a_page_and_a_small_scenario_that_replays() {
    let is_it = |planted: &Planted| planted.place == "raft" && planted.name == "ReadsWithoutQuorum";
    let planted = all().into_iter().find(is_it).expect("the bug exists").implementation;
    let selection = Selection {
        implementations: vec![planted.clone()],
        scenarios: vec![Scenario::named("minority-partition").expect("it exists")],
        worlds: vec![World::Sim],
        seeds: 1..30,
        nodes: None,
        span: suite::SPAN,
        span_real: suite::SPAN_REAL,
        span_net: suite::SPAN_NET,
    };
    let cells = suite::judge(&selection, &|| ()).expect("it can be configured");
    let Verdict::Judged { broken, .. } = &cells[0].verdict else { panic!("{}", cells[0]) };
    let found = broken.first().expect("the bug is found");
    let (implementation, scenario, cell, finding) = worth_telling(&selection, &cells)[0];
    assert_eq!(finding, found);
    let dossier = Dossier::of(implementation, scenario, cell, finding).expect("it replays");

    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("planted");
    let extras = Extras {
        implementations: &selection.implementations,
        seeds: 29,
        took: None,
        pages: &[],
        coverage: &[],
        mutants: &[],
    };
    page::write(&dir, &cells, &extras, std::slice::from_ref(&dossier.recording)).expect("written");
    dossier.write_shrunk(&dir).expect("it can be written");

    let name = page::name_of(&dossier.recording);
    let stem = name.trim_end_matches(".html");
    let text = fs::read_to_string(dir.join(format!("{stem}.toml"))).expect("it is there");
    let small = Case::from_toml(&text).unwrap_or_else(|bad| panic!("{bad}\n{text}"));
    let events = |case: &Case| {
        let report = run_case(&planted, case, false).expect("it can be run");
        let violations = report.violations.iter();
        assert!(violations.map(|it| it.guarantee).any(|it| it == found.guarantee), "{text}");
        report.events
    };
    let options = Options {
        world: World::Sim,
        seed: found.seed,
        nodes: None,
        span: suite::SPAN,
        trace: false,
    };
    let drawn = Case::draw(&planted, scenario, &options);
    assert!(events(&small) * 10 <= events(&drawn), "{text}");
    assert_eq!(small.breaks, Some(found.guarantee));
    // Without the bug, the same schedule does not break it.
    let sound = harness::implementations::named("raft").expect("it is registered");
    let report = run_case(&sound, &small, false).expect("it can be run");
    assert!(report.violations.iter().all(|it| it.guarantee != found.guarantee), "{text}");

    let Some(mut browser) = Browser::start("planted") else { return };
    let (_, shrunk) = dossier.shrunk.as_ref().expect("it replays");
    let small_page = format!("{stem}.shrunk.html");
    for (file, recording) in [(&name, &dossier.recording), (&small_page, shrunk)] {
        check_draws(&mut browser, &dir.join(file), Scheme::Light);
        let title = browser.text("document.querySelector('h1').textContent");
        assert_eq!(title, recording.findings[0].sentence);
        check_is_quiet(&browser);
    }
}
