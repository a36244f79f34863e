//! The objects whose histories are judged.

mod keyed;
mod kv;
mod lock;
mod register;

pub use keyed::{At, PerKey};
pub use kv::{Kv, KvAction, KvOp};
pub use lock::{Lock, LockOp};
pub use register::{Register, RegisterOp};
