//! Every schedule of small clusters of all patterns: what must hold holds in all of them, what must
//! break breaks in the shortest way, and what is planted is found.

mod audit;
#[cfg(feature = "mutants")]
mod planted;
mod runs;
