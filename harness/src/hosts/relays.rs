//! Links for where no network of one's own can be made: a relay of connections on loopback, one for
//! each node to each other.
//!
//! It carries bytes in order, as the connections at its ends do. So a cut is a silence: what is sent
//! waits here, and arrives when the cut ends; whoever calls meanwhile is connected, and hears nothing.
//! A delay holds a piece back, and with it all that comes after it on that connection. A relay of
//! connections can lose nothing and send nothing twice without breaking what connections promise, and
//! says so.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use cluster::{Cuts, LinkFault, Rng};

/// How often a thread that waits for a peer looks whether it is to end.
const GLANCE: Duration = Duration::from_millis(50);
/// How long a call to a node may take.
const CALL: Duration = Duration::from_secs(1);
/// How many connections one relay carries; it closes what comes beyond.
const CONNECTIONS_MAX: usize = 64;
/// How many bytes travel in one piece.
const PIECE: usize = 16 * 1_024;

/// A relay from each node to each other. All end with this.
pub(super) struct Relays {
    nodes: usize,
    /// Where node number `from` calls node number `to`, at `from * nodes + to`; itself it calls
    /// directly.
    addresses: Vec<Option<SocketAddr>>,
    rules: Arc<Rules>,
    threads: Vec<JoinHandle<()>>,
}

/// How links behave at present, for all relays.
struct Rules {
    now: Mutex<Now>,
    changed: Condvar,
}

struct Now {
    cuts: Cuts,
    links: LinkFault,
    rng: Rng,
    over: bool,
}

/// A direction.
#[derive(Clone, Copy)]
struct Way {
    from: usize,
    to: usize,
}

impl Way {
    fn back(self) -> Self {
        Self { from: self.to, to: self.from }
    }
}

impl Relays {
    /// Relays between nodes that listen there. `seed` decides what is held back, and for how long.
    pub(super) fn new(listening: &[SocketAddr], seed: u64) -> io::Result<Self> {
        let nodes = listening.len();
        let now = Now {
            cuts: Cuts::none(nodes),
            links: LinkFault::default(),
            rng: Rng::from_seed(seed),
            over: false,
        };
        let rules = Arc::new(Rules { now: Mutex::new(now), changed: Condvar::new() });
        let addresses = vec![None; nodes * nodes];
        let mut relays = Self { nodes, addresses, rules, threads: Vec::new() };
        for from in 0..nodes {
            for to in (0..nodes).filter(|&to| to != from) {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
                relays.addresses[from * nodes + to] = Some(listener.local_addr()?);
                let (rules, target) = (Arc::clone(&relays.rules), listening[to]);
                let relay = move || accept(&listener, target, Way { from, to }, &rules);
                relays.threads.push(std::thread::spawn(relay));
            }
        }
        Ok(relays)
    }

    /// Where the node at place `from` calls the one at `to`, if through a relay.
    pub(super) fn address(&self, from: usize, to: usize) -> Option<SocketAddr> {
        self.addresses[from * self.nodes + to]
    }

    /// Lets links behave so from now on.
    pub(super) fn rule(&self, cuts: &Cuts, links: &LinkFault) -> Result<(), &'static str> {
        if links.loss_ppm > 0 || links.duplicate_ppm > 0 {
            return Err("a relay of connections loses nothing and sends nothing twice");
        }
        let mut now = self.rules.lock();
        now.cuts = cuts.clone();
        now.links = *links;
        self.rules.changed.notify_all();
        Ok(())
    }
}

impl Drop for Relays {
    fn drop(&mut self) {
        self.rules.lock().over = true;
        self.rules.changed.notify_all();
        for address in self.addresses.iter().flatten() {
            // Whoever waits for a caller has one.
            let _ = TcpStream::connect_timeout(address, CALL);
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Rules {
    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn over(&self) -> bool {
        self.lock().over
    }

    /// Waits until nothing that `ways` need is cut. Whether it came to that.
    fn await_open(&self, ways: &[Way]) -> bool {
        let shut =
            |now: &mut Now| !now.over && ways.iter().any(|way| now.cuts.is_cut(way.from, way.to));
        let now = self.changed.wait_while(self.lock(), shut);
        !now.unwrap_or_else(PoisonError::into_inner).over
    }

    /// Waits as long as a piece must that goes `way`. Whether it may go at last.
    fn pass(&self, way: Way) -> bool {
        let mut now = self.lock();
        let LinkFault { delay_ppm, delay_max, .. } = now.links;
        let held = now.rng.chance(delay_ppm);
        let wait = if held { now.rng.span(Duration::ZERO..=delay_max) } else { Duration::ZERO };
        let until = Instant::now() + wait;
        while !now.over && Instant::now() < until {
            let left = until.saturating_duration_since(Instant::now());
            now = self.changed.wait_timeout(now, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(now);
        self.await_open(&[way])
    }
}

/// Takes calls for `target`, until all is over.
fn accept(listener: &TcpListener, target: SocketAddr, way: Way, rules: &Arc<Rules>) {
    let mut carried: Vec<JoinHandle<()>> = Vec::new();
    for caller in listener.incoming() {
        if rules.over() {
            break;
        }
        carried.retain(|connection| !connection.is_finished());
        let Ok(caller) = caller else { continue };
        if carried.len() < CONNECTIONS_MAX {
            let rules = Arc::clone(rules);
            carried.push(std::thread::spawn(move || carry(&caller, target, way, &rules)));
        }
    }
    for connection in carried {
        let _ = connection.join();
    }
}

/// Carries one connection, in both directions, until either end is closed.
fn carry(caller: &TcpStream, target: SocketAddr, way: Way, rules: &Rules) {
    // A connection takes a word from either side.
    if !rules.await_open(&[way, way.back()]) {
        return;
    }
    let Ok(called) = TcpStream::connect_timeout(&target, CALL) else { return };
    let pump = |from: &TcpStream, to: &TcpStream, way: Way| {
        // However it ends, it is over for both.
        let _ = pump(from, to, way, rules);
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    };
    std::thread::scope(|scope| {
        scope.spawn(|| pump(&called, caller, way.back()));
        pump(caller, &called, way);
    });
}

fn pump(mut from: &TcpStream, to: &TcpStream, way: Way, rules: &Rules) -> io::Result<()> {
    from.set_nodelay(true)?;
    from.set_read_timeout(Some(GLANCE))?;
    from.set_write_timeout(Some(GLANCE))?;
    let mut piece = vec![0; PIECE];
    while !rules.over() {
        match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(len) if rules.pass(way) => write(to, &piece[..len], rules)?,
            Ok(_) => return Ok(()),
            Err(error) if is_late(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn write(mut to: &TcpStream, mut bytes: &[u8], rules: &Rules) -> io::Result<()> {
    while !bytes.is_empty() && !rules.over() {
        match to.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(len) => bytes = &bytes[len..],
            Err(error) if is_late(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether it is only the glance that is over.
fn is_late(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), Interrupted | TimedOut | WouldBlock)
}
