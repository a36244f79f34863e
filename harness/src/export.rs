//! Histories and traces in the words of other tools, so that outsiders can judge ours.

mod edn;
mod shiviz;

pub use edn::{edn, edn_register};
pub use shiviz::{SHIVIZ_PARSER, shiviz};
