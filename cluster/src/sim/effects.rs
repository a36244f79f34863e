//! What becomes of a batch: its effects, its sync, and the next alarm.

use std::hash::{Hash, Hasher};

use crate::{
    Completion, Effect, EffectOf, Emitted, Input, NoAnswer, Node, PersistCount, RequestId,
};

use super::Sim;
use super::host::State;
use super::queue::Event;
use super::trace::MessageNumber;

impl<N: Node> Sim<N> {
    /// Flushes the node, carries out what it wants, and sets its alarm.
    pub(super) fn finish_batch(&mut self, index: usize) {
        loop {
            let host = &mut self.hosts[index];
            let Some(node) = &mut host.node else { break };
            node.flush(host.clock.read(self.now), &mut host.effects);
            self.carry_out(index);
            if !self.sync_at_once(index) {
                break;
            }
        }
        self.start_sync(index);
        self.set_alarm(index);
        self.trace_state(index);
    }

    /// A disk that needs no time is done before anything else happens. True if the node was told so.
    #[inline]
    fn sync_at_once(&mut self, index: usize) -> bool {
        let host = &mut self.hosts[index];
        if !host.disk.is_dirty() || host.state != State::Up {
            return false;
        }
        let (boot, upto) = (host.boots, host.disk.written());
        if host.disk.lies() {
            host.disk.tell(upto);
            let durable = Input::Durable(PersistCount(host.disk.since_boot(upto)));
            let now = host.clock.read(self.now);
            return self.hand(index, now, MessageNumber::NONE, durable);
        }
        let fault = host.disk.fault;
        let at_once = self.options.sync.end().is_zero() && fault.slow.is_zero() && !fault.stalled;
        at_once && self.deliver(index, Event::Synced { host: index, boot, upto })
    }

    /// Carries out what the node wants, until it dies of it.
    fn carry_out(&mut self, index: usize) {
        let mut effects = std::mem::take(&mut self.hosts[index].effects_list);
        self.hosts[index].effects.swap(&mut effects);
        let mut alive = true;
        while alive && let Some(effect) = self.hosts[index].next_released() {
            alive = self.release(index, effect);
        }
        for effect in effects.drain(..) {
            // Of a process that has died, the rest goes nowhere.
            alive = alive && self.carry_out_one(index, effect);
        }
        self.hosts[index].effects_list = effects;
    }

    /// Whether the process lives on.
    #[inline]
    fn carry_out_one(&mut self, index: usize, effect: EffectOf<N>) -> bool {
        let host = &mut self.hosts[index];
        match effect {
            Effect::Persist(record) => self.write(index, record),
            Effect::Forget { before } => self.forget(index, before),
            effect if host.must_wait(&effect) => {
                host.wait(effect);
                true
            }
            effect => self.release(index, effect),
        }
    }

    /// Writes a record. Whether the process lives on.
    fn write(&mut self, index: usize, record: N::Record) -> bool {
        let host = &mut self.hosts[index];
        if host.disk.fault.full || host.is_burnt() {
            return self.die(index);
        }
        host.disk.write(record);
        if let Some(trace) = &mut self.trace {
            trace.persisted(self.now, host.id, host.disk.written());
        }
        !host.burn_fuse() || self.die(index)
    }

    /// Lets old records go. Whether the process lives on.
    fn forget(&mut self, index: usize, before: PersistCount) -> bool {
        let host = &mut self.hosts[index];
        if host.is_burnt() {
            return self.die(index);
        }
        host.disk.forget(before.0);
        !host.burn_fuse() || self.die(index)
    }

    /// Lets an effect leave the node. Whether the process lives on.
    #[inline]
    fn release(&mut self, index: usize, effect: EffectOf<N>) -> bool {
        if self.hosts[index].fuse.is_none() {
            self.leave(index, effect);
            return true;
        }
        if self.hosts[index].is_burnt() {
            return self.die(index);
        }
        self.leave(index, effect);
        !self.hosts[index].burn_fuse() || self.die(index)
    }

    /// The process dies in the middle of its batch. False: it does not live on.
    fn die(&mut self, index: usize) -> bool {
        // Where a fault kills at once, the fault itself is in the digest.
        self.digest.write_u64(self.now.as_nanos());
        self.hosts[index].id.hash(&mut self.digest);
        self.crash(index, false);
        false
    }

    /// Brings an effect to whom it is for.
    #[inline]
    fn leave(&mut self, index: usize, effect: EffectOf<N>) {
        match effect {
            Effect::Persist(_) | Effect::Forget { .. } => unreachable!("done by carry_out_one"),
            Effect::Send { to, message, .. } => {
                let Some(to) = self.members.index_of(to) else { return };
                self.send(index, to, message);
            }
            Effect::Respond { request, response, .. } => {
                if self.hosts[index].asked.remove(&request) {
                    self.answer(request, Ok(response));
                }
            }
            Effect::Emit(event) => {
                let node = self.hosts[index].id;
                self.emitted.push(Emitted { at: self.now, node, event });
            }
        }
    }

    #[inline]
    fn send(&mut self, index: usize, to: usize, body: N::Message) {
        let from = self.hosts[index].id;
        let deliveries = self.network.route(self.now, index, to);
        let number = MessageNumber(self.network.sent);
        if let Some(trace) = &mut self.trace {
            let to = self.members.as_slice()[to];
            trace.sent(self.now, (number, from, to), &body, &deliveries);
        }
        if let Some(again) = deliveries.duplicate {
            let body = body.clone();
            self.queue.push(again, Event::Message { host: to, number, from, body });
        }
        if let Some(at) = deliveries.first {
            self.queue.push(at, Event::Message { host: to, number, from, body });
        }
    }

    #[inline]
    pub(super) fn start_sync(&mut self, index: usize) {
        let host = &mut self.hosts[index];
        if host.state != State::Up {
            return;
        }
        if let Some(upto) = host.disk.start_sync() {
            let at = self.now + host.rng.span(self.options.sync.clone()) + host.disk.fault.slow;
            self.queue.push(at, Event::Synced { host: index, boot: host.boots, upto });
        }
    }

    #[inline]
    pub(super) fn set_alarm(&mut self, index: usize) {
        let host = &mut self.hosts[index];
        if let Some(at) = host.next_alarm(self.now) {
            self.queue.push(at, Event::Alarm { host: index, boot: host.boots, at });
        }
    }

    pub(super) fn answer(&mut self, request: RequestId, outcome: Result<N::Response, NoAnswer>) {
        let at = self.now + self.rng.span(self.options.client_latency.clone());
        self.queue.push(at, Event::Answer(Completion { request, at, outcome }));
    }
}
