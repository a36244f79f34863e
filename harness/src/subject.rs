//! An implementation under test: a [`Cluster`] that speaks the suite's language and can be looked
//! into, as far as its world allows.

use cluster::sim::{Sim, Stepped, TraceEvent};
use cluster::threads::Threads;
use cluster::{
    Cluster, Completion, Fault, InvalidConfig, Members, Node, NodeId, NodeState, Now, RequestId,
    Timestamp, Unsupported, threads,
};

use crate::guarantee::{Guarantee, Violation};
use crate::implementation::Setting;
use crate::sometimes::Marks;
use crate::vocabulary::{Answer, Op};

/// A running cluster under test. Object-safe: one table holds unlike implementations.
pub trait Subject: Cluster<Request = Op, Response = Answer> {
    /// What its world has seen broken so far, from the nodes' own states; the first of each
    /// guarantee. Empty in worlds that cannot look inside.
    fn violations(&self) -> &[Violation] {
        &[]
    }

    /// Whether nothing is on its way between replicas; none in worlds that cannot look inside.
    fn settled(&self) -> Option<bool> {
        None
    }

    /// Whether all replicas agree by now; none in worlds that cannot look inside.
    fn converged(&self) -> Option<Result<(), String>> {
        None
    }

    /// How many records are durable on the disk of `node`; none in worlds that cannot look inside.
    fn durable(&self, _node: NodeId) -> Option<usize> {
        None
    }

    /// A hash over everything that happened, in worlds that replay.
    fn digest(&self) -> Option<u64> {
        None
    }

    /// How many inputs nodes have handled, in worlds that count them.
    fn events(&self) -> u64 {
        0
    }

    /// The rare states that a full run must have been in, and which of them this one was in. None in
    /// worlds that cannot look inside.
    fn sometimes(&self) -> (&'static [&'static str], Marks) {
        (&[], Marks::default())
    }

    /// What each node has said on its outputs, the end of it, in worlds of processes.
    fn said(&self) -> Vec<(NodeId, String)> {
        Vec::new()
    }

    /// Tells `node` to stop, as by SIGTERM, in worlds of processes; it ends in its own time, and may be
    /// started again at once.
    ///
    /// # Errors
    /// [`Unsupported`] elsewhere.
    fn retire(&mut self, node: NodeId) -> Result<(), Unsupported> {
        let reason = "there is no process that could be told to stop";
        Err(Unsupported { fault: format!("the retirement of {node}"), reason })
    }

    /// From now on keep an event for everything that happens, in worlds that can.
    fn start_trace(&mut self) {}

    /// The events kept.
    fn take_trace(&mut self) -> Vec<TraceEvent> {
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

    /// What a node is asked before it is stopped, so that it hands over what it holds, if there is such a
    /// thing.
    fn farewell() -> Option<<Self::Node as Node>::Request> {
        None
    }

    /// Looks at the node that has just taken a step in the simulated world, and at as many of all
    /// nodes that are up as it takes.
    fn observe(
        monitor: &mut Self::Monitor,
        stepped: Seen<'_, Self::Node>,
        all: &mut dyn Iterator<Item = Seen<'_, Self::Node>>,
    ) -> Result<(), Violation>;

    /// The rare states that a full run must have been in, by name; at most 64. The first is "two nodes
    /// act as leader at once" where nodes lead.
    const SOMETIMES: &'static [&'static str] = &[];

    /// Which of them `monitor` has seen.
    fn marks(_monitor: &Self::Monitor) -> Marks {
        Marks::default()
    }

    /// Ticks off what a node's gauges show; asked now and then.
    fn notice_gauges(_gauges: &[(&'static str, u64)], _marks: &mut Marks) {}

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
    marks: Marks,
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
            marks: Marks::default(),
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
            self.marks.set(0);
        }
        let Some(stepped) = seen(sim, id) else { return };
        let mut all = self.members.iter().filter_map(|&id| seen(sim, id));
        if let Err(violation) = P::observe(&mut self.monitor, stepped, &mut all) {
            let what = format!("{}, at {:?}", violation.what, sim.now());
            self.report(Violation { what, ..violation });
        }
    }

    /// Looks at the gauges of the nodes that are up.
    fn look_at_gauges(&mut self, sim: &Sim<P::Node>) {
        for node in self.members.iter().filter_map(|&id| sim.node(id)) {
            P::notice_gauges(&node.gauges(), &mut self.marks);
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
        self.watch.look_at_gauges(&self.sim);
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

    fn durable(&self, node: NodeId) -> Option<usize> {
        Some(self.sim.durable(node).len())
    }

    fn sometimes(&self) -> (&'static [&'static str], Marks) {
        (P::SOMETIMES, self.watch.marks.and(P::marks(&self.watch.monitor)))
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

    fn take_trace(&mut self) -> Vec<TraceEvent> {
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

impl<P: Pattern> Subject for InThreads<P> {}

fn translate<P: Pattern>(
    completion: Completion<<P::Node as Node>::Response>,
) -> Completion<Answer> {
    let Completion { request, at, outcome } = completion;
    Completion { request, at, outcome: outcome.map(P::answer) }
}
