//! How much may wait in buffers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A number of bytes that all connections of one server, or of one client, share.
#[derive(Debug)]
pub(super) struct Budget {
    taken: AtomicUsize,
    max: usize,
}

impl Budget {
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { taken: AtomicUsize::new(0), max })
    }

    /// How much is taken, in bytes.
    pub(super) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// A share of nothing.
    pub(super) fn share(self: &Arc<Self>) -> Share {
        Share { budget: Arc::clone(self), bytes: 0 }
    }

    /// A share of so much, if it is there.
    pub(super) fn take(self: &Arc<Self>, bytes: usize) -> Option<Share> {
        let mut share = self.share();
        share.resize(bytes).then_some(share)
    }
}

/// A part of a budget, which is given back when this is dropped.
#[derive(Debug)]
pub(super) struct Share {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Share {
    /// Makes it so large, unless the budget has not that much. It has for whoever wants less.
    pub(super) fn resize(&mut self, bytes: usize) -> bool {
        let Budget { taken, max } = &*self.budget;
        if bytes <= self.bytes {
            taken.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
        } else {
            let more = bytes - self.bytes;
            let fits = |taken: usize| taken.checked_add(more).filter(|sum| sum <= max);
            if taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_err() {
                return false;
            }
        }
        self.bytes = bytes;
        true
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.resize(0);
    }
}

#[cfg(test)]
mod tests {
    use super::Budget;

    #[test]
    fn what_is_dropped_is_given_back_and_no_more_is_given_than_there_is() {
        let budget = Budget::new(10);
        let mut first = budget.take(6).expect("there is enough");
        assert!(budget.take(5).is_none());
        assert_eq!(budget.taken(), 6, "a refusal takes nothing");
        assert!(first.resize(10) && !first.resize(11));
        assert!(first.resize(3));
        let second = budget.take(7).expect("there is enough again");
        drop((first, second));
        assert_eq!(budget.taken(), 0);
    }
}
