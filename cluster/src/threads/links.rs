//! Faults of the links between threads.

use std::cmp;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use crate::fault::Cuts;
use crate::{Fault, LinkFault, Node, NodeId, Rng};

/// What all senders look at before they send. Costs one load while nothing is wrong.
pub(super) struct Links {
    /// Whether to look at `faults` at all.
    faulty: AtomicBool,
    faults: RwLock<Faults>,
}

struct Faults {
    cuts: Cuts,
    links: LinkFault,
}

/// What becomes of one message: for each copy that arrives, how long it is held back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    Lost,
    Once(Duration),
    Twice(Duration, Duration),
}

impl Links {
    pub(super) fn new(nodes: usize) -> Self {
        let faults = Faults { cuts: Cuts::none(nodes), links: LinkFault::default() };
        Self { faulty: AtomicBool::new(false), faults: RwLock::new(faults) }
    }

    pub(super) fn apply(&self, fault: &Fault, index_of: impl Fn(NodeId) -> Option<usize>) {
        let mut faults = self.faults.write().unwrap_or_else(PoisonError::into_inner);
        if let Fault::Links(links) = fault {
            faults.links = *links;
        }
        faults.cuts.apply(fault, index_of);
        let faulty = faults.links != LinkFault::default() || faults.cuts.any();
        self.faulty.store(faulty, Ordering::Release);
    }

    pub(super) fn fate(&self, from: usize, to: usize, rng: &mut Rng) -> Fate {
        if from == to || !self.faulty.load(Ordering::Acquire) {
            return Fate::Once(Duration::ZERO);
        }
        let faults = self.faults.read().unwrap_or_else(PoisonError::into_inner);
        let links = &faults.links;
        if faults.cuts.is_cut(from, to) || rng.chance(links.loss_ppm) {
            return Fate::Lost;
        }
        let mut delay = Duration::ZERO;
        if rng.chance(links.delay_ppm) {
            delay = rng.span(Duration::ZERO..=links.delay_max);
        }
        if rng.chance(links.duplicate_ppm) {
            let again = delay + rng.span(Duration::ZERO..=links.delay_max);
            return Fate::Twice(delay, again);
        }
        Fate::Once(delay)
    }
}

/// A message that a link fault holds back. Ordered so that the soonest is the greatest.
pub(super) struct Delayed<N: Node> {
    pub(super) due: Instant,
    /// How many were held back before it.
    pub(super) count: u64,
    pub(super) from: NodeId,
    pub(super) body: N::Message,
}

impl<N: Node> Ord for Delayed<N> {
    fn cmp(&self, other: &Self) -> cmp::Ordering {
        (other.due, other.count).cmp(&(self.due, self.count))
    }
}

impl<N: Node> PartialOrd for Delayed<N> {
    fn partial_cmp(&self, other: &Self) -> Option<cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<N: Node> PartialEq for Delayed<N> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == cmp::Ordering::Equal
    }
}

impl<N: Node> Eq for Delayed<N> {}
