//! The machine under one node: its clocks, its disk, and what waits for them.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::{
    Boot, Clock, CorruptRecords, Effect, EffectOf, EffectsOf, Gate, Input, InputOf, Members, Node,
    NodeId, Now, PersistCount, RequestId, Rng, Timestamp, WallTime,
};

use super::mutants::{Mutant, Planted};
use super::queue::Event;
use crate::disk::Disk;

/// The wall clock at true time zero: 2025 began.
const WALL_EPOCH: WallTime = WallTime::from_nanos(1_735_689_600_000_000_000);
/// Monotonic clocks start anywhere below this, so that nobody comes to rely on zero.
const MONOTONIC_ORIGIN_MAX: u64 = 3_600_000_000_000;
/// A node that asks to be called in the past is called this much later, so that time goes on.
const LEAST_WAIT: Duration = Duration::from_micros(1);

/// Whom a step of the simulation happened to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// A node.
    Node(NodeId),
    /// A client: an answer has reached it.
    Client,
    /// Nobody: nothing was due.
    Idle,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    Up,
    Paused,
    Down,
}

/// One host. Invariant: `node` is there unless `state` is down.
pub(super) struct Host<N: Node> {
    pub(super) id: NodeId,
    pub(super) node: Option<N>,
    pub(super) state: State,
    pub(super) clock: Clock,
    pub(super) disk: Disk<N::Record>,
    pub(super) rng: Rng,
    /// How often it has booted: events of an earlier life are dropped by it.
    pub(super) boots: u32,
    /// What the running batch wants.
    pub(super) effects: EffectsOf<N>,
    /// An empty list, kept for its memory.
    pub(super) effects_list: Vec<EffectOf<N>>,
    /// What waits for the disk, with the number of records that must be durable first. Ascending.
    waiting: VecDeque<(usize, EffectOf<N>)>,
    /// What arrived while it was paused.
    held: Vec<Event<N>>,
    /// Requests that the node has not answered.
    pub(super) asked: BTreeSet<RequestId>,
    /// When the alarm rings next; earlier alarms are void.
    pub(super) alarm: Option<Timestamp>,
    pub(super) refusal: Option<CorruptRecords>,
    /// How many more effects are carried out before the process dies, if it is armed so.
    pub(super) fuse: Option<u32>,
    /// How far a sync got that cannot end because the disk is stalled.
    pub(super) stuck: Option<usize>,
    planted: Planted,
}

impl<N: Node> Host<N> {
    pub(super) fn new(id: NodeId, rng: Rng, planted: Planted) -> Self {
        Self {
            id,
            node: None,
            state: State::Down,
            clock: Clock::new(Timestamp::ZERO, Timestamp::ZERO, WALL_EPOCH),
            disk: Disk::new(planted),
            rng,
            boots: 0,
            effects: EffectsOf::<N>::new(),
            effects_list: Vec::new(),
            waiting: VecDeque::new(),
            held: Vec::new(),
            asked: BTreeSet::new(),
            alarm: None,
            refusal: None,
            fuse: None,
            stuck: None,
            planted,
        }
    }

    /// Starts the node from its disk. False if it refused.
    pub(super) fn boot(&mut self, at: Timestamp, config: &N::Config, members: &Members) -> bool {
        self.boots += 1;
        let records = match self.disk.boot(self.id) {
            Ok(records) => records,
            Err(refusal) => {
                self.refusal = Some(refusal);
                return false;
            }
        };
        let origin = Timestamp::from_nanos(self.rng.below(MONOTONIC_ORIGIN_MAX));
        self.clock.reboot(at, origin);
        self.effects = EffectsOf::<N>::new();
        let boot = Boot {
            id: self.id,
            members: members.clone(),
            now: self.clock.read(at),
            seed: self.rng.next(),
            records,
        };
        match N::boot(config, boot, &mut self.effects) {
            Ok(node) => {
                self.node = Some(node);
                self.state = State::Up;
                self.refusal = None;
                true
            }
            Err(refusal) => {
                self.refusal = Some(refusal);
                false
            }
        }
    }

    /// The process dies. Returns the requests that it will never answer.
    pub(super) fn crash(&mut self, power_loss: bool) -> BTreeSet<RequestId> {
        if self.state == State::Down {
            return BTreeSet::new();
        }
        self.state = State::Down;
        self.node = None;
        self.waiting.clear();
        self.alarm = None;
        self.fuse = None;
        self.stuck = None;
        self.disk.crash(power_loss, &mut self.rng);
        let mut unanswered = std::mem::take(&mut self.asked);
        for event in self.held.drain(..) {
            if let Event::Request { id, .. } = event {
                unanswered.insert(id);
            }
        }
        unanswered
    }

    /// What `event` is to the node; none if it is of no interest to it.
    #[inline]
    pub(super) fn input_of(&mut self, now: Now, event: Event<N>) -> Option<InputOf<N>> {
        match event {
            Event::Message { from, body, .. } => Some(Input::Message { from, body }),
            Event::Request { id, body, .. } => {
                self.asked.insert(id);
                Some(Input::Request { id, body })
            }
            Event::Ended { node, .. } => Some(Input::Ended { node }),
            Event::Synced { upto, .. } => {
                self.disk.synced(upto);
                if self.planted.is(Mutant::SyncsTooSoon) {
                    return None; // it was told when the sync began
                }
                Some(Input::Durable(PersistCount(self.disk.since_boot(upto))))
            }
            Event::Alarm { at: set_for, .. } => {
                if self.alarm != Some(set_for) {
                    return None;
                }
                self.alarm = None;
                let deadline = self.node.as_ref()?.deadline()?;
                // If the deadline has moved on since the alarm was set, it is set again for then.
                (deadline <= now.monotonic).then_some(Input::Timer)
            }
            Event::Answer(_) => None,
        }
    }

    /// Keeps `event` for when the process goes on. Its disk goes on without it.
    pub(super) fn hold(&mut self, event: Event<N>) {
        if let Event::Synced { upto, .. } = event {
            self.disk.synced(upto);
        }
        self.held.push(event);
    }

    /// The process goes on. Returns what arrived meanwhile, in order.
    pub(super) fn resume(&mut self) -> Vec<Event<N>> {
        self.state = State::Up;
        // The alarm may be among what was held: the next one is set once all of that is handled.
        self.alarm = None;
        std::mem::take(&mut self.held)
    }

    /// Whether `effect` must wait for the disk.
    #[inline]
    pub(super) fn must_wait(&self, effect: &EffectOf<N>) -> bool {
        let gate = match effect {
            Effect::Persist(_) | Effect::Emit(_) | Effect::Forget { .. } => Gate::Open,
            Effect::Send { gate, .. } | Effect::Respond { gate, .. } => *gate,
        };
        gate == Gate::Durable && self.disk.is_dirty() && !self.planted.is(Mutant::GatesOpen)
    }

    /// Holds `effect` back until all that is written by now is durable.
    pub(super) fn wait(&mut self, effect: EffectOf<N>) {
        self.waiting.push_back((self.disk.written(), effect));
    }

    /// The next effect whose wait for the disk is over.
    #[inline]
    pub(super) fn next_released(&mut self) -> Option<EffectOf<N>> {
        let &(needed, _) = self.waiting.front()?;
        (needed <= self.disk.told()).then(|| self.waiting.pop_front().expect("peeked").1)
    }

    /// One more effect was carried out, or dropped. Whether the process is armed to die by now.
    #[inline]
    pub(super) fn burn_fuse(&mut self) -> bool {
        if let Some(left) = &mut self.fuse {
            *left = left.saturating_sub(1);
        }
        self.is_burnt()
    }

    /// Whether the process is armed to die before it does anything more.
    #[inline]
    pub(super) fn is_burnt(&self) -> bool {
        self.fuse == Some(0)
    }

    /// When to set the alarm for, if it needs setting.
    #[inline]
    pub(super) fn next_alarm(&mut self, now: Timestamp) -> Option<Timestamp> {
        if self.state != State::Up {
            return None;
        }
        let deadline = self.node.as_ref()?.deadline()?;
        let due = self.clock.true_time(deadline);
        if deadline == Timestamp::MAX || due == Timestamp::MAX {
            return None;
        }
        let at = if due > now { due } else { now + LEAST_WAIT };
        if self.alarm.is_some_and(|alarm| alarm > now && alarm <= at) {
            return None;
        }
        self.alarm = Some(at);
        Some(at)
    }
}
