//! The links between nodes.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::fault::Cuts;
use crate::{LinkFault, Rng, Timestamp};

/// Decides what becomes of each message.
pub(super) struct Network {
    nodes: usize,
    rng: Rng,
    /// In nanoseconds: this is drawn for every message.
    latency: RangeInclusive<u64>,
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
            latency: nanos(*latency.start())..=nanos(*latency.end()),
            last_arrival: vec![Timestamp::ZERO; nodes * nodes],
            cuts: Cuts::none(nodes),
            fault: LinkFault::default(),
            sent: 0,
            lost: 0,
        }
    }

    /// What becomes of a message that host number `from` sends to host number `to` at `now`.
    #[inline]
    pub(super) fn route(&mut self, now: Timestamp, from: usize, to: usize) -> Deliveries {
        self.sent += 1;
        if from == to {
            return Deliveries { first: Some(self.in_order(now, from, to)), duplicate: None };
        }
        let Some(first) = self.carry(now, from, to) else {
            self.lost += 1;
            return Deliveries::default();
        };
        let duplicate = self
            .rng
            .chance(self.fault.duplicate_ppm)
            .then(|| self.arrival(first) + self.rng.span(Duration::ZERO..=self.fault.delay_max));
        Deliveries { first: Some(first), duplicate }
    }

    /// When that arrives which leaves host number `from` for host number `to` at `now`, if it does.
    #[inline]
    pub(super) fn carry(&mut self, now: Timestamp, from: usize, to: usize) -> Option<Timestamp> {
        if self.cuts.is_cut(from, to) || self.rng.chance(self.fault.loss_ppm) {
            return None;
        }
        Some(if self.rng.chance(self.fault.delay_ppm) {
            self.arrival(now) + self.rng.span(Duration::ZERO..=self.fault.delay_max)
        } else {
            self.in_order(now, from, to)
        })
    }

    /// When a message arrives that overtakes none that kept its place.
    fn in_order(&mut self, now: Timestamp, from: usize, to: usize) -> Timestamp {
        let arrival = self.arrival(now);
        let last = &mut self.last_arrival[from * self.nodes + to];
        *last = (*last).max(arrival);
        *last
    }

    /// When a message sent at `now` arrives if nothing holds it back.
    fn arrival(&mut self, now: Timestamp) -> Timestamp {
        let latency = self.rng.within(self.latency.clone());
        Timestamp::from_nanos(now.as_nanos().saturating_add(latency))
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
