//! What stands between the commands of Redis and the store.

use std::sync::Arc;
use std::time::Duration;

use cluster::threads::Client;
use cluster::{NodeId, Port};
use quorum::{Error, Key, Replica, Request, StoreError, Value};
use resp::{Command, Condition, Reply, Store};

/// How long the node may take to answer: longer than it tries, so that it says what became of it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Has the node in this process coordinate what its clients ask, one after the other.
///
/// A key is a register that is read or written as a whole. What would have to read and write at one
/// moment (`SET` with `NX`, `XX` or `GET`, `INCR`, `MSET`), and keys that expire, it refuses; `DEL`
/// answers how many of the keys were there a moment before.
pub(crate) struct Front {
    here: NodeId,
    port: Arc<dyn Port<Replica>>,
}

/// One connection's way to the node, once it has asked for something.
#[derive(Default)]
pub(crate) struct Asking(Option<Client<Replica>>);

/// The way, as long as something is carried out.
struct Node<'a> {
    here: NodeId,
    client: &'a mut Client<Replica>,
}

impl Front {
    pub(crate) fn new(here: NodeId, port: Arc<dyn Port<Replica>>) -> Self {
        Self { here, port }
    }
}

impl Store for Front {
    type Session = Asking;

    fn carry_out(&self, asking: &mut Asking, commands: Vec<Command>, replies: &mut Vec<Reply>) {
        let client = asking.0.get_or_insert_with(|| Client::over(Arc::clone(&self.port)));
        let mut node = Node { here: self.here, client };
        let reply = |command| node.carry_out(command).unwrap_or_else(|refused| refused);
        replies.extend(commands.into_iter().map(reply));
    }

    fn info(&self) -> String {
        let mut client = Client::over(Arc::clone(&self.port));
        let said = match client.call(self.here, Request::Status, PATIENCE) {
            Ok(Ok(quorum::Reply::Status(status))) => format!(
                "keys:{}\r\nhints:{}\r\nguarantee:{:?}\r\n",
                status.keys, status.hints, status.guarantee
            ),
            other => format!("why:{other:?}\r\n"),
        };
        format!("# Replication\r\nnode:{}\r\n{said}", self.here)
    }
}

impl Node<'_> {
    /// The reply, or the error that it is answered with.
    fn carry_out(&mut self, command: Command) -> Result<Reply, Reply> {
        match command {
            Command::Get(key) => self.get(key),
            Command::MGet(keys) => {
                let values: Result<_, _> = keys.into_iter().map(|key| self.get(key)).collect();
                Ok(Reply::Array(values?))
            }
            Command::Exists(keys) => self.count(keys.into_iter(), |_, _| Ok(())),
            Command::Del(keys) => {
                self.count(keys.into_iter(), |node, key| node.ask(Request::delete(key)).map(drop))
            }
            Command::Set {
                key,
                value,
                condition: Condition::Always,
                expires_in: None,
                returns_old: false,
            } => {
                self.ask(Request::put(named(key)?, Value::from(value)))?;
                Ok(Reply::Ok)
            }
            Command::Set { .. } | Command::MSet(_) | Command::Add { .. } => {
                Err(Reply::err("a key here is only read or written, as a whole and for good"))
            }
        }
    }

    fn get(&mut self, key: Vec<u8>) -> Result<Reply, Reply> {
        let value = self.value(named(key)?)?;
        Ok(value.map_or(Reply::Nil, |value| Reply::Bytes(value.as_bytes().to_vec())))
    }

    fn value(&mut self, key: Key) -> Result<Option<Value>, Reply> {
        match self.ask(Request::get(key))? {
            quorum::Reply::Value { value, .. } => Ok(value),
            quorum::Reply::Written { .. } | quorum::Reply::Status(_) => {
                Err(failed(&StoreError::Mismatch))
            }
        }
    }

    /// How many of the keys are there; to those `then` is done.
    fn count(
        &mut self,
        keys: impl Iterator<Item = Vec<u8>>,
        then: impl Fn(&mut Self, Key) -> Result<(), Reply>,
    ) -> Result<Reply, Reply> {
        let mut count = 0;
        for key in keys {
            let key = named(key)?;
            if self.value(key.clone())?.is_some() {
                count += 1;
                then(self, key)?;
            }
        }
        Ok(Reply::Integer(count))
    }

    fn ask(&mut self, request: Request) -> Result<quorum::Reply, Reply> {
        let answer = self.client.call(self.here, request, PATIENCE);
        answer.map_err(StoreError::from).and_then(|said| Ok(said?)).map_err(|error| failed(&error))
    }
}

fn named(key: Vec<u8>) -> Result<Key, Reply> {
    let name = String::from_utf8(key);
    name.map(Key::from).map_err(|_| Reply::err("a key here is text (UTF-8)"))
}

/// In the words that Redis has for it. Only `UNKNOWN` may have had an effect, or have one yet.
fn failed(error: &StoreError) -> Reply {
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
