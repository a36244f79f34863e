//! The thread under one node.

mod effects;

use std::collections::{BinaryHeap, VecDeque};
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use rustc_hash::FxHashMap;

use crate::{
    Boot, Clock, ClockFault, Damage, DiskFault, EffectOf, EffectsOf, Emitted, Input, InputOf,
    Members, NoAnswer, Node, NodeId, NodeState, Now, PersistCount, ReplyTo, RequestId, Rng,
    Timestamp, WallTime,
};

use super::Refusal;
use super::answers::{self, Answers, Outbox};
use super::links::Delayed;
use super::medium::Medium;
use super::outlet::Outlet;

/// Something that is dropped when the message that came with it has been handed to the node.
pub(crate) type Cargo = Box<dyn Send>;

/// What reaches a host.
pub(crate) enum Mail<N: Node> {
    /// From a peer; to be held back until `due`, if that is set.
    Message { from: NodeId, body: N::Message, due: Option<Instant>, cargo: Option<Cargo> },
    /// From a client: from the one that is registered, unless there is somebody to call back.
    Request { id: RequestId, body: N::Request, reply: Option<ReplyTo<N::Response>> },
    /// Several from a registered client, with names that follow each other.
    Requests { first: RequestId, bodies: Vec<N::Request> },
    /// The process of this node has ended. Only where nodes are processes.
    #[cfg(feature = "net")]
    Ended { node: NodeId },
    /// From whoever owns the cluster.
    Control(Control<N>),
}

impl<N: Node> Mail<N> {
    /// How many inputs it is.
    fn count(&self) -> usize {
        match self {
            Self::Requests { bodies, .. } => bodies.len(),
            Self::Request { .. } | Self::Message { .. } | Self::Control(_) => 1,
            #[cfg(feature = "net")]
            Self::Ended { .. } => 1,
        }
    }
}

/// Orders to a host.
pub(crate) enum Control<N: Node> {
    Register { client: u32, completions: Sender<Answers<N::Response>> },
    Unregister { client: u32 },
    Subscribe(Sender<Emitted<N::Event>>),
    State(Sender<NodeState>),
    Gauges(Sender<Option<Vec<(&'static str, u64)>>>),
    Refusal(Sender<Option<Refusal>>),
    Crash { power_loss: bool },
    CrashAfter(u32),
    Restart,
    Pause,
    Resume,
    Clock(ClockFault),
    Disk(DiskFault),
    Rot { at_ppm: u32, damage: Damage },
    Wipe,
    Stop,
}

/// What a host is made of.
pub(crate) struct Start<N: Node> {
    pub(crate) id: NodeId,
    pub(crate) config: N::Config,
    pub(crate) members: Members,
    pub(crate) start: Instant,
    pub(crate) batch_max: usize,
    pub(crate) spins: u32,
    pub(crate) medium: Medium<N::Record>,
    pub(crate) inbox: Receiver<Mail<N>>,
    pub(crate) outlet: Box<dyn Outlet<N>>,
    pub(crate) rng: Rng,
}

pub(crate) struct Host<N: Node> {
    given: Start<N>,
    node: Option<N>,
    refusal: Option<Refusal>,
    paused: bool,
    clock: Clock,
    /// The sync under way, of memory that is slow. While it is sound it needs no time, and a sync of
    /// a store is over when it returns.
    sync: Option<Sync>,
    /// What waits for the disk, with the number of records that must be durable first. Ascending.
    waiting: VecDeque<(usize, EffectOf<N>)>,
    /// How many more effects are carried out before the process dies, if it is armed so.
    fuse: Option<u32>,
    effects: EffectsOf<N>,
    outbox: Outbox<N::Response>,
    subscribers: Vec<Sender<Emitted<N::Event>>>,
    /// Requests that the node has not answered, with whom to call back.
    asked: FxHashMap<RequestId, Option<ReplyTo<N::Response>>>,
    /// Messages that a link fault holds back, soonest first.
    delayed: BinaryHeap<Delayed<N>>,
    delayed_count: u64,
    /// What arrived while it was paused.
    held: Vec<InputOf<N>>,
}

/// A sync of the first `upto` records.
#[derive(Clone, Copy)]
struct Sync {
    upto: usize,
    /// When it is done; none while the disk is stalled.
    ends: Option<Instant>,
}

/// Whether the thread goes on.
#[derive(PartialEq, Eq)]
enum Then {
    GoOn,
    Stop,
}

impl<N: Node> Host<N> {
    pub(crate) fn new(given: Start<N>) -> Self {
        let true_now = Timestamp::ZERO + given.start.elapsed();
        let wall = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX));
        let wall = WallTime::from_nanos(wall);
        Self {
            given,
            node: None,
            refusal: None,
            paused: false,
            clock: Clock::new(true_now, Timestamp::ZERO, wall),
            sync: None,
            waiting: VecDeque::new(),
            fuse: None,
            effects: EffectsOf::<N>::new(),
            outbox: Outbox::new(),
            subscribers: Vec::new(),
            asked: FxHashMap::default(),
            delayed: BinaryHeap::new(),
            delayed_count: 0,
            held: Vec::new(),
        }
    }

    /// Runs until it is told to stop. (The channel cannot close before: a host can write to itself, by its outlet.)
    pub(crate) fn run(mut self) {
        self.boot();
        loop {
            let Start { inbox, spins, .. } = &self.given;
            let first = match answers::next(inbox, *spins, self.next_wake()) {
                Ok(mail) => Some(mail),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            if self.turn(first) == Then::Stop {
                break;
            }
        }
    }

    /// One batch: what arrived, what was held back until now, the timer; then one flush.
    fn turn(&mut self, first: Option<Mail<N>>) -> Then {
        let mut now = self.now();
        let mut next = first;
        let mut taken = 0;
        while let Some(mail) = next {
            let was_control = matches!(mail, Mail::Control(_));
            taken += mail.count();
            if self.take(now, mail) == Then::Stop {
                // What this batch has answered by now is still worth telling.
                self.finish_batch(now);
                return Then::Stop;
            }
            if was_control {
                self.deliver();
                // It may have rebooted the node, clocks and all.
                now = self.now();
            }
            next =
                (taken < self.given.batch_max).then(|| self.given.inbox.try_recv().ok()).flatten();
        }
        self.take_delayed(now);
        self.take_sync(now);
        if self.is_running() {
            let due = self.node.as_ref().and_then(N::deadline);
            if due.is_some_and(|deadline| deadline <= now.monotonic) {
                self.handle(now, Input::Timer);
            }
            // Read again: while the batch was gathered the process may have stood still, and what
            // was asked since must not be answered as of before (leases).
            self.finish_batch(self.now());
        }
        self.deliver();
        Then::GoOn
    }

    fn take(&mut self, now: Now, mail: Mail<N>) -> Then {
        match mail {
            Mail::Message { from, body, due, cargo } => {
                match due {
                    Some(due) => {
                        self.delayed_count += 1;
                        let count = self.delayed_count;
                        self.delayed.push(Delayed { due, count, from, body });
                    }
                    None => self.handle(now, Input::Message { from, body }),
                }
                drop(cargo);
            }
            #[cfg(feature = "net")]
            Mail::Ended { node } => self.handle(now, Input::Ended { node }),
            Mail::Request { id, body, reply } => self.take_request(now, id, body, reply),
            Mail::Requests { first, bodies } => {
                for (id, body) in first.following().zip(bodies) {
                    self.take_request(now, id, body, None);
                }
            }
            Mail::Control(control) => return self.obey(now, control),
        }
        Then::GoOn
    }

    fn take_request(
        &mut self,
        now: Now,
        id: RequestId,
        body: N::Request,
        reply: Option<ReplyTo<N::Response>>,
    ) {
        if self.node.is_none() {
            self.answer(id, reply, Err(NoAnswer::Unreachable));
        } else {
            self.asked.insert(id, reply);
            self.handle(now, Input::Request { id, body });
        }
    }

    fn take_delayed(&mut self, now: Now) {
        if self.delayed.is_empty() {
            return;
        }
        let instant = Instant::now();
        while self.delayed.peek().is_some_and(|message| message.due <= instant) {
            let Some(Delayed { from, body, .. }) = self.delayed.pop() else { break };
            self.handle(now, Input::Message { from, body });
        }
    }

    /// Ends the sync under way, if it is time. A disk goes on while its process is paused.
    fn take_sync(&mut self, now: Now) {
        if let Some(Sync { upto, ends: Some(ends) }) = self.sync
            && ends <= Instant::now()
        {
            self.sync = None;
            self.given.medium.synced(upto);
            self.tell_durable(now);
        }
    }

    fn tell_durable(&mut self, now: Now) {
        let durable = PersistCount(self.given.medium.durable_since_boot());
        self.handle(now, Input::Durable(durable));
    }

    /// Hands an input to the node; holds it back while paused; drops it while down.
    fn handle(&mut self, now: Now, input: InputOf<N>) {
        if self.paused {
            self.held.push(input);
        } else if let Some(node) = &mut self.node {
            node.handle(now, input, &mut self.effects);
        }
    }

    /// Flushes, carries out, syncs, and repeats while that has made anything durable: what waited for
    /// it leaves then.
    fn finish_batch(&mut self, mut now: Now) {
        while !self.paused {
            let Some(node) = &mut self.node else { return };
            node.flush(now, &mut self.effects);
            let durable_before = self.given.medium.durable();
            self.carry_out();
            self.deliver();
            if self.sync_store() {
                // It took its time: what is decided by time is decided by the time that it is now.
                now = self.now();
            }
            if self.node.is_none() || self.given.medium.durable() == durable_before {
                break;
            }
            self.tell_durable(now);
        }
        self.start_sync();
    }

    /// Whether time has passed. The process dies if it fails.
    fn sync_store(&mut self) -> bool {
        match self.given.medium.sync() {
            Ok(took_time) => took_time,
            Err(error) => {
                self.die_of(error);
                true
            }
        }
    }

    fn start_sync(&mut self) {
        if self.node.is_some()
            && let Some((upto, fault)) = self.given.medium.start_sync()
        {
            let ends = (!fault.stalled).then(|| super::after(Instant::now(), fault.slow));
            self.sync = Some(Sync { upto, ends });
        }
    }

    fn obey(&mut self, now: Now, control: Control<N>) -> Then {
        match control {
            Control::Register { client, completions } => {
                self.outbox.register(client, completions);
            }
            Control::Unregister { client } => self.outbox.unregister(client),
            Control::Subscribe(subscriber) => self.subscribers.push(subscriber),
            Control::State(reply) => {
                let _ = reply.send(self.state(now));
            }
            Control::Gauges(reply) => {
                let node = self.node.as_ref().filter(|_| !self.paused);
                let _ = reply.send(node.map(N::gauges));
            }
            Control::Refusal(reply) => {
                let _ = reply.send(self.refusal.clone());
            }
            // What the node wanted before it died in this batch may be lost: so it is.
            Control::Crash { power_loss } => self.crash(power_loss),
            Control::CrashAfter(effects) => self.fuse = self.node.is_some().then_some(effects),
            Control::Restart => {
                self.fuse = None;
                if self.node.is_none() {
                    self.boot();
                }
            }
            Control::Pause => {
                if self.node.is_some() {
                    self.finish_batch(now);
                    self.paused = true;
                }
            }
            Control::Resume => {
                self.paused = false;
                for input in std::mem::take(&mut self.held) {
                    self.handle(now, input);
                }
            }
            Control::Clock(ClockFault { drift_ppm, jump_nanos }) => {
                let at = self.true_now();
                self.clock.drift(at, drift_ppm);
                self.clock.jump_wall(at, jump_nanos);
            }
            Control::Disk(fault) => self.change_disk(fault),
            Control::Rot { at_ppm, damage } => self.given.medium.rot(at_ppm, damage),
            Control::Wipe => {
                self.crash(false);
                self.given.medium.wipe();
            }
            Control::Stop => return Then::Stop,
        }
        Then::GoOn
    }

    fn change_disk(&mut self, fault: DiskFault) {
        self.given.medium.misbehave(fault);
        if let Some(Sync { ends, .. }) = &mut self.sync {
            *ends = match ends {
                _ if fault.stalled => None,
                Some(ends) => Some(*ends),
                None => Some(Instant::now()),
            };
        }
    }

    fn boot(&mut self) {
        let records = match self.given.medium.boot(self.given.id) {
            Ok(records) => records,
            Err(refusal) => {
                self.refusal = Some(refusal);
                return;
            }
        };
        let at = self.true_now();
        let origin = Timestamp::from_nanos(self.given.rng.below(3_600_000_000_000));
        self.clock.reboot(at, origin);
        self.effects = EffectsOf::<N>::new();
        let boot = Boot {
            id: self.given.id,
            members: self.given.members.clone(),
            now: self.clock.read(at),
            seed: self.given.rng.next(),
            records,
        };
        match N::boot(&self.given.config, boot, &mut self.effects) {
            Ok(node) => {
                self.node = Some(node);
                self.refusal = None;
            }
            Err(refusal) => {
                self.refusal = Some(refusal.into());
                // Nobody runs who would have it open.
                self.given.medium.crash(false, &mut self.given.rng);
            }
        }
        self.finish_batch(self.now());
    }

    /// The node is gone, and so is what it had not answered.
    fn crash(&mut self, power_loss: bool) {
        if self.node.take().is_none() {
            return;
        }
        self.fuse = None;
        self.sync = None;
        self.waiting.clear();
        self.given.medium.crash(power_loss, &mut self.given.rng);
        self.paused = false;
        self.effects = EffectsOf::<N>::new();
        self.held.clear();
        for (request, reply) in std::mem::take(&mut self.asked) {
            self.answer(request, reply, Err(NoAnswer::Lost));
        }
    }

    fn state(&self, now: Now) -> NodeState {
        match &self.node {
            None => NodeState::Down,
            Some(_) if self.paused => NodeState::Paused,
            Some(node) => NodeState::Up(node.standing(now)),
        }
    }

    fn is_running(&self) -> bool {
        self.node.is_some() && !self.paused
    }

    fn true_now(&self) -> Timestamp {
        Timestamp::ZERO + self.given.start.elapsed()
    }

    fn now(&self) -> Now {
        self.clock.read(self.true_now())
    }

    /// When to stop waiting for mail.
    fn next_wake(&self) -> Option<Instant> {
        let deadline = self.node.as_ref().filter(|_| !self.paused).and_then(N::deadline);
        let alarm = deadline.map(|at| {
            let true_time = self.clock.true_time(at).since(Timestamp::ZERO);
            super::after(self.given.start, true_time)
        });
        let delayed = self.delayed.peek().map(|message| message.due);
        let synced = self.sync.and_then(|sync| sync.ends);
        [alarm, delayed, synced].into_iter().flatten().min()
    }
}

/// However the thread ends, by order or by a panic of its node: whoever waits for an answer is told.
impl<N: Node> Drop for Host<N> {
    fn drop(&mut self) {
        self.crash(false);
        // Not until the inbox is empty: others may fill it as fast as it is read.
        for _ in 0..self.given.inbox.len() {
            let Ok(mail) = self.given.inbox.try_recv() else { break };
            match mail {
                Mail::Request { id, reply, .. } => {
                    self.answer(id, reply, Err(NoAnswer::Unreachable));
                }
                Mail::Requests { first, bodies } => {
                    for (id, _) in first.following().zip(bodies) {
                        self.answer(id, None, Err(NoAnswer::Unreachable));
                    }
                }
                Mail::Control(Control::Register { client, completions }) => {
                    self.outbox.register(client, completions);
                }
                Mail::Control(_) | Mail::Message { .. } => {}
                #[cfg(feature = "net")]
                Mail::Ended { .. } => {}
            }
        }
        self.deliver();
    }
}
