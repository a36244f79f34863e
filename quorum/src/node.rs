//! One node: a replica of its keys, and the coordinator of whatever clients ask it.

use std::collections::VecDeque;

use cluster::{
    Boot, CorruptRecords, EffectsOf, Epoch, Input, InputOf, InvalidConfig, Members, Node, NodeId,
    Now, PersistCount, RequestId, Rng, Role, Standing, Timestamp,
};

use crate::config::Config;
use crate::error::Error;
use crate::hints::{Hints, Kept};
use crate::message::{Event, Message, Record, Reply, Request, Response, Status};
use crate::mutants::Mutant;
use crate::operation::Operations;
use crate::peers::Peers;
use crate::replica::Overwrite;
use crate::ring::Ring;
use crate::storage::Storage;
use crate::version::{Entry, Incarnation, Key, OpId, Version};

/// One node of a store.
///
/// As a replica it keeps the greatest version of each of its keys and answers for it only once it
/// is on disk. As a coordinator it carries out requests for any key, by messages to the key's
/// replicas; if it is one of them, it sends itself the same messages, without the network.
#[derive(Clone, Debug)]
pub struct Replica {
    pub(crate) id: NodeId,
    pub(crate) members: Members,
    pub(crate) config: Config,
    pub(crate) ring: Ring,
    pub(crate) incarnation: Incarnation,
    /// The seed of this life, which tells it from others even if incarnations fail to.
    pub(crate) life: u64,
    pub(crate) storage: Storage,
    pub(crate) hints: Hints,
    pub(crate) peers: Peers,
    pub(crate) operations: Operations,
    /// How many operations it has begun in this life.
    pub(crate) op_count: u64,
    /// How much of what it persisted is durable.
    pub(crate) durable: PersistCount,
    /// Requests that came before this life's incarnation was durable.
    pub(crate) early: Vec<(RequestId, Request)>,
    /// Messages to itself.
    pub(crate) inbox: VecDeque<Message>,
    /// Messages to itself that wait for the disk; ascending.
    pub(crate) held: VecDeque<(PersistCount, Message)>,
    next_probe: Timestamp,
    pub(crate) counts: Counts,
    /// What a mutant counts instead of asking a quorum.
    pub(crate) own_counter: u64,
}

/// What a node counts since it booted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// Messages that no right node can have sent here.
    pub(crate) dropped: u64,
    /// Answers that came after the operation was over, or twice.
    pub(crate) late: u64,
    /// Replicas that a read has sent a version which they lacked.
    pub(crate) repairs: u64,
    /// Reads that wrote back before they answered.
    pub(crate) write_backs: u64,
    pub(crate) hints_dropped: u64,
    pub(crate) hints_replayed: u64,
    pub(crate) unavailable: u64,
    pub(crate) timeouts: u64,
    pub(crate) resends: u64,
}

/// Shorthand for what all handlers append to.
pub(crate) type Out = EffectsOf<Replica>;

// Looking inside.
impl Replica {
    /// Which node this is.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// How often it has booted.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// The ring it places keys with.
    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    /// What it holds of `key`; [`Entry::NEVER`] if nothing.
    pub fn entry(&self, key: &Key) -> Entry {
        self.storage.slot(key).map_or(Entry::NEVER, |slot| slot.entry.clone())
    }

    /// All that it holds, by key, deletions included.
    pub fn entries(&self) -> impl Iterator<Item = (&Key, &Entry)> {
        self.storage.iter().map(|(key, slot)| (key, &slot.entry))
    }

    /// How many changes its entries have seen in this life.
    pub fn revision(&self) -> u64 {
        self.storage.revision()
    }

    /// How many hints it keeps for other nodes.
    pub fn hint_count(&self) -> usize {
        self.hints.count()
    }

    /// Whether it believes `node` live. It believes so of itself.
    pub fn believes_live(&self, node: NodeId) -> bool {
        self.peers.is_live(node)
    }

    /// When the other nodes are probed next.
    pub(crate) fn next_probe(&self) -> Timestamp {
        self.next_probe
    }

    fn status(&self) -> Status {
        Status {
            node: self.id,
            incarnation: self.incarnation,
            keys: self.storage.keys(),
            tombstones: self.storage.tombstones(),
            hints: self.hints.count(),
            hints_dropped: self.counts.hints_dropped,
            live: self.members.iter().map(|node| (node, self.peers.is_live(node))).collect(),
            guarantee: self.config.guarantee(),
        }
    }
}

impl Node for Replica {
    type Config = Config;
    type Request = Request;
    type Response = Response;
    type Message = Message;
    type Record = Record;
    type Event = Event;

    fn validate(config: &Config, members: &Members) -> Result<(), InvalidConfig> {
        config.check(members)
    }

    fn boot(config: &Config, boot: Boot<Record>, out: &mut Out) -> Result<Self, CorruptRecords> {
        let Boot { id, members, now, seed, records } = boot;
        let corrupt = |position, problem: String| CorruptRecords { node: id, position, problem };
        let extra = usize::from(config.planted.is(Mutant::OutsidersCount));
        let replication = (config.replication() + extra).min(members.count());
        let ring = Ring::new(&members, config.virtual_nodes(), replication)
            .map_err(|invalid| corrupt(0, invalid.to_string()))?;
        let mut replica = Self {
            peers: Peers::new(id, &members, config.probe_interval(), config.suspect_after()),
            storage: Storage::new(config.planted),
            hints: Hints::new(config.hints_max()),
            config: config.clone(),
            id,
            members,
            ring,
            incarnation: Incarnation::ZERO,
            life: seed,
            operations: Operations::default(),
            op_count: 0,
            durable: PersistCount::default(),
            early: Vec::new(),
            inbox: VecDeque::new(),
            held: VecDeque::new(),
            next_probe: now.monotonic,
            counts: Counts::default(),
            own_counter: 0,
        };
        let count = records.len();
        for (position, record) in records.into_iter().enumerate() {
            replica.restore(position, record).map_err(|problem| corrupt(position, problem))?;
        }
        // Before the first use of this life's incarnation it must be on disk: see `early`.
        let bumped = match replica.incarnation {
            same if config.planted.is(Mutant::IncarnationKept) && same != Incarnation::ZERO => {
                Some(same)
            }
            before => before.next(),
        };
        replica.incarnation =
            bumped.ok_or_else(|| corrupt(count, "no incarnation is left".into()))?;
        out.persist(Record::Booted { incarnation: replica.incarnation });
        // Nodes that boot together shall not probe together.
        let interval = config.probe_interval();
        replica.next_probe += Rng::from_seed(seed).span(std::time::Duration::ZERO..=interval);
        Ok(replica)
    }

    fn handle(&mut self, now: Now, input: InputOf<Self>, out: &mut Out) {
        match input {
            Input::Request { id, body } => {
                if self.is_ready() {
                    self.request(now, id, body, out);
                } else if self.early.len() < self.config.operations_max() {
                    self.early.push((id, body));
                } else {
                    let operations = self.early.len();
                    out.respond_now(id, Err(Error::Overloaded { operations }));
                }
            }
            Input::Message { from, body } => {
                if from == self.id || !self.members.contains(from) {
                    self.counts.dropped += 1;
                } else {
                    self.receive(now, from, body, out);
                }
            }
            // Who is alive is found by probes, which also find a machine that is gone.
            Input::Ended { .. } => {}
            Input::Timer => self.timer(now, out),
            Input::Durable(count) => {
                self.durable = self.durable.max(count);
                if self.is_ready() {
                    for (id, body) in std::mem::take(&mut self.early) {
                        self.request(now, id, body, out);
                    }
                }
            }
        }
        self.hear_itself(now, out);
    }

    fn deadline(&self) -> Option<Timestamp> {
        let wake = self.operations.next_wake();
        Some(wake.map_or(self.next_probe, |wake| wake.min(self.next_probe)))
    }

    fn standing(&self, _now: Now) -> Standing {
        Standing { role: Role::Replica, epoch: Epoch::ZERO, leader: None }
    }

    fn gauges(&self) -> Vec<(&'static str, u64)> {
        let counts = &self.counts;
        let suspected = self.members.iter().filter(|&node| !self.peers.is_live(node)).count();
        vec![
            ("keys", self.storage.keys() as u64),
            ("tombstones", self.storage.tombstones() as u64),
            ("hints", self.hints.count() as u64),
            ("hints-dropped", counts.hints_dropped),
            ("hints-replayed", counts.hints_replayed),
            ("repairs", counts.repairs),
            ("write-backs", counts.write_backs),
            ("operations", self.operations.len() as u64),
            ("suspected", suspected as u64),
            ("unavailable", counts.unavailable),
            ("timeouts", counts.timeouts),
            ("resends", counts.resends),
            ("late", counts.late),
            ("dropped", counts.dropped),
        ]
    }
}

// Coming up.
impl Replica {
    /// Takes back what record number `position` says.
    fn restore(&mut self, position: usize, record: Record) -> Result<(), String> {
        if position == 0 && !matches!(record, Record::Booted { .. }) {
            return Err(format!("{record:?} before any boot"));
        }
        match record {
            Record::Booted { incarnation } => {
                let kept = self.config.planted.is(Mutant::IncarnationKept);
                if incarnation <= self.incarnation && !kept {
                    let last = self.incarnation;
                    return Err(format!("boot {incarnation:?}, expected one after {last:?}"));
                }
                self.incarnation = incarnation;
            }
            Record::Stored { key, entry } => {
                if !entry.version.is_credible() {
                    return Err(format!("version {:?}, expected one of a write", entry.version));
                }
                self.storage.put(key, entry, PersistCount::default());
            }
            Record::Hinted { to, key, entry } => {
                if !entry.version.is_credible() {
                    return Err(format!("version {:?}, expected one of a write", entry.version));
                }
                // Without room (the limit was lowered) it is dropped, as it would be today.
                let known = to != self.id && self.members.contains(to);
                if !known || self.hints.keep(to, &key, &entry) == Kept::NoRoom {
                    self.counts.hints_dropped += 1;
                }
            }
            Record::HintDone { to, key } => {
                let greatest = OpId { incarnation: Incarnation::new(u32::MAX), count: u64::MAX };
                let any = Version::new(u64::MAX, NodeId::new(u32::MAX), greatest);
                self.hints.done(to, &key, any);
            }
        }
        Ok(())
    }

    /// Whether this life's incarnation is durable, so that things may be named by it.
    pub(crate) fn is_ready(&self) -> bool {
        self.durable >= PersistCount(1)
    }
}

// Being called.
impl Replica {
    fn request(&mut self, now: Now, id: RequestId, body: Request, out: &mut Out) {
        match body {
            Request::Get { key, read_quorum } => self.begin_get(now, id, key, read_quorum, out),
            Request::Put { key, value, write_quorum } => {
                self.begin_put(now, id, key, Some(value), write_quorum, out);
            }
            Request::Delete { key, write_quorum } => {
                self.begin_put(now, id, key, None, write_quorum, out);
            }
            Request::Status => out.respond_now(id, Ok(Reply::Status(self.status()))),
        }
    }

    fn receive(&mut self, now: Now, from: NodeId, message: Message, out: &mut Out) {
        match message {
            Message::Ping => self.answer_now(from, Message::Pong, out),
            Message::Pong => self.note_answer(from, out),
            Message::Read { op, key } => self.on_read(from, op, &key, out),
            Message::Query { op, key } => self.on_query(from, op, &key, out),
            Message::Store { op, key, entry } => {
                let ack = Message::Stored { op, version: entry.version };
                self.on_store(from, key, entry, ack, Overwrite::No, out);
            }
            Message::Hint { key, entry } => {
                let ack = Message::HintStored { key: key.clone(), version: entry.version };
                let overwrite = match self.config.planted.is(Mutant::HintsOverwrite) {
                    true => Overwrite::Yes,
                    false => Overwrite::No,
                };
                self.on_store(from, key, entry, ack, overwrite, out);
            }
            Message::Held { op, entry } => {
                self.note_answer(from, out);
                self.on_held(now, from, op, entry, out);
            }
            Message::Tag { op, version } => {
                self.note_answer(from, out);
                self.on_tag(now, from, op, version, out);
            }
            Message::Stored { op, version } => {
                self.note_answer(from, out);
                self.on_stored(from, op, version, out);
            }
            Message::HintStored { key, version } => {
                self.note_answer(from, out);
                self.on_hint_stored(from, &key, version, out);
            }
        }
    }

    fn timer(&mut self, now: Now, out: &mut Out) {
        if now.monotonic >= self.next_probe {
            self.next_probe = now.monotonic + self.config.probe_interval();
            self.probe(out);
        }
        while let Some(count) = self.operations.next_due(now.monotonic) {
            self.on_wake(now, count, out);
        }
    }

    /// Hands itself what it sent itself, as far as the disk has come.
    fn hear_itself(&mut self, now: Now, out: &mut Out) {
        loop {
            while self.held.front().is_some_and(|&(needed, _)| needed <= self.durable) {
                self.inbox.extend(self.held.pop_front().map(|(_, message)| message));
            }
            let Some(message) = self.inbox.pop_front() else { return };
            self.receive(now, self.id, message, out);
        }
    }
}
