//! A node of any implementation of ours, as the tests of this crate start it: see
//! [`become_node`](harness::hosts::become_node).

use std::process::ExitCode;

fn main() -> ExitCode {
    harness::hosts::become_node();
    eprintln!("this is started by tests, and told by its environment which node to be");
    ExitCode::from(2)
}
