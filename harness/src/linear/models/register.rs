//! A register, with compare-and-set.

use std::fmt::Debug;
use std::hash::Hash;

use crate::linear::Model;

/// One register that holds a value or nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Register<V> {
    /// What it holds at first.
    pub init: Option<V>,
}

impl<V> Default for Register<V> {
    /// It holds nothing at first.
    fn default() -> Self {
        Self { init: None }
    }
}

/// What was done to a register, and seen.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RegisterOp<V> {
    /// A read that saw this.
    Read(Option<V>),
    /// A write of this.
    Write(V),
    /// If the register holds `from`, let it hold `to`.
    Cas {
        /// What it must hold.
        from: Option<V>,
        /// What it holds after that.
        to: V,
        /// Whether it held `from`. One that was never answered is recorded with true: had it
        /// failed, it would be as if it had never taken effect.
        done: bool,
    },
}

impl<V: Clone + Eq + Hash + Debug> Model for Register<V> {
    type State = Option<V>;
    type Op = RegisterOp<V>;
    type Key = ();

    fn key(&self, _: &Self::Op) {}

    fn init(&self) -> Option<V> {
        self.init.clone()
    }

    fn step(&self, state: &Option<V>, op: &RegisterOp<V>) -> Option<Option<V>> {
        match op {
            RegisterOp::Read(seen) => (seen == state).then(|| state.clone()),
            RegisterOp::Write(value) => Some(Some(value.clone())),
            RegisterOp::Cas { from, to, done: true } => (from == state).then(|| Some(to.clone())),
            RegisterOp::Cas { from, to: _, done: false } => (from != state).then(|| state.clone()),
        }
    }

    fn observes(&self, op: &RegisterOp<V>) -> bool {
        match op {
            RegisterOp::Read(_) | RegisterOp::Cas { done: false, .. } => true,
            RegisterOp::Cas { from, to, done: true } => from.as_ref() == Some(to),
            RegisterOp::Write(_) => false,
        }
    }

    fn describe(&self, op: &RegisterOp<V>) -> String {
        match op {
            RegisterOp::Read(seen) => format!("read → {}", show(seen)),
            RegisterOp::Write(value) => format!("write {value:?}"),
            RegisterOp::Cas { from, to, done } => {
                let outcome = if *done { "" } else { " refused" };
                format!("cas {} to {to:?}{outcome}", show(from))
            }
        }
    }

    fn describe_state(&self, state: &Option<V>) -> String {
        show(state)
    }
}

fn show<V: Debug>(value: &Option<V>) -> String {
    value.as_ref().map_or_else(|| "nil".to_owned(), |value| format!("{value:?}"))
}
