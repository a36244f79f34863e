//! What clients say to a member, over its JSON gateway.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use ::cluster::{Epoch, NoAnswer, Role};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use ureq::Agent;

use crate::hosts::{self, Look};
use crate::rivals::registers::{Ask, Write, ask};
use crate::vocabulary::{Answer, Op, Outcome, Refusal};

/// How many connections to one member are kept.
const AT_ONCE: usize = 16;
/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long whoever asks a member about itself waits.
const GLANCE: Duration = Duration::from_millis(300);

/// Speaks to one member.
#[derive(Debug)]
pub struct Client {
    member: SocketAddr,
    asks: Agent,
    looks: Agent,
}

impl Client {
    /// A client of the member that listens there.
    pub(super) fn new(member: SocketAddr) -> Self {
        Self { member, asks: agent(PATIENCE), looks: agent(GLANCE) }
    }
}

impl hosts::Client for Client {
    fn call(&self, op: Op) -> Result<Answer, NoAnswer> {
        carry_out(&self.asks, self.member, ask(&op))
    }

    fn look(&self) -> Option<Look> {
        let said = post(&self.looks, self.member, "/v3/maintenance/status", &json!({}));
        let Ok((200, status)) = said else { return None };
        look(&status)
    }
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

/// How the member sees itself that says `status`; none if that cannot be read.
fn look(status: &Value) -> Option<Look> {
    // Numbers of 64 bits are strings in this JSON, and zero is left out.
    let number = |value: Option<&Value>| match value {
        None => Some(0),
        Some(value) => value.as_str()?.parse().ok(),
    };
    let name = number(status.get("header")?.get("member_id"))?;
    // Zero is nobody.
    let leader = Some(number(status.get("leader"))?).filter(|&leader| leader != 0);
    let role = if leader == Some(name) { Role::Leader } else { Role::Follower };
    let epoch = Epoch::new(number(status.get("raftTerm"))?);
    Some(Look { name, role, epoch, leader })
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
    fn a_status_is_read_as_etcd_writes_it() {
        let status = |leader: &str| json!({ "header": { "member_id": "7" }, "leader": leader, "raftTerm": "3" });
        let seen = |leader: &str| look(&status(leader)).map(|look| (look.role, look.leader));
        assert_eq!(seen("7"), Some((Role::Leader, Some(7))));
        assert_eq!(seen("8"), Some((Role::Follower, Some(8))));
        assert_eq!(seen("0"), Some((Role::Follower, None)));
        assert_eq!(seen("?"), None);
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
