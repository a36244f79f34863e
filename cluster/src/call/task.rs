//! A future that is polled by whoever wakes it.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use super::Running;

/// Lets `future` go on by itself, for nobody: as [`Call::run`](super::Call::run), but it cannot be given up.
pub fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    // Whatever will wake it keeps it.
    drop(Task::start(future, |()| ()));
}

type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A future, until it is over, and what it brought, until that is taken.
///
/// Its lock is held for moments, and never while the future is polled or dropped, or somebody is woken:
/// all of them may lead straight back here.
pub(super) struct Task<T, R> {
    state: Mutex<State<T>>,
    taken: fn(T) -> R,
}

struct State<T> {
    stage: Stage<T>,
    /// Who waits for its end.
    listener: Option<Waker>,
}

enum Stage<T> {
    /// Until it is woken.
    Resting(Work<T>),
    /// Somebody polls it; `again`, if it was woken since.
    Polled {
        again: bool,
    },
    Done(T),
    /// Taken, or given up.
    Over,
}

impl<T: Send + 'static, R: 'static> Task<T, R> {
    pub(super) fn start(
        future: impl Future<Output = T> + Send + 'static,
        taken: fn(T) -> R,
    ) -> Arc<Self> {
        let stage = Stage::Resting(Box::pin(future) as Work<T>);
        let task = Arc::new(Self { state: Mutex::new(State { stage, listener: None }), taken });
        Arc::clone(&task).wake();
        task
    }
}

impl<T, R> Task<T, R> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The future, for whoever polls it now; none if another does, who is told to do it again.
    fn take(&self) -> Option<Work<T>> {
        let stage = &mut self.state().stage;
        match stage {
            Stage::Resting(_) => match std::mem::replace(stage, Stage::Polled { again: false }) {
                Stage::Resting(work) => Some(work),
                Stage::Polled { .. } | Stage::Done(_) | Stage::Over => None,
            },
            Stage::Polled { again } => {
                *again = true;
                None
            }
            Stage::Done(_) | Stage::Over => None,
        }
    }

    /// It is not ready. Returns it to be polled again, or to be dropped if it was given up.
    fn put_back(&self, work: Work<T>) -> Back<T> {
        let stage = &mut self.state().stage;
        match stage {
            Stage::Polled { again: true } => {
                *stage = Stage::Polled { again: false };
                Back::Again(work)
            }
            Stage::Polled { again: false } => {
                *stage = Stage::Resting(work);
                Back::Rests
            }
            Stage::Resting(_) | Stage::Done(_) | Stage::Over => Back::GivenUp(work),
        }
    }

    fn done(&self, output: T) {
        let unwanted = {
            let mut state = self.state();
            match state.stage {
                Stage::Polled { .. } => {
                    state.stage = Stage::Done(output);
                    let listener = state.listener.take();
                    drop(state);
                    if let Some(listener) = listener {
                        listener.wake();
                    }
                    None
                }
                Stage::Resting(_) | Stage::Done(_) | Stage::Over => Some(output),
            }
        };
        drop(unwanted);
    }
}

enum Back<T> {
    Rests,
    Again(Work<T>),
    GivenUp(Work<T>),
}

impl<T: Send + 'static, R: 'static> Wake for Task<T, R> {
    fn wake(self: Arc<Self>) {
        let Some(mut work) = self.take() else { return };
        let waker = Waker::from(Arc::clone(&self));
        let mut context = Context::from_waker(&waker);
        loop {
            if let Poll::Ready(output) = work.as_mut().poll(&mut context) {
                // What it held goes before somebody learns that it is over.
                drop(work);
                return self.done(output);
            }
            match self.put_back(work) {
                Back::Again(again) => work = again,
                Back::Rests => return,
                Back::GivenUp(work) => return drop(work),
            }
        }
    }
}

impl<T: Send + 'static, R: 'static> Running<R> for Task<T, R> {
    fn poll(self: Arc<Self>, waker: &Waker) -> Poll<R> {
        let mut state = self.state();
        if !matches!(state.stage, Stage::Done(_)) {
            match &mut state.listener {
                Some(known) => known.clone_from(waker),
                none => *none = Some(waker.clone()),
            }
            return Poll::Pending;
        }
        let stage = std::mem::replace(&mut state.stage, Stage::Over);
        drop(state);
        match stage {
            Stage::Done(output) => Poll::Ready((self.taken)(output)),
            Stage::Resting(_) | Stage::Polled { .. } | Stage::Over => Poll::Pending,
        }
    }

    fn cancel(&self) {
        let left = {
            let mut state = self.state();
            state.listener = None;
            std::mem::replace(&mut state.stage, Stage::Over)
        };
        drop(left);
    }
}
