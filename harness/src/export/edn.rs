//! Histories as Jepsen writes them: <https://github.com/jepsen-io/jepsen>.

use std::fmt::Write as _;

use cluster::Timestamp;

use crate::history::{Call, End, History};
use crate::vocabulary::{Op, Outcome};

/// `history` as EDN: a vector of maps, one a line, in the order of true time.
///
/// Registers are keys of a map: `{:process 3, :type :ok, :f :get, :key "7", :value "12"}`, where the
/// empty string stands for a register that holds nothing. So [`recorded`](mod@crate::recorded) reads
/// it, and judges it as `kv`; [`edn_register`] writes one register alone, for checkers that know no
/// keys. Elections (`:lead`) and locks (`:acquire`, `:renew`, `:release`) have maps as values; that a
/// session was opened, or who votes, is left out.
///
/// `:fail` says that an operation had no effect; `:info` that nobody knows. Times are nanoseconds.
pub fn edn(history: &History) -> String {
    write(&history.calls, |call| match &call.op {
        Op::Read { key, .. } => {
            let seen = match &call.end {
                End::Done(Outcome::Value(Some(value))) => format!("\"{value}\""),
                End::Done(_) => "\"\"".to_owned(),
                End::Refused(_) | End::Unknown => "nil".to_owned(),
            };
            let (asked, fields) = ("nil".to_owned(), format!(", :key \"{key}\""));
            Some(Words { f: "get", fields, asked, answered: seen })
        }
        Op::Write { key, value, .. } => {
            let (value, fields) = (format!("\"{value}\""), format!(", :key \"{key}\""));
            Some(Words { f: "put", fields, asked: value.clone(), answered: value })
        }
        // Of no effect on any register.
        Op::Open | Op::Change(_) => None,
        Op::Lead
        | Op::Committed
        | Op::Inspect { .. }
        | Op::Acquire { .. }
        | Op::Renew { .. }
        | Op::Release { .. } => Some(other(call)),
    })
}

/// What `history` says of the register `key` alone, as EDN: `:read` and `:write` of numbers. The
/// register holds 0 at first; nobody writes that.
pub fn edn_register(history: &History, key: u32) -> String {
    write(&history.calls, |call| match &call.op {
        Op::Read { key: own, .. } if *own == key => {
            let seen = match &call.end {
                End::Done(Outcome::Value(value)) => value.unwrap_or(0).to_string(),
                End::Done(_) | End::Refused(_) | End::Unknown => "nil".to_owned(),
            };
            let (asked, fields) = ("nil".to_owned(), String::new());
            Some(Words { f: "read", fields, asked, answered: seen })
        }
        Op::Write { key: own, value, .. } if *own == key => {
            let value = value.to_string();
            let fields = String::new();
            Some(Words { f: "write", fields, asked: value.clone(), answered: value })
        }
        Op::Read { .. }
        | Op::Write { .. }
        | Op::Lead
        | Op::Open
        | Op::Change(_)
        | Op::Committed
        | Op::Inspect { .. }
        | Op::Acquire { .. }
        | Op::Renew { .. }
        | Op::Release { .. } => None,
    })
}

/// A call in the words of a history.
struct Words {
    f: &'static str,
    /// More fields, each after a comma.
    fields: String,
    asked: String,
    answered: String,
}

fn other(call: &Call) -> Words {
    let node = call.node.get();
    let (f, asked) = match &call.op {
        Op::Lead => ("lead", format!("{{:node {node}}}")),
        Op::Inspect { lock } => ("inspect", format!("{{:lock {lock}}}")),
        Op::Committed => ("log", format!("{{:node {node}}}")),
        Op::Acquire { lock, owner, ttl, wait, .. } => {
            let (ttl, wait) = (ttl.as_nanos(), wait.as_nanos());
            ("acquire", format!("{{:lock {lock}, :owner {owner}, :ttl {ttl}, :wait {wait}}}"))
        }
        Op::Renew { lock, owner, token, .. } => {
            ("renew", format!("{{:lock {lock}, :owner {owner}, :token {token}}}"))
        }
        Op::Release { lock, owner, token } => {
            ("release", format!("{{:lock {lock}, :owner {owner}, :token {token}}}"))
        }
        Op::Read { .. } | Op::Write { .. } | Op::Open | Op::Change(_) => {
            ("register", "nil".to_owned())
        }
    };
    let answered = match &call.end {
        End::Done(Outcome::Leading(epoch)) => format!("{{:node {node}, :epoch {}}}", epoch.get()),
        End::Done(Outcome::Acquired { token, arrival, .. }) => {
            format!("{}, :token {token}, :arrival {arrival}}}", asked.trim_end_matches('}'))
        }
        End::Done(Outcome::Holder { token: Some(token) }) => {
            format!("{}, :token {token}}}", asked.trim_end_matches('}'))
        }
        End::Done(Outcome::Holder { token: None }) => {
            format!("{}, :token nil}}", asked.trim_end_matches('}'))
        }
        End::Done(Outcome::Log(log)) => format!("{{:node {node}, :entries {}}}", log.len()),
        End::Done(
            Outcome::Value(_)
            | Outcome::Opened { .. }
            | Outcome::Written
            | Outcome::Changed
            | Outcome::Renewed { .. }
            | Outcome::Released { .. },
        )
        | End::Refused(_)
        | End::Unknown => asked.clone(),
    };
    Words { f, fields: String::new(), asked, answered }
}

/// One event: when, in which order among those of the same time, and its line.
struct Event {
    at: Timestamp,
    rank: u8,
    process: u32,
    line: String,
}

fn write(calls: &[Call], words: impl Fn(&Call) -> Option<Words>) -> String {
    let mut events: Vec<Event> = Vec::with_capacity(2 * calls.len());
    for call in calls {
        let Some(Words { f, fields, asked, answered }) = words(call) else { continue };
        let process = call.process;
        let line = |kind: &str, value: &str| {
            format!(":process {process}, :type :{kind}, :f :{f}{fields}, :value {value}")
        };
        let kind = match call.end {
            End::Done(_) => "ok",
            End::Refused(crate::vocabulary::Refusal::Unknown) | End::Unknown => "info",
            End::Refused(_) => "fail",
        };
        // Who is answered and calls again at one instant was answered first. Otherwise, calls come
        // before answers, so that those of one instant count as concurrent.
        let follows = calls.iter().any(|it| it.process == process && it.returned == call.invoked);
        let rank = if follows { 2 } else { 0 };
        let invoked = line("invoke", &asked);
        events.push(Event { at: call.invoked, rank, process, line: invoked });
        let returned = line(kind, &answered);
        events.push(Event { at: call.returned, rank: 1, process, line: returned });
    }
    events.sort_by_key(|event| (event.at, event.rank, event.process));
    let mut text = String::from("[");
    for (index, event) in events.iter().enumerate() {
        let Event { at, line, .. } = event;
        let between = if index == 0 { "" } else { "\n " };
        let _ = write!(text, "{between}{{:index {index}, :time {}, {line}}}", at.as_nanos());
    }
    text.push_str("]\n");
    text
}
