//! The simulated world: virtual time, one thread, one seed.
//!
//! Think of a board game with one die. Everything that will happen lies in a queue ordered by time;
//! a step takes out the first thing, lets the node it concerns handle it, and puts what that node
//! sends back into the queue with a latency that the die decides. Nothing else moves, so the same
//! seed plays the same game to the byte, and an hour passes in the time that its events take.
//!
//! Each node has a host: clocks that may drift and jump, a disk that forgets what was not synced
//! when it crashes, and a link to every other node that loses, delays, doubles or cuts. The disk
//! takes time to sync, and a crash may fall between a write and its sync, between a sync and the
//! answer that waited for it, or between any two effects of a batch. A disk may be slow, stalled,
//! full, torn, rotten or wiped; see [`Fault`] and [`Damage`](crate::Damage).

mod effects;
mod faults;
mod host;
mod mutants;
mod network;
mod queue;
mod trace;

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::digest::Digest;
use crate::{
    Cluster, Completion, Fault, InputOf, InvalidConfig, Members, NoAnswer, Node, NodeId, NodeState,
    Now, RequestId, Rng, Timestamp, Unsupported,
};

pub use crate::Emitted;
#[cfg(feature = "mutants")]
pub use mutants::Mutant;
#[cfg(not(feature = "mutants"))]
pub(crate) use mutants::Mutant;
pub use mutants::Planted;
pub use trace::{Handled, MessageNumber, TraceEvent, Traced};

use host::{Host, State, Step};
use network::Network;
use queue::{Event, Queue};
use trace::Recorder;

/// How long things take in the simulated world.
///
/// The defaults are a quick local network and a good disk.
#[derive(Clone, Debug)]
pub struct Options {
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// From one node to another. Links keep their order unless a fault breaks it. Of zero, nodes
    /// that answer each other for ever do so at one instant, and time stands still.
    pub latency: RangeInclusive<Duration>,
    /// From a client to a node, and back.
    pub client_latency: RangeInclusive<Duration>,
    /// To make what was written durable. Zero: at once, without an event of its own.
    pub sync: RangeInclusive<Duration>,
    /// Whether nodes are told of each other's ends ([`Input::Ended`](crate::Input::Ended)): what tells
    /// them is lost and delayed as messages are. By default not.
    pub tells_ends: bool,
    /// The bug of this world, for tests of judges; by default none.
    pub planted: Planted,
}

impl Options {
    /// The defaults, with this seed.
    pub fn seeded(seed: u64) -> Self {
        let micros = Duration::from_micros;
        Self {
            seed,
            latency: micros(100)..=micros(1_000),
            client_latency: micros(50)..=micros(500),
            sync: micros(50)..=micros(500),
            tells_ends: false,
            planted: Planted::default(),
        }
    }

    /// Whether disks are to tell that they have synced what they have not, as one planted bug has it: for
    /// worlds elsewhere that take the same bug.
    pub fn syncs_too_soon(&self) -> bool {
        self.planted.is(Mutant::SyncsTooSoon)
    }

    /// The same with a bug in the world.
    #[cfg(feature = "mutants")]
    pub fn plant(self, mutant: Mutant) -> Self {
        Self { planted: Planted::of(mutant), ..self }
    }
}

/// A cluster of `N` in virtual time.
pub struct Sim<N: Node> {
    now: Timestamp,
    config: N::Config,
    options: Options,
    members: Members,
    hosts: Vec<Host<N>>,
    network: Network,
    queue: Queue<N>,
    rng: Rng,
    arrived: VecDeque<Completion<N::Response>>,
    emitted: Vec<Emitted<N::Event>>,
    request_count: u64,
    events: u64,
    digest: Digest,
    trace: Option<Box<Recorder>>,
}

// Construction.
impl<N: Node> Sim<N> {
    /// A cluster of `members`, all of them booted at time zero.
    ///
    /// # Errors
    /// What [`Node::validate`] says of the configuration.
    pub fn new(
        config: N::Config,
        members: Members,
        options: Options,
    ) -> Result<Self, InvalidConfig> {
        N::validate(&config, &members)?;
        for (field, range) in [
            ("latency", &options.latency),
            ("client_latency", &options.client_latency),
            ("sync", &options.sync),
        ] {
            if range.is_empty() {
                let value = format!("{range:?}");
                return Err(InvalidConfig::new(field, value, "a range from low to high"));
            }
        }
        let mut rng = Rng::from_seed(options.seed);
        let network = Network::new(members.count(), rng.fork(1), options.latency.clone());
        let mut host =
            |id: NodeId| Host::new(id, rng.fork(u64::from(id.get()) + 2), options.planted);
        let hosts = members.iter().map(&mut host).collect();
        let mut sim = Self {
            now: Timestamp::ZERO,
            config,
            options,
            hosts,
            network,
            queue: Queue::new(),
            rng,
            arrived: VecDeque::new(),
            emitted: Vec::new(),
            request_count: 0,
            events: 0,
            digest: Digest::new(),
            trace: None,
            members,
        };
        for index in 0..sim.hosts.len() {
            sim.boot(index);
        }
        Ok(sim)
    }
}

// Looking inside, which only a simulation can.
impl<N: Node> Sim<N> {
    /// The node itself, unless it is down.
    pub fn node(&self, id: NodeId) -> Option<&N> {
        self.hosts[self.members.index_of(id)?].node.as_ref()
    }

    /// The local clocks of `id`, now.
    ///
    /// # Panics
    /// When `id` is no member.
    pub fn clock(&self, id: NodeId) -> crate::Now {
        let index = self.members.index_of(id).expect("a member");
        self.hosts[index].clock.read(self.now)
    }

    /// What was made durable on the disk of `id` and not let go since, as it was written, damaged
    /// since or not; empty if it is no member.
    pub fn durable(&self, id: NodeId) -> &[N::Record] {
        match self.members.index_of(id) {
            Some(index) => self.hosts[index].disk.durable(),
            None => &[],
        }
    }

    /// How `id` is doing; down if it is no member.
    pub fn peek(&self, id: NodeId) -> NodeState {
        let Some(index) = self.members.index_of(id) else { return NodeState::Down };
        let host = &self.hosts[index];
        match (host.state, &host.node) {
            (State::Up, Some(node)) => NodeState::Up(node.standing(host.clock.read(self.now))),
            (State::Paused, Some(_)) => NodeState::Paused,
            (State::Down, _) | (_, None) => NodeState::Down,
        }
    }

    /// Why `id` refused to boot, if it did: its store found damage, or the node itself refused.
    pub fn refusal(&self, id: NodeId) -> Option<&crate::CorruptRecords> {
        self.hosts[self.members.index_of(id)?].refusal.as_ref()
    }

    /// Whether a record was torn at the end of the disk of `id` when it went down. It is cut off at
    /// the next boot.
    pub fn is_torn(&self, id: NodeId) -> bool {
        self.members.index_of(id).is_some_and(|index| self.hosts[index].disk.is_torn())
    }

    /// What nodes told their applications since the last call, in order. Kept until it is taken.
    pub fn take_emitted(&mut self) -> Vec<Emitted<N::Event>> {
        std::mem::take(&mut self.emitted)
    }

    /// How many inputs nodes have handled.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// How many messages nodes sent each other, and how many of those were lost or cut.
    pub fn messages(&self) -> (u64, u64) {
        (self.network.sent, self.network.lost)
    }

    /// A hash over everything that happened so far: time, node, and content of every input, every
    /// fault, and every answer's time and request (not its content, which need not be hashable).
    /// Equal for equal seeds, on every machine; see [`Digest`] for what a request, message or fault
    /// may be made of.
    pub fn digest(&self) -> u64 {
        self.digest.finish()
    }

    /// From now on, keep an event for all that happens; see [`Sim::take_trace`].
    ///
    /// It begins with how each node is, and with the messages that are under way. Nothing that is
    /// kept changes what happens.
    pub fn start_trace(&mut self) {
        if self.trace.is_some() {
            return;
        }
        let mut recorder = Recorder::new(self.hosts.len());
        if self.now == Timestamp::ZERO {
            // Nothing was missed but the boots.
            for host in &self.hosts {
                recorder.booted(self.now, host.id, host.refusal.as_ref());
            }
        }
        recorder.under_way(self.now, &self.queue, &self.members);
        self.trace = Some(Box::new(recorder));
        (0..self.hosts.len()).for_each(|index| self.trace_state(index));
    }

    /// The events kept since the last call.
    pub fn take_trace(&mut self) -> Vec<TraceEvent> {
        self.trace.as_mut().map(|trace| trace.take()).unwrap_or_default()
    }

    /// Tells how host `index` is, if that is wanted.
    #[inline]
    fn trace_state(&mut self, index: usize) {
        if self.trace.is_some() {
            self.record_state(index);
        }
    }

    #[cold]
    fn record_state(&mut self, index: usize) {
        let host = &self.hosts[index];
        let (id, state) = (host.id, self.peek(host.id));
        let gauges = host.node.as_ref().map(N::gauges).unwrap_or_default();
        if let Some(trace) = &mut self.trace {
            trace.state(self.now, index, id, state, gauges);
        }
    }

    /// Keeps what `what` returns, if anything is to be kept.
    fn tell(&mut self, what: impl FnOnce() -> Traced) {
        if let Some(trace) = &mut self.trace {
            trace.push(self.now, what());
        }
    }
}

// Letting time pass.
impl<N: Node> Sim<N> {
    /// Takes the next thing out of the queue, if it is due by `until`, and lets it happen.
    ///
    /// Returns whom it happened to, whether they took notice or not.
    pub fn step(&mut self, until: Timestamp) -> Step {
        let Some(at) = self.queue.next_at().filter(|&at| at <= until) else {
            self.now = self.now.max(until);
            return Step::Idle;
        };
        self.now = at;
        let event = self.queue.pop().expect("peeked");
        let Some(index) = event.host() else {
            if let Event::Answer(completion) = event {
                self.arrive(completion);
            }
            return Step::Client;
        };
        let mut handled = self.deliver(index, event);
        // What arrives at the same instant is one batch, as a real inbox would hand it over.
        while self.queue.next_is(at, index) {
            let event = self.queue.pop().expect("peeked");
            handled |= self.deliver(index, event);
        }
        if handled {
            self.finish_batch(index);
        } else {
            self.start_sync(index);
            self.set_alarm(index);
        }
        Step::Node(self.hosts[index].id)
    }

    /// As [`Cluster::poll`], calling `after` once after every step.
    ///
    /// Nodes also run inside [`Cluster::inject`], when they boot or go on after a pause: whoever
    /// watches them must look after that as well.
    pub fn poll_observed(
        &mut self,
        until: Timestamp,
        mut after: impl FnMut(&Self, Step),
    ) -> Option<Completion<N::Response>> {
        loop {
            if let Some(completion) = self.arrived.pop_front() {
                return Some(completion);
            }
            // Nothing arrives until a step is a client's.
            loop {
                let step = self.step(until);
                match step {
                    Step::Idle => return None,
                    Step::Node(_) => after(self, step),
                    Step::Client => {
                        after(self, step);
                        break;
                    }
                }
            }
        }
    }

    /// Lets an answer reach its client.
    fn arrive(&mut self, completion: Completion<N::Response>) {
        let Completion { request, at, outcome } = &completion;
        self.digest.write_u64(at.as_nanos());
        request.hash(&mut self.digest);
        self.digest.write_u8(u8::from(outcome.is_ok()));
        if let Some(trace) = &mut self.trace {
            trace.answered(*at, *request, outcome);
        }
        self.arrived.push_back(completion);
    }

    /// Lets `event` happen to host `index`. True if a node handled an input.
    #[inline]
    fn deliver(&mut self, index: usize, event: Event<N>) -> bool {
        let host = &mut self.hosts[index];
        if event.is_stale(host.boots) {
            return false;
        }
        if let Event::Synced { upto, .. } = event {
            if host.disk.fault.stalled {
                host.stuck = Some(upto);
                return false;
            }
            let node = host.id;
            self.tell(|| Traced::Synced { node, records: upto });
        }
        let host = &mut self.hosts[index];
        match host.state {
            State::Down => {
                if let Event::Request { id, .. } = event {
                    self.answer(id, Err(NoAnswer::Unreachable));
                }
                return false;
            }
            State::Paused => {
                host.hold(event);
                return false;
            }
            State::Up => {}
        }
        let now = host.clock.read(self.now);
        let message = event.message_number();
        let Some(input) = host.input_of(now, event) else { return false };
        self.hand(index, now, message, input)
    }

    /// Hands `input` to the node of host `index`. True if there is one.
    #[inline]
    fn hand(&mut self, index: usize, now: Now, message: MessageNumber, input: InputOf<N>) -> bool {
        self.events += 1;
        self.digest.write_u128(u128::from(self.now.as_nanos()) | (index as u128) << 64);
        input.hash(&mut self.digest);
        let host = &mut self.hosts[index];
        if let Some(trace) = &mut self.trace {
            trace.handled::<N>(self.now, host.id, message, &input);
        }
        let Some(node) = &mut host.node else { return false };
        node.handle(now, input, &mut host.effects);
        true
    }
}

impl<N: Node> Cluster for Sim<N> {
    type Request = N::Request;
    type Response = N::Response;

    fn members(&self) -> &[NodeId] {
        self.members.as_slice()
    }

    fn now(&self) -> Timestamp {
        self.now
    }

    fn submit(&mut self, node: NodeId, request: N::Request) -> RequestId {
        self.request_count += 1;
        let id = RequestId::new(0, self.request_count);
        match self.members.index_of(node) {
            Some(host) => {
                let at = self.now + self.rng.span(self.options.client_latency.clone());
                self.queue.push(at, Event::Request { host, id, body: request });
            }
            None => self.answer(id, Err(NoAnswer::Unreachable)),
        }
        id
    }

    fn poll(&mut self, until: Timestamp) -> Option<Completion<N::Response>> {
        self.poll_observed(until, |_, _| {})
    }

    fn state(&mut self, node: NodeId) -> NodeState {
        self.peek(node)
    }

    fn inject(&mut self, fault: &Fault) -> Result<(), Unsupported> {
        fault.check(&self.members)?;
        self.digest.write_u64(self.now.as_nanos());
        fault.hash(&mut self.digest);
        self.tell(|| Traced::Fault { fault: fault.clone() });
        self.apply(fault);
        Ok(())
    }
}

pub use host::Step as Stepped;
