//! The binary `raft`, as its users meet it: real processes, a real terminal's signals, real Redis clients.
//!
//! A test that needs a program which is not there says so and passes, unless `CI_REQUIRE_ENGINES` is set.

mod clients;
mod dev;
mod kills;
mod nodes;
mod processes;
#[path = "../../../cluster/tests/support/wait.rs"]
mod wait;
mod words;
