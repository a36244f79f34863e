//! A lock service in virtual time, watched at every step.

use std::collections::BTreeMap;
use std::time::Duration;

use cluster::sim::{Options, Sim, Stepped};
use cluster::{Cluster, Completion, Fault, Members, Node, NodeId, RequestId, Timestamp};
use dlock::invariants::Monitor;
use dlock::{
    AttemptId, Config, Error, Event, FencingToken, Grant, LockInfo, LockNode, Reply, Request,
    Response,
};

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// What happened is wrong, and how.
pub(crate) type Verdict = Result<(), String>;

/// Fails with `what` unless `holds`.
pub(crate) fn expect(holds: bool, what: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(what()) }
}

/// The simulated service, its monitor, and its answers.
pub(crate) struct World {
    pub(crate) sim: Sim<LockNode>,
    monitor: Monitor,
    /// What the monitor found first.
    violation: Option<String>,
    /// What has been answered and not been taken.
    answers: BTreeMap<RequestId, Completion<Response>>,
    /// The leases that ran out, and when the first node applied that.
    pub(crate) expired: BTreeMap<FencingToken, Timestamp>,
}

// Running.
impl World {
    pub(crate) fn new(config: &Config, nodes: usize, seed: u64) -> Self {
        let members = Members::first(nodes).expect("a sensible number of nodes");
        let sim = Sim::new(config.clone(), members, Options::seeded(seed)).expect("valid");
        Self {
            sim,
            monitor: Monitor::new(),
            violation: None,
            answers: BTreeMap::new(),
            expired: BTreeMap::new(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.sim.now()
    }

    /// Lets time pass, looking after every step.
    pub(crate) fn run_for(&mut self, span: Duration) -> Verdict {
        let Self { sim, monitor, violation, .. } = self;
        let until = sim.now() + span;
        loop {
            let completion = sim.poll_observed(until, |sim, step| {
                if let Stepped::Node(id) = step
                    && let Some(node) = sim.node(id)
                    && violation.is_none()
                {
                    let seen = monitor.observe_node(id, node);
                    *violation = seen.err().map(|broken| broken.to_string());
                }
            });
            match completion {
                Some(completion) => {
                    self.answers.insert(completion.request, completion);
                }
                None => break,
            }
        }
        for emitted in self.sim.take_emitted() {
            if let Event::Expired { token, .. } = emitted.event {
                self.expired.entry(token).or_insert(emitted.at);
            }
        }
        match &self.violation {
            Some(violation) => Err(violation.clone()),
            None => Ok(()),
        }
    }

    /// Lets time pass until `is_so`, for at most `span`; looks every millisecond.
    pub(crate) fn run_until(
        &mut self,
        span: Duration,
        what: &str,
        mut is_so: impl FnMut(&Self) -> bool,
    ) -> Verdict {
        let until = self.now() + span;
        while !is_so(self) {
            expect(self.now() < until, || format!("not within {span:?}: {what}"))?;
            self.run_for(ms(1))?;
        }
        Ok(())
    }

    pub(crate) fn inject(&mut self, fault: Fault) {
        self.sim.inject(&fault).expect("the simulation takes every fault");
    }
}

// Looking.
impl World {
    /// The node that leads in the latest term, if one does.
    pub(crate) fn leader(&self) -> Option<NodeId> {
        let leads = |id: &NodeId| self.sim.peek(*id).leads();
        let leaders = self.sim.members().iter().copied().filter(leads);
        leaders.max_by_key(|&id| self.sim.node(id).map(|node| node.raft().term()))
    }

    /// Waits for a leader that has committed something of its own.
    pub(crate) fn await_leader(&mut self) -> Result<NodeId, String> {
        self.run_until(ms(10_000), "a leader", |world| {
            world.leader().and_then(|id| world.sim.node(id)).is_some_and(|node| {
                let raft = node.raft();
                raft.leads_from().is_some_and(|first| raft.commit_index() >= first)
            })
        })?;
        Ok(self.leader().expect("just seen"))
    }

    pub(crate) fn followers(&self, leader: NodeId) -> Vec<NodeId> {
        self.sim.members().iter().copied().filter(|&id| id != leader).collect()
    }
}

// Asking.
impl World {
    pub(crate) fn submit(&mut self, node: NodeId, request: Request) -> RequestId {
        self.sim.submit(node, request)
    }

    /// The answer to `request`, if it has come.
    pub(crate) fn take_answer(&mut self, request: RequestId) -> Option<Completion<Response>> {
        self.answers.remove(&request)
    }

    /// Waits for the answer of the node itself.
    pub(crate) fn answer(
        &mut self,
        request: RequestId,
        span: Duration,
    ) -> Result<Response, String> {
        let what = format!("an answer to {request:?}");
        self.run_until(span, &what, |world| world.answers.contains_key(&request))?;
        let completion = self.take_answer(request).expect("just seen");
        completion.outcome.map_err(|lost| format!("{what}: {lost}"))
    }

    /// Asks whoever leads until somebody answers. The request must be one that can be repeated.
    pub(crate) fn ask(&mut self, request: Request) -> Result<Response, String> {
        let until = self.now() + ms(20_000);
        while self.now() < until {
            let node = self.await_leader()?;
            let id = self.submit(node, request.clone());
            let answered = self.answer(id, ms(5_000));
            if let Some(violation) = &self.violation {
                return Err(violation.clone());
            }
            match answered {
                Ok(response) if LockNode::redirect(&response).is_some() => {}
                Ok(Err(Error::Unknown)) => {}
                Ok(response) => return Ok(response),
                Err(_) => {}
            }
            self.run_for(ms(5))?;
        }
        Err(format!("nobody answers {request:?}"))
    }

    pub(crate) fn grant(&mut self, request: Request) -> Result<Grant, String> {
        granted(&request.clone(), self.ask(request)?)
    }

    pub(crate) fn is_locked(&mut self, resource: &str) -> Result<bool, String> {
        match self.ask(Request::IsLocked { resource: resource.into() })? {
            Ok(Reply::Locked(locked)) => Ok(locked),
            other => Err(format!("is it locked? {other:?}")),
        }
    }

    pub(crate) fn info(&mut self, resource: &str) -> Result<Option<LockInfo>, String> {
        match self.ask(Request::Info { resource: resource.into() })? {
            Ok(Reply::Info(info)) => Ok(info),
            other => Err(format!("info? {other:?}")),
        }
    }
}

/// The grant in `response`, or a complaint.
pub(crate) fn granted(request: &Request, response: Response) -> Result<Grant, String> {
    match response {
        Ok(Reply::Acquired(grant)) => Ok(grant),
        other => Err(format!("{request:?} was answered {other:?}")),
    }
}

// Requests, in short.
pub(crate) fn take(resource: &str, owner: &str, attempt: u64, ttl: u64) -> Request {
    let (resource, owner) = (resource.into(), owner.into());
    Request::TryAcquire { resource, owner, attempt: AttemptId::new(attempt), ttl: Some(ms(ttl)) }
}

pub(crate) fn wait_for(resource: &str, owner: &str, attempt: u64, ttl: u64, wait: u64) -> Request {
    Request::Acquire {
        resource: resource.into(),
        owner: owner.into(),
        attempt: AttemptId::new(attempt),
        ttl: Some(ms(ttl)),
        wait: ms(wait),
    }
}

pub(crate) fn release(resource: &str, owner: &str, token: FencingToken) -> Request {
    Request::Release { resource: resource.into(), owner: owner.into(), token, attempt: None }
}

pub(crate) fn release_hold(
    resource: &str,
    owner: &str,
    token: FencingToken,
    attempt: u64,
) -> Request {
    let attempt = Some(AttemptId::new(attempt));
    Request::Release { resource: resource.into(), owner: owner.into(), token, attempt }
}

pub(crate) fn renew(resource: &str, owner: &str, token: FencingToken, ttl: u64) -> Request {
    Request::Renew { resource: resource.into(), owner: owner.into(), token, ttl: Some(ms(ttl)) }
}

pub(crate) fn cancel(resource: &str, owner: &str, attempt: u64) -> Request {
    let attempt = AttemptId::new(attempt);
    Request::Cancel { resource: resource.into(), owner: owner.into(), attempt }
}
