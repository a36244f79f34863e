//! The weaker promises of registers, against their definitions and against linearizability.

use harness::linear::{At, Limits, Operation, PerKey, Register, RegisterOp, Verdict, check};
use harness::ordered::{Contradiction, Promise, contradictions};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::{operation, unanswered};

type Op = At<u8, RegisterOp<u8>>;

fn at(op: RegisterOp<u8>) -> Op {
    At { key: 0, op }
}

fn read(value: u8) -> Op {
    at(RegisterOp::Read(Some(value)))
}

fn write(value: u8) -> Op {
    at(RegisterOp::Write(value))
}

fn cas(from: u8, to: u8) -> Op {
    at(RegisterOp::Cas { from: Some(from), to, done: true })
}

#[track_caller]
fn breaks(history: &[Operation<Op>], expected: &[(Promise, &[usize])]) {
    let found = contradictions(&Register::default(), history);
    let told: Vec<_> = found.iter().map(|it| (it.promise, it.operations.as_slice())).collect();
    assert_eq!(told, expected, "{found:?}");
}

const NIL: Op = At { key: 0, op: RegisterOp::Read(None) };

#[test]
fn a_read_of_what_was_overwritten_is_not_regular() {
    let history =
        [operation(1, write(1), 0, 1), operation(1, write(2), 2, 3), operation(2, read(1), 4, 5)];
    breaks(&history, &[(Promise::Regular, &[1, 2])]);
}

#[test]
fn a_read_beside_a_write_may_see_either() {
    let writes = [operation(1, write(1), 0, 1), operation(1, write(2), 2, 9)];
    for seen in [1, 2] {
        breaks(&[writes.as_slice(), &[operation(2, read(seen), 4, 5)]].concat(), &[]);
    }
}

#[test]
fn two_readers_may_see_two_writes_in_either_order_and_one_reader_may_not() {
    // Regular, and not linearizable: new, then old, while the new one is being written.
    let history = [
        operation(1, write(1), 0, 1),
        operation(1, write(2), 2, 9),
        operation(2, read(2), 3, 4),
        operation(3, read(1), 5, 6),
    ];
    breaks(&history, &[]);
    let mut one_reader = history;
    one_reader[3].process = 2;
    breaks(&one_reader, &[(Promise::MonotonicReads, &[2, 3])]);
}

#[test]
fn a_value_from_nowhere_or_from_the_future_is_not_regular() {
    breaks(&[operation(1, read(7), 0, 1)], &[(Promise::Regular, &[0])]);
    let history = [operation(1, read(7), 0, 1), operation(2, write(7), 2, 3)];
    breaks(&history, &[(Promise::Regular, &[0, 1])]);
}

#[test]
fn a_writer_that_does_not_see_its_write() {
    let history = [operation(1, write(1), 0, 1), operation(1, NIL, 2, 3)];
    breaks(&history, &[(Promise::Regular, &[0, 1]), (Promise::ReadYourWrites, &[0, 1])]);
}

#[test]
fn a_write_that_was_never_answered_may_come_at_any_time() {
    let history = [
        unanswered(1, write(1), 0),
        operation(2, write(2), 1, 2),
        operation(2, read(1), 3, 4),
        operation(2, read(1), 5, 6),
    ];
    breaks(&history, &[]);
}

#[test]
fn two_successes_from_one_value_lost_an_update() {
    let history = [
        operation(1, write(1), 0, 1),
        operation(2, cas(1, 2), 2, 5),
        operation(3, cas(1, 3), 2, 5),
    ];
    breaks(&history, &[(Promise::NoLostUpdates, &[1, 2])]);
    // Written twice, it can be replaced twice.
    breaks(&[history.as_slice(), &[operation(4, write(1), 3, 4)]].concat(), &[]);
}

/// Operations of processes that do one thing at a time.
fn history() -> impl Strategy<Value = Vec<Operation<Op>>> {
    let value = || proptest::option::weighted(0.9, 0..5u8);
    let op = prop_oneof![
        4 => value().prop_map(RegisterOp::Read),
        3 => (0..5u8).prop_map(RegisterOp::Write),
        1 => (value(), 0..5u8, any::<bool>())
            .prop_map(|(from, to, done)| RegisterOp::Cas { from, to, done }),
    ];
    let one = (0..2u8, op, 0..20u64, proptest::option::weighted(0.9, 0..6u64));
    vec(one, 0..=8).prop_map(|mut all| {
        all.sort_by_key(|&(_, _, call, _)| call);
        // When each process has its answer, if ever.
        let mut busy: Vec<Option<u64>> = Vec::new();
        let place = |(key, op, call, span): (u8, RegisterOp<u8>, u64, Option<u64>)| {
            let ret = span.map(|span| call + span);
            let free = busy.iter().position(|&until| until.is_some_and(|until| until < call));
            let process = free.unwrap_or_else(|| {
                busy.push(None);
                busy.len() - 1
            });
            busy[process] = ret;
            Operation { process: process as u64, op: At { key, op }, call, ret }
        };
        all.into_iter().map(place).collect()
    })
}

/// What an operation may have written.
fn written(op: &RegisterOp<u8>) -> Option<u8> {
    match op {
        RegisterOp::Write(value) | RegisterOp::Cas { to: value, done: true, .. } => Some(*value),
        _ => None,
    }
}

/// What an operation saw.
fn seen(operation: &Operation<Op>) -> Option<Option<u8>> {
    operation.ret?;
    match operation.op.op {
        RegisterOp::Read(value) | RegisterOp::Cas { from: value, done: true, .. } => Some(value),
        _ => None,
    }
}

/// Whether the definition of `promise`, word for word, is contradicted.
fn by_definition(promise: Promise, history: &[Operation<Op>]) -> bool {
    let writes_of = |key: u8, value: u8| {
        history.iter().filter(move |it| it.op.key == key && written(&it.op.op) == Some(value))
    };
    let older = |key: u8, seen: Option<u8>, write: &Operation<Op>| match seen {
        None => true,
        Some(value) => {
            let mut writes = writes_of(key, value).peekable();
            writes.peek().is_some() && writes.all(|it| it.ret.is_some_and(|ret| ret < write.call))
        }
    };
    history.iter().any(|read| {
        let (key, Some(saw)) = (read.op.key, seen(read)) else { return false };
        let same = history.iter().filter(|it| it.op.key == key);
        let mut writes = same.clone().filter(|it| written(&it.op.op).is_some());
        let mut before = same.filter(|it| it.process == read.process && it.call < read.call);
        match promise {
            Promise::Regular => {
                let nowhere = saw.is_some_and(|value| {
                    writes_of(key, value).all(|it| it.call > read.ret.unwrap_or(u64::MAX))
                });
                nowhere
                    || writes.any(|write| {
                        write.ret.is_some_and(|ret| ret < read.call) && older(key, saw, write)
                    })
            }
            Promise::MonotonicReads => before.any(|earlier| {
                let Some(Some(value)) = seen(earlier) else { return false };
                let mut writes = writes_of(key, value).peekable();
                writes.peek().is_some() && writes.all(|write| older(key, saw, write))
            }),
            Promise::ReadYourWrites => before.any(|write| {
                written(&write.op.op).is_some() && write.ret.is_some() && older(key, saw, write)
            }),
            Promise::NoLostUpdates => unreachable!("tested by hand"),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn each_promise_is_what_its_definition_says(history in history()) {
        let found = contradictions(&Register::default(), &history);
        for promise in [Promise::Regular, Promise::MonotonicReads, Promise::ReadYourWrites] {
            let told = found.iter().any(|it: &Contradiction| it.promise == promise);
            prop_assert_eq!(told, by_definition(promise, &history), "{:?}: {:?}", promise, found);
        }
    }

    #[test]
    fn what_is_linearizable_keeps_every_promise(history in history()) {
        let registers = PerKey::<u8, Register<u8>>::new(Register::default());
        if check(&registers, &history, Limits::default()) == Verdict::Holds {
            prop_assert_eq!(contradictions(&Register::default(), &history), []);
        }
    }
}
