//! The thread that waits for sockets.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use mio::event::Event;
use mio::{Events, Poll, Registry, Token, Waker};

/// The token of wake-ups; all others are the station's.
const WAKE: Token = Token(usize::MAX);
/// How much is read from one socket at a time, in bytes.
const ROOM: usize = 1 << 16;
const EVENTS: usize = 1024;

/// What happens on the thread: sockets become ready, and time passes.
pub(super) trait Station: Send + 'static {
    /// Something may be read from, or written to, the socket of the event's token.
    fn ready(&mut self, desk: &mut Desk<'_>, event: &Event);

    /// Does what is due, after every round of events. When to come back at the latest.
    fn attend(&mut self, desk: &mut Desk<'_>) -> Option<Instant>;

    /// The thread ends: closes everything.
    fn close(&mut self);
}

/// What the thread lends its station.
pub(super) struct Desk<'a> {
    pub(super) registry: &'a Registry,
    /// Room for what is read.
    pub(super) room: &'a mut [u8],
    /// The time of this round.
    pub(super) now: Instant,
}

/// The thread, as others see it. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Reactor {
    caller: Caller,
    thread: Option<JoinHandle<()>>,
}

/// Wakes the thread.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    waker: Arc<Waker>,
    stopped: Arc<AtomicBool>,
}

impl Caller {
    /// Lets the station attend to what is due.
    pub(super) fn wake(&self) {
        // If it fails, the thread has ended, or wakes by its next event.
        let _ = self.waker.wake();
    }
}

/// A thread to be.
pub(super) struct Prepared {
    poll: Poll,
    caller: Caller,
}

impl Prepared {
    pub(super) fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        Ok(Self { poll, caller: Caller { waker, stopped: Arc::default() } })
    }

    pub(super) fn caller(&self) -> Caller {
        self.caller.clone()
    }

    pub(super) fn registry(&self) -> &Registry {
        self.poll.registry()
    }

    /// Starts it.
    pub(super) fn start(self, name: &str, station: impl Station) -> io::Result<Reactor> {
        let Self { poll, caller } = self;
        let stopped = Arc::clone(&caller.stopped);
        let thread = std::thread::Builder::new().name(name.to_owned());
        let thread = thread.spawn(move || run(poll, station, &stopped))?;
        Ok(Reactor { caller, thread: Some(thread) })
    }
}

fn run(mut poll: Poll, mut station: impl Station, stopped: &AtomicBool) {
    let mut events = Events::with_capacity(EVENTS);
    let mut room = vec![0; ROOM];
    while !stopped.load(Ordering::Acquire) {
        let mut desk = Desk { registry: poll.registry(), room: &mut room, now: Instant::now() };
        for event in events.iter().filter(|event| event.token() != WAKE) {
            station.ready(&mut desk, event);
        }
        let next = station.attend(&mut desk);
        let left = next.map(|next| next.saturating_duration_since(Instant::now()));
        match poll.poll(&mut events, left) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => events.clear(),
            // Nobody can be heard any more, and none of this comes from outside.
            Err(error) => panic!("the system does not say which sockets are ready: {error}"),
        }
    }
    station.close();
}

impl Reactor {
    /// Ends it, and waits for that, unless it is the caller. What it panicked with, if it did.
    pub(super) fn stop(&mut self) -> std::thread::Result<()> {
        self.caller.stopped.store(true, Ordering::Release);
        self.caller.wake();
        let own = std::thread::current().id();
        let thread = self.thread.take().filter(|thread| thread.thread().id() != own);
        thread.map_or(Ok(()), JoinHandle::join)
    }
}

impl Drop for Reactor {
    fn drop(&mut self) {
        // To panic here could abort the process.
        let _ = self.stop();
    }
}
