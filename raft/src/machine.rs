//! What a user of the library writes.

use std::fmt::Debug;
use std::hash::Hash;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{LogIndex, Snapshot};

/// What the log is replicated for: a machine that goes from state to state by commands alone.
///
/// Every node applies the same commands in the same order to a clone of the same first state, so
/// **[`apply`](StateMachine::apply) must be a function of the state and the command**: no clock, no
/// chance, no iteration order of a `HashMap`. After a restart a node begins again from its last
/// snapshot, or the first state, and applies the log from there.
pub trait StateMachine: Clone + Send + 'static {
    /// What changes the state. Goes into the log.
    type Command: Clone + Debug + Hash + Eq + Send + Sync + Serialize + DeserializeOwned + 'static;
    /// What a change returns to whoever asked for it. In a snapshot if it was asked in a session.
    type Output: Clone + Debug + Send + Serialize + DeserializeOwned + 'static;
    /// What asks about the state. Does not go into the log.
    type Query: Clone + Debug + Hash + Send + 'static;
    /// What a query returns.
    type Answer: Clone + Debug + Send + 'static;
    /// How its state is written down and read back: [`Image<Self>`](crate::Image) for a machine that
    /// is serializable and not too large to be cloned.
    type Snapshot: Snapshot<Self>;

    /// Carries out the committed command at `index`. Called once for each in ascending order; the
    /// indexes in between, if any, hold no command.
    fn apply(&mut self, index: LogIndex, command: &Self::Command) -> Self::Output;

    /// Answers `query` from the state as it is.
    fn query(&self, query: &Self::Query) -> Self::Answer;

    /// About how many bytes `command` takes, for the limits of the configuration, and for the log to
    /// know when it has grown enough for a snapshot. It must be a function of the command alone. By
    /// default what it takes without what it points to: a command that owns memory should count that.
    fn size_of(command: &Self::Command) -> usize {
        size_of_val(command)
    }
}
