//! The simulated world: virtual time, one thread, one seed.
//!
//! Think of a board game with one die. Everything that will happen lies in a queue ordered by time;
//! a step takes out the first thing, lets the node it concerns handle it, and puts what that node
//! sends back into the queue with a latency that the die decides. Nothing else moves, so the same
//! seed plays the same game to the byte, and an hour passes in the time that its events take.
//!
//! Each node has a host: clocks that may drift and jump, a disk that forgets what was not synced
//! when it crashes, and a link to every other node that loses, delays, doubles or cuts. The disk
//! takes time to sync, and a crash may fall between a write and its sync, or between a sync and the
//! answer that waited for it.

mod disk;
mod host;
mod network;
mod queue;

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::digest::Digest;
use crate::{
    Cluster, Completion, EffectOf, Fault, InvalidConfig, Members, NoAnswer, Node, NodeId,
    NodeState, RequestId, Rng, Timestamp, Unsupported,
};

pub use crate::Emitted;

use host::{Host, State, Step};
use network::Network;
use queue::{Event, Queue};

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
        }
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
    trace: Option<Vec<String>>,
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
        let hosts =
            members.iter().map(|id| Host::new(id, rng.fork(u64::from(id.get()) + 2))).collect();
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

    /// What is durable on the disk of `id`; empty if it is no member.
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

    /// Why `id` refused to boot, if it did.
    pub fn refusal(&self, id: NodeId) -> Option<&crate::CorruptRecords> {
        self.hosts[self.members.index_of(id)?].refusal.as_ref()
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

    /// From now on, keep a line for every input, fault and answer; see [`Sim::take_trace`].
    pub fn start_trace(&mut self) {
        self.trace.get_or_insert_default();
    }

    /// The lines kept since the last call.
    pub fn take_trace(&mut self) -> Vec<String> {
        self.trace.as_mut().map(std::mem::take).unwrap_or_default()
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
            let step = self.step(until);
            if step == Step::Idle {
                return None;
            }
            after(self, step);
        }
    }

    /// Lets an answer reach its client.
    fn arrive(&mut self, completion: Completion<N::Response>) {
        let Completion { request, at, outcome } = &completion;
        self.digest.write_u64(at.as_nanos());
        request.hash(&mut self.digest);
        self.digest.write_u8(u8::from(outcome.is_ok()));
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{at:?} client <- {request:?} {outcome:?}"));
        }
        self.arrived.push_back(completion);
    }

    /// Lets `event` happen to host `index`. True if a node handled an input.
    fn deliver(&mut self, index: usize, event: Event<N>) -> bool {
        let host = &mut self.hosts[index];
        if event.is_stale(host.boots) {
            return false;
        }
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
        let Some(input) = host.input_of(now, event) else { return false };
        self.events += 1;
        self.digest.write_u64(self.now.as_nanos());
        self.digest.write_u64(index as u64);
        input.hash(&mut self.digest);
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:?} {} <- {input:?}", self.now, host.id));
        }
        let Some(node) = &mut host.node else { return false };
        node.handle(now, input, &mut host.effects);
        true
    }

    /// Flushes the node, carries out what it wants, and sets its alarm.
    fn finish_batch(&mut self, index: usize) {
        loop {
            let host = &mut self.hosts[index];
            let Some(node) = &mut host.node else { return };
            node.flush(host.clock.read(self.now), &mut host.effects);
            self.carry_out(index);
            // A disk that needs no time is done before anything else happens.
            let host = &mut self.hosts[index];
            if !(host.disk.is_dirty() && self.options.sync.end().is_zero()) {
                break;
            }
            let upto = host.disk.written();
            let boot = host.boots;
            if !self.deliver(index, Event::Synced { host: index, boot, upto }) {
                break;
            }
        }
        self.start_sync(index);
        self.set_alarm(index);
    }

    fn carry_out(&mut self, index: usize) {
        while let Some(effect) = self.hosts[index].next_released() {
            self.release(index, effect);
        }
        let mut effects = std::mem::take(&mut self.hosts[index].effects_list);
        self.hosts[index].effects.swap(&mut effects);
        for effect in effects.drain(..) {
            if let Some(effect) = self.hosts[index].write_or_hold(effect) {
                self.release(index, effect);
            }
        }
        self.hosts[index].effects_list = effects;
    }

    /// Lets an effect leave the node.
    fn release(&mut self, index: usize, effect: EffectOf<N>) {
        use crate::Effect::{Emit, Persist, Respond, Send};
        match effect {
            Persist(_) => unreachable!("written by write_or_hold"),
            Send { to, message, .. } => {
                let Some(to) = self.members.index_of(to) else { return };
                let from = self.hosts[index].id;
                let deliveries = self.network.route(self.now, index, to);
                if let Some(again) = deliveries.duplicate {
                    let body = message.clone();
                    self.queue.push(again, Event::Message { host: to, from, body });
                }
                if let Some(at) = deliveries.first {
                    self.queue.push(at, Event::Message { host: to, from, body: message });
                }
            }
            Respond { request, response, .. } => {
                if self.hosts[index].asked.remove(&request) {
                    self.answer(request, Ok(response));
                }
            }
            Emit(event) => {
                let node = self.hosts[index].id;
                self.emitted.push(Emitted { at: self.now, node, event });
            }
        }
    }

    fn start_sync(&mut self, index: usize) {
        let host = &mut self.hosts[index];
        if let Some(upto) = host.disk.start_sync() {
            let at = self.now + host.rng.span(self.options.sync.clone());
            self.queue.push(at, Event::Synced { host: index, boot: host.boots, upto });
        }
    }

    fn set_alarm(&mut self, index: usize) {
        let host = &mut self.hosts[index];
        if let Some(at) = host.next_alarm(self.now) {
            self.queue.push(at, Event::Alarm { host: index, boot: host.boots, at });
        }
    }

    fn answer(&mut self, request: RequestId, outcome: Result<N::Response, NoAnswer>) {
        let at = self.now + self.rng.span(self.options.client_latency.clone());
        self.queue.push(at, Event::Answer(Completion { request, at, outcome }));
    }
}

// Faults.
impl<N: Node> Sim<N> {
    fn boot(&mut self, index: usize) {
        let (config, members) = (&self.config, &self.members);
        if self.hosts[index].boot(self.now, config, members) {
            self.finish_batch(index);
        }
    }

    fn crash(&mut self, index: usize, power_loss: bool) {
        for request in self.hosts[index].crash(power_loss) {
            self.answer(request, Err(NoAnswer::Lost));
        }
    }

    fn resume(&mut self, index: usize) {
        // At once, and not by way of the queue: something may be due at this very instant that was
        // sent later than what was held.
        for event in self.hosts[index].resume() {
            self.deliver(index, event);
        }
        self.finish_batch(index);
    }

    fn apply(&mut self, fault: &Fault) {
        match fault {
            Fault::Crash { node } => self.crash(self.index(*node), false),
            Fault::Restart { node } => {
                let index = self.index(*node);
                if self.hosts[index].state == State::Down {
                    self.boot(index);
                }
            }
            Fault::Pause { node } => {
                let index = self.index(*node);
                let host = &mut self.hosts[index];
                if host.state == State::Up {
                    host.state = State::Paused;
                }
            }
            Fault::Resume { node } => {
                let index = self.index(*node);
                if self.hosts[index].state == State::Paused {
                    self.resume(index);
                }
            }
            Fault::PowerLoss => {
                for index in 0..self.hosts.len() {
                    self.crash(index, true);
                }
            }
            Fault::Partition { .. } | Fault::Cut { .. } | Fault::Heal => {
                self.network.cuts.apply(fault, |node| self.members.index_of(node));
            }
            Fault::Links(links) => self.network.fault = *links,
            Fault::Clock { node, clock } => {
                let index = self.index(*node);
                let host = &mut self.hosts[index];
                host.clock.drift(self.now, clock.drift_ppm);
                host.clock.jump_wall(self.now, clock.jump_nanos);
                self.set_alarm(index);
            }
        }
    }

    /// The place of a node that [`Fault::check`] has found to be a member.
    fn index(&self, node: NodeId) -> usize {
        self.members.index_of(node).expect("checked by inject")
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
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:?} fault {fault:?}", self.now));
        }
        self.apply(fault);
        Ok(())
    }
}

pub use host::Step as Stepped;
