//! From calls to operations of a model.

use std::sync::Arc;

use crate::linear::{At, FencedOp, KvAction, KvOp, Operation, RegisterOp, Text};

use super::calls::{Answer, Call, End};
use super::edn::{Form, Item};
use super::events::malformed;
use super::{Format, ModelName, RecordedError};

/// What a call says of its object: its operation, and when the answer came if one did. None if it
/// says nothing: it did not happen, or it is a read that saw nothing we know of.
type Said<Op> = Option<(Op, Option<u64>)>;

/// The operations on a register.
pub(super) fn of_register(
    calls: &[Call<'_>],
    format: Format,
    model: ModelName,
) -> Result<Vec<Operation<RegisterOp<i64>>>, RecordedError> {
    collect(calls, |call| match call.function {
        "read" => read(call, format),
        "write" => {
            let op = RegisterOp::Write(number(&call.value)?);
            change(call, op, format)
        }
        "cas" if model == ModelName::CasRegister => cas(call, format),
        _ => Err(unknown_function(call, model)),
    })
}

/// The operations on a map of strings.
pub(super) fn of_kv(
    calls: &[Call<'_>],
    format: Format,
) -> Result<Vec<Operation<KvOp>>, RecordedError> {
    collect(calls, |call| {
        let Some(key) = &call.key else {
            return Err(match call.function {
                "get" | "put" | "append" => malformed(call.line, "no :key", "a string"),
                _ => unknown_function(call, ModelName::Kv),
            });
        };
        let op = |action| KvOp { key: Arc::from(&**key), action };
        match call.function {
            "get" => Ok(match &call.end {
                End::Ok(answer) => {
                    Some((op(KvAction::Get(Text::new(text(&answer.value)?))), Some(answer.at)))
                }
                End::Fail(_) | End::Open => None,
            }),
            "put" => change(call, op(KvAction::Put(Text::new(text(&call.value)?))), format),
            "append" => change(call, op(KvAction::Append(Arc::from(text(&call.value)?))), format),
            _ => Err(unknown_function(call, ModelName::Kv)),
        }
    })
}

/// An operation on one of several locks, or on the only one.
type LockOp = At<Option<Arc<str>>, FencedOp>;

/// The operations on locks. Who did not get it, or could not give it back, says nothing.
pub(super) fn of_mutex(calls: &[Call<'_>]) -> Result<Vec<Operation<LockOp>>, RecordedError> {
    collect(calls, |call| {
        let at = |op| At { key: call.key.as_deref().map(Arc::from), op };
        let op = match call.function {
            "acquire" => at(FencedOp::Acquired { token: token(call)? }),
            "release" => at(FencedOp::Released { token: None }),
            _ => return Err(unknown_function(call, ModelName::Mutex)),
        };
        Ok(match &call.end {
            End::Ok(answer) => Some((op, Some(answer.at))),
            End::Open => Some((op, None)),
            End::Fail(_) => None,
        })
    })
}

/// The fencing token that a lock came with, if it was answered with a number.
fn token(call: &Call<'_>) -> Result<Option<i64>, RecordedError> {
    let End::Ok(answer) = &call.end else { return Ok(None) };
    match &answer.value.form {
        Form::Int(token) => Ok(Some(*token)),
        other if *other == Form::Nil || is_same(other, &call.value.form) => Ok(None),
        _ => Err(unexpected(&answer.value, "a fencing token (a number), nil, or what was asked")),
    }
}

fn collect<'a, Op>(
    calls: &[Call<'a>],
    mut said: impl FnMut(&Call<'a>) -> Result<Said<Op>, RecordedError>,
) -> Result<Vec<Operation<Op>>, RecordedError> {
    let mut operations = Vec::with_capacity(calls.len());
    for call in calls {
        if let Some((op, ret)) = said(call)? {
            operations.push(Operation { process: call.process, op, call: call.at, ret });
        }
    }
    Ok(operations)
}

/// In an EDN history, nil is what a read says that does not know what it saw; in a log, it is what
/// the register holds at first.
fn read(call: &Call<'_>, format: Format) -> Result<Said<RegisterOp<i64>>, RecordedError> {
    let End::Ok(Answer { at, value }) = &call.end else { return Ok(None) };
    Ok(match (number_or_nil(value)?, format) {
        (None, Format::Edn | Format::KvMap) => None,
        (seen, _) => Some((RegisterOp::Read(seen), Some(*at))),
    })
}

/// In a log, a cas that failed saw that the comparison was false; in an EDN history, it did not
/// happen, for whatever reason.
fn cas(call: &Call<'_>, format: Format) -> Result<Said<RegisterOp<i64>>, RecordedError> {
    let Form::Sequence(pair) = &call.value.form else {
        return Err(unexpected(&call.value, "[FROM TO]"));
    };
    let [from, to] = pair.as_slice() else {
        return Err(unexpected(&call.value, "[FROM TO]"));
    };
    let (from, to) = (number_or_nil(from)?, number(to)?);
    let op = |done| RegisterOp::Cas { from, to, done };
    match (&call.end, format) {
        (End::Fail(answer), Format::JepsenLog) => {
            repeats(call, answer, format)?;
            Ok(Some((op(false), Some(answer.at))))
        }
        _ => change(call, op(true), format),
    }
}

/// An operation that changes its object, and sees nothing.
fn change<Op>(call: &Call<'_>, op: Op, format: Format) -> Result<Said<Op>, RecordedError> {
    match &call.end {
        End::Ok(answer) => {
            repeats(call, answer, format)?;
            Ok(Some((op, Some(answer.at))))
        }
        End::Fail(_) => Ok(None),
        End::Open => Ok(Some((op, None))),
    }
}

/// Whether a completion repeats the argument of its invocation, as it must; in an EDN history it may
/// leave it out.
fn repeats(call: &Call<'_>, answer: &Answer<'_>, format: Format) -> Result<(), RecordedError> {
    let is_left_out = format == Format::Edn && answer.value.form == Form::Nil;
    // Lines are part of items, so only what they print as is compared; numbers and strings of
    // different values print differently.
    if is_left_out || is_same(&answer.value.form, &call.value.form) {
        return Ok(());
    }
    let expected = format!("{}, as invoked in line {}", call.value.form, call.line);
    Err(unexpected(&answer.value, &expected))
}

fn is_same(one: &Form<'_>, other: &Form<'_>) -> bool {
    match (one, other) {
        (Form::Sequence(one), Form::Sequence(other)) => {
            one.len() == other.len()
                && one.iter().zip(other).all(|(one, other)| is_same(&one.form, &other.form))
        }
        _ => one == other,
    }
}

fn number(item: &Item<'_>) -> Result<i64, RecordedError> {
    match item.form {
        Form::Int(number) => Ok(number),
        _ => Err(unexpected(item, "a number")),
    }
}

fn number_or_nil(item: &Item<'_>) -> Result<Option<i64>, RecordedError> {
    match item.form {
        Form::Nil => Ok(None),
        Form::Int(number) => Ok(Some(number)),
        _ => Err(unexpected(item, "a number or nil")),
    }
}

fn text<'i>(item: &'i Item<'_>) -> Result<&'i str, RecordedError> {
    match &item.form {
        Form::Text(text) => Ok(text),
        _ => Err(unexpected(item, "a string")),
    }
}

fn unexpected(item: &Item<'_>, expected: &str) -> RecordedError {
    malformed(item.line, &item.form.to_string(), expected)
}

fn unknown_function(call: &Call<'_>, model: ModelName) -> RecordedError {
    let found = Form::Keyword(call.function).to_string();
    let expected = match model {
        ModelName::Register => ":read or :write, which model register knows",
        ModelName::CasRegister => ":read, :write or :cas, which model cas-register knows",
        ModelName::Kv => ":get, :put or :append, which model kv knows",
        ModelName::Mutex => ":acquire or :release, which model mutex knows",
    };
    malformed(call.line, &found, expected)
}
