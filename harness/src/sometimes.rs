//! Rare states that a full run must have been in: a judge that never saw a deposed leader says
//! nothing about one.
//!
//! Each pattern has a catalogue. While the simulated world steps, an onlooker compares each node with
//! what it was a moment ago, and ticks off what it sees. A state that no run of a full suite reaches
//! fails it: the scenarios have lost their teeth, or the catalogue names what cannot be.

pub(crate) mod bully;
pub(crate) mod dlock;
pub(crate) mod quorum;
pub(crate) mod raft;

use cluster::NodeId;
use serde::Serialize;

/// Which states of a catalogue were reached, by their places in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Marks(u64);

impl Marks {
    /// State number `place` was reached.
    pub fn set(&mut self, place: usize) {
        self.0 |= 1 << place;
    }

    /// State number `place` was reached, if `reached`.
    pub fn set_if(&mut self, place: usize, reached: bool) {
        self.0 |= u64::from(reached) << place;
    }

    /// What was reached by either.
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether state number `place` was reached.
    pub fn has(self, place: usize) -> bool {
        self.0 >> place & 1 == 1
    }
}

/// In how many runs each state of a pattern's catalogue was reached.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Coverage {
    /// The catalogue's name for each state, and the number of runs.
    pub states: Vec<(&'static str, u64)>,
}

impl Coverage {
    /// Adds a run of something that has this catalogue.
    pub fn add(&mut self, catalogue: &[&'static str], marks: Marks) {
        if self.states.is_empty() {
            self.states = catalogue.iter().map(|&state| (state, 0)).collect();
        }
        for (place, (_, runs)) in self.states.iter_mut().enumerate() {
            *runs += u64::from(marks.has(place));
        }
    }

    /// Adds the runs of another cell of the same pattern.
    pub fn merge(&mut self, other: &Self) {
        if self.states.is_empty() {
            self.states.clone_from(&other.states);
            return;
        }
        for ((_, runs), (_, more)) in self.states.iter_mut().zip(&other.states) {
            *runs += more;
        }
    }

    /// The states that no run reached.
    pub fn missing(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.states.iter().filter(|(_, runs)| *runs == 0).map(|(state, _)| *state)
    }
}

/// The states of its pattern's catalogue that an implementation cannot be in, and need not reach.
pub fn impossible(implementation: &str) -> &'static [&'static str] {
    match implementation {
        // That is what the majority and the lease are for.
        "bully" => &["two nodes act as leader at once"],
        // A textbook node that hears a lower leader bullies it, promises nothing, hands nothing over.
        "bully-textbook" => &[
            "a node follows a lower one",
            "a node takes the lead back from a lower one",
            "a leader stops leading, and knows of no other",
            "a candidate goes on into a later epoch",
            "a node refuses a vote",
            "a leader hands over",
        ],
        // Reads are answered with what was found: nothing is written back.
        "quorum-regular" | "quorum-clock" | "quorum-partial" => &["a reader writes back"],
        _ => &[],
    }
}

/// A pattern's monitor, what its nodes were a moment ago, and what was ticked off.
#[derive(Debug, Default)]
pub(crate) struct Onlooker<M, L> {
    /// Checks invariants.
    pub(crate) monitor: M,
    last: Vec<(NodeId, L)>,
    /// What was seen so far.
    pub(crate) marks: Marks,
}

impl<M, L: Default> Onlooker<M, L> {
    /// What `node` was a moment ago, to be brought up to date, and the marks.
    pub(crate) fn of(&mut self, node: NodeId) -> (&mut L, &mut Marks) {
        let place = self.last.iter().position(|(known, _)| *known == node).unwrap_or_else(|| {
            self.last.push((node, L::default()));
            self.last.len() - 1
        });
        (&mut self.last[place].1, &mut self.marks)
    }
}

/// The value of a gauge.
fn gauge(gauges: &[(&'static str, u64)], name: &str) -> u64 {
    gauges.iter().find(|(known, _)| *known == name).map_or(0, |(_, value)| *value)
}
