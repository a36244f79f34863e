//! The machine: a map whose keys can expire.
//!
//! Time is in the commands. Each carries the time of day at which it was proposed, and the map's clock is
//! the latest of these: so every node forgets a key at the same place in the log, whatever its own clock
//! says. A read that finds a key past its time by the reader's clock, and not yet by the map's, says so
//! ([`Answer::Late`]), and whoever reads moves the map's clock first: no key comes back once it was seen
//! to be gone.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use raft::{Image, LogIndex, StateMachine};
use resp::REPLY_MAX;
use serde::{Deserialize, Serialize};

/// Milliseconds since 1970.
pub(crate) type Millis = u64;

/// What is written, in order and at once.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub(crate) struct Batch {
    /// When it was proposed.
    pub(crate) now: Millis,
    pub(crate) writes: Vec<Write>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub(crate) enum Write {
    Set { key: Bytes, value: Bytes, when: When, until: Option<Millis>, returns_old: bool },
    SetAll(Vec<(Bytes, Bytes)>),
    Remove(Vec<Bytes>),
    Add { key: Bytes, by: i64 },
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub(crate) enum When {
    Always,
    IfAbsent,
    IfPresent,
}

/// What a write came to.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub(crate) enum Outcome {
    Done,
    /// The condition did not hold.
    NotSet,
    Old(Option<Bytes>),
    Count(i64),
    NoNumber,
    Overflow,
}

/// What these keys hold, at this time.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub(crate) struct Look {
    pub(crate) now: Millis,
    pub(crate) keys: Vec<Wanted>,
}

/// A key, and what is wanted of it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub(crate) enum Wanted {
    Value(Bytes),
    /// Only whether it is there: then it is told to be empty.
    Presence(Bytes),
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Values(Vec<Option<Bytes>>),
    /// One of them is past its time, and the map does not know yet.
    Late,
    /// They are more than one reply holds.
    TooLong,
}

#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Map {
    now: Millis,
    held: BTreeMap<Bytes, Held>,
    /// Invariant: the `until` of each key that has one, and nothing else.
    deadlines: BTreeSet<(Millis, Bytes)>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Held {
    value: Bytes,
    until: Option<Millis>,
}

impl Map {
    fn expire(&mut self) {
        while let Some((until, _)) = self.deadlines.first()
            && *until <= self.now
        {
            let (_, key) = self.deadlines.pop_first().expect("it was there");
            self.held.remove(&key);
        }
    }

    fn remove(&mut self, key: &Bytes) -> Option<Bytes> {
        let Held { value, until } = self.held.remove(key)?;
        if let Some(until) = until {
            self.deadlines.remove(&(until, key.clone()));
        }
        Some(value)
    }

    fn put(&mut self, key: &Bytes, value: Bytes, until: Option<Millis>) -> Option<Bytes> {
        let old = self.remove(key);
        self.deadlines.extend(until.map(|until| (until, key.clone())));
        self.held.insert(key.clone(), Held { value, until });
        old
    }

    fn write(&mut self, write: &Write) -> Outcome {
        match write {
            Write::Set { key, value, when, until, returns_old } => {
                let there = self.held.contains_key(key);
                let sets = match when {
                    When::Always => true,
                    When::IfAbsent => !there,
                    When::IfPresent => there,
                };
                let old = if sets {
                    self.put(key, value.clone(), *until)
                } else {
                    self.held.get(key).map(|held| held.value.clone())
                };
                match (returns_old, sets) {
                    (true, _) => Outcome::Old(old),
                    (false, true) => Outcome::Done,
                    (false, false) => Outcome::NotSet,
                }
            }
            Write::SetAll(pairs) => {
                for (key, value) in pairs {
                    self.put(key, value.clone(), None);
                }
                Outcome::Done
            }
            Write::Remove(keys) => {
                Outcome::Count(keys.iter().filter(|key| self.remove(key).is_some()).count() as i64)
            }
            Write::Add { key, by } => self.add(key, *by),
        }
    }

    /// A key keeps its time.
    fn add(&mut self, key: &Bytes, by: i64) -> Outcome {
        let held = self.held.get(key);
        let until = held.and_then(|held| held.until);
        let number =
            held.map_or(Some(0), |held| std::str::from_utf8(&held.value).ok()?.parse().ok());
        let Some(number): Option<i64> = number else { return Outcome::NoNumber };
        let Some(sum) = number.checked_add(by) else { return Outcome::Overflow };
        self.put(key, sum.to_string().into(), until);
        Outcome::Count(sum)
    }
}

impl StateMachine for Map {
    type Command = Batch;
    type Output = Vec<Outcome>;
    type Query = Look;
    type Answer = Answer;
    type Snapshot = Image<Self>;

    fn apply(&mut self, _: LogIndex, batch: &Batch) -> Vec<Outcome> {
        self.now = self.now.max(batch.now);
        self.expire();
        batch.writes.iter().map(|write| self.write(write)).collect()
    }

    fn query(&self, look: &Look) -> Answer {
        let late = |held: &Held| held.until.is_some_and(|until| until <= look.now);
        let (mut found, mut bytes) = (Vec::with_capacity(look.keys.len()), 0);
        for wanted in &look.keys {
            let (Wanted::Value(key) | Wanted::Presence(key)) = wanted;
            let held = self.held.get(key);
            if held.is_some_and(late) {
                return Answer::Late;
            }
            let value = held.map(|held| match wanted {
                Wanted::Value(_) => held.value.clone(),
                Wanted::Presence(_) => Bytes::new(),
            });
            bytes += value.as_ref().map_or(0, Bytes::len);
            found.push(value);
        }
        // One key may be named so often that no memory holds all the copies that a reply is made of.
        if found.len() > 1 && bytes > REPLY_MAX {
            return Answer::TooLong;
        }
        Answer::Values(found)
    }

    fn size_of(batch: &Batch) -> usize {
        let size = |write: &Write| match write {
            Write::Set { key, value, .. } => key.len() + value.len(),
            Write::SetAll(pairs) => pairs.iter().map(|(key, value)| key.len() + value.len()).sum(),
            Write::Remove(keys) => keys.iter().map(Bytes::len).sum(),
            Write::Add { key, .. } => key.len(),
        };
        batch.writes.iter().map(size).sum()
    }
}
