//! Clients under every fault that the simulated world has, chosen by seed; then calm.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cluster::sim::Options;
use cluster::{
    ClockFault, Cluster, Completion, Fault, LinkFault, NodeId, RequestId, Rng, Timestamp,
};
use raft::{
    Change, Config, Error, ReadLevel, Recognition, Reply, Request, Response, Sequence, SessionId,
    Submission,
};

use crate::bed::{Bed, config};
use crate::journal::{History, Journal, What};

const MILLI: Duration = Duration::from_millis(1);
const SEEDS_OF_CHANGES: u64 = 300;

/// What happened in one storm.
pub(crate) struct Weather {
    pub(crate) answered: usize,
    pub(crate) leaders: usize,
    /// How many changes of the configuration were answered.
    pub(crate) changes: usize,
    /// How many disks were lost.
    pub(crate) wipes: usize,
}

struct Storm {
    bed: Bed,
    rng: Rng,
    history: History,
    asked: BTreeMap<RequestId, (Timestamp, Asked)>,
    values: u64,
    /// Leaders come and go faster than they can replicate, as in figure 8.
    is_restless: bool,
    with_session: bool,
    session: Option<SessionId>,
    /// The command of the session that is not answered yet, and when it was first asked.
    unanswered: Option<(Sequence, u64, Timestamp)>,
    sequence: Sequence,
    /// Every value that was sent in a session.
    once: Vec<u64>,
    /// Where somebody changes who takes part: what decides how.
    operator: Option<Rng>,
    /// Where disks are lost: what decides which.
    wiper: Option<Rng>,
    /// Who has lost a disk, and was not a voter on the new one when last looked at.
    wiped: BTreeSet<NodeId>,
    wipes: usize,
    changes: usize,
}

#[derive(Clone, Copy)]
enum Asked {
    Read,
    Write(u64),
    Open,
    Close,
    Submit(u64),
    Change,
}

/// Four seconds of storm and the calm after it. An error says what did not hold.
pub(crate) fn storm(seed: u64, config: Config<Journal>) -> Result<Weather, String> {
    // Clocks below differ by less than half.
    let config = match seed % 4 {
        0 => config.with_textbook_elections(),
        1 => config,
        _ => config.with_lease(500_000),
    };
    let operator = (seed % 3 == 1).then(|| Rng::from_seed(!seed));
    let wiper = (seed % 3 == 2).then(|| Rng::from_seed(!seed));
    storm_of(seed, config, operator, wiper)
}

/// The same, with elections as `config` has them, and nobody who changes who takes part.
#[cfg(feature = "mutants")]
pub(crate) fn storm_as_it_is(seed: u64, config: Config<Journal>) -> Result<Weather, String> {
    storm_of(seed, config, None, None)
}

fn storm_of(
    seed: u64,
    config: Config<Journal>,
    mut operator: Option<Rng>,
    wiper: Option<Rng>,
) -> Result<Weather, String> {
    let mut rng = Rng::from_seed(seed);
    let nodes = if rng.chance(500_000) { 3 } else { 5 };
    let is_restless = rng.chance(300_000);
    let mut options = Options::seeded(seed);
    if rng.chance(500_000) {
        options.sync = MILLI..=(if is_restless { 6 } else { 20 }) * MILLI;
    }
    let config = if is_restless {
        // So few at a time that a new leader's no-op comes well after what others began. (Disks are
        // quicker then, or those behind would never catch up.)
        config.with_entries_max(1 + rng.index(2)).with_inflight_max(1)
    } else if rng.chance(300_000) {
        config.with_entries_max(8 + rng.index(8)).with_inflight_max(1 + rng.index(3))
    } else {
        config
    };
    let config = if rng.chance(500_000) {
        let config = config.with_snapshot_every(2 + rng.below(30)).with_keep_behind(rng.below(8));
        let config = config.with_sessions_max(1 + rng.below(3) as u32);
        config.with_lag_max(8 + rng.below(40)).with_chunk_bytes(10 + rng.index(1_000))
    } else {
        config
    };
    let with_session = rng.chance(400_000);
    let config = match &mut operator {
        Some(operator) => config.with_voters(some(nodes, operator)),
        None => config,
    };
    let bed = Bed::with(nodes, config, options);
    let (history, asked) = (History::default(), BTreeMap::new());
    let mut storm = Storm {
        bed,
        rng,
        history,
        asked,
        values: 0,
        is_restless,
        with_session,
        session: None,
        unanswered: None,
        sequence: Sequence::ZERO,
        once: Vec::new(),
        operator,
        wiper,
        wiped: BTreeSet::new(),
        wipes: 0,
        changes: 0,
    };
    storm.rage();
    storm.calm()
}

impl Storm {
    fn rage(&mut self) {
        let end = Timestamp::from_millis(4_000);
        while self.bed.sim.now() < end && self.bed.violation.is_none() {
            let longest = if self.is_restless { 60 } else { 250 };
            let pause = self.rng.span(20 * MILLI..=longest * MILLI);
            self.work(self.bed.sim.now() + pause);
            let fault = if self.is_restless { self.coup() } else { self.fault() };
            let fault = self.loss().unwrap_or(fault);
            self.bed.inject(&fault);
            if fault == Fault::PowerLoss {
                for node in self.bed.members() {
                    self.bed.restart(node);
                }
            }
        }
    }

    /// Everything heals. There must be one leader soon, who serves, and all must become equal.
    fn calm(mut self) -> Result<Weather, String> {
        self.bed.inject(&Fault::Heal);
        self.bed.inject(&Fault::Links(LinkFault::default()));
        for node in self.bed.members() {
            self.bed.inject(&Fault::Resume { node });
            self.bed.restart(node);
        }
        let limit = self.bed.sim.now() + Duration::from_secs(5);
        let mut served = false;
        while !(served && self.all_vote() && self.is_equal()) {
            self.verdict()?;
            if self.bed.sim.now() >= limit {
                return Err(format!("five seconds of calm, and served: {served}"));
            }
            let leader = self.bed.leader();
            let before = self.history.done.len();
            if let Some(leader) = leader.filter(|_| !self.all_vote()) {
                let all = self.bed.members().into_iter().collect();
                let change = self.replaced().map_or(Change::Voters(all), Change::Renew);
                self.bed.sim.submit(leader, Request::Change(change));
            }
            if let Some(leader) = leader.filter(|_| !served) {
                self.ask(leader);
            }
            self.listen(self.bed.sim.now() + 20 * MILLI);
            served |= self.history.done.len() > before;
        }
        self.verdict()?;
        let leader = self.bed.leader().expect("it has served");
        let values = &self.bed.node(leader).machine().values;
        self.history.judge(values)?;
        for once in &self.once {
            let count = values.iter().filter(|&value| value == once).count();
            if count > 1 {
                return Err(format!("{once}, sent in a session, took effect {count} times"));
            }
        }
        let answered = self.history.done.len();
        let leaders = self.bed.monitor.leaders().len();
        Ok(Weather { answered, leaders, changes: self.changes, wipes: self.wipes })
    }

    /// Somebody whose disk was lost, and who is up and knows it.
    fn replaced(&self) -> Option<NodeId> {
        let is_replaced = |id: &NodeId| {
            let node = self.bed.sim.node(*id);
            node.is_some_and(|node| node.recognition() == Recognition::Replaced)
        };
        self.bed.members().into_iter().find(is_replaced)
    }

    /// Now and then, the loss of a disk: of so few that most have theirs, or were renewed since.
    fn loss(&mut self) -> Option<Fault> {
        if !self.wiper.as_mut()?.chance(80_000) {
            return None;
        }
        if let Some(leader) = self.bed.leader() {
            let leader = self.bed.node(leader);
            let settled = leader.configured_at() <= leader.commit_index();
            let configuration = leader.configuration();
            let votes = |id: &NodeId| {
                let disk = self.bed.sim.node(*id).map(|node| node.status().disk);
                disk.is_some_and(|disk| configuration.disk(*id) == disk)
            };
            if settled && !configuration.is_joint() {
                self.wiped.retain(|id| !votes(id));
            }
        }
        let members = self.bed.members();
        let node = *self.wiper.as_mut()?.pick(&members).expect("there are some");
        let others = self.wiped.iter().filter(|&&id| id != node).count();
        if others + 1 > (members.len() - 1) / 2 {
            return None;
        }
        self.wiped.insert(node);
        self.wipes += 1;
        Some(Fault::Wipe { node })
    }

    /// Whether all nodes vote, as far as the leader's log is committed.
    fn all_vote(&self) -> bool {
        self.bed.leader().is_some_and(|leader| {
            let node = self.bed.node(leader);
            let configuration = node.configuration();
            let committed = node.configured_at() <= node.commit_index();
            committed
                && !configuration.is_joint()
                && self.bed.members().iter().all(|member| configuration.voters().contains(member))
                && self.replaced().is_none()
        })
    }

    fn verdict(&self) -> Result<(), String> {
        match &self.bed.violation {
            Some(violation) => Err(violation.to_string()),
            None => Ok(()),
        }
    }

    /// Whether all nodes are up, and have applied the same journal up to the leader's end.
    fn is_equal(&self) -> bool {
        let Some(leader) = self.bed.leader() else { return false };
        let first = self.bed.node(leader);
        self.bed.members().iter().all(|&id| {
            self.bed.sim.node(id).is_some_and(|node| {
                node.applied_index() == first.last_index()
                    && node.machine().values == first.machine().values
            })
        })
    }

    /// A leader falls, or reaches one follower only; who fell before comes back with what it had begun.
    fn coup(&mut self) -> Fault {
        let mut members = self.bed.members();
        let any = *self.rng.pick(&members).expect("there are some");
        let leader = members.iter().copied().find(|&id| self.bed.sim.peek(id).leads());
        match (self.rng.below(4), leader) {
            (0, Some(node)) => Fault::Crash { node },
            (1, Some(leader)) => {
                self.rng.shuffle(&mut members);
                members.sort_by_key(|&id| id != leader);
                let rest = members.split_off(members.len() / 2);
                Fault::Partition { groups: vec![members, rest] }
            }
            (2, _) => Fault::Heal,
            (_, _) => Fault::Restart { node: any },
        }
    }

    fn fault(&mut self) -> Fault {
        let members = self.bed.members();
        let leader = members.iter().copied().find(|&id| self.bed.sim.peek(id).leads());
        any_fault(&mut self.rng, members, leader)
    }

    /// Clients ask now and then, mostly whom they think leads, until `until`.
    fn work(&mut self, until: Timestamp) {
        while self.bed.sim.now() < until {
            let members = self.bed.members();
            let leaders: Vec<NodeId> =
                members.iter().copied().filter(|&id| self.bed.sim.peek(id).leads()).collect();
            let any = *self.rng.pick(&members).expect("there are some");
            let node = self.rng.pick(&leaders).copied().unwrap_or(any);
            for _ in 0..1 + self.rng.below(4) {
                self.ask(node);
            }
            let pause = self.rng.span(Duration::ZERO..=8 * MILLI);
            self.listen((self.bed.sim.now() + pause).min(until));
        }
    }

    fn ask(&mut self, node: NodeId) {
        let now = self.bed.sim.now();
        if self.rng.chance(5_000) {
            let to = self.rng.pick(&self.bed.members()).copied().filter(|&to| to != node);
            self.bed.sim.submit(node, Request::Transfer { to });
            return;
        }
        if let Some(change) = self.change() {
            let id = self.bed.sim.submit(node, Request::Change(change));
            self.asked.insert(id, (now, Asked::Change));
            return;
        }
        let mut node = node;
        let (request, asked) = if self.rng.chance(400_000) {
            let levels = [ReadLevel::Index, ReadLevel::Lease, ReadLevel::Follower];
            let level = *self.rng.pick(&levels).expect("there are some");
            if level == ReadLevel::Follower {
                node = *self.rng.pick(&self.bed.members()).expect("there are some");
            }
            (Request::ReadAt(level, ()), Asked::Read)
        } else if self.with_session && self.rng.chance(300_000) {
            self.session_request(now)
        } else {
            self.values += 1;
            (Request::Write(self.values), Asked::Write(self.values))
        };
        let id = self.bed.sim.submit(node, request);
        self.asked.insert(id, (now, asked));
    }

    /// Now and then, what an operator might want.
    fn change(&mut self) -> Option<Change> {
        if let Some(wiper) = &mut self.wiper
            && wiper.chance(60_000)
        {
            return self.replaced().map(Change::Renew);
        }
        let operator = self.operator.as_mut()?;
        if !operator.chance(60_000) {
            return None;
        }
        let members = self.bed.members();
        let mut any = || *operator.pick(&members).expect("there are some");
        let (node, other) = (any(), any());
        Some(match operator.below(8) {
            0 => Change::AddLearner(node),
            1 => Change::Promote(node),
            2 => Change::Demote(node),
            3 | 4 => Change::Remove(node),
            5 => Change::AddVoter(node),
            6 => Change::Replace { old: node, new: other },
            _ => Change::Voters(some(members.len(), operator).into_iter().collect()),
        })
    }

    /// A command that is sent until it is answered.
    fn session_request(&mut self, now: Timestamp) -> (Request<Journal>, Asked) {
        let Some(session) = self.session else { return (Request::Open, Asked::Open) };
        if self.unanswered.is_none() && self.rng.chance(30_000) {
            // It leaves, and late copies of what it sent come after that.
            self.session = None;
            return (Request::Close(session), Asked::Close);
        }
        let (sequence, command, _) = *self.unanswered.get_or_insert_with(|| {
            self.values += 1;
            self.sequence = self.sequence.next();
            self.once.push(self.values);
            (self.sequence, self.values, now)
        });
        let submission = Submission { session, sequence, unanswered: sequence, command };
        (Request::Submit(submission), Asked::Submit(command))
    }

    fn listen(&mut self, until: Timestamp) {
        while let Some(completion) = self.bed.poll(until) {
            self.note(completion);
        }
    }

    fn note(&mut self, completion: Completion<Response<Journal>>) {
        let Some((asked, value)) = self.asked.remove(&completion.request) else { return };
        let what = match (completion.outcome, value) {
            (Ok(Ok(Reply::Written { output, .. })), Asked::Write(value)) => {
                What::Wrote { value, place: output }
            }
            (Ok(Ok(Reply::Written { output, .. })), Asked::Submit(value)) => {
                let Some((_, _, first)) = self.unanswered.take_if(|(_, it, _)| *it == value) else {
                    return;
                };
                let what = What::Wrote { value, place: output };
                return self.history.push(first, completion.at, what);
            }
            (Ok(Ok(Reply::Opened(session))), Asked::Open) => {
                if self.session.is_none() {
                    self.session = Some(session);
                    self.sequence = Sequence::ZERO;
                }
                return;
            }
            (Ok(Err(Error::SessionExpired)), Asked::Submit(value)) => {
                if self.unanswered.take_if(|(_, it, _)| *it == value).is_some() {
                    self.session = None;
                }
                return;
            }
            (Ok(Ok(Reply::Changed { .. })), Asked::Change) => {
                self.changes += 1;
                return;
            }
            (Ok(Ok(Reply::Closed)), Asked::Close) => return,
            (Ok(Ok(Reply::Answer(len))), Asked::Read) => What::Read { len },
            (Ok(Ok(reply)), _) => panic!("a strange answer: {reply:?}"),
            (Ok(Err(_)) | Err(_), _) => return,
        };
        self.history.push(asked, completion.at, what);
    }
}

/// Any of the faults, of `leader` rather than of another.
pub(crate) fn any_fault(rng: &mut Rng, members: Vec<NodeId>, leader: Option<NodeId>) -> Fault {
    let any = *rng.pick(&members).expect("there are some");
    let node = leader.filter(|_| rng.chance(500_000)).unwrap_or(any);
    match rng.below(12) {
        0 | 1 => Fault::Crash { node },
        2..=4 => Fault::Restart { node: any },
        5 => {
            let mut members = members;
            rng.shuffle(&mut members);
            let cut = 1 + rng.index(members.len() - 1);
            let rest = members.split_off(cut);
            Fault::Partition { groups: vec![members, rest] }
        }
        6 => Fault::Cut { from: vec![node], to: others(&members, node) },
        7 => Fault::Heal,
        8 => Fault::Links(LinkFault {
            loss_ppm: rng.below(200_000) as u32,
            duplicate_ppm: rng.below(200_000) as u32,
            delay_ppm: rng.below(500_000) as u32,
            delay_max: 100 * MILLI,
        }),
        9 => Fault::Pause { node },
        10 => Fault::Resume { node: any },
        _ if rng.chance(300_000) => Fault::PowerLoss,
        _ => {
            let drift_ppm = rng.below(400_000) as i32 - 200_000;
            Fault::Clock { node, clock: ClockFault { drift_ppm, jump_nanos: 0 } }
        }
    }
}

/// One node or more of so many.
fn some(count: usize, rng: &mut Rng) -> Vec<NodeId> {
    let mut nodes: Vec<NodeId> = (1..).take(count).map(NodeId::new).collect();
    rng.shuffle(&mut nodes);
    nodes.truncate(1 + rng.index(count));
    nodes
}

fn others(members: &[NodeId], node: NodeId) -> Vec<NodeId> {
    members.iter().copied().filter(|&other| other != node).collect()
}

#[test]
fn storms_end_well() {
    let (mut answered, mut leaders, mut changes) = (0, 0, 0);
    for seed in 0..150 {
        match storm(seed, config()) {
            Ok(weather) => {
                answered += weather.answered;
                leaders += weather.leaders;
                changes += weather.changes;
            }
            Err(what) => panic!("seed {seed}: {what}"),
        }
    }
    // No vacuous pass.
    assert!(answered > 150 * 20 && leaders > 150 * 2, "{answered} answers, {leaders} leaders");
    assert!(changes > 50 * 5, "{changes} changes of who takes part");
}

/// Disks are lost, of a minority at a time, and an operator has those nodes renewed when he hears of it.
/// `RAFT_STORMS` says how many storms.
#[test]
fn rr_571_storms_of_lost_disks_end_well() {
    let storms = std::env::var("RAFT_STORMS").ok().and_then(|it| it.parse().ok()).unwrap_or(300);
    let mut wipes = 0;
    for seed in (0..storms).map(|place| 2_000 + 3 * place) {
        match storm(seed, config()) {
            Ok(weather) => wipes += weather.wipes as u64,
            Err(what) => panic!("seed {seed}: {what}"),
        }
    }
    assert!(wipes > storms, "{wipes} disks lost");
}

/// "Disjoint majorities": an operator adds, removes and replaces nodes, many at once, at any leader,
/// in every storm.
#[test]
fn storms_of_changes_end_well() {
    let mut changes = 0;
    for seed in (0..SEEDS_OF_CHANGES).map(|place| 1_000 + 3 * place) {
        match storm(seed, config()) {
            Ok(weather) => changes += weather.changes as u64,
            Err(what) => panic!("seed {seed}: {what}"),
        }
    }
    assert!(changes > SEEDS_OF_CHANGES * 5, "{changes} changes of who takes part");
}
