//! Clients under every fault that the simulated world has, chosen by seed; then calm.

use std::collections::BTreeMap;
use std::time::Duration;

use cluster::sim::Options;
use cluster::{
    ClockFault, Cluster, Completion, Fault, LinkFault, NodeId, RequestId, Rng, Timestamp,
};
use raft::{Config, Reply, Request, Response};

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
    asked: BTreeMap<RequestId, (Timestamp, Option<u64>)>,
    values: u64,
}

/// Four seconds of storm and the calm after it. An error says what did not hold.
pub(crate) fn storm(seed: u64, config: Config<Journal>) -> Result<Weather, String> {
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
        config.with_lag_max(8 + rng.below(40)).with_chunk_bytes(10 + rng.index(1_000))
    } else {
        config
    };
    let bed = Bed::with(nodes, config, options);
    let (history, asked) = (History::default(), BTreeMap::new());
    let mut storm = Storm { bed, rng, history, asked, values: 0 };
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
        if self.rng.chance(400_000) {
            let id = self.bed.sim.submit(node, Request::Read(()));
            self.asked.insert(id, (now, None));
        } else {
            self.values += 1;
            let id = self.bed.submit(node, self.values);
            self.asked.insert(id, (now, Some(self.values)));
        }
    }

    fn listen(&mut self, until: Timestamp) {
        while let Some(completion) = self.bed.poll(until) {
            self.note(completion);
        }
    }

    fn note(&mut self, completion: Completion<Response<Journal>>) {
        let Some((asked, value)) = self.asked.remove(&completion.request) else { return };
        let what = match (completion.outcome, value) {
            (Ok(Ok(Reply::Written { output, .. })), Some(value)) => {
                What::Wrote { value, place: output }
            }
            (Ok(Ok(Reply::Answer(len))), None) => What::Read { len },
            (Ok(Ok(reply)), value) => panic!("{reply:?} to {value:?}"),
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
