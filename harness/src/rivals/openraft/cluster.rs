//! The cluster: a thread with a runtime a node, and what is done to them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ::cluster::{
    ClockFault, Completion, Epoch, Fault, InvalidConfig, Members, NoAnswer, NodeId, NodeState,
    RequestId, Rng, Role, Standing, Timestamp, Unsupported,
};
use ::openraft::error::{CheckIsLeaderError, ClientWriteError, RaftError};
use ::openraft::{Config, EmptyNode, Raft, ServerState, SnapshotPolicy};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::implementation::Setting;
use crate::rivals::registers::{Ask, Write, ask};
use crate::subject::Subject;
use crate::vocabulary::{Answer, Op, Outcome, Refusal};

use super::Types;
use super::network::{Links, Router};
use super::store::{Disk, Life, LogStore, Machine};

/// A running cluster of openraft.
pub struct Cluster {
    members: Members,
    config: Arc<Config>,
    router: Router,
    hosts: BTreeMap<NodeId, Host>,
    start: Instant,
    requests: u64,
    sender: Sender<Done>,
    done: Receiver<Done>,
    /// Completions made here, for requests that nobody will answer.
    refused: VecDeque<Completion<Answer>>,
}

/// The machine that a node runs on.
#[derive(Default)]
struct Host {
    disk: Disk,
    process: Option<Process>,
    /// Requests that the process has taken and not answered.
    asked: BTreeSet<RequestId>,
}

/// A node that is up.
struct Process {
    life: Life,
    raft: Raft<Types>,
    orders: UnboundedSender<Order>,
    thread: JoinHandle<()>,
    /// While it stands still: what it waits for, which is that this is dropped.
    paused: Option<Sender<()>>,
}

/// What a node's thread is told.
enum Order {
    /// A client asks.
    Serve(RequestId, Ask),
    /// Be the first to know these members.
    Found(BTreeMap<u64, EmptyNode>),
    /// Stand still until the other end is dropped.
    StandStill(Receiver<()>),
    /// Die.
    Stop,
}

/// A request that a node has answered.
struct Done {
    node: NodeId,
    completion: Completion<Answer>,
}

/// What a node's thread is made of.
struct Start {
    id: NodeId,
    config: Arc<Config>,
    links: Links,
    log: LogStore,
    machine: Machine,
    orders: UnboundedReceiver<Order>,
    done: Sender<Done>,
    start: Instant,
}

impl Cluster {
    /// A cluster as `setting` says.
    ///
    /// # Errors
    /// [`InvalidConfig`] when there are no nodes, or the world is not one of threads.
    ///
    /// # Panics
    /// When the system can start no more threads.
    pub fn start(setting: &Setting) -> Result<Self, InvalidConfig> {
        if setting.world != crate::implementation::World::Threads {
            return Err(InvalidConfig::new("world", setting.world, "threads"));
        }
        let members = Members::first(setting.nodes)?;
        // The log is kept whole, as by the other implementations under test.
        let config = Config { snapshot_policy: SnapshotPolicy::Never, ..Config::default() };
        let config = config
            .validate()
            .map_err(|error| InvalidConfig::new("config", error, "what the library accepts"))?;
        let rng = Rng::from_seed(setting.sim.seed);
        let (sender, done) = channel();
        let mut cluster = Self {
            config: Arc::new(config),
            router: Router::new(members.as_slice().to_vec(), rng),
            hosts: members.iter().map(|id| (id, Host::default())).collect(),
            members,
            start: Instant::now(),
            requests: 0,
            sender,
            done,
            refused: VecDeque::new(),
        };
        for id in cluster.members.as_slice().to_vec() {
            cluster.boot(id);
        }
        let members = cluster.members.iter().map(|id| (name(id), EmptyNode {})).collect();
        let founder = cluster.hosts.values().next().and_then(|host| host.process.as_ref());
        founder.expect("just started").tell(Order::Found(members));
        Ok(cluster)
    }

    fn boot(&mut self, id: NodeId) {
        // One that has stopped by itself, because its disk was full, is dead without having been
        // killed.
        let stopped = |process: &mut Process| process.state() == NodeState::Down;
        if self.process(id).is_some_and(stopped) {
            self.crash(id);
        }
        let Some(host) = self.hosts.get_mut(&id).filter(|host| host.process.is_none()) else {
            return;
        };
        let life = Life::default();
        let (orders, inbox) = unbounded_channel();
        let start = Start {
            id,
            config: Arc::clone(&self.config),
            links: Links::new(self.router.clone(), name(id), life.clone()),
            log: LogStore::new(host.disk.clone(), life.clone()),
            machine: Machine::new(host.disk.clone(), life.clone()),
            orders: inbox,
            done: self.sender.clone(),
            start: self.start,
        };
        let (born, birth) = channel();
        let thread = std::thread::Builder::new()
            .name(format!("openraft {id}"))
            .spawn(move || start.run(&born))
            .expect("a thread can be started");
        let Ok(raft) = birth.recv() else {
            // It refused to start from its disk: it stays down, and the suite sees that.
            return;
        };
        self.router.join(name(id), raft.clone(), life.clone());
        host.process = Some(Process { life, raft, orders, thread, paused: None });
    }

    fn crash(&mut self, id: NodeId) {
        let at = self.clock_now();
        let Some(host) = self.hosts.get_mut(&id) else { return };
        let Some(process) = host.process.take() else { return };
        process.life.end();
        self.router.leave(name(id));
        process.tell(Order::Stop);
        drop(process.paused);
        // A panic of its own has been told on stderr; here it is as dead as by order.
        let _ = process.thread.join();
        for request in std::mem::take(&mut host.asked) {
            self.refused.push_back(Completion { request, at, outcome: Err(NoAnswer::Lost) });
        }
    }

    fn process(&mut self, id: NodeId) -> Option<&mut Process> {
        self.hosts.get_mut(&id)?.process.as_mut()
    }

    fn clock_now(&self) -> Timestamp {
        Timestamp::ZERO + self.start.elapsed()
    }
}

/// The library's name for `id`.
fn name(id: NodeId) -> u64 {
    u64::from(id.get())
}

fn node_id(name: u64) -> Option<NodeId> {
    u32::try_from(name).ok().map(NodeId::new)
}

impl Process {
    /// A process that has died of itself is told nothing.
    fn tell(&self, order: Order) {
        let _ = self.orders.send(order);
    }

    fn state(&self) -> NodeState {
        if self.paused.is_some() {
            return NodeState::Paused;
        }
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow();
        let role = match metrics.state {
            ServerState::Learner | ServerState::Follower => Role::Follower,
            ServerState::Candidate => Role::Candidate,
            ServerState::Leader => Role::Leader,
            ServerState::Shutdown => return NodeState::Down,
        };
        let leader = metrics.current_leader.and_then(node_id);
        NodeState::Up(Standing { role, epoch: Epoch::new(metrics.current_term), leader })
    }
}

impl Start {
    /// Runs until it is told to stop. Dropping the runtime drops every task where it stands.
    fn run(self, born: &Sender<Raft<Types>>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime can be built");
        runtime.block_on(self.live(born));
    }

    async fn live(self, born: &Sender<Raft<Types>>) {
        let Self { id, config, links, log, machine, mut orders, done, start } = self;
        let raft = Raft::new(name(id), config, links, log, machine.clone()).await;
        let Ok(raft) = raft else { return };
        if born.send(raft.clone()).is_err() {
            return;
        }
        while let Some(order) = orders.recv().await {
            match order {
                Order::Serve(request, ask) => {
                    let (raft, machine, done) = (raft.clone(), machine.clone(), done.clone());
                    tokio::spawn(async move {
                        let answer = serve(id, &raft, &machine, ask).await;
                        let at = Timestamp::ZERO + start.elapsed();
                        let completion = Completion { request, at, outcome: Ok(answer) };
                        // A cluster that is gone wants no answer.
                        let _ = done.send(Done { node: id, completion });
                    });
                }
                Order::Found(members) => {
                    // Refused only where there is a cluster already.
                    let _ = raft.initialize(members).await;
                }
                Order::StandStill(until) => {
                    // Blocks the thread, and with it every task and timer of this node.
                    let _ = until.recv();
                }
                Order::Stop => return,
            }
        }
    }
}

async fn serve(id: NodeId, raft: &Raft<Types>, machine: &Machine, ask: Ask) -> Answer {
    match ask {
        Ask::Committed => Ok(Outcome::Log(machine.look(|replica| replica.log().to_vec()))),
        Ask::Read { key } => match raft.ensure_linearizable().await {
            Ok(_) => Ok(Outcome::Value(machine.look(|replica| replica.read(key)))),
            Err(RaftError::APIError(CheckIsLeaderError::ForwardToLeader(forward))) => {
                Err(Refusal::NotLeader(forward.leader_id.and_then(node_id)))
            }
            Err(
                RaftError::APIError(CheckIsLeaderError::QuorumNotEnough(_)) | RaftError::Fatal(_),
            ) => Err(Refusal::Unavailable),
        },
        Ask::Write(write) => write_to(id, raft, write).await,
    }
}

async fn write_to(id: NodeId, raft: &Raft<Types>, write: Write) -> Answer {
    // Asked before: `ForwardToLeader` says nothing about what was done. A leader that has appended
    // the entry also answers so when a later leader makes it drop the entry from its own log, and a
    // third one may hold the entry still and commit it.
    let leader = raft.metrics().borrow().current_leader;
    if leader != Some(name(id)) {
        return Err(Refusal::NotLeader(leader.and_then(node_id)));
    }
    match raft.client_write(write).await {
        Ok(_) => Ok(Outcome::Written),
        Err(
            RaftError::APIError(
                ClientWriteError::ForwardToLeader(_) | ClientWriteError::ChangeMembershipError(_),
            )
            | RaftError::Fatal(_),
        ) => Err(Refusal::Unknown),
    }
}

impl ::cluster::Cluster for Cluster {
    type Request = Op;
    type Response = Answer;

    fn members(&self) -> &[NodeId] {
        self.members.as_slice()
    }

    fn now(&self) -> Timestamp {
        self.clock_now()
    }

    fn submit(&mut self, node: NodeId, request: Op) -> RequestId {
        self.requests += 1;
        let id = RequestId::new(0, self.requests);
        let at = self.clock_now();
        match self.hosts.get_mut(&node) {
            Some(Host { process: Some(process), asked, .. }) => {
                asked.insert(id);
                process.tell(Order::Serve(id, ask(&request)));
            }
            Some(Host { process: None, .. }) | None => {
                let outcome = Err(NoAnswer::Unreachable);
                self.refused.push_back(Completion { request: id, at, outcome });
            }
        }
        id
    }

    fn poll(&mut self, until: Timestamp) -> Option<Completion<Answer>> {
        loop {
            if let Some(refused) = self.refused.pop_front() {
                return Some(refused);
            }
            let left = until.since(self.clock_now()).min(Duration::from_secs(3_600));
            match self.done.recv_timeout(left) {
                Ok(Done { node, completion }) => {
                    // What a process answered before it died counts, unless it was called lost.
                    let host = self.hosts.get_mut(&node);
                    if host.is_some_and(|host| host.asked.remove(&completion.request)) {
                        return Some(completion);
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    if self.clock_now() >= until {
                        return None;
                    }
                }
            }
        }
    }

    fn state(&mut self, node: NodeId) -> NodeState {
        self.process(node).map_or(NodeState::Down, |process| process.state())
    }

    fn inject(&mut self, fault: &Fault) -> Result<(), Unsupported> {
        fault.check(&self.members)?;
        match fault {
            Fault::Crash { node } => self.crash(*node),
            Fault::Restart { node } => self.boot(*node),
            Fault::Pause { node } => {
                if let Some(process) = self.process(*node).filter(|it| it.paused.is_none()) {
                    let (paused, until) = channel();
                    process.tell(Order::StandStill(until));
                    process.paused = Some(paused);
                }
            }
            Fault::Resume { node } => {
                if let Some(process) = self.process(*node) {
                    process.paused = None;
                }
            }
            Fault::PowerLoss => {
                for node in self.members.as_slice().to_vec() {
                    self.crash(node);
                }
            }
            Fault::Partition { .. } | Fault::Cut { .. } | Fault::Heal | Fault::Links(_) => {
                self.router.apply(fault);
            }
            Fault::Clock { clock, .. } => {
                if *clock != ClockFault::default() {
                    let why = "openraft reads the clock of the system";
                    return Err(Unsupported::new(fault, why));
                }
            }
            Fault::Disk { node, disk } => {
                if let Some(host) = self.hosts.get(node) {
                    host.disk.behave(*disk);
                }
            }
            Fault::CrashAfter { .. } => {
                return Err(Unsupported::new(fault, "nobody counts what its tasks do"));
            }
            Fault::Rot { .. } => {
                return Err(Unsupported::new(fault, "its log is not made of our records"));
            }
            Fault::Wipe { .. } => {
                let why =
                    "openraft allows a log to go back only under `loosen-follower-log-revert`";
                return Err(Unsupported::new(fault, why));
            }
        }
        Ok(())
    }
}

impl Subject for Cluster {}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in self.members.as_slice().to_vec() {
            self.crash(node);
        }
    }
}
