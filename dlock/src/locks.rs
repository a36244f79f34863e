//! The lock service as an application calls it: waited for or awaited, from any thread.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cluster::call::{CallError, Caller, Found, Heard, Question, spawn};

use crate::{
    AttemptId, Error, FencingToken, Grant, LockInfo, LockNode, Owner, Reply, Request, Resource,
    Response,
};

/// How much longer than the wait it asked for a client waits for the answer.
const GRACE: Duration = Duration::from_millis(200);

/// A call on a lock service that is under way: see [`cluster::call::Call`].
pub type Call<T> = cluster::call::Call<Result<T, LockError>>;

/// One owner's handle on a lock service, for any thread, for many calls at once, and cheap to clone.
///
/// Each method asks at once and returns a [`Call`]: `wait()` for it, or `.await` it in any runtime. A call
/// is sent again until it is answered, to whoever leads or may know who does; it takes effect once. Handles
/// of one owner share its locks.
///
/// A call for a lock that is dropped, before or after it got it, is cancelled: the lock that nobody has
/// taken is given back. What else is dropped may yet take effect.
#[derive(Clone, Debug)]
pub struct Locks {
    caller: Caller<LockNode>,
    owner: Owner,
    /// The last attempt's, of this handle and its clones.
    attempts: Arc<AtomicU64>,
    /// How long a call is retried.
    patience: Duration,
    /// How long one node may be silent before another is asked.
    silence_max: Duration,
    drift_ppm: u32,
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
    /// How often the lease had been renewed when it was last renewed by this holder; zero before.
    pub renewals: u64,
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

/// An attempt at a lock that nobody has taken yet. Dropped, it is cancelled.
struct Pending {
    locks: Locks,
    resource: Resource,
    attempt: AttemptId,
    /// Whether it may have come, or come yet, to anything.
    open: bool,
}

// Settings.
impl Locks {
    /// The handle of `owner`. The name must be shared by none but those who share its locks.
    pub fn new(caller: Caller<LockNode>, owner: impl Into<Owner>) -> Self {
        Self {
            caller,
            owner: owner.into(),
            // Somewhere in 64 bits, so that no two handles of one owner make the same attempt.
            attempts: Arc::new(AtomicU64::new(RandomState::new().hash_one(0))),
            patience: Duration::from_secs(5),
            silence_max: Duration::from_secs(1),
            drift_ppm: 500,
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
    /// It may fail with [`Error::Held`] if another has it, [`Error::InvalidTtl`],
    /// [`Error::TooManyHolds`]; [`Error::Cancelled`] if no answer came but the attempt could be cancelled,
    /// which may take another [`patience`](Locks::patience); else as [`LockError`] says.
    pub fn try_acquire(&self, resource: impl Into<Resource>, ttl: Option<Duration>) -> Call<Lease> {
        let mut pending = self.begin(resource.into());
        let attempt = async move {
            let (resource, owner) = (pending.resource.clone(), pending.locks.owner.clone());
            let request = Request::TryAcquire { resource, owner, attempt: pending.attempt, ttl };
            let found = pending.locks.find(request, pending.locks.patience).await;
            match pending.lease(found) {
                Ok(lease) => Ok((pending, lease)),
                Err(LockError::Unknown { waited }) => match pending.cancel().await {
                    true => Err(Error::Cancelled.into()),
                    false => Err(LockError::Unknown { waited }),
                },
                Err(error) => Err(pending.over(error)),
            }
        };
        Call::run_then(attempt, |taken| taken.map(|(pending, lease)| pending.keep(lease)))
    }

    /// Takes the lock, waiting in line for it for at most `timeout`. A TTL of none means the
    /// configured one; it counts from the grant.
    ///
    /// An attempt whose answer does not come is cancelled, so that it does not take the lock later;
    /// if that is not answered either, the call lasts longer than `timeout` by the handle's
    /// [`patience`](Locks::patience).
    ///
    /// It may fail with [`Error::WaitTimedOut`] when it did not come free in time, [`Error::QueueFull`],
    /// [`Error::InvalidTtl`], [`Error::TooManyHolds`]; else as [`LockError`] says.
    pub fn acquire(
        &self,
        resource: impl Into<Resource>,
        ttl: Option<Duration>,
        timeout: Duration,
    ) -> Call<Lease> {
        let (locks, resource) = (self.clone(), resource.into());
        let attempts = async move { locks.take_turn(resource, ttl, timeout).await };
        Call::run_then(attempts, |taken| taken.map(|(pending, lease)| pending.keep(lease)))
    }

    async fn take_turn(
        self,
        resource: Resource,
        ttl: Option<Duration>,
        timeout: Duration,
    ) -> Result<(Pending, Lease), LockError> {
        let start = Instant::now();
        loop {
            let mut pending = self.begin(resource.clone());
            let wait = timeout.saturating_sub(start.elapsed());
            let (owner, attempt) = (self.owner.clone(), pending.attempt);
            let request =
                Request::Acquire { resource: resource.clone(), owner, attempt, ttl, wait };
            let found = self.find(request, wait.saturating_add(GRACE)).await;
            match pending.lease(found) {
                // The answer may have been long on its way: look before handing it out.
                Ok(lease) if lease.is_valid(Instant::now()) => return Ok((pending, lease)),
                Ok(_) | Err(LockError::Unknown { .. }) => {
                    if !pending.cancel().await {
                        return Err(LockError::Unknown { waited: start.elapsed() });
                    }
                }
                Err(refused) => return Err(pending.over(refused)),
            }
            if start.elapsed() >= timeout {
                return Err(Error::WaitTimedOut.into());
            }
        }
    }

    /// Gives a hold back.
    ///
    /// It may fail with [`Error::NotHolder`] when the lease had ended before, [`Error::StaleToken`] when
    /// the owner has got the lock anew since; else as [`LockError`] says.
    pub fn release(&self, lease: &Lease) -> Call<()> {
        let request = Request::Release {
            resource: lease.resource.clone(),
            owner: self.owner.clone(),
            token: lease.token,
            attempt: Some(lease.attempt),
        };
        let locks = self.clone();
        Call::run(async move {
            let found = locks.find(request, locks.patience).await;
            let repeated = found.doubtful;
            match answered(found) {
                Ok(_) => Ok(()),
                // The first sending has done it, and its answer was lost; or the lease has ended.
                Err(LockError::Refused(Error::NotHolder)) if repeated => Ok(()),
                Err(error) => Err(error),
            }
        })
    }

    /// Lets a lease last for `ttl` (none: the configured one) from now, and returns it as it is then.
    ///
    /// It may fail with [`Error::NotHolder`] when the lease has ended: whatever it protected may be
    /// another's by now. Else as [`LockError`] says; the lease is as valid as before then.
    pub fn renew(&self, lease: &Lease, ttl: Option<Duration>) -> Call<Lease> {
        let (locks, mut lease) = (self.clone(), lease.clone());
        Call::run(async move {
            let request = Request::Renew {
                resource: lease.resource.clone(),
                owner: locks.owner.clone(),
                token: lease.token,
                ttl,
            };
            let found = locks.find(request, locks.patience).await;
            let sent = found.sent;
            let Reply::Renewed { renewals, valid_for } = answered(found)? else {
                return Err(LockError::Mismatch);
            };
            lease.renewals = renewals;
            lease.valid_until = lease.valid_until.max(locks.valid_until(sent, valid_for));
            Ok(lease)
        })
    }
}

// Looking. Each may fail as [`LockError`] says.
impl Locks {
    /// Whether `resource` is locked.
    pub fn is_locked(&self, resource: impl Into<Resource>) -> Call<bool> {
        self.look(Request::IsLocked { resource: resource.into() }, |reply| {
            let Reply::Locked(locked) = reply else { return None };
            Some(locked)
        })
    }

    /// The lock on `resource`; none if it is free.
    pub fn info(&self, resource: impl Into<Resource>) -> Call<Option<LockInfo>> {
        self.look(Request::Info { resource: resource.into() }, |reply| {
            let Reply::Info(info) = reply else { return None };
            Some(info)
        })
    }

    /// All locks that are held, by name.
    pub fn list(&self) -> Call<Vec<LockInfo>> {
        self.look(Request::List, |reply| {
            let Reply::Locks(locks) = reply else { return None };
            Some(locks)
        })
    }

    fn look<T: Send + 'static>(&self, request: Request, read: fn(Reply) -> Option<T>) -> Call<T> {
        let locks = self.clone();
        Call::run(async move {
            let reply = answered(locks.find(request, locks.patience).await)?;
            read(reply).ok_or(LockError::Mismatch)
        })
    }
}

// Asking.
impl Locks {
    /// Sends `request` until it is answered, for `timeout`, to whoever leads or may know who does.
    /// Every request sent here may be sent again without taking effect twice.
    async fn find(&self, request: Request, timeout: Duration) -> Found<Response> {
        let heard = |response: &Response| match response {
            Err(Error::Overloaded) => Heard::Elsewhere(None),
            Err(Error::Unknown) => Heard::Doubt,
            other => Heard::by_redirection::<LockNode>(other),
        };
        let silence_max = Some(self.silence_max);
        self.caller.find(Question { request, timeout, silence_max, heard }).await
    }

    fn begin(&self, resource: Resource) -> Pending {
        let attempt = AttemptId::new(self.attempts.fetch_add(1, Ordering::Relaxed));
        Pending { locks: self.clone(), resource, attempt, open: true }
    }

    fn valid_until(&self, sent: Instant, valid_for: Duration) -> Instant {
        let nanos = valid_for.as_nanos() * u128::from(self.drift_ppm) / 1_000_000;
        let drift = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        sent + valid_for.saturating_sub(drift)
    }
}

impl Pending {
    /// What was granted, if it was.
    fn lease(&self, found: Found<Response>) -> Result<Lease, LockError> {
        let sent = found.sent;
        let Reply::Acquired(Grant { token, holds, valid_for, .. }) = answered(found)? else {
            return Err(LockError::Mismatch);
        };
        let (resource, attempt) = (self.resource.clone(), self.attempt);
        let valid_until = self.locks.valid_until(sent, valid_for);
        Ok(Lease { resource, token, attempt, holds, renewals: 0, valid_until })
    }

    /// Somebody has taken what it came to.
    fn keep(mut self, lease: Lease) -> Lease {
        self.open = false;
        lease
    }

    /// It came to nothing.
    fn over(mut self, error: LockError) -> LockError {
        self.open = false;
        error
    }

    /// Ends it. Whether that was confirmed; if it was not, there is no more to be done.
    async fn cancel(&mut self) -> bool {
        let (resource, owner) = (self.resource.clone(), self.locks.owner.clone());
        let request = Request::Cancel { resource, owner, attempt: self.attempt };
        let confirmed = answered(self.locks.find(request, self.locks.patience).await).is_ok();
        self.open = false;
        confirmed
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if self.open {
            let (locks, resource, attempt) =
                (self.locks.clone(), self.resource.clone(), self.attempt);
            let mut left = Self { locks, resource, attempt, open: false };
            spawn(async move {
                // If it cannot be, what it may have locked is free again when its TTL has passed.
                left.cancel().await;
            });
        }
    }
}

fn answered(found: Found<Response>) -> Result<Reply, LockError> {
    match found.outcome {
        Ok(response) => response.map_err(LockError::Refused),
        Err(CallError::Unavailable { waited }) => Err(LockError::Unavailable { waited }),
        Err(CallError::Unknown { waited }) => Err(LockError::Unknown { waited }),
    }
}

impl From<Error> for LockError {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}
