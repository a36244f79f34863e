//! Blocking calls from any thread, to nodes of any world.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use cluster::NodeId;
use cluster::threads::{CallError, Client};

use crate::{
    AttemptId, Error, FencingToken, Grant, LockInfo, LockNode, Owner, Reply, Request, Resource,
};

/// How long to wait before asking around again when nobody knows a leader.
const BACKOFF: Duration = Duration::from_millis(5);
/// A call is not begun with less time left than this (or half its patience): to leave it at once
/// would make a request that nobody took one of unknown effect.
const LEAST: Duration = Duration::from_millis(50);
/// How much longer than the wait it asked for a client waits for the answer.
const GRACE: Duration = Duration::from_millis(200);

/// One owner's handle on a lock service: blocking calls, retried until they are answered.
///
/// Use one a thread. Handles of one owner share its locks.
pub struct Locks {
    client: Client<LockNode>,
    owner: Owner,
    attempts: u64,
    /// How long a call is retried.
    patience: Duration,
    /// How long one node may be silent before another is asked.
    silence_max: Duration,
    drift_ppm: u32,
    /// Who answered last.
    preferred: NodeId,
}

/// A lock that is held, as its holder knows it.
///
/// It is not released by being dropped: give it to [`Locks::release`], or let it run out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// What is locked.
    pub resource: Resource,
    /// The grant's number, to show to what the lock protects.
    pub token: FencingToken,
    /// Which hold this is.
    pub attempt: AttemptId,
    /// How often the owner held the lock when it got this hold, this one included.
    pub holds: u32,
    /// Until when the owner may rely on holding it: counted from the moment the request was sent,
    /// less what the two clocks may drift apart.
    pub valid_until: Instant,
}

impl Lease {
    /// Whether the owner may still rely on holding it. A thread that stalls between this look and
    /// what it does next is not protected by it; see [`FencedResource`](crate::FencedResource).
    pub fn is_valid(&self, now: Instant) -> bool {
        now < self.valid_until
    }
}

/// Why a call did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// The service refused, and says why and to what effect.
    #[error(transparent)]
    Refused(Error),
    /// Nobody took the request. It had no effect, and never will.
    #[error("no node took the request within {waited:?}; it had no effect")]
    Unavailable {
        /// How long the call tried.
        waited: Duration,
    },
    /// Somebody took the request, and no answer came. It may have had an effect, or have one yet;
    /// what it may have locked is free again when its TTL has passed.
    #[error("no answer within {waited:?}; the effect of the request is unknown")]
    Unknown {
        /// How long the call waited.
        waited: Duration,
    },
    /// The node answered another question than it was asked: it is broken, or of another version. The
    /// request may have had an effect; what it may have locked is free again when its TTL has passed.
    #[error("the node answered another question; the effect of the request is unknown")]
    Mismatch,
}

/// What came of a request.
struct Asked {
    outcome: Result<Reply, LockError>,
    /// When the request was sent that was answered.
    sent: Instant,
    /// An earlier sending of the same request may have taken effect.
    repeated: bool,
}

// Settings.
impl Locks {
    /// The handle of `owner`. The name must be shared by none but those who share its locks.
    pub fn new(client: Client<LockNode>, owner: impl Into<Owner>) -> Self {
        let preferred = client.members()[0];
        Self {
            client,
            owner: owner.into(),
            // Somewhere in 64 bits, so that no two handles of one owner make the same attempt.
            attempts: RandomState::new().hash_one(0),
            patience: Duration::from_secs(5),
            silence_max: Duration::from_secs(1),
            drift_ppm: 500,
            preferred,
        }
    }

    /// How long calls are retried before they give up; 5 s. [`Locks::acquire`] adds its own wait.
    #[must_use]
    pub fn patience(mut self, span: Duration) -> Self {
        self.patience = span;
        self
    }

    /// How long one node may be silent before the request is sent to another; 1 s.
    #[must_use]
    pub fn silence_max(mut self, span: Duration) -> Self {
        self.silence_max = span;
        self
    }

    /// By how many millionths this machine's clock and a leader's may differ in rate; 500.
    #[must_use]
    pub fn drift_ppm(mut self, ppm: u32) -> Self {
        self.drift_ppm = ppm;
        self
    }

    /// Whose handle this is.
    pub fn owner(&self) -> &Owner {
        &self.owner
    }
}

// Locking.
impl Locks {
    /// Takes the lock if it is free, or held by this owner already. A TTL of none means the
    /// configured one.
    ///
    /// # Errors
    /// [`Error::Held`] if another has it, [`Error::InvalidTtl`], [`Error::TooManyHolds`];
    /// [`Error::Cancelled`] if no answer came but the attempt could be cancelled; else as
    /// [`LockError`] says.
    pub fn try_acquire(
        &mut self,
        resource: impl Into<Resource>,
        ttl: Option<Duration>,
    ) -> Result<Lease, LockError> {
        let (resource, owner, attempt) = (resource.into(), self.owner.clone(), self.next_attempt());
        let request = Request::TryAcquire { resource: resource.clone(), owner, attempt, ttl };
        let asked = self.ask(&request, self.patience);
        match self.lease(&resource, attempt, asked) {
            Err(LockError::Unknown { waited }) => {
                let cancelled = self.cancel(&resource, attempt);
                Err(if cancelled { Error::Cancelled.into() } else { LockError::Unknown { waited } })
            }
            result => result,
        }
    }

    /// Takes the lock, waiting in line for it for at most `timeout`. A TTL of none means the
    /// configured one; it counts from the grant.
    ///
    /// An attempt whose answer does not come is cancelled, so that it does not take the lock later;
    /// if that is not answered either, the call lasts longer than `timeout` by the handle's
    /// [`patience`](Locks::patience).
    ///
    /// # Errors
    /// [`Error::WaitTimedOut`] when it did not come free in time, [`Error::QueueFull`],
    /// [`Error::InvalidTtl`], [`Error::TooManyHolds`]; else as [`LockError`] says.
    pub fn acquire(
        &mut self,
        resource: impl Into<Resource>,
        ttl: Option<Duration>,
        timeout: Duration,
    ) -> Result<Lease, LockError> {
        let resource = resource.into();
        let start = Instant::now();
        loop {
            let (owner, attempt) = (self.owner.clone(), self.next_attempt());
            let wait = timeout.saturating_sub(start.elapsed());
            let request =
                Request::Acquire { resource: resource.clone(), owner, attempt, ttl, wait };
            let asked = self.ask(&request, wait.saturating_add(GRACE));
            match self.lease(&resource, attempt, asked) {
                // The answer may have been long on its way: look before handing it out.
                Ok(lease) if lease.is_valid(Instant::now()) => return Ok(lease),
                Ok(_) | Err(LockError::Unknown { .. }) => {
                    if !self.cancel(&resource, attempt) {
                        return Err(LockError::Unknown { waited: start.elapsed() });
                    }
                }
                Err(refused) => return Err(refused),
            }
            if start.elapsed() >= timeout {
                return Err(Error::WaitTimedOut.into());
            }
        }
    }

    /// Gives a hold back.
    ///
    /// # Errors
    /// [`Error::NotHolder`] when the lease had ended before, [`Error::StaleToken`] when the owner
    /// has got the lock anew since; else as [`LockError`] says.
    pub fn release(&mut self, lease: &Lease) -> Result<(), LockError> {
        let request = Request::Release {
            resource: lease.resource.clone(),
            owner: self.owner.clone(),
            token: lease.token,
            attempt: Some(lease.attempt),
        };
        let Asked { outcome, repeated, .. } = self.ask(&request, self.patience);
        match outcome {
            Ok(_) => Ok(()),
            // The first sending has done it, and its answer was lost; or the lease has ended.
            Err(LockError::Refused(Error::NotHolder)) if repeated => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Lets a lease last for `ttl` (none: the configured one) from now, and says how often it has
    /// been renewed.
    ///
    /// # Errors
    /// [`Error::NotHolder`] when the lease has ended: whatever it protected may be another's by now.
    /// Else as [`LockError`] says; the lease is as valid as before then.
    pub fn renew(&mut self, lease: &mut Lease, ttl: Option<Duration>) -> Result<u64, LockError> {
        let request = Request::Renew {
            resource: lease.resource.clone(),
            owner: self.owner.clone(),
            token: lease.token,
            ttl,
        };
        let Asked { outcome, sent, .. } = self.ask(&request, self.patience);
        let reply = outcome?;
        let Reply::Renewed { renewals, valid_for } = reply else { return Err(LockError::Mismatch) };
        lease.valid_until = lease.valid_until.max(self.valid_until(sent, valid_for));
        Ok(renewals)
    }
}

// Looking.
impl Locks {
    /// Whether `resource` is locked.
    ///
    /// # Errors
    /// As [`LockError`] says.
    pub fn is_locked(&mut self, resource: impl Into<Resource>) -> Result<bool, LockError> {
        let request = Request::IsLocked { resource: resource.into() };
        let reply = self.ask(&request, self.patience).outcome?;
        let Reply::Locked(locked) = reply else { return Err(LockError::Mismatch) };
        Ok(locked)
    }

    /// The lock on `resource`; none if it is free.
    ///
    /// # Errors
    /// As [`LockError`] says.
    pub fn info(&mut self, resource: impl Into<Resource>) -> Result<Option<LockInfo>, LockError> {
        let request = Request::Info { resource: resource.into() };
        let reply = self.ask(&request, self.patience).outcome?;
        let Reply::Info(info) = reply else { return Err(LockError::Mismatch) };
        Ok(info)
    }

    /// All locks that are held, by name.
    ///
    /// # Errors
    /// As [`LockError`] says.
    pub fn list(&mut self) -> Result<Vec<LockInfo>, LockError> {
        let request = Request::List;
        let reply = self.ask(&request, self.patience).outcome?;
        let Reply::Locks(locks) = reply else { return Err(LockError::Mismatch) };
        Ok(locks)
    }
}

// Asking.
impl Locks {
    /// Sends `request` until it is answered, for `patience`, to whoever leads or may know who does.
    /// Every request sent here may be sent again without taking effect twice.
    fn ask(&mut self, request: &Request, patience: Duration) -> Asked {
        let start = Instant::now();
        let mut node = self.preferred;
        let mut repeated = false;
        loop {
            let sent = Instant::now();
            let left = patience.saturating_sub(sent - start);
            let slice = self.silence_max.min(left);
            let known = match self.client.call(node, request.clone(), slice) {
                Ok(Err(Error::NotLeader { leader })) => leader.filter(|&leader| leader != node),
                Ok(Err(Error::Overloaded)) => None,
                Ok(Err(Error::Unknown)) | Err(CallError::Unknown { .. }) => {
                    repeated = true;
                    None
                }
                Err(CallError::Unavailable { .. }) => None,
                Ok(response) => {
                    self.preferred = node;
                    return Asked { outcome: response.map_err(LockError::Refused), sent, repeated };
                }
            };
            let waited = start.elapsed();
            if waited + LEAST.min(patience / 2) >= patience {
                let outcome = Err(match repeated {
                    true => LockError::Unknown { waited },
                    false => LockError::Unavailable { waited },
                });
                return Asked { outcome, sent, repeated };
            }
            node = known.unwrap_or_else(|| {
                std::thread::sleep(BACKOFF.min(patience - waited));
                self.after(node)
            });
        }
    }

    /// Ends an attempt whose answer was lost. Whether that was confirmed.
    fn cancel(&mut self, resource: &Resource, attempt: AttemptId) -> bool {
        let (resource, owner) = (resource.clone(), self.owner.clone());
        let request = Request::Cancel { resource, owner, attempt };
        self.ask(&request, self.patience).outcome.is_ok()
    }

    fn lease(
        &self,
        resource: &Resource,
        attempt: AttemptId,
        asked: Asked,
    ) -> Result<Lease, LockError> {
        let reply = asked.outcome?;
        let Reply::Acquired(Grant { token, holds, valid_for, .. }) = reply else {
            return Err(LockError::Mismatch);
        };
        let valid_until = self.valid_until(asked.sent, valid_for);
        Ok(Lease { resource: resource.clone(), token, attempt, holds, valid_until })
    }

    fn valid_until(&self, sent: Instant, valid_for: Duration) -> Instant {
        let nanos = valid_for.as_nanos() * u128::from(self.drift_ppm) / 1_000_000;
        let drift = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        sent + valid_for.saturating_sub(drift)
    }

    fn next_attempt(&mut self) -> AttemptId {
        self.attempts = self.attempts.wrapping_add(1);
        AttemptId::new(self.attempts)
    }

    /// The member after `node`, going round.
    fn after(&self, node: NodeId) -> NodeId {
        let members = self.client.members();
        let next = members.partition_point(|&member| member <= node);
        members[next % members.len()]
    }
}

impl From<Error> for LockError {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}
