//! Work that is done beside the owner's.

use std::thread::JoinHandle;

/// What [`Files::beside`](crate::Files::beside) has begun, or done already. Dropped, it goes on, and
/// nobody hears of it.
#[derive(Debug)]
pub struct Beside<T>(Work<T>);

#[derive(Debug)]
enum Work<T> {
    Done(T),
    Running(JoinHandle<T>),
}

impl<T> Beside<T> {
    /// Work that is done, with this result.
    pub fn done(result: T) -> Self {
        Self(Work::Done(result))
    }

    /// Work that `thread` does.
    pub fn running(thread: JoinHandle<T>) -> Self {
        Self(Work::Running(thread))
    }

    /// Whether it is done, so that [`wait`](Self::wait) returns at once.
    pub fn is_done(&self) -> bool {
        match &self.0 {
            Work::Done(_) => true,
            Work::Running(thread) => thread.is_finished(),
        }
    }

    /// Its result, once it is done.
    ///
    /// # Panics
    /// If the work did, with what it said.
    pub fn wait(self) -> T {
        match self.0 {
            Work::Done(result) => result,
            Work::Running(thread) => {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            }
        }
    }
}
