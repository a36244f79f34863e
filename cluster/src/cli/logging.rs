//! What a process tells on standard error.

use std::io::IsTerminal;

use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::Failure;
use crate::InvalidConfig;

/// What to log.
#[derive(Clone, Debug, clap::Args)]
pub struct Logging {
    /// What to log on standard error: a level, or levels by target (`info,cluster::net=debug`); if it is
    /// not given, what RUST_LOG says
    #[arg(long, global = true, value_name = "LEVELS")]
    log: Option<Targets>,
}

impl Logging {
    /// Logs from now on, in colours if that is a terminal and `NO_COLOR` is not set. Where nobody says
    /// what, a process that `serves` tells its operator what it does, and one that asks a cluster errors
    /// only: who started it reads the answer.
    ///
    /// # Errors
    /// [`Failure::Invalid`], naming `RUST_LOG`, if that says nothing that can be understood.
    pub fn begin(self, serves: bool) -> Result<(), Failure> {
        let default = if serves { "info" } else { "error" };
        let told = std::env::var("RUST_LOG").ok().filter(|levels| !levels.is_empty());
        let levels = match (self.log, told) {
            (Some(levels), _) => levels,
            (None, told) => {
                let levels = told.as_deref().unwrap_or(default);
                let unknown =
                    |_| InvalidConfig::new("RUST_LOG", levels, "such as `info,raft=debug`");
                levels.parse().map_err(unknown)?
            }
        };
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(colours(&std::io::stderr()))
            // When standard error is gone, telling so there would panic.
            .log_internal_errors(false);
        // A second one is not begun.
        let _ = tracing_subscriber::registry().with(layer.with_filter(levels)).try_init();
        Ok(())
    }
}

/// Whether to write in colours there (<https://no-color.org>).
pub(super) fn colours(out: &impl IsTerminal) -> bool {
    out.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty())
}
