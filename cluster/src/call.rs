//! Calls on a cluster, from any number of threads: waited for, or awaited in any runtime.
//!
//! ```text
//!  Caller ── ask ──▶ Task ── request ──▶ a node's inbox, or a connection
//!     ▲              │ ▲                        │
//!     │              │ └────── outcome ◀────────┘ on the thread that has it
//!   Call ◀── wakes ──┘
//!                    └── a rest, a node that is silent, the deadline: Courier, which wakes it again
//! ```
//! A call goes on by itself, whether anybody waits or not: whoever has an outcome takes its next step.
//! Whatever takes time is an alarm at the [`Courier`], one thread for all calls of a [`Caller`] and its
//! clones. No call needs a runtime, and none can hold another up.
//!
//! A pattern's own client is made of these: it says what its answers mean ([`Question`], [`Heard`]), and
//! writes what takes several requests as one future ([`Call::run`]).

mod attempt;
mod caller;
mod courier;
mod search;
mod task;

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

pub use caller::{Caller, Found, Heard, Question};
pub use courier::{AlarmKey, Alarmed, Courier};
pub use search::Search;
use task::Task;
pub use task::spawn;

/// Why a call brought no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CallError {
    /// Nobody took the request before its deadline. It had no effect, and never will.
    #[error("no node took the request within {waited:?}; it had no effect")]
    Unavailable {
        /// How long the call tried.
        waited: Duration,
    },
    /// A node took the request, and no answer came: it may have had an effect, or have one yet.
    #[error("a node took the request and gave no answer within {waited:?}; its effect is unknown")]
    Unknown {
        /// How long the call waited in all.
        waited: Duration,
    },
}

/// A call under way. It was sent when it was made, and goes on by itself; [`wait`](Call::wait) for it,
/// or `.await` it in any runtime.
///
/// Dropping it gives it up: it is not sent again, and what it has done by then is unknown, unless whoever
/// made it says more.
#[must_use = "a call that is dropped is given up"]
pub struct Call<R> {
    stage: Stage<R>,
    /// What must live as long as it.
    _keeps: Option<Arc<dyn Any + Send + Sync>>,
}

enum Stage<R> {
    Ready(R),
    Running(Arc<dyn Running<R>>),
    Over,
}

/// A call as its owner drives it.
pub trait Running<R>: Send + Sync {
    /// Its result, or a promise that `waker` is woken. Not called again once there was a result.
    fn poll(self: Arc<Self>, waker: &Waker) -> Poll<R>;

    /// Nobody wants its result any more. It may have been taken.
    fn cancel(&self);
}

impl<R> Call<R> {
    /// What `running` brings; `keeps` lives until that is taken and dropped, or the call is.
    pub fn new(running: Arc<dyn Running<R>>, keeps: Arc<dyn Any + Send + Sync>) -> Self {
        Self { stage: Stage::Running(running), _keeps: Some(keeps) }
    }

    /// One that is over already.
    pub fn ready(result: R) -> Self {
        Self { stage: Stage::Ready(result), _keeps: None }
    }

    /// What `future` brings, which is polled by whoever makes the call and then by whoever wakes it, a
    /// node's own thread perhaps: it must neither wait nor panic. It is dropped with the call.
    pub fn run(future: impl Future<Output = R> + Send + 'static) -> Self
    where
        R: Send + 'static,
    {
        Self::run_then(future, |result| result)
    }

    /// The same, of which `taken` makes what the call returns, at the moment that somebody takes it:
    /// what nobody takes is dropped as `future` left it.
    pub fn run_then<T: Send + 'static>(
        future: impl Future<Output = T> + Send + 'static,
        taken: fn(T) -> R,
    ) -> Self
    where
        R: 'static,
    {
        Self { stage: Stage::Running(Task::start(future, taken)), _keeps: None }
    }

    /// Waits for its end, on this thread.
    ///
    /// # Panics
    /// When the call was polled as a future before, and was ready.
    pub fn wait(mut self) -> R {
        thread_local! {
            static WAKER: Waker = Arc::new(Unpark(std::thread::current())).into();
        }
        WAKER.with(|waker| {
            loop {
                match self.poll_with(waker) {
                    Poll::Ready(result) => return result,
                    Poll::Pending => std::thread::park(),
                }
            }
        })
    }

    fn poll_with(&mut self, waker: &Waker) -> Poll<R> {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Ready(result) => Poll::Ready(result),
            Stage::Running(running) => {
                let poll = Arc::clone(&running).poll(waker);
                if poll.is_pending() {
                    self.stage = Stage::Running(running);
                }
                poll
            }
            Stage::Over => panic!("a call is polled after it was ready"),
        }
    }
}

// Nothing of it is pinned: what it waits for lives elsewhere.
impl<R> Unpin for Call<R> {}

/// Its output is as of [`wait`](Call::wait). Polled after that was ready, it panics.
impl<R> Future for Call<R> {
    type Output = R;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<R> {
        self.get_mut().poll_with(context.waker())
    }
}

impl<R> Drop for Call<R> {
    fn drop(&mut self) {
        if let Stage::Running(running) = &self.stage {
            running.cancel();
        }
    }
}

impl<R> fmt::Debug for Call<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.stage {
            Stage::Ready(_) => "Call(ready)",
            Stage::Running(_) => "Call(running)",
            Stage::Over => "Call(over)",
        })
    }
}

/// Wakes a thread that waits.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}
