//! The objects whose histories are judged.

mod fenced;
mod keyed;
mod kv;
mod lock;
mod log;
mod register;

pub use fenced::{Fence, FencedLock, FencedOp};
pub use keyed::{At, PerKey};
pub use kv::{Kv, KvAction, KvOp};
pub use lock::{Lock, LockOp};
pub use log::{Log, LogOp, Prefix};
pub use register::{Register, RegisterOp};
