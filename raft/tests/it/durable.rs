//! On the journals that people run: the power fails, or the disk, at each operation of a small run.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use cluster::store::{Journal, Store as _, StoreError};
use cluster::{
    Boot, Cluster as _, Effect, EffectOf, EffectsOf, Fault, Gate, Input, InputOf, Members,
    Node as _, NodeId, Now, RequestId, Timestamp, WallTime,
};
use raft::{Config, Group, Image, LogIndex, Raft, Record, Reply, Request, StateMachine};
use serde::{Deserialize, Serialize};
use wal::{Restart, SimDirectory, Trouble};

/// Every value written, in order.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct List(pub(crate) Vec<u64>);

impl StateMachine for List {
    type Command = u64;
    /// The place of the value.
    type Output = usize;
    type Query = ();
    type Answer = Vec<u64>;
    type Snapshot = Image<Self>;

    fn apply(&mut self, _: LogIndex, value: &u64) -> usize {
        self.0.push(*value);
        self.0.len() - 1
    }

    fn query(&self, (): &()) -> Vec<u64> {
        self.0.clone()
    }
}

type Log = Journal<Record<u64>, SimDirectory>;

/// So small that segments end, and snapshots are taken and let the log go, again and again.
fn config() -> Config<List> {
    Config::new(List::default()).with_snapshot_every(8).with_keep_behind(4).with_lag_max(8)
}

fn log_options() -> wal::Options {
    Journal::<()>::options().segment_bytes(4096).prepare_bytes(512)
}

/// A node, while it lives: its disk is a journal.
struct Life {
    raft: Raft<List>,
    log: Log,
    out: EffectsOf<Raft<List>>,
}

struct Host {
    id: NodeId,
    directory: SimDirectory,
    life: Option<Life>,
    inbox: VecDeque<InputOf<Raft<List>>>,
}

/// What goes wrong, once.
#[derive(Clone, Copy, Debug)]
struct Plan {
    trouble: Trouble,
    restart: Restart,
    /// The power fails for all nodes at that moment, not for one.
    all: bool,
    /// At which operation of the first node's disk.
    number: u64,
}

/// Three nodes on one thread, in virtual time.
struct Room {
    hosts: Vec<Host>,
    members: Members,
    now: Now,
    seed: u64,
    asked: u64,
    answers: BTreeMap<RequestId, Reply<List>>,
    /// Values that were ever sent.
    sent: BTreeSet<u64>,
    /// Values by the place that they were acknowledged to be at.
    acknowledged: BTreeMap<usize, u64>,
    plan: Plan,
    struck: bool,
}

impl Room {
    fn new(plan: Plan) -> Self {
        let members = Members::first(3).expect("three are some");
        let seed = plan.number;
        let host = |id: NodeId| {
            let directory = SimDirectory::new(seed << 8 | u64::from(id.get()));
            Host { id, directory, life: None, inbox: VecDeque::new() }
        };
        let hosts: Vec<Host> = members.iter().map(host).collect();
        hosts[0].directory.trouble_at(plan.number, plan.trouble);
        let monotonic = Timestamp::from_millis(1_000);
        let now = Now { monotonic, wall: WallTime::from_nanos(0) };
        let (answers, sent) = (BTreeMap::new(), BTreeSet::new());
        let acknowledged = BTreeMap::new();
        let (asked, struck) = (0, false);
        Self { hosts, members, now, seed, asked, answers, sent, acknowledged, plan, struck }
    }

    /// The node at `place` starts on what its disk holds. Its disk may fail it there, too.
    fn boot(&mut self, place: usize) {
        self.seed += 1;
        let host = &mut self.hosts[place];
        match Log::open_in(host.directory.clone(), log_options()) {
            Ok((log, records)) => {
                let members = self.members.clone();
                let boot = Boot { id: host.id, members, now: self.now, seed: self.seed, records };
                let mut out = EffectsOf::<Raft<List>>::new();
                let raft = Raft::boot(&config(), boot, &mut out).expect("the records are sound");
                host.life = Some(Life { raft, log, out });
                host.inbox.clear();
            }
            Err(error) => {
                assert!(!self.struck, "nothing is wrong any more: {error}");
                self.strike(place);
            }
        }
    }

    /// The trouble has come: the node at `place` dies of it, and perhaps the others.
    fn strike(&mut self, place: usize) {
        assert!(!std::mem::replace(&mut self.struck, true), "there is one trouble");
        for (other, host) in self.hosts.iter_mut().enumerate() {
            if other == place || self.plan.all {
                host.life = None;
                host.directory.restart(self.plan.restart);
            }
        }
    }

    /// A millisecond: every node handles what has come, and carries out what comes of it.
    fn pass(&mut self) {
        self.now.monotonic += Duration::from_millis(1);
        for place in 0..self.hosts.len() {
            if self.hosts[place].life.is_none() {
                self.boot(place);
            }
            if self.turn(place).is_err() {
                self.strike(place);
            }
        }
    }

    /// One batch, as a world does it: what waits for nothing leaves before the sync.
    fn turn(&mut self, place: usize) -> Result<(), StoreError> {
        let now = self.now;
        let Host { id: from, life: Some(life), inbox, .. } = &mut self.hosts[place] else {
            return Ok(());
        };
        let from = *from;
        let mut leave = Vec::new();
        for input in inbox.drain(..) {
            life.raft.handle(now, input, &mut life.out);
        }
        if life.raft.deadline().is_some_and(|at| at <= now.monotonic) {
            life.raft.handle(now, Input::Timer, &mut life.out);
        }
        let mut result = Ok(());
        loop {
            life.raft.flush(now, &mut life.out);
            let before = life.out.persisted();
            match carry_out(life, &mut leave) {
                Ok(true) => life.raft.handle(now, Input::Durable(before), &mut life.out),
                Ok(false) => break,
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        for effect in leave {
            match effect {
                Effect::Send { to, message: body, .. } => {
                    let to = self.members.index_of(to).expect("a member");
                    self.hosts[to].inbox.push_back(Input::Message { from, body });
                }
                Effect::Respond { request, response: Ok(reply), .. } => {
                    self.answers.insert(request, reply);
                }
                Effect::Respond { .. } | Effect::Emit(_) => {}
                Effect::Persist(_) | Effect::Forget { .. } => unreachable!("they do not leave"),
            }
        }
        result
    }

    fn ask(&mut self, place: usize, body: Request<List>) -> RequestId {
        self.asked += 1;
        let id = RequestId::new(0, self.asked);
        self.hosts[place].inbox.push_back(Input::Request { id, body });
        id
    }

    fn leader(&self) -> Option<usize> {
        let leads = |host: &Host| {
            host.life
                .as_ref()
                .is_some_and(|it| it.raft.standing(self.now).role == cluster::Role::Leader)
        };
        self.hosts.iter().position(leads)
    }

    /// Writes values in batches until so many are acknowledged. What brings no answer in a while is
    /// given up, and never written again.
    fn write(&mut self, first: u64, count: usize) {
        let enough = self.acknowledged.len() + count;
        let mut value = first;
        for _ in 0..4_000 {
            if self.acknowledged.len() >= enough {
                return;
            }
            let Some(leader) = self.leader() else {
                self.pass();
                continue;
            };
            let values = value..value + 3;
            value = values.end;
            self.sent.extend(values.clone());
            let asked: Vec<_> =
                values.map(|it| (it, self.ask(leader, Request::Write(it)))).collect();
            for _ in 0..20 {
                self.pass();
            }
            for (value, id) in asked {
                if let Some(Reply::Written { output, .. }) = self.answers.remove(&id) {
                    let other = self.acknowledged.insert(output, value);
                    assert_eq!(other, None, "two values at place {output}");
                }
            }
        }
        panic!("{:?}: no progress", self.plan);
    }

    /// What each node holds, once all hold the same.
    fn settle(&mut self) -> Vec<u64> {
        for _ in 0..400 {
            (0..50).for_each(|_| self.pass());
            let asked = [0, 1, 2].map(|place| self.ask(place, Request::ReadLocal(())));
            (0..3).for_each(|_| self.pass());
            let held = asked.map(|id| match self.answers.remove(&id) {
                Some(Reply::Answer(values)) => values,
                other => panic!("{other:?}"),
            });
            if held.iter().all(|it| *it == held[0]) && held[0].len() >= self.acknowledged.len() {
                return held[0].clone();
            }
        }
        panic!("{:?}: the nodes do not agree", self.plan);
    }
}

/// Carries out what a node wants, with one sync. Whether that made anything durable.
fn carry_out(life: &mut Life, leave: &mut Vec<EffectOf<Raft<List>>>) -> Result<bool, StoreError> {
    let mut waiting = Vec::new();
    let mut wrote = false;
    for effect in life.out.drain() {
        match effect {
            Effect::Persist(record) => {
                life.log.append(record)?;
                wrote = true;
            }
            Effect::Forget { before } => life.log.forget(before)?,
            Effect::Send { gate: Gate::Durable, .. }
            | Effect::Respond { gate: Gate::Durable, .. }
                if wrote =>
            {
                waiting.push(effect);
            }
            Effect::Send { .. } | Effect::Respond { .. } | Effect::Emit(_) => leave.push(effect),
        }
    }
    if wrote {
        life.log.sync()?;
    }
    leave.extend(waiting);
    Ok(wrote)
}

/// A run with that trouble. How many operations the first node's disk saw, if it did not come.
fn run(plan: Plan) -> Option<u64> {
    let mut room = Room::new(plan);
    room.write(0, 100);
    let operations = room.hosts[0].directory.operations();
    room.write(1_000, 12);
    let names = room.hosts[0].directory.names();
    let first = "segment-00000000000000000001";
    assert!(!names.iter().any(|name| name == first), "{plan:?}: nothing was let go");
    // All are gone at once, and come back.
    for host in &mut room.hosts {
        host.life = None;
        host.directory.restart(Restart::Power);
    }
    room.struck = true;
    room.write(2_000, 3);
    let values = room.settle();
    for (&place, &value) in &room.acknowledged {
        assert_eq!(values.get(place), Some(&value), "{plan:?}: acknowledged at place {place}");
    }
    let distinct: BTreeSet<u64> = values.iter().copied().collect();
    assert_eq!(distinct.len(), values.len(), "{plan:?}: something is there twice");
    assert!(distinct.is_subset(&room.sent), "{plan:?}: something is there that was never sent");
    (operations < plan.number).then_some(operations)
}

#[track_caller]
fn check(trouble: Trouble, restart: Restart, all: bool) {
    let mut tried = 0;
    for number in 1.. {
        match run(Plan { trouble, restart, all, number }) {
            None => tried += 1,
            Some(operations) => {
                assert!(tried > 100, "{tried} of {operations}");
                return;
            }
        }
    }
}

#[test]
fn the_power_of_one_node_fails_at_each_operation_of_its_disk() {
    check(Trouble::Crash, Restart::Power, false);
}

#[test]
fn the_power_of_all_fails_at_each_operation_of_a_disk() {
    check(Trouble::Crash, Restart::Power, true);
}

#[test]
fn a_process_dies_at_each_operation_of_its_disk() {
    check(Trouble::Crash, Restart::Process, false);
}

/// A write or a sync fails, and the node with it; what the page cache shows is not trusted.
#[test]
fn a_disk_fails_at_each_of_its_operations() {
    check(Trouble::Error, Restart::Process, false);
    check(Trouble::Error, Restart::Power, true);
}

#[test]
fn a_disk_is_full_at_each_of_its_operations() {
    check(Trouble::Full, Restart::Power, false);
}

const LIMIT: Duration = Duration::from_secs(20);

/// Three nodes in a directory: whatever dies, one node or the whole cluster, all is there.
#[test]
fn a_cluster_in_a_directory_outlives_its_process() {
    let directory = tempfile::TempDir::new().expect("a directory");
    let config = || config().with_election_timeout(LIMIT / 40..=LIMIT / 20);
    for life in 0..3 {
        let builder = Group::builder(List::default()).directory(directory.path()).timeout(LIMIT);
        let mut group = builder.config(|_| config()).start().expect("valid");
        let list = group.handle();
        let before: Vec<u64> = (0..life * 40).collect();
        assert_eq!(list.read(()).wait().expect("it serves"), before);
        for value in life * 40..life * 40 + 40 {
            if value % 20 == 10 {
                let node = NodeId::new(1 + value as u32 / 20 % 3);
                group.cluster().inject(&Fault::Crash { node }).expect("taken");
                group.cluster().inject(&Fault::Restart { node }).expect("taken");
            }
            let place = list.write(value).wait().expect("it serves");
            assert_eq!(place as u64, value);
        }
    }
}
