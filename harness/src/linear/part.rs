//! One key's part of a history, made ready for searching.

use std::collections::HashMap;

use super::{Model, Operation};

/// One key's operations, as small numbers.
///
/// Answered operations are numbered by their *rank*, the order in which their answers came;
/// unanswered ones follow, in the order of their calls. Unanswered operations that change nothing
/// are left out: they explain nothing and ask for no explanation.
pub(super) struct Part {
    /// How many operations were answered.
    pub(super) answered: usize,
    /// How many were not, of those kept.
    pub(super) unanswered: usize,
    /// The index of each operation in the history.
    pub(super) source: Vec<u32>,
    /// Equal operations have equal kinds, counted from zero.
    pub(super) kind: Vec<u32>,
    /// For each kind, an operation of it, as an index in the history.
    pub(super) example: Vec<u32>,
    /// For each kind, whether it changes no state.
    pub(super) observes: Vec<bool>,
    /// For each answered operation, a bit that no other one has that is open at the same time.
    pub(super) slot: Vec<u32>,
    /// How many slots there are.
    pub(super) slots: usize,
    /// For each rank, the answered operations that are open when that answer comes, its own first,
    /// then by rank.
    open: Vec<u32>,
    open_from: Vec<usize>,
    /// For each rank, how many unanswered operations were called before that answer came.
    pub(super) called: Vec<u32>,
}

impl Part {
    /// The operations at `indexes`, up to the answer of the operation at `last` if there is one: as if
    /// later answers had not come and later calls had not been made. None if more than `most` numbers
    /// would have to be kept to say which operations are open when.
    pub(super) fn new<M: Model>(
        model: &M,
        operations: &[Operation<M::Op>],
        indexes: &[usize],
        last: Option<usize>,
        most: usize,
    ) -> Option<Self> {
        let answer_of = |index: usize| {
            let operation = &operations[index];
            operation.ret.map(|ret| (ret, operation.call, index))
        };
        let last = last.and_then(answer_of).unwrap_or((u64::MAX, u64::MAX, usize::MAX));
        let (mut answered, mut unanswered) = (Vec::new(), Vec::new());
        for &index in indexes {
            let operation = &operations[index];
            match answer_of(index).filter(|answer| *answer <= last) {
                Some(answer) => answered.push(answer),
                None if model.observes(&operation.op) || operation.call > last.0 => {}
                None => unanswered.push((operation.call, index)),
            }
        }
        answered.sort_unstable();
        unanswered.sort_unstable();
        let source = || answered.iter().map(|it| it.2).chain(unanswered.iter().map(|it| it.1));
        let mut part = Self {
            answered: answered.len(),
            unanswered: unanswered.len(),
            source: source().map(number).collect(),
            kind: Vec::with_capacity(indexes.len()),
            example: Vec::new(),
            observes: Vec::new(),
            slot: vec![0; answered.len()],
            slots: 0,
            open: Vec::new(),
            open_from: vec![0],
            called: Vec::with_capacity(answered.len()),
        };
        part.sort_into_kinds(model, operations);
        for (ret, ..) in &answered {
            let called = unanswered.partition_point(|(call, _)| call <= ret);
            part.called.push(number(called));
        }
        part.find_open(&answered, most)?;
        Some(part)
    }

    fn sort_into_kinds<M: Model>(&mut self, model: &M, operations: &[Operation<M::Op>]) {
        let mut kinds: HashMap<&M::Op, u32> = HashMap::new();
        for &source in &self.source {
            let op = &operations[source as usize].op;
            let kind = *kinds.entry(op).or_insert_with(|| {
                self.example.push(source);
                self.observes.push(model.observes(op));
                number(self.example.len() - 1)
            });
            self.kind.push(kind);
        }
    }

    /// Goes through time once, and notes who is open at each answer.
    fn find_open(&mut self, answered: &[(u64, u64, usize)], most: usize) -> Option<()> {
        let mut by_call: Vec<u32> = (0..number(answered.len())).collect();
        by_call.sort_by_key(|&rank| answered[rank as usize].1);
        let mut calls = by_call.into_iter().peekable();
        let mut free: Vec<u32> = Vec::new();
        let mut open: Vec<u32> = Vec::new();
        for (rank, &(ret, ..)) in answered.iter().enumerate() {
            while let Some(called) = calls.next_if(|&it| answered[it as usize].1 <= ret) {
                let slot = free.pop().unwrap_or_else(|| {
                    self.slots += 1;
                    number(self.slots - 1)
                });
                self.slot[called as usize] = slot;
                open.push(called);
            }
            if self.open.len() + open.len() > most {
                return None;
            }
            open.sort_unstable();
            self.open.extend_from_slice(&open);
            self.open_from.push(self.open.len());
            let first = open.remove(0);
            assert_eq!(first as usize, rank, "the answer that comes next is the least rank open");
            free.push(self.slot[rank]);
        }
        Some(())
    }

    /// The answered operations that are open when the answer of `rank` comes, by rank.
    pub(super) fn open(&self, rank: usize) -> &[u32] {
        &self.open[self.open_from[rank]..self.open_from[rank + 1]]
    }
}

/// A count or index as a small number.
pub(super) fn number(index: usize) -> u32 {
    u32::try_from(index).expect("a history has less than 2^32 operations")
}
