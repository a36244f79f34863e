//! `cargo xtask ci`: what a change must pass, in the order in which it is quickest to fail.

use std::process::ExitCode;

use crate::demos;
use crate::shell::{cargo, step};

pub(crate) fn run() -> anyhow::Result<ExitCode> {
    step("formatting", &mut cargo(&["fmt", "--all", "--check"]))?;
    let lints = ["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"];
    step("lints", &mut cargo(&lints))?;
    let planted = "harness/mutants";
    let lints =
        ["clippy", "--workspace", "--all-targets", "--features", planted, "--", "-Dwarnings"];
    step("lints with planted bugs", &mut cargo(&lints))?;
    let mut docs = cargo(&["doc", "--workspace", "--no-deps"]);
    step("docs", docs.env("RUSTDOCFLAGS", "--deny warnings"))?;
    step("tests", &mut cargo(&["xtask", "test"]))?;
    demos::run()?;
    step("conformance", &mut cargo(&["xtask", "conformance"]))?;
    let quick = ["bench", "--workspace", "--benches", "--", "--test"];
    step("benches run", &mut cargo(&quick))?;
    Ok(ExitCode::SUCCESS)
}
