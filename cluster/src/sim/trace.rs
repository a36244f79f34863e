//! What happened, step by step, for people and for drawings.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::network::Deliveries;
use super::queue::{Event, Queue};
use crate::{
    CorruptRecords, Fault, Input, InputOf, Members, NoAnswer, Node, NodeId, NodeState,
    PersistCount, RequestId, Standing, Timestamp,
};

/// The name of a message, unique in one run: its place among all that were sent. A message that is
/// delivered twice has one name.
///
/// Prints as `m17`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct MessageNumber(pub u64);

impl MessageNumber {
    /// Of what is no message.
    pub(super) const NONE: Self = Self(0);
}

impl fmt::Debug for MessageNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m{}", self.0)
    }
}

/// Something that happened in a simulation. Its `Display` is one line.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TraceEvent {
    /// When, in true time.
    pub at: Timestamp,
    /// What.
    pub what: Traced,
}

/// What a trace tells of.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Traced {
    /// A process started from its disk.
    Booted {
        /// Whose.
        node: NodeId,
    },
    /// A process was started, and refused what is on its disk.
    Refused {
        /// Whose.
        node: NodeId,
        /// Why.
        why: String,
    },
    /// A node was handed an input.
    Handled {
        /// Which node.
        node: NodeId,
        /// What kind of input, and whence.
        input: Handled,
        /// What it said, as its `Debug` prints it; empty for a timer and a sync.
        text: String,
    },
    /// A message left a node.
    Sent {
        /// Its name.
        message: MessageNumber,
        /// Who sent it.
        from: NodeId,
        /// To whom.
        to: NodeId,
        /// What it says, as its `Debug` prints it.
        text: String,
        /// When it will reach the receiver's host: not at all if it was lost or cut, twice if it was
        /// doubled. A host that is down by then drops it.
        arrivals: Vec<Timestamp>,
    },
    /// How a node is from now on. Told when it differs from what was told last.
    State {
        /// Which node.
        node: NodeId,
        /// How it is.
        state: NodeState,
        /// Its [`gauges`](Node::gauges), while it runs; none otherwise.
        gauges: Vec<(&'static str, u64)>,
    },
    /// A node wrote to its disk.
    Persisted {
        /// Which node.
        node: NodeId,
        /// How many records are there by now, durable or not.
        records: usize,
    },
    /// A disk ended a sync. If its process runs, it is told of it next.
    Synced {
        /// Whose disk.
        node: NodeId,
        /// How many records are durable by now.
        records: usize,
    },
    /// Something was made to go wrong, or right again.
    Fault {
        /// What.
        fault: Fault,
    },
    /// A process died: by a fault, of a crash that it was armed with, or because its disk is full.
    Died {
        /// Whose.
        node: NodeId,
    },
    /// A request ended, for its client.
    Answered {
        /// Which request.
        request: RequestId,
        /// What the client was told, as its `Debug` prints it.
        text: String,
    },
}

/// What kind of input a node was handed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Handled {
    /// A client's request.
    Request(RequestId),
    /// Another node's message.
    Message {
        /// Which one.
        message: MessageNumber,
        /// Who sent it.
        from: NodeId,
    },
    /// It was told that the process of this node has ended.
    Ended(NodeId),
    /// Its deadline came.
    Timer,
    /// So many of the records that it wrote since it booted are durable.
    Durable(PersistCount),
}

impl fmt::Display for TraceEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.at, self.what)
    }
}

impl fmt::Display for Traced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Booted { node } => write!(f, "{node} boots"),
            Self::Refused { node, why } => write!(f, "{node} refuses to boot: {why}"),
            Self::Handled { node, input, text } => match input {
                Handled::Request(request) => write!(f, "{node} <- {request:?} {text}"),
                Handled::Message { message, from } => {
                    write!(f, "{node} <- {message:?} from {from} {text}")
                }
                Handled::Ended(other) => write!(f, "{node} <- {other} has ended"),
                Handled::Timer => write!(f, "{node} <- timer"),
                Handled::Durable(count) => write!(f, "{node} <- durable {}", count.0),
            },
            Self::Sent { message, from, to, text, arrivals } => {
                write!(f, "{from} -> {to} {message:?} {text}")?;
                match arrivals.as_slice() {
                    [] => f.write_str(", lost"),
                    [_] => Ok(()),
                    _ => f.write_str(", doubled"),
                }
            }
            Self::State { node, state, gauges } => {
                match state {
                    NodeState::Up(Standing { role, epoch, leader }) => {
                        write!(f, "{node} is {role:?} in {epoch}")?;
                        if let Some(leader) = leader {
                            write!(f, " of {leader}")?;
                        }
                    }
                    NodeState::Paused => write!(f, "{node} is paused")?,
                    NodeState::Down => write!(f, "{node} is down")?,
                }
                gauges.iter().try_for_each(|(name, value)| write!(f, ", {name} {value}"))
            }
            Self::Persisted { node, records } => write!(f, "{node} wrote {records} records so far"),
            Self::Synced { node, records } => write!(f, "{node} has {records} records durable"),
            Self::Fault { fault } => write!(f, "fault {fault:?}"),
            Self::Died { node } => write!(f, "{node} dies"),
            Self::Answered { request, text } => write!(f, "client <- {request:?} {text}"),
        }
    }
}

/// Keeps a trace.
pub(super) struct Recorder {
    events: Vec<TraceEvent>,
    /// What was told last of each host.
    told: Vec<Option<(NodeState, Gauges)>>,
}

type Gauges = Vec<(&'static str, u64)>;

impl Recorder {
    pub(super) fn new(hosts: usize) -> Self {
        Self { events: Vec::new(), told: vec![None; hosts] }
    }

    pub(super) fn take(&mut self) -> Vec<TraceEvent> {
        std::mem::take(&mut self.events)
    }

    pub(super) fn push(&mut self, at: Timestamp, what: Traced) {
        self.events.push(TraceEvent { at, what });
    }

    /// A process was started; `refusal` is why it did not come up, if it did not.
    pub(super) fn booted(&mut self, at: Timestamp, node: NodeId, refusal: Option<&CorruptRecords>) {
        let what = match refusal {
            None => Traced::Booted { node },
            Some(refusal) => Traced::Refused { node, why: refusal.to_string() },
        };
        self.push(at, what);
    }

    pub(super) fn sent(
        &mut self,
        at: Timestamp,
        (message, from, to): (MessageNumber, NodeId, NodeId),
        body: &impl fmt::Debug,
        deliveries: &Deliveries,
    ) {
        let arrivals = deliveries.first.into_iter().chain(deliveries.duplicate).collect();
        self.push(at, Traced::Sent { message, from, to, text: format!("{body:?}"), arrivals });
    }

    /// Tells of the messages in `queue` as if they were sent now.
    pub(super) fn under_way<N: Node>(
        &mut self,
        now: Timestamp,
        queue: &Queue<N>,
        members: &Members,
    ) {
        let mut sent = BTreeMap::new();
        for (at, event) in queue.iter() {
            if let Event::Message { host, number, from, body } = event {
                let to = members.as_slice()[*host];
                sent.entry(*number).or_insert((*from, to, body, Vec::new())).3.push(at);
            }
        }
        for (message, (from, to, body, mut arrivals)) in sent {
            arrivals.sort_unstable();
            self.push(now, Traced::Sent { message, from, to, text: format!("{body:?}"), arrivals });
        }
    }

    pub(super) fn handled<N: Node>(
        &mut self,
        at: Timestamp,
        node: NodeId,
        message: MessageNumber,
        input: &InputOf<N>,
    ) {
        let (input, text) = match input {
            Input::Request { id, body } => (Handled::Request(*id), format!("{body:?}")),
            Input::Message { from, body } => {
                (Handled::Message { message, from: *from }, format!("{body:?}"))
            }
            Input::Ended { node } => (Handled::Ended(*node), String::new()),
            Input::Timer => (Handled::Timer, String::new()),
            Input::Durable(count) => (Handled::Durable(*count), String::new()),
        };
        self.push(at, Traced::Handled { node, input, text });
    }

    /// A record was written; there are `count` by now. Records written one after the other make one
    /// event.
    pub(super) fn persisted(&mut self, now: Timestamp, id: NodeId, count: usize) {
        if let Some(TraceEvent { at, what: Traced::Persisted { node, records } }) =
            self.events.last_mut()
            && (*at, *node) == (now, id)
        {
            *records = count;
            return;
        }
        self.push(now, Traced::Persisted { node: id, records: count });
    }

    pub(super) fn state(
        &mut self,
        at: Timestamp,
        index: usize,
        node: NodeId,
        state: NodeState,
        gauges: Gauges,
    ) {
        let told = &mut self.told[index];
        if told.as_ref().is_none_or(|told| (&told.0, &told.1) != (&state, &gauges)) {
            *told = Some((state, gauges.clone()));
            self.push(at, Traced::State { node, state, gauges });
        }
    }

    pub(super) fn answered<P: fmt::Debug>(
        &mut self,
        at: Timestamp,
        request: RequestId,
        outcome: &Result<P, NoAnswer>,
    ) {
        self.push(at, Traced::Answered { request, text: format!("{outcome:?}") });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_told_when_it_differs_from_what_was_told_last() {
        let mut recorder = Recorder::new(2);
        let (at, node) = (Timestamp::ZERO, NodeId::new(1));
        let told = [
            (0, NodeState::Down, vec![]),
            (0, NodeState::Down, vec![]),
            (1, NodeState::Down, vec![]),
            (0, NodeState::Paused, vec![("keys", 1)]),
            (0, NodeState::Paused, vec![("keys", 1)]),
            (0, NodeState::Paused, vec![("keys", 2)]),
            (0, NodeState::Down, vec![]),
        ];
        let counts = told.map(|(index, state, gauges)| {
            recorder.state(at, index, node, state, gauges);
            recorder.take().len()
        });
        assert_eq!(counts, [1, 0, 1, 1, 0, 1, 1]);
    }
}
