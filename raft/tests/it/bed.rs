//! A simulated cluster with the monitor looking on after every step.

use std::time::Duration;

use cluster::sim::{Options, Sim, Stepped};
use cluster::{Cluster, Completion, Fault, Members, NoAnswer, NodeId, RequestId, Timestamp};
use raft::invariants::{Monitor, Violation};
use raft::{Config, LogIndex, Raft, Reply, Request, Response};

use crate::journal::Journal;

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) struct Bed {
    pub(crate) sim: Sim<Raft<Journal>>,
    pub(crate) monitor: Monitor<Journal>,
    pub(crate) violation: Option<Violation>,
    cut_off: Vec<NodeId>,
}

pub(crate) fn config() -> Config<Journal> {
    Config::new(Journal::default())
}

impl Bed {
    pub(crate) fn new(nodes: usize, seed: u64) -> Self {
        Self::with(nodes, config(), Options::seeded(seed))
    }

    pub(crate) fn with(nodes: usize, config: Config<Journal>, options: Options) -> Self {
        let sim = Sim::new(config, Members::first(nodes).unwrap(), options).unwrap();
        Self { sim, monitor: Monitor::new(), violation: None, cut_off: Vec::new() }
    }

    pub(crate) fn node(&self, id: NodeId) -> &Raft<Journal> {
        self.sim.node(id).expect("it is up")
    }

    pub(crate) fn members(&self) -> Vec<NodeId> {
        self.sim.members().to_vec()
    }

    pub(crate) fn poll(&mut self, until: Timestamp) -> Option<Completion<Response<Journal>>> {
        let Self { sim, monitor, violation, .. } = self;
        sim.poll_observed(until, |sim, step| {
            if let Stepped::Node(id) = step
                && let Some(node) = sim.node(id)
                && violation.is_none()
            {
                *violation = monitor.observe_node(id, node).err();
            }
        })
    }

    /// Lets so much time pass, forgetting answers.
    #[track_caller]
    pub(crate) fn run(&mut self, span: Duration) {
        let until = self.sim.now() + span;
        while self.poll(until).is_some() {}
        self.assert_safe();
    }

    #[track_caller]
    pub(crate) fn assert_safe(&self) {
        assert_eq!(self.violation, None, "at {:?}", self.sim.now());
    }

    /// Lets time pass until `done`; panics if that takes longer than `limit`.
    #[track_caller]
    pub(crate) fn wait(&mut self, what: &str, limit: Duration, done: impl Fn(&Self) -> bool) {
        let until = self.sim.now() + limit;
        while !done(self) {
            assert!(self.sim.now() < until, "no {what} within {limit:?}");
            let next = self.sim.now() + Duration::from_millis(1);
            while self.poll(next).is_some() {}
            self.assert_safe();
        }
    }

    /// Of the nodes that are up and connected, the leader of the highest term.
    pub(crate) fn leader(&self) -> Option<NodeId> {
        let connected = self.members().into_iter().filter(|id| !self.cut_off.contains(id));
        let leaders = connected.filter(|&id| self.sim.peek(id).leads());
        leaders.max_by_key(|&id| self.node(id).term())
    }

    /// Waits for a leader that a majority of those connected follows.
    #[track_caller]
    pub(crate) fn await_leader(&mut self) -> NodeId {
        self.wait("leader", 5 * SECOND, |bed| {
            let Some(leader) = bed.leader() else { return false };
            let follows = |&id: &NodeId| {
                let standing = bed.sim.peek(id).standing();
                standing.is_some_and(|standing| standing.leader == Some(leader))
            };
            bed.members().iter().filter(|&id| follows(id)).count() > bed.members().len() / 2
        });
        self.leader().expect("just seen")
    }

    pub(crate) fn submit(&mut self, node: NodeId, value: u64) -> RequestId {
        self.sim.submit(node, Request::Write(value))
    }

    /// What `node` answers to `request` within `limit`, dropping other answers.
    pub(crate) fn ask(
        &mut self,
        node: NodeId,
        request: Request<Journal>,
        limit: Duration,
    ) -> Option<Result<Response<Journal>, NoAnswer>> {
        let id = self.sim.submit(node, request);
        let until = self.sim.now() + limit;
        while let Some(completion) = self.poll(until) {
            if completion.request == id {
                return Some(completion.outcome);
            }
        }
        None
    }

    /// Writes `value` at whoever leads, retrying for five seconds, and returns its place. The value
    /// may end up in the journal more than once.
    #[track_caller]
    pub(crate) fn write(&mut self, value: u64) -> usize {
        let until = self.sim.now() + 5 * SECOND;
        loop {
            assert!(self.sim.now() < until, "{value} could not be written");
            self.assert_safe();
            let Some(leader) = self.leader() else {
                self.run(Duration::from_millis(10));
                continue;
            };
            match self.ask(leader, Request::Write(value), SECOND) {
                Some(Ok(Ok(Reply::Written { output, .. }))) => return output,
                Some(Ok(Ok(Reply::Opened(_) | Reply::Answer(_) | Reply::Committed(_)))) => {
                    panic!("a strange answer")
                }
                Some(Ok(Err(_)) | Err(_)) | None => {}
            }
        }
    }

    #[track_caller]
    pub(crate) fn inject(&mut self, fault: &Fault) {
        self.sim.inject(fault).unwrap();
    }

    pub(crate) fn crash(&mut self, node: NodeId) {
        self.inject(&Fault::Crash { node });
    }

    pub(crate) fn restart(&mut self, node: NodeId) {
        self.inject(&Fault::Restart { node });
    }

    /// Cuts `nodes`, one by one, off from everyone; all others are connected.
    pub(crate) fn cut_off(&mut self, nodes: &[NodeId]) {
        self.inject(&Fault::Heal);
        for &node in nodes {
            let others: Vec<NodeId> =
                self.members().into_iter().filter(|&other| other != node).collect();
            self.inject(&Fault::Partition { groups: vec![vec![node], others] });
        }
        self.cut_off = nodes.to_vec();
    }

    /// Waits until every node that is up has applied everything that any has committed, and all
    /// journals are equal; returns the journal.
    #[track_caller]
    pub(crate) fn await_convergence(&mut self) -> Vec<u64> {
        self.wait("convergence", 5 * SECOND, |bed| {
            let committed = bed.monitor.committed().len() as u64;
            let last = bed.leader().map(|id| bed.node(id).last_index());
            last == Some(LogIndex::new(committed))
                && bed
                    .members()
                    .iter()
                    .filter_map(|&id| bed.sim.node(id))
                    .all(|node| node.applied_index().get() == committed)
        });
        let journals: Vec<Vec<u64>> = (self.members().iter())
            .filter_map(|&id| Some(self.sim.node(id)?.machine().values.clone()))
            .collect();
        for journal in &journals {
            assert_eq!(journal, &journals[0], "journals differ");
        }
        journals.into_iter().next().expect("a node is up")
    }
}
