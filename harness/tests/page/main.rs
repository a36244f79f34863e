//! The pages that explain a run: what they show, and whether a browser can be used on them by eye,
//! by hand and by keyboard.
//!
//! What needs a browser drives Debian's Chromium by the DevTools protocol. Where there is none it
//! says so and passes, unless `CI_REQUIRE_ENGINES` is set.

mod browser;
mod drive;
mod exports;
mod fixtures;
#[cfg(feature = "mutants")]
mod mutants;
mod text;
