//! What happens before the search begins.

use std::sync::Arc;

use super::{Choice, Flying, State, World};
use crate::NodeId;
use crate::explore::host::Host;
use crate::explore::{Broken, Explorable, Play, Property};

impl<N: Explorable, P: Property<N>> World<'_, N, P> {
    fn perform(&self, state: &mut State<N, P>, choice: Choice) -> Result<(), Broken> {
        let (next, outcome) = self.play(state, choice)?;
        *state = next;
        self.judge(state, &outcome)
    }

    /// Does what an opening asks for. What is not possible at that point is passed over.
    pub(super) fn perform_play(&self, state: &mut State<N, P>, play: Play) -> Result<(), Broken> {
        let place = |node: NodeId| self.model.members.index_of(node).expect("checked by explore");
        match play {
            Play::Ask(request, node) => {
                self.perform(state, Choice::Ask { request, host: place(node) })
            }
            Play::Fire(node) => {
                if let (true, Some(due)) = (self.is_timed(), state.hosts[place(node)].deadline()) {
                    self.advance(state, due);
                }
                self.perform(state, Choice::Fire(place(node)))
            }
            Play::Sync(node) if state.hosts[place(node)].unsynced() == 0 => Ok(()),
            Play::Sync(node) => self.perform(state, Choice::Sync(place(node))),
            Play::Deliver { from, to } => {
                let link = (place(from), place(to));
                let count = state.flight.len();
                for _ in 0..count {
                    let on_link = |(parcel, _): &Flying<N>| (parcel.from, parcel.to) == link;
                    let Some(at) = state.flight.iter().position(on_link) else { break };
                    self.perform(state, Choice::Deliver(at))?;
                }
                Ok(())
            }
            Play::Lose { from, to } => {
                let link = (place(from), place(to));
                state.flight.retain(|(parcel, _)| (parcel.from, parcel.to) != link);
                Ok(())
            }
            Play::Crash(node) => self.perform(state, Choice::Crash { host: place(node), lucky: 0 }),
            Play::Restart(node) => self.perform(state, Choice::Restart(place(node))),
            Play::Settle => self.settle(state),
        }
    }

    /// Syncs every disk and delivers every message, until there is nothing left to do.
    fn settle(&self, state: &mut State<N, P>) -> Result<(), Broken> {
        const PATIENCE: usize = 10_000;
        for _ in 0..PATIENCE {
            let unsynced = |host: &Arc<Host<N>>| host.node.is_some() && host.unsynced() > 0;
            let arrives = |(parcel, _): &Flying<N>| state.hosts[parcel.to].node.is_some();
            let choice = if let Some(place) = state.hosts.iter().position(unsynced) {
                Choice::Sync(place)
            } else if let Some(place) = state.flight.iter().position(arrives) {
                Choice::Deliver(place)
            } else {
                return Ok(());
            };
            self.perform(state, choice)?;
        }
        panic!("an opening that settles: the nodes go on without end");
    }
}
