//! A client that takes locks and writes to what they protect.

use std::collections::BTreeMap;
use std::time::Duration;

use cluster::{Completion, RequestId, Rng, Timestamp};

use crate::history::{Access, Call, End, Hold};
use crate::vocabulary::{Answer, Op, Outcome, Refusal};

use super::caller::{Caller, done};
use super::{Client, Context, record, think};

/// How many locks a run has: few, so that clients meet.
pub(crate) const LOCKS: u32 = 2;
/// The longest lease that a client asks for.
pub(crate) const TTL_MAX: Duration = Duration::from_millis(600);
const TTL_MIN: Duration = Duration::from_millis(300);
const WAIT_MAX: Duration = Duration::from_millis(800);
const HOLD_MAX: Duration = Duration::from_millis(120);
const HOLD_MIN: Duration = Duration::from_millis(5);
/// A client that dies comes back as somebody else after this.
const REBIRTH: Duration = Duration::from_millis(200);
/// Owners of different clients differ by less than this.
const OWNER_STEP: u32 = 1_000;

/// What lies behind the locks: each resource takes a write only with a token at least as great as
/// the greatest it has seen.
#[derive(Debug, Default)]
pub(crate) struct Resources {
    greatest: BTreeMap<u32, u64>,
}

impl Resources {
    /// Whether the resource behind `lock` takes a write under `token`.
    fn admit(&mut self, lock: u32, token: u64) -> bool {
        let greatest = self.greatest.entry(lock).or_insert(token);
        let admitted = token >= *greatest;
        *greatest = (*greatest).max(token);
        admitted
    }
}

/// Acquires, writes, renews, releases; dies or sleeps holding a lock when told to.
#[derive(Debug)]
pub(crate) struct Locker {
    caller: Caller,
    rng: Rng,
    owner: u32,
    next: Timestamp,
    held: Option<Held>,
    served_since_heal: Option<bool>,
    /// The locks still to be taken before it is done, once it is finishing.
    last_locks: Option<Vec<u32>>,
}

/// A lock it believes to hold.
#[derive(Debug)]
struct Held {
    hold: Hold,
    ttl: Duration,
    /// When it means to give it back.
    release_at: Timestamp,
}

impl Locker {
    /// Client number `index`.
    pub(crate) fn new(index: u32, rng: Rng) -> Self {
        Self {
            caller: Caller::new(index),
            rng,
            owner: index,
            next: Timestamp::ZERO,
            held: None,
            served_since_heal: None,
            last_locks: None,
        }
    }

    fn ended(&mut self, context: &mut Context<'_>, call: Option<Call>) {
        let Some(call) = call else { return };
        if call.served() && self.served_since_heal == Some(false) {
            self.served_since_heal = context.history.healed.map(|healed| call.invoked >= healed);
        }
        record(context, &call);
        match &call.op {
            Op::Acquire { lock, ttl, wait, .. } => {
                self.acquired(context, &call, *lock, *ttl, !wait.is_zero());
            }
            Op::Renew { .. } => self.renewed(context, &call),
            Op::Release { .. } | Op::Lead | Op::Read { .. } | Op::Write { .. } | Op::Committed => {
                self.next = think(&mut self.rng, context.now());
            }
        }
    }

    fn acquired(
        &mut self,
        context: &mut Context<'_>,
        call: &Call,
        lock: u32,
        ttl: Duration,
        waited: bool,
    ) {
        let now = context.now();
        let Some(&Outcome::Acquired { token, arrival, valid_for }) = done(call) else {
            self.next = think(&mut self.rng, now);
            return;
        };
        if let Some(locks) = &mut self.last_locks {
            locks.retain(|&left| left != lock);
        }
        let hold = Hold {
            lock,
            owner: self.owner,
            token,
            arrival,
            asked: call.invoked,
            granted: now,
            lease_until: lease(call.invoked, valid_for),
            believed_until: now,
            waited,
        };
        let release_at = now + self.rng.span(HOLD_MIN..=HOLD_MAX);
        self.held = Some(Held { hold, ttl, release_at });
        self.next = now + self.rng.span(Duration::ZERO..=HOLD_MIN);
    }

    fn renewed(&mut self, context: &mut Context<'_>, call: &Call) {
        let now = context.now();
        match (&call.end, &mut self.held) {
            (End::Done(Outcome::Renewed { valid_for }), Some(held)) => {
                let until = lease(call.invoked, *valid_for);
                held.hold.lease_until = held.hold.lease_until.max(until);
            }
            (End::Refused(Refusal::NotHolder), _) => self.stop_believing(context, now),
            (End::Done(_) | End::Refused(_) | End::Unknown, _) => {}
        }
        self.next = now + self.rng.span(Duration::ZERO..=HOLD_MIN);
    }

    fn stop_believing(&mut self, context: &mut Context<'_>, now: Timestamp) {
        if let Some(mut held) = self.held.take() {
            held.hold.believed_until = now;
            context.history.holds.push(held.hold);
        }
    }

    /// What to do while holding: use the resource, keep the lease alive, give it back.
    fn use_lock(&mut self, context: &mut Context<'_>) {
        let now = context.now();
        let Some(held) = &self.held else { return };
        let Hold { lock, owner, token, lease_until, .. } = held.hold;
        let (ttl, release_at) = (held.ttl, held.release_at);
        let accepted = context.resources.admit(lock, token);
        let lease_valid = now < lease_until;
        context.history.accesses.push(Access {
            at: now,
            lock,
            owner,
            token,
            accepted,
            lease_valid,
        });
        if !accepted || now >= release_at {
            self.stop_believing(context, now);
            self.caller.call(context, &mut self.rng, Op::Release { lock, owner, token });
        } else if lease_until.since(now) < ttl / 2 {
            self.caller.call(context, &mut self.rng, Op::Renew { lock, owner, token, ttl });
        } else {
            self.next = release_at.min(now + self.rng.span(HOLD_MIN..=HOLD_MAX));
        }
    }

    fn next_acquire(&mut self, context: &mut Context<'_>) -> Option<Op> {
        let any = self.rng.below(u64::from(LOCKS)) as u32;
        let (lock, wait) = match &self.last_locks {
            Some(locks) => (*locks.first()?, WAIT_MAX),
            None if self.rng.chance(300_000) => (any, Duration::ZERO),
            None => (any, self.rng.span(Duration::from_millis(50)..=WAIT_MAX)),
        };
        let ttl = self.rng.span(TTL_MIN..=TTL_MAX);
        Some(Op::Acquire { lock, owner: self.owner, attempt: context.number(), ttl, wait })
    }
}

/// Until when a lease is valid that was asked for at `asked`: nine tenths of what the cluster says,
/// so that clocks whose rates differ by a tenth agree that it is not over yet.
fn lease(asked: Timestamp, valid_for: Duration) -> Timestamp {
    asked + valid_for * 9 / 10
}

impl Client for Locker {
    fn wake(&self) -> Option<Timestamp> {
        self.caller.wake().or_else(|| (!self.finished()).then_some(self.next))
    }

    fn act(&mut self, context: &mut Context<'_>) {
        if !self.caller.is_idle() {
            let call = self.caller.tick(context, &mut self.rng);
            self.ended(context, call);
        } else if self.held.is_some() {
            self.use_lock(context);
        } else if let Some(op) = self.next_acquire(context) {
            self.caller.call(context, &mut self.rng, op);
        }
    }

    fn awaits(&self, request: RequestId) -> bool {
        self.caller.awaits(request)
    }

    fn answered(&mut self, context: &mut Context<'_>, completion: Completion<Answer>) {
        let call = self.caller.answered(context, &mut self.rng, completion);
        self.ended(context, call);
    }

    fn healed(&mut self, _now: Timestamp) {
        self.served_since_heal = Some(false);
    }

    fn recovered(&self) -> bool {
        self.served_since_heal == Some(true)
    }

    fn finish(&mut self, now: Timestamp) {
        self.last_locks.get_or_insert_with(|| (0..LOCKS).collect());
        self.next = self.next.min(now);
    }

    fn finished(&self) -> bool {
        let none_left = self.last_locks.as_ref().is_some_and(Vec::is_empty);
        none_left && self.caller.is_idle() && self.held.is_none()
    }

    fn holds(&self) -> bool {
        self.held.is_some() && self.caller.is_idle()
    }

    fn crash(&mut self, context: &mut Context<'_>) {
        let now = context.now();
        if let Some(call) = self.caller.abandon(context) {
            record(context, &call);
        }
        self.stop_believing(context, now);
        self.owner += OWNER_STEP;
        self.next = now + REBIRTH;
    }

    fn pause(&mut self, until: Timestamp) {
        self.next = until;
    }
}
