//! A call under way, as whoever made it holds it.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use crate::WitnessRefusal;

/// Why a call brought no result. Each variant says what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Nobody could serve it before its deadline: no leader was found, or none could reach a majority.
    /// It had no effect and never will. So ends every read and status that is not answered in time,
    /// since it cannot have one.
    #[error("nobody could serve the call within {waited:?}; nothing was done")]
    Unavailable {
        /// How long it tried.
        waited: Duration,
    },
    /// There is too much under way, of this handle or at the leader. It had no effect and never will:
    /// wait for some of it before asking again.
    #[error("too many calls are under way; nothing was done")]
    Overloaded,
    /// The command is larger than the cluster takes. It had no effect and never will.
    #[error("a command of {bytes} bytes, where {limit} is the limit; nothing was done")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The largest size.
        limit: usize,
    },
    /// There is no such member to hand over to, to change the part of, or to read at as a follower.
    /// Nothing was done.
    #[error("there is no such member; nothing was done")]
    NoSuchMember,
    /// A node that was to vote did not catch up with the log, or was not heard of. Nothing was done.
    #[error("a node that was to vote did not catch up; nothing was done")]
    NotCaughtUp,
    /// A node has not the part that a change supposes, see [`Error::UnfitMember`]. Nothing was done.
    ///
    /// [`Error::UnfitMember`]: crate::Error::UnfitMember
    #[error("a node has not the part that the change supposes; nothing was done")]
    UnfitMember,
    /// After the change nobody would vote. Nothing was done.
    #[error("nobody would vote; nothing was done")]
    LastVoter,
    /// It is not for witnesses, or there would be too many. Nothing was done.
    #[error("{0}; nothing was done")]
    Witness(WitnessRefusal),
    /// A leader may have taken it, and what became of it was not to be learnt before its deadline; or
    /// its session ended before that. It may have had an effect, or may have one yet.
    #[error("a leader may have taken the call, which had no answer within {waited:?}")]
    Unknown {
        /// How long it tried.
        waited: Duration,
    },
}

impl CallError {
    /// Whether it is certain that the call had no effect, and will never have one.
    pub fn nothing_done(&self) -> bool {
        match self {
            Self::Unavailable { .. }
            | Self::Overloaded
            | Self::TooLarge { .. }
            | Self::NoSuchMember
            | Self::NotCaughtUp
            | Self::UnfitMember
            | Self::LastVoter
            | Self::Witness(_) => true,
            Self::Unknown { .. } => false,
        }
    }
}

/// A call under way. It was sent when it was made, and goes on by itself; [`wait`](Call::wait) for it,
/// or `.await` it in any runtime.
///
/// Dropping it gives it up: it is not sent again, and what it has done by then is unknown. Its deadline
/// is kept for whoever waits: a call that nobody waits for may stay under way for longer.
#[must_use = "a call that is dropped is given up"]
pub struct Call<T> {
    stage: Stage<T>,
    /// Keeps the handle's session open.
    _presence: Arc<dyn Any + Send + Sync>,
}

enum Stage<T> {
    Refused(CallError),
    Running(Arc<dyn Running<T>>),
    Over,
}

/// A call as its owner drives it.
pub(crate) trait Running<T>: Send + Sync {
    /// Its result, or a promise that `waker` is woken.
    fn poll(self: Arc<Self>, waker: &Waker) -> Poll<Result<T, CallError>>;

    /// Nobody wants its result any more.
    fn cancel(&self);
}

impl<T> Call<T> {
    pub(crate) fn new(running: Arc<dyn Running<T>>, presence: Arc<dyn Any + Send + Sync>) -> Self {
        Self { stage: Stage::Running(running), _presence: presence }
    }

    pub(crate) fn refused(error: CallError, presence: Arc<dyn Any + Send + Sync>) -> Self {
        Self { stage: Stage::Refused(error), _presence: presence }
    }

    /// Waits for its end, on this thread.
    ///
    /// # Errors
    /// [`CallError`] says whether it may have had an effect.
    ///
    /// # Panics
    /// When the call was polled as a future before, and was ready.
    pub fn wait(mut self) -> Result<T, CallError> {
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

    fn poll_with(&mut self, waker: &Waker) -> Poll<Result<T, CallError>> {
        let result = match &self.stage {
            Stage::Running(running) => Arc::clone(running).poll(waker),
            Stage::Refused(error) => Poll::Ready(Err(*error)),
            Stage::Over => panic!("a call is polled after it was ready"),
        };
        if result.is_ready() {
            self.stage = Stage::Over;
        }
        result
    }
}

/// Its output is as of [`wait`](Call::wait). Polled after that was ready, it panics.
impl<T> Future for Call<T> {
    type Output = Result<T, CallError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.get_mut().poll_with(context.waker())
    }
}

impl<T> Drop for Call<T> {
    fn drop(&mut self) {
        if let Stage::Running(running) = &self.stage {
            running.cancel();
        }
    }
}

impl<T> fmt::Debug for Call<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.stage {
            Stage::Refused(_) => "Call(refused)",
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
