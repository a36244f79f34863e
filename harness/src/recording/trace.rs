//! From a trace to node lanes, messages and events.

use std::collections::BTreeMap;

use cluster::sim::{Handled, MessageNumber, TraceEvent, Traced};
use cluster::{NodeId, NodeState, Standing, Timestamp};

use super::{Condition, Event, EventKind, Message, StateChange};

/// What a trace says of nodes and what they sent each other.
#[derive(Default)]
pub(super) struct Lanes {
    pub(super) states: Vec<StateChange>,
    pub(super) gauges: Vec<&'static str>,
    pub(super) messages: Vec<Message>,
    pub(super) events: Vec<Event>,
}

impl Lanes {
    fn change(
        &mut self,
        at: Timestamp,
        node: NodeId,
        state: NodeState,
        gauges: &[(&'static str, u64)],
    ) {
        let gauges =
            gauges.iter().map(|&(name, value)| (place_of(&mut self.gauges, name), value)).collect();
        let (condition, standing) = match state {
            NodeState::Up(standing) => (Condition::Up, Some(standing)),
            NodeState::Paused => (Condition::Paused, None),
            NodeState::Down => (Condition::Down, None),
        };
        self.states.push(StateChange {
            at,
            node,
            condition,
            role: standing.map(|Standing { role, .. }| role),
            epoch: standing.map_or(0, |standing| standing.epoch.get()),
            leader: standing.and_then(|standing| standing.leader),
            gauges,
        });
    }
}

pub(super) fn lanes(trace: &[TraceEvent]) -> Lanes {
    let mut lanes = Lanes::default();
    let mut numbers: BTreeMap<MessageNumber, usize> = BTreeMap::new();
    for TraceEvent { at, what } in trace {
        let at = *at;
        let mut event = |node, kind, text: String| {
            lanes.events.push(Event { at, node, kind, text });
        };
        match what {
            Traced::Booted { node } => event(Some(*node), EventKind::Boot, "boots".to_owned()),
            Traced::Refused { node, why } => {
                event(Some(*node), EventKind::Boot, format!("refuses to boot: {why}"));
            }
            Traced::Died { node } => event(Some(*node), EventKind::Death, "dies".to_owned()),
            Traced::Fault { fault } => event(None, EventKind::Fault, super::faults::words(fault)),
            Traced::Persisted { node, records } => {
                event(Some(*node), EventKind::Disk, format!("wrote up to record {records}"));
            }
            Traced::Synced { node, records } => {
                event(Some(*node), EventKind::Disk, format!("synced up to record {records}"));
            }
            Traced::Handled { node, input, text } => match input {
                Handled::Request(request) => {
                    event(Some(*node), EventKind::Request, format!("{request:?} {text}"));
                }
                Handled::Message { message, from: _ } => {
                    // Sent before the trace began, if it is not known.
                    if let Some(&index) = numbers.get(message) {
                        lanes.messages[index].heard = true;
                    }
                }
                // What comes of them shows in the node's state.
                Handled::Ended(_) | Handled::Timer | Handled::Durable(_) => {}
            },
            Traced::Sent { message, from, to, text, arrivals } => {
                numbers.insert(*message, lanes.messages.len());
                lanes.messages.push(Message {
                    from: *from,
                    to: *to,
                    sent: at,
                    arrivals: arrivals.clone(),
                    heard: false,
                    text: text.clone(),
                });
            }
            Traced::State { node, state, gauges } => lanes.change(at, *node, *state, gauges),
            // The client's side of it is in the history.
            Traced::Answered { .. } => {}
        }
    }
    lanes
}

/// The place of `name` among `names`, at the end if it is new.
fn place_of(names: &mut Vec<&'static str>, name: &'static str) -> usize {
    names.iter().position(|known| *known == name).unwrap_or_else(|| {
        names.push(name);
        names.len() - 1
    })
}
