//! A client that wants work done by the leader.

use cluster::{Completion, RequestId, Rng, Timestamp};

use crate::history::Call;
use crate::vocabulary::{Answer, Op};

use super::caller::Caller;
use super::{Client, Context, record, think};

/// Asks, again and again, whoever leads to act as leader.
#[derive(Debug)]
pub(crate) struct Elector {
    caller: Caller,
    rng: Rng,
    next: Timestamp,
    served_since_heal: Option<bool>,
    finishing: bool,
}

impl Elector {
    /// Client number `index`.
    pub(crate) fn new(index: u32, rng: Rng) -> Self {
        Self {
            caller: Caller::new(index),
            rng,
            next: Timestamp::ZERO,
            served_since_heal: None,
            finishing: false,
        }
    }

    fn ended(&mut self, context: &mut Context<'_>, call: Option<Call>) {
        let Some(call) = call else { return };
        if call.served() && self.served_since_heal == Some(false) {
            self.served_since_heal = context.history.healed.map(|healed| call.invoked >= healed);
        }
        record(context, &call);
        self.next = think(&mut self.rng, context.now());
    }
}

impl Client for Elector {
    fn wake(&self) -> Option<Timestamp> {
        match self.caller.wake() {
            Some(at) => Some(at),
            None => (!self.finishing).then_some(self.next),
        }
    }

    fn act(&mut self, context: &mut Context<'_>) {
        if self.caller.is_idle() {
            self.caller.call(context, &mut self.rng, Op::Lead);
        } else {
            let call = self.caller.tick(context, &mut self.rng);
            self.ended(context, call);
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

    fn finish(&mut self, _now: Timestamp) {
        self.finishing = true;
    }

    fn finished(&self) -> bool {
        self.finishing && self.caller.is_idle()
    }
}
