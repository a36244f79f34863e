//! `cargo xtask demos`: each pattern's demonstration.

use std::process::ExitCode;

use crate::shell::{cargo, step};

pub(crate) fn run() -> anyhow::Result<ExitCode> {
    for package in ["bully", "raft", "dlock", "quorum"] {
        let what = format!("demo of {package}");
        step(&what, &mut cargo(&["run", "--quiet", "-p", package, "--example", "demo"]))?;
    }
    Ok(ExitCode::SUCCESS)
}
