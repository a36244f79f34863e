//! Clients under every fault that the simulated world has, chosen by seed; then calm.

use std::collections::BTreeMap;
use std::time::Duration;

use cluster::sim::Options;
use cluster::{
    ClockFault, Cluster, Completion, Fault, LinkFault, NodeId, RequestId, Rng, Timestamp,
};
use raft::{Config, Error, ReadLevel, Reply, Request, Response, Sequence, SessionId, Submission};

use crate::bed::{Bed, config};
use crate::journal::{History, Journal, What};

const MILLI: Duration = Duration::from_millis(1);

/// What happened in one storm.
pub(crate) struct Weather {
    pub(crate) answered: usize,
    pub(crate) leaders: usize,
}

struct Storm {
    bed: Bed,
    rng: Rng,
    history: History,
    asked: BTreeMap<RequestId, (Timestamp, Asked)>,
    values: u64,
    with_session: bool,
    session: Option<SessionId>,
    /// The command of the session that is not answered yet, and when it was first asked.
    unanswered: Option<(Sequence, u64, Timestamp)>,
    sequence: Sequence,
    /// Every value that was sent in a session.
    once: Vec<u64>,
}

#[derive(Clone, Copy)]
enum Asked {
    Read,
    Write(u64),
    Open,
    Close,
    Submit(u64),
}

/// Four seconds of storm and the calm after it. An error says what did not hold.
pub(crate) fn storm(seed: u64, config: Config<Journal>) -> Result<Weather, String> {
    // Clocks below differ by less than half.
    let config = match seed % 4 {
        0 => config.with_textbook_elections(),
        1 => config,
        _ => config.with_lease(500_000),
    };
    storm_as_it_is(seed, config)
}

/// The same, with elections as `config` has them.
pub(crate) fn storm_as_it_is(seed: u64, config: Config<Journal>) -> Result<Weather, String> {
    let mut rng = Rng::from_seed(seed);
    let nodes = if rng.chance(500_000) { 3 } else { 5 };
    let mut options = Options::seeded(seed);
    if rng.chance(500_000) {
        options.sync = MILLI..=20 * MILLI;
    }
    let config = if rng.chance(300_000) {
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
    let bed = Bed::with(nodes, config, options);
    let (history, asked) = (History::default(), BTreeMap::new());
    let mut storm = Storm {
        bed,
        rng,
        history,
        asked,
        values: 0,
        with_session,
        session: None,
        unanswered: None,
        sequence: Sequence::ZERO,
        once: Vec::new(),
    };
    storm.rage();
    storm.calm()
}

impl Storm {
    fn rage(&mut self) {
        let end = Timestamp::from_millis(4_000);
        while self.bed.sim.now() < end && self.bed.violation.is_none() {
            let pause = self.rng.span(20 * MILLI..=250 * MILLI);
            self.work(self.bed.sim.now() + pause);
            let fault = self.fault();
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
        while !(served && self.is_equal()) {
            self.verdict()?;
            if self.bed.sim.now() >= limit {
                return Err(format!("five seconds of calm, and served: {served}"));
            }
            let leader = self.bed.leader();
            let before = self.history.done.len();
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
        Ok(Weather { answered, leaders: self.bed.monitor.leaders().len() })
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

    fn fault(&mut self) -> Fault {
        let members = self.bed.members();
        let leader = members.iter().copied().find(|&id| self.bed.sim.peek(id).leads());
        let any = *self.rng.pick(&members).expect("there are some");
        let node = leader.filter(|_| self.rng.chance(500_000)).unwrap_or(any);
        match self.rng.below(12) {
            0 | 1 => Fault::Crash { node },
            2..=4 => Fault::Restart { node: any },
            5 => {
                let mut members = members;
                self.rng.shuffle(&mut members);
                let cut = 1 + self.rng.index(members.len() - 1);
                let rest = members.split_off(cut);
                Fault::Partition { groups: vec![members, rest] }
            }
            6 => Fault::Cut { from: vec![node], to: others(&members, node) },
            7 => Fault::Heal,
            8 => Fault::Links(LinkFault {
                loss_ppm: self.rng.below(200_000) as u32,
                duplicate_ppm: self.rng.below(200_000) as u32,
                delay_ppm: self.rng.below(500_000) as u32,
                delay_max: 100 * MILLI,
            }),
            9 => Fault::Pause { node },
            10 => Fault::Resume { node: any },
            _ if self.rng.chance(300_000) => Fault::PowerLoss,
            _ => {
                let drift_ppm = self.rng.below(400_000) as i32 - 200_000;
                Fault::Clock { node, clock: ClockFault { drift_ppm, jump_nanos: 0 } }
            }
        }
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
            (Ok(Ok(Reply::Closed)), Asked::Close) => return,
            (Ok(Ok(Reply::Answer(len))), Asked::Read) => What::Read { len },
            (Ok(Ok(reply)), _) => panic!("a strange answer: {reply:?}"),
            (Ok(Err(_)) | Err(_), _) => return,
        };
        self.history.push(asked, completion.at, what);
    }
}

fn others(members: &[NodeId], node: NodeId) -> Vec<NodeId> {
    members.iter().copied().filter(|&other| other != node).collect()
}

#[test]
fn storms_end_well() {
    let (mut answered, mut leaders) = (0, 0);
    for seed in 0..150 {
        match storm(seed, config()) {
            Ok(weather) => {
                answered += weather.answered;
                leaders += weather.leaders;
            }
            Err(what) => panic!("seed {seed}: {what}"),
        }
    }
    // No vacuous pass.
    assert!(answered > 150 * 20 && leaders > 150 * 2, "{answered} answers, {leaders} leaders");
}
