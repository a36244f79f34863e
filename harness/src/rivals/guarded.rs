//! A rival whose process may die of itself: a library that panics takes its own node down, not the
//! suite.

use std::panic::{AssertUnwindSafe, catch_unwind};

use cluster::{
    Boot, CorruptRecords, EffectsOf, Epoch, InputOf, InvalidConfig, Members, Node, Now, Redirect,
    Role, Standing, Timestamp,
};

use super::registers::{Ask, Replica, RivalNode};
use crate::vocabulary::Answer;

/// A node, or what is left of it after it panicked: a process that has aborted, and is not started
/// again until the scenario does. It does and says nothing, and its clients wait in vain.
pub struct Guarded<N> {
    node: Option<N>,
    panic: Option<String>,
    /// What a dead node has applied, as far as anybody can see.
    nothing: Replica,
}

impl<N> Guarded<N> {
    /// What the node said when it died, if it did.
    pub fn panic(&self) -> Option<&str> {
        self.panic.as_deref()
    }

    /// Lets the node do something, unless it is dead, or dies of it.
    fn let_it<T>(&mut self, f: impl FnOnce(&mut N) -> T) -> Option<T> {
        let node = self.node.as_mut()?;
        // What the panic leaves behind is never looked at again.
        match catch_unwind(AssertUnwindSafe(|| f(node))) {
            Ok(done) => Some(done),
            Err(panic) => {
                self.node = None;
                self.panic = Some(said(&*panic));
                None
            }
        }
    }
}

fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason").to_owned()
}

impl<N: RivalNode> Guarded<N> {
    /// Its copy of the registers; an empty one if it is dead.
    pub fn replica(&self) -> &Replica {
        self.node.as_ref().map_or(&self.nothing, N::replica)
    }
}

impl<N: RivalNode> Node for Guarded<N> {
    type Config = N::Config;
    type Request = Ask;
    type Response = Answer;
    type Message = N::Message;
    type Record = N::Record;
    type Event = N::Event;

    fn validate(config: &N::Config, members: &Members) -> Result<(), InvalidConfig> {
        N::validate(config, members)
    }

    fn boot(
        config: &N::Config,
        boot: Boot<N::Record>,
        out: &mut EffectsOf<Self>,
    ) -> Result<Self, CorruptRecords> {
        let (node, position) = (boot.id, boot.records.len());
        let booted = catch_unwind(AssertUnwindSafe(|| N::boot(config, boot, out)));
        let booted = booted.unwrap_or_else(|panic| {
            Err(CorruptRecords { node, position, problem: said(&*panic) })
        })?;
        Ok(Self { node: Some(booted), panic: None, nothing: Replica::default() })
    }

    fn handle(&mut self, now: Now, input: InputOf<Self>, out: &mut EffectsOf<Self>) {
        self.let_it(|node| node.handle(now, input, out));
    }

    fn flush(&mut self, now: Now, out: &mut EffectsOf<Self>) {
        self.let_it(|node| node.flush(now, out));
    }

    fn deadline(&self) -> Option<Timestamp> {
        self.node.as_ref().and_then(N::deadline)
    }

    fn standing(&self, now: Now) -> Standing {
        let nobody = Standing { role: Role::Follower, epoch: Epoch::ZERO, leader: None };
        self.node.as_ref().map_or(nobody, |node| node.standing(now))
    }

    fn gauges(&self) -> Vec<(&'static str, u64)> {
        self.node.as_ref().map(N::gauges).unwrap_or_default()
    }

    fn redirect(response: &Answer) -> Option<Redirect> {
        N::redirect(response)
    }
}
