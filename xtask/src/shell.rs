//! Running other commands, and telling what they did.

use std::path::Path;
use std::process::Command;
#[cfg(not(all(feature = "mutants", feature = "rivals")))]
use std::process::ExitCode;
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

/// Runs this very command again, built with `feature`: what needs it is not in the ordinary build.
///
/// # Errors
/// When it cannot be built or started.
#[cfg(not(all(feature = "mutants", feature = "rivals")))]
pub(crate) fn again_with(feature: &str) -> anyhow::Result<ExitCode> {
    let manifest = root().join("Cargo.toml");
    let mut command = cargo(&["run", "--quiet", "--release", "--package", "xtask", "--features"]);
    command.arg(feature).arg("--manifest-path").arg(manifest).arg("--");
    command.args(std::env::args_os().skip(1));
    // Files that arguments name lie where this command was started.
    command.current_dir(std::env::current_dir().context("the current folder")?);
    let status = command.status().context("cannot start cargo")?;
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(2);
    Ok(ExitCode::from(code))
}
