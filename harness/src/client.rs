//! Clients of the suite: small state machines that call, wait, try again, and write down what they
//! saw.

mod caller;
mod elector;
mod locker;
mod reader;

use cluster::{Completion, NodeId, RequestId, Rng, Timestamp};

use crate::history::{Call, History};
use crate::subject::Subject;
use crate::vocabulary::Answer;

pub(crate) use elector::Elector;
pub(crate) use locker::{Locker, Resources};
pub(crate) use reader::Reader;

/// What a client may touch while it acts.
pub(crate) struct Context<'a> {
    /// The cluster.
    pub(crate) subject: &'a mut dyn Subject,
    /// What is written down.
    pub(crate) history: &'a mut History,
    /// What lies behind the locks.
    pub(crate) resources: &'a mut Resources,
    /// Numbers for writes, attempts and processes, never given twice.
    pub(crate) numbers: &'a mut u64,
    /// All nodes.
    pub(crate) members: &'a [NodeId],
}

impl Context<'_> {
    /// A number that nobody was given before.
    pub(crate) fn number(&mut self) -> u64 {
        *self.numbers += 1;
        *self.numbers
    }

    /// True time.
    pub(crate) fn now(&self) -> Timestamp {
        self.subject.now()
    }
}

/// A client.
pub(crate) trait Client {
    /// When to call [`Client::act`] next; none if it waits for an answer or is done.
    fn wake(&self) -> Option<Timestamp>;

    /// The time has come.
    fn act(&mut self, context: &mut Context<'_>);

    /// Whether `request` is its own.
    fn awaits(&self, request: RequestId) -> bool;

    /// Its request has ended.
    fn answered(&mut self, context: &mut Context<'_>, completion: Completion<Answer>);

    /// Faults have stopped: from now on, each call that the cluster serves counts as recovery.
    fn healed(&mut self, now: Timestamp);

    /// Whether it has been served since faults stopped.
    fn recovered(&self) -> bool;

    /// Begin nothing new until told to finish.
    fn rest(&mut self) {}

    /// Do what is left to do, once, and then nothing more.
    fn finish(&mut self, now: Timestamp);

    /// Whether it has nothing more to do.
    fn finished(&self) -> bool;

    /// Whether it holds something that its death or delay would keep from others.
    fn holds(&self) -> bool {
        false
    }

    /// It dies, silently, and comes back as somebody else later.
    fn crash(&mut self, _context: &mut Context<'_>) {}

    /// It stops until `until`, and then goes on as if nothing had happened.
    fn pause(&mut self, _until: Timestamp) {}
}

/// How long a client waits between one call and the next.
fn think(rng: &mut Rng, now: Timestamp) -> Timestamp {
    now + rng.span(THINK)
}

/// Long enough that a run has hundreds of calls, not thousands: checking is quick, and the fault's
/// edges are still hit.
const THINK: std::ops::RangeInclusive<std::time::Duration> =
    std::time::Duration::from_millis(5)..=std::time::Duration::from_millis(60);

fn record(context: &mut Context<'_>, call: &Call) {
    context.history.calls.push(call.clone());
}
