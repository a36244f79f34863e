//! What stands between the commands of Redis and the machine.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use cluster::{NodeId, Role};
use raft::{CallError, Handle, Status};
use resp::{Command, Condition, Reply, Store, Turn, together};

use crate::map::{Answer, Batch, Look, Map, Millis, Outcome, Wanted, When, Write};

/// How long a node may take to say how it is.
const STATUS_PATIENCE: Duration = Duration::from_secs(1);

/// How many bytes of keys and values go into one entry, unless one command has more: half of what a
/// raft takes by default.
const ENTRY: usize = 512 << 10;

/// A store of whose commands each run of writes is one entry, and each run of reads one query.
pub(crate) struct Front {
    here: NodeId,
    map: Handle<Map>,
}

/// A command, as the machine takes it.
enum Ask {
    Write(Write),
    Read(Read),
    /// It needs nothing of the machine.
    Told(Reply),
}

/// Keys, and how their values are told.
type Read = (Vec<Wanted>, fn(Values) -> Reply);
/// What keys hold, one after the other.
type Values = Vec<Option<Bytes>>;

impl Front {
    /// In front of the node `here`, of the nodes behind `map`.
    pub(crate) fn new(here: NodeId, map: Handle<Map>) -> Self {
        Self { here, map }
    }

    /// What became of `writes`, one reply for each.
    fn write(&self, now: Millis, writes: Vec<Write>) -> Vec<Reply> {
        let count = writes.len();
        match self.map.write(Batch { now, writes }).wait() {
            Ok(outcomes) => outcomes.into_iter().map(told).collect(),
            Err(error) => vec![failed(&error); count],
        }
    }

    /// The replies to `reads`, of which there is one at least: by one query, if that can answer them all.
    fn read(&self, now: Millis, reads: &[Read]) -> Vec<Reply> {
        let keys: Vec<_> = reads.iter().flat_map(|(keys, _)| keys).cloned().collect();
        match self.look(now, keys) {
            Ok(Some(values)) => {
                let mut values = values.into_iter();
                let told = |(keys, tell): &Read| tell(values.by_ref().take(keys.len()).collect());
                reads.iter().map(told).collect()
            }
            Ok(None) if reads.len() > 1 => {
                let (one, other) = reads.split_at(reads.len() / 2);
                [self.read(now, one), self.read(now, other)].concat()
            }
            Ok(None) => vec![Reply::too_long()],
            Err(error) => vec![failed(&error); reads.len()],
        }
    }

    /// What these keys hold; none if it is too long for one answer.
    fn look(&self, now: Millis, keys: Vec<Wanted>) -> Result<Option<Values>, CallError> {
        loop {
            match self.map.read(Look { now, keys: keys.clone() }).wait()? {
                Answer::Values(values) => return Ok(Some(values)),
                Answer::TooLong => return Ok(None),
                Answer::Late => drop(self.map.write(Batch { now, writes: Vec::new() }).wait()?),
            }
        }
    }
}

impl Store for Front {
    type Session = ();

    fn carry_out(&self, (): &mut (), commands: Vec<Command>, replies: &mut Vec<Reply>) {
        let now = now();
        let mut asks = commands.into_iter().map(|command| asked(now, command)).peekable();
        while let Some(ask) = asks.next() {
            match ask {
                Ask::Write(write) => {
                    let mut writes = vec![write];
                    while let Some(Ask::Write(write)) =
                        asks.next_if(|next| matches!(next, Ask::Write(_)))
                    {
                        writes.push(write);
                    }
                    replies.extend(self.write(now, writes));
                }
                Ask::Read(read) => {
                    let mut reads = vec![read];
                    while let Some(Ask::Read(read)) =
                        asks.next_if(|next| matches!(next, Ask::Read(_)))
                    {
                        reads.push(read);
                    }
                    replies.extend(self.read(now, &reads));
                }
                Ask::Told(reply) => replies.push(reply),
            }
        }
    }

    /// To the map, one client is as another.
    fn carry_out_all(&self, turns: &mut [&mut Turn<()>]) {
        together(turns, ENTRY, |run, replies| self.carry_out(&mut (), run, replies));
    }

    /// How this node is, in Redis's words where it has such, and then one line for each.
    fn info(&self) -> String {
        let hurried = self.map.with_timeout(STATUS_PATIENCE);
        let nodes = self.map.members().iter();
        let calls: Vec<_> = nodes.map(|&node| (node, hurried.status(node))).collect();
        let said: Vec<_> = calls.into_iter().map(|(node, call)| (node, call.wait())).collect();
        let mut info = "# Replication\r\n".to_owned();
        for (_, status) in said.iter().filter(|(node, _)| *node == self.here) {
            match status {
                Ok(status) => info.push_str(&standing(status)),
                Err(error) => info.push_str(&format!("role:unknown\r\nwhy:{error}\r\n")),
            }
        }
        info.push_str("# Nodes\r\n");
        for (node, status) in said {
            info.push_str(&match status {
                Ok(Status { role, term, commit, applied, .. }) => format!(
                    "{node}:role={role:?},term={},commit={},applied={}\r\n",
                    term.get(),
                    commit.get(),
                    applied.get()
                ),
                Err(error) => format!("{node}:{error}\r\n"),
            });
        }
        info
    }
}

/// Redis knows masters and slaves only.
fn standing(status: &Status) -> String {
    let role = match status.role {
        Role::Leader => "master",
        Role::Follower | Role::Candidate | Role::Replica => "slave",
    };
    let leader = status.leader.map_or("none".to_owned(), |leader| leader.to_string());
    let Status { node, term, commit, applied, .. } = status;
    format!(
        "role:{role}\r\nnode:{node}\r\nleader:{leader}\r\nterm:{}\r\ncommit:{}\r\napplied:{}\r\n",
        term.get(),
        commit.get(),
        applied.get()
    )
}

fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn asked(now: Millis, command: Command) -> Ask {
    let one = |mut values: Values| found(values.pop().flatten());
    match command {
        Command::Get(key) => Ask::Read((vec![Wanted::Value(key.into())], one)),
        Command::MGet(keys) => {
            let keys = keys.into_iter().map(|key| Wanted::Value(key.into())).collect();
            Ask::Read((keys, |values| Reply::Array(values.into_iter().map(found).collect())))
        }
        Command::Exists(keys) => {
            let keys = keys.into_iter().map(|key| Wanted::Presence(key.into())).collect();
            Ask::Read((keys, |values| Reply::Integer(values.iter().flatten().count() as i64)))
        }
        Command::Set { key, value, condition, expires_in, returns_old } => {
            let when = match condition {
                Condition::Always => When::Always,
                Condition::IfAbsent => When::IfAbsent,
                Condition::IfPresent => When::IfPresent,
            };
            let until = expires_in.map(|span| {
                now.saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
            });
            let (key, value) = (key.into(), value.into());
            Ask::Write(Write::Set { key, value, when, until, returns_old })
        }
        Command::MSet(pairs) => {
            let pairs = pairs.into_iter().map(|(key, value)| (key.into(), value.into()));
            Ask::Write(Write::SetAll(pairs.collect()))
        }
        Command::Del(keys) => {
            Ask::Write(Write::Remove(keys.into_iter().map(Bytes::from).collect()))
        }
        Command::Add { key, by } => Ask::Write(Write::Add { key: key.into(), by }),
        Command::Own { name, .. } => Ask::Told(Reply::err(format_args!("no {name} here"))),
    }
}

fn found(value: Option<Bytes>) -> Reply {
    value.map_or(Reply::Nil, |value| Reply::Bytes(value.to_vec()))
}

fn told(outcome: Outcome) -> Reply {
    match outcome {
        Outcome::Done => Reply::Ok,
        Outcome::NotSet => Reply::Nil,
        Outcome::Old(value) => found(value),
        Outcome::Count(count) => Reply::Integer(count),
        Outcome::NoNumber => Reply::err("value is not an integer or out of range"),
        Outcome::Overflow => Reply::err("increment or decrement would overflow"),
    }
}

/// In the words that Redis has for it. Only `UNKNOWN` may have had an effect, or have one yet.
fn failed(error: &CallError) -> Reply {
    let kind = match error {
        CallError::Unavailable { .. } => "CLUSTERDOWN",
        CallError::Overloaded => "TRYAGAIN",
        CallError::Unknown { .. } => "UNKNOWN",
        CallError::TooLarge { .. }
        | CallError::NoSuchMember
        | CallError::NotCaughtUp
        | CallError::UnfitMember
        | CallError::LastVoter
        | CallError::Witness(_) => "ERR",
    };
    Reply::Error(format!("{kind} {error}"))
}
