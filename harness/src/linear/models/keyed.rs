//! Many objects of one sort.

use std::fmt::Debug;
use std::hash::Hash;
use std::marker::PhantomData;

use crate::linear::Model;

/// An object like `M` for each key of type `K`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PerKey<K, M> {
    each: M,
    keys: PhantomData<K>,
}

impl<K, M> PerKey<K, M> {
    /// Each key has an object like `each`.
    pub const fn new(each: M) -> Self {
        Self { each, keys: PhantomData }
    }
}

/// What was done to the object of `key`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct At<K, Op> {
    /// Which object.
    pub key: K,
    /// What was done to it.
    pub op: Op,
}

impl<K: Clone + Ord + Hash + Debug, M: Model<Key = ()>> Model for PerKey<K, M> {
    type State = M::State;
    type Op = At<K, M::Op>;
    type Key = K;

    fn key(&self, op: &Self::Op) -> K {
        op.key.clone()
    }

    fn init(&self) -> M::State {
        self.each.init()
    }

    fn step(&self, state: &M::State, op: &Self::Op) -> Option<M::State> {
        self.each.step(state, &op.op)
    }

    fn observes(&self, op: &Self::Op) -> bool {
        self.each.observes(&op.op)
    }

    fn describe(&self, op: &Self::Op) -> String {
        self.each.describe(&op.op)
    }

    fn describe_state(&self, state: &M::State) -> String {
        self.each.describe_state(state)
    }
}
