//! Being a replica: answering for what is held, once it is safe.

use cluster::NodeId;

use crate::message::{Message, Record};
use crate::mutants::Mutant;
use crate::node::{Out, Replica};
use crate::version::{Entry, Key, OpId};

impl Replica {
    pub(crate) fn on_read(&mut self, from: NodeId, op: OpId, key: &Key, out: &mut Out) {
        let Some(safe) = self.is_safe(key) else { return };
        let entry = self.entry(key);
        self.answer(from, Message::Held { op, entry }, safe, out);
    }

    pub(crate) fn on_query(&mut self, from: NodeId, op: OpId, key: &Key, out: &mut Out) {
        if self.is_safe(key).is_some() {
            // Nothing is promised: a version that a crash undoes was a bound all the same.
            let version = self.storage.version(key);
            self.answer_now(from, Message::Tag { op, version }, out);
        }
    }

    /// Stores `entry` if it is news, and acknowledges once it, or what is held in its place, is
    /// durable.
    pub(crate) fn on_store(
        &mut self,
        from: NodeId,
        key: Key,
        entry: Entry,
        ack: Message,
        overwrite: Overwrite,
        out: &mut Out,
    ) {
        if !entry.version.is_credible() {
            self.counts.dropped += 1;
            return;
        }
        let Some(safe) = self.is_safe(&key) else { return };
        let mut safe = safe;
        if overwrite == Overwrite::Yes || self.storage.is_news(&key, entry.version) {
            let record = Record::Stored { key: key.clone(), entry: entry.clone() };
            let persisted = out.persist(record);
            self.storage.put(key, entry, persisted);
            safe = Safe::No;
        }
        self.answer(from, ack, safe, out);
    }

    /// Whether what is held of `key` survives a crash. None, and counted, if this node is no
    /// replica of it.
    fn is_safe(&mut self, key: &Key) -> Option<Safe> {
        if !self.ring.replicas(key).contains(&self.id) {
            self.counts.dropped += 1;
            return None;
        }
        let persisted = self.storage.slot(key).map(|slot| slot.persisted);
        let safe = persisted.unwrap_or_default() <= self.durable
            || self.config.planted.is(Mutant::AckBeforeDurable);
        Some(if safe { Safe::Yes } else { Safe::No })
    }

    /// Answers `to`, after the next sync if what the answer promises is not safe yet.
    fn answer(&mut self, to: NodeId, message: Message, safe: Safe, out: &mut Out) {
        let safe = match self.config.planted.is(Mutant::AckBeforeDurable) {
            true => Safe::Yes,
            false => safe,
        };
        match safe {
            Safe::Yes => self.answer_now(to, message, out),
            Safe::No if to == self.id => self.held.push_back((out.persisted(), message)),
            Safe::No => out.send(to, message),
        }
    }

    pub(crate) fn answer_now(&mut self, to: NodeId, message: Message, out: &mut Out) {
        self.post(to, message, out);
    }

    /// Sends what promises nothing, to another node or to itself.
    pub(crate) fn post(&mut self, to: NodeId, message: Message, out: &mut Out) {
        if to == self.id {
            self.inbox.push_back(message);
        } else {
            out.send_now(to, message);
        }
    }
}

/// Whether a replica stores what is not news.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Overwrite {
    /// Never.
    No,
    /// What a mutant does.
    Yes,
}

/// Whether something survives any crash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Safe {
    Yes,
    No,
}
