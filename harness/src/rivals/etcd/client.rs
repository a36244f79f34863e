//! What clients say to a member, on threads of their own.

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ::cluster::{Completion, NoAnswer, RequestId, Timestamp};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use ureq::Agent;

use crate::rivals::registers::{Ask, Write};
use crate::vocabulary::{Answer, Outcome, Refusal};

/// How many requests to one member are under way at once; others wait.
const AT_ONCE: usize = 16;
/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long whoever asks a member about itself waits.
const GLANCE: Duration = Duration::from_millis(300);

/// Threads that speak to one member.
pub(super) struct Lane {
    jobs: Option<Sender<(RequestId, Ask)>>,
    threads: Vec<JoinHandle<()>>,
}

impl Lane {
    /// Threads that speak to `member`, and tell `done`.
    pub(super) fn new(
        member: SocketAddr,
        start: Instant,
        done: &Sender<Completion<Answer>>,
    ) -> Self {
        let (jobs, inbox) = channel();
        let inbox = Arc::new(Mutex::new(inbox));
        let agent = agent(PATIENCE);
        let thread = |_| {
            let (inbox, agent, done) = (Arc::clone(&inbox), agent.clone(), done.clone());
            std::thread::spawn(move || {
                while let Some((request, ask)) = next(&inbox) {
                    let outcome = carry_out(&agent, member, ask);
                    let at = Timestamp::ZERO + start.elapsed();
                    // A cluster that is gone wants no answer.
                    let _ = done.send(Completion { request, at, outcome });
                }
            })
        };
        Self { jobs: Some(jobs), threads: (0..AT_ONCE).map(thread).collect() }
    }

    pub(super) fn submit(&self, request: RequestId, ask: Ask) {
        if let Some(jobs) = &self.jobs {
            // Its threads live as long as this does.
            let _ = jobs.send((request, ask));
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

type Jobs = Mutex<Receiver<(RequestId, Ask)>>;

fn next(inbox: &Jobs) -> Option<(RequestId, Ask)> {
    inbox.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

fn agent(patience: Duration) -> Agent {
    Agent::config_builder()
        .timeout_global(Some(patience))
        .http_status_as_error(false)
        .max_idle_connections(AT_ONCE)
        .max_idle_connections_per_host(AT_ONCE)
        .proxy(None)
        .build()
        .into()
}

fn carry_out(agent: &Agent, member: SocketAddr, ask: Ask) -> Result<Answer, NoAnswer> {
    match ask {
        Ask::Read { key } => {
            let said = post(agent, member, "/v3/kv/range", &json!({ "key": name(key) }));
            Ok(match said {
                Ok((200, range)) => value(&range).map(Outcome::Value).ok_or(Refusal::Unavailable),
                Err(Failure::Refused) => return Err(NoAnswer::Unreachable),
                // A read that was not answered has done nothing.
                Ok(_) | Err(Failure::Broken | Failure::Late) => Err(Refusal::Unavailable),
            })
        }
        Ask::Write(Write { key, value }) => {
            let value = BASE64.encode(value.to_string());
            let put = json!({ "key": name(key), "value": value });
            match post(agent, member, "/v3/kv/put", &put) {
                Ok((200, _)) => Ok(Ok(Outcome::Written)),
                // Whatever it says, it may have proposed it, or passed it on.
                Ok(_) | Err(Failure::Late) => Ok(Err(Refusal::Unknown)),
                Err(Failure::Refused) => Err(NoAnswer::Unreachable),
                Err(Failure::Broken) => Err(NoAnswer::Lost),
            }
        }
        // Etcd shows its log to nobody, and state-machine safety is not among its claims here.
        Ask::Committed => Ok(Err(Refusal::Unavailable)),
    }
}

fn name(key: u32) -> String {
    BASE64.encode(format!("r{key}"))
}

/// What a range of one key holds; none if it cannot be read.
fn value(range: &Value) -> Option<Option<u64>> {
    let Some(kvs) = range.get("kvs") else { return Some(None) };
    let text = BASE64.decode(kvs.get(0)?.get("value")?.as_str()?).ok()?;
    Some(Some(std::str::from_utf8(&text).ok()?.parse().ok()?))
}

/// How a member sees itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Status {
    pub(super) member: u64,
    /// Whom it follows; zero is nobody.
    pub(super) leader: u64,
    pub(super) term: u64,
}

/// How the member sees itself; none if it does not say so in time.
pub(super) fn status(member: SocketAddr) -> Option<Status> {
    let said = post(&agent(GLANCE), member, "/v3/maintenance/status", &json!({}));
    let Ok((200, status)) = said else { return None };
    // Numbers of 64 bits are strings in this JSON, and zero is left out.
    let number = |value: Option<&Value>| match value {
        None => Some(0),
        Some(value) => value.as_str()?.parse().ok(),
    };
    Some(Status {
        member: number(status.get("header")?.get("member_id"))?,
        leader: number(status.get("leader"))?,
        term: number(status.get("raftTerm"))?,
    })
}

/// Why there is no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Failure {
    /// Nobody listens: the request had no effect.
    Refused,
    /// The connection broke: it may have had an effect.
    Broken,
    /// The time is over: it may have had an effect, or may have one yet.
    Late,
}

fn post(
    agent: &Agent,
    member: SocketAddr,
    path: &str,
    body: &Value,
) -> Result<(u16, Value), Failure> {
    let failure = |error: ureq::Error| match error {
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Failure::Refused
        }
        ureq::Error::ConnectionFailed => Failure::Refused,
        ureq::Error::Timeout(_) => Failure::Late,
        // Foreign, and grows: whatever else it is, it is not known to have had no effect.
        _ => Failure::Broken,
    };
    let url = format!("http://{member}{path}");
    let mut response = agent.post(url).send(body.to_string()).map_err(failure)?;
    let text = response.body_mut().read_to_string().map_err(failure)?;
    let body = serde_json::from_str(&text).unwrap_or(Value::Null);
    Ok((response.status().as_u16(), body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_as_etcd_writes_it() {
        let held = json!({ "kvs": [{ "key": name(1), "value": "NDI=" }], "count": "1" });
        assert_eq!(value(&held), Some(Some(42)));
        assert_eq!(value(&json!({ "header": {} })), Some(None));
        assert_eq!(value(&json!({ "kvs": [{ "value": "?" }] })), None);
    }

    #[test]
    fn where_nobody_listens_there_is_no_effect() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let nobody = free.local_addr().expect("it has an address");
        drop(free);
        let write = Ask::Write(Write { key: 1, value: 2 });
        assert_eq!(carry_out(&agent(PATIENCE), nobody, write), Err(NoAnswer::Unreachable));
    }
}
