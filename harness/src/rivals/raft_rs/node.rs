//! The node: a `RawNode` with its storage in records and its clock in deadlines.

use std::collections::VecDeque;
use std::time::Duration;

use cluster::{
    Boot, CorruptRecords, Digest, EffectsOf, Epoch, Input, InputOf, InvalidConfig, Members, Node,
    NodeId, Now, PersistCount, Redirect, RequestId, Rng, Role, Standing, Timestamp,
};
use tikv_raft::eraftpb::{Entry, Message, MessageType};
use tikv_raft::storage::MemStorage;
use tikv_raft::{RawNode, Ready, StateRole};

use crate::rivals::registers::{self, Ask, Replica, RivalNode, Write};
use crate::vocabulary::{Answer, Outcome, Refusal};

use super::stored::{Saved, Wire};

/// How a cluster of [`RaftRs`] is configured.
#[derive(Clone, Debug)]
pub struct Config {
    /// How long a tick of its clock is.
    tick: Duration,
    /// How many ticks from one heartbeat to the next.
    heartbeat_ticks: usize,
    /// How many ticks without word from a leader until an election, at least; twice as many at most.
    election_ticks: usize,
    batch_append: bool,
}

impl Default for Config {
    /// Heartbeats every 15 ms, elections after 150 to 300 ms.
    fn default() -> Self {
        let tick = Duration::from_millis(5);
        Self { tick, heartbeat_ticks: 3, election_ticks: 30, batch_append: false }
    }
}

impl Config {
    /// With the library's `batch_append`, which is off by default, and in TiKV.
    ///
    /// In 0.7.0 it is broken where messages overtake each other: entries are added to an append
    /// that waits to be sent without any, whatever index that one is for (`Raft::try_batching`,
    /// `util::is_continuous_ents`). The follower takes them for the entries after that index, and
    /// acknowledges more than it holds.
    #[must_use]
    pub fn with_batch_append(mut self) -> Self {
        self.batch_append = true;
        self
    }

    /// What the library is told. Members of a fixed cluster: nothing is ever added or removed.
    fn of_library(&self, id: u64) -> tikv_raft::Config {
        tikv_raft::Config {
            id,
            election_tick: self.election_ticks,
            heartbeat_tick: self.heartbeat_ticks,
            pre_vote: true,
            check_quorum: true,
            // The default, zero, is one entry a message. TiKV itself uses 1 MiB.
            max_size_per_msg: 1 << 20,
            batch_append: self.batch_append,
            ..tikv_raft::Config::default()
        }
    }
}

/// What a [`RaftRs`] counts.
pub type Gauge = (&'static str, u64);

/// One node of a cluster of TiKV's Raft.
pub struct RaftRs {
    id: NodeId,
    members: Members,
    raw: RawNode<MemStorage>,
    clock: Ticks,
    timeouts: Timeouts,
    replica: Replica,
    applied: u64,
    /// The term in which this node took what waits in `proposals` and `reads`.
    leads: Option<u64>,
    /// Writes that are to be proposed together at the end of this batch.
    writes: Vec<(RequestId, Write)>,
    /// Entries proposed here and not applied, ascending by index.
    proposals: VecDeque<(u64, RequestId)>,
    reads: Reads,
    /// Readies whose records are not durable: how many records must be, and the ready's number.
    unsynced: VecDeque<(PersistCount, u64)>,
    durable: PersistCount,
    /// Messages that the library refused or that came from strangers.
    dropped: u64,
}

/// When the library's clock ticks.
struct Ticks {
    every: Duration,
    next: Timestamp,
}

/// The election timeouts, from the boot seed.
///
/// The library draws a new one whenever its term or its role changes, from a generator that no seed
/// decides. So one of ours is put in its place before it is looked at, which is at the next tick.
struct Timeouts {
    rng: Rng,
    range: (u64, u64),
    drawn_for: (u64, StateRole),
    ticks: usize,
}

impl Timeouts {
    fn pin(&mut self, raw: &mut RawNode<MemStorage>) {
        let state = (raw.raft.term, raw.raft.state);
        // Standing for a pre-vote draws none.
        if state != self.drawn_for {
            if state.1 != StateRole::PreCandidate {
                self.ticks = self.rng.within(self.range.0..=self.range.1) as usize;
            }
            self.drawn_for = state;
        }
        raw.raft.set_randomized_election_timeout(self.ticks);
    }
}

/// Linearizable reads: those that arrive together share one round of heartbeats.
#[derive(Default)]
struct Reads {
    /// Makes contexts unique among all lives of all nodes: a context that comes twice would be
    /// confirmed by the answers to the first.
    life: u64,
    begun: u64,
    /// Asked, and in no round yet.
    waiting: Vec<(RequestId, u32)>,
    /// Under way, in the order in which they began.
    rounds: VecDeque<Round>,
}

struct Round {
    number: u64,
    /// What must be applied before these reads can be answered, once it is known.
    index: Option<u64>,
    reads: Vec<(RequestId, u32)>,
}

impl Reads {
    fn context(&self, round: u64) -> Vec<u8> {
        [self.life.to_le_bytes(), round.to_le_bytes()].concat()
    }

    fn begin(&mut self) -> Vec<u8> {
        self.begun += 1;
        let reads = std::mem::take(&mut self.waiting);
        self.rounds.push_back(Round { number: self.begun, index: None, reads });
        self.context(self.begun)
    }

    fn confirm(&mut self, context: &[u8], index: u64) {
        for place in 0..self.rounds.len() {
            if self.context(self.rounds[place].number) == context {
                self.rounds[place].index = Some(index);
            }
        }
    }

    fn take_all(&mut self) -> impl Iterator<Item = RequestId> {
        let waiting = std::mem::take(&mut self.waiting);
        let rounds = std::mem::take(&mut self.rounds);
        rounds.into_iter().flat_map(|round| round.reads).chain(waiting).map(|(request, _)| request)
    }
}

/// The library's name for `node`; [`RaftRs::validate`] keeps zero out, which means nobody to it.
fn raft_id(node: NodeId) -> u64 {
    u64::from(node.get())
}

fn node_id(raft_id: u64) -> Option<NodeId> {
    u32::try_from(raft_id).ok().filter(|&id| id != tikv_raft::INVALID_ID as u32).map(NodeId::new)
}

// Construction.
impl RaftRs {
    /// A storage that holds what `records` say.
    fn recover(
        members: &Members,
        id: NodeId,
        records: &[Saved],
    ) -> Result<MemStorage, CorruptRecords> {
        let voters: Vec<u64> = members.iter().map(raft_id).collect();
        let storage = MemStorage::new_with_conf_state((voters, vec![]));
        let mut last = 0;
        for (position, Saved { hard, entries }) in records.iter().enumerate() {
            let corrupt = |problem: String| CorruptRecords { node: id, position, problem };
            if let Some(first) = entries.first() {
                let in_order = entries.windows(2).all(|pair| pair[0].index + 1 == pair[1].index);
                if first.index == 0 || first.index > last + 1 || !in_order {
                    return Err(corrupt(format!("entries from {} on after {last}", first.index)));
                }
                storage.wl().append(entries).map_err(|error| corrupt(error.to_string()))?;
                last = first.index + entries.len() as u64 - 1;
            }
            if let Some(hard) = hard {
                if hard.commit > last {
                    return Err(corrupt(format!("committed to {} of {last}", hard.commit)));
                }
                storage.wl().set_hardstate(hard.clone());
            }
        }
        Ok(storage)
    }
}

// Requests.
impl RaftRs {
    fn ask(&mut self, id: RequestId, ask: Ask, out: &mut EffectsOf<Self>) {
        if ask == Ask::Committed {
            out.respond_now(id, Ok(Outcome::Log(self.replica.log().to_vec())));
            return;
        }
        // What an earlier leadership of this node took must not be mixed with this.
        self.heed_deposition(out);
        if self.raw.raft.state != StateRole::Leader {
            out.respond_now(id, Err(Refusal::NotLeader(node_id(self.raw.raft.leader_id))));
            return;
        }
        self.leads = Some(self.raw.raft.term);
        match ask {
            Ask::Read { key } => self.reads.waiting.push((id, key)),
            Ask::Write(write) => self.writes.push((id, write)),
            Ask::Committed => unreachable!("answered above"),
        }
    }

    /// Proposes what was asked in this batch, in one message: the library would send an append for
    /// each.
    fn propose(&mut self, out: &mut EffectsOf<Self>) {
        if self.writes.is_empty() {
            return;
        }
        let writes = std::mem::take(&mut self.writes);
        let mut message = Message { from: raft_id(self.id), ..Message::default() };
        message.set_msg_type(MessageType::MsgPropose);
        let entry =
            |write: Write| Entry { data: write.to_bytes().to_vec().into(), ..Entry::default() };
        message.set_entries(writes.iter().map(|(_, write)| entry(*write)).collect());
        let first = self.raw.raft.raft_log.last_index() + 1;
        let taken = self.raw.step(message).is_ok();
        for (index, (request, _)) in (first..).zip(writes) {
            if taken {
                self.proposals.push_back((index, request));
            } else {
                // "ProposalDropped": nothing was appended.
                out.respond_now(request, Err(Refusal::Unavailable));
            }
        }
    }

    /// Fails what was taken in a leadership that is over.
    fn heed_deposition(&mut self, out: &mut EffectsOf<Self>) {
        let raft = &self.raw.raft;
        let leads = (raft.state == StateRole::Leader).then_some(raft.term);
        if self.leads.is_none() || self.leads == leads {
            return;
        }
        self.leads = None;
        for (_, request) in self.proposals.drain(..) {
            out.respond_now(request, Err(Refusal::Unknown));
        }
        // What was not proposed, and a read that was not answered, have done nothing.
        let leader = node_id(self.raw.raft.leader_id);
        let writes = self.writes.drain(..).map(|(request, _)| request);
        for request in writes.chain(self.reads.take_all()) {
            out.respond_now(request, Err(Refusal::NotLeader(leader)));
        }
    }

    /// Lets the reads that wait share a round. The library drops reads that come before the
    /// leader's first entry is committed, and says nothing.
    fn begin_reads(&mut self) {
        let raft = &self.raw.raft;
        if raft.state == StateRole::Leader
            && !self.reads.waiting.is_empty()
            && raft.commit_to_current_term()
        {
            let context = self.reads.begin();
            self.raw.read_index(context);
        }
    }

    fn answer_reads(&mut self, out: &mut EffectsOf<Self>) {
        let applied = self.applied;
        let confirmed = |round: &Round| round.index.is_some_and(|index| index <= applied);
        while self.reads.rounds.front().is_some_and(confirmed) {
            let round = self.reads.rounds.pop_front();
            for (request, key) in round.into_iter().flat_map(|round| round.reads) {
                out.respond_now(request, Ok(Outcome::Value(self.replica.read(key))));
            }
        }
    }
}

// The library's outputs.
impl RaftRs {
    fn handle_ready(&mut self, mut ready: Ready, out: &mut EffectsOf<Self>) {
        for state in ready.take_read_states() {
            self.reads.confirm(&state.request_ctx, state.index);
        }
        self.send(ready.take_messages(), |out, to, message| out.send_now(to, message), out);
        self.apply(ready.take_committed_entries(), out);
        let saved = Saved { hard: ready.hs().cloned(), entries: ready.take_entries() };
        let messages = ready.take_persisted_messages();
        let mut storage = self.raw.mut_store().wl();
        storage.append(&saved.entries).expect("a storage in memory takes what the library appends");
        if let Some(hard) = &saved.hard {
            storage.set_hardstate(hard.clone());
        }
        drop(storage);
        let number = ready.number();
        if ready.must_sync() {
            out.persist(saved);
            self.send(messages, |out, to, message| out.send(to, message), out);
        } else {
            // A commit index alone: "an asynchronous write of HardState is permissible". Messages
            // need not wait for it.
            self.send(messages, |out, to, message| out.send(to, message), out);
            if saved.hard.is_some() {
                out.persist(saved);
            }
        }
        self.unsynced.push_back((out.persisted(), number));
        self.raw.advance_append_async(ready);
        // Nothing was to be stored, and all earlier is durable: so is this ready.
        self.notice_durable();
    }

    fn send(
        &mut self,
        messages: Vec<Message>,
        put: impl Fn(&mut EffectsOf<Self>, NodeId, Wire),
        out: &mut EffectsOf<Self>,
    ) {
        for message in messages {
            if let Some(to) = node_id(message.to) {
                put(out, to, Wire(message));
            }
        }
    }

    /// Applies committed entries, and answers who waits for them: they are durable on a majority.
    fn apply(&mut self, entries: Vec<Entry>, out: &mut EffectsOf<Self>) {
        for entry in entries {
            let write = Write::from_bytes(&entry.data);
            self.replica.apply((entry.term, entry.index), write);
            self.applied = entry.index;
            // Only entries of the term it leads in are in `proposals`: see `heed_deposition`.
            let awaited = self.proposals.front().is_some_and(|(at, _)| *at == entry.index);
            if let Some((_, request)) = awaited.then(|| self.proposals.pop_front()).flatten() {
                let own = self.leads == Some(entry.term);
                let answer = if own { Ok(Outcome::Written) } else { Err(Refusal::Unknown) };
                out.respond_now(request, answer);
            }
        }
        self.raw.advance_apply_to(self.applied);
    }

    fn notice_durable(&mut self) {
        let durable = self.durable;
        let done = self.unsynced.iter().take_while(|(needs, _)| *needs <= durable).count();
        if let Some((_, number)) = self.unsynced.drain(..done).next_back() {
            self.raw.on_persist_ready(number);
        }
    }
}

impl Node for RaftRs {
    type Config = Config;
    type Request = Ask;
    type Response = Answer;
    type Message = Wire;
    type Record = Saved;
    type Event = ();

    fn validate(config: &Config, members: &Members) -> Result<(), InvalidConfig> {
        if members.contains(NodeId::new(0)) {
            return Err(InvalidConfig::new("members", "n0", "ids from 1 on"));
        }
        let valid = config.of_library(1).validate();
        valid.map_err(|error| InvalidConfig::new("config", error, "what the library accepts"))
    }

    fn boot(
        config: &Config,
        boot: Boot<Saved>,
        _out: &mut EffectsOf<Self>,
    ) -> Result<Self, CorruptRecords> {
        let Boot { id, members, now, seed, records } = boot;
        let storage = Self::recover(&members, id, &records)?;
        let mut rng = Rng::from_seed(seed);
        let life = rng.next();
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let library = config.of_library(raft_id(id));
        let raw = RawNode::new(&library, storage, &logger).map_err(|error| CorruptRecords {
            node: id,
            position: records.len(),
            problem: error.to_string(),
        })?;
        let range = (library.min_election_tick() as u64, library.max_election_tick() as u64 - 1);
        let first = rng.within(range.0..=range.1) as usize;
        let drawn_for = (raw.raft.term, raw.raft.state);
        let mut node = Self {
            id,
            members,
            raw,
            clock: Ticks { every: config.tick, next: now.monotonic + config.tick },
            timeouts: Timeouts { rng, range, drawn_for, ticks: first },
            replica: Replica::new(life),
            applied: 0,
            leads: None,
            writes: Vec::new(),
            proposals: VecDeque::new(),
            reads: Reads { life: Digest::of(&(life, id)), ..Reads::default() },
            unsynced: VecDeque::new(),
            durable: PersistCount(0),
            dropped: 0,
        };
        node.timeouts.pin(&mut node.raw);
        Ok(node)
    }

    fn handle(&mut self, now: Now, input: InputOf<Self>, out: &mut EffectsOf<Self>) {
        match input {
            Input::Request { id, body } => self.ask(id, body, out),
            Input::Message { from, body: Wire(message) } => {
                let named = self.members.contains(from) && raft_id(from) == message.from;
                // The library knows what is stale; what it refuses had no effect.
                if !named || self.raw.step(message).is_err() {
                    self.dropped += 1;
                }
            }
            // Its elections come by ticks alone.
            Input::Ended { .. } => {}
            Input::Timer => {
                if now.monotonic >= self.clock.next {
                    // Ticks that were missed in a pause are missed, as with any ticker.
                    self.clock.next = now.monotonic + self.clock.every;
                    self.raw.tick();
                }
            }
            Input::Durable(upto) => {
                self.durable = upto;
                self.notice_durable();
            }
        }
        self.timeouts.pin(&mut self.raw);
    }

    fn flush(&mut self, _now: Now, out: &mut EffectsOf<Self>) {
        self.heed_deposition(out);
        self.propose(out);
        self.begin_reads();
        while self.raw.has_ready() {
            let ready = self.raw.ready();
            self.handle_ready(ready, out);
        }
        self.answer_reads(out);
        self.timeouts.pin(&mut self.raw);
    }

    fn deadline(&self) -> Option<Timestamp> {
        Some(self.clock.next)
    }

    fn standing(&self, _now: Now) -> Standing {
        let raft = &self.raw.raft;
        let role = match raft.state {
            StateRole::Follower => Role::Follower,
            StateRole::PreCandidate | StateRole::Candidate => Role::Candidate,
            StateRole::Leader => Role::Leader,
        };
        Standing { role, epoch: Epoch::new(raft.term), leader: node_id(raft.leader_id) }
    }

    fn gauges(&self) -> Vec<Gauge> {
        let log = &self.raw.raft.raft_log;
        vec![
            ("term", self.raw.raft.term),
            ("log entries", log.last_index()),
            ("committed", log.committed),
            ("applied", self.applied),
            ("messages dropped", self.dropped),
        ]
    }

    fn redirect(response: &Answer) -> Option<Redirect> {
        registers::redirect(response)
    }
}

impl RivalNode for RaftRs {
    fn replica(&self) -> &Replica {
        &self.replica
    }
}
