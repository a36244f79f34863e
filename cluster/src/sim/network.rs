//! The links between nodes.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::fault::Cuts;
use crate::{LinkFault, Rng, Timestamp};

/// Decides what becomes of each message.
pub(super) struct Network {
    nodes: usize,
    rng: Rng,
    latency: RangeInclusive<Duration>,
    /// For each directed link, when the last message that kept its place arrives.
    last_arrival: Vec<Timestamp>,
    pub(super) cuts: Cuts,
    pub(super) fault: LinkFault,
    pub(super) sent: u64,
    pub(super) lost: u64,
}

/// When a message arrives, and when it arrives again.
#[derive(Default)]
pub(super) struct Deliveries {
    pub(super) first: Option<Timestamp>,
    pub(super) duplicate: Option<Timestamp>,
}

impl Network {
    pub(super) fn new(nodes: usize, rng: Rng, latency: RangeInclusive<Duration>) -> Self {
        Self {
            nodes,
            rng,
            latency,
            last_arrival: vec![Timestamp::ZERO; nodes * nodes],
            cuts: Cuts::none(nodes),
            fault: LinkFault::default(),
            sent: 0,
            lost: 0,
        }
    }

    /// What becomes of a message that host number `from` sends to host number `to` at `now`.
    pub(super) fn route(&mut self, now: Timestamp, from: usize, to: usize) -> Deliveries {
        self.sent += 1;
        if self.cuts.is_cut(from, to) || self.rng.chance(self.fault.loss_ppm) {
            self.lost += 1;
            return Deliveries::default();
        }
        let latency = self.rng.span(self.latency.clone());
        let first = if self.rng.chance(self.fault.delay_ppm) {
            now + latency + self.rng.span(Duration::ZERO..=self.fault.delay_max)
        } else {
            let last = &mut self.last_arrival[from * self.nodes + to];
            *last = (*last).max(now + latency);
            *last
        };
        let duplicate = self.rng.chance(self.fault.duplicate_ppm).then(|| {
            let again = self.rng.span(self.latency.clone());
            first + again + self.rng.span(Duration::ZERO..=self.fault.delay_max)
        });
        Deliveries { first: Some(first), duplicate }
    }
}
