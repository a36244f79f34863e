//! From words to commands.

use std::time::Duration;

use crate::Reply;

/// What is asked of a store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// `GET key`: the value, or nil.
    Get(Vec<u8>),
    /// `SET key value [NX | XX] [GET] [EX seconds | PX milliseconds]`: OK, or nil if the condition does
    /// not hold.
    Set {
        /// The key.
        key: Vec<u8>,
        /// What it is to hold.
        value: Vec<u8>,
        /// When it is set.
        condition: Condition,
        /// After how long it is gone; none for not at all, whatever was said before.
        expires_in: Option<Duration>,
        /// Whether to answer what it held before, or nil, instead; the condition holds or not.
        returns_old: bool,
    },
    /// `DEL key …`: how many were there.
    Del(Vec<Vec<u8>>),
    /// `EXISTS key …`: how many are there, a key that is named twice counted twice.
    Exists(Vec<Vec<u8>>),
    /// `INCR key`, `DECR key`, `INCRBY key n`, `DECRBY key n`: what it holds then. A key that is not there
    /// holds 0.
    Add {
        /// The key.
        key: Vec<u8>,
        /// How much.
        by: i64,
    },
    /// `MGET key …`: the value of each, or nil.
    MGet(Vec<Vec<u8>>),
    /// `MSET key value …`: OK. All are set, or none.
    MSet(Vec<(Vec<u8>, Vec<u8>)>),
    /// One of the store's [own](crate::Store::OWN), whatever its arguments are.
    Own {
        /// Which, as the store has it.
        name: &'static str,
        /// What came after it.
        args: Vec<Vec<u8>>,
    },
}

impl Command {
    /// Whether it changes nothing, as far as is known of it.
    pub fn reads(&self) -> bool {
        match self {
            Self::Get(_) | Self::Exists(_) | Self::MGet(_) => true,
            Self::Set { .. }
            | Self::Del(_)
            | Self::Add { .. }
            | Self::MSet(_)
            | Self::Own { .. } => false,
        }
    }

    /// How long its keys and values, or its arguments, are, in bytes.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Get(key) | Self::Add { key, .. } => key.len(),
            Self::Set { key, value, .. } => key.len() + value.len(),
            Self::Exists(words)
            | Self::MGet(words)
            | Self::Del(words)
            | Self::Own { args: words, .. } => words.iter().map(Vec::len).sum(),
            Self::MSet(pairs) => pairs.iter().map(|(key, value)| key.len() + value.len()).sum(),
        }
    }
}

/// When a key is set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Condition {
    /// In any case.
    #[default]
    Always,
    /// If it is not there.
    IfAbsent,
    /// If it is there.
    IfPresent,
}

/// What a client wants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Wish {
    /// Something of the store.
    Store(Command),
    /// What the store says of itself.
    Info,
    /// This answer, for which nobody needs to be asked.
    Answer(Reply),
    /// To go.
    Quit,
}

/// The longest word that an error repeats.
const SHOWN: usize = 64;

/// What `words`, of which there is one at least, ask for of a store with these commands of its `own`; or the
/// error that they are answered with.
pub(crate) fn read(words: &[&[u8]], own: &[&'static str]) -> Result<Wish, Reply> {
    let (name, args) = words.split_first().expect("there is a word");
    let upper = name.to_ascii_uppercase();
    let wrong =
        || Reply::err(format_args!("wrong number of arguments for '{}' command", shown(name)));
    let copied = |words: &[&[u8]]| words.iter().map(|word| word.to_vec()).collect::<Vec<_>>();
    let store = |command| Ok(Wish::Store(command));
    let answer = |reply| Ok(Wish::Answer(reply));
    match (&upper[..], args) {
        (b"GET", [key]) => store(Command::Get(key.to_vec())),
        (b"SET", [key, value, options @ ..]) => set(key, value, options).map(Wish::Store),
        (b"DEL", [_, ..]) => store(Command::Del(copied(args))),
        (b"EXISTS", [_, ..]) => store(Command::Exists(copied(args))),
        (b"MGET", [_, ..]) => store(Command::MGet(copied(args))),
        (b"MSET", [_, ..]) if args.len().is_multiple_of(2) => {
            let pairs = args.chunks(2).map(|pair| (pair[0].to_vec(), pair[1].to_vec()));
            store(Command::MSet(pairs.collect()))
        }
        (b"INCR", [key]) => store(Command::Add { key: key.to_vec(), by: 1 }),
        (b"DECR", [key]) => store(Command::Add { key: key.to_vec(), by: -1 }),
        (b"INCRBY", [key, by]) => store(Command::Add { key: key.to_vec(), by: number(by)? }),
        (b"DECRBY", [key, by]) => {
            let by = number(by)?.checked_neg().ok_or_else(no_number)?;
            store(Command::Add { key: key.to_vec(), by })
        }
        (b"INFO", _) => Ok(Wish::Info),
        (b"QUIT", []) => Ok(Wish::Quit),
        (b"PING", []) => answer(Reply::Word("PONG")),
        (b"PING", [text]) | (b"ECHO", [text]) => answer(Reply::Bytes(text.to_vec())),
        (b"SELECT", [b"0"]) => answer(Reply::Ok),
        (b"SELECT", [_]) => Err(Reply::err("DB index is out of range")),
        (b"HELLO", [] | [b"2", ..]) => answer(hello()),
        (b"HELLO", _) => Err(Reply::Error("NOPROTO unsupported protocol version".to_owned())),
        // What clients say of themselves, and ask of commands and settings, when they connect.
        (b"CLIENT", [_, ..]) => answer(Reply::Ok),
        (b"COMMAND", _) => answer(Reply::Array(Vec::new())),
        (b"CONFIG", [get, _, ..]) if get.eq_ignore_ascii_case(b"GET") => {
            answer(Reply::Array(Vec::new()))
        }
        (
            b"GET" | b"SET" | b"DEL" | b"EXISTS" | b"MGET" | b"MSET" | b"INCR" | b"DECR"
            | b"INCRBY" | b"DECRBY" | b"QUIT" | b"PING" | b"ECHO" | b"SELECT" | b"CLIENT"
            | b"CONFIG",
            _,
        ) => Err(wrong()),
        _ => match own.iter().find(|own| own.as_bytes() == upper) {
            Some(name) => store(Command::Own { name, args: copied(args) }),
            None => Err(Reply::err(format_args!("unknown command '{}'", shown(name)))),
        },
    }
}

fn set(key: &[u8], value: &[u8], options: &[&[u8]]) -> Result<Command, Reply> {
    let syntax = || Reply::err("syntax error");
    let (mut condition, mut expires_in, mut returns_old) = (Condition::Always, None, false);
    let mut rest = options.iter();
    while let Some(option) = rest.next() {
        match &option.to_ascii_uppercase()[..] {
            b"NX" if condition != Condition::IfPresent => condition = Condition::IfAbsent,
            b"XX" if condition != Condition::IfAbsent => condition = Condition::IfPresent,
            b"GET" => returns_old = true,
            unit @ (b"EX" | b"PX") if expires_in.is_none() => {
                let count = number(rest.next().ok_or_else(syntax)?)?;
                let span = if unit == b"EX" { count.checked_mul(1000) } else { Some(count) };
                let millis =
                    span.and_then(|span| u64::try_from(span).ok()).filter(|&span| span > 0);
                let millis =
                    millis.ok_or_else(|| Reply::err("invalid expire time in 'set' command"));
                expires_in = Some(Duration::from_millis(millis?));
            }
            _ => return Err(syntax()),
        }
    }
    let (key, value) = (key.to_vec(), value.to_vec());
    Ok(Command::Set { key, value, condition, expires_in, returns_old })
}

fn number(word: &[u8]) -> Result<i64, Reply> {
    let number = std::str::from_utf8(word).ok().and_then(|word| word.parse().ok());
    number.ok_or_else(no_number)
}

fn no_number() -> Reply {
    Reply::err("value is not an integer or out of range")
}

fn shown(word: &[u8]) -> String {
    let word = word.get(..SHOWN).unwrap_or(word);
    word.escape_ascii().to_string()
}

fn hello() -> Reply {
    let bytes = |text: &str| Reply::Bytes(text.as_bytes().to_vec());
    let version = env!("CARGO_PKG_VERSION");
    Reply::Array(vec![
        bytes("server"),
        bytes("resp"),
        bytes("version"),
        bytes(version),
        bytes("proto"),
        Reply::Integer(2),
        bytes("mode"),
        bytes("standalone"),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<&[u8]> {
        line.split_whitespace().map(str::as_bytes).collect()
    }

    #[track_caller]
    fn check(line: &str, command: Command) {
        assert_eq!(read(&words(line), &["TEMPER"]), Ok(Wish::Store(command)));
    }

    #[track_caller]
    fn refused(line: &str, error: &str) {
        assert_eq!(read(&words(line), &["TEMPER"]), Err(Reply::Error(error.to_owned())));
    }

    fn key() -> Vec<u8> {
        b"k".to_vec()
    }

    #[test]
    fn commands_are_read_with_their_options() {
        let plain = |condition, expires_in, returns_old| Command::Set {
            key: key(),
            value: b"v".to_vec(),
            condition,
            expires_in,
            returns_old,
        };
        check("get k", Command::Get(key()));
        check("SET k v", plain(Condition::Always, None, false));
        check("SET k v nx", plain(Condition::IfAbsent, None, false));
        let ten = Some(Duration::from_secs(10));
        check("SET k v EX 10 XX GET", plain(Condition::IfPresent, ten, true));
        check("SET k v PX 10000", plain(Condition::Always, ten, false));
        check("DEL k k", Command::Del(vec![key(), key()]));
        check("MSET k v", Command::MSet(vec![(key(), b"v".to_vec())]));
        check("DECRBY k 5", Command::Add { key: key(), by: -5 });
        let own = |args| Command::Own { name: "TEMPER", args };
        check("temper", own(Vec::new()));
        check("TEMPER k k", own(vec![key(), key()]));
    }

    #[test]
    fn mistakes_are_answered_in_the_words_of_redis() {
        refused("GET", "ERR wrong number of arguments for 'GET' command");
        refused("MSET k", "ERR wrong number of arguments for 'MSET' command");
        refused("SET k v NX XX", "ERR syntax error");
        refused("SET k v EX", "ERR syntax error");
        refused("SET k v EX 1 PX 1", "ERR syntax error");
        refused("SET k v EX 0", "ERR invalid expire time in 'set' command");
        refused("SET k v EX 9223372036854775807", "ERR invalid expire time in 'set' command");
        refused("INCRBY k x", "ERR value is not an integer or out of range");
        refused("DECRBY k -9223372036854775808", "ERR value is not an integer or out of range");
        refused("SELECT 1", "ERR DB index is out of range");
        refused("HELLO 3", "NOPROTO unsupported protocol version");
        refused("FROB k", "ERR unknown command 'FROB'");
    }
}
