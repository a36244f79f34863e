//! Who listens.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::{Reply, Store, connection};

/// How much of everything there may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many connections; one more is told so and closed. Each has a thread. The default is 1024.
    pub connections_max: usize,
    /// The longest request, in bytes. The default is 16 MiB.
    pub request_max: usize,
    /// The most words of a request. The default is 65 536.
    pub words_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections_max: 1024, request_max: 16 << 20, words_max: 1 << 16 }
    }
}

/// How long to wait when the system gives no more connections.
const DEAF: Duration = Duration::from_millis(50);

/// Serves clients of a [`Store`], a thread each and one that listens. Dropped, it ends all connections.
pub struct Server {
    addr: SocketAddr,
    clients: Arc<Clients>,
    listening: Option<JoinHandle<()>>,
}

/// The connections that are open.
#[derive(Default)]
struct Clients {
    closed: AtomicBool,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    last: u64,
    streams: BTreeMap<u64, TcpStream>,
}

impl Clients {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Server {
    /// Serves whoever connects to `listener`.
    ///
    /// # Errors
    /// When the system has no more threads, or says nothing of the listener.
    pub fn start<S: Store>(store: S, listener: TcpListener, limits: Limits) -> io::Result<Self> {
        let addr = listener.local_addr()?;
        let clients = Arc::new(Clients::default());
        let (store, known) = (Arc::new(store), Arc::clone(&clients));
        let listen = move || listen(&listener, &store, &known, &Arc::new(limits));
        let thread = std::thread::Builder::new().name("resp".to_owned()).spawn(listen)?;
        Ok(Self { addr, clients, listening: Some(thread) })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// How many clients are connected.
    pub fn connections(&self) -> usize {
        self.clients.open().streams.len()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.clients.closed.store(true, Ordering::Release);
        // The thread that listens looks whenever somebody connects.
        drop(TcpStream::connect(self.addr));
        if let Some(listening) = self.listening.take() {
            // It panics for no reason but a bug, of which it has told already.
            let _ = listening.join();
        }
        for stream in self.clients.open().streams.values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn listen<S: Store>(
    listener: &TcpListener,
    store: &Arc<S>,
    clients: &Arc<Clients>,
    limits: &Arc<Limits>,
) {
    for stream in listener.incoming() {
        if clients.closed.load(Ordering::Acquire) {
            return;
        }
        // What fails here is that connection: it was given up, or there are as many files as may be.
        let Ok(stream) = stream else {
            std::thread::sleep(DEAF);
            continue;
        };
        let _ = admit(stream, store, clients, limits);
    }
}

/// Gives a client a thread of its own.
fn admit<S: Store>(
    mut stream: TcpStream,
    store: &Arc<S>,
    clients: &Arc<Clients>,
    limits: &Arc<Limits>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let kept = stream.try_clone()?;
    let number = {
        let mut open = clients.open();
        if open.streams.len() >= limits.connections_max {
            drop(open);
            let mut full = Vec::new();
            Reply::err("max number of clients reached").write(&mut full);
            return stream.write_all(&full);
        }
        open.last += 1;
        let number = open.last;
        open.streams.insert(number, kept);
        number
    };
    let place = Place { clients: Arc::clone(clients), number };
    let (store, limits) = (Arc::clone(store), Arc::clone(limits));
    let serve = move || {
        let _place = place;
        // Its end is its client's doing, or that of a network between them.
        let _ = connection::serve(stream, &*store, &limits);
    };
    std::thread::Builder::new().name(format!("resp client {number}")).spawn(serve).map(drop)
}

/// One client's place among those that are connected; given up when it is dropped, by a panic too.
struct Place {
    clients: Arc<Clients>,
    number: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(stream) = self.clients.open().streams.remove(&self.number) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}
