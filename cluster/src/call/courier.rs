//! The thread that wakes calls when their time has come.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

/// Who can be woken.
pub trait Alarmed: Send + Sync {
    /// The time has come, or the courier stops.
    fn alarm(self: Arc<Self>);
}

/// Which alarm: when, and which of those.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AlarmKey {
    /// When it rings.
    pub at: Instant,
    count: u64,
}

/// Keeps alarms, and a thread that carries them out. Dropping it ends the thread.
pub struct Courier {
    board: Arc<Board>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Board {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    alarms: BTreeMap<AlarmKey, Arc<dyn Alarmed>>,
    count: u64,
    sleep: Sleep,
    stopped: bool,
}

/// What the thread does: whoever sets an alarm need not wake it without need, and mostly there is
/// none, because alarms are far ahead and taken back before they ring.
#[derive(Default)]
enum Sleep {
    /// It will look at the alarms again.
    #[default]
    Awake,
    Until(Instant),
    ForEver,
}

impl Courier {
    /// Starts its thread.
    ///
    /// # Panics
    /// When the system can start no more threads.
    pub fn start() -> Self {
        let board = Arc::new(Board::default());
        let own = Arc::clone(&board);
        let thread = std::thread::Builder::new().name("courier".to_owned());
        let thread = thread.spawn(move || own.run()).expect("a thread can be started");
        Self { board, thread: Mutex::new(Some(thread)) }
    }

    /// Lets `whom` be called at `at`, or none if there are no alarms any more.
    pub fn arm(&self, at: Instant, whom: Arc<dyn Alarmed>) -> Option<AlarmKey> {
        let mut state = self.board.lock();
        if state.stopped {
            return None;
        }
        state.count += 1;
        let key = AlarmKey { at, count: state.count };
        state.alarms.insert(key, whom);
        let oversleeps = match state.sleep {
            Sleep::Awake => false,
            Sleep::Until(until) => at < until,
            Sleep::ForEver => true,
        };
        if oversleeps {
            state.sleep = Sleep::Awake;
            self.board.changed.notify_one();
        }
        Some(key)
    }

    /// Takes an alarm back, unless it is ringing.
    pub fn disarm(&self, key: AlarmKey) {
        let taken = self.board.lock().alarms.remove(&key);
        // Not while the lock is held: it may be the last that is left of a call.
        drop(taken);
    }

    /// Whether there are no alarms any more.
    pub fn is_stopped(&self) -> bool {
        self.board.lock().stopped
    }

    /// Lets all alarms ring at once, and takes no more. Waits for the thread to end, unless it is the
    /// caller.
    pub fn stop(&self) {
        self.board.stop();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread.filter(|it| it.thread().id() != std::thread::current().id()) {
            // If somebody's waker panicked, it has been told on that thread.
            let _ = thread.join();
        }
    }
}

impl Drop for Courier {
    fn drop(&mut self) {
        // No join: the last call may let go of it on its own thread.
        self.board.stop();
    }
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_one();
    }

    fn run(&self) {
        loop {
            let (due, stopped) = self.next_due();
            for whom in due {
                whom.alarm();
            }
            if stopped {
                return;
            }
        }
    }

    /// Sleeps until some alarms are due; the last ones, if it has been stopped.
    fn next_due(&self) -> (Vec<Arc<dyn Alarmed>>, bool) {
        let mut state = self.lock();
        loop {
            state.sleep = Sleep::Awake;
            if state.stopped {
                return (std::mem::take(&mut state.alarms).into_values().collect(), true);
            }
            let now = Instant::now();
            let mut due = Vec::new();
            while let Some(first) = state.alarms.first_entry().filter(|it| it.key().at <= now) {
                due.push(first.remove());
            }
            if !due.is_empty() {
                return (due, false);
            }
            state = match state.alarms.first_key_value().map(|(key, _)| key.at) {
                Some(until) => {
                    state.sleep = Sleep::Until(until);
                    let woken = self.changed.wait_timeout(state, until - now);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
                None => {
                    state.sleep = Sleep::ForEver;
                    self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};
    use std::time::Duration;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    struct Bell(Sender<&'static str>, &'static str);

    impl Alarmed for Bell {
        fn alarm(self: Arc<Self>) {
            let _ = self.0.send(self.1);
        }
    }

    /// Each rings when it is due, an earlier one set later first; one that is taken back does not.
    #[test]
    fn alarms_ring_in_their_order() {
        let courier = Courier::start();
        let (sender, rung) = channel();
        let bell = |name| Arc::new(Bell(sender.clone(), name));
        let now = Instant::now();
        let at = |millis| now + Duration::from_millis(millis);
        courier.arm(at(60), bell("second")).unwrap();
        let taken_back = courier.arm(at(40), bell("never")).unwrap();
        courier.arm(at(20), bell("first")).unwrap();
        courier.disarm(taken_back);
        assert_eq!(rung.recv_timeout(LONG), Ok("first"));
        assert!(Instant::now() >= at(20));
        assert_eq!(rung.recv_timeout(LONG), Ok("second"));
        assert!(Instant::now() >= at(60));
        assert!(rung.try_recv().is_err());
    }

    /// Nobody waits for an alarm that will not ring.
    #[test]
    fn all_ring_at_the_end_and_no_more_are_taken() {
        let courier = Courier::start();
        let (sender, rung) = channel();
        let bell = Arc::new(Bell(sender, "far off"));
        courier.arm(Instant::now() + 1000 * LONG, Arc::clone(&bell) as _).unwrap();
        courier.stop();
        assert_eq!(rung.try_recv(), Ok("far off"), "before it has stopped");
        assert!(courier.arm(Instant::now(), bell).is_none());
    }
}
