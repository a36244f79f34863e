//! What may happen next.

use super::{Choice, Flying, State, World};
use crate::explore::host::Host;
use crate::explore::{Clocks, Explorable, Links, Property};

impl<N: Explorable, P: Property<N>> World<'_, N, P> {
    /// The parcels that may arrive next, equal ones once.
    pub(super) fn arriving(&self, state: &State<N, P>) -> Vec<usize> {
        let flight = &state.flight;
        let is_first = |place: usize| {
            let (parcel, age) = &flight[place];
            let same = |(other, other_age): &Flying<N>| match self.model.bounds.links {
                Links::Unordered => other.prints[0] == parcel.prints[0] && other_age == age,
                Links::Ordered => (other.from, other.to) == (parcel.from, parcel.to),
            };
            !flight[..place].iter().any(same)
        };
        (0..flight.len()).filter(|&place| is_first(place)).collect()
    }

    pub(super) fn may_ask(&self, state: &State<N, P>, request: usize) -> bool {
        let ask = &self.model.script[request];
        state.asked & 1 << request == 0
            && ask.after.is_none_or(|before| state.ended & 1 << before != 0)
            && (!ask.like_last || request == 0 || state.asked & 1 << (request - 1) != 0)
    }

    /// Whether things may still go wrong.
    fn has_faults(&self, state: &State<N, P>) -> bool {
        match self.model.bounds.clocks {
            Clocks::Free { .. } => true,
            Clocks::Alike { faults_before, .. } => state.ticks < faults_before,
        }
    }

    pub(super) fn fire_choices(&self, state: &State<N, P>, into: &mut Vec<Choice>) {
        let hosts = state.hosts.iter().enumerate();
        match self.model.bounds.clocks {
            Clocks::Free { firings_each, .. } => {
                let may = |host: &Host<N>| host.deadline().is_some() && host.fired < firings_each;
                if state.left.firings > 0 {
                    into.extend(
                        hosts.filter(|(_, host)| may(host)).map(|(at, _)| Choice::Fire(at)),
                    );
                }
            }
            Clocks::Alike { ticks, delay_max, .. } => {
                let due = |host: &Host<N>| host.deadline().is_some_and(|at| at <= state.now);
                let before = into.len();
                into.extend(hosts.filter(|(_, host)| due(host)).map(|(at, _)| Choice::Fire(at)));
                let is_overdue = |(parcel, age): &Flying<N>| {
                    *age >= delay_max && state.hosts[parcel.to].node.is_some()
                };
                let is_late = delay_max < u8::MAX && state.flight.iter().any(is_overdue);
                let is_unsynced =
                    delay_max == 0 && state.hosts.iter().any(|host| host.unsynced() > 0);
                let any = state.hosts.iter().any(|host| host.deadline().is_some());
                let waits = into.len() > before || is_late || is_unsynced;
                if state.ticks < ticks && any && !waits {
                    into.push(Choice::Tick);
                }
            }
        }
    }

    pub(super) fn fault_choices(
        &self,
        state: &State<N, P>,
        arriving: &[usize],
        into: &mut Vec<Choice>,
    ) {
        if !self.has_faults(state) {
            return;
        }
        for (place, host) in state.hosts.iter().enumerate() {
            if host.node.is_none() {
                into.push(Choice::Restart(place));
                continue;
            }
            if state.left.crashes > 0 {
                into.extend(
                    (0..=host.unsynced()).map(|lucky| Choice::Crash { host: place, lucky }),
                );
            }
            if state.left.wipes > 0 {
                into.push(Choice::Wipe(place));
            }
        }
        if state.left.duplicates > 0 {
            let is_up = |&place: &usize| state.hosts[state.flight[place].0.to].node.is_some();
            into.extend(arriving.iter().copied().filter(is_up).map(Choice::Duplicate));
        }
        if state.left.losses > 0 {
            let crosses = |&place: &usize| {
                let (parcel, _) = &state.flight[place];
                parcel.from != parcel.to
            };
            into.extend(arriving.iter().copied().filter(crosses).map(Choice::Lose));
        }
    }
}
