//! An implementation under test: a [`Cluster`] that speaks the suite's language and can be looked
//! into, as far as its world allows.

use cluster::sim::{Sim, Stepped};
use cluster::threads::Threads;
use cluster::{
    Cluster, Completion, Fault, InvalidConfig, Members, Node, NodeId, NodeState, Now, RequestId,
    Timestamp, Unsupported, threads,
};

use crate::guarantee::{Guarantee, Violation};
use crate::implementation::Setting;
use crate::vocabulary::{Answer, Op};

/// A running cluster under test. Object-safe: one table holds unlike implementations.
pub trait Subject: Cluster<Request = Op, Response = Answer> {
    /// What its world has seen broken so far, from the nodes' own states; the first of each
    /// guarantee. Empty in worlds that cannot look inside.
    fn violations(&self) -> &[Violation];

    /// Whether nothing is on its way between replicas; none in worlds that cannot look inside.
    fn settled(&self) -> Option<bool>;

    /// Whether all replicas agree by now; none in worlds that cannot look inside.
    fn converged(&self) -> Option<Result<(), String>>;

    /// A hash over everything that happened, in worlds that replay.
    fn digest(&self) -> Option<u64>;

    /// How many inputs nodes have handled, in worlds that count them.
    fn events(&self) -> u64;

    /// From now on keep a line for everything that happens, in worlds that can.
    fn start_trace(&mut self) {}

    /// The lines kept.
    fn take_trace(&mut self) -> Vec<String> {
        Vec::new()
    }
}

/// How a [`Node`] joins the suite: its words, and its invariants.
pub trait Pattern: Send + Sync + 'static {
    /// The node.
    type Node: Node;
    /// Watches the nodes' states over one run.
    type Monitor: Default + Send;

    /// The node's word for `op`. Workloads ask only what the implementation's kind can be asked.
    fn request(op: Op) -> <Self::Node as Node>::Request;

    /// The suite's word for `response`.
    fn answer(response: <Self::Node as Node>::Response) -> Answer;

    /// Looks at the node that has just taken a step in the simulated world, and at as many of all
    /// nodes that are up as it takes.
    fn observe(
        monitor: &mut Self::Monitor,
        stepped: Seen<'_, Self::Node>,
        all: &mut dyn Iterator<Item = Seen<'_, Self::Node>>,
    ) -> Result<(), Violation>;

    /// Whether nothing is on its way between replicas: no request under way, no hint kept.
    fn settled(_nodes: &mut dyn Iterator<Item = Seen<'_, Self::Node>>) -> bool {
        true
    }

    /// Whether all replicas agree; asked at the end of a run, with all nodes up.
    fn converged(_nodes: &mut dyn Iterator<Item = Seen<'_, Self::Node>>) -> Result<(), String> {
        Ok(())
    }
}

/// A node that is up, seen from outside: its name, itself, and what its clocks show.
pub type Seen<'a, N> = (NodeId, &'a N, Now);

/// A [`Pattern`] in the simulated world.
pub struct InSim<P: Pattern> {
    sim: Sim<P::Node>,
    watch: Watch<P>,
}

/// What watches a simulation from outside while it steps.
struct Watch<P: Pattern> {
    members: Vec<NodeId>,
    monitor: P::Monitor,
    violations: Vec<Violation>,
}

impl<P: Pattern> InSim<P> {
    /// A cluster as `setting` says.
    ///
    /// # Errors
    /// What the node says of its configuration.
    pub fn start(
        config: <P::Node as Node>::Config,
        setting: &Setting,
    ) -> Result<Self, InvalidConfig> {
        let members = Members::first(setting.nodes)?;
        let watch = Watch {
            members: members.as_slice().to_vec(),
            monitor: P::Monitor::default(),
            violations: Vec::new(),
        };
        let sim = Sim::new(config, members, setting.sim.clone())?;
        Ok(Self { sim, watch })
    }
}

impl<P: Pattern> Watch<P> {
    fn look(&mut self, sim: &Sim<P::Node>, step: Stepped) {
        let Stepped::Node(id) = step else { return };
        let leaders = self.members.iter().filter(|&&id| sim.peek(id).leads());
        if leaders.clone().count() > 1 {
            let leaders: Vec<_> = leaders.collect();
            let what = format!("{leaders:?} act as leader at once, at {:?}", sim.now());
            self.report(Violation::new(Guarantee::NoSplitBrain, what));
        }
        let Some(stepped) = seen(sim, id) else { return };
        let mut all = self.members.iter().filter_map(|&id| seen(sim, id));
        if let Err(violation) = P::observe(&mut self.monitor, stepped, &mut all) {
            let what = format!("{}, at {:?}", violation.what, sim.now());
            self.report(Violation { what, ..violation });
        }
    }

    fn report(&mut self, violation: Violation) {
        if self.violations.iter().all(|known| known.guarantee != violation.guarantee) {
            self.violations.push(violation);
        }
    }
}

fn seen<N: Node>(sim: &Sim<N>, id: NodeId) -> Option<Seen<'_, N>> {
    Some((id, sim.node(id)?, sim.clock(id)))
}

impl<P: Pattern> Cluster for InSim<P> {
    type Request = Op;
    type Response = Answer;

    fn members(&self) -> &[NodeId] {
        self.sim.members()
    }

    fn now(&self) -> Timestamp {
        self.sim.now()
    }

    fn submit(&mut self, node: NodeId, request: Op) -> RequestId {
        self.sim.submit(node, P::request(request))
    }

    fn poll(&mut self, until: Timestamp) -> Option<Completion<Answer>> {
        let watch = &mut self.watch;
        self.sim.poll_observed(until, |sim, step| watch.look(sim, step)).map(translate::<P>)
    }

    fn state(&mut self, node: NodeId) -> NodeState {
        self.sim.state(node)
    }

    fn inject(&mut self, fault: &Fault) -> Result<(), Unsupported> {
        self.sim.inject(fault)?;
        // Nodes may have run: one that was started, or that goes on.
        for id in self.watch.members.clone() {
            self.watch.look(&self.sim, Stepped::Node(id));
        }
        Ok(())
    }
}

impl<P: Pattern> Subject for InSim<P> {
    fn violations(&self) -> &[Violation] {
        &self.watch.violations
    }

    fn settled(&self) -> Option<bool> {
        let mut all = self.watch.members.iter().filter_map(|&id| seen(&self.sim, id));
        Some(P::settled(&mut all))
    }

    fn converged(&self) -> Option<Result<(), String>> {
        let mut all = self.watch.members.iter().filter_map(|&id| seen(&self.sim, id));
        Some(P::converged(&mut all))
    }

    fn digest(&self) -> Option<u64> {
        Some(self.sim.digest())
    }

    fn events(&self) -> u64 {
        self.sim.events()
    }

    fn start_trace(&mut self) {
        self.sim.start_trace();
    }

    fn take_trace(&mut self) -> Vec<String> {
        self.sim.take_trace()
    }
}

/// A [`Pattern`] in the threads world.
pub struct InThreads<P: Pattern> {
    threads: Threads<P::Node>,
}

impl<P: Pattern> InThreads<P> {
    /// A cluster of as many nodes as `setting` says; its seed decides what is not left to the
    /// scheduler.
    ///
    /// # Errors
    /// What the node says of its configuration.
    pub fn start(
        config: <P::Node as Node>::Config,
        setting: &Setting,
    ) -> Result<Self, InvalidConfig> {
        let options = threads::Options { seed: setting.sim.seed, ..threads::Options::default() };
        let threads = Threads::start(config, Members::first(setting.nodes)?, options)?;
        Ok(Self { threads })
    }
}

impl<P: Pattern> Cluster for InThreads<P> {
    type Request = Op;
    type Response = Answer;

    fn members(&self) -> &[NodeId] {
        self.threads.members()
    }

    fn now(&self) -> Timestamp {
        self.threads.now()
    }

    fn submit(&mut self, node: NodeId, request: Op) -> RequestId {
        self.threads.submit(node, P::request(request))
    }

    fn poll(&mut self, until: Timestamp) -> Option<Completion<Answer>> {
        self.threads.poll(until).map(translate::<P>)
    }

    fn state(&mut self, node: NodeId) -> NodeState {
        self.threads.state(node)
    }

    fn inject(&mut self, fault: &Fault) -> Result<(), Unsupported> {
        self.threads.inject(fault)
    }
}

impl<P: Pattern> Subject for InThreads<P> {
    fn violations(&self) -> &[Violation] {
        &[]
    }

    fn settled(&self) -> Option<bool> {
        None
    }

    fn converged(&self) -> Option<Result<(), String>> {
        None
    }

    fn digest(&self) -> Option<u64> {
        None
    }

    fn events(&self) -> u64 {
        0
    }
}

fn translate<P: Pattern>(
    completion: Completion<<P::Node as Node>::Response>,
) -> Completion<Answer> {
    let Completion { request, at, outcome } = completion;
    Completion { request, at, outcome: outcome.map(P::answer) }
}
