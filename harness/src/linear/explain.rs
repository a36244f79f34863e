//! Why a history is not linearizable.

use std::fmt;

use super::{Model, Operation};

/// Why a history is not linearizable: how far an order gets, and what cannot come next.
///
/// All that was answered before the answer of [`stuck`](Explanation::stuck) can be put in order; no
/// order, of those that explain it, goes on to that answer. Operations are named by their index in
/// the history.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explanation {
    /// The key whose object is at fault, if the model has more than one.
    pub key: Option<String>,
    /// A longest order found.
    pub order: Vec<usize>,
    /// The operation whose answer nothing explains.
    pub stuck: usize,
    /// Every state that can hold where it would have to be explained; in none of them it can have
    /// had the outcome it had.
    pub states: Vec<String>,
    /// The operations that were open at that answer and are not in the order.
    pub beside: Vec<usize>,
    text: String,
}

/// How many operations or states are written out of a longer list.
const SHOWN: usize = 8;

impl Explanation {
    pub(super) fn new<'s, M: Model<State: 's>>(
        model: &M,
        operations: &[Operation<M::Op>],
        key: &M::Key,
        order: Vec<usize>,
        stuck: usize,
        states: impl Iterator<Item = &'s M::State>,
        beside: Vec<usize>,
    ) -> Self {
        let key = (size_of::<M::Key>() > 0).then(|| format!("{key:?}"));
        let states: Vec<String> = states.map(|state| model.describe_state(state)).collect();
        let tell = |&index: &usize| {
            let Operation { process, op, call, ret } = &operations[index];
            let ret = ret.map_or_else(|| "no answer".to_owned(), |ret| ret.to_string());
            format!("p{process} {} [{call}–{ret}]", model.describe(op))
        };
        let place = key.as_ref().map_or_else(String::new, |key| format!(" at key {key}"));
        let mut text = format!("nothing explains {}{place}", tell(&stuck));
        let left_out = order.len().saturating_sub(SHOWN);
        let told: Vec<String> = order[left_out..].iter().map(tell).collect();
        text += &match (told.is_empty(), left_out) {
            (true, _) => "\n  nothing could be ordered before it".to_owned(),
            (false, 0) => format!("\n  the longest order: {}", told.join(" · ")),
            (false, _) => {
                format!("\n  the longest order: … {left_out} more · {}", told.join(" · "))
            }
        };
        text += &format!("\n  the state then: {}", some_of(&states, " or "));
        if !beside.is_empty() {
            let told: Vec<String> = beside.iter().map(tell).collect();
            text += &format!("\n  open then, and no help: {}", some_of(&told, " · "));
        }
        Self { key, order, stuck, states, beside, text }
    }
}

fn some_of(all: &[String], between: &str) -> String {
    let shown = all[..all.len().min(SHOWN)].join(between);
    match all.len().saturating_sub(SHOWN) {
        0 => shown,
        left_out => format!("{shown}{between}{left_out} more"),
    }
}

/// Several lines: the operation that nothing explains, the end of the longest order, the states
/// that could hold then, what else was open. Times in brackets are those of the history.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
