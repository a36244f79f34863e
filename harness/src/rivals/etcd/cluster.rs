//! The cluster: processes, clients, and what is done to them.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ::cluster::{
    ClockFault, Completion, DiskFault, Epoch, Fault, InvalidConfig, LinkFault, Members, NodeId,
    NodeState, RequestId, Role, Standing, Timestamp, Unsupported,
};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::implementation::{Setting, World};
use crate::rivals::registers::ask;
use crate::subject::Subject;
use crate::vocabulary::{Answer, Op};

use super::client::{Lane, Status, status};
use super::member::{Member, Plan};

/// How long a fresh cluster may take until all its members name one leader.
const BIRTH: Duration = Duration::from_secs(30);
/// How often it is looked for.
const GLANCE: Duration = Duration::from_millis(20);
/// How many clusters run at once on this machine; whoever wants more waits.
const CLUSTERS_MAX: usize = 4;

/// A running cluster of etcd. Dropping it kills every process and removes their data.
pub struct Cluster {
    // Dropped in this order: processes, then whoever waits for their answers, then their data.
    hosts: Vec<Host>,
    plan: Plan,
    members: Members,
    start: Instant,
    requests: u64,
    /// Kept, so that waiting for completions takes its time.
    _sender: Sender<Completion<Answer>>,
    done: Receiver<Completion<Answer>>,
    answered: VecDeque<Completion<Answer>>,
    _dir: TempDir,
    _place: Place,
}

struct Host {
    process: Option<Member>,
    paused: bool,
    /// Its name for itself. It keeps it.
    name: u64,
    lane: Lane,
}

/// The right to run a cluster.
struct Place;

static TAKEN: Mutex<usize> = Mutex::new(0);
static FREED: Condvar = Condvar::new();

impl Place {
    fn wait() -> Self {
        let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |taken: &mut usize| *taken >= CLUSTERS_MAX;
        let mut taken = FREED.wait_while(taken, full).unwrap_or_else(PoisonError::into_inner);
        *taken += 1;
        Self
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        FREED.notify_one();
    }
}

impl Cluster {
    /// A cluster of the installed `program`, as `setting` says; ready when this returns.
    ///
    /// # Errors
    /// [`InvalidConfig`] when the world is not one of processes, there are no nodes, or no cluster
    /// comes up.
    pub fn start(program: &Path, setting: &Setting) -> Result<Self, InvalidConfig> {
        if setting.world != World::Processes {
            return Err(InvalidConfig::new("world", setting.world, "processes"));
        }
        let members = Members::first(setting.nodes)?;
        let place = Place::wait();
        let broken = |error: std::io::Error| {
            InvalidConfig::new("etcd", error, "a program that can be started")
        };
        let dir = tempfile::Builder::new().prefix("etcd-").tempdir().map_err(broken)?;
        let plan = Plan::new(program, members.as_slice(), dir.path()).map_err(broken)?;
        let members_up = (0..plan.seats.len())
            .map(|index| plan.spawn(index))
            .collect::<Result<Vec<Member>, _>>()
            .map_err(broken)?;
        let statuses = await_leader(&plan)?;
        // Its time begins when it is ready, as that of any other cluster does.
        let start = Instant::now();
        let (sender, done) = channel();
        let hosts = members_up.into_iter().zip(&plan.seats).zip(statuses);
        let hosts = hosts.map(|((process, seat), status)| Host {
            process: Some(process),
            paused: false,
            name: status.member,
            lane: Lane::new(seat.clients, start, &sender),
        });
        Ok(Self {
            hosts: hosts.collect(),
            plan,
            members,
            start,
            requests: 0,
            _sender: sender,
            done,
            answered: VecDeque::new(),
            _dir: dir,
            _place: place,
        })
    }

    fn clock_now(&self) -> Timestamp {
        Timestamp::ZERO + self.start.elapsed()
    }

    fn index(&self, node: NodeId) -> Option<usize> {
        self.members.index_of(node)
    }

    fn signal(&mut self, node: NodeId, fault: &Fault, pause: bool) -> Result<(), Unsupported> {
        let Some(index) = self.index(node) else { return Ok(()) };
        let host = &mut self.hosts[index];
        let Some(process) = host.process.as_ref().filter(|_| host.paused != pause) else {
            return Ok(());
        };
        let signal = if pause { Signal::STOP } else { Signal::CONT };
        let refused = |_| Unsupported::new(fault, "the process cannot be signalled");
        process.signal(signal).map_err(refused)?;
        host.paused = pause;
        Ok(())
    }

    fn restart(&mut self, node: NodeId, fault: &Fault) -> Result<(), Unsupported> {
        let Some(index) = self.index(node) else { return Ok(()) };
        if self.hosts[index].process.is_none() {
            let refused = |_| Unsupported::new(fault, "the process cannot be started again");
            self.hosts[index].process = Some(self.plan.spawn(index).map_err(refused)?);
            self.hosts[index].paused = false;
        }
        Ok(())
    }

    /// Kills every process, all at once, as far as one can; waiting comes after.
    fn crash_all(&mut self) {
        for process in self.hosts.iter_mut().filter_map(|host| host.process.as_mut()) {
            process.kill();
        }
        for host in &mut self.hosts {
            host.process = None;
        }
    }

    /// The node that calls itself `name`.
    fn named(&self, name: u64) -> Option<NodeId> {
        let place = self.hosts.iter().position(|host| host.name == name)?;
        Some(self.members.as_slice()[place])
    }
}

/// Waits until all members name one leader, and returns how they see themselves.
fn await_leader(plan: &Plan) -> Result<Vec<Status>, InvalidConfig> {
    let give_up = Instant::now() + BIRTH;
    loop {
        let all: Option<Vec<Status>> = plan.seats.iter().map(|seat| status(seat.clients)).collect();
        if let Some(all) = all {
            let leader = all[0].leader;
            if leader != 0 && all.iter().all(|status| status.leader == leader) {
                return Ok(all);
            }
        }
        if Instant::now() >= give_up {
            let logs = plan.seats.iter().map(|seat| plan.log_of(seat));
            let said: String = logs.filter_map(|log| std::fs::read_to_string(log).ok()).collect();
            let expected = format!("a cluster that has a leader within {BIRTH:?}");
            return Err(InvalidConfig::new("etcd", format!("silent ({said})"), expected));
        }
        std::thread::sleep(GLANCE);
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
        match self.index(node) {
            Some(index) => self.hosts[index].lane.submit(id, ask(&request)),
            None => {
                let outcome = Err(::cluster::NoAnswer::Unreachable);
                let at = self.clock_now();
                self.answered.push_back(Completion { request: id, at, outcome });
            }
        }
        id
    }

    fn poll(&mut self, until: Timestamp) -> Option<Completion<Answer>> {
        if let Some(answered) = self.answered.pop_front() {
            return Some(answered);
        }
        loop {
            let left = until.since(self.clock_now()).min(Duration::from_secs(3_600));
            match self.done.recv_timeout(left) {
                Ok(completion) => return Some(completion),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    if self.clock_now() >= until {
                        return None;
                    }
                }
            }
        }
    }

    fn state(&mut self, node: NodeId) -> NodeState {
        let Some(index) = self.index(node) else { return NodeState::Down };
        let host = &mut self.hosts[index];
        if !host.process.as_mut().is_some_and(Member::lives) {
            return NodeState::Down;
        }
        if host.paused {
            return NodeState::Paused;
        }
        // A member that listens, and one that does not listen yet, both run.
        let Some(status) = status(self.plan.seats[index].clients) else {
            let standing = Standing { role: Role::Follower, epoch: Epoch::ZERO, leader: None };
            return NodeState::Up(standing);
        };
        let leads = status.leader == status.member;
        let role = if leads { Role::Leader } else { Role::Follower };
        let leader = self.named(status.leader);
        NodeState::Up(Standing { role, epoch: Epoch::new(status.term), leader })
    }

    fn inject(&mut self, fault: &Fault) -> Result<(), Unsupported> {
        fault.check(&self.members)?;
        let net = "links between processes come with the world that has a network of its own";
        match fault {
            Fault::Crash { node } => {
                if let Some(index) = self.index(*node) {
                    self.hosts[index].process = None;
                }
            }
            Fault::PowerLoss => self.crash_all(),
            Fault::Restart { node } => self.restart(*node, fault)?,
            Fault::Pause { node } => self.signal(*node, fault, true)?,
            Fault::Resume { node } => self.signal(*node, fault, false)?,
            // There are no cuts to end.
            Fault::Heal => {}
            Fault::Links(links) if *links == LinkFault::default() => {}
            Fault::Partition { .. } | Fault::Cut { .. } | Fault::Links(_) => {
                return Err(Unsupported::new(fault, net));
            }
            Fault::Clock { clock, .. } => {
                if *clock != ClockFault::default() {
                    return Err(Unsupported::new(fault, "etcd reads the clock of the system"));
                }
            }
            Fault::Disk { disk, .. } => {
                if *disk != DiskFault::default() {
                    return Err(Unsupported::new(fault, "etcd writes to the disk of this machine"));
                }
            }
            Fault::CrashAfter { .. } => {
                return Err(Unsupported::new(fault, "nobody counts what a process does"));
            }
            Fault::Rot { .. } => {
                return Err(Unsupported::new(fault, "its files are not made of our records"));
            }
            Fault::Wipe { .. } => {
                let why = "etcd wants a member that lost its data removed and added again";
                return Err(Unsupported::new(fault, why));
            }
        }
        Ok(())
    }
}

impl Subject for Cluster {}

impl Drop for Cluster {
    fn drop(&mut self) {
        // All die before anybody waits for one of them, or for whoever still hopes for an answer.
        self.crash_all();
    }
}
