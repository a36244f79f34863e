//! Carrying out requests: ask all replicas at once, answer at quorum, listen to the stragglers.
//!
//! ```text
//!  put  ─ Query ─▶ all ─ Tag ≥ R ─▶ Store(max + 1) ─▶ all ─ Stored ≥ W ─▶ written ─ rest ─▶ over
//!                                                                    └ deadline: hint the rest
//!  get  ─ Read ─▶ all ─ Held ≥ R ─┬─ W carry the greatest ──────────────▶ value ─ rest ─▶ repair
//!                                 └─ Store(greatest) ─▶ rest ─ Stored ≥ W ─▶ value
//! ```

use cluster::{NodeId, Now, RequestId};

use crate::config::{Guarantee, Repair, Versioning};
use crate::error::Error;
use crate::message::{Message, Reply};
use crate::mutants::Mutant;
use crate::node::{Out, Replica};
use crate::operation::{Operation, Phase, Replies, Tally};
use crate::ring::Place;
use crate::version::{Entry, Key, OpId, Value, Version};

// Beginning.
impl Replica {
    pub(crate) fn begin_get(
        &mut self,
        now: Now,
        request: RequestId,
        key: Key,
        quorum: Option<usize>,
        out: &mut Out,
    ) {
        let needed = quorum.unwrap_or(self.config.read_quorum());
        let guarantee = self.config.read_guarantee(needed);
        // Writing back makes a read atomic only among quorums that meet; else it is only repair.
        let carriers_needed = match guarantee {
            Guarantee::Linearizable => Some(self.config.write_quorum()),
            Guarantee::Regular | Guarantee::Convergent => None,
        };
        let live_needed = needed.max(carriers_needed.unwrap_or(0));
        let place = self.ring.place(&key);
        if let Err(error) = self.admit(place, quorum, live_needed) {
            return out.respond_now(request, Err(error));
        }
        let replies = Replies::new(self.ring.at(place).len());
        let phase = Phase::Read { needed, carriers_needed, replies };
        self.begin(now, request, key, guarantee, phase, out);
    }

    pub(crate) fn begin_put(
        &mut self,
        now: Now,
        request: RequestId,
        key: Key,
        value: Option<Value>,
        quorum: Option<usize>,
        out: &mut Out,
    ) {
        let write_quorum = quorum.unwrap_or(self.config.write_quorum());
        let asks = match self.config.versioning() {
            Versioning::Tagged => !self.config.planted.is(Mutant::NoTagQuery),
            Versioning::WallClock => false,
        };
        let read_quorum = if asks { self.config.read_quorum() } else { 0 };
        let place = self.ring.place(&key);
        if let Err(error) = self.admit(place, quorum, write_quorum.max(read_quorum)) {
            return out.respond_now(request, Err(error));
        }
        let guarantee = self.config.write_guarantee(write_quorum);
        let phase = if asks {
            let (needed, replied, counter) = (read_quorum, Tally::default(), 0);
            Phase::Query { needed, replied, counter, value, write_quorum }
        } else {
            let counter = match self.config.versioning() {
                Versioning::WallClock => now.wall.as_nanos().clamp(1, Version::COUNTER_MAX),
                Versioning::Tagged => {
                    self.own_counter += 1;
                    self.own_counter
                }
            };
            let version = Version::new(counter, self.id, self.next_op());
            let entry = Entry { version, value };
            Phase::Store { needed: write_quorum, entry, acked: Tally::default() }
        };
        self.begin(now, request, key, guarantee, phase, out);
    }

    /// Whether a request with this quorum can be begun for a key at `place`.
    fn admit(
        &mut self,
        place: Place,
        quorum: Option<usize>,
        live_needed: usize,
    ) -> Result<(), Error> {
        let replication = self.config.replication();
        if let Some(asked) = quorum.filter(|quorum| !(1..=replication).contains(quorum)) {
            return Err(Error::InvalidQuorum { asked, replication });
        }
        let operations = self.operations.len();
        if operations >= self.config.operations_max() {
            return Err(Error::Overloaded { operations });
        }
        let live = self.peers.live_among(self.ring.at(place));
        if live < live_needed {
            self.counts.unavailable += 1;
            return Err(Error::Unavailable { live, needed: live_needed });
        }
        Ok(())
    }

    fn begin(
        &mut self,
        now: Now,
        request: RequestId,
        key: Key,
        guarantee: Guarantee,
        phase: Phase,
        out: &mut Out,
    ) {
        let deadline = now.monotonic + self.config.timeout();
        let wake = deadline.min(now.monotonic + self.config.resend_interval());
        let request = Some(request);
        self.op_count += 1;
        let place = self.ring.place(&key);
        let operation = Operation { request, key, place, guarantee, phase, deadline, wake };
        self.ask_all(self.op_count, &operation, out);
        self.operations.put(self.op_count, operation);
    }

    /// The name of the operation that [`begin`](Self::begin) will begin next.
    fn next_op(&self) -> OpId {
        OpId { incarnation: self.incarnation, count: self.op_count + 1 }
    }
}

// Asking.
impl Replica {
    /// Asks all replicas, the suspected ones too: if one is there after all, it stays up to date.
    fn ask_all(&mut self, count: u64, operation: &Operation, out: &mut Out) {
        let replicas = self.ring.at(operation.place).len();
        for nth in 0..replicas {
            let backwards = self.config.planted.is(Mutant::AsksBackwards);
            let slot = if backwards { replicas - 1 - nth } else { nth };
            let to = self.ring.at(operation.place)[slot];
            self.ask(count, operation, slot, out);
            if let Phase::Store { entry, .. } = &operation.phase
                && !self.peers.is_live(to)
            {
                self.hint(to, &operation.key, entry, out);
            }
        }
    }

    /// Asks replica number `slot` for what the operation still lacks from it. False if nothing.
    fn ask(&mut self, count: u64, operation: &Operation, slot: usize, out: &mut Out) -> bool {
        let op = OpId { incarnation: self.incarnation, count };
        let key = operation.key.clone();
        let message = match &operation.phase {
            Phase::Query { replied, .. } if !replied.has(slot) => Message::Query { op, key },
            Phase::Read { replies, .. } if !replies.replied.has(slot) => Message::Read { op, key },
            Phase::Store { entry, acked, .. } | Phase::WriteBack { entry, acked, .. }
                if !acked.has(slot) =>
            {
                Message::Store { op, key, entry: entry.clone() }
            }
            Phase::Query { .. }
            | Phase::Read { .. }
            | Phase::Store { .. }
            | Phase::WriteBack { .. } => return false,
        };
        self.post(self.ring.at(operation.place)[slot], message, out);
        true
    }

    /// Takes out the operation that an answer belongs to, with the number of the replica that
    /// answered. None, and counted, if it is over or `from` is no replica of its key.
    fn answered(&mut self, from: NodeId, op: OpId) -> Option<(Operation, usize)> {
        if op.incarnation != self.incarnation {
            self.counts.late += 1;
            return None;
        }
        let Some(operation) = self.operations.take(op.count) else {
            self.counts.late += 1;
            return None;
        };
        let Some(slot) = self.ring.at(operation.place).iter().position(|&node| node == from) else {
            self.counts.dropped += 1;
            self.operations.put(op.count, operation);
            return None;
        };
        Some((operation, slot))
    }

    /// Counts an acknowledgement once.
    fn count(&self, tally: &mut Tally, slot: usize) {
        if self.config.planted.is(Mutant::DuplicateAcks) {
            tally.add_again(slot);
        } else {
            tally.add(slot);
        }
    }
}

// Writing.
impl Replica {
    pub(crate) fn on_tag(
        &mut self,
        now: Now,
        from: NodeId,
        op: OpId,
        version: Version,
        out: &mut Out,
    ) {
        if version.counter() > Version::COUNTER_MAX {
            self.counts.dropped += 1;
            return;
        }
        let Some((mut operation, slot)) = self.answered(from, op) else { return };
        if let Phase::Query { needed, replied, counter, value, write_quorum } = &mut operation.phase
        {
            self.count(replied, slot);
            *counter = version.counter().max(*counter);
            if replied.count() >= *needed {
                let version = Version::new(*counter + 1, self.id, op);
                let entry = Entry { version, value: value.take() };
                let (needed, acked) = (*write_quorum, Tally::default());
                operation.phase = Phase::Store { needed, entry, acked };
                operation.wake =
                    operation.deadline.min(now.monotonic + self.config.resend_interval());
                self.ask_all(op.count, &operation, out);
            }
        } else {
            self.counts.late += 1;
        }
        self.operations.put(op.count, operation);
    }

    pub(crate) fn on_stored(&mut self, from: NodeId, op: OpId, version: Version, out: &mut Out) {
        let Some((mut operation, slot)) = self.answered(from, op) else { return };
        match &mut operation.phase {
            Phase::Store { needed, entry, acked } if entry.version == version => {
                self.count(acked, slot);
                if acked.count() >= *needed
                    && let Some(request) = operation.request.take()
                {
                    // All acknowledgements came after a sync: this promises nothing undurable.
                    let guarantee = operation.guarantee;
                    out.respond_now(request, Ok(Reply::Written { version, guarantee }));
                }
                self.forget_hint(from, &operation.key, version, out);
            }
            Phase::WriteBack { needed, entry, acked, .. } if entry.version == version => {
                self.count(acked, slot);
                if acked.count() >= *needed
                    && let Some(request) = operation.request.take()
                {
                    let entry = entry.clone();
                    answer_read(request, entry, operation.guarantee, out);
                }
            }
            Phase::Query { .. }
            | Phase::Read { .. }
            | Phase::Store { .. }
            | Phase::WriteBack { .. } => self.counts.late += 1,
        }
        self.put_back(op.count, operation, out);
    }
}

// Reading.
impl Replica {
    pub(crate) fn on_held(
        &mut self,
        now: Now,
        from: NodeId,
        op: OpId,
        entry: Entry,
        out: &mut Out,
    ) {
        if entry != Entry::NEVER && !entry.version.is_credible() {
            self.counts.dropped += 1;
            return;
        }
        let Some((mut operation, slot)) = self.answered(from, op) else { return };
        match &mut operation.phase {
            Phase::Read { needed, carriers_needed, replies } => {
                self.count(&mut replies.replied, slot);
                replies.add(slot, entry);
                if replies.replied.count() >= *needed && operation.request.is_some() {
                    let carriers_needed = *carriers_needed;
                    self.conclude_read(now, op.count, &mut operation, carriers_needed, out);
                }
            }
            Phase::WriteBack { needed, entry: chosen, acked, replies } => {
                // Whoever holds it, or more, need not say that it has stored it.
                if entry.version >= chosen.version {
                    acked.add(slot);
                }
                replies.add(slot, entry);
                if acked.count() >= *needed
                    && let Some(request) = operation.request.take()
                {
                    let chosen = chosen.clone();
                    answer_read(request, chosen, operation.guarantee, out);
                }
            }
            Phase::Query { .. } | Phase::Store { .. } => self.counts.late += 1,
        }
        self.put_back(op.count, operation, out);
    }

    /// A read quorum has answered: answers the client, or writes back first.
    fn conclude_read(
        &mut self,
        now: Now,
        count: u64,
        operation: &mut Operation,
        carriers_needed: Option<usize>,
        out: &mut Out,
    ) {
        let Phase::Read { replies, .. } = &mut operation.phase else { return };
        let best = replies.best.clone();
        let acked = replies.carriers(best.version);
        // What was never written is older than anything: every replica carries it.
        let needed = carriers_needed
            .filter(|&needed| acked.count() < needed && !best.version.is_zero())
            .filter(|_| !self.config.planted.is(Mutant::NoWriteBack));
        let Some(needed) = needed else {
            if let Some(request) = operation.request.take() {
                answer_read(request, best, operation.guarantee, out);
            }
            return;
        };
        self.counts.write_backs += 1;
        let replies = std::mem::replace(replies, Replies::new(0));
        operation.phase = Phase::WriteBack { needed, entry: best, acked, replies };
        operation.wake = operation.deadline.min(now.monotonic + self.config.resend_interval());
        self.ask_all(count, operation, out);
    }

    /// Writes the greatest version that a finished read has seen to the replicas that lack it.
    fn repair(&mut self, count: u64, operation: &Operation, out: &mut Out) {
        let (replies, acked) = match &operation.phase {
            Phase::Read { replies, .. } => (replies, Tally::default()),
            // What was written back need not be sent again, unless a greater version turned up.
            Phase::WriteBack { entry, acked, replies, .. } => {
                let is_best = entry.version == replies.best.version;
                (replies, if is_best { *acked } else { Tally::default() })
            }
            Phase::Query { .. } | Phase::Store { .. } => return,
        };
        if self.config.repair() == Repair::Off {
            return;
        }
        let op = OpId { incarnation: self.incarnation, count };
        let stale: Vec<usize> = replies.stale().filter(|&slot| !acked.has(slot)).collect();
        for slot in stale {
            self.counts.repairs += 1;
            let (key, entry) = (operation.key.clone(), replies.best.clone());
            let to = self.ring.at(operation.place)[slot];
            self.post(to, Message::Store { op, key, entry }, out);
        }
    }
}

fn answer_read(request: RequestId, entry: Entry, guarantee: Guarantee, out: &mut Out) {
    let Entry { version, value } = entry;
    // Every replica that was counted answered for what is on its disk.
    out.respond_now(request, Ok(Reply::Value { value, version, guarantee }));
}

// Ending.
impl Replica {
    /// Goes on with an operation, unless it has heard from everybody.
    fn put_back(&mut self, count: u64, operation: Operation, out: &mut Out) {
        let replicas = self.ring.at(operation.place).len();
        let is_over = operation.request.is_none()
            && match &operation.phase {
                Phase::Query { .. } => false,
                Phase::Store { acked, .. } => acked.is_full(replicas),
                Phase::Read { replies, .. } => replies.replied.is_full(replicas),
                Phase::WriteBack { acked, replies, .. } => {
                    acked.is_full(replicas) && replies.replied.is_full(replicas)
                }
            };
        if is_over {
            self.repair(count, &operation, out);
        } else {
            self.operations.put(count, operation);
        }
    }

    /// Asks the replicas again that have not answered; at the deadline, ends the operation.
    pub(crate) fn on_wake(&mut self, now: Now, count: u64, out: &mut Out) {
        let Some(mut operation) = self.operations.take(count) else { return };
        if now.monotonic >= operation.deadline {
            return self.expire(count, operation, out);
        }
        for slot in 0..self.ring.at(operation.place).len() {
            let is_live = self.peers.is_live(self.ring.at(operation.place)[slot]);
            if is_live && self.ask(count, &operation, slot, out) {
                self.counts.resends += 1;
            }
        }
        operation.wake = operation.deadline.min(now.monotonic + self.config.resend_interval());
        self.operations.put(count, operation);
    }

    fn expire(&mut self, count: u64, mut operation: Operation, out: &mut Out) {
        if let Some(request) = operation.request.take() {
            self.counts.timeouts += 1;
            let error = match &operation.phase {
                Phase::Query { needed, replied, .. } => {
                    Error::TimedOut { replied: replied.count(), needed: *needed }
                }
                Phase::Read { needed, replies, .. } => {
                    Error::TimedOut { replied: replies.replied.count(), needed: *needed }
                }
                Phase::WriteBack { needed, acked, .. } => {
                    Error::TimedOut { replied: acked.count(), needed: *needed }
                }
                Phase::Store { needed, acked, .. } => {
                    Error::Unknown { acked: acked.count(), needed: *needed }
                }
            };
            out.respond_now(request, Err(error));
        }
        if let Phase::Store { entry, acked, .. } = &operation.phase {
            for slot in 0..self.ring.at(operation.place).len() {
                let to = self.ring.at(operation.place)[slot];
                // Its own copy is written; there is nothing to hand off.
                if to != self.id && !acked.has(slot) {
                    self.hint(to, &operation.key, entry, out);
                }
            }
        }
        self.repair(count, &operation, out);
    }
}
