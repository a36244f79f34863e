//! Programs that tests of binaries need beside them.

use std::process::Command;

/// Whether the program is there. A test that needs one which is not says so and passes, unless
/// `CI_REQUIRE_ENGINES` is set.
#[track_caller]
pub(crate) fn has(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok();
    if !there {
        let required = std::env::var_os("CI_REQUIRE_ENGINES").is_some();
        assert!(!required, "{program} not found, and CI_REQUIRE_ENGINES is set");
        println!("skipped: {program} not found");
    }
    there
}
