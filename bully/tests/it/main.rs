//! Tests of the whole crate from outside: in virtual time, over many seeds.

mod chaos;
mod config;
mod guarded;
#[cfg(feature = "mutants")]
mod mutants;
mod orders;
mod support;
mod textbook;
mod threads;
mod words;
