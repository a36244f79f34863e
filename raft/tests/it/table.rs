//! Nodes on a table, moved by hand: every message lies there until someone delivers, drops or
//! doubles it, and every disk syncs when told.

use std::collections::VecDeque;
use std::time::Duration;

use cluster::{
    Boot, Effect, EffectOf, EffectsOf, Gate, Input, InputOf, Members, Node, NodeId, Now,
    PersistCount, RequestId, Timestamp, WallTime,
};
use raft::invariants::{Monitor, Violation};
use raft::{Config, Message, Raft, Record, Request, Response};

use crate::journal::Journal;

type Core = Raft<Journal>;

/// A message on its way.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    pub(crate) from: NodeId,
    pub(crate) to: NodeId,
    pub(crate) message: Message<u64>,
}

struct Seat {
    id: NodeId,
    node: Option<Core>,
    effects: EffectsOf<Core>,
    /// All but the first `dropped` that it wrote.
    records: Vec<Record<u64>>,
    dropped: usize,
    synced: usize,
    at_boot: usize,
    waiting: VecDeque<(usize, EffectOf<Core>)>,
    boots: u64,
}

impl Seat {
    fn written(&self) -> usize {
        self.dropped + self.records.len()
    }
}

/// The table. Every step ends with a look at every node by the monitor.
pub(crate) struct Table {
    config: Config<Journal>,
    members: Members,
    seats: Vec<Seat>,
    pub(crate) wires: Vec<Wire>,
    pub(crate) answers: Vec<(RequestId, Response<Journal>)>,
    pub(crate) monitor: Monitor<Journal>,
    /// The first violation.
    pub(crate) violation: Option<Violation>,
    clock: Timestamp,
    request_count: u64,
    seed: u64,
    /// Whether disks sync by themselves at once.
    pub(crate) instant_disks: bool,
    /// Of the records that a node lets go, how many in a hundred its disk drops.
    pub(crate) drops_percent: usize,
}

pub(crate) fn n(number: u32) -> NodeId {
    NodeId::new(number)
}

impl Table {
    /// One whose nodes trust their disks: no test there is of what becomes of disks.
    pub(crate) fn new(count: usize, config: Config<Journal>, seed: u64) -> Self {
        Self::checked(count, config.trusting_disks(), seed)
    }

    /// One whose nodes are configured just so.
    pub(crate) fn checked(count: usize, config: Config<Journal>, seed: u64) -> Self {
        let members = Members::first(count).unwrap();
        let seats = members
            .iter()
            .map(|id| Seat {
                id,
                node: None,
                effects: EffectsOf::<Core>::new(),
                records: Vec::new(),
                dropped: 0,
                synced: 0,
                at_boot: 0,
                waiting: VecDeque::new(),
                boots: 0,
            })
            .collect();
        let mut table = Self {
            config,
            members,
            seats,
            wires: Vec::new(),
            answers: Vec::new(),
            monitor: Monitor::new(),
            violation: None,
            clock: Timestamp::from_millis(1),
            request_count: 0,
            seed,
            instant_disks: true,
            drops_percent: 100,
        };
        for id in table.members.clone().iter() {
            table.restart(id);
        }
        table
    }

    pub(crate) fn node(&self, id: NodeId) -> &Core {
        self.seats[self.place(id)].node.as_ref().expect("it is up")
    }

    pub(crate) fn is_up(&self, id: NodeId) -> bool {
        self.seats[self.place(id)].node.is_some()
    }

    fn place(&self, id: NodeId) -> usize {
        self.members.index_of(id).expect("a member")
    }

    fn now(&self) -> Now {
        Now { monotonic: self.clock, wall: WallTime::from_nanos(0) }
    }

    /// Hands `id` an input and flushes it.
    pub(crate) fn input(&mut self, id: NodeId, input: InputOf<Core>) {
        let now = self.now();
        let place = self.place(id);
        let seat = &mut self.seats[place];
        let Some(node) = &mut seat.node else { return };
        node.handle(now, input, &mut seat.effects);
        node.flush(now, &mut seat.effects);
        self.carry_out(place);
        if self.instant_disks {
            self.sync(id);
        }
        self.look();
    }

    /// Lets `id` find that its deadline has come.
    pub(crate) fn tick(&mut self, id: NodeId) {
        let place = self.place(id);
        let Some(deadline) = self.seats[place].node.as_ref().and_then(Node::deadline) else {
            return;
        };
        self.clock = self.clock.max(deadline);
        self.input(id, Input::Timer);
    }

    /// Lets time pass, unnoticed.
    pub(crate) fn pass(&mut self, span: Duration) {
        self.clock += span;
    }

    /// When `id` wants to be called next.
    pub(crate) fn deadline(&self, id: NodeId) -> Timestamp {
        self.node(id).deadline().expect("there is always one")
    }

    pub(crate) fn clock(&self) -> Timestamp {
        self.clock
    }

    pub(crate) fn gauge(&self, id: NodeId, name: &str) -> u64 {
        let gauges = self.node(id).gauges();
        gauges.into_iter().find(|(known, _)| *known == name).expect("a gauge of that name").1
    }

    /// Lets the leader `id` send heartbeats to `nodes`, and take their answers, for so long.
    pub(crate) fn beat(&mut self, id: u32, nodes: &[u32], span: Duration) {
        let end = self.clock + span;
        let group: Vec<u32> = nodes.iter().copied().chain([id]).collect();
        while self.clock < end && self.node(n(id)).is_leader() {
            self.tick(n(id));
            self.settle(&group);
        }
    }

    /// Lets `id` be called so much later, whether its deadline has come or not.
    pub(crate) fn tick_after(&mut self, id: NodeId, span: Duration) {
        self.clock += span;
        self.input(id, Input::Timer);
    }

    pub(crate) fn ask(&mut self, id: NodeId, request: Request<Journal>) -> RequestId {
        self.request_count += 1;
        let request_id = RequestId::new(0, self.request_count);
        self.input(id, Input::Request { id: request_id, body: request });
        request_id
    }

    pub(crate) fn write(&mut self, id: NodeId, value: u64) -> RequestId {
        self.ask(id, Request::Write(value))
    }

    /// The answer to `request`, if it has come.
    pub(crate) fn answer(&self, request: RequestId) -> Option<&Response<Journal>> {
        self.answers.iter().find(|(id, _)| *id == request).map(|(_, response)| response)
    }

    /// Hands `to` a message that nobody on the table sent.
    pub(crate) fn inject(&mut self, from: NodeId, to: NodeId, message: Message<u64>) {
        self.input(to, Input::Message { from, body: message });
    }

    /// Delivers message number `index` and takes it off the table.
    pub(crate) fn deliver(&mut self, index: usize) {
        let Wire { from, to, message } = self.wires.remove(index);
        self.input(to, Input::Message { from, body: message });
    }

    /// Delivers, in order, all messages that lie between `nodes`, and those that come of them, for
    /// at most 10 000 deliveries; drops every other message.
    pub(crate) fn settle(&mut self, nodes: &[u32]) {
        let inside =
            |wire: &Wire| nodes.contains(&wire.from.get()) && nodes.contains(&wire.to.get());
        for _ in 0..10_000 {
            self.wires.retain(inside);
            if self.wires.is_empty() {
                return;
            }
            self.deliver(0);
        }
        panic!("messages without end: {:?}", self.wires);
    }

    /// Makes all that `id` wrote durable.
    pub(crate) fn sync(&mut self, id: NodeId) {
        let place = self.place(id);
        while self.seats[place].synced < self.seats[place].written() {
            let now = self.now();
            let seat = &mut self.seats[place];
            seat.synced = seat.written();
            let Some(node) = &mut seat.node else { return };
            let count = PersistCount((seat.synced - seat.at_boot) as u64);
            node.handle(now, Input::Durable(count), &mut seat.effects);
            node.flush(now, &mut seat.effects);
            self.carry_out(place);
            self.look();
            if !self.instant_disks {
                return;
            }
        }
    }

    /// The process dies; of what was not durable, the first `lucky` records are kept.
    pub(crate) fn crash(&mut self, id: NodeId, lucky: usize) {
        let place = self.place(id);
        let seat = &mut self.seats[place];
        if seat.node.take().is_none() {
            return;
        }
        seat.waiting.clear();
        seat.effects = EffectsOf::<Core>::new();
        let kept = seat.synced + lucky.min(seat.written() - seat.synced);
        seat.records.truncate(kept - seat.dropped);
        seat.synced = kept;
    }

    pub(crate) fn restart(&mut self, id: NodeId) {
        let now = self.now();
        let place = self.place(id);
        let seat = &mut self.seats[place];
        if seat.node.is_some() {
            return;
        }
        seat.boots += 1;
        seat.at_boot = seat.written();
        let boot = Boot {
            id,
            members: self.members.clone(),
            now,
            seed: self.seed ^ (seat.boots << 32) ^ u64::from(id.get()),
            records: seat.records.clone(),
        };
        // Records can only be refused here if a planted bug wrote them.
        seat.node = Core::boot(&self.config, boot, &mut seat.effects).ok();
        if let Some(node) = &mut seat.node {
            node.flush(now, &mut seat.effects);
        }
        self.carry_out(place);
        if self.instant_disks {
            self.sync(id);
        }
        self.look();
    }

    /// The process dies, and comes back with `records` on its disk: nothing, or what was copied.
    pub(crate) fn replace_disk(&mut self, id: NodeId, records: Vec<Record<u64>>) {
        self.crash(id, 0);
        let place = self.place(id);
        let seat = &mut self.seats[place];
        (seat.dropped, seat.synced) = (0, records.len());
        seat.records = records;
        self.restart(id);
    }

    /// What is on the disk of `id`, durable or not.
    pub(crate) fn records(&self, id: NodeId) -> &[Record<u64>] {
        &self.seats[self.place(id)].records
    }

    /// Lets `id` be elected by `voters`, and replicate to them.
    pub(crate) fn elect(&mut self, id: u32, voters: &[u32]) {
        self.tick(n(id));
        let group: Vec<u32> = voters.iter().copied().chain([id]).collect();
        self.settle(&group);
        assert!(self.node(n(id)).is_leader(), "n{id} did not win");
    }

    /// The values in the log of `id`, committed or not; zero for a no-op.
    pub(crate) fn log(&self, id: u32) -> Vec<(u64, u64)> {
        let entries = self.node(n(id)).entries(raft::LogIndex::new(1), usize::MAX);
        entries
            .map(|entry| (entry.term.get(), entry.payload.command().copied().unwrap_or(0)))
            .collect()
    }

    pub(crate) fn commit(&self, id: u32) -> u64 {
        self.node(n(id)).commit_index().get()
    }

    #[track_caller]
    pub(crate) fn assert_safe(&self) {
        assert_eq!(self.violation, None);
    }

    fn carry_out(&mut self, place: usize) {
        let seat = &mut self.seats[place];
        while seat.waiting.front().is_some_and(|&(needed, _)| needed <= seat.synced) {
            let (_, effect) = seat.waiting.pop_front().expect("peeked");
            release(seat.id, effect, &mut self.wires, &mut self.answers);
        }
        for effect in seat.effects.drain() {
            let gated = match &effect {
                Effect::Persist(record) => {
                    seat.records.push(record.clone());
                    continue;
                }
                Effect::Send { gate, .. } | Effect::Respond { gate, .. } => *gate == Gate::Durable,
                Effect::Emit(_) => false,
                Effect::Forget { before } => {
                    let before = (seat.at_boot + before.0 as usize - 1).min(seat.synced);
                    let count = before.saturating_sub(seat.dropped) * self.drops_percent / 100;
                    seat.records.drain(..count);
                    seat.dropped += count;
                    continue;
                }
            };
            let written = seat.dropped + seat.records.len();
            if gated && seat.synced < written {
                seat.waiting.push_back((written, effect));
            } else {
                release(seat.id, effect, &mut self.wires, &mut self.answers);
            }
        }
    }

    fn look(&mut self) {
        if self.violation.is_none() {
            let up = self.seats.iter().filter_map(|seat| Some((seat.id, seat.node.as_ref()?)));
            self.violation = self.monitor.observe(up).err();
        }
    }
}

fn release(
    from: NodeId,
    effect: EffectOf<Core>,
    wires: &mut Vec<Wire>,
    answers: &mut Vec<(RequestId, Response<Journal>)>,
) {
    match effect {
        Effect::Send { to, message, .. } => wires.push(Wire { from, to, message }),
        Effect::Respond { request, response, .. } => answers.push((request, response)),
        Effect::Persist(_) | Effect::Emit(_) | Effect::Forget { .. } => {}
    }
}
