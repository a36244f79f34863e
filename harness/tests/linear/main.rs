//! Tests of the linearizability checker, and of the readers of recorded histories.

mod brute;
mod handmade;
mod large;
mod manifest;
mod readers;
mod support;
