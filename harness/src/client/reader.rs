//! A client that reads and writes registers.

use cluster::{Completion, RequestId, Rng, Timestamp};

use crate::history::Call;
use crate::vocabulary::{Answer, Op};

use super::caller::{Caller, done};
use super::{Client, Context, record, think};

/// How many registers a run has: few, so that clients meet.
pub(crate) const KEYS: u32 = 3;

/// Reads and writes registers at random, and at the end reads each once more.
#[derive(Debug)]
pub(crate) struct Reader {
    caller: Caller,
    rng: Rng,
    next: Timestamp,
    served_since_heal: Option<bool>,
    resting: bool,
    /// The keys still to be read before it is done, once it is finishing.
    last_reads: Option<Vec<u32>>,
}

impl Reader {
    /// Client number `index`.
    pub(crate) fn new(index: u32, rng: Rng) -> Self {
        Self {
            caller: Caller::new(index),
            rng,
            next: Timestamp::ZERO,
            served_since_heal: None,
            resting: false,
            last_reads: None,
        }
    }

    fn ended(&mut self, context: &mut Context<'_>, call: Option<Call>) {
        let Some(call) = call else { return };
        if call.served() && self.served_since_heal == Some(false) {
            self.served_since_heal = context.history.healed.map(|healed| call.invoked >= healed);
        }
        if let (Some(reads), Op::Read { key }) = (&mut self.last_reads, &call.op)
            && done(&call).is_some()
        {
            reads.retain(|left| left != key);
        }
        record(context, &call);
        self.next = think(&mut self.rng, context.now());
    }

    fn next_op(&mut self, context: &mut Context<'_>) -> Option<Op> {
        if let Some(reads) = &self.last_reads {
            return reads.first().map(|&key| Op::Read { key });
        }
        let key = self.rng.below(u64::from(KEYS)) as u32;
        Some(if self.rng.chance(500_000) {
            Op::Write { key, value: context.number() }
        } else {
            Op::Read { key }
        })
    }
}

impl Client for Reader {
    fn wake(&self) -> Option<Timestamp> {
        let idle = self.resting || self.finished();
        self.caller.wake().or_else(|| (!idle).then_some(self.next))
    }

    fn act(&mut self, context: &mut Context<'_>) {
        if !self.caller.is_idle() {
            let call = self.caller.tick(context, &mut self.rng);
            self.ended(context, call);
        } else if let Some(op) = self.next_op(context) {
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

    fn rest(&mut self) {
        self.resting = true;
    }

    fn finish(&mut self, now: Timestamp) {
        self.resting = false;
        self.last_reads.get_or_insert_with(|| (0..KEYS).collect());
        self.next = now;
    }

    fn finished(&self) -> bool {
        self.caller.is_idle() && self.last_reads.as_ref().is_some_and(Vec::is_empty)
    }
}
