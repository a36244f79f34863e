//! Clients of the suite: small state machines that call, wait, try again, and write down what they
//! saw.
//!
//! All of them are [`Worker`]s: they differ in what they ask, which is their [`Habit`].

mod caller;
mod elector;
mod locker;
mod operator;
mod reader;

use std::ops::RangeInclusive;
use std::time::Duration;

use cluster::{Completion, NodeId, RequestId, Rng, Timestamp};

use crate::history::{Call, History};
use crate::subject::Subject;
use crate::vocabulary::{Answer, Op};

use caller::Caller;

pub(crate) use elector::Elector;
pub(crate) use locker::{Locker, Resources};
pub(crate) use operator::Operator;
pub(crate) use reader::Reader;

/// Long enough between calls that a run has hundreds of them, not thousands: checking is quick, and
/// the fault's edges are still hit.
const THINK: RangeInclusive<Duration> = Duration::from_millis(5)..=Duration::from_millis(60);
/// A client that dies comes back as somebody else after this.
const REBIRTH: Duration = Duration::from_millis(200);

/// What a client may touch while it acts.
pub(crate) struct Context<'a> {
    /// The cluster.
    pub(crate) subject: &'a mut dyn Subject,
    /// What is written down.
    pub(crate) history: &'a mut History,
    /// What lies behind the locks.
    pub(crate) resources: &'a mut Resources,
    /// Numbers for writes and attempts, never given twice.
    pub(crate) numbers: &'a mut u64,
    /// All nodes.
    pub(crate) members: &'a [NodeId],
}

impl Context<'_> {
    /// A number that nobody was given before.
    fn number(&mut self) -> u64 {
        *self.numbers += 1;
        *self.numbers
    }

    /// True time.
    fn now(&self) -> Timestamp {
        self.subject.now()
    }
}

/// What a kind of client does when no call of its is under way.
pub(crate) trait Habit {
    /// What to do next.
    fn next(&mut self, context: &mut Context<'_>, rng: &mut Rng) -> Next;

    /// A call has ended. Returns when to go on.
    fn ended(&mut self, context: &mut Context<'_>, rng: &mut Rng, call: &Call) -> Timestamp {
        let _ = call;
        context.now() + rng.span(THINK)
    }

    /// From now on, do only what is left to do once.
    fn finish(&mut self);

    /// Whether nothing is left to do.
    fn finished(&self) -> bool;

    /// Whether it holds something that its death or delay would keep from others.
    fn holds(&self) -> bool {
        false
    }

    /// It dies, and what it believed dies with it.
    fn die(&mut self, _context: &mut Context<'_>) {}
}

/// What a client does next.
pub(crate) enum Next {
    /// It calls.
    Call(Op),
    /// It waits.
    Wait(Timestamp),
}

/// A client, as the run sees it.
pub(crate) trait Client {
    /// When to call [`Client::act`] next; none if there is nothing to be done.
    fn wake(&self) -> Option<Timestamp>;

    /// The time has come.
    fn act(&mut self, context: &mut Context<'_>);

    /// Whether `request` is its own.
    fn awaits(&self, request: RequestId) -> bool;

    /// Its request has ended.
    fn answered(&mut self, context: &mut Context<'_>, completion: Completion<Answer>);

    /// Whether it has been served since faults stopped.
    fn recovered(&self) -> bool;

    /// Begin nothing new until told to finish.
    fn rest(&mut self);

    /// Do what is left to do, once, and then nothing more.
    fn finish(&mut self, now: Timestamp);

    /// Whether it has nothing more to do.
    fn finished(&self) -> bool;

    /// Whether it runs, and a call of its is under way.
    fn calls(&self) -> bool;

    /// Whether it runs and holds something, no call under way, that its death or delay would keep
    /// from others.
    fn holds(&self) -> bool;

    /// It dies, silently, and comes back as somebody else later.
    fn crash(&mut self, context: &mut Context<'_>);

    /// It stops until `until`, and then goes on as if nothing had happened.
    fn pause(&mut self, until: Timestamp);
}

/// A client with a habit.
#[derive(Debug)]
pub(crate) struct Worker<H> {
    habit: H,
    caller: Caller,
    rng: Rng,
    next: Timestamp,
    /// While it is stopped: until when, and the answer that has come meanwhile.
    stopped: Option<(Timestamp, Option<Completion<Answer>>)>,
    resting: bool,
    recovered: bool,
}

impl<H: Habit> Worker<H> {
    /// Client number `index`, which does what `habit` says.
    pub(crate) fn new(index: u32, habit: H, rng: Rng) -> Self {
        let caller = Caller::new(index);
        let next = Timestamp::ZERO;
        Self { habit, caller, rng, next, stopped: None, resting: false, recovered: false }
    }

    fn ended(&mut self, context: &mut Context<'_>, call: Option<Call>) {
        let Some(call) = call else { return };
        let since_repair = context.history.healed.is_some_and(|healed| call.invoked >= healed);
        self.recovered |= since_repair && call.served();
        self.next = self.habit.ended(context, &mut self.rng, &call);
        context.history.calls.push(call);
    }
}

impl<H: Habit> Client for Worker<H> {
    fn wake(&self) -> Option<Timestamp> {
        if let Some((until, _)) = self.stopped {
            return Some(until);
        }
        let idle = self.resting || self.finished();
        self.caller.wake().or_else(|| (!idle).then_some(self.next))
    }

    fn act(&mut self, context: &mut Context<'_>) {
        if let Some((until, answer)) = self.stopped.take() {
            if context.now() < until {
                self.stopped = Some((until, answer));
                return;
            }
            if let Some(completion) = answer {
                self.answered(context, completion);
                return;
            }
        }
        if !self.caller.is_idle() {
            let call = self.caller.tick(context, &mut self.rng);
            self.ended(context, call);
            return;
        }
        match self.habit.next(context, &mut self.rng) {
            Next::Call(op) => self.caller.call(context, &mut self.rng, op),
            Next::Wait(until) => self.next = until,
        }
    }

    fn awaits(&self, request: RequestId) -> bool {
        self.caller.awaits(request)
    }

    fn answered(&mut self, context: &mut Context<'_>, completion: Completion<Answer>) {
        if let Some((_, answer)) = &mut self.stopped {
            *answer = Some(completion);
            return;
        }
        let call = self.caller.answered(context, &mut self.rng, completion);
        self.ended(context, call);
    }

    fn recovered(&self) -> bool {
        self.recovered
    }

    fn rest(&mut self) {
        self.resting = true;
    }

    fn finish(&mut self, now: Timestamp) {
        self.resting = false;
        self.habit.finish();
        if !self.habit.holds() {
            self.next = self.next.min(now);
        }
    }

    fn finished(&self) -> bool {
        self.stopped.is_none() && self.caller.is_idle() && self.habit.finished()
    }

    fn calls(&self) -> bool {
        self.stopped.is_none() && !self.caller.is_idle()
    }

    fn holds(&self) -> bool {
        self.stopped.is_none() && self.caller.is_idle() && self.habit.holds()
    }

    fn crash(&mut self, context: &mut Context<'_>) {
        self.stopped = None;
        context.history.calls.extend(self.caller.abandon(context.subject.now()));
        self.habit.die(context);
        self.next = context.now() + REBIRTH;
    }

    fn pause(&mut self, until: Timestamp) {
        self.stopped.get_or_insert((until, None));
    }
}
