//! `dlock`, with everything at its defaults but for shorter leases.

use std::time::Duration;

use ::dlock::invariants::Monitor;
use ::dlock::{
    AttemptId, Config, Error, FencingToken, LockNode, Owner, Reply, Request, Resource, Response,
};

use crate::guarantee::{Guarantee, Violation};
use crate::implementation::{Implementation, NODE_WORLDS, Workload, majority, start_with};
use crate::sometimes::{Marks, Onlooker, dlock as sometimes};
use crate::subject::{Pattern, Seen};
use crate::vocabulary::{Answer, Op, Outcome, Refusal};

/// Locks as they come, but for the shortest TTL, and for how often they take snapshots: often enough
/// that a run of seconds has many.
pub fn dlock() -> Implementation {
    let config = Config::default().with_ttl_min(Duration::from_millis(100));
    let config = config.with_snapshot_every(40).with_keep_behind(8);
    with(config.clone()).among_processes::<Locks>(config)
}

/// Locks, configured so.
pub fn with(config: Config) -> Implementation {
    Implementation {
        name: "dlock",
        summary: "a lock table replicated by raft; leases and fencing tokens",
        claims: &[
            Guarantee::ElectionSafety,
            Guarantee::LeaderAgreement,
            Guarantee::LogMatching,
            Guarantee::LeaderCompleteness,
            Guarantee::StateMachineSafety,
            Guarantee::LeaseExclusion,
            Guarantee::FencedMutualExclusion,
            Guarantee::ExactlyOnce,
            Guarantee::Linearizability,
            Guarantee::DeadlockFreedom,
            Guarantee::FirstComeFirstServed,
            Guarantee::Availability,
        ],
        // No lock service can: a client that is paused past its lease does not know it.
        disclaims: &[Guarantee::MutualExclusion],
        workload: Workload::Locks,
        reads: &[],
        reconfigures: false,
        witness: |_| false,
        worlds: NODE_WORLDS,
        nodes: 5,
        service_needs: majority,
        grace: Duration::from_millis(1_200),
        start: start_with::<Locks>(config),
        serve: None,
    }
}

/// The words and invariants of [`dlock()`].
struct Locks;

fn resource(lock: u32) -> Resource {
    Resource::new(format!("lock {lock}"))
}

fn owner(owner: u32) -> Owner {
    Owner::new(format!("client {owner}"))
}

impl Pattern for Locks {
    type Node = LockNode;
    type Monitor = Onlooker<Monitor, sometimes::Last>;

    const SOMETIMES: &'static [&'static str] = sometimes::CATALOGUE;

    fn request(op: Op) -> Request {
        match op {
            Op::Acquire { lock, owner: who, attempt, ttl, wait } => {
                let (resource, owner) = (resource(lock), owner(who));
                let (attempt, ttl) = (AttemptId::new(attempt), Some(ttl));
                if wait.is_zero() {
                    Request::TryAcquire { resource, owner, attempt, ttl }
                } else {
                    Request::Acquire { resource, owner, attempt, ttl, wait }
                }
            }
            Op::Renew { lock, owner: who, token, ttl } => Request::Renew {
                resource: resource(lock),
                owner: owner(who),
                token: FencingToken::new(token),
                ttl: Some(ttl),
            },
            Op::Release { lock, owner: who, token } => Request::Release {
                resource: resource(lock),
                owner: owner(who),
                token: FencingToken::new(token),
                attempt: None,
            },
            Op::Inspect { lock } => Request::Info { resource: resource(lock) },
            Op::Lead
            | Op::Read { .. }
            | Op::Write { .. }
            | Op::Open
            | Op::Change(_)
            | Op::Committed => {
                unreachable!("a lock workload asks for locks")
            }
        }
    }

    fn farewell() -> Option<Request> {
        Some(Request::HandOver)
    }

    fn answer(response: Response) -> Answer {
        match response {
            Ok(Reply::Acquired(grant)) => Ok(Outcome::Acquired {
                token: grant.token.get(),
                arrival: grant.arrival.get(),
                valid_for: grant.valid_for,
            }),
            Ok(Reply::Renewed { valid_for, .. }) => Ok(Outcome::Renewed { valid_for }),
            Ok(Reply::Released { remaining_holds }) => {
                Ok(Outcome::Released { holds_left: remaining_holds })
            }
            Ok(Reply::Info(info)) => {
                Ok(Outcome::Holder { token: info.map(|info| info.token.get()) })
            }
            Ok(
                Reply::Cancelled | Reply::Locked(_) | Reply::Locks(_) | Reply::HandedOver { .. },
            ) => Err(Refusal::Unknown),
            Err(error) => Err(match error {
                Error::Held { .. } | Error::WaitTimedOut | Error::Cancelled => Refusal::Busy,
                Error::QueueFull { .. } | Error::TooManyHolds { .. } => Refusal::Busy,
                Error::NotHolder | Error::StaleToken { .. } | Error::InvalidTtl { .. } => {
                    Refusal::NotHolder
                }
                Error::NotLeader { leader } => Refusal::NotLeader(leader),
                Error::Overloaded => Refusal::Unavailable,
                Error::Unknown | Error::NotHandedOver => Refusal::Unknown,
            }),
        }
    }

    fn marks(onlooker: &Self::Monitor) -> Marks {
        onlooker.marks
    }

    fn observe(
        onlooker: &mut Self::Monitor,
        stepped: Seen<'_, Self::Node>,
        _all: &mut dyn Iterator<Item = Seen<'_, Self::Node>>,
    ) -> Result<(), Violation> {
        let (id, node, _) = stepped;
        let (last, marks) = onlooker.of(id);
        sometimes::notice(last, stepped, marks);
        onlooker.monitor.observe_node(id, node).map_err(|broken| {
            let otherwise = match broken.guarantee {
                "fencing" => Guarantee::FencedMutualExclusion,
                _ => Guarantee::StateMachineSafety,
            };
            super::violation(broken.guarantee, broken.what, otherwise)
        })
    }
}
