//! How a host carries out what its node wants.

use crate::store::StoreError;
use crate::threads::host::Host;
use crate::{
    Effect, EffectOf, Emitted, Gate, NoAnswer, Node, PersistCount, ReplyTo, RequestId, Timestamp,
};

impl<N: Node> Host<N> {
    /// Carries out what the node wants, until it dies of it.
    pub(super) fn carry_out(&mut self) {
        let mut alive = true;
        while alive && let Some(effect) = self.next_released() {
            alive = self.release(effect);
        }
        let mut effects = std::mem::take(&mut self.effects);
        for effect in effects.drain() {
            // Of a process that has died, the rest goes nowhere.
            alive = alive && self.carry_out_one(effect);
        }
        if alive {
            self.effects = effects;
        }
    }

    /// The next effect whose wait for the disk is over.
    fn next_released(&mut self) -> Option<EffectOf<N>> {
        let &(needed, _) = self.waiting.front()?;
        (needed <= self.given.medium.durable())
            .then(|| self.waiting.pop_front().map(|it| it.1))
            .flatten()
    }

    /// Whether the process lives on.
    fn carry_out_one(&mut self, effect: EffectOf<N>) -> bool {
        let gate = match effect {
            Effect::Persist(record) => return self.write(record),
            Effect::Forget { before } => return self.forget(before),
            Effect::Send { gate, .. } | Effect::Respond { gate, .. } => gate,
            Effect::Emit(_) => Gate::Open,
        };
        if gate == Gate::Durable && self.given.medium.is_dirty() {
            self.waiting.push_back((self.given.medium.written(), effect));
            return true;
        }
        self.release(effect)
    }

    /// Writes a record. Whether the process lives on.
    fn write(&mut self, record: N::Record) -> bool {
        if self.fuse == Some(0) {
            return self.die();
        }
        match self.given.medium.write(record) {
            Ok(()) => self.burn_fuse(),
            Err(error) => self.die_of(error),
        }
    }

    /// Lets old records go. Whether the process lives on.
    fn forget(&mut self, before: PersistCount) -> bool {
        if self.fuse == Some(0) {
            return self.die();
        }
        match self.given.medium.forget(before.0) {
            Ok(()) => self.burn_fuse(),
            Err(error) => self.die_of(error),
        }
    }

    /// Lets an effect leave the node. Whether the process lives on.
    fn release(&mut self, effect: EffectOf<N>) -> bool {
        if self.fuse == Some(0) {
            return self.die();
        }
        match effect {
            Effect::Persist(_) | Effect::Forget { .. } => unreachable!("done by carry_out_one"),
            Effect::Send { to, message, .. } => self.given.outlet.send(to, message),
            Effect::Respond { request, response, .. } => {
                if let Some(reply) = self.asked.remove(&request) {
                    self.answer(request, reply, Ok(response));
                }
            }
            Effect::Emit(event) => self.emit(&event),
        }
        self.burn_fuse()
    }

    /// One more effect was carried out. Whether the process lives on.
    fn burn_fuse(&mut self) -> bool {
        let Some(left) = &mut self.fuse else { return true };
        *left = left.saturating_sub(1);
        if *left == 0 { self.die() } else { true }
    }

    /// The process dies in the middle of its batch. False: it does not live on.
    fn die(&mut self) -> bool {
        self.crash(false);
        false
    }

    /// The disk failed, and nobody can tell what is on it: the process must not go on (fsync failures
    /// are not retried). False, as [`die`](Self::die).
    pub(super) fn die_of(&mut self, error: StoreError) -> bool {
        self.refusal = Some(error.into());
        self.die()
    }

    /// Puts an answer aside until the effects of this batch are carried out, unless there is somebody
    /// to call back.
    pub(super) fn answer(
        &mut self,
        request: RequestId,
        reply: Option<ReplyTo<N::Response>>,
        outcome: Result<N::Response, NoAnswer>,
    ) {
        match reply {
            Some(reply) => reply.complete(outcome),
            None => self.outbox.put(request, outcome),
        }
    }

    pub(super) fn deliver(&mut self) {
        let start = self.given.start;
        self.outbox.deliver(|| Timestamp::ZERO + start.elapsed());
        self.given.outlet.flush();
    }

    fn emit(&mut self, event: &N::Event) {
        if self.subscribers.is_empty() {
            return;
        }
        let at = Timestamp::ZERO + self.given.start.elapsed();
        let node = self.given.id;
        self.subscribers.retain(|subscriber| {
            subscriber.send(Emitted { at, node, event: event.clone() }).is_ok()
        });
    }
}
