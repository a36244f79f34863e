//! A client as its server sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::{Deserialize, Serialize};

use super::Spoken;
use super::budget::Share;
use super::dial::Calling;
use super::entrance::{Entrance, Visit};
use super::frame::{self, Frame, Kind};
use super::news;
use super::refusal::{Reason, Refused};
use super::unsent::Unsent;
use super::wire::{Pushed, Wire};
use crate::{NoAnswer, ReplyTo, Sink};

/// What a client sends: what it asks, and by which number it will know the answer.
#[derive(Serialize, Deserialize)]
pub(super) struct Asking<Q> {
    pub(super) tag: u64,
    pub(super) request: Q,
}

/// What it is sent.
#[derive(Serialize, Deserialize)]
pub(super) struct Answering<P> {
    pub(super) tag: u64,
    pub(super) outcome: Outcome<P>,
}

/// The end of a request, on its way to the client.
#[derive(Serialize, Deserialize)]
pub(super) enum Outcome<P> {
    Answered(P),
    /// [`NoAnswer::Unreachable`]
    NothingDone,
    /// [`NoAnswer::Lost`]
    Unknown,
}

impl<P> From<Result<P, NoAnswer>> for Outcome<P> {
    fn from(outcome: Result<P, NoAnswer>) -> Self {
        match outcome {
            Ok(response) => Self::Answered(response),
            Err(NoAnswer::Unreachable) => Self::NothingDone,
            Err(NoAnswer::Lost) => Self::Unknown,
        }
    }
}

impl<P> From<Outcome<P>> for Result<P, NoAnswer> {
    fn from(outcome: Outcome<P>) -> Self {
        match outcome {
            Outcome::Answered(response) => Ok(response),
            Outcome::NothingDone => Err(NoAnswer::Unreachable),
            Outcome::Unknown => Err(NoAnswer::Lost),
        }
    }
}

/// A connected client.
pub(super) struct Client<N> {
    wire: Arc<Wire>,
    answers: Arc<Unsent>,
    calling: Arc<Calling>,
    under_way: AtomicUsize,
    node: std::marker::PhantomData<fn(N)>,
}

/// One request of it, until it is answered.
struct Asked<N> {
    client: Arc<Client<N>>,
    _share: Share,
    _visit: Visit,
}

impl<N: Spoken> Client<N> {
    pub(super) fn new(wire: Arc<Wire>, answers: &Arc<Unsent>, calling: &Arc<Calling>) -> Arc<Self> {
        let (answers, calling) = (Arc::clone(answers), Arc::clone(calling));
        let (under_way, node) = (AtomicUsize::new(0), std::marker::PhantomData);
        Arc::new(Self { wire, answers, calling, under_way, node })
    }

    /// It asks. What is too much is turned away, with nothing done.
    pub(super) fn ask(
        self: &Arc<Self>,
        entrance: &Entrance<N>,
        frame: &Frame<'_>,
    ) -> Result<(), Refused> {
        match frame.kind {
            Kind::Request => {}
            Kind::Hello | Kind::Welcome | Kind::Refusal | Kind::Message | Kind::Response => {
                return Err(Refused::new(Reason::Garbled, "a client that sends no request"));
            }
        }
        let Asking { tag, request } = frame::read(frame.body)?;
        let room = self.under_way.load(Ordering::Relaxed) < self.calling.limits.requests_max;
        let share = self.calling.budget.take(frame.len()).filter(|_| room);
        match share.zip(entrance.enter()) {
            Some((_share, _visit)) => {
                self.under_way.fetch_add(1, Ordering::Relaxed);
                let asked = Arc::new(Asked { client: Arc::clone(self), _share, _visit });
                entrance.submit(request, ReplyTo::new(asked, tag));
            }
            None => self.answer(tag, Outcome::NothingDone),
        }
        Ok(())
    }

    fn answer(&self, tag: u64, outcome: Outcome<N::Response>) {
        let answering = Answering { tag, outcome };
        match self.wire.push(Kind::Response, &answering) {
            Pushed::First => self.answers.add(&self.wire),
            Pushed::Queued | Pushed::Closed => {}
            Pushed::Full => {
                // It does not read what it asked for, and there is no room to wait for it.
                self.calling.tally.refused(Reason::Overloaded);
                let detail = "it does not read its answers";
                news::refused(self.wire.peer(), &Refused::new(Reason::Overloaded, detail));
                self.wire.fail();
            }
            Pushed::Unsendable(problem) => {
                news::unsendable(self.wire.peer(), &problem.0);
                if !matches!(answering.outcome, Outcome::Unknown) {
                    self.answer(tag, Outcome::Unknown);
                }
            }
        }
    }
}

impl<N> Drop for Asked<N> {
    fn drop(&mut self) {
        self.client.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<N: Spoken> Sink<N::Response> for Asked<N> {
    fn complete(self: Arc<Self>, tag: u64, outcome: Result<N::Response, NoAnswer>) {
        self.client.answer(tag, outcome.into());
    }
}
