//! The lock service: every schedule of a lock taken, asked about, and handed on.

use std::hash::{Hash, Hasher};
use std::time::Duration;

use cluster::explore::{
    Ask, Bounds, Broken, Clocks, Disk, Ended, Fingerprint, Frame, Happened, Limits, Model, Play,
    Property, Report, Step, View,
};
use cluster::{Members, NodeId};
use dlock::{AttemptId, Config, Error, LockNode, Owner, Reply, Request, Resource, Response};

use super::atomic::{Atomic, Does, Says};
#[cfg(feature = "mutants")]
use super::hunt::Stage;
use super::locks::{DEADLOCK_FREEDOM, MUTUAL_EXCLUSION};
use super::{Expected, Run};

const N1: NodeId = NodeId::new(1);

fn acquire(owner: &str, ttl: Duration, wait: Option<Duration>) -> Request {
    let (resource, owner) = (Resource::new("x"), Owner::new(owner));
    let (attempt, ttl) = (AttemptId::new(1), Some(ttl));
    match wait {
        None => Request::TryAcquire { resource, owner, attempt, ttl },
        Some(wait) => Request::Acquire { resource, owner, attempt, ttl, wait },
    }
}

fn is_locked() -> Request {
    Request::IsLocked { resource: Resource::new("x") }
}

/// A lock that nobody lets go, and that nobody keeps for so long that its lease ends, is a register
/// that is written once.
fn does(request: &Request) -> Does {
    match request {
        Request::TryAcquire { .. } | Request::Acquire { .. } => Does::Write(1),
        Request::IsLocked { .. } => Does::Read,
        Request::Release { .. }
        | Request::Renew { .. }
        | Request::Cancel { .. }
        | Request::Info { .. }
        | Request::List
        | Request::HandOver => Does::Nothing,
    }
}

fn says(response: &Response) -> Says {
    match response {
        Ok(Reply::Acquired(_)) => Says::Written,
        Ok(Reply::Locked(locked)) => Says::Saw(locked.then_some(1)),
        Ok(_) | Err(Error::Unknown) => Says::Unknown,
        Err(_) => Says::Refused,
    }
}

/// Of those who ask for the lock, one is told that it holds it: nobody lets go, and no lease ends.
#[derive(Clone, Copy, Default)]
struct OneHolder {
    holder: Option<usize>,
}

impl Property<LockNode> for OneHolder {
    fn observe(
        &mut self,
        _view: &View<'_, LockNode>,
        happened: &Happened<'_, LockNode>,
    ) -> Result<(), Broken> {
        for (request, ended) in happened.ended {
            if !matches!(ended, Ended::Answered(Ok(Reply::Acquired(_)))) {
                continue;
            }
            let holder = *self.holder.get_or_insert(*request);
            if holder != *request {
                let what = format!("r{holder} and r{request} were told that they hold the lock");
                return Err(Broken { guarantee: MUTUAL_EXCLUSION, what });
            }
        }
        Ok(())
    }

    fn fingerprint(&self, _frame: &Frame<'_>, into: &mut Fingerprint) {
        self.holder.hash(into);
    }
}

/// Every request that was asked has been answered in the end.
#[derive(Clone, Copy, Default)]
struct Served {
    /// One bit each.
    open: u32,
}

impl Property<LockNode> for Served {
    fn observe(
        &mut self,
        _view: &View<'_, LockNode>,
        happened: &Happened<'_, LockNode>,
    ) -> Result<(), Broken> {
        if let Step::Asked { request, .. } = happened.step {
            self.open |= 1 << request;
        }
        for (request, ended) in happened.ended {
            match ended {
                Ended::Answered(_) | Ended::Lost => self.open &= !(1 << request),
            }
        }
        Ok(())
    }

    fn end(&self, _view: &View<'_, LockNode>) -> Result<(), Broken> {
        if self.open == 0 {
            return Ok(());
        }
        let request = self.open.trailing_zeros();
        let what = format!("r{request} still waits in the end");
        Err(Broken { guarantee: DEADLOCK_FREEDOM, what })
    }

    fn fingerprint(&self, _frame: &Frame<'_>, into: &mut Fingerprint) {
        into.write_u32(self.open);
    }
}

fn explore(
    config: Config,
    nodes: usize,
    script: Vec<Ask<Request>>,
    opening: Vec<Play>,
    bounds: Bounds,
    property: impl Property<LockNode>,
    limits: &Limits,
) -> Report {
    let members = Members::first(nodes).expect("a few nodes");
    let model = Model { config, members, script, opening, bounds };
    model.explore(property, limits).expect("a model that makes sense")
}

const HOUR: Duration = Duration::from_secs(3600);

/// `n1` leads, and a heartbeat later: the log's time has begun.
const LED: [Play; 4] = [Play::Fire(N1), Play::Settle, Play::Fire(N1), Play::Settle];

fn one_election() -> Bounds {
    let clocks = Clocks::Free { firings: 1, firings_each: 1 };
    Bounds { clocks, disk: Disk::Instant, ..Bounds::default() }
}

/// A lock is taken, and another asks for it, beside an election.
pub(super) fn failover(config: Config, limits: &Limits) -> Report {
    let script = vec![
        Ask::anyone(acquire("ann", HOUR, None)),
        Ask::anyone(acquire("bob", HOUR, None)).after(0),
    ];
    let property = OneHolder::default();
    explore(config, 3, script, LED.to_vec(), one_election(), property, limits)
}

/// A lock is taken, then asked about, beside an election.
pub(super) fn reads(config: Config, limits: &Limits) -> Report {
    let script = vec![Ask::anyone(acquire("ann", HOUR, None)), Ask::anyone(is_locked()).after(0)];
    let register = Atomic::new(script.iter().map(|ask| does(&ask.request)), says);
    explore(config, 3, script, LED.to_vec(), one_election(), register, limits)
}

/// One node, clocks alike: a lease ends, and the next in line is served, though nobody asks.
pub(super) fn alone(config: Config, limits: &Limits) -> Report {
    let millis = Duration::from_millis;
    let script = vec![
        Ask::anyone(acquire("ann", millis(60), None)),
        Ask::anyone(acquire("bob", millis(60), Some(HOUR))),
    ];
    let opening =
        vec![Play::Fire(N1), Play::Settle, Play::Ask(0, N1), Play::Ask(1, N1), Play::Settle];
    let clocks = Clocks::Alike { ticks: 6, delay_max: 0, faults_before: 0 };
    let bounds = Bounds { clocks, ..Bounds::default() };
    explore(config, 1, script, opening, bounds, Served::default(), limits)
}

/// The runs that are part of every build.
pub(super) const RUNS: &[Run] = &[
    Run {
        pattern: "dlock",
        name: "service, failover",
        about: "3 nodes with a leader: a lock is taken, another asks for it; an election",
        expected: Expected::Holds,
        explore: |limits| failover(super::locks::config(), limits),
    },
    Run {
        pattern: "dlock",
        name: "service, reads",
        about: "3 nodes with a leader: a lock is taken, then asked about; an election",
        expected: Expected::Holds,
        explore: |limits| reads(super::locks::config(), limits),
    },
    Run {
        pattern: "dlock",
        name: "service, alone",
        about: "1 node, clocks alike: a lease ends, and the next in line is served",
        expected: Expected::Holds,
        explore: |limits| alone(super::locks::config(), limits),
    },
];

/// Where a planted bug should show, in the service.
#[cfg(feature = "mutants")]
pub(super) fn stages(mutant: dlock::Mutant) -> Vec<Stage<Config>> {
    use dlock::Mutant;
    let stage = |name, explore| Stage { name, explore };
    match mutant {
        Mutant::AnswersBeforeCommit | Mutant::LeasesLostOnFailover => {
            vec![stage("service, failover", failover)]
        }
        Mutant::LocalReads => vec![stage("service, reads", reads)],
        Mutant::NeverTicks | Mutant::TicksTwice => vec![stage("service, alone", alone)],
        // A table that reads a clock is no function of the log, and cannot be searched.
        Mutant::OwnClockExpiry
        | Mutant::TokenForgottenWhenFree
        | Mutant::TokenKeptOnRegrant
        | Mutant::ReleaseByAnyone
        | Mutant::ReleaseByAnyToken
        | Mutant::RenewalAfterExpiry
        | Mutant::RetryCountedTwice
        | Mutant::GhostWaiters
        | Mutant::LastComeFirstServed => Vec::new(),
    }
}
