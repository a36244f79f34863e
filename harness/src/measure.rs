//! Measurements that are the same for every implementation: how soon it serves, how soon again
//! after its leader died, how quickly, and how much at once.
//!
//! Times are the cluster's own: virtual in the simulated world, so that they measure the protocol
//! and not the machine; real in the threads world.

use std::collections::HashSet;
use std::time::Duration;

use cluster::{Fault, InvalidConfig, NodeId, RequestId, Timestamp};

use crate::implementation::{Implementation, Setting, Workload, World};
use crate::subject::Subject;
use crate::vocabulary::{Op, Refusal};

/// Nothing that is measured takes longer, or the measurement fails.
const GIVE_UP: Duration = Duration::from_secs(60);
/// How long to wait for one node: longer than a round trip to a disk, shorter than an election.
const PATIENCE: Duration = Duration::from_millis(20);
/// How often a client asks while nobody serves.
const RETRY: Duration = Duration::from_millis(1);

/// A cluster ready to be measured.
pub struct Bench {
    subject: Box<dyn Subject>,
    workload: Workload,
    node: NodeId,
    count: u64,
}

/// What could not be measured, and why.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MeasureError {
    /// The implementation cannot be configured so.
    #[error(transparent)]
    Config(#[from] InvalidConfig),
    /// Nobody served within the bound.
    #[error("no request was served within {0:?}")]
    NoService(Duration),
    /// It cannot take the fault that is to be measured.
    #[error(transparent)]
    Unsupported(#[from] cluster::Unsupported),
}

impl Bench {
    /// Starts a cluster of `nodes` nodes.
    ///
    /// # Errors
    /// [`MeasureError::Config`].
    pub fn start(
        implementation: &Implementation,
        world: World,
        nodes: usize,
        seed: u64,
    ) -> Result<Self, MeasureError> {
        let subject = (implementation.start)(&Setting::new(world, nodes, seed))?;
        let node = subject.members()[0];
        Ok(Self { subject, workload: implementation.workload, node, count: 0 })
    }

    /// Inputs that nodes have handled so far, in worlds that count them.
    pub fn events(&self) -> u64 {
        self.subject.events()
    }

    /// Asks until a request is served; the time that took. A leader, if there is one, is known
    /// afterwards.
    ///
    /// # Errors
    /// [`MeasureError::NoService`].
    pub fn until_served(&mut self) -> Result<Duration, MeasureError> {
        let start = self.subject.now();
        while self.subject.now() < start + GIVE_UP {
            let op = self.next_op();
            let request = self.subject.submit(self.node, op);
            let retry_at = self.subject.now() + PATIENCE;
            match self.await_answer(request, retry_at) {
                Some(Some(served_at)) => return Ok(served_at.since(start)),
                Some(None) => {
                    let rest = self.subject.now() + RETRY;
                    while self.subject.poll(rest).is_some() {}
                }
                None => self.ask_next(),
            }
        }
        Err(MeasureError::NoService(GIVE_UP))
    }

    /// Crashes the leader (in patterns without one, the node that clients ask) and waits until a
    /// request is served again; the time that took.
    ///
    /// # Errors
    /// [`MeasureError::NoService`], [`MeasureError::Unsupported`].
    pub fn failover(&mut self) -> Result<Duration, MeasureError> {
        let members = self.subject.members().to_vec();
        let leader = members.iter().copied().find(|&node| self.subject.state(node).leads());
        let victim = leader.unwrap_or(self.node);
        let crashed_at = self.subject.now();
        self.subject.inject(&Fault::Crash { node: victim })?;
        if self.node == victim {
            self.ask_next();
        }
        self.until_served()?;
        Ok(self.subject.now().since(crashed_at))
    }

    /// Keeps `in_flight` requests under way until `count` of them were served; the time that took.
    ///
    /// # Errors
    /// [`MeasureError::NoService`], when the cluster stops serving.
    pub fn serve(&mut self, count: u64, in_flight: usize) -> Result<Duration, MeasureError> {
        let start = self.subject.now();
        let mut served = 0;
        let mut asked: HashSet<RequestId> = HashSet::new();
        let mut progress_at = start;
        while served < count {
            if self.subject.now() > progress_at + GIVE_UP {
                return Err(MeasureError::NoService(GIVE_UP));
            }
            while asked.len() < in_flight && (asked.len() as u64) < count - served {
                let op = self.next_op();
                asked.insert(self.subject.submit(self.node, op));
            }
            let Some(completion) = self.subject.poll(self.subject.now() + GIVE_UP) else {
                return Err(MeasureError::NoService(GIVE_UP));
            };
            if asked.remove(&completion.request) {
                match completion.outcome {
                    Ok(Ok(_)) => {
                        served += 1;
                        progress_at = completion.at;
                    }
                    Ok(Err(Refusal::NotLeader(Some(leader)))) => self.node = leader,
                    Ok(Err(
                        Refusal::NotLeader(None)
                        | Refusal::Unavailable
                        | Refusal::Busy
                        | Refusal::NotHolder
                        | Refusal::Unknown,
                    ))
                    | Err(_) => self.ask_next(),
                }
            }
        }
        Ok(self.subject.now().since(start))
    }

    /// The answer to `request`, if it comes by `until`: when it was served, or none if it was not.
    fn await_answer(&mut self, request: RequestId, until: Timestamp) -> Option<Option<Timestamp>> {
        while let Some(completion) = self.subject.poll(until) {
            if completion.request != request {
                continue;
            }
            return Some(match completion.outcome {
                Ok(Ok(_)) => Some(completion.at),
                Ok(Err(Refusal::NotLeader(Some(leader)))) if leader != self.node => {
                    self.node = leader;
                    None
                }
                Ok(Err(_)) | Err(_) => {
                    self.ask_next();
                    None
                }
            });
        }
        None
    }

    fn ask_next(&mut self) {
        let members = self.subject.members();
        let place = members.iter().position(|&node| node == self.node).unwrap_or(0);
        self.node = members[(place + 1) % members.len()];
    }

    /// The plainest request of the workload: who leads, a write, a lock.
    fn next_op(&mut self) -> Op {
        self.count += 1;
        match self.workload {
            Workload::Elections => Op::Lead,
            Workload::Registers => {
                let key = (self.count % 64) as u32;
                Op::Write { key, value: self.count, ticket: None }
            }
            // A lock that nobody else wants, so that what is measured is the lock service.
            Workload::Locks => Op::Acquire {
                lock: (self.count % (1 << 31)) as u32,
                owner: 1,
                attempt: self.count,
                ttl: Duration::from_secs(30),
                wait: Duration::ZERO,
            },
        }
    }
}
