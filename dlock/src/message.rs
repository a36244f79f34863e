//! What clients ask and are told, and what goes into the log.

use std::time::Duration;

use cluster::NodeId;
use raft::Term;
use serde::{Deserialize, Serialize};

use crate::{Arrival, AttemptId, Error, FencingToken, LogTime, Owner, Resource};

/// What clients ask.
///
/// A TTL of none means the configured default; one out of the configured bounds is refused with
/// [`Error::InvalidTtl`]. Every request but a release of [`None`] may be sent again after a lost
/// answer without taking effect twice (a renewal counts again, and extends again).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Take the lock if it is free or the owner holds it already; else [`Error::Held`], at once.
    TryAcquire {
        /// Which lock.
        resource: Resource,
        /// For whom.
        owner: Owner,
        /// Unique among the owner's; the same again for a retry.
        attempt: AttemptId,
        /// How long the lease lasts.
        ttl: Option<Duration>,
    },
    /// Take the lock, or wait in line for it. The answer comes when the lock is granted or the wait
    /// has ended.
    Acquire {
        /// Which lock.
        resource: Resource,
        /// For whom.
        owner: Owner,
        /// Unique among the owner's. A retry keeps the place in line, and the first deadline.
        attempt: AttemptId,
        /// How long the lease lasts, from the grant on.
        ttl: Option<Duration>,
        /// How long to wait, in log time. Zero does not wait.
        wait: Duration,
    },
    /// Give a hold back. The lock comes free when the owner has given back every hold.
    Release {
        /// Which lock.
        resource: Resource,
        /// Who holds it.
        owner: Owner,
        /// By which grant.
        token: FencingToken,
        /// Which hold: the one that this attempt took. A retry then finds it gone
        /// ([`Error::NotHolder`]) and takes nothing else. None: the one taken last; after a lost
        /// answer that is safe to repeat only for an owner with a single hold.
        attempt: Option<AttemptId>,
    },
    /// Let the lease last for `ttl` from now, if that is later than it would end anyway. Refused
    /// when it has ended.
    Renew {
        /// Which lock.
        resource: Resource,
        /// Who holds it.
        owner: Owner,
        /// By which grant.
        token: FencingToken,
        /// For how long.
        ttl: Option<Duration>,
    },
    /// End an attempt, whatever has become of it: take it out of the queue, or give its hold back.
    /// If it has not arrived yet it will be refused when it does, as long as it is among the last
    /// [`LockTable::ENDED_MAX`](crate::LockTable::ENDED_MAX) attempts that ended without a grant.
    Cancel {
        /// Which lock.
        resource: Resource,
        /// Whose attempt.
        owner: Owner,
        /// Which.
        attempt: AttemptId,
    },
    /// Is it locked?
    IsLocked {
        /// Which lock.
        resource: Resource,
    },
    /// All there is to know about one lock.
    Info {
        /// Which lock.
        resource: Resource,
    },
    /// All locks that are held.
    List,
    /// Let another node lead: the one that is best prepared. Asked of the leader, before it is stopped:
    /// then nobody has to wait until it is missed. Changes no lock.
    HandOver,
}

/// What clients are answered.
pub type Response = Result<Reply, Error>;

/// The answer to a request that was not refused.
///
/// Those that show the table do so as the log has it when the question arrives at the leader, or
/// later (they are linearizable). A lease whose end has come but has not been replicated yet, a
/// matter of one round, still shows as locked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// The owner holds the lock.
    Acquired(Grant),
    /// The hold was given back.
    Released {
        /// How many the owner has left; the lock is free for others when there are none.
        remaining_holds: u32,
    },
    /// The lease was extended.
    Renewed {
        /// How often it was renewed since the grant.
        renewals: u64,
        /// How long the lease lasts at least, counted from the moment the request was sent.
        valid_for: Duration,
    },
    /// The attempt is over.
    Cancelled,
    /// Whether the resource is locked.
    Locked(bool),
    /// The lock; none if it is free.
    Info(Option<LockInfo>),
    /// All locks that are held, by name of the resource.
    Locks(Vec<LockInfo>),
    /// Another node leads now.
    HandedOver {
        /// Which.
        to: NodeId,
    },
}

/// A lock that was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Grant {
    /// Its number; the same for all holds of one owner until the lock comes free.
    pub token: FencingToken,
    /// When the acquire that took the lock had come; later holds of the same owner share it.
    pub arrival: Arrival,
    /// What the lease was granted for.
    pub ttl: Duration,
    /// How often the owner holds the lock, this time included.
    pub holds: u32,
    /// How long the lease lasts at least, **counted from the moment the request was sent**, not from
    /// the moment this answer arrived. After a wait it is longer than `ttl` by the wait; for a
    /// retried attempt it is what is left.
    pub valid_for: Duration,
}

/// A lock that is held, as seen by whoever asks.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LockInfo {
    /// What is locked.
    pub resource: Resource,
    /// Who holds it.
    pub owner: Owner,
    /// By which grant.
    pub token: FencingToken,
    /// How often.
    pub holds: u32,
    /// How often the lease was renewed.
    pub renewals: u64,
    /// What the lease was granted or last renewed for.
    pub ttl: Duration,
    /// How long it has been held, by the log's time.
    pub held_for: Duration,
    /// What is left of the lease unless it is renewed, by the answering leader's estimate of the
    /// log's time. Zero: its end has come and is being replicated.
    pub remaining: Duration,
    /// How many attempts wait for it.
    pub waiters: usize,
}

/// One entry of the replicated log: what to do, and when.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Command {
    /// The log's time when the leader took the request. Never less than in the command before.
    pub at: LogTime,
    /// What to do.
    pub action: Action,
}

/// What a [`Command`] does. TTLs are resolved and checked by the leader before they enter the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// [`Request::TryAcquire`], or [`Request::Acquire`] if there is a `wait`.
    Acquire {
        /// Which lock.
        resource: Resource,
        /// For whom.
        owner: Owner,
        /// Unique among the owner's.
        attempt: AttemptId,
        /// How long the lease lasts.
        ttl: Duration,
        /// How long to wait; none: do not queue.
        wait: Option<Duration>,
    },
    /// [`Request::Release`].
    Release {
        /// Which lock.
        resource: Resource,
        /// Who holds it.
        owner: Owner,
        /// By which grant.
        token: FencingToken,
        /// Which hold.
        attempt: Option<AttemptId>,
    },
    /// [`Request::Renew`].
    Renew {
        /// Which lock.
        resource: Resource,
        /// Who holds it.
        owner: Owner,
        /// By which grant.
        token: FencingToken,
        /// For how long.
        ttl: Duration,
    },
    /// [`Request::Cancel`].
    Cancel {
        /// Which lock.
        resource: Resource,
        /// Whose attempt.
        owner: Owner,
        /// Which.
        attempt: AttemptId,
    },
    /// Time has passed: end what is due.
    Tick,
}

/// What a node tells the application that embeds it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// This node leads from now on.
    ElectedLeader {
        /// In which term.
        term: Term,
    },
    /// This node leads no more.
    SteppedDown {
        /// In which term it had led.
        term: Term,
    },
    /// This node has learnt who leads.
    Follows {
        /// The leader.
        leader: NodeId,
        /// The term it leads in.
        term: Term,
    },
    /// A lease ran out. Every node says so, when it applies the command that ended it.
    Expired {
        /// Of which lock.
        resource: Resource,
        /// Whose.
        owner: Owner,
        /// Which grant.
        token: FencingToken,
    },
}

impl Event {
    /// What its log tells of a node, if users of locks care.
    pub(crate) fn of_log(event: raft::Event) -> Option<Self> {
        match event {
            raft::Event::ElectedLeader { term } => Some(Self::ElectedLeader { term }),
            raft::Event::SteppedDown { term } => Some(Self::SteppedDown { term }),
            raft::Event::Follows { leader, term } => Some(Self::Follows { leader, term }),
            raft::Event::SnapshotTaken { .. } | raft::Event::SnapshotInstalled { .. } => None,
        }
    }
}
