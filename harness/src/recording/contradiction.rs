//! Which operations on a register contradict each other, and why.

use std::collections::BTreeMap;

use cluster::Timestamp;

use super::{Contradiction, Placed, millis};
use crate::history::History;
use crate::judge::registers;
use crate::linear::{self, At, Explanation, Limits, PerKey, Register, RegisterOp, Verdict};

type Operation = linear::Operation<At<u32, RegisterOp<u64>>>;

/// What a search for a smaller contradiction may cost, each time: it is asked hundreds of times.
const LIMITS: Limits = Limits { time: None, states: 200_000, steps: 1_000_000 };

/// What contradicts what in `history`, if it is one of registers and has no order. `places` says
/// where each call is among a recording's operations.
pub(super) fn find(history: &History, places: &[usize]) -> Option<Contradiction> {
    let (calls, operations): (Vec<usize>, Vec<Operation>) = history
        .calls
        .iter()
        .enumerate()
        .filter_map(|(index, call)| Some((index, registers::operation(call)?)))
        .unzip();
    let model = PerKey::<u32, Register<u64>>::new(Register::default());
    let Verdict::Broken(explanation) = linear::check(&model, &operations, Limits::default()) else {
        return None;
    };
    let core = core(&model, &operations, explanation.stuck);
    let because = because(&operations, &core, &explanation);
    let place = |index: usize| places[calls[index]];
    let Explanation { key, order, stuck, states, beside, .. } = &explanation;
    let order = order.iter().zip(contents(&operations, order)).map(|(&index, state)| {
        let operation = place(index);
        Placed { operation, state }
    });
    Some(Contradiction {
        key: key.clone(),
        order: order.collect(),
        stuck: place(*stuck),
        states: states.clone(),
        beside: beside.iter().map(|&index| place(index)).collect(),
        core: core.iter().map(|&index| place(index)).collect(),
        because,
    })
}

/// What the register holds after each operation of `order`.
fn contents(operations: &[Operation], order: &[usize]) -> Vec<String> {
    let mut held = "nil".to_owned();
    order
        .iter()
        .map(|&index| {
            if let Some(value) = changes_to(&operations[index].op.op) {
                held = value.to_string();
            }
            held.clone()
        })
        .collect()
}

/// What the register holds after `op`, if `op` changes it.
fn changes_to(op: &RegisterOp<u64>) -> Option<u64> {
    match *op {
        RegisterOp::Write(value) | RegisterOp::Cas { to: value, done: true, .. } => Some(value),
        RegisterOp::Read(_) | RegisterOp::Cas { done: false, .. } => None,
    }
}

/// A least part of `operations` that has no order, with `stuck` in it; by time of call.
///
/// What is taken away is a read, or a write with every read that saw it: so that no read is left
/// whose value nobody wrote, which would be a contradiction of its own.
fn core(model: &PerKey<u32, Register<u64>>, operations: &[Operation], stuck: usize) -> Vec<usize> {
    let (mut units, kept) = units(operations, stuck);
    let shortened: Vec<Operation> = operations
        .iter()
        .map(|operation| {
            let end = operations[stuck].ret;
            let is_over = operation.ret <= end;
            Operation { ret: operation.ret.filter(|_| is_over), ..operation.clone() }
        })
        .collect();
    let is_broken = |units: &[Vec<usize>]| {
        let mut indexes: Vec<usize> = units.iter().flatten().chain(&kept).copied().collect();
        indexes.sort_unstable();
        indexes.dedup();
        let part: Vec<Operation> = indexes.iter().map(|&at| shortened[at].clone()).collect();
        matches!(linear::check(model, &part, LIMITS), Verdict::Broken(_))
    };
    // As in delta debugging (Zeller and Hildebrandt 2002): large parts first, then ever smaller
    // ones.
    let mut size = units.len().div_ceil(2).max(1);
    loop {
        let mut from = 0;
        while from < units.len() {
            let mut fewer = units.clone();
            fewer.drain(from..(from + size).min(units.len()));
            if is_broken(&fewer) {
                units = fewer;
            } else {
                from += size;
            }
        }
        if size == 1 {
            break;
        }
        size = size.div_ceil(2);
    }
    let mut core: Vec<usize> = units.into_iter().flatten().chain(kept).collect();
    core.sort_unstable_by_key(|&index| (operations[index].call, index));
    core.dedup();
    core
}

/// What can be taken away as one: reads, and writes with the reads that saw them. Only of the key of
/// `stuck`, and only what can matter to it: what was called before it returned, and, if it is a read,
/// had returned by then. The write that `stuck` saw is no such unit: it stays.
fn units(operations: &[Operation], stuck: usize) -> (Vec<Vec<usize>>, Vec<usize>) {
    let last = &operations[stuck];
    let own = match last.op.op {
        RegisterOp::Read(seen) => seen,
        RegisterOp::Write(_) | RegisterOp::Cas { .. } => None,
    };
    let mut kept = vec![stuck];
    let mut units = Vec::new();
    let mut values: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (index, operation) in operations.iter().enumerate() {
        let matters = operation.op.key == last.op.key
            && index != stuck
            && last.ret.is_none_or(|end| operation.call <= end);
        if !matters {
            continue;
        }
        match operation.op.op {
            RegisterOp::Read(_) if operation.ret > last.ret => {}
            RegisterOp::Write(value) if own == Some(value) => kept.push(index),
            RegisterOp::Write(value) => values.entry(value).or_default().push(index),
            RegisterOp::Read(Some(value)) if own != Some(value) => {
                units.push(vec![index]);
                values.entry(value).or_default().push(index);
            }
            RegisterOp::Read(_) | RegisterOp::Cas { .. } => units.push(vec![index]),
        }
    }
    units.extend(values.into_values());
    units.sort_by_key(|unit| unit.iter().map(|&index| operations[index].call).min());
    (units, kept)
}

/// Why the operations of `core` have no order.
fn because(operations: &[Operation], core: &[usize], why: &Explanation) -> Vec<String> {
    let before = |a: usize, b: usize| operations[a].ret.is_some_and(|ret| ret < operations[b].call);
    let mut lines = Vec::new();
    for &a in core {
        for &b in core.iter().filter(|&&b| before(a, b)) {
            let between = core.iter().any(|&c| before(a, c) && before(c, b));
            if !between {
                let over = operations[a].ret.unwrap_or_default();
                let gap = operations[b].call - over;
                lines.push(format!(
                    "{} was over {} before {} began.",
                    tell(&operations[a]),
                    length(gap),
                    tell(&operations[b]),
                ));
            }
        }
    }
    let stuck = &operations[why.stuck];
    let held = why.states.join(" or ");
    lines.push(match stuck.op.op {
        RegisterOp::Read(seen) => format!(
            "So register {} held {held} for as long as p{} was reading it; p{} saw {}.",
            stuck.op.key,
            stuck.process,
            stuck.process,
            seen.map_or_else(|| "nil".to_owned(), |value| value.to_string()),
        ),
        RegisterOp::Write(_) | RegisterOp::Cas { .. } => {
            format!("So register {} held {held} at {}.", stuck.op.key, tell(stuck))
        }
    });
    lines
}

fn tell(operation: &Operation) -> String {
    let process = operation.process;
    match operation.op.op {
        RegisterOp::Read(None) => format!("p{process}’s read of nil"),
        RegisterOp::Read(Some(value)) => format!("p{process}’s read of {value}"),
        RegisterOp::Write(value) => format!("p{process}’s write of {value}"),
        RegisterOp::Cas { to, .. } => format!("p{process}’s change to {to}"),
    }
}

/// A length of time in nanoseconds, for people.
fn length(nanos: u64) -> String {
    millis(Timestamp::from_nanos(nanos))
}

/// What a contradiction says in a sentence.
pub(super) fn sentence(contradiction: &Contradiction, operations: &[super::Operation]) -> String {
    let stuck = &operations[contradiction.stuck];
    let key = contradiction.key.as_deref().unwrap_or_default();
    let (from, until) = (millis(stuck.invoked), millis(stuck.returned));
    let held = contradiction.states.join(" or ");
    let saw = match stuck.label.split_once(" → ") {
        Some((_, value)) => format!("read {value} from register {key}"),
        None => format!("did {} to register {key}", stuck.label),
    };
    format!(
        "Client p{} {saw} between {from} and {until}, but by then it could only hold {held}.",
        stuck.process,
    )
}
