//! One call on its way: from node to node until it is answered, or out of time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use cluster::call::{AlarmKey, Alarmed, Running, Search};
use cluster::{NoAnswer, NodeId, ReplyTo, Sink};

use crate::client::call::CallError;
use crate::client::desk::{Desk, Waiter};
use crate::client::ledger::{Slot, Take};
use crate::client::task::Task;
use crate::{Error, Reply, Request, Response, StateMachine, WitnessRefusal};

/// How long one node may be silent before the same is asked of another, where that does no harm;
/// doubled each time, lest a cluster that is slow for being overloaded be asked for more and more.
const SILENCE_MIN: Duration = Duration::from_secs(1);
/// The longest silence.
const SILENCE_MAX: Duration = Duration::from_secs(8);

/// What somebody wants.
pub(crate) struct Order<S: StateMachine, T> {
    pub(crate) task: Task<S>,
    pub(crate) timeout: Duration,
    /// What is wanted of the reply. None: it is no reply to this.
    pub(crate) read: fn(Reply<S>) -> Option<T>,
}

/// One call, until it is over.
///
/// Its lock is held for moments, and never while a request is handed over or somebody is woken: both
/// may lead straight back here. The ledger's and the courier's are taken inside it, never around it.
pub(crate) struct Errand<S: StateMachine, T> {
    desk: Arc<Desk<S>>,
    begun: Instant,
    deadline: Instant,
    read: fn(Reply<S>) -> Option<T>,
    state: Mutex<State<S, T>>,
}

struct State<S: StateMachine, T> {
    task: Task<S>,
    /// Its place in the session, if it is a write that has one.
    slot: Option<Slot>,
    /// Whom it asks.
    search: Search,
    silence: Duration,
    /// How often it was sent.
    attempt: u64,
    stage: Stage,
    /// It may have had an effect, or may have one yet, whatever comes of the latest attempt.
    doubtful: bool,
    listener: Listener<T>,
    result: Option<Result<T, CallError>>,
    alarm: Option<AlarmKey>,
}

#[derive(Clone, Copy)]
enum Stage {
    /// It waits for a session.
    Seeking,
    /// It was sent, then.
    Asked {
        since: Instant,
    },
    /// Nobody would serve it. It is sent again then.
    Resting {
        until: Instant,
    },
    Over,
}

/// Who learns of its end.
enum Listener<T> {
    /// Whoever holds the call and has not looked yet.
    Owner,
    /// Whoever holds the call and waits.
    Waiting(Waker),
    /// Nobody holds it: this is done at the end.
    Then(Box<dyn FnOnce(Result<T, CallError>) + Send>),
    Nobody,
}

/// What is left to do once the lock is let go.
enum Next<S: StateMachine, T> {
    Nothing,
    Send(NodeId, Request<S>, u64),
    /// A session is wanted.
    Open,
    Wake(Waker),
    Then(Box<dyn FnOnce(Result<T, CallError>) + Send>, Result<T, CallError>),
}

// Its beginning.
impl<S: StateMachine, T: Send + 'static> Errand<S, T> {
    /// Sends it off, for somebody who will want its result.
    pub(crate) fn start(desk: &Arc<Desk<S>>, order: Order<S, T>) -> Arc<Self> {
        Self::new(desk, order, Listener::Owner)
    }

    /// Sends it off, to do `then` at its end.
    pub(crate) fn send_off(
        desk: &Arc<Desk<S>>,
        order: Order<S, T>,
        then: impl FnOnce(Result<T, CallError>) + Send + 'static,
    ) {
        Self::new(desk, order, Listener::Then(Box::new(then)));
    }

    fn new(desk: &Arc<Desk<S>>, order: Order<S, T>, listener: Listener<T>) -> Arc<Self> {
        let Order { task, timeout, read } = order;
        let begun = Instant::now();
        let deadline = begun.checked_add(timeout).unwrap_or(begun + Duration::from_secs(1 << 30));
        let first = task.only().unwrap_or_else(|| desk.preferred());
        let state = State {
            slot: None,
            task,
            search: Search::new(desk.port.members(), first, deadline),
            silence: SILENCE_MIN,
            attempt: 0,
            stage: Stage::Seeking,
            doubtful: false,
            listener,
            result: None,
            alarm: None,
        };
        let (desk, state) = (Arc::clone(desk), Mutex::new(state));
        let errand = Arc::new(Self { desk, begun, deadline, read, state });
        errand.advance(|errand, state| errand.ask(state, begun));
        errand
    }
}

// Its way.
impl<S: StateMachine, T: Send + 'static> Errand<S, T> {
    fn lock(&self) -> MutexGuard<'_, State<S, T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a step, and lets go of the lock before it does what the step leads to.
    fn advance(self: &Arc<Self>, step: impl FnOnce(&Arc<Self>, &mut State<S, T>) -> Next<S, T>) {
        let next = step(self, &mut self.lock());
        match next {
            Next::Nothing => {}
            Next::Send(node, request, attempt) => {
                let sink = Arc::clone(self) as Arc<dyn Sink<Response<S>>>;
                self.desk.port.submit(node, request, ReplyTo::new(sink, attempt));
            }
            Next::Open => {
                self.desk.open_session(self.deadline.saturating_duration_since(Instant::now()));
            }
            Next::Wake(waker) => waker.wake(),
            Next::Then(then, result) => then(result),
        }
    }

    /// Asks its node, or for a session first.
    fn ask(self: &Arc<Self>, state: &mut State<S, T>, now: Instant) -> Next<S, T> {
        if now >= self.deadline {
            return self.fail(state, self.unavailable());
        }
        if state.slot.is_none() && state.task.needs_slot() {
            let taken = self.desk.ledger().take(|| Arc::clone(self) as Arc<dyn Waiter>);
            state.stage = Stage::Seeking;
            match taken {
                Take::Have(slot) => state.slot = Some(slot),
                Take::Wait => return self.keep_watch(state, Next::Nothing),
                Take::Open => return self.keep_watch(state, Next::Open),
            }
        }
        state.attempt += 1;
        if state.attempt > 1 {
            self.desk.meter.retried(state.task.kind());
        }
        state.stage = Stage::Asked { since: now };
        let request = state.task.request(state.slot);
        self.keep_watch(state, Next::Send(state.search.node(), request, state.attempt))
    }

    /// Sets the alarm that is needed to go on, if any is; then comes `next`. Where there are no alarms
    /// any more, it is over instead.
    fn keep_watch(self: &Arc<Self>, state: &mut State<S, T>, next: Next<S, T>) -> Next<S, T> {
        let at = match (state.stage, &state.listener) {
            (Stage::Over, _) => return next,
            (Stage::Resting { until }, _) => until,
            // The owner looks at the time when it looks at the call.
            (Stage::Seeking | Stage::Asked { .. }, Listener::Owner | Listener::Nobody) => {
                return next;
            }
            (Stage::Asked { since }, _) if state.task.may_repeat() => {
                self.deadline.min(since + state.silence)
            }
            (Stage::Seeking | Stage::Asked { .. }, _) => self.deadline,
        };
        if state.alarm.is_some_and(|alarm| alarm.at <= at) {
            return next;
        }
        self.disarm(state);
        state.alarm = self.desk.courier.arm(at, Arc::clone(self) as Arc<dyn Alarmed>);
        if state.alarm.is_some() { next } else { self.give_up(state) }
    }

    fn disarm(&self, state: &mut State<S, T>) {
        if let Some(alarm) = state.alarm.take() {
            self.desk.courier.disarm(alarm);
        }
    }

    /// An attempt has come to its end.
    fn told(
        self: &Arc<Self>,
        state: &mut State<S, T>,
        attempt: u64,
        outcome: Result<Response<S>, NoAnswer>,
    ) -> Next<S, T> {
        let is_latest = match state.stage {
            Stage::Asked { .. } => attempt == state.attempt,
            Stage::Seeking | Stage::Resting { .. } => false,
            Stage::Over => return Next::Nothing,
        };
        match outcome {
            // Late or not, it is an answer to this call.
            Ok(Ok(reply)) => {
                if is_latest && state.task.only().is_none() {
                    self.desk.prefer(state.search.node());
                }
                match (self.read)(reply) {
                    Some(value) => self.finish(state, Ok(value)),
                    None => self.lost(state),
                }
            }
            // It has been reckoned with that it came to nothing, or to something.
            Ok(Err(_)) | Err(_) if !is_latest => Next::Nothing,
            Ok(Err(error)) => self.refused(state, error),
            Err(NoAnswer::Lost) => self.lost(state),
            Err(NoAnswer::Unreachable) if state.task.only().is_some() => {
                self.fail(state, self.unavailable())
            }
            Err(NoAnswer::Unreachable) => self.turned_away(state, None),
        }
    }

    /// The node has refused the latest attempt.
    fn refused(self: &Arc<Self>, state: &mut State<S, T>, error: Error) -> Next<S, T> {
        match error {
            Error::NotLeader { leader } => self.turned_away(state, leader),
            Error::Transferring { to } => self.turned_away(state, Some(to)),
            Error::Deposed => self.lost(state),
            Error::SessionExpired => self.expired(state),
            // To insist may yet tell what an earlier attempt came to.
            Error::Overloaded if state.doubtful => self.turned_away(state, None),
            Error::Overloaded => self.fail(state, CallError::Overloaded),
            Error::TooLarge { bytes, limit } => {
                self.fail(state, CallError::TooLarge { bytes, limit })
            }
            Error::NoSuchMember => self.fail(state, CallError::NoSuchMember),
            Error::ChangeInProgress => self.turned_away(state, None),
            Error::NotCaughtUp => self.fail(state, CallError::NotCaughtUp),
            Error::UnfitMember => self.fail(state, CallError::UnfitMember),
            Error::LastVoter => self.fail(state, CallError::LastVoter),
            // Another node can answer.
            Error::Witness(WitnessRefusal::NoReplica { node })
                if node == state.search.node() && state.task.only().is_none() =>
            {
                self.turned_away(state, None)
            }
            Error::Witness(refusal) => self.fail(state, CallError::Witness(refusal)),
            Error::NotTransferred => {
                state.doubtful = true;
                self.fail(state, self.unavailable())
            }
        }
    }

    /// The latest attempt may have come to something.
    fn lost(self: &Arc<Self>, state: &mut State<S, T>) -> Next<S, T> {
        state.doubtful |= state.task.has_effect();
        if state.task.may_repeat() {
            self.turned_away(state, None)
        } else {
            self.fail(state, self.unavailable())
        }
    }

    /// The session has ended. If nothing was done in it, the next one will do.
    fn expired(self: &Arc<Self>, state: &mut State<S, T>) -> Next<S, T> {
        if let Some(slot) = state.slot.take() {
            self.desk.ledger().expired(slot.session);
        }
        if state.doubtful {
            self.fail(state, self.unavailable())
        } else {
            self.ask(state, Instant::now())
        }
    }

    /// The node does not serve it: follows its hint, if it gave one; otherwise rests, and tries the
    /// next one.
    fn turned_away(self: &Arc<Self>, state: &mut State<S, T>, hint: Option<NodeId>) -> Next<S, T> {
        let now = Instant::now();
        let only = state.task.only();
        let (members, hint) = match &only {
            Some(only) => (std::slice::from_ref(only), None),
            None => (self.desk.port.members(), hint),
        };
        match state.search.turned_away(members, hint, now) {
            None => self.fail(state, self.unavailable()),
            Some(at) if at <= now => self.ask(state, now),
            Some(until) => {
                state.stage = Stage::Resting { until };
                self.keep_watch(state, Next::Nothing)
            }
        }
    }

    /// Its alarm has rung.
    fn rung(self: &Arc<Self>, state: &mut State<S, T>) -> Next<S, T> {
        let now = Instant::now();
        match state.stage {
            Stage::Over => Next::Nothing,
            _ if now >= self.deadline || self.desk.courier.is_stopped() => self.give_up(state),
            Stage::Resting { until } if now >= until => self.ask(state, now),
            Stage::Asked { since } if state.task.may_repeat() && now >= since + state.silence => {
                state.silence = SILENCE_MAX.min(2 * state.silence);
                state.doubtful |= state.task.has_effect();
                state.search.pass_over(self.desk.port.members());
                self.ask(state, now)
            }
            Stage::Seeking | Stage::Asked { .. } | Stage::Resting { .. } => {
                self.keep_watch(state, Next::Nothing)
            }
        }
    }
}

// Its end.
impl<S: StateMachine, T: Send + 'static> Errand<S, T> {
    fn unavailable(&self) -> CallError {
        CallError::Unavailable { waited: self.begun.elapsed() }
    }

    /// There is no time left.
    fn give_up(&self, state: &mut State<S, T>) -> Next<S, T> {
        let asked = matches!(state.stage, Stage::Asked { .. });
        state.doubtful |= asked && state.task.has_effect();
        self.fail(state, self.unavailable())
    }

    /// The latest attempt failed like this, and there will be no other.
    fn fail(&self, state: &mut State<S, T>, error: CallError) -> Next<S, T> {
        let unknown = CallError::Unknown { waited: self.begun.elapsed() };
        self.finish(state, Err(if state.doubtful { unknown } else { error }))
    }

    fn finish(&self, state: &mut State<S, T>, result: Result<T, CallError>) -> Next<S, T> {
        self.desk.meter.ended(state.task.kind(), self.begun, result.as_ref().err());
        self.close(state);
        match std::mem::replace(&mut state.listener, Listener::Nobody) {
            Listener::Nobody => Next::Nothing,
            Listener::Owner => {
                state.result = Some(result);
                Next::Nothing
            }
            Listener::Waiting(waker) => {
                state.result = Some(result);
                Next::Wake(waker)
            }
            Listener::Then(then) => {
                self.disarm(state);
                Next::Then(then, result)
            }
        }
    }

    /// It is over.
    fn close(&self, state: &mut State<S, T>) {
        state.stage = Stage::Over;
        if let Some(slot) = state.slot.take() {
            self.desk.ledger().answered(slot);
        }
        if matches!(state.listener, Listener::Owner | Listener::Waiting(_)) {
            self.desk.dismiss();
        }
    }
}

impl<S: StateMachine, T: Send + 'static> Sink<Response<S>> for Errand<S, T> {
    fn complete(self: Arc<Self>, attempt: u64, outcome: Result<Response<S>, NoAnswer>) {
        self.advance(|errand, state| errand.told(state, attempt, outcome));
    }
}

impl<S: StateMachine, T: Send + 'static> Alarmed for Errand<S, T> {
    fn alarm(self: Arc<Self>) {
        self.advance(|errand, state| {
            state.alarm = None;
            errand.rung(state)
        });
    }
}

impl<S: StateMachine, T: Send + 'static> Waiter for Errand<S, T> {
    fn resume(self: Arc<Self>, verdict: Result<(), CallError>) {
        self.advance(|errand, state| match (state.stage, verdict) {
            (Stage::Over, _) => Next::Nothing,
            (Stage::Seeking | Stage::Asked { .. } | Stage::Resting { .. }, Err(error)) => {
                errand.fail(state, error)
            }
            // There will be no session any more, and to ask for one would lead back here.
            _ if errand.desk.courier.is_stopped() => errand.give_up(state),
            (Stage::Seeking | Stage::Asked { .. } | Stage::Resting { .. }, Ok(())) => {
                errand.ask(state, Instant::now())
            }
        });
    }
}

impl<S: StateMachine, T: Send + 'static> Running<Result<T, CallError>> for Errand<S, T> {
    fn poll(self: Arc<Self>, waker: &Waker) -> Poll<Result<T, CallError>> {
        let mut state = self.lock();
        if state.result.is_none() {
            match &mut state.listener {
                Listener::Waiting(known) => known.clone_from(waker),
                listener => *listener = Listener::Waiting(waker.clone()),
            }
            // If this ends it, there is nobody to wake but the caller, who is told here.
            let _ = self.keep_watch(&mut state, Next::Nothing);
        }
        match state.result.take() {
            None => Poll::Pending,
            Some(result) => {
                self.disarm(&mut state);
                Poll::Ready(result)
            }
        }
    }

    fn cancel(&self) {
        let mut state = self.lock();
        if !matches!(state.stage, Stage::Over) {
            self.close(&mut state);
            state.listener = Listener::Nobody;
        }
        self.disarm(&mut state);
    }
}
