//! From the three formats to one list of events.

use std::borrow::Cow;

use super::edn::{Form, Item, Reader, start_of};
use super::{Format, RecordedError};

/// One line of a history, or one map: a client called, or was answered, or lost touch.
pub(super) struct Event<'a> {
    pub(super) line: usize,
    pub(super) process: u64,
    pub(super) kind: Kind,
    /// What was called, as a keyword without its colon.
    pub(super) function: &'a str,
    /// Which key, in histories that have some.
    pub(super) key: Option<Cow<'a, str>>,
    /// The argument, or what was seen.
    pub(super) value: Item<'a>,
}

/// What an event says of its operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Invoke,
    Ok,
    Fail,
    Info,
}

/// All events of clients in `text`.
pub(super) fn read(text: &str, format: Format) -> Result<Vec<Event<'_>>, RecordedError> {
    match format {
        Format::JepsenLog => read_log(text),
        Format::KvMap => read_maps(text, |event| match event.key {
            None => Err(malformed(event.line, "no :key", "a string")),
            Some(_) => Ok(()),
        }),
        Format::Edn => read_maps(text, |_| Ok(())),
    }
}

/// The format that `text` seems to be in, by what it begins with.
pub(super) fn detect(text: &str) -> Result<Format, RecordedError> {
    for (line, content) in (1..).zip(text.lines()) {
        let content = content.trim_start();
        if content.is_empty() || content.starts_with(';') {
            continue;
        }
        match content.as_bytes()[0] {
            b'[' | b'(' | b'#' => return Ok(Format::Edn),
            b'{' if content.contains(":key") => return Ok(Format::KvMap),
            b'{' => return Ok(Format::Edn),
            _ if content.starts_with("INFO") => return Ok(Format::JepsenLog),
            _ => {}
        }
        let found = format!("`{}`", start_of(content));
        return Err(malformed(line, &found, "`INFO` (jepsen-log), `{` (kv-map) or `[` (edn)"));
    }
    Err(RecordedError::Empty)
}

/// What every line of a log begins with, between blanks.
const LOG_PREFIX: [&str; 3] = ["INFO", "jepsen.util", "-"];

fn read_log(text: &str) -> Result<Vec<Event<'_>>, RecordedError> {
    let mut events = Vec::new();
    for (line, content) in (1..).zip(text.lines()) {
        if content.trim().is_empty() {
            continue;
        }
        let mut rest = content;
        for word in LOG_PREFIX {
            rest = match rest.trim_start().strip_prefix(word) {
                Some(rest) if rest.starts_with(char::is_whitespace) => rest,
                _ => {
                    let found = format!("`{}`", start_of(content));
                    return Err(malformed(line, &found, "`INFO jepsen.util - PROC TYPE F VALUE`"));
                }
            };
        }
        let mut reader = Reader::new(rest, line);
        let mut field = |name: &str| match reader.next(None)? {
            Some(item) => Ok(item),
            None => Err(malformed(line, "the end of the line", name)),
        };
        let process = field("the process")?;
        let (kind, function, value) = (field("the type")?, field(":f")?, field("the value")?);
        if let Some(item) = reader.next(None)? {
            return Err(malformed(line, &item.form.to_string(), "the end of the line"));
        }
        if let Some(process) = process_of(&process)? {
            let (kind, function) = (kind_of(&kind)?, function_of(&function)?);
            events.push(Event { line, process, kind, function, key: None, value });
        }
    }
    Ok(events)
}

/// Maps, one after the other or in a vector or list.
fn read_maps(
    text: &str,
    is_fine: impl Fn(&Event<'_>) -> Result<(), RecordedError>,
) -> Result<Vec<Event<'_>>, RecordedError> {
    let mut reader = Reader::new(text, 1);
    let mut events = Vec::new();
    while let Some(item) = reader.next(None)? {
        let maps = match item.form {
            Form::Sequence(items) => items,
            form => vec![Item { line: item.line, form }],
        };
        for map in maps {
            if let Some(event) = event_of(map)? {
                is_fine(&event)?;
                events.push(event);
            }
        }
    }
    Ok(events)
}

/// The event that a map stands for; none if it is not of a client.
fn event_of(item: Item<'_>) -> Result<Option<Event<'_>>, RecordedError> {
    let line = item.line;
    let Form::Map(entries) = item.form else {
        return Err(malformed(line, &item.form.to_string(), "a map"));
    };
    let [mut process, mut kind, mut function, mut key, mut value] = [const { None }; 5];
    for (name, item) in entries {
        let field = match name.form {
            Form::Keyword("process") => &mut process,
            Form::Keyword("type") => &mut kind,
            Form::Keyword("f") => &mut function,
            Form::Keyword("key") => &mut key,
            Form::Keyword("value") => &mut value,
            _ => continue,
        };
        if field.replace(item).is_some() {
            let found = format!("{} twice", name.form);
            return Err(malformed(name.line, &found, "each key of a map once"));
        }
    }
    let needed = |field: Option<_>, name: &str| {
        field.ok_or_else(|| malformed(line, &format!("a map without {name}"), name))
    };
    let Some(process) = process_of(&needed(process, ":process")?)? else { return Ok(None) };
    let kind = kind_of(&needed(kind, ":type")?)?;
    let function = function_of(&needed(function, ":f")?)?;
    let key = match key {
        None => None,
        Some(Item { form: Form::Text(key), .. }) => Some(key),
        Some(Item { line, form }) => {
            return Err(malformed(line, &form.to_string(), "a string as :key"));
        }
    };
    let value = value.unwrap_or(Item { line, form: Form::Nil });
    Ok(Some(Event { line, process, kind, function, key, value }))
}

/// The client's number; none for the nemesis.
fn process_of(item: &Item<'_>) -> Result<Option<u64>, RecordedError> {
    match item.form {
        Form::Keyword("nemesis") => Ok(None),
        Form::Int(number) if number >= 0 => Ok(Some(number.unsigned_abs())),
        ref form => {
            let expected = "a process: a number from zero on, or :nemesis";
            Err(malformed(item.line, &form.to_string(), expected))
        }
    }
}

fn kind_of(item: &Item<'_>) -> Result<Kind, RecordedError> {
    match item.form {
        Form::Keyword("invoke") => Ok(Kind::Invoke),
        Form::Keyword("ok") => Ok(Kind::Ok),
        Form::Keyword("fail") => Ok(Kind::Fail),
        Form::Keyword("info") => Ok(Kind::Info),
        ref form => {
            Err(malformed(item.line, &form.to_string(), "a type: :invoke, :ok, :fail or :info"))
        }
    }
}

fn function_of<'a>(item: &Item<'a>) -> Result<&'a str, RecordedError> {
    match item.form {
        Form::Keyword(name) => Ok(name),
        ref form => Err(malformed(item.line, &form.to_string(), "a keyword as :f")),
    }
}

pub(super) fn malformed(line: usize, found: &str, expected: &str) -> RecordedError {
    RecordedError::Malformed { line, found: found.to_owned(), expected: expected.to_owned() }
}
