//! What came of all runs, and how each failure came about, as pages that need no network.
//!
//! Every page is one file: styles, scripts and data are in it, and it asks for nothing else. The
//! index has the matrix of verdicts; each finding has a page with a space-time diagram that can be
//! scrubbed.
//!
//! ```text
//!  Recording ─▶ data.rs ─▶ columns of numbers, as JSON ─┐
//!               failure.rs ─▶ what reads without script ─┼─▶ failure() ─▶ one file
//!               page/*.css, page/js/*.js ────────────────┘
//!  Cell, Extras ─▶ index.rs ──────────────────────────────▶ index() ──▶ one file
//! ```

mod data;
mod failure;
mod index;

use std::path::Path;
use std::{fs, io};

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::guarantee::Guarantee;
use crate::implementation::World;
use crate::recording::Recording;
use crate::suite::Cell;

pub use failure::failure;
pub use index::{Extras, Killed, Sometimes, index};

/// Writes `index.html`, and a page for each of `recordings`, into `dir`, which is made if need be.
///
/// # Errors
/// When a file cannot be written. Those before it have been.
pub fn write(
    dir: &Path,
    cells: &[Cell],
    extras: &Extras<'_>,
    recordings: &[Recording],
) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let mut pages = Vec::with_capacity(recordings.len());
    for recording in recordings {
        let name = name_of(recording);
        fs::write(dir.join(&name), failure(recording))?;
        pages.push(name);
    }
    let extras = Extras { pages: &pages, ..extras.clone() };
    fs::write(dir.join("index.html"), index(cells, &extras))
}

/// The name of the page on what `recording` is about: its first finding.
pub fn name_of(recording: &Recording) -> String {
    let guarantee = recording.findings.first().map(|finding| finding.guarantee);
    let Recording { implementation, scenario, world, seed, .. } = recording;
    file_name(implementation, scenario, *world, *seed, guarantee)
}

/// The name of a page: the same for the same run and guarantee, on every machine; of letters,
/// digits, dots and hyphens alone.
pub fn file_name(
    implementation: &str,
    scenario: &str,
    world: World,
    seed: u64,
    guarantee: Option<Guarantee>,
) -> String {
    let guarantee = guarantee.map_or("run", Guarantee::name);
    let parts = [implementation, scenario, world.name(), &format!("seed-{seed}"), guarantee];
    format!("{}.html", parts.map(safe).join("."))
}

/// `part` in letters, digits and hyphens.
fn safe(part: &str) -> String {
    let mut name = String::with_capacity(part.len());
    for char in part.chars() {
        match char {
            'a'..='z' | 'A'..='Z' | '0'..='9' => name.push(char.to_ascii_lowercase()),
            _ if name.ends_with('-') || name.is_empty() => {}
            _ => name.push('-'),
        }
    }
    name.truncate(80);
    let trimmed = name.trim_end_matches('-');
    if trimmed.is_empty() { "x".to_owned() } else { trimmed.to_owned() }
}

/// A whole page.
fn page(title: &str, style: &str, body: &Markup, script: &str) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                // Nothing may be asked for, not even an icon.
                meta http-equiv="Content-Security-Policy"
                    content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:";
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(BASE)) (PreEscaped(style)) }
                script { (PreEscaped(THEME)) }
            }
            body {
                (body)
                script { (PreEscaped(script)) }
            }
        }
    }
    .into_string()
}

/// The look that all pages share.
const BASE: &str = include_str!("page/base.css");
/// Light or dark; runs before anything is drawn, so that nothing flashes.
const THEME: &str = include_str!("page/js/theme.js");

/// The button that changes between light and dark.
fn theme_button() -> Markup {
    html! {
        button.quiet #theme type="button" title="Change between light and dark" {
            span aria-hidden="true" { "◐" } span.word { " Dark" }
        }
    }
}
