//! A cluster of processes: what the suite asks of it and does to it.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cluster::{
    ClockFault, Completion, Cuts, Damage, DiskFault, Epoch, Fault, InvalidConfig, LinkFault,
    Members, NoAnswer, NodeId, NodeState, RequestId, Role, Standing, Timestamp, Unsupported,
};
use nix::sys::signal::Signal;

use crate::implementation::{Setting, World};
use crate::subject::Subject;
use crate::vocabulary::{Answer, Op};

use super::Kind;
use super::dir::ClusterDir;
use super::ground::{Ground, Vantage, Wanted};
use super::inhabitant::{Client, Ills, Inhabitant, Look, Seat};
use super::lane::Lane;
use super::process::{Process, tail};

/// How long a fresh cluster may take until it is ready.
const BIRTH: Duration = Duration::from_secs(30);
/// How often it is looked at.
const GLANCE: Duration = Duration::from_millis(20);
/// How long a node that was started may take until it runs, and how often it is looked at.
const AWAKENING: Duration = Duration::from_secs(2);
const GLANCE_AT_ONE: Duration = Duration::from_millis(2);
/// How long a process that was told to stop may take.
const RETIREMENT: Duration = Duration::from_secs(10);
/// How many clusters run at once on this machine; whoever wants more waits.
const CLUSTERS_MAX: usize = 4;

/// A running cluster of `I`. Dropping it kills every process and removes their data.
pub struct Cluster<I: Inhabitant> {
    // Dropped in this order: processes, then whoever waits for their answers, then what they stood on.
    nodes: Vec<Node<I::Client>>,
    inhabitant: I,
    members: Members,
    cuts: Cuts,
    links: LinkFault,
    start: Instant,
    requests: u64,
    /// Kept, so that waiting for completions takes its time.
    _sender: Sender<Completion<Answer>>,
    done: Receiver<Completion<Answer>>,
    answered: VecDeque<Completion<Answer>>,
    ground: Ground,
    _dir: ClusterDir,
    _place: Place,
}

struct Node<C> {
    process: Option<Process>,
    paused: bool,
    /// It was told to stop.
    retiring: bool,
    ills: Ills,
    /// What it calls itself.
    name: u64,
    client: Arc<C>,
    lane: Lane,
}

impl<C> Node<C> {
    /// Waits until a process that was told to stop has ended, and ends one that does not.
    fn end(&mut self) {
        let give_up = Instant::now() + RETIREMENT;
        while self.process.as_mut().is_some_and(Process::lives) && Instant::now() < give_up {
            std::thread::sleep(GLANCE_AT_ONE);
        }
        self.process = None;
        self.retiring = false;
    }
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

impl<I: Inhabitant> Cluster<I> {
    /// A cluster of `inhabitant` as `setting` says, on the best ground that there is here; ready when
    /// this returns.
    ///
    /// # Errors
    /// [`InvalidConfig`] when the world is not one of processes, there are no nodes, or no cluster
    /// comes up.
    pub fn start(inhabitant: I, setting: &Setting) -> Result<Self, InvalidConfig> {
        Self::start_on(super::kind(), inhabitant, setting)
    }

    /// The same, on ground of that kind.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub fn start_on(kind: Kind, inhabitant: I, setting: &Setting) -> Result<Self, InvalidConfig> {
        if setting.world != World::Net {
            return Err(InvalidConfig::new("world", setting.world, "net"));
        }
        let members = Members::first(setting.nodes)?;
        let place = Place::wait();
        let broken = |error: io::Error| {
            InvalidConfig::new("cluster", error, "processes that can be started")
        };
        let dir = ClusterDir::new().map_err(broken)?;
        let homes = homes(members.as_slice(), dir.path()).map_err(broken)?;
        let wanted = Wanted {
            kind,
            small_disks: setting.small_disks,
            relays: inhabitant.takes_relays(),
            seed: setting.sim.seed,
        };
        let ground = Ground::new(&homes, &wanted).map_err(broken)?;
        let processes = (0..homes.len())
            .map(|place| spawn(&inhabitant, &ground, place, &Ills::default()))
            .collect::<io::Result<Vec<Process>>>()
            .map_err(broken)?;
        let clients: Vec<_> =
            ground.seats().iter().map(|seat| Arc::new(inhabitant.client(seat))).collect();
        let looks = await_birth(&inhabitant, &ground, &clients)?;
        // Its time begins when it is ready, as that of any other cluster does.
        let start = Instant::now();
        let (sender, done) = channel();
        let vantage = ground.vantage();
        let nodes = processes.into_iter().zip(clients).zip(looks);
        let nodes = nodes.map(|((process, client), look)| Node {
            process: Some(process),
            paused: false,
            retiring: false,
            ills: Ills::default(),
            name: look.name,
            lane: Lane::new(&client, &vantage, start, &sender),
            client,
        });
        Ok(Self {
            nodes: nodes.collect(),
            inhabitant,
            cuts: Cuts::none(setting.nodes),
            links: LinkFault::default(),
            members,
            start,
            requests: 0,
            _sender: sender,
            done,
            answered: VecDeque::new(),
            ground,
            _dir: dir,
            _place: place,
        })
    }

    /// Where each node lives.
    pub fn seats(&self) -> &[Seat] {
        self.ground.seats()
    }

    /// Does `f` on a thread from which every node can be reached.
    ///
    /// # Errors
    /// When the thread cannot go there.
    pub fn visit<T: Send>(&self, f: impl FnOnce() -> T + Send) -> io::Result<T> {
        self.ground.vantage().visit(f)
    }

    /// Lets no more than so many kilobits a second pass from one node to another; as many as may
    /// come, if none.
    ///
    /// # Errors
    /// Where the nodes have no network of their own, or the kernel says no.
    pub fn narrow(&self, kilobits: Option<u32>) -> io::Result<()> {
        self.ground.narrow(kilobits)
    }

    fn clock_now(&self) -> Timestamp {
        Timestamp::ZERO + self.start.elapsed()
    }

    fn index(&self, node: NodeId) -> Option<usize> {
        self.members.index_of(node)
    }

    fn signal(&mut self, place: usize, fault: &Fault, pause: bool) -> Result<(), Unsupported> {
        let node = &mut self.nodes[place];
        let Some(process) = node.process.as_ref().filter(|_| node.paused != pause) else {
            return Ok(());
        };
        let signal = if pause { Signal::SIGSTOP } else { Signal::SIGCONT };
        let refused = |_| Unsupported::new(fault, "the process cannot be signalled");
        process.signal(signal).map_err(refused)?;
        node.paused = pause;
        Ok(())
    }

    fn crash(&mut self, place: usize) {
        let node = &mut self.nodes[place];
        node.process = None;
        node.retiring = false;
    }

    fn restart(&mut self, place: usize, fault: &Fault) -> Result<(), Unsupported> {
        let node = &mut self.nodes[place];
        if node.retiring {
            node.end();
        }
        // One that died by itself is not there any more.
        if node.process.as_mut().is_some_and(Process::lives) {
            // It may have been told to die.
            return if self.inhabitant.obeys() { self.order(place, fault) } else { Ok(()) };
        }
        let refused = |_| Unsupported::new(fault, "the process cannot be started again");
        let process = spawn(&self.inhabitant, &self.ground, place, &node.ills).map_err(refused)?;
        node.process = Some(process);
        node.paused = false;
        if self.inhabitant.obeys() {
            self.await_awake(place);
        }
        Ok(())
    }

    /// Waits until a node that was started runs, or has died of what it found.
    fn await_awake(&mut self, place: usize) {
        let node = &mut self.nodes[place];
        let give_up = Instant::now() + AWAKENING;
        let vantage = self.ground.vantage();
        // What its disk does not let go on will not.
        while !node.ills.disk.stalled
            && node.process.as_mut().is_some_and(Process::lives)
            && look(&vantage, &*node.client).is_none()
            && Instant::now() < give_up
        {
            std::thread::sleep(GLANCE_AT_ONE);
        }
    }

    /// Has the process at `place`, if it lives, make `fault` happen to itself.
    fn order(&mut self, place: usize, fault: &Fault) -> Result<(), Unsupported> {
        let node = &mut self.nodes[place];
        if !node.process.as_mut().is_some_and(Process::lives) {
            return Ok(());
        }
        let ordered = self.ground.vantage().visit(|| node.client.order(fault, node.paused));
        match ordered.unwrap_or(Err("it cannot be reached")) {
            // It may have died of an earlier one.
            Err(why) if node.process.as_mut().is_some_and(Process::lives) => {
                Err(Unsupported::new(fault, why))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Kills every process, all at once, as far as one can; waiting comes after.
    fn crash_all(&mut self) {
        for process in self.nodes.iter_mut().filter_map(|node| node.process.as_mut()) {
            process.kill();
        }
        for place in 0..self.nodes.len() {
            self.crash(place);
        }
    }

    fn wipe(&mut self, place: usize, fault: &Fault) -> Result<(), Unsupported> {
        self.crash(place);
        let dir = self.ground.seats()[place].dir.clone();
        let wiped = self.ground.with_disk(place, || empty(&dir));
        wiped.and_then(|it| it).map_err(|_| Unsupported::new(fault, "it cannot be emptied"))
    }

    fn cut(&mut self, fault: &Fault) -> Result<(), Unsupported> {
        let mut cuts = self.cuts.clone();
        cuts.apply(fault, |node| self.index(node));
        let refused = |why| Unsupported::new(fault, why);
        self.ground.rule(&cuts, &self.links).map_err(refused)?;
        self.cuts = cuts;
        Ok(())
    }

    fn link(&mut self, fault: &Fault, links: LinkFault) -> Result<(), Unsupported> {
        let refused = |why| Unsupported::new(fault, why);
        self.ground.rule(&self.cuts, &links).map_err(refused)?;
        self.links = links;
        Ok(())
    }

    fn disk(&mut self, place: usize, fault: &Fault, disk: DiskFault) -> Result<(), Unsupported> {
        let bad = disk != DiskFault { full: disk.full, ..DiskFault::default() };
        if bad && !self.inhabitant.obeys() {
            let why = "the disk of this machine is no slower, and tears nothing, for one process";
            return Err(Unsupported::new(fault, why));
        }
        self.ground.fill(place, disk.full).map_err(|why| Unsupported::new(fault, why))?;
        self.nodes[place].ills.disk = disk;
        if self.inhabitant.obeys() { self.order(place, fault) } else { Ok(()) }
    }

    fn clock(&mut self, place: usize, fault: &Fault, clock: ClockFault) -> Result<(), Unsupported> {
        if !self.inhabitant.obeys() {
            let sound = clock == ClockFault::default();
            let why = "a process reads the clock of the system";
            return if sound { Ok(()) } else { Err(Unsupported::new(fault, why)) };
        }
        let ill = &mut self.nodes[place].ills.clock;
        ill.drift_ppm = clock.drift_ppm;
        ill.jump_nanos = ill.jump_nanos.saturating_add(clock.jump_nanos);
        self.order(place, fault)
    }

    fn crash_after(&mut self, place: usize, fault: &Fault) -> Result<(), Unsupported> {
        if !self.inhabitant.obeys() {
            return Err(Unsupported::new(fault, "nobody counts what a process does"));
        }
        self.order(place, fault)
    }

    fn rot(
        &self,
        place: usize,
        fault: &Fault,
        at_ppm: u32,
        damage: Damage,
    ) -> Result<(), Unsupported> {
        if !self.inhabitant.obeys() {
            return Err(Unsupported::new(fault, "nobody knows the records in its files"));
        }
        let dir = &self.ground.seats()[place].dir;
        let inhabitant = &self.inhabitant;
        let rotten = self.ground.with_disk(place, || inhabitant.rot(dir, at_ppm, damage));
        rotten.and_then(|it| it).map_err(|_| Unsupported::new(fault, "its files cannot be changed"))
    }

    /// The node that calls itself `name`.
    fn named(&self, name: u64) -> Option<NodeId> {
        let place = self.nodes.iter().position(|node| node.name == name)?;
        Some(self.members.as_slice()[place])
    }

    fn place_of(&self, node: NodeId, fault: &Fault) -> Result<usize, Unsupported> {
        self.index(node).ok_or_else(|| Unsupported::new(fault, "there is no such node"))
    }
}

/// A directory below `dir` for each of `nodes`.
fn homes(nodes: &[NodeId], dir: &Path) -> io::Result<Vec<(NodeId, PathBuf)>> {
    let home = |&id: &NodeId| {
        let home = dir.join(id.to_string());
        std::fs::create_dir(&home).map(|()| (id, home))
    };
    nodes.iter().map(home).collect()
}

fn spawn<I: Inhabitant>(
    inhabitant: &I,
    ground: &Ground,
    place: usize,
    ills: &Ills,
) -> io::Result<Process> {
    let seat = &ground.seats()[place];
    let launch = inhabitant.launch(seat, &ground.peers_of(place), ills);
    Process::spawn(&ground.prefix(place), &launch, &log_of(seat))
}

/// What the node says on its outputs: beside its directory, since it is not the node's own.
fn log_of(seat: &Seat) -> PathBuf {
    seat.dir.with_extension("log")
}

/// Waits until the cluster is ready, and returns how its nodes see themselves.
fn await_birth<I: Inhabitant>(
    inhabitant: &I,
    ground: &Ground,
    clients: &[Arc<I::Client>],
) -> Result<Vec<Look>, InvalidConfig> {
    let give_up = Instant::now() + BIRTH;
    let vantage = ground.vantage();
    loop {
        let all: Option<Vec<Look>> =
            clients.iter().map(|client| look(&vantage, &**client)).collect();
        if let Some(all) = all.filter(|all| inhabitant.ready(all)) {
            return Ok(all);
        }
        if Instant::now() >= give_up {
            let said: String = ground.seats().iter().map(|seat| tail(&log_of(seat))).collect();
            let expected = format!("a cluster that is ready within {BIRTH:?}");
            return Err(InvalidConfig::new("cluster", format!("silent ({said})"), expected));
        }
        std::thread::sleep(GLANCE);
    }
}

fn look(vantage: &Vantage, client: &impl Client) -> Option<Look> {
    vantage.visit(|| client.look()).ok().flatten()
}

/// Removes all that is in `dir`.
fn empty(dir: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        } else {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

impl<I: Inhabitant> cluster::Cluster for Cluster<I> {
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
            Some(place) => self.nodes[place].lane.submit(id, request),
            None => {
                let outcome = Err(NoAnswer::Unreachable);
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
        let Some(place) = self.index(node) else { return NodeState::Down };
        let node = &mut self.nodes[place];
        if !node.process.as_mut().is_some_and(Process::lives) {
            return NodeState::Down;
        }
        if node.paused {
            return NodeState::Paused;
        }
        // One that listens, and one that does not listen yet, both run.
        let Some(seen) = look(&self.ground.vantage(), &*node.client) else {
            let standing = Standing { role: Role::Follower, epoch: Epoch::ZERO, leader: None };
            return NodeState::Up(standing);
        };
        let leader = seen.leader.and_then(|name| self.named(name));
        NodeState::Up(Standing { role: seen.role, epoch: seen.epoch, leader })
    }

    fn inject(&mut self, fault: &Fault) -> Result<(), Unsupported> {
        fault.check(&self.members)?;
        if let Some(why) = self.inhabitant.refuses(fault) {
            return Err(Unsupported::new(fault, why));
        }
        match fault {
            Fault::Crash { node } => self.crash(self.place_of(*node, fault)?),
            Fault::PowerLoss => self.crash_all(),
            Fault::Restart { node } => self.restart(self.place_of(*node, fault)?, fault)?,
            Fault::Pause { node } => self.signal(self.place_of(*node, fault)?, fault, true)?,
            Fault::Resume { node } => self.signal(self.place_of(*node, fault)?, fault, false)?,
            Fault::Wipe { node } => self.wipe(self.place_of(*node, fault)?, fault)?,
            Fault::Partition { .. } | Fault::Cut { .. } | Fault::Heal => self.cut(fault)?,
            Fault::Links(links) => self.link(fault, *links)?,
            Fault::Disk { node, disk } => self.disk(self.place_of(*node, fault)?, fault, *disk)?,
            Fault::Clock { node, clock } => {
                self.clock(self.place_of(*node, fault)?, fault, *clock)?;
            }
            Fault::CrashAfter { node, .. } => {
                self.crash_after(self.place_of(*node, fault)?, fault)?;
            }
            Fault::Rot { node, at_ppm, damage } => {
                self.rot(self.place_of(*node, fault)?, fault, *at_ppm, *damage)?;
            }
        }
        Ok(())
    }
}

impl<I: Inhabitant> Subject for Cluster<I> {
    fn retire(&mut self, node: NodeId) -> Result<(), Unsupported> {
        let unsupported =
            |reason| Unsupported { fault: format!("the retirement of {node}"), reason };
        let place = self.index(node).ok_or_else(|| unsupported("there is no such node"))?;
        let node = &mut self.nodes[place];
        if let Some(process) = &node.process {
            let refused = |_| unsupported("the process cannot be signalled");
            process.signal(Signal::SIGTERM).map_err(refused)?;
            node.retiring = true;
        }
        Ok(())
    }

    fn said(&self) -> Vec<(NodeId, String)> {
        self.ground.seats().iter().map(|seat| (seat.id, tail(&log_of(seat)))).collect()
    }
}

impl<I: Inhabitant> Drop for Cluster<I> {
    fn drop(&mut self) {
        // All die before anybody waits for one of them, or for whoever still hopes for an answer.
        self.crash_all();
    }
}
