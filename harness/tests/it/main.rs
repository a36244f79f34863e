//! Tests of the judge: that it sees what is broken, and only that.

mod cases;
mod claims;
mod judges;
#[cfg(feature = "mutants")]
mod mutants;
mod replay;
mod scenarios;
