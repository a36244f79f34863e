//! What a user of the library writes.

use std::fmt::Debug;
use std::hash::Hash;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::LogIndex;

/// What the log is replicated for: a machine that goes from state to state by commands alone.
///
/// Every node applies the same commands in the same order to a clone of the same first state, so
/// **[`apply`](StateMachine::apply) must be a function of the state and the command**: no clock, no
/// chance, no iteration order of a `HashMap`. After a restart a node begins again from the first
/// state and applies the log from its start.
pub trait StateMachine: Clone + Send + 'static {
    /// What changes the state. Goes into the log.
    type Command: Clone + Debug + Hash + Eq + Send + Sync + Serialize + DeserializeOwned + 'static;
    /// What a change returns to whoever asked for it.
    type Output: Clone + Debug + Send + 'static;
    /// What asks about the state. Does not go into the log.
    type Query: Clone + Debug + Hash + Send + 'static;
    /// What a query returns.
    type Answer: Clone + Debug + Send + 'static;

    /// Carries out the committed command at `index`. Called once for each in ascending order; the
    /// indexes in between, if any, hold no command.
    fn apply(&mut self, index: LogIndex, command: &Self::Command) -> Self::Output;

    /// Answers `query` from the state as it is.
    fn query(&self, query: &Self::Query) -> Self::Answer;

    /// How large `command` is, in bytes, for the limits of the configuration. It must be a function
    /// of the command alone. By default what it takes without what it points to: a command that owns
    /// memory should count that.
    fn size_of(command: &Self::Command) -> usize {
        size_of_val(command)
    }
}
