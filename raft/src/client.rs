//! Calls on a replicated machine, from any number of threads, waited for or awaited.
//!
//! ```text
//!  Handle ── write, read ──▶ Errand ── request ──▶ the leader's inbox
//!     ▲                        │ ▲                        │
//!     │                        │ └─── outcome ◀───────────┘ on the node's own thread
//!  Call ◀── wakes whoever waits┘
//!                              └── turned away, silent, out of time: Courier, which sends it on
//! ```
//! A call that goes well touches nothing but the leader: the node's thread stores its outcome and
//! wakes whoever waits. Whatever takes time (a rest before asking again, a node that is silent, a
//! deadline) is an alarm at the *courier*, one thread for all handles of a group. No call needs a
//! runtime, and none can hold another up.
//!
//! All writes of a handle and its clones are made in one replicated session, which the *ledger*
//! keeps: which numbers are given out, and which are answered.

mod call;
mod desk;
mod errand;
mod handle;
mod ledger;
mod task;

pub use call::{Call, CallError};
pub(crate) use desk::Desk;
pub use handle::Handle;
