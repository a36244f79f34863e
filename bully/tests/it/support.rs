//! A simulated cluster under watch.

use std::time::Duration;

use bully::{Answer, Bully, Config, Event, Monitor, Request, Response, Violation};
use cluster::sim::{Emitted, Options, Sim};
use cluster::{Cluster, Epoch, Fault, LinkFault, Members, NodeId, Rng, Role, Timestamp};

/// The default configuration's timeout.
pub(crate) const TIMEOUT: Duration = Duration::from_millis(300);

pub(crate) fn n(number: u32) -> NodeId {
    NodeId::new(number)
}

pub(crate) fn ns(numbers: impl IntoIterator<Item = u32>) -> Vec<NodeId> {
    numbers.into_iter().map(NodeId::new).collect()
}

pub(crate) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A cluster, its monitor, and the first promise of each kind that it broke.
pub(crate) struct Run {
    pub(crate) sim: Sim<Bully>,
    pub(crate) events: Vec<Emitted<Event>>,
    monitor: Monitor,
    violations: Vec<Violation>,
    seed: u64,
}

impl Run {
    pub(crate) fn new(config: Config, nodes: usize, seed: u64) -> Self {
        Self::with(config, nodes, Options::seeded(seed))
    }

    pub(crate) fn with(config: Config, nodes: usize, options: Options) -> Self {
        let seed = options.seed;
        let sim = Sim::new(config, Members::first(nodes).unwrap(), options).unwrap();
        Self { sim, events: Vec::new(), monitor: Monitor::new(), violations: Vec::new(), seed }
    }

    /// Lets `span` of true time pass, looking at every node after every step.
    pub(crate) fn pass(&mut self, span: Duration) {
        let until = self.sim.now() + span;
        while self.poll(until).is_some() {}
    }

    /// Lets time pass until `done` or, at the latest, until `within` has passed. Returns whether
    /// it is done.
    pub(crate) fn pass_until(
        &mut self,
        within: Duration,
        mut done: impl FnMut(&Self) -> bool,
    ) -> bool {
        let until = self.sim.now() + within;
        while self.sim.now() < until {
            if done(self) {
                return true;
            }
            self.pass(millis(1));
        }
        done(self)
    }

    fn poll(&mut self, until: Timestamp) -> Option<cluster::Completion<Response>> {
        let Self { sim, monitor, violations, .. } = self;
        let completion = sim.poll_observed(until, |sim, _| {
            let nodes =
                sim.members().iter().filter_map(|&id| Some((id, sim.node(id)?, sim.clock(id))));
            if let Err(Violation { guarantee, what }) = monitor.observe(nodes)
                && violations.iter().all(|known| known.guarantee != guarantee)
            {
                let what = format!("{what}, at {:?}", sim.now());
                violations.push(Violation { guarantee, what });
            }
        });
        self.events.extend(self.sim.take_emitted());
        completion
    }

    /// Asks `node` and waits for its answer.
    pub(crate) fn ask(&mut self, node: NodeId, request: Request) -> Response {
        let id = self.sim.submit(node, request);
        let until = self.sim.now() + Duration::from_secs(60);
        loop {
            let completion = self.poll(until).expect("an answer within a minute");
            if completion.request == id {
                return completion.outcome.expect("the node is up");
            }
        }
    }

    pub(crate) fn inject(&mut self, fault: Fault) {
        self.sim.inject(&fault).unwrap();
    }

    pub(crate) fn crash(&mut self, node: u32) {
        self.inject(Fault::Crash { node: n(node) });
    }

    pub(crate) fn restart(&mut self, node: u32) {
        self.inject(Fault::Restart { node: n(node) });
    }

    pub(crate) fn cut(&mut self, from: &[u32], to: &[u32]) {
        let ids = |nodes: &[u32]| ns(nodes.iter().copied());
        self.inject(Fault::Cut { from: ids(from), to: ids(to) });
    }

    pub(crate) fn partition(&mut self, groups: &[&[u32]]) {
        let groups = groups.iter().map(|group| ns(group.iter().copied())).collect();
        self.inject(Fault::Partition { groups });
    }

    pub(crate) fn heal(&mut self) {
        self.inject(Fault::Heal);
    }

    pub(crate) fn links(&mut self, loss: u32, duplicate: u32, delay: u32, delay_max: Duration) {
        self.inject(Fault::Links(LinkFault {
            loss_ppm: loss,
            duplicate_ppm: duplicate,
            delay_ppm: delay,
            delay_max,
        }));
    }

    /// Who acts as leader, in true time.
    pub(crate) fn acting(&self) -> Vec<NodeId> {
        let nodes = self.sim.members().iter().copied();
        nodes.filter(|&id| self.sim.peek(id).leads()).collect()
    }

    pub(crate) fn leader_of(&self, node: u32) -> Option<NodeId> {
        self.sim.peek(n(node)).standing().and_then(|standing| standing.leader)
    }

    pub(crate) fn role_of(&self, node: u32) -> Option<Role> {
        self.sim.peek(n(node)).standing().map(|standing| standing.role)
    }

    pub(crate) fn epoch_of(&self, node: u32) -> Epoch {
        self.sim.peek(n(node)).standing().expect("up").epoch
    }

    /// Whether `leader` acts, and each of `nodes` names it.
    pub(crate) fn agree_on(&self, leader: u32, nodes: impl IntoIterator<Item = u32>) -> bool {
        self.sim.peek(n(leader)).leads()
            && nodes.into_iter().all(|node| self.leader_of(node) == Some(n(leader)))
    }

    /// Waits until they do, at most ten timeouts.
    #[track_caller]
    pub(crate) fn expect_agreement(
        &mut self,
        leader: u32,
        nodes: impl IntoIterator<Item = u32> + Clone,
    ) {
        let agreed = self.pass_until(TIMEOUT * 10, |run| run.agree_on(leader, nodes.clone()));
        let named: Vec<_> = nodes.into_iter().map(|node| (n(node), self.leader_of(node))).collect();
        assert!(agreed, "seed {}: expected n{leader} to lead, named are {named:?}", self.seed);
    }

    pub(crate) fn broken(&self, guarantee: &str) -> Option<&Violation> {
        self.violations.iter().find(|violation| violation.guarantee == guarantee)
    }

    #[track_caller]
    pub(crate) fn expect_safe(&self) {
        assert!(self.violations.is_empty(), "seed {}: {:#?}", self.seed, self.violations);
    }

    /// How often a node was elected so far.
    pub(crate) fn elections(&self) -> usize {
        let elected = |event: &&Emitted<Event>| matches!(event.event, Event::Elected { .. });
        self.events.iter().filter(elected).count()
    }
}

/// Runs `scenario` for each seed, and expects the run to have kept its promises.
#[track_caller]
pub(crate) fn check(
    config: &Config,
    nodes: usize,
    seeds: std::ops::Range<u64>,
    scenario: impl Fn(&mut Run),
) {
    for seed in seeds {
        let mut run = Run::new(config.clone(), nodes, seed);
        scenario(&mut run);
        run.expect_safe();
    }
}

/// The answer of a node that was asked who leads.
pub(crate) fn named(response: Response) -> Option<NodeId> {
    match response {
        Ok(Answer::Leader { leader, .. }) => leader,
        other => panic!("expected the name of a leader, got {other:?}"),
    }
}

/// Everything that can go wrong, chosen by `rng`.
pub(crate) fn any_fault(rng: &mut Rng, members: &[NodeId], drift_ppm_max: i32) -> Fault {
    let node = *rng.pick(members).unwrap();
    let mut shuffled = members.to_vec();
    rng.shuffle(&mut shuffled);
    let split = rng.index(members.len());
    let (left, right) = (shuffled[..split].to_vec(), shuffled[split..].to_vec());
    match rng.below(20) {
        0..=2 => Fault::Crash { node },
        3..=7 => Fault::Restart { node },
        8 => Fault::Pause { node },
        9..=10 => Fault::Resume { node },
        11 if rng.chance(300_000) => Fault::PowerLoss,
        11..=12 => Fault::Partition { groups: vec![left, right] },
        13 => Fault::Cut { from: vec![node], to: right },
        14..=15 => Fault::Heal,
        16..=17 => Fault::Links(LinkFault {
            loss_ppm: rng.below(300_000) as u32,
            duplicate_ppm: rng.below(300_000) as u32,
            delay_ppm: rng.below(500_000) as u32,
            delay_max: rng.span(Duration::ZERO..=TIMEOUT * 2),
        }),
        _ => {
            let extremes = [-drift_ppm_max, drift_ppm_max, 0];
            let drift_ppm = *rng.pick(&extremes).unwrap();
            let jump_nanos = rng.next() as i64 / 1_000;
            Fault::Clock { node, clock: cluster::ClockFault { drift_ppm, jump_nanos } }
        }
    }
}

/// Ends every fault.
pub(crate) fn calm(run: &mut Run) {
    run.heal();
    run.links(0, 0, 0, Duration::ZERO);
    for node in run.sim.members().to_vec() {
        run.inject(Fault::Resume { node });
        run.inject(Fault::Restart { node });
        run.inject(Fault::Clock { node, clock: cluster::ClockFault::default() });
    }
}
