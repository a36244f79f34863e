//! Pages in a browser: they draw, they scrub, they explain.

use std::path::{Path, PathBuf};

use harness::page;
use harness::recording::Recording;
use serde_json::Value;

use crate::browser::{self, Browser, Scheme};
use crate::fixtures::{large, shared_lock, split_brain, stale_read};
use crate::text::index;

/// What the diagram says of itself.
const CURSOR: &str = "document.getElementById('diagram').dataset.cursor";
const DRAWN: &str = "document.getElementById('diagram').dataset.drawn";
const SCANNED: &str = "document.getElementById('diagram').dataset.scanned";
const SPAN: &str =
    "(({ from, until }) => until - from)(document.getElementById('diagram').dataset)";
const CHOSEN: &str = "document.getElementById('diagram').dataset.chosen ?? ''";
const FRAME: &str =
    "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(0))))";

/// How many colours the diagram shows: a blank one shows one.
const COLOURS: &str = "(() => {
    const canvas = document.getElementById('diagram');
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    const seen = new Set();
    for (let at = 0; at < data.length; at += 4 * 7) {
        seen.add(data[at] << 16 | data[at + 1] << 8 | data[at + 2]);
    }
    return seen.size;
})()";

/// Opens the page of `recording`, and waits until it has drawn.
fn open(browser: &mut Browser, name: &str, recording: &Recording, scheme: Scheme) -> PathBuf {
    let file = browser::page(name, &page::failure(recording));
    await_drawn(browser, &file, scheme);
    file
}

fn await_drawn(browser: &mut Browser, file: &Path, scheme: Scheme) {
    browser.open(file, scheme);
    browser.wait_for("document.documentElement.dataset.ready === 'yes'");
    browser.wait_for(&format!("Number({DRAWN}) > 0 && {CURSOR} !== undefined"));
}

/// Opens the page at `file`, and looks whether it draws anything.
#[cfg(feature = "mutants")]
#[track_caller]
pub(crate) fn check_draws(browser: &mut Browser, file: &Path, scheme: Scheme) {
    await_drawn(browser, file, scheme);
    assert!(browser.number(COLOURS) > 10.0, "the diagram is blank");
}

#[track_caller]
pub(crate) fn check_is_quiet(browser: &Browser) {
    assert_eq!(browser.complaints, [""; 0], "the page complained");
    assert_eq!(browser.requests, [""; 0], "the page asked the network");
}

/// Presses a key, waits for the frame that it leads to, and says where the cursor is then.
fn after_key(browser: &mut Browser, key: &str, shift: bool) -> f64 {
    browser.press(key, shift);
    browser.evaluate(FRAME);
    browser.number(CURSOR)
}

#[test]
fn a_stale_read_shows_its_contradiction_and_links_it_to_the_diagram() {
    let recording = stale_read();
    let finding = &recording.findings[0];
    let found = finding.contradiction.as_ref().expect("it is explained");
    let Some(mut browser) = Browser::start("stale") else { return };
    open(&mut browser, "stale-read.html", &recording, Scheme::Light);

    assert!(browser.number(COLOURS) > 20.0, "the diagram is blank");
    let at = finding.at.expect("it is known").as_nanos() as f64;
    assert_eq!(browser.number(CURSOR), at, "the cursor stands at the violation");
    let title = browser.text("document.querySelector('h1').textContent");
    assert_eq!(title, finding.sentence);
    let core = "[...document.querySelectorAll('#linear .core > li [data-operation]')]\
                .map((row) => Number(row.dataset.operation))";
    let shown: Vec<usize> = serde_json::from_value(browser.evaluate(core)).expect("numbers");
    assert_eq!(shown, found.core);
    let stuck = browser.text("document.querySelector('#linear .core > li.stuck').textContent");
    assert!(stuck.contains('✕') && stuck.contains("nothing explains it"), "{stuck}");

    // Each of them leads to its place in the diagram, and tells what it was.
    for &operation in &found.core {
        let button =
            format!("document.querySelector('#linear .core [data-operation=\"{operation}\"]')");
        browser.evaluate(&format!("{button}.click()"));
        browser.wait_for(&format!("({CHOSEN}) === 'operation {operation}'"));
        let told = browser.text("document.getElementById('chosen').textContent");
        assert!(told.contains(&recording.operations[operation].text), "{told}");
        assert_eq!(browser.evaluate(&format!("{button}.hasAttribute('aria-current')")), true);
    }
    let text = browser.text("document.body.textContent");
    assert!(text.contains(&recording.replay) && text.contains("Shrunk, still failing"));
    check_is_quiet(&browser);
}

#[test]
fn a_split_brain_is_scrubbed_by_keyboard_and_pointer() {
    let recording = split_brain();
    let at = recording.findings[0].at.expect("it is known").as_nanos() as f64;
    let end = recording.end.as_nanos() as f64;
    let Some(mut browser) = Browser::start("split") else { return };
    open(&mut browser, "split-brain.html", &recording, Scheme::Light);

    let leaders = "document.querySelectorAll('#table tr[data-part=leader]').length";
    assert!(browser.number(leaders) >= 2.0, "both leaders are in the table");

    browser.evaluate("document.getElementById('diagram').focus()");
    assert!(after_key(&mut browser, "ArrowRight", false) > at);
    assert!(after_key(&mut browser, "ArrowLeft", false) - at < 1_000.0);
    assert_eq!(after_key(&mut browser, "Home", false), 0.0);
    assert!(browser.number(leaders) <= 1.0, "at most one leads at first");
    let first = after_key(&mut browser, "f", false);
    let band = recording.bands[0].from.as_nanos() as f64;
    assert_eq!(first, band, "the first fault");
    assert!(after_key(&mut browser, "ArrowRight", true) > first, "the next event");
    assert_eq!(after_key(&mut browser, "End", false), end);
    let paged = after_key(&mut browser, "PageUp", false);
    assert!(paged < end);
    assert_eq!(after_key(&mut browser, "v", false), at, "back at the violation");
    let before = browser.number(SPAN);
    browser.press("+", false);
    browser.wait_for(&format!("{SPAN} < {before}"));
    browser.press("0", false);
    browser.wait_for(&format!("{SPAN} === {end}"));

    // The lane of the second node, and what is nearest to the cursor in it.
    for _ in 0..4 {
        browser.press("ArrowDown", false);
    }
    browser.press("Enter", false);
    browser.wait_for(&format!("({CHOSEN}) !== ''"));
    browser.wait_for("document.getElementById('live').textContent.includes('n1')");

    pointer(&mut browser, end);
    check_is_quiet(&browser);
}

/// Drags over the diagram, and turns the wheel.
fn pointer(browser: &mut Browser, end: f64) {
    browser.evaluate("document.getElementById('diagram').scrollIntoView({ block: 'center' })");
    let side = |name: &str, browser: &mut Browser| {
        browser
            .number(&format!("document.getElementById('diagram').getBoundingClientRect().{name}"))
    };
    let (left, width) = (side("left", browser), side("width", browser));
    let y = side("top", browser) + side("height", browser) / 2.0;
    let place = |share: f64| (left + 132.0 + (width - 132.0) * share, y);
    browser.drag(&[place(0.2), place(0.5), place(0.8)]);
    browser.evaluate(FRAME);
    let cursor = browser.number(CURSOR);
    assert!((cursor / end - 0.8).abs() < 0.01, "{cursor} of {end}");
    let before = browser.number(SPAN);
    browser.wheel(place(0.5), -240.0);
    browser.wait_for(&format!("{SPAN} < {before}"));
    let text = browser.text("document.getElementById('clock').textContent");
    assert_eq!(text, format!("{:.3} ms", cursor / 1e6));
}

#[test]
fn light_and_dark_differ_and_follow_the_system_until_the_reader_chooses() {
    let recording = split_brain();
    let Some(mut browser) = Browser::start("dark") else { return };
    let ground = "getComputedStyle(document.body).backgroundColor";
    open(&mut browser, "dark.html", &recording, Scheme::Dark);
    let dark = browser.text(ground);
    assert!(browser.number(COLOURS) > 20.0, "the diagram is blank");
    open(&mut browser, "dark.html", &recording, Scheme::Light);
    let light = browser.text(ground);
    assert_ne!(dark, light);
    browser.evaluate("document.getElementById('theme').click()");
    assert_eq!(browser.text(ground), dark);
    check_is_quiet(&browser);
}

#[test]
fn two_holders_of_a_lock_are_drawn() {
    let recording = shared_lock();
    assert!(recording.findings[0].holds.len() >= 2, "{:?}", recording.findings[0]);
    let Some(mut browser) = Browser::start("lock") else { return };
    open(&mut browser, "shared-lock.html", &recording, Scheme::Light);
    assert!(browser.number(COLOURS) > 20.0, "the diagram is blank");
    check_is_quiet(&browser);
}

#[test]
fn a_run_without_a_trace_shows_what_clients_saw() {
    let mut recording = stale_read();
    recording.states.clear();
    recording.messages.clear();
    recording.events.clear();
    recording.bands.clear();
    let Some(mut browser) = Browser::start("bare") else { return };
    open(&mut browser, "bare.html", &recording, Scheme::Light);
    assert!(browser.number(COLOURS) > 10.0, "the diagram is blank");
    let text = browser.text("document.body.textContent");
    assert!(text.contains("only what clients saw is known"));
    check_is_quiet(&browser);
}

/// The most that one frame may draw, however much happens in view.
const DRAWN_MAX: f64 = 12_000.0;

#[test]
fn a_hundred_thousand_messages_are_drawn_by_the_window() {
    let recording = large(100_000);
    let Some(mut browser) = Browser::start("large") else { return };
    open(&mut browser, "large.html", &recording, Scheme::Light);
    let narrow = browser.number(DRAWN);
    let scanned = browser.number(SCANNED);
    assert!(narrow > 50.0 && scanned < 5_000.0, "{narrow} drawn of {scanned} looked at");
    browser.evaluate("document.getElementById('diagram').focus()");
    browser.press("0", false);
    browser.wait_for(&format!("{SPAN} === 60000000000"));
    let wide = browser.number(DRAWN);
    assert!(wide < DRAWN_MAX, "{wide} drawn");
    let note = browser.text("document.getElementById('note').textContent");
    assert!(note.contains("is drawn"), "what is left out is told: {note:?}");

    // The list has a row for every event, and only those in sight exist.
    let rows = browser.number("document.getElementById('list').dataset.rows");
    assert!(rows > 200_000.0, "{rows} rows");
    let rendered = browser.number("document.getElementById('list').children[0].children.length");
    assert!(rendered < 60.0, "{rendered} rows exist");

    // Scrubbing draws nothing again but the cursor.
    browser.evaluate("document.getElementById('diagram').dataset.drawn = 'kept'");
    after_key(&mut browser, "ArrowLeft", false);
    assert_eq!(browser.evaluate(DRAWN), Value::from("kept"));
    check_is_quiet(&browser);
}

#[test]
fn the_index_filters_its_rows() {
    let Some(mut browser) = Browser::start("index") else { return };
    let file = browser::page("index.html", &index(&[]));
    browser.open(&file, Scheme::Light);
    let shown = "document.querySelectorAll('.one tr[data-words]:not([hidden])').length";
    assert_eq!(browser.number(shown), 4.0);
    browser.evaluate(
        "(() => {
            const filter = document.getElementById('filter');
            filter.value = 'partition broken';
            filter.dispatchEvent(new Event('input'));
        })()",
    );
    assert_eq!(browser.number(shown), 1.0);
    check_is_quiet(&browser);
}
