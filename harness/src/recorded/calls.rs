//! From events to calls: each invocation with its completion.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::edn::Item;
use super::events::{Event, Kind};
use super::{Format, RecordedError};

/// One call of a client.
pub(super) struct Call<'a> {
    pub(super) process: u64,
    pub(super) line: usize,
    /// When, in the order of the file.
    pub(super) at: u64,
    pub(super) function: &'a str,
    pub(super) key: Option<Cow<'a, str>>,
    /// What the invocation said.
    pub(super) value: Item<'a>,
    pub(super) end: End<'a>,
}

/// How a call ended.
pub(super) enum End<'a> {
    /// It was answered.
    Ok(Answer<'a>),
    /// It was refused.
    Fail(Answer<'a>),
    /// Nobody knows, or nobody says.
    Open,
}

/// What a completion said, and when.
pub(super) struct Answer<'a> {
    pub(super) at: u64,
    pub(super) value: Item<'a>,
}

/// Puts each completion to its invocation. In the format kv-map every call must have one.
pub(super) fn pair(events: Vec<Event<'_>>, format: Format) -> Result<Vec<Call<'_>>, RecordedError> {
    // Lines tell a reader more than a count, wherever they tell the order as well.
    let lines_are_times = events.windows(2).all(|pair| pair[0].line < pair[1].line);
    let mut calls: Vec<Call<'_>> = Vec::with_capacity(events.len() / 2 + 1);
    let mut open: BTreeMap<u64, usize> = BTreeMap::new();
    for (number, event) in (1..).zip(events) {
        let Event { line, process, kind, function, key, value } = event;
        let at = if lines_are_times { line as u64 } else { number };
        if kind == Kind::Invoke {
            let call = Call { process, line, at, function, key, value, end: End::Open };
            if let Some(earlier) = open.insert(process, calls.len()) {
                let open = calls[earlier].line;
                return Err(RecordedError::DoubleInvocation { line, process, open });
            }
            calls.push(call);
            continue;
        }
        let Some(index) = open.remove(&process) else {
            return Err(RecordedError::NotInvoked { line, process });
        };
        let call = &mut calls[index];
        if call.function != function || call.key != key {
            let name = |function: &str, key: &Option<Cow<'_, str>>| match key {
                Some(key) => format!(":{function} of key {key:?}"),
                None => format!(":{function}"),
            };
            return Err(RecordedError::Mismatch {
                line,
                process,
                found: name(function, &key),
                open: call.line,
                invoked: name(call.function, &call.key),
            });
        }
        call.end = match kind {
            Kind::Ok => End::Ok(Answer { at, value }),
            Kind::Fail => End::Fail(Answer { at, value }),
            Kind::Info | Kind::Invoke => End::Open,
        };
    }
    match open.first_key_value() {
        Some((&process, &index)) if format == Format::KvMap => {
            Err(RecordedError::Unfinished { line: calls[index].line, process })
        }
        _ => Ok(calls),
    }
}
