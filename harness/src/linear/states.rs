//! States as small numbers, and what operations do to them, worked out once.

use std::collections::HashMap;

use rustc_hash::FxHashMap;

use super::part::Part;
use super::{Model, Operation, Outlook};

/// The states of one key's object that were met so far.
pub(super) struct States<'a, M: Model> {
    model: &'a M,
    operations: &'a [Operation<M::Op>],
    met: Vec<M::State>,
    number_of: HashMap<M::State, u32>,
    /// From a state and a kind of operation to the state after it.
    after: FxHashMap<u64, Option<u32>>,
    /// From a state and a kind of operation to whether the state rules it out for good.
    ruled_out: FxHashMap<u64, bool>,
}

impl<'a, M: Model> States<'a, M> {
    /// The number of the initial state.
    pub(super) const INIT: u32 = 0;

    /// The initial state alone.
    pub(super) fn new(model: &'a M, operations: &'a [Operation<M::Op>]) -> Self {
        let met = vec![model.init()];
        let number_of = HashMap::from([(model.init(), Self::INIT)]);
        let (after, ruled_out) = (FxHashMap::default(), FxHashMap::default());
        Self { model, operations, met, number_of, after, ruled_out }
    }

    /// The state after an operation of `kind` in `state`, if it can have happened there.
    pub(super) fn step(&mut self, part: &Part, state: u32, kind: u32) -> Option<u32> {
        let at = u64::from(state) << 32 | u64::from(kind);
        if let Some(&known) = self.after.get(&at) {
            return known;
        }
        let op = &self.operations[part.example[kind as usize] as usize].op;
        let next = self.model.step(&self.met[state as usize], op).map(|next| self.number(next));
        debug_assert!(!part.observes[kind as usize] || next.is_none_or(|next| next == state));
        self.after.insert(at, next);
        next
    }

    /// Whether `state` rules out the operation of that number for good.
    pub(super) fn rules_out(
        &mut self,
        part: &Part,
        state: u32,
        number: u32,
        outlook: &dyn Outlook<M::State, M::Op>,
    ) -> bool {
        let kind = part.kind[number as usize];
        let op = &self.operations[part.example[kind as usize] as usize].op;
        *self
            .ruled_out
            .entry(u64::from(state) << 32 | u64::from(kind))
            .or_insert_with(|| outlook.rules_out(&self.met[state as usize], op))
    }

    fn number(&mut self, state: M::State) -> u32 {
        let met = &mut self.met;
        *self.number_of.entry(state).or_insert_with_key(|state| {
            met.push(state.clone());
            super::part::number(met.len() - 1)
        })
    }

    /// The state of that number.
    pub(super) fn get(&self, state: u32) -> &M::State {
        &self.met[state as usize]
    }
}

/// A hash of `number` and of all that went into `hash` before.
pub(super) fn mix(hash: u64, number: u64) -> u64 {
    let wide = u128::from(hash ^ number ^ 0x9E37_79B9_7F4A_7C15) * 0xD6E8_FEB8_6659_FD93;
    (wide >> 64) as u64 ^ wide as u64
}
