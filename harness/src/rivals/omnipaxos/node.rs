//! The node: an `OmniPaxos` with its storage in records, its clock in deadlines, and its messages in
//! sessions.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use ::omnipaxos::ballot_leader_election::Ballot;
use ::omnipaxos::messages::Message;
use ::omnipaxos::util::LogEntry;
use ::omnipaxos::{ClusterConfig, OmniPaxos, OmniPaxosConfig, ServerConfig};
use cluster::{
    Boot, CorruptRecords, EffectsOf, Epoch, Input, InputOf, InvalidConfig, Members, Node, NodeId,
    Now, PersistCount, Redirect, RequestId, Rng, Role, Standing, Timestamp,
};

use crate::rivals::registers::{self, Ask, Replica, RivalNode};
use crate::vocabulary::{Answer, Outcome, Refusal};

use super::link::{Arrival, Links, Packet};
use super::store::{Command, CommandId, Record, State, Store};

/// How a cluster of [`Omni`] is configured.
#[derive(Clone, Debug)]
pub struct Config {
    /// How long a tick of its clock is.
    tick: Duration,
    /// How many ticks a round of heartbeats takes. A leader that did not answer within one is
    /// replaced at the end of the next.
    election_ticks: u64,
    /// How many ticks until a message of the prepare phase is sent again.
    resend_ticks: u64,
}

impl Default for Config {
    /// Rounds of 100 ms, so that a leader is replaced about as soon as in the other rivals.
    fn default() -> Self {
        Self { tick: Duration::from_millis(10), election_ticks: 10, resend_ticks: 10 }
    }
}

impl Config {
    fn of_library(&self, id: NodeId, members: &Members) -> OmniPaxosConfig {
        OmniPaxosConfig {
            cluster_config: ClusterConfig {
                configuration_id: 1,
                nodes: members.iter().map(pid).collect(),
                flexible_quorum: None,
            },
            server_config: ServerConfig {
                pid: pid(id),
                election_tick_timeout: self.election_ticks,
                resend_message_tick_timeout: self.resend_ticks,
                ..ServerConfig::default()
            },
        }
    }
}

/// What nodes tell each other: messages of the library, in sessions.
#[derive(Clone, Debug)]
pub struct Wire(pub Packet<Message<Command>>);

impl Hash for Wire {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // The library's messages cannot be hashed. They hold no map, so they always print alike.
        format!("{:?}", self.0).hash(state);
    }
}

/// One node of a cluster of Omni-Paxos.
pub struct Omni {
    id: NodeId,
    paxos: OmniPaxos<Command, Store>,
    /// What the library wrote in this batch.
    written: Receiver<Record>,
    /// What the library has said and what must be durable before it may be heard, ascending.
    unsaid: VecDeque<(PersistCount, Message<Command>)>,
    /// How many records must be durable for all that was written to be, but for hints.
    needed: PersistCount,
    durable: PersistCount,
    links: Links<Message<Command>>,
    tick: Duration,
    tick_at: Timestamp,
    replica: Replica,
    applied: usize,
    life: u64,
    proposed: u64,
    /// The ballot in which this node took what is pending.
    leads: Option<Ballot>,
    /// Who waits for which of this life's commands.
    pending: BTreeMap<u64, (RequestId, Ask)>,
}

/// The library's name for `node`; [`Omni::validate`] keeps zero out, which means nobody to it.
fn pid(node: NodeId) -> u64 {
    u64::from(node.get())
}

fn node_id(pid: u64) -> Option<NodeId> {
    u32::try_from(pid).ok().filter(|&pid| pid != 0).map(NodeId::new)
}

impl Omni {
    /// The ballot in which this node leads, if it does: all that earlier leaders decided is known.
    fn leading(&self) -> Option<Ballot> {
        let leads = self.paxos.get_current_leader() == Some((pid(self.id), true));
        leads.then(|| self.paxos.get_promise())
    }

    /// Who leads, as far as this node knows. It may have promised itself, and not lead, or no longer.
    fn leader(&self) -> Option<NodeId> {
        let (leader, _) = self.paxos.get_current_leader()?;
        node_id(leader).filter(|&leader| leader != self.id || self.leading().is_some())
    }

    fn ask(&mut self, request: RequestId, ask: Ask, out: &mut EffectsOf<Self>) {
        if ask == Ask::Committed {
            out.respond_now(request, Ok(Outcome::Log(self.replica.log().to_vec())));
            return;
        }
        self.heed_deposition(out);
        let Some(ballot) = self.leading() else {
            out.respond_now(request, Err(Refusal::NotLeader(self.leader())));
            return;
        };
        self.leads = Some(ballot);
        self.proposed += 1;
        let id = CommandId { node: self.id, life: self.life, count: self.proposed };
        match self.paxos.append(Command { id, ask }) {
            Ok(()) => {
                self.pending.insert(id.count, (request, ask));
            }
            // Reconfiguration is under way: nothing was appended.
            Err(_) => out.respond_now(request, Err(Refusal::Unavailable)),
        }
    }

    /// Fails what was taken in a leadership that is over.
    fn heed_deposition(&mut self, out: &mut EffectsOf<Self>) {
        if self.leads.is_none() || self.leads == self.leading() {
            return;
        }
        self.leads = None;
        let leader = self.leader();
        for (request, ask) in std::mem::take(&mut self.pending).into_values() {
            let refusal = match ask {
                // Whether it is decided later makes no difference to anybody.
                Ask::Read { .. } | Ask::Committed => Refusal::NotLeader(leader),
                Ask::Write(_) => Refusal::Unknown,
            };
            out.respond_now(request, Err(refusal));
        }
    }

    /// Applies what is decided, and answers who waits for it: a majority has accepted it durably.
    fn apply(&mut self, out: &mut EffectsOf<Self>) {
        let decided = self.paxos.read_decided_suffix(self.applied).unwrap_or_default();
        for entry in decided {
            let LogEntry::Decided(Command { id, ask }) = entry else {
                unreachable!("nothing is trimmed, snapshotted or reconfigured, and this is decided")
            };
            self.applied += 1;
            let write = match ask {
                Ask::Write(write) => Some(write),
                Ask::Read { .. } | Ask::Committed => None,
            };
            self.replica.apply((self.applied, id), write);
            let own = id.node == self.id && id.life == self.life;
            if let Some((request, ask)) = own.then(|| self.pending.remove(&id.count)).flatten() {
                let outcome = match ask {
                    Ask::Read { key } => Outcome::Value(self.replica.read(key)),
                    Ask::Write(_) | Ask::Committed => Outcome::Written,
                };
                out.respond_now(request, Ok(outcome));
            }
        }
    }

    /// Writes what the library wrote. What it says waits until all that it wrote before is durable,
    /// as if its storage had blocked; only hints, which are written last, keep nobody waiting.
    fn write_and_send(&mut self, now: Now, out: &mut EffectsOf<Self>) {
        let (hints, records): (Vec<_>, Vec<_>) = self.written.try_iter().partition(Record::is_hint);
        for record in records {
            self.needed = out.persist(record);
        }
        if let Some(latest) = hints.into_iter().next_back() {
            out.persist(latest);
        }
        let mut messages = Vec::new();
        self.paxos.take_outgoing_messages(&mut messages);
        self.unsaid.extend(messages.into_iter().map(|message| (self.needed, message)));
        let durable = self.durable;
        let ready = self.unsaid.iter().take_while(|(needed, _)| *needed <= durable).count();
        for (_, message) in self.unsaid.drain(..ready) {
            if let Some(to) = node_id(message.get_receiver()) {
                self.links.post(to, message);
            }
        }
        // What belongs to the sessions themselves promises nothing: as with TCP, they live on while
        // the process waits for its disk.
        self.links.flush(now.monotonic, |to, packet| out.send_now(to, Wire(packet)));
    }
}

impl Node for Omni {
    type Config = Config;
    type Request = Ask;
    type Response = Answer;
    type Message = Wire;
    type Record = Record;
    type Event = ();

    fn validate(config: &Config, members: &Members) -> Result<(), InvalidConfig> {
        if members.contains(NodeId::new(0)) {
            return Err(InvalidConfig::new("members", "n0", "ids from 1 on"));
        }
        let first = members.as_slice()[0];
        let valid = config.of_library(first, members).validate();
        valid.map_err(|error| InvalidConfig::new("config", error, "what the library accepts"))
    }

    fn boot(
        config: &Config,
        boot: Boot<Record>,
        _out: &mut EffectsOf<Self>,
    ) -> Result<Self, CorruptRecords> {
        let Boot { id, members, now, seed, records } = boot;
        let count = records.len();
        let corrupt = |(position, problem)| CorruptRecords { node: id, position, problem };
        let state = State::recover(records).map_err(corrupt)?;
        let (sender, written) = channel();
        let paxos = config
            .of_library(id, &members)
            .build(Store::new(state, sender))
            .map_err(|error| corrupt((count, format!("{error:?}"))))?;
        let mut rng = Rng::from_seed(seed);
        let life = rng.next();
        Ok(Self {
            id,
            paxos,
            written,
            unsaid: VecDeque::new(),
            needed: PersistCount(0),
            durable: PersistCount(0),
            links: Links::new(now.monotonic, members.others(id), rng),
            tick: config.tick,
            tick_at: now.monotonic + config.tick,
            replica: Replica::new(life),
            applied: 0,
            life,
            proposed: 0,
            leads: None,
            pending: BTreeMap::new(),
        })
    }

    fn handle(&mut self, now: Now, input: InputOf<Self>, out: &mut EffectsOf<Self>) {
        match input {
            Input::Request { id, body } => self.ask(id, body, out),
            Input::Message { from, body: Wire(packet) } => {
                for arrival in self.links.receive(now.monotonic, from, packet) {
                    match arrival {
                        Arrival::Letter(message) => self.paxos.handle_incoming(message),
                        Arrival::Reconnected => self.paxos.reconnected(pid(from)),
                    }
                }
            }
            // It finds leaders by its ballots alone.
            Input::Ended { .. } => {}
            Input::Timer => {
                if now.monotonic >= self.tick_at {
                    // Ticks that were missed in a pause are missed, as with any ticker.
                    self.tick_at = now.monotonic + self.tick;
                    self.paxos.tick();
                }
            }
            Input::Durable(upto) => self.durable = upto,
        }
    }

    fn flush(&mut self, now: Now, out: &mut EffectsOf<Self>) {
        self.heed_deposition(out);
        self.apply(out);
        self.write_and_send(now, out);
    }

    fn deadline(&self) -> Option<Timestamp> {
        Some(self.links.deadline().map_or(self.tick_at, |links| links.min(self.tick_at)))
    }

    fn standing(&self, _now: Now) -> Standing {
        let promise = self.paxos.get_promise();
        let role = match self.leader() {
            Some(leader) if leader == self.id => Role::Leader,
            Some(_) => Role::Follower,
            None => Role::Candidate,
        };
        // Ballots are ordered by their number, then by node.
        let epoch = Epoch::new(u64::from(promise.n) << 32 | promise.pid);
        Standing { role, epoch, leader: self.leader() }
    }

    fn gauges(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("ballot", u64::from(self.paxos.get_promise().n)),
            ("log entries", self.paxos.get_accepted_idx() as u64),
            ("decided", self.paxos.get_decided_idx() as u64),
            ("applied", self.applied as u64),
            ("requests pending", self.pending.len() as u64),
        ]
    }

    fn redirect(response: &Answer) -> Option<Redirect> {
        registers::redirect(response)
    }
}

impl RivalNode for Omni {
    fn replica(&self) -> &Replica {
        &self.replica
    }
}
