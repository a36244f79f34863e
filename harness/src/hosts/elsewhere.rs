//! What other kernels than Linux cannot do.

use std::fs::File;
use std::io;
use std::path::Path;

const NOT_HERE: io::ErrorKind = io::ErrorKind::Unsupported;

pub(super) fn is_root() -> bool {
    false
}

pub(super) fn new_network() -> io::Result<File> {
    Err(NOT_HERE.into())
}

pub(super) fn new_network_and_mounts(_dir: &Path, _bytes: u64) -> io::Result<(File, File)> {
    Err(NOT_HERE.into())
}

pub(super) fn enter_network(_network: &File) -> io::Result<()> {
    Err(NOT_HERE.into())
}

pub(super) fn enter_mounts(_mounts: &File) -> io::Result<()> {
    Err(NOT_HERE.into())
}

pub(super) fn used(_dir: &Path) -> io::Result<u64> {
    Err(NOT_HERE.into())
}

pub(super) fn resize(_dir: &Path, _bytes: u64) -> io::Result<()> {
    Err(NOT_HERE.into())
}
