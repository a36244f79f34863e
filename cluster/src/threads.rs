//! The threads world: a thread a node, channels for links, real time, one process.
//!
//! The embedded default. Each node's thread sleeps until something arrives or its deadline comes,
//! drains its inbox, hands the node the whole batch, flushes once, and sends what came of it: so
//! requests that arrive together are replicated together, without any pattern's doing.
//!
//! A node's disk is a list in memory ([`Threads::start`]) that outlives [`Fault::Crash`] and dies with
//! the process, or a [`Store`] ([`Threads::start_on`]), a journal in a directory say.
//!
//! In memory, while the disk is sound, what is written to it is durable at once, so a crash loses none
//! of it. A [`Fault::Disk`] makes it slow or stalled, in real time, and then it has something to lose.
//!
//! On a store, a batch is synced once, by the node's own thread, after all has left that waits for
//! nothing; what arrives meanwhile is the next batch. So a store that hangs hangs its node: it neither
//! sends heartbeats nor takes a part in anything, and the others go on without it. A store that fails
//! is the end of its node, until it is restarted: see [`Threads::refusal`].
//!
//! Faults act on the links and on the hosts, as in the simulated world, but which message they hit
//! is left to the scheduler: a run here cannot be replayed.
//!
//! Inboxes have no bound: who submits without waiting for completions, faster than a node handles
//! them, fills the memory.
//!
//! A node that panics is down for good: what it had been asked ends as [`NoAnswer::Lost`], the
//! others go on, and [`Threads::shutdown`] tells of it.

mod answers;
mod client;
pub(crate) mod host;
mod links;
pub(crate) mod medium;
pub(crate) mod outlet;
pub(crate) mod port;
mod way;

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, unbounded};

pub use crate::Emitted;
use crate::call::Caller;
use crate::store::{OpenError, Opened, Store, StoreError};
use crate::time::after;
use crate::{
    Cluster, Completion, CorruptRecords, Fault, InvalidConfig, Members, NoAnswer, Node, NodeId,
    NodeState, Port, RequestId, Rng, Timestamp, Unsupported,
};

pub use crate::call::CallError;
use answers::Answers;
pub use client::Client;
use host::{Control, Host, Mail};
use links::Links;
use medium::{Medium, Opener};
use port::{CalledBack, Inboxes};

/// How a cluster of threads runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Decides the seeds that nodes boot with, and which messages link faults hit. The default is
    /// a different one each time.
    pub seed: u64,
    /// The most inputs handed to a node before it is flushed; at least 1.
    pub batch_max: usize,
    /// How often a thread that has nothing to do, a node's or a waiting client's, looks for more and
    /// lets other threads run before it sleeps. More of it makes lone calls faster, as long as there
    /// are idle cores, and costs them some microseconds of work after each burst; zero sleeps at once.
    pub spins: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { seed: RandomState::new().hash_one(0), batch_max: 1024, spins: 64 }
    }
}

/// Why a node is down that nobody stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It refused to boot: its records contradict each other, or are damaged.
    #[error(transparent)]
    Records(CorruptRecords),
    /// It was not booted: its store does not open.
    #[error(transparent)]
    Closed(OpenError),
    /// It died: its disk failed.
    #[error(transparent)]
    Failed(StoreError),
}

/// What all handles of one cluster share.
struct Shared<N: Node> {
    members: Members,
    inboxes: Vec<Sender<Mail<N>>>,
    start: Instant,
    spins: u32,
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

    /// The same for several, whose names follow `first`.
    fn submit_all(&self, node: NodeId, first: RequestId, bodies: Vec<N::Request>) -> bool {
        let Some(index) = self.members.index_of(node) else { return false };
        self.inboxes[index].send(Mail::Requests { first, bodies }).is_ok()
    }

    /// A new client's seat, known to every host before any of its requests.
    fn register(&self, completions: &Sender<Answers<N::Response>>) -> Seat {
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
    /// Whether nodes write to stores, which cannot be told to misbehave.
    on_stores: bool,
    hosts: Vec<JoinHandle<()>>,
    seat: Seat,
    /// Kept, so that waiting for completions takes its time even when no node is left.
    sender: Sender<Answers<N::Response>>,
    completions: Receiver<Answers<N::Response>>,
    /// Completions that are here, and not yet polled.
    here: VecDeque<Completion<N::Response>>,
}

impl<N: Node> Threads<N> {
    /// Starts a cluster of `members` whose disks are memory.
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
        Self::launch(config, members, options, None)
    }

    /// Starts a cluster of `members`, each of which keeps its records in the store that `open` opens
    /// for it, on the node's own thread, whenever it boots. With
    /// [`journals_in(path)`](crate::store::journals_in) the cluster is durable in that directory: what
    /// it has answered is there when it is started again, whatever became of the process.
    ///
    /// A store that does not open keeps its node down: [`Threads::refusal`] says why.
    ///
    /// # Errors
    /// As [`Threads::start`].
    ///
    /// # Panics
    /// As [`Threads::start`].
    pub fn start_on<S: Store<N::Record> + 'static>(
        config: N::Config,
        members: Members,
        options: Options,
        open: impl Fn(NodeId) -> Opened<S, N::Record> + Send + Sync + 'static,
    ) -> Result<Self, InvalidConfig> {
        let opener = move |node| {
            let (store, records) = open(node)?;
            Ok((Box::new(store) as Box<dyn Store<N::Record>>, records))
        };
        Self::launch(config, members, options, Some(Arc::new(opener)))
    }

    fn launch(
        config: N::Config,
        members: Members,
        options: Options,
        opener: Option<Opener<N::Record>>,
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
        let spins = options.spins;
        let shared = Arc::new(Shared { members, inboxes, start, spins, seats, called_back });
        let (sender, completions) = unbounded();
        let seat = shared.register(&sender);
        let on_stores = opener.is_some();
        let (hosts, here) = (Vec::new(), VecDeque::new());
        // Made before its threads, so that its `Drop` stops them if not all of them can be started.
        let mut cluster = Self { shared, links, on_stores, hosts, seat, sender, completions, here };
        for ((index, id), inbox) in cluster.shared.members.iter().enumerate().zip(outlets) {
            let mut rng = rng.fork(u64::from(id.get()));
            let outlet = outlet::Inboxes {
                from: id,
                index,
                members: cluster.shared.members.clone(),
                peers: cluster.shared.inboxes.clone(),
                links: Arc::clone(&cluster.links),
                rng: rng.fork(0),
            };
            let host = Host::new(host::Start {
                id,
                config: config.clone(),
                members: cluster.shared.members.clone(),
                start,
                batch_max: options.batch_max,
                spins: options.spins,
                medium: opener.clone().map_or_else(Medium::memory, Medium::store),
                inbox,
                outlet: Box::new(outlet),
                rng,
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

    /// A new one who asks, for any number of threads and calls: what the patterns' own clients are made
    /// over.
    ///
    /// # Panics
    /// When the system can start no more threads.
    pub fn caller(&self) -> Caller<N> {
        Caller::over(self.port())
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

    /// Why `id` is down, or was until it was started again, though nobody stopped it: why it did not
    /// boot from its disk, or how its disk failed.
    pub fn refusal(&self, id: NodeId) -> Option<Refusal> {
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

    /// As [`submit`](Cluster::submit) for each of `requests`, in their order, at once, which costs less
    /// than one by one: they reach the node together, and are handed to it as one batch, larger than
    /// [`Options::batch_max`] if need be. Returns their names.
    pub fn submit_all(
        &mut self,
        node: NodeId,
        requests: impl IntoIterator<Item = N::Request>,
    ) -> Vec<RequestId> {
        let mut requests = requests.into_iter();
        let mut names = Vec::new();
        while let Some(body) = requests.next() {
            let first = self.next_request();
            let left = usize::try_from(RequestId::COUNT_MAX - first.count()).unwrap_or(usize::MAX);
            let bodies: Vec<_> =
                std::iter::once(body).chain(requests.by_ref().take(left)).collect();
            self.seat.requests += bodies.len() as u64 - 1;
            let batch = names.len()..names.len() + bodies.len();
            names.extend(first.following().take(bodies.len()));
            if !self.shared.submit_all(node, first, bodies) {
                names[batch].iter().for_each(|&id| self.refuse(id));
            }
        }
        names
    }

    fn next_request(&mut self) -> RequestId {
        self.seat.next_request().unwrap_or_else(|| {
            self.seat = self.shared.register(&self.sender);
            self.seat.next_request().expect("a new seat has requests left")
        })
    }

    /// Nobody takes that request.
    fn refuse(&mut self, request: RequestId) {
        let outcome = Err(NoAnswer::Unreachable);
        self.here.push_back(Completion { request, at: self.now(), outcome });
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
        let id = self.next_request();
        if !self.shared.submit(node, id, request) {
            self.refuse(id);
        }
        id
    }

    fn poll(&mut self, until: Timestamp) -> Option<Completion<N::Response>> {
        if self.here.is_empty() {
            let until = after(self.shared.start, until.since(Timestamp::ZERO));
            let answers = answers::next(&self.completions, self.shared.spins, Some(until)).ok()?;
            self.here.extend(answers.completions());
        }
        self.here.pop_front()
    }

    fn state(&mut self, node: NodeId) -> NodeState {
        self.question(node, Control::State).unwrap_or(NodeState::Down)
    }

    fn inject(&mut self, fault: &Fault) -> Result<(), Unsupported> {
        fault.check(&self.shared.members)?;
        if self.on_stores
            && let Some(reason) = needs_memory(fault)
        {
            return Err(Unsupported::new(fault, reason));
        }
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

/// Why a node on a store cannot take `fault`, if it cannot.
fn needs_memory(fault: &Fault) -> Option<&'static str> {
    match fault {
        Fault::PowerLoss => Some("the power of a real disk stays on; crash the nodes"),
        Fault::Disk { .. } => Some("a real disk cannot be told to misbehave"),
        Fault::Rot { .. } => Some("what a store has written is its own to change"),
        Fault::Wipe { .. } => Some("what a store has written is its own to remove"),
        Fault::Crash { .. }
        | Fault::Restart { .. }
        | Fault::Pause { .. }
        | Fault::Resume { .. }
        | Fault::Partition { .. }
        | Fault::Cut { .. }
        | Fault::Heal
        | Fault::Links(_)
        | Fault::Clock { .. }
        | Fault::CrashAfter { .. } => None,
    }
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
