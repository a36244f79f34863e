//! A cluster moved by hand: a test decides what becomes of every single message.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use cluster::{
    Boot, Effect, EffectOf, EffectsOf, Gate, Input, InputOf, Members, Node, NodeId, Now, RequestId,
    Timestamp, WallTime,
};
use quorum::invariants::{Monitor, Violation};
use quorum::{Config, Entry, Key, Message, Record, Replica, Reply, Request, Response, Value};

/// A message on its way.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub(crate) from: NodeId,
    pub(crate) to: NodeId,
    pub(crate) message: Message,
}

/// What becomes of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Deliver,
    Drop,
    Twice,
    Keep,
}

/// When disks sync.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sync {
    AtOnce,
    Never,
}

struct Machine {
    node: Option<Replica>,
    disk: Vec<Record>,
    durable: usize,
    at_boot: usize,
    effects: EffectsOf<Replica>,
    waiting: Vec<EffectOf<Replica>>,
}

pub(crate) struct Rig {
    config: Config,
    members: Members,
    machines: BTreeMap<NodeId, Machine>,
    pub(crate) wire: VecDeque<Letter>,
    answers: BTreeMap<RequestId, Response>,
    now: Timestamp,
    sync: Sync,
    boots: u64,
    requests: u64,
    monitor: Monitor,
    /// The first invariant found broken.
    pub(crate) violation: Option<Violation>,
}

pub(crate) fn n(number: u32) -> NodeId {
    NodeId::new(number)
}

/// Lets everything through.
pub(crate) fn all(_: &Letter) -> Fate {
    Fate::Deliver
}

/// Lets through what these nodes tell each other, and loses the rest.
pub(crate) fn among(nodes: &[NodeId]) -> impl Fn(&Letter) -> Fate + '_ {
    |letter| match nodes.contains(&letter.from) && nodes.contains(&letter.to) {
        true => Fate::Deliver,
        false => Fate::Drop,
    }
}

impl Rig {
    pub(crate) fn new(config: Config, nodes: usize) -> Self {
        let members = Members::first(nodes).expect("a cluster");
        Replica::validate(&config, &members).expect("valid");
        let machines = members.iter().map(|id| (id, Machine::new())).collect();
        let mut rig = Self {
            config,
            members: members.clone(),
            machines,
            wire: VecDeque::new(),
            answers: BTreeMap::new(),
            now: Timestamp::from_millis(1_000),
            sync: Sync::AtOnce,
            boots: 0,
            requests: 0,
            monitor: Monitor::new(),
            violation: None,
        };
        for id in members.iter() {
            rig.restart(id);
        }
        rig
    }

    pub(crate) fn node(&self, id: NodeId) -> &Replica {
        self.machines[&id].node.as_ref().expect("up")
    }

    pub(crate) fn nodes(&self) -> impl Iterator<Item = &Replica> {
        self.machines.values().filter_map(|machine| machine.node.as_ref())
    }

    pub(crate) fn entry(&self, id: NodeId, key: &str) -> Entry {
        self.node(id).entry(&Key::from(key))
    }

    /// The replicas of `key`, and then all other nodes.
    pub(crate) fn preference(&self, key: &str) -> Vec<NodeId> {
        let ring = quorum::Ring::new(
            &self.members,
            self.config.virtual_nodes(),
            self.config.replication(),
        );
        let mut nodes = ring.expect("valid").replicas(&Key::from(key)).to_vec();
        nodes.extend(self.members.iter().filter(|node| !nodes.contains(node)).collect::<Vec<_>>());
        nodes
    }

    pub(crate) fn gauge(&self, id: NodeId, name: &str) -> u64 {
        let gauges = self.node(id).gauges();
        gauges.iter().find(|(gauge, _)| *gauge == name).expect("a gauge").1
    }

    /// From now on disks sync so.
    pub(crate) fn set_sync(&mut self, sync: Sync) {
        self.sync = sync;
    }

    pub(crate) fn request(&mut self, node: NodeId, request: Request) -> RequestId {
        self.requests += 1;
        let id = RequestId::new(0, self.requests);
        self.input(node, Input::Request { id, body: request });
        id
    }

    pub(crate) fn answer(&self, request: RequestId) -> Option<&Response> {
        self.answers.get(&request)
    }

    /// Asks, lets everything through, and returns the answer.
    #[track_caller]
    pub(crate) fn done(&mut self, node: NodeId, request: Request) -> Reply {
        let id = self.request(node, request);
        self.deliver(all);
        self.answer(id).expect("an answer").clone().expect("success")
    }

    /// Asks, lets messages have their fates, and returns what a read saw.
    #[track_caller]
    pub(crate) fn read(&mut self, node: NodeId, key: &str, fate: impl Fn(&Letter) -> Fate) -> Seen {
        let id = self.request(node, Request::get(key));
        self.deliver(fate);
        match self.answer(id) {
            Some(Ok(Reply::Value { value, .. })) => Seen(value.clone()),
            other => panic!("a read of {key} at {node} ended as {other:?}"),
        }
    }

    /// Hands out messages until none are left but those to be kept.
    pub(crate) fn deliver(&mut self, fate: impl Fn(&Letter) -> Fate) {
        let mut kept = VecDeque::new();
        while let Some(letter) = self.wire.pop_front() {
            match fate(&letter) {
                Fate::Deliver => self.hand_over(letter),
                Fate::Drop => {}
                Fate::Twice => {
                    self.hand_over(letter.clone());
                    self.hand_over(letter);
                }
                Fate::Keep => kept.push_back(letter),
            }
        }
        self.wire = kept;
    }

    /// Hands in a message that nobody need have sent.
    pub(crate) fn hand_over(&mut self, letter: Letter) {
        self.input(letter.to, Input::Message { from: letter.from, body: letter.message });
    }

    /// Lets time pass, with every node called when it wants to be. Messages stay on the wire.
    pub(crate) fn pass(&mut self, span: Duration) {
        let until = self.now + span;
        loop {
            let due = |machine: &Machine| machine.node.as_ref().and_then(Node::deadline);
            let next = self.machines.iter().filter_map(|(&id, machine)| Some((due(machine)?, id)));
            match next.min() {
                Some((at, id)) if at <= until => {
                    self.now = self.now.max(at);
                    self.input(id, Input::Timer);
                }
                _ => break,
            }
        }
        self.now = until;
    }

    /// Lets time pass, and every message through, in small steps.
    pub(crate) fn run(&mut self, span: Duration, fate: impl Fn(&Letter) -> Fate) {
        let step = Duration::from_millis(10);
        for _ in 0..span.as_millis().div_ceil(step.as_millis()) {
            self.pass(step);
            self.deliver(&fate);
        }
    }

    /// The node dies; what was not synced is gone.
    pub(crate) fn crash(&mut self, id: NodeId) {
        let machine = self.machines.get_mut(&id).expect("a member");
        machine.disk.truncate(machine.durable);
        machine.node = None;
        machine.waiting.clear();
    }

    pub(crate) fn restart(&mut self, id: NodeId) {
        self.boots += 1;
        let boot = Boot {
            id,
            members: self.members.clone(),
            now: self.clocks(),
            seed: self.boots,
            records: self.machines[&id].disk.clone(),
        };
        let machine = self.machines.get_mut(&id).expect("a member");
        machine.effects = EffectsOf::<Replica>::new();
        machine.at_boot = machine.disk.len();
        machine.durable = machine.disk.len();
        let node = Replica::boot(&self.config, boot, &mut machine.effects).expect("a sound disk");
        machine.node = Some(node);
        self.settle(id);
    }

    fn input(&mut self, id: NodeId, input: InputOf<Replica>) {
        let now = self.clocks();
        let machine = self.machines.get_mut(&id).expect("a member");
        if let Some(node) = &mut machine.node {
            node.handle(now, input, &mut machine.effects);
            self.settle(id);
        }
    }

    /// Carries out what the node wants, and tells it of its disk.
    fn settle(&mut self, id: NodeId) {
        let now = self.clocks();
        loop {
            let machine = self.machines.get_mut(&id).expect("a member");
            let effects: Vec<_> = machine.effects.drain().collect();
            for effect in effects {
                self.carry_out(id, effect);
            }
            let machine = self.machines.get_mut(&id).expect("a member");
            if machine.durable == machine.disk.len() || self.sync == Sync::Never {
                break;
            }
            machine.durable = machine.disk.len();
            let count = cluster::PersistCount((machine.durable - machine.at_boot) as u64);
            let node = machine.node.as_mut().expect("up");
            node.handle(now, Input::Durable(count), &mut machine.effects);
            for effect in std::mem::take(&mut machine.waiting) {
                self.let_out(id, effect);
            }
        }
        let node = self.machines[&id].node.as_ref().expect("up");
        if let Err(violation) = self.monitor.observe(node) {
            self.violation.get_or_insert(violation);
        }
    }

    fn carry_out(&mut self, id: NodeId, effect: EffectOf<Replica>) {
        let machine = self.machines.get_mut(&id).expect("a member");
        let gate = match &effect {
            Effect::Persist(record) => return machine.disk.push(record.clone()),
            Effect::Send { gate, .. } | Effect::Respond { gate, .. } => *gate,
            Effect::Emit(_) | Effect::Forget { .. } => Gate::Open,
        };
        if gate == Gate::Durable && machine.durable < machine.disk.len() {
            machine.waiting.push(effect);
        } else {
            self.let_out(id, effect);
        }
    }

    fn let_out(&mut self, id: NodeId, effect: EffectOf<Replica>) {
        match effect {
            Effect::Send { to, message, .. } => {
                self.wire.push_back(Letter { from: id, to, message });
            }
            Effect::Respond { request, response, .. } => {
                let before = self.answers.insert(request, response);
                assert_eq!(before, None, "{request:?} was answered twice");
            }
            Effect::Persist(_) | Effect::Emit(_) | Effect::Forget { .. } => {}
        }
    }

    fn clocks(&self) -> Now {
        Now { monotonic: self.now, wall: WallTime::from_nanos(self.now.as_nanos()) }
    }
}

impl Machine {
    fn new() -> Self {
        Self {
            node: None,
            disk: Vec::new(),
            durable: 0,
            at_boot: 0,
            effects: EffectsOf::<Replica>::new(),
            waiting: Vec::new(),
        }
    }
}

/// What a read saw; compares with text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Seen(pub(crate) Option<Value>);

impl PartialEq<&str> for Seen {
    fn eq(&self, text: &&str) -> bool {
        self.0 == Some(Value::from(*text))
    }
}
