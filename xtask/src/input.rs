//! Files that a command is told to read, or to write.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context, bail};

/// The whole of the file at `path`, of at most so many mebibytes.
///
/// # Errors
/// When it cannot be read, or is larger; the error names it.
pub(crate) fn read(path: &Path, mebibytes_max: u64) -> anyhow::Result<Vec<u8>> {
    let max = mebibytes_max << 20;
    let mut bytes = Vec::new();
    // What a file says of its size need not be so: a device has none.
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let read = file.take(max + 1).read_to_end(&mut bytes);
    if read.with_context(|| path.display().to_string())? as u64 > max {
        bail!("{}: larger than {mebibytes_max} MiB, the most that is read", path.display());
    }
    Ok(bytes)
}

/// As [`read`], text.
///
/// # Errors
/// As for [`read`], and when it is not UTF-8; the error names the line.
pub(crate) fn read_text(path: &Path, mebibytes_max: u64) -> anyhow::Result<String> {
    String::from_utf8(read(path, mebibytes_max)?).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
        anyhow::anyhow!("{}: line {line}: found bytes that are not UTF-8", path.display())
    })
}

/// Whether a file can be written at `path`; makes one if there is none.
///
/// # Errors
/// When it cannot; the error names it.
pub(crate) fn check_writable(path: &Path) -> anyhow::Result<()> {
    let file = File::options().append(true).create(true).open(path);
    file.map(drop).with_context(|| path.display().to_string())
}
