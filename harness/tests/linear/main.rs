//! Tests of the linearizability checker, of the checkers of weaker promises, and of the readers of recorded histories.

mod brute;
mod generated;
mod handmade;
mod large;
mod manifest;
mod ordered;
mod readers;
mod support;
