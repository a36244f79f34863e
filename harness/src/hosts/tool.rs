//! Programs of the system, and how they are called.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Where `program` is on the search path, if it is.
pub fn find(program: &str) -> Option<PathBuf> {
    // The tools of administrators are not on everybody's path.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(more).map(|dir| dir.join(program)).find(|it| it.is_file())
}

/// Runs `program` and gives it `input`.
///
/// # Errors
/// When it cannot be run, or fails: with what it said.
pub(super) fn run(program: &'static str, args: &[&str], input: &str) -> io::Result<String> {
    let file = find(program).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, program))?;
    let pipes = (Stdio::piped(), Stdio::piped(), Stdio::piped());
    let mut child =
        Command::new(file).args(args).stdin(pipes.0).stdout(pipes.1).stderr(pipes.2).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that stops reading says why.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{program} {}: {}: {said}", args.join(" "), output.status)))
}
