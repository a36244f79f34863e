//! One suite of failures for every implementation of a coordination pattern, and the judges that
//! look at what came of it.
//!
//! ```text
//!  scenario ── moves ─▶ director ── faults ─▶ ┌─────────┐
//!                                             │ subject │  an implementation in a world
//!  clients  ── calls ───────────────────────▶ └─────────┘
//!     │  what they saw, and when                   │  invariants, after every simulated step
//!     ▼                                            ▼
//!  history ──────────────▶ judge ──────────▶ violations ──▶ suite: verdicts ──▶ report
//! ```
//!
//! A [`scenario`](mod@scenario) says what goes wrong, once, for everybody. The director decides
//! which node it hits and keeps account of what is broken at present. Clients call, follow
//! redirections, give up, and write down what they saw. A run ends with everything repaired; then
//! service, agreement and convergence must come back within a bound. The judges look at the history
//! alone, so they judge any implementation; in the simulated world each pattern's own invariants
//! are checked after every step as well.
//!
//! An [`implementation`](mod@implementation) declares what it claims. A claim that breaks fails the
//! suite, and the report prints the command that replays it. What is not claimed is attacked all the
//! same, and the counterexample is shown.

pub mod case;
mod client;
mod director;
pub mod dossier;
pub mod exhaustive;
pub mod export;
pub mod guarantee;
pub mod history;
pub mod hosts;
pub mod implementation;
pub mod implementations;
pub mod judge;
pub mod linear;
pub mod measure;
pub mod moves;
#[cfg(feature = "mutants")]
pub mod mutants;
pub mod ordered;
pub mod page;
pub mod recorded;
pub mod recording;
pub mod report;
#[cfg(feature = "rivals")]
pub mod rivals;
pub mod run;
pub mod scenario;
pub mod shrink;
pub mod sometimes;
pub mod subject;
pub mod suite;
pub mod vocabulary;

/// The examples of the README, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
