//! The threads world: a thread a node, channels for links, real time, one process.
//!
//! The embedded default. Each node's thread sleeps until something arrives or its deadline comes,
//! drains its inbox, hands the node the whole batch, flushes once, and sends what came of it: so
//! requests that arrive together are replicated together, without any pattern's doing.
//!
//! A node's disk is a list in memory that outlives [`Fault::Crash`] and dies with the process.
//! Faults act on the links and on the hosts, as in the simulated world, but which message they hit
//! is left to the scheduler: a run here cannot be replayed.

mod client;
mod host;
mod links;

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::sim::Emitted;
use crate::{
    Cluster, Completion, Fault, InvalidConfig, Members, NoAnswer, Node, NodeId, NodeState,
    RequestId, Rng, Timestamp, Unsupported,
};

pub use client::{CallError, Client};
use host::{Control, Host, Mail};
use links::Links;

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
    client_count: AtomicU32,
}

impl<N: Node> Shared<N> {
    fn now(&self) -> Timestamp {
        Timestamp::ZERO + self.start.elapsed()
    }

    /// Sends a request on its way. False if nobody lives there.
    fn submit(&self, node: NodeId, id: RequestId, body: N::Request) -> bool {
        let Some(index) = self.members.index_of(node) else { return false };
        self.inboxes[index].send(Mail::Request { id, body }).is_ok()
    }

    /// A new client's number, known to every host before any of its requests.
    fn register(&self, completions: &Sender<Completion<N::Response>>) -> u32 {
        let index = self.client_count.fetch_add(1, Ordering::Relaxed);
        self.tell_all(|| Control::Register { client: index, completions: completions.clone() });
        index
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
    client: u32,
    request_count: u64,
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
    /// When the system can start no more threads.
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
        let hosts = members
            .iter()
            .zip(outlets)
            .enumerate()
            .map(|(index, (id, inbox))| {
                let host = Host::new(host::Start {
                    id,
                    index,
                    config: config.clone(),
                    members: members.clone(),
                    start,
                    batch_max: options.batch_max,
                    inbox,
                    peers: inboxes.clone(),
                    links: Arc::clone(&links),
                    rng: rng.fork(u64::from(id.get())),
                });
                std::thread::Builder::new()
                    .name(format!("node {id}"))
                    .spawn(move || host.run())
                    .expect("a thread can be started")
            })
            .collect();
        let shared = Arc::new(Shared { members, inboxes, start, client_count: AtomicU32::new(0) });
        let (sender, completions) = unbounded();
        let client = shared.register(&sender);
        let (request_count, refused) = (0, VecDeque::new());
        Ok(Self { shared, links, hosts, client, request_count, completions, refused })
    }

    /// A new client of this cluster, for any thread.
    pub fn client(&self) -> Client<N> {
        Client::new(Arc::clone(&self.shared))
    }

    /// All that nodes tell their application from now on, as it happens.
    pub fn subscribe(&self) -> Receiver<Emitted<N::Event>> {
        let (sender, receiver) = unbounded();
        self.shared.tell_all(|| Control::Subscribe(sender.clone()));
        receiver
    }

    /// What node `id` counts, by name; none if it is paused, down, or no member.
    pub fn gauges(&self, id: NodeId) -> Option<Vec<(&'static str, u64)>> {
        let (reply, answer) = crossbeam_channel::bounded(1);
        let index = self.shared.members.index_of(id)?;
        self.shared.tell(index, Control::Gauges(reply));
        answer.recv().ok().flatten()
    }

    /// Stops every node and joins its thread. Requests not answered by now end as
    /// [`NoAnswer::Lost`].
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
        self.request_count += 1;
        let id = RequestId::new(self.client, self.request_count);
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
        let until = self.shared.start + until.since(Timestamp::ZERO).min(FAR);
        self.completions.recv_deadline(until).ok()
    }

    fn state(&mut self, node: NodeId) -> NodeState {
        let Some(index) = self.shared.members.index_of(node) else { return NodeState::Down };
        let (reply, answer) = crossbeam_channel::bounded(1);
        self.shared.tell(index, Control::State(reply));
        answer.recv().unwrap_or(NodeState::Down)
    }

    fn inject(&mut self, fault: &Fault) -> Result<(), Unsupported> {
        fault.check(&self.shared.members)?;
        match fault {
            Fault::Crash { node } => {
                self.shared.tell(self.index(*node), Control::Crash);
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
            Fault::PowerLoss => self.shared.tell_all(|| Control::Crash),
            Fault::Clock { node, clock } => {
                self.shared.tell(self.index(*node), Control::Clock(*clock));
            }
            Fault::Partition { .. } | Fault::Cut { .. } | Fault::Heal | Fault::Links(_) => {
                self.links.apply(fault, |node| self.shared.members.index_of(node));
            }
        }
        Ok(())
    }
}

/// `Instant` cannot hold every [`Timestamp`]; nothing waits longer than a year.
const FAR: Duration = Duration::from_secs(365 * 24 * 3600);
