//! A client that takes locks and writes to what they protect.

use std::collections::BTreeMap;
use std::time::Duration;

use cluster::{Rng, Timestamp};

use crate::history::{Access, Call, End, Hold};
use crate::vocabulary::{Op, Outcome, Refusal};

use super::caller::done;
use super::{Context, Habit, Next, THINK};

/// How many locks a run has: few, so that clients meet.
const LOCKS: u32 = 2;
/// How long the leases are that clients ask for.
const TTL_MAX: Duration = Duration::from_millis(600);
const TTL_MIN: Duration = Duration::from_millis(300);
const WAIT_MIN: Duration = Duration::from_millis(50);
const WAIT_MAX: Duration = Duration::from_millis(800);
const HOLD_MAX: Duration = Duration::from_millis(120);
const HOLD_MIN: Duration = Duration::from_millis(5);
/// How often a client asks what a lock must not grant, or only looks.
const INTRUSIONS_PPM: u32 = 100_000;
/// Owners of different clients differ by less than this.
const OWNER_STEP: u32 = 1_000;

/// What lies behind the locks: each resource takes a write only with a token at least as great as
/// the greatest it has seen.
#[derive(Debug, Default)]
pub(crate) struct Resources {
    greatest: BTreeMap<u32, u64>,
}

impl Resources {
    /// What somebody asks who does not hold `lock`: who does, or to release what another holds.
    fn intrude(&self, lock: u32, owner: u32, rng: &mut Rng) -> Next {
        match self.greatest.get(&lock) {
            Some(&token) if rng.chance(300_000) => Next::Call(Op::Release { lock, owner, token }),
            Some(_) | None => Next::Call(Op::Inspect { lock }),
        }
    }

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
    owner: u32,
    held: Option<Held>,
    /// The locks still to be taken before it is done, once it is finishing.
    last_locks: Option<Vec<u32>>,
}

/// A lock it believes to hold.
#[derive(Clone, Copy, Debug)]
struct Held {
    hold: Hold,
    ttl: Duration,
    /// When it means to give it back.
    release_at: Timestamp,
}

impl Locker {
    /// A client that goes by the name `owner`.
    pub(crate) fn new(owner: u32) -> Self {
        Self { owner, held: None, last_locks: None }
    }

    fn acquired(&mut self, now: Timestamp, rng: &mut Rng, call: &Call) -> Timestamp {
        let (
            Op::Acquire { lock, ttl, wait, .. },
            Some(&Outcome::Acquired { token, arrival, valid_for }),
        ) = (&call.op, done(call))
        else {
            return now + rng.span(THINK);
        };
        if let Some(locks) = &mut self.last_locks {
            locks.retain(|left| left != lock);
        }
        let hold = Hold {
            lock: *lock,
            owner: self.owner,
            token,
            arrival,
            asked: call.invoked,
            granted: now,
            lease_until: lease(call.invoked, valid_for),
            believed_until: now,
            waited: !wait.is_zero(),
        };
        let release_at = now + rng.span(HOLD_MIN..=HOLD_MAX);
        self.held = Some(Held { hold, ttl: *ttl, release_at });
        now + rng.span(Duration::ZERO..=HOLD_MIN)
    }

    fn renewed(&mut self, context: &mut Context<'_>, call: &Call) {
        match (&call.end, &mut self.held) {
            (End::Done(Outcome::Renewed { valid_for }), Some(held)) => {
                let until = lease(call.invoked, *valid_for);
                held.hold.lease_until = held.hold.lease_until.max(until);
            }
            (End::Refused(Refusal::NotHolder), _) => self.stop_believing(context),
            (End::Done(_) | End::Refused(_) | End::Unknown, _) => {}
        }
    }

    fn stop_believing(&mut self, context: &mut Context<'_>) {
        if let Some(mut held) = self.held.take() {
            held.hold.believed_until = context.now();
            context.history.holds.push(held.hold);
        }
    }

    /// What to do while holding: use the resource, keep the lease alive, give it back.
    fn use_lock(&mut self, context: &mut Context<'_>, rng: &mut Rng, held: &Held) -> Next {
        let now = context.now();
        let Hold { lock, owner, token, lease_until, .. } = held.hold;
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
        if accepted && token > 1 && rng.chance(INTRUSIONS_PPM) {
            // A release by an older token of its own, as one that was long under way.
            Next::Call(Op::Release { lock, owner, token: token - 1 })
        } else if !accepted || now >= held.release_at {
            self.stop_believing(context);
            Next::Call(Op::Release { lock, owner, token })
        } else if lease_until.since(now) < held.ttl / 2 {
            Next::Call(Op::Renew { lock, owner, token, ttl: held.ttl })
        } else {
            Next::Wait(held.release_at.min(now + rng.span(HOLD_MIN..=HOLD_MAX)))
        }
    }
}

/// Until when a lease is valid that was asked for at `asked`: nine tenths of what the cluster says,
/// so that clocks whose rates differ by a tenth agree that it is not over yet.
fn lease(asked: Timestamp, valid_for: Duration) -> Timestamp {
    asked + valid_for * 9 / 10
}

impl Habit for Locker {
    fn next(&mut self, context: &mut Context<'_>, rng: &mut Rng) -> Next {
        if let Some(held) = self.held {
            return self.use_lock(context, rng, &held);
        }
        let any = rng.below(u64::from(LOCKS)) as u32;
        if self.last_locks.is_none() && rng.chance(INTRUSIONS_PPM) {
            return context.resources.intrude(any, self.owner, rng);
        }
        let last = self.last_locks.as_ref().and_then(|locks| locks.first());
        let (lock, wait) = match last {
            Some(&lock) => (lock, WAIT_MAX),
            None if rng.chance(300_000) => (any, Duration::ZERO),
            None => (any, rng.span(WAIT_MIN..=WAIT_MAX)),
        };
        let ttl = rng.span(TTL_MIN..=TTL_MAX);
        Next::Call(Op::Acquire { lock, owner: self.owner, attempt: context.number(), ttl, wait })
    }

    fn ended(&mut self, context: &mut Context<'_>, rng: &mut Rng, call: &Call) -> Timestamp {
        let now = context.now();
        match &call.op {
            Op::Acquire { .. } => self.acquired(now, rng, call),
            Op::Renew { .. } => {
                self.renewed(context, call);
                now + rng.span(Duration::ZERO..=HOLD_MIN)
            }
            Op::Inspect { .. } => now + rng.span(HOLD_MIN..=HOLD_MAX),
            Op::Release { .. }
            | Op::Lead
            | Op::Read { .. }
            | Op::Write { .. }
            | Op::Open
            | Op::Change(_)
            | Op::Committed => now + rng.span(THINK),
        }
    }

    fn finish(&mut self) {
        self.last_locks.get_or_insert_with(|| (0..LOCKS).collect());
    }

    fn finished(&self) -> bool {
        self.last_locks.as_ref().is_some_and(Vec::is_empty) && self.held.is_none()
    }

    fn holds(&self) -> bool {
        self.held.is_some()
    }

    fn die(&mut self, context: &mut Context<'_>) {
        self.stop_believing(context);
        self.owner += OWNER_STEP;
    }
}
