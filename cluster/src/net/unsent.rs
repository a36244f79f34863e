//! Connections on which answers wait.

use std::sync::{Arc, Mutex, PoisonError};

use super::reactor::Caller;
use super::wire::Wire;

/// So many connections a node's own thread writes to: less than it takes to wake another thread for it.
/// To write to many would keep the node from its work.
const FEW: usize = 4;

/// Connections on which something was put that nobody has written yet.
#[derive(Debug)]
pub(super) struct Unsent {
    wires: Mutex<Vec<Arc<Wire>>>,
    /// Of the thread that has time for many.
    caller: Caller,
}

impl Unsent {
    pub(super) fn new(caller: Caller) -> Self {
        Self { wires: Mutex::default(), caller }
    }

    /// Something waits on `wire`, where nothing waited before.
    pub(super) fn add(&self, wire: &Arc<Wire>) {
        self.wires.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(wire));
    }

    /// Writes if it is little; otherwise lets it be written.
    pub(super) fn flush_few(&self) {
        let wires = {
            let mut wires = self.wires.lock().unwrap_or_else(PoisonError::into_inner);
            if wires.len() > FEW {
                drop(wires);
                return self.caller.wake();
            }
            std::mem::take(&mut *wires)
        };
        wires.iter().for_each(|wire| wire.flush());
    }

    /// Writes all.
    pub(super) fn flush(&self) {
        let wires = std::mem::take(&mut *self.wires.lock().unwrap_or_else(PoisonError::into_inner));
        wires.iter().for_each(|wire| wire.flush());
    }
}
