//! What pages say, without a browser.

use std::time::Duration;

use harness::guarantee::Guarantee;
use harness::implementation::World;
use harness::page::{self, Extras, Killed, Sometimes};
use harness::recording::{Condition, Place, Recording};
use harness::sometimes::Coverage;
use harness::suite::{Cell, Finding, Totals, Verdict};

use crate::fixtures::{large, split_brain, stale_read};

#[test]
fn a_stale_read_is_told_in_a_sentence_and_a_least_contradiction() {
    let recording = stale_read();
    let finding = &recording.findings[0];
    assert_eq!(finding.guarantee, Guarantee::Linearizability);
    let found = finding.contradiction.as_ref().expect("it is explained");
    assert!(found.core.contains(&found.stuck), "{found:?}");
    assert!((2..=6).contains(&found.core.len()), "{found:?}");
    assert!(finding.sentence.contains("register"), "{}", finding.sentence);
    assert_eq!(finding.at, Some(recording.operations[found.stuck].returned));
    assert!(!found.because.is_empty());
}

#[test]
fn a_split_brain_shows_two_leaders_at_its_moment() {
    let recording = split_brain();
    let at = recording.findings[0].at.expect("the judge says when");
    let leads = |node| {
        let mut own = recording.states.iter().filter(|state| state.node == node && state.at <= at);
        let last = own.next_back();
        last.is_some_and(|state| {
            state.condition == Condition::Up && state.role == Some(cluster::Role::Leader)
        })
    };
    let leaders = recording.nodes.iter().filter(|&&node| leads(node)).count();
    assert!(leaders >= 2, "{leaders} leaders at {at:?}");
    let cut = recording.bands.iter().find(|band| matches!(band.place, Place::Between(_)));
    let cut = cut.expect("the partition is a band");
    assert!(cut.from < at && cut.until > cut.from);
}

#[test]
fn a_page_asks_for_nothing_and_its_data_cannot_end_its_script() {
    let mut recording = split_brain();
    recording.messages[0].text = "</script><script>alert(1)</script><!-- \u{2028}".to_owned();
    recording.summary = "<b>bold & \"quoted\"</b>".to_owned();
    let page = page::failure(&recording);
    assert!(!page.contains("http://") && !page.contains("https://"));
    assert!(!page.contains("alert(1)</script>"));
    assert!(!page.contains("<b>bold"));
    let scripts = page.matches("<script").count();
    assert_eq!(scripts, page.matches("</script>").count());
    let data = page.split("type=\"application/json\">").nth(1).expect("there is data");
    let data = data.split("</script>").next().expect("it ends");
    let data: serde_json::Value = serde_json::from_str(data).expect("it is JSON");
    assert!(
        data["strings"]
            .as_array()
            .expect("texts")
            .iter()
            .any(|text| { text.as_str().is_some_and(|text| text.starts_with("</script>")) })
    );
}

#[test]
fn a_large_page_stays_small() {
    let page = page::failure(&large(100_000));
    let megabytes = page.len() as f64 / 1e6;
    assert!(megabytes < 16.0, "{megabytes} MB");
}

fn cell(scenario: &'static str, verdict: Verdict) -> Cell {
    Cell {
        implementation: "bully-textbook",
        scenario,
        world: World::Sim,
        verdict,
        totals: Totals { runs: 200, events: 1_234_567, ..Totals::default() },
        coverage: Coverage::default(),
        nodes: None,
        span: Duration::from_secs(6),
    }
}

/// Cells of every verdict, and the tables beside them.
pub(crate) fn index(pages: &[String]) -> String {
    let finding = |guarantee, what: &str| Finding { guarantee, seed: 1, what: what.to_owned() };
    let broken = vec![finding(Guarantee::Availability, "nobody <served>")];
    let shown = vec![finding(Guarantee::NoSplitBrain, "n5 and n3 act as leader at once")];
    let cells = [
        cell("steady", Verdict::Judged { broken: Vec::new(), counterexamples: Vec::new() }),
        cell("minority-partition", Verdict::Judged { broken, counterexamples: shown }),
        cell(
            "power-loss",
            Verdict::Vacuous { seed: 3, why: "only 2 calls were served".to_owned() },
        ),
        cell("disk-full", Verdict::CannotTake { why: "it has no disk".to_owned() }),
    ];
    let implementations: Vec<_> = harness::implementations::all()
        .into_iter()
        .filter(|it| it.name == "bully-textbook")
        .collect();
    let coverage = [("a leader deposed", 12), ("two leaders at once", 0)].map(|(state, runs)| {
        Sometimes { pattern: "bully".to_owned(), state: state.to_owned(), runs }
    });
    let mutants = [("votes twice", Some("election safety"), false), ("harmless", None, true)].map(
        |(mutant, by, harmless)| Killed {
            mutant: mutant.to_owned(),
            pattern: "raft".to_owned(),
            by: by.map(str::to_owned),
            seeds: 2,
            harmless,
        },
    );
    let extras = Extras {
        implementations: &implementations,
        seeds: 200,
        took: Some(Duration::from_secs(71)),
        pages,
        coverage: &coverage,
        mutants: &mutants,
    };
    page::index(&cells, &extras)
}

#[test]
fn the_index_says_every_verdict_in_words_and_links_what_has_a_page() {
    let name = page::file_name(
        "bully-textbook",
        "minority-partition",
        World::Sim,
        1,
        Some(Guarantee::NoSplitBrain),
    );
    assert_eq!(name, "bully-textbook.minority-partition.sim.seed-1.no-split-brain.html");
    let index = index(std::slice::from_ref(&name));
    assert!(index.contains(&format!("href=\"{name}\"")));
    assert_eq!(index.matches("href=\"bully").count(), 2, "in the summary and in the matrix");
    for word in ["holds", "broken", "not claimed", "unknown", "cannot take", "never reached"] {
        assert!(index.contains(word), "{word}");
    }
    assert!(index.contains("nobody &lt;served&gt;"));
    assert!(!index.contains("http://") && !index.contains("https://"));
}

#[test]
fn a_directory_gets_the_index_and_a_page_for_each_recording() {
    let dir = crate::browser::scratch().join("written");
    let recordings: Vec<Recording> = vec![split_brain()];
    let extras = Extras {
        implementations: &[],
        seeds: 1,
        took: None,
        pages: &[],
        coverage: &[],
        mutants: &[],
    };
    page::write(&dir, &[], &extras, &recordings).expect("it can be written");
    assert!(dir.join("index.html").is_file());
    assert!(dir.join(page::name_of(&recordings[0])).is_file());
}

#[test]
fn file_names_are_safe_whatever_a_scenario_is_called() {
    let name = page::file_name("../etc", "a b/ü\\c", World::Sim, 0, None);
    assert_eq!(name, "etc.a-b-c.sim.seed-0.run.html");
}
