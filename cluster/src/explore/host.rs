//! One node, its disk, and what waits for the disk.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::{
    Boot, Effect, EffectOf, EffectsOf, Gate, Input, InputOf, Members, Node, NodeId, Now,
    PersistCount, RequestId, Timestamp, WallTime,
};

use super::fingerprint::{Fingerprint, Frame, Naming};
use super::search::Broken;
use super::turns::salted;
use super::{Disk, Explorable};

/// What a node's monotonic clock shows when it boots, where clocks run as they like.
const ORIGIN: Timestamp = Timestamp::from_millis(1_000_000);
/// How far the wall clocks are ahead of the monotonic ones.
const WALL_AHEAD: u64 = 1_735_689_600_000_000_000;

/// One host. Counts of records include those that were dropped. Invariants: `dropped <= synced <=
/// written()`; what `batches` holds ascends, lies above `synced`, and ends with `written()` if that
/// does; `waiting` ascends.
pub(super) struct Host<N: Explorable> {
    pub(super) id: NodeId,
    /// None while it is down.
    pub(super) node: Option<N>,
    pub(super) now: Timestamp,
    /// What is there: all but the first `dropped` of what was written.
    records: Arc<Vec<N::Record>>,
    /// How many of the oldest records the node has let go.
    dropped: usize,
    /// How many records survive anything.
    pub(super) synced: usize,
    /// How many there were at the last boot.
    at_boot: usize,
    /// Where each batch of records that is not durable yet ends.
    batches: Vec<usize>,
    /// What waits for the disk, with the number of records that must be durable first.
    waiting: Vec<(usize, EffectOf<N>)>,
    boots: u8,
    /// How often it has lost its disk.
    wipes: u8,
    /// How often its timer has fired.
    pub(super) fired: u8,
    /// The requests, by place in the script, that it has not answered: one bit each.
    pub(super) asked: u32,
    /// What stands for it, by naming.
    pub(super) prints: Box<[u128]>,
}

/// What a node says during a step.
pub(super) struct Said<N: Node> {
    pub(super) sent: Vec<(NodeId, N::Message)>,
    pub(super) answered: Vec<(usize, N::Response)>,
    pub(super) events: Vec<(NodeId, N::Event)>,
}

impl<N: Node> Said<N> {
    pub(super) fn nothing() -> Self {
        Self { sent: Vec::new(), answered: Vec::new(), events: Vec::new() }
    }
}

// Not derived: that would ask for a message that is `Default`, and the like.
impl<N: Explorable> Clone for Host<N> {
    fn clone(&self) -> Self {
        Self {
            id: self.id,
            node: self.node.clone(),
            now: self.now,
            records: Arc::clone(&self.records),
            dropped: self.dropped,
            synced: self.synced,
            at_boot: self.at_boot,
            batches: self.batches.clone(),
            waiting: self.waiting.clone(),
            boots: self.boots,
            wipes: self.wipes,
            fired: self.fired,
            asked: self.asked,
            // Written anew by whoever changes the copy.
            prints: Box::default(),
        }
    }
}

impl<N: Explorable> Host<N> {
    /// A host that has never run.
    pub(super) fn new(id: NodeId) -> Self {
        Self {
            id,
            node: None,
            now: ORIGIN,
            records: Arc::default(),
            dropped: 0,
            synced: 0,
            at_boot: 0,
            batches: Vec::new(),
            waiting: Vec::new(),
            boots: 0,
            wipes: 0,
            fired: 0,
            asked: 0,
            prints: Box::default(),
        }
    }

    /// What its clocks show.
    pub(super) fn now(&self) -> Now {
        let wall = WallTime::from_nanos(WALL_AHEAD + self.now.as_nanos());
        Now { monotonic: self.now, wall }
    }

    pub(super) fn durable(&self) -> &[N::Record] {
        &self.records[..self.synced - self.dropped]
    }

    pub(super) fn unsynced(&self) -> usize {
        self.written() - self.synced
    }

    fn written(&self) -> usize {
        self.dropped + self.records.len()
    }

    /// When its timer is to fire, if it runs and has one.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.node.as_ref()?.deadline().filter(|&at| at != Timestamp::MAX)
    }

    fn persisted(&self) -> PersistCount {
        PersistCount((self.written() - self.at_boot) as u64)
    }
}

// What can happen to it.
impl<N: Explorable> Host<N> {
    /// The process starts. `now` where all clocks run alike.
    pub(super) fn boot(
        &mut self,
        config: &N::Config,
        members: &Members,
        now: Option<Timestamp>,
        disk: Disk,
        said: &mut Said<N>,
    ) -> Result<(), Broken> {
        self.boots += 1;
        self.now = now.unwrap_or(ORIGIN);
        self.at_boot = self.written();
        let life = if N::BOOT_SEED_MATTERS { u64::from(self.boots) } else { 0 };
        let boot = Boot {
            id: self.id,
            members: members.clone(),
            now: self.now(),
            seed: u64::from(self.wipes) << 40 | u64::from(self.id.get()) << 8 | life,
            records: self.records.to_vec(),
        };
        let mut effects = EffectsOf::<N>::new();
        let mut node = N::boot(config, boot, &mut effects).map_err(|corrupt| Broken {
            guarantee: "a node boots from what it wrote",
            what: corrupt.to_string(),
        })?;
        node.reseed(u64::from(self.id.get()));
        node.flush(self.now(), &mut effects);
        self.node = Some(node);
        self.carry_out(effects, said);
        self.settle_disk(disk, said);
        Ok(())
    }

    /// The node takes an input, and ends the batch.
    pub(super) fn take(&mut self, input: InputOf<N>, disk: Disk, said: &mut Said<N>) {
        self.turn(input, said);
        self.settle_disk(disk, said);
    }

    /// The timer fires. Where clocks run as they like, that is what moves this one.
    pub(super) fn fire(&mut self, disk: Disk, said: &mut Said<N>) {
        self.now = self.deadline().map_or(self.now, |at| at.max(self.now));
        self.take(Input::Timer, disk, said);
    }

    /// The disk has written what it works on.
    pub(super) fn sync(&mut self, disk: Disk, said: &mut Said<N>) {
        let upto = match disk {
            Disk::Batches => self.batches.first().copied().unwrap_or(self.written()),
            Disk::Whole | Disk::Instant => self.written(),
        };
        self.synced = upto;
        self.batches.retain(|&end| end > upto);
        let count = PersistCount((upto - self.at_boot) as u64);
        self.turn(Input::Durable(count), said);
    }

    /// The process dies, and so many records that were not durable are on the disk all the same.
    /// Returns the requests that it will never answer.
    pub(super) fn crash(&mut self, lucky: usize) -> u32 {
        self.node = None;
        self.waiting.clear();
        self.batches.clear();
        let kept = self.synced + lucky;
        if kept < self.written() {
            Arc::make_mut(&mut self.records).truncate(kept - self.dropped);
        }
        (self.synced, self.at_boot) = (kept, kept);
        self.now = ORIGIN;
        std::mem::take(&mut self.asked)
    }

    /// The process dies, and nothing is on its disk any more. Returns the requests that it will never
    /// answer.
    pub(super) fn wipe(&mut self) -> u32 {
        let unanswered = self.crash(0);
        self.records = Arc::default();
        (self.dropped, self.synced, self.at_boot) = (0, 0, 0);
        self.wipes += 1;
        unanswered
    }

    fn turn(&mut self, input: InputOf<N>, said: &mut Said<N>) {
        let (now, persisted, seed) = (self.now(), self.persisted(), self.id.get());
        let Some(node) = &mut self.node else { return };
        let mut effects = EffectsOf::<N>::after(persisted);
        node.reseed(u64::from(seed));
        node.handle(now, input, &mut effects);
        node.flush(now, &mut effects);
        self.carry_out(effects, said);
    }

    /// A disk that needs no time is done before anything else happens.
    fn settle_disk(&mut self, disk: Disk, said: &mut Said<N>) {
        match disk {
            Disk::Instant => {
                while self.unsynced() > 0 {
                    self.sync(disk, said);
                }
            }
            Disk::Whole | Disk::Batches => {}
        }
    }

    fn carry_out(&mut self, mut effects: EffectsOf<N>, said: &mut Said<N>) {
        let free = self.waiting.iter().take_while(|(needed, _)| *needed <= self.synced).count();
        for (_, effect) in self.waiting.drain(..free).collect::<Vec<_>>() {
            self.release(effect, said);
        }
        let before = self.written();
        for effect in effects.drain() {
            let gate = match &effect {
                Effect::Persist(_) => Gate::Durable,
                Effect::Send { gate, .. } | Effect::Respond { gate, .. } => *gate,
                Effect::Emit(_) | Effect::Forget { .. } => Gate::Open,
            };
            match (effect, gate) {
                (Effect::Persist(record), _) => Arc::make_mut(&mut self.records).push(record),
                (Effect::Forget { before }, _) => self.forget(before),
                (effect, Gate::Durable) if self.unsynced() > 0 => {
                    self.waiting.push((self.written(), effect));
                }
                (effect, _) => self.release(effect, said),
            }
        }
        if self.written() > before {
            self.batches.push(self.written());
        }
    }

    /// Drops what is older than the record that was number `before` since the boot.
    fn forget(&mut self, before: PersistCount) {
        let older = usize::try_from(before.0).unwrap_or(usize::MAX).saturating_sub(1);
        let upto = self.at_boot.saturating_add(older).min(self.synced);
        if before.0 > 0 && upto > self.dropped {
            Arc::make_mut(&mut self.records).drain(..upto - self.dropped);
            self.dropped = upto;
        }
    }

    fn release(&mut self, effect: EffectOf<N>, said: &mut Said<N>) {
        match effect {
            Effect::Persist(_) | Effect::Forget { .. } => unreachable!("never waits"),
            Effect::Send { to, message, .. } => said.sent.push((to, message)),
            Effect::Respond { request, response, .. } => {
                let place = place_of(request);
                if self.asked & 1 << place != 0 {
                    self.asked &= !(1 << place);
                    said.answered.push((place, response));
                }
            }
            Effect::Emit(event) => said.events.push((self.id, event)),
        }
    }
}

// What stands for it.
impl<N: Explorable> Host<N> {
    /// Writes its fingerprints. Last in every change.
    pub(super) fn seal(&mut self, namings: &[Naming], timed: bool, counts_firings: bool) {
        let prints = namings.iter().map(|naming| {
            let frame = Frame { now: self.now, written: self.persisted(), timed, naming };
            Fingerprint::of(|into| self.write(&frame, counts_firings, into))
        });
        self.prints = prints.collect();
    }

    fn write(&self, frame: &Frame<'_>, counts_firings: bool, into: &mut Fingerprint) {
        into.write_u32(frame.name(self.id));
        into.write_u32(self.asked);
        into.write_u8(if N::BOOT_SEED_MATTERS { self.boots } else { 0 });
        into.write_u8(self.wipes);
        into.write_u8(if counts_firings { self.fired } else { 0 });
        into.write_u8(u8::from(self.node.is_some()));
        if let Some(node) = &self.node {
            node.fingerprint(frame, into);
        }
        N::fingerprint_disk(self.durable(), frame, into);
        into.write_usize(self.unsynced());
        for record in &self.records[self.synced - self.dropped..] {
            N::fingerprint_record(record, frame, into);
        }
        for end in &self.batches {
            into.write_usize(self.written() - end);
        }
        for together in self.waiting.chunk_by(|(needed, _), (next, _)| needed == next) {
            into.write_usize(self.written() - together[0].0);
            into.write_usize(together.len());
            // What waits for the same sync leaves in one moment: a sum, since then an order is left
            // only among what goes to the same node.
            let sum = together.iter().enumerate().fold(0_u128, |sum, (place, (_, effect))| {
                let to = receiver(effect);
                let before = together[..place].iter().filter(|(_, other)| receiver(other) == to);
                let print = Fingerprint::of(|into| Self::write_waiting(effect, frame, into));
                sum.wrapping_add(salted(print, before.count() as u64))
            });
            into.write(&sum.to_le_bytes());
        }
    }

    fn write_waiting(effect: &EffectOf<N>, frame: &Frame<'_>, into: &mut Fingerprint) {
        match effect {
            Effect::Send { to, message, .. } => {
                into.write_u32(frame.name(*to));
                N::fingerprint_message(message, frame, into);
            }
            Effect::Respond { request, response, .. } => {
                request.hash(into);
                // Responses need not be `Hash`.
                into.write(format!("{response:?}").as_bytes());
            }
            Effect::Persist(_) | Effect::Emit(_) | Effect::Forget { .. } => {
                unreachable!("never waits")
            }
        }
    }
}

/// To whom what waits will go; none if to a client.
fn receiver<M, R, P, E>(effect: &Effect<M, R, P, E>) -> Option<NodeId> {
    match effect {
        Effect::Send { to, .. } => Some(*to),
        Effect::Respond { .. } | Effect::Persist(_) | Effect::Emit(_) | Effect::Forget { .. } => {
            None
        }
    }
}

/// The name of the request at `place` of the script.
pub(super) fn request_id(place: usize) -> RequestId {
    RequestId::new(0, place as u64 + 1)
}

fn place_of(request: RequestId) -> usize {
    request.count() as usize - 1
}
