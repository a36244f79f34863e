//! What stands between the commands of Redis and the store.

use cluster::NodeId;
use quorum::{Call, Config, Error, Key, Request, Store, StoreError, Value};
use resp::{Command, Condition, REPLY_MAX, Reply, Turn};

use crate::consistency::Consistency;

/// How many keys of one command are asked for at the same time.
const TOGETHER: usize = 64;

/// Has the node in this process coordinate what its clients ask: one client's commands one after the other,
/// those of several clients together, so that none waits for another's.
///
/// A key is a register that is read or written as a whole. What would have to read and write at one
/// moment (`SET` with `NX`, `XX` or `GET`, `INCR`, `MSET`), and keys that expire, it refuses; `DEL`
/// answers how many of the keys were there a moment before.
#[derive(Clone)]
pub(crate) struct Front {
    here: NodeId,
    store: Store,
    config: Config,
}

impl Front {
    /// In front of the node `here`, of the nodes of `store`, which are configured so.
    pub(crate) fn new(here: NodeId, store: Store, config: Config) -> Self {
        Self { here, store, config }
    }
}

impl resp::Store for Front {
    type Session = Consistency;

    const OWN: &'static [&'static str] = &[Consistency::COMMAND];

    fn carry_out(
        &self,
        consistency: &mut Consistency,
        commands: Vec<Command>,
        replies: &mut Vec<Reply>,
    ) {
        let mut turn = Turn { session: *consistency, commands, replies: Vec::new() };
        self.carry_out_all(&mut [&mut turn]);
        *consistency = turn.session;
        replies.append(&mut turn.replies);
    }

    fn carry_out_all(&self, turns: &mut [&mut Turn<Consistency>]) {
        let begun = turns.iter_mut().map(|turn| {
            let (front, session) = (self.clone(), turn.session);
            let commands = std::mem::take(&mut turn.commands);
            cluster::call::Call::run(async move { front.converse(session, commands).await })
        });
        let begun: Vec<_> = begun.collect();
        for (turn, call) in turns.iter_mut().zip(begun) {
            (turn.session, turn.replies) = call.wait();
        }
    }

    fn info(&self) -> String {
        let said = match self.store.status(self.here).wait() {
            Ok(status) => format!("keys:{}\r\nhints:{}\r\n", status.keys, status.hints),
            Err(error) => format!("why:{error}\r\n"),
        };
        let own = Consistency::default().told(&self.config);
        format!("# Replication\r\nnode:{}\r\nconsistency:{own}\r\n{said}", self.here)
    }
}

impl Front {
    /// The replies to one client's commands, and what it has chosen by their end.
    async fn converse(
        self,
        mut consistency: Consistency,
        commands: Vec<Command>,
    ) -> (Consistency, Vec<Reply>) {
        let mut replies = Vec::with_capacity(commands.len());
        for command in commands {
            let reply = self.carry_out_one(&mut consistency, command).await;
            replies.push(reply.unwrap_or_else(|refused| refused));
        }
        (consistency, replies)
    }

    /// The reply, or the error that it is answered with.
    async fn carry_out_one(
        &self,
        consistency: &mut Consistency,
        command: Command,
    ) -> Result<Reply, Reply> {
        match command {
            Command::Get(key) => {
                let value = held(self.get(*consistency, key)?).await?;
                Ok(told(value.as_ref()))
            }
            Command::MGet(keys) => self.mget(*consistency, keys).await,
            Command::Exists(keys) => self.count(*consistency, keys).await,
            Command::Del(keys) => self.del(*consistency, keys).await,
            Command::Set {
                key,
                value,
                condition: Condition::Always,
                expires_in: None,
                returns_old: false,
            } => {
                let (key, value) = (named(key)?, Value::from(value));
                let write_quorum = consistency.write;
                self.ask(Request::Put { key, value, write_quorum }).await.map_err(failed)?;
                Ok(Reply::Ok)
            }
            Command::Own { args, .. } => {
                if args.is_empty() {
                    return Ok(Reply::Bytes(consistency.told(&self.config).into_bytes()));
                }
                *consistency = Consistency::wished(&args, &self.config)?;
                Ok(Reply::Ok)
            }
            Command::Set { .. } | Command::MSet(_) | Command::Add { .. } => {
                Err(Reply::err("a key here is only read or written, as a whole and for good"))
            }
        }
    }

    async fn mget(&self, consistency: Consistency, keys: Vec<Vec<u8>>) -> Result<Reply, Reply> {
        let (mut values, mut bytes) = (Vec::with_capacity(keys.len()), 0);
        for some in keys.chunks(TOGETHER) {
            for call in self.get_all(consistency, some)? {
                let value = held(call).await?;
                bytes += value.as_ref().map_or(0, |value| value.as_bytes().len());
                if keys.len() > 1 && bytes > REPLY_MAX {
                    return Err(Reply::too_long());
                }
                values.push(told(value.as_ref()));
            }
        }
        Ok(Reply::Array(values))
    }

    async fn count(&self, consistency: Consistency, keys: Vec<Vec<u8>>) -> Result<Reply, Reply> {
        let mut count = 0;
        for some in keys.chunks(TOGETHER) {
            for call in self.get_all(consistency, some)? {
                count += i64::from(held(call).await?.is_some());
            }
        }
        Ok(Reply::Integer(count))
    }

    /// One after the other: a key that is named twice is there once.
    async fn del(&self, consistency: Consistency, keys: Vec<Vec<u8>>) -> Result<Reply, Reply> {
        let mut count = 0;
        for key in keys {
            if held(self.get(consistency, key.clone())?).await?.is_some() {
                let (key, write_quorum) = (named(key)?, consistency.write);
                self.ask(Request::Delete { key, write_quorum }).await.map_err(failed)?;
                count += 1;
            }
        }
        Ok(Reply::Integer(count))
    }

    /// All at the same time.
    fn get_all(
        &self,
        consistency: Consistency,
        keys: &[Vec<u8>],
    ) -> Result<Vec<Call<quorum::Reply>>, Reply> {
        keys.iter().map(|key| self.get(consistency, key.clone())).collect()
    }

    fn get(&self, consistency: Consistency, key: Vec<u8>) -> Result<Call<quorum::Reply>, Reply> {
        Ok(self.ask(Request::Get { key: named(key)?, read_quorum: consistency.read }))
    }

    fn ask(&self, request: Request) -> Call<quorum::Reply> {
        self.store.ask_node(self.here, request)
    }
}

/// What a read found.
async fn held(call: Call<quorum::Reply>) -> Result<Option<Value>, Reply> {
    match call.await.map_err(failed)? {
        quorum::Reply::Value { value, .. } => Ok(value),
        quorum::Reply::Written { .. } | quorum::Reply::Status(_) => {
            Err(failed(StoreError::Mismatch))
        }
    }
}

fn told(value: Option<&Value>) -> Reply {
    value.map_or(Reply::Nil, |value| Reply::Bytes(value.as_bytes().to_vec()))
}

fn named(key: Vec<u8>) -> Result<Key, Reply> {
    let name = String::from_utf8(key);
    name.map(Key::from).map_err(|_| Reply::err("a key here is text (UTF-8)"))
}

/// In the words that Redis has for it. Only `UNKNOWN` may have had an effect, or have one yet.
fn failed(error: StoreError) -> Reply {
    let kind = match error {
        StoreError::Refused(Error::Unavailable { .. } | Error::TimedOut { .. }) => "CLUSTERDOWN",
        StoreError::Refused(Error::Overloaded { .. }) => "TRYAGAIN",
        StoreError::Refused(Error::InvalidQuorum { .. }) => "ERR",
        StoreError::Refused(Error::Unknown { .. }) => "UNKNOWN",
        StoreError::NoAnswer(_) if error.is_without_effect() => "CLUSTERDOWN",
        StoreError::NoAnswer(_) | StoreError::Mismatch => "UNKNOWN",
    };
    Reply::Error(format!("{kind} {error}"))
}
