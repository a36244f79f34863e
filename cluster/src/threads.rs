//! The threads world: a thread a node, channels for links, real time, one process.
//!
//! The embedded default. Each node's thread sleeps until something arrives or its deadline comes,
//! drains its inbox, hands the node the whole batch, flushes once, and sends what came of it: so
//! requests that arrive together are replicated together, without any pattern's doing.
//!
//! A node's disk is a list in memory that outlives [`Fault::Crash`] and dies with the process. While
//! it is sound, what is written to it is durable at once, so a crash loses none of it. A
//! [`Fault::Disk`] makes it slow or stalled, in real time, and then it has something to lose.
//!
//! Faults act on the links and on the hosts, as in the simulated world, but which message they hit
//! is left to the scheduler: a run here cannot be replayed.
//!
//! Inboxes have no bound: who submits without waiting for completions, faster than a node handles
//! them, fills the memory.
//!
//! A node that panics is down for good: what it had been asked ends as [`NoAnswer::Lost`], the
//! others go on, and [`Threads::shutdown`] tells of it.

mod client;
mod host;
mod links;
mod port;

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};

pub use crate::Emitted;
use crate::{
    Cluster, Completion, CorruptRecords, Fault, InvalidConfig, Members, NoAnswer, Node, NodeId,
    NodeState, Port, RequestId, Rng, Timestamp, Unsupported,
};

pub use client::{CallError, Client};
use host::{Control, Host, Mail};
use links::Links;
use port::{CalledBack, Inboxes};

/// How a cluster of threads runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Decides the seeds that nodes boot with, and which messages link faults hit. The default is
    /// a different one each time.
    pub seed: u64,
    /// The most inputs handed to a node before it is flushed; at least 1.
    pub batch_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { seed: RandomState::new().hash_one(0), batch_max: 1024 }
    }
}

/// What all handles of one cluster share.
struct Shared<N: Node> {
    members: Members,
    inboxes: Vec<Sender<Mail<N>>>,
    start: Instant,
    seats: Mutex<Seats>,
    called_back: CalledBack,
}

/// Client numbers. There are few enough that those of clients that are gone must be used again.
#[derive(Default)]
struct Seats {
    used: u32,
    free: Vec<Seat>,
}

/// A client's number, and how many requests were made under it: those of an earlier client count,
/// so that no late answer to one can be taken for an answer to a later one.
#[derive(Clone, Copy)]
struct Seat {
    client: u32,
    requests: u64,
}

impl Seat {
    /// The next request's name; none if this seat has none left.
    fn next_request(&mut self) -> Option<RequestId> {
        self.requests = self.requests.checked_add(1).filter(|&it| it <= RequestId::COUNT_MAX)?;
        Some(RequestId::new(self.client, self.requests))
    }
}

impl<N: Node> Shared<N> {
    fn now(&self) -> Timestamp {
        Timestamp::ZERO + self.start.elapsed()
    }

    /// Sends a request on its way. False if nobody lives there.
    fn submit(&self, node: NodeId, id: RequestId, body: N::Request) -> bool {
        let Some(index) = self.members.index_of(node) else { return false };
        self.inboxes[index].send(Mail::Request { id, body, reply: None }).is_ok()
    }

    /// A new client's seat, known to every host before any of its requests.
    fn register(&self, completions: &Sender<Completion<N::Response>>) -> Seat {
        let seat = {
            let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
            seats.free.pop().unwrap_or_else(|| {
                let client = seats.used;
                assert!(client < CalledBack::FIRST_CLIENT, "too many clients at one time");
                seats.used += 1;
                Seat { client, requests: 0 }
            })
        };
        let client = seat.client;
        self.tell_all(|| Control::Register { client, completions: completions.clone() });
        seat
    }

    /// The client on `seat` is gone.
    fn unregister(&self, seat: Seat) {
        // Every host hears of it before the seat can be given to another.
        self.tell_all(|| Control::Unregister { client: seat.client });
        if seat.requests < RequestId::COUNT_MAX {
            self.seats.lock().unwrap_or_else(PoisonError::into_inner).free.push(seat);
        }
    }

    /// Whether the host was told; it is not once the cluster has shut down.
    fn tell(&self, index: usize, control: Control<N>) -> bool {
        self.inboxes[index].send(Mail::Control(control)).is_ok()
    }

    fn tell_all(&self, control: impl Fn() -> Control<N>) {
        for index in 0..self.inboxes.len() {
            self.tell(index, control());
        }
    }
}

/// A cluster of `N`, a thread a node. Dropping it stops and joins every thread.
pub struct Threads<N: Node> {
    shared: Arc<Shared<N>>,
    links: Arc<Links>,
    hosts: Vec<JoinHandle<()>>,
    seat: Seat,
    /// Kept, so that waiting for completions takes its time even when no node is left.
    sender: Sender<Completion<N::Response>>,
    completions: Receiver<Completion<N::Response>>,
    /// Completions made here, for requests that reached no host.
    refused: VecDeque<Completion<N::Response>>,
}

impl<N: Node> Threads<N> {
    /// Starts a cluster of `members`.
    ///
    /// # Errors
    /// What [`Node::validate`] says of the configuration.
    ///
    /// # Panics
    /// When the system can start no more threads; those started by then are stopped and joined.
    pub fn start(
        config: N::Config,
        members: Members,
        options: Options,
    ) -> Result<Self, InvalidConfig> {
        N::validate(&config, &members)?;
        if options.batch_max == 0 {
            return Err(InvalidConfig::new("batch_max", 0, "at least 1"));
        }
        let mut rng = Rng::from_seed(options.seed);
        let links = Arc::new(Links::new(members.count()));
        let (inboxes, outlets): (Vec<_>, Vec<_>) = members.iter().map(|_| unbounded()).unzip();
        let start = Instant::now();
        let seats = Mutex::new(Seats::default());
        let called_back = CalledBack::default();
        let shared = Arc::new(Shared { members, inboxes, start, seats, called_back });
        let (sender, completions) = unbounded();
        let seat = shared.register(&sender);
        let (hosts, refused) = (Vec::new(), VecDeque::new());
        // Made before its threads, so that its `Drop` stops them if not all of them can be started.
        let mut cluster = Self { shared, links, hosts, seat, sender, completions, refused };
        for ((index, id), inbox) in cluster.shared.members.iter().enumerate().zip(outlets) {
            let host = Host::new(host::Start {
                id,
                index,
                config: config.clone(),
                members: cluster.shared.members.clone(),
                start,
                batch_max: options.batch_max,
                inbox,
                peers: cluster.shared.inboxes.clone(),
                links: Arc::clone(&cluster.links),
                rng: rng.fork(u64::from(id.get())),
            });
            let thread = std::thread::Builder::new()
                .name(format!("node {id}"))
                .spawn(move || host.run())
                .expect("a thread can be started");
            cluster.hosts.push(thread);
        }
        Ok(cluster)
    }

    /// A new client of this cluster, for any thread.
    pub fn client(&self) -> Client<N> {
        Client::new(Arc::clone(&self.shared))
    }

    /// A way for clients that keep many requests under way, from any number of threads: the nodes'
    /// own threads call back. It does not keep the cluster alive.
    pub fn port(&self) -> Arc<dyn Port<N>> {
        Arc::new(Inboxes { shared: Arc::clone(&self.shared) })
    }

    /// All that nodes tell their application from now on, as it happens.
    pub fn subscribe(&self) -> Receiver<Emitted<N::Event>> {
        let (sender, receiver) = unbounded();
        self.shared.tell_all(|| Control::Subscribe(sender.clone()));
        receiver
    }

    /// What node `id` counts, by name; none if it is paused, down, or no member.
    pub fn gauges(&self, id: NodeId) -> Option<Vec<(&'static str, u64)>> {
        self.question(id, Control::Gauges).flatten()
    }

    /// Why `id` refused to boot from its disk, if it did.
    pub fn refusal(&self, id: NodeId) -> Option<CorruptRecords> {
        self.question(id, Control::Refusal).flatten()
    }

    /// Asks the host of `id`, and waits for what it says: none if there is no such host, or its
    /// node has panicked.
    fn question<T>(&self, id: NodeId, control: impl FnOnce(Sender<T>) -> Control<N>) -> Option<T> {
        let index = self.shared.members.index_of(id)?;
        let (reply, answer) = crossbeam_channel::bounded(1);
        self.shared.tell(index, control(reply));
        answer.recv().ok()
    }

    /// Stops every node and joins its thread. Requests not answered by then end as
    /// [`NoAnswer::Lost`] if a node had taken them, and as [`NoAnswer::Unreachable`] if none had;
    /// one that another thread sends at that very moment may stay without any end, until its own
    /// deadline.
    ///
    /// # Panics
    /// When a node panicked, with what it said.
    pub fn shutdown(mut self) {
        if let Some(panic) = self.stop().into_iter().next() {
            std::panic::resume_unwind(panic);
        }
    }

    fn stop(&mut self) -> Vec<Box<dyn std::any::Any + Send>> {
        self.shared.tell_all(|| Control::Stop);
        self.hosts.drain(..).filter_map(|host| host.join().err()).collect()
    }

    fn index(&self, node: NodeId) -> usize {
        self.shared.members.index_of(node).expect("checked by inject")
    }
}

impl<N: Node> Drop for Threads<N> {
    fn drop(&mut self) {
        // A node's panic is told by `shutdown`; to panic here could abort the process.
        self.stop();
    }
}

impl<N: Node> Cluster for Threads<N> {
    type Request = N::Request;
    type Response = N::Response;

    fn members(&self) -> &[NodeId] {
        self.shared.members.as_slice()
    }

    fn now(&self) -> Timestamp {
        self.shared.now()
    }

    fn submit(&mut self, node: NodeId, request: N::Request) -> RequestId {
        let id = self.seat.next_request().unwrap_or_else(|| {
            self.seat = self.shared.register(&self.sender);
            self.seat.next_request().expect("a new seat has requests left")
        });
        if !self.shared.submit(node, id, request) {
            let outcome = Err(NoAnswer::Unreachable);
            self.refused.push_back(Completion { request: id, at: self.now(), outcome });
        }
        id
    }

    fn poll(&mut self, until: Timestamp) -> Option<Completion<N::Response>> {
        if let Some(refused) = self.refused.pop_front() {
            return Some(refused);
        }
        let until = after(self.shared.start, until.since(Timestamp::ZERO));
        self.completions.recv_deadline(until).ok()
    }

    fn state(&mut self, node: NodeId) -> NodeState {
        self.question(node, Control::State).unwrap_or(NodeState::Down)
    }

    fn inject(&mut self, fault: &Fault) -> Result<(), Unsupported> {
        fault.check(&self.shared.members)?;
        match fault {
            Fault::Crash { node } => {
                self.shared.tell(self.index(*node), Control::Crash { power_loss: false });
            }
            Fault::Restart { node } => {
                self.shared.tell(self.index(*node), Control::Restart);
            }
            Fault::Pause { node } => {
                self.shared.tell(self.index(*node), Control::Pause);
            }
            Fault::Resume { node } => {
                self.shared.tell(self.index(*node), Control::Resume);
            }
            Fault::PowerLoss => self.shared.tell_all(|| Control::Crash { power_loss: true }),
            Fault::Clock { node, clock } => {
                self.shared.tell(self.index(*node), Control::Clock(*clock));
            }
            Fault::Partition { .. } | Fault::Cut { .. } | Fault::Heal | Fault::Links(_) => {
                self.links.apply(fault, |node| self.shared.members.index_of(node));
            }
            Fault::CrashAfter { node, effects } => {
                self.shared.tell(self.index(*node), Control::CrashAfter(*effects));
            }
            Fault::Disk { node, disk } => {
                self.shared.tell(self.index(*node), Control::Disk(*disk));
            }
            Fault::Rot { node, at_ppm, damage } => {
                let control = Control::Rot { at_ppm: *at_ppm, damage: *damage };
                self.shared.tell(self.index(*node), control);
            }
            Fault::Wipe { node } => {
                self.shared.tell(self.index(*node), Control::Wipe);
            }
        }
        Ok(())
    }
}

/// `span` after `start`, or a year after, if the system's clock cannot hold that.
fn after(start: Instant, span: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
    start.checked_add(span).unwrap_or_else(|| start + YEAR)
}

#[cfg(test)]
mod tests {
    use super::{RequestId, Seat};

    /// A client that has used up its requests takes another seat; nothing overflows.
    #[test]
    fn a_seat_has_so_many_requests_and_no_more() {
        let mut seat = Seat { client: 7, requests: RequestId::COUNT_MAX - 1 };
        let last = seat.next_request().expect("one is left");
        assert_eq!((last.client(), last.count()), (7, RequestId::COUNT_MAX));
        assert_eq!(seat.next_request(), None);
        assert_eq!(seat.next_request(), None);
    }
}
