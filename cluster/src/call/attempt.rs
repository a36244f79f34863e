//! The outcome of one request, or that it is time to do something else.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use super::courier::{AlarmKey, Alarmed, Courier};
use crate::{NoAnswer, Node, NodeId, Port, ReplyTo, Sink};

/// Waits for an outcome until its alarm rings: whichever comes first, is taken; none is the alarm.
pub(super) struct Attempt<P> {
    slot: Arc<Slot<P>>,
    courier: Arc<Courier>,
    alarm: Option<AlarmKey>,
}

/// Where the outcome and the alarm arrive.
struct Slot<P>(Mutex<State<P>>);

enum State<P> {
    /// Nothing has come, and this is to be woken.
    Empty(Option<Waker>),
    /// It has; none is the alarm.
    Come(Option<Result<P, NoAnswer>>),
    /// It has been taken, or nobody wants it.
    Over,
}

impl<P: Send + 'static> Attempt<P> {
    /// Asks `node` by `port`, and waits until `until`.
    pub(super) fn ask<N: Node<Response = P>>(
        port: &dyn Port<N>,
        courier: &Arc<Courier>,
        node: NodeId,
        request: N::Request,
        until: Instant,
    ) -> Self {
        let attempt = Self::rest(courier, until);
        let sink = Arc::clone(&attempt.slot) as Arc<dyn Sink<P>>;
        port.submit(node, request, ReplyTo::new(sink, 0));
        attempt
    }

    /// Asks nobody.
    pub(super) fn rest(courier: &Arc<Courier>, until: Instant) -> Self {
        let slot = Arc::new(Slot(Mutex::new(State::Empty(None))));
        let alarm = courier.arm(until, Arc::clone(&slot) as Arc<dyn Alarmed>);
        if alarm.is_none() {
            slot.put(None);
        }
        Self { slot, courier: Arc::clone(courier), alarm }
    }
}

impl<P> Slot<P> {
    fn state(&self) -> MutexGuard<'_, State<P>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, come: Option<Result<P, NoAnswer>>) {
        let waker = match &mut *self.state() {
            // What comes second is not wanted any more.
            State::Come(_) | State::Over => return,
            state @ State::Empty(_) => match std::mem::replace(state, State::Come(come)) {
                State::Empty(waker) => waker,
                State::Come(_) | State::Over => None,
            },
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<P: Send> Sink<P> for Slot<P> {
    fn complete(self: Arc<Self>, _tag: u64, outcome: Result<P, NoAnswer>) {
        self.put(Some(outcome));
    }
}

impl<P: Send> Alarmed for Slot<P> {
    fn alarm(self: Arc<Self>) {
        self.put(None);
    }
}

impl<P> Future for Attempt<P> {
    type Output = Option<Result<P, NoAnswer>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.slot.state();
        if let State::Empty(waker) = &mut *state {
            *waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        match std::mem::replace(&mut *state, State::Over) {
            State::Come(come) => Poll::Ready(come),
            State::Empty(_) | State::Over => panic!("an attempt is polled after it was ready"),
        }
    }
}

impl<P> Drop for Attempt<P> {
    fn drop(&mut self) {
        if let Some(alarm) = self.alarm {
            self.courier.disarm(alarm);
        }
        // A node may owe its answer for ever, and who waited is not to stay as long.
        let left = std::mem::replace(&mut *self.slot.state(), State::Over);
        drop(left);
    }
}
