//! Running other commands, and telling what they did.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, bail};

/// A cargo command in the workspace's root.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(root());
    // This process has its own; a nested cargo must find its own.
    command.env_remove("CARGO_MANIFEST_DIR");
    command
}

/// The workspace's root.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace")
}

/// Runs `command` under the name `what`, to its end.
///
/// # Errors
/// When it cannot be started or does not succeed; the error names it.
pub(crate) fn step(what: &str, command: &mut Command) -> anyhow::Result<()> {
    println!("── {what}");
    let start = Instant::now();
    let status = command.status().with_context(|| format!("{what}: cannot start {command:?}"))?;
    if !status.success() {
        bail!("{what} failed ({status}): {command:?}");
    }
    println!("── {what}: ok, {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}
