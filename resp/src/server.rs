//! Who listens.

use std::io::{self, ErrorKind, Write};
use std::net::{SocketAddr, TcpListener};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mio::{Events, Interest, Poll, Registry, Token, Waker};

use crate::connection::{Connection, PIECE, Then};
use crate::seats::Seats;
use crate::{Reply, Store};

/// How much of everything there may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many connections; one more is told so and closed. The default is 1024.
    pub connections_max: usize,
    /// The longest request, in bytes. The default is 16 MiB.
    pub request_max: usize,
    /// The most words of a request. The default is 65 536.
    pub words_max: usize,
    /// How many threads serve all connections; fewer than 2 count as 2. One of them is always there for
    /// who connects, and for what needs no store; so often, less one, the store is at work at the same
    /// time, each time for all who have asked by then. The default is 4.
    pub threads: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections_max: 1024, request_max: 16 << 20, words_max: 1 << 16, threads: 4 }
    }
}

/// How long to wait when the system gives no more connections.
const DEAF: Duration = Duration::from_millis(50);
/// How many sockets are looked at together.
const EVENTS: usize = 1024;
/// One that is there for all, and one for the store.
const THREADS_MIN: usize = 2;
const LISTENER: Token = Token(usize::MAX);
const WAKER: Token = Token(usize::MAX - 1);

/// Serves clients of a [`Store`], by few threads. Dropped, it ends all connections, those for which the
/// store is at work when it has done.
pub struct Server {
    addr: SocketAddr,
    waker: Waker,
    door: Arc<dyn Door>,
}

/// A server, whatever it serves.
trait Door: Send + Sync {
    fn connections(&self) -> usize;
    fn close(&self, waker: &Waker);
}

/// What all threads of a server share.
struct Shared<S: Store> {
    store: S,
    limits: Limits,
    seats: Seats<Connection<S>>,
    /// Locked by who waits.
    lookout: Mutex<Lookout>,
    queue: Mutex<Queue<S>>,
    registry: Registry,
    closed: AtomicBool,
}

/// A connection that the store is needed for, and how far it was read.
type Asking<S> = (Token, Connection<S>, Then);

/// Who asks the store while it is at work as often as it may be.
struct Queue<S: Store> {
    at_work: usize,
    asking: Vec<Asking<S>>,
}

/// Who has it waits for all sockets.
struct Lookout {
    poll: Poll,
    events: Events,
    /// None once nobody is let in any more.
    listener: Option<mio::net::TcpListener>,
    /// Whether it is to be tried again soon to let somebody in.
    deaf: bool,
}

impl Server {
    /// Serves whoever connects to `listener`.
    ///
    /// # Errors
    /// When the system has no more threads or files, or says nothing of the listener. Nothing is left
    /// running.
    pub fn start<S: Store>(store: S, listener: TcpListener, limits: Limits) -> io::Result<Self> {
        let addr = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let mut listener = mio::net::TcpListener::from_std(listener);
        let poll = Poll::new()?;
        let registry = poll.registry().try_clone()?;
        registry.register(&mut listener, LISTENER, Interest::READABLE)?;
        let waker = Waker::new(&registry, WAKER)?;
        let (listener, events) = (Some(listener), Events::with_capacity(EVENTS));
        let lookout = Mutex::new(Lookout { poll, events, listener, deaf: false });
        let threads = limits.threads.max(THREADS_MIN);
        let (seats, closed) = (Seats::new(), AtomicBool::new(false));
        let queue = Mutex::new(Queue { at_work: 0, asking: Vec::new() });
        let shared = Arc::new(Shared { store, limits, seats, lookout, queue, registry, closed });
        // Made before its threads, so that its `Drop` ends them if not all of them can be started.
        let door: Arc<dyn Door> = Arc::clone(&shared) as Arc<dyn Door>;
        let server = Self { addr, waker, door };
        for number in 0..threads {
            let shared = Arc::clone(&shared);
            let name = format!("resp {number}");
            std::thread::Builder::new().name(name).spawn(move || shared.serve())?;
        }
        Ok(server)
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// How many clients are connected.
    pub fn connections(&self) -> usize {
        self.door.connections()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.door.close(&self.waker);
    }
}

impl<S: Store> Door for Shared<S> {
    fn connections(&self) -> usize {
        self.seats.taken()
    }

    fn close(&self, waker: &Waker) {
        self.closed.store(true, Ordering::SeqCst);
        self.seats.close();
        // Whoever waits gives way: if the system cannot wake it, with the next client.
        let _ = waker.wake();
        self.lookout().listener = None;
    }
}

impl<S: Store> Shared<S> {
    /// What each thread does.
    fn serve(&self) {
        let mut piece = vec![0; PIECE];
        let mut batch = Vec::new();
        while self.wait(&mut batch) {
            while !batch.is_empty() {
                let mut asking = self.receive(&mut batch, &mut piece);
                while let Some(all) = self.enter(asking) {
                    self.carry_out(all, &mut batch);
                    asking = Vec::new();
                }
            }
        }
    }

    /// Waits until there is something to do, and adds it to `batch`. False once all is over.
    fn wait(&self, batch: &mut Vec<(Token, Connection<S>)>) -> bool {
        let mut lookout = self.lookout();
        if self.closed.load(Ordering::SeqCst) {
            return false;
        }
        let rest = lookout.deaf.then_some(DEAF);
        let Lookout { poll, events, .. } = &mut *lookout;
        if poll.poll(events, rest).is_err() {
            // By a signal; nothing else can go wrong with it.
            return true;
        }
        let knocked = events.iter().any(|event| event.token() == LISTENER);
        self.seats.call(events.iter().map(|event| event.token()), batch);
        if knocked || lookout.deaf {
            lookout.deaf = !self.let_in(&lookout);
        }
        true
    }

    /// Lets all in who wait. False if the system gives no more.
    fn let_in(&self, lookout: &Lookout) -> bool {
        let Some(listener) = &lookout.listener else { return true };
        loop {
            match listener.accept() {
                // What fails then is that connection: it was given up.
                Ok((stream, _)) => drop(self.admit(stream)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // There are as many files as may be.
                Err(_) => return false,
            }
        }
    }

    fn admit(&self, stream: mio::net::TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut stream = Some(stream);
        let seated = self.seats.seat(self.limits.connections_max, |token| {
            let mut connection = Connection::new(stream.take().expect("it is seated once"));
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.registry.register(connection.stream(), token, interest)?;
            Ok(connection)
        });
        match (seated, stream) {
            (None, Some(mut stream)) => {
                let mut full = Vec::new();
                Reply::err("max number of clients reached").write(&mut full);
                stream.write_all(&full)
            }
            (seated, _) => seated.unwrap_or(Ok(())),
        }
    }

    /// Receives what those of `batch` ask, and answers what needs no store; returns whom it is needed
    /// for. What is left in `batch` then has more to do.
    fn receive(&self, batch: &mut Vec<(Token, Connection<S>)>, piece: &mut [u8]) -> Vec<Asking<S>> {
        let mut asking = Vec::with_capacity(batch.len());
        for (token, mut connection) in std::mem::take(batch) {
            match connection.receive(piece, &self.limits) {
                Then::End => self.seats.leave(token),
                received if connection.needs_store() => {
                    asking.push((token, connection, received));
                }
                received => self.answer((token, connection, received), batch),
            }
        }
        asking
    }

    /// Whom to have the store at work for now: these and all who queue, for whom somebody else will be if
    /// the store is at work as often as it may be. None if that is nobody.
    fn enter(&self, mut asking: Vec<Asking<S>>) -> Option<Vec<Asking<S>>> {
        let mut queue = self.queue();
        queue.asking.append(&mut asking);
        let at_work_max = self.limits.threads.max(THREADS_MIN) - 1;
        if queue.asking.is_empty() || queue.at_work == at_work_max {
            return None;
        }
        queue.at_work += 1;
        Some(std::mem::take(&mut queue.asking))
    }

    /// Has the store carry out what is asked, and answers. Who has more to do then is added to `batch`.
    fn carry_out(&self, mut asking: Vec<Asking<S>>, batch: &mut Vec<(Token, Connection<S>)>) {
        let mut turns: Vec<_> =
            asking.iter_mut().filter_map(|(_, connection, _)| connection.turn()).collect();
        let carried =
            turns.is_empty() || unharmed(|| self.store.carry_out_all(&mut turns)).is_some();
        drop(turns);
        for asking in asking {
            if carried {
                self.answer(asking, batch);
            } else {
                self.seats.leave(asking.0);
            }
        }
        // Whoever has queued by now is found by this thread, which looks again.
        self.queue().at_work -= 1;
    }

    /// Answers one who was received, and whom the store has served if it was needed.
    fn answer(
        &self,
        (token, mut connection, received): Asking<S>,
        batch: &mut Vec<(Token, Connection<S>)>,
    ) {
        let answered = unharmed(|| connection.answer(&self.store)).unwrap_or(Then::End);
        let left = match (answered, received) {
            (Then::End, _) => {
                self.seats.leave(token);
                None
            }
            (_, Then::GoOn) => Some(connection),
            (_, Then::Rest | Then::End) => self.seats.rest(token, connection),
        };
        batch.extend(left.map(|connection| (token, connection)));
    }

    fn queue(&self) -> MutexGuard<'_, Queue<S>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lookout(&self) -> MutexGuard<'_, Lookout> {
        self.lookout.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What `call` returns; none if it panics, of which it tells itself. Only for what is a store's doing: its
/// state is its own affair, and the connections that it was at work for end.
fn unharmed<T>(call: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(call)).ok()
}
