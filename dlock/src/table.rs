//! The lock table: the state machine that the log drives.
//!
//! It is a function of the commands and of nothing else. In particular its time is the commands'
//! time: [`LockTable::apply`] first moves its clock to the command's stamp, ends every wait and
//! every lease that is due by then, and only then does what the command says. So all replicas agree
//! on who held what at every index, whatever their own clocks show.

mod ended;
mod lock;
mod output;
mod snapshot;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::time::Duration;

use raft::{LogIndex, StateMachine};

use crate::clock::OwnClock;
use crate::config::Limits;
use crate::mutants::{Mutant, Planted};
use crate::{
    Action, Arrival, AttemptId, Command, Error, FencingToken, Grant, LockInfo, LogTime, Owner,
    Reply, Resource, Response,
};

use ended::Ended;
pub use ended::WaitEnd;
pub(crate) use lock::{Lock, Waiter};
pub use output::{Change, Outcome, Output, Query};
pub use snapshot::TableSnapshot;

/// All locks that are held, and who waits for them.
///
/// Guarantees, checked by [`LockTable::check`]:
/// 1. a lock has one owner, at least one hold, and a lease that ends after the table's time;
/// 2. nobody waits for a free lock, and nobody waits beyond its deadline;
/// 3. no two locks have the same token, and none a greater one than was issued last;
/// 4. the sets of deadlines say what the locks say.
#[derive(Clone, Debug)]
pub struct LockTable {
    limits: Limits,
    planted: Planted,
    time: LogTime,
    last_token: FencingToken,
    last_arrival: Arrival,
    locks: BTreeMap<Resource, Lock>,
    ended: Ended,
    /// When each lease ends. Invariant: what `locks` say.
    lease_ends: BTreeSet<(LogTime, Resource)>,
    /// When each wait ends. Invariant: what `locks` say.
    wait_ends: BTreeSet<(LogTime, Resource, Owner, AttemptId)>,
    own_clock: OwnClock,
}

// Looking.
impl LockTable {
    /// How many attempts that ended without a grant the table remembers, to refuse them if they
    /// arrive (again) later.
    pub const ENDED_MAX: usize = 4096;

    /// An empty table at time zero.
    pub(crate) fn new(limits: Limits, planted: Planted) -> Self {
        Self {
            limits,
            planted,
            time: LogTime::ZERO,
            last_token: FencingToken::ZERO,
            last_arrival: Arrival::default(),
            locks: BTreeMap::new(),
            ended: Ended::default(),
            lease_ends: BTreeSet::new(),
            wait_ends: BTreeSet::new(),
            own_clock: OwnClock::default(),
        }
    }

    /// The stamp of the last command.
    pub fn time(&self) -> LogTime {
        self.time
    }

    /// The token issued last.
    pub fn last_token(&self) -> FencingToken {
        self.last_token
    }

    /// When the next lease or wait ends; none if there is none.
    pub fn next_deadline(&self) -> Option<LogTime> {
        let lease = self.lease_ends.first().map(|(at, _)| *at);
        let wait = self.wait_ends.first().map(|(at, ..)| *at);
        match (lease, wait) {
            (Some(lease), Some(wait)) => Some(lease.min(wait)),
            (lease, wait) => lease.or(wait),
        }
    }

    /// How many locks are held.
    pub fn held_count(&self) -> usize {
        self.locks.len()
    }

    /// How many attempts wait.
    pub fn waiting_count(&self) -> usize {
        self.wait_ends.len()
    }

    /// Whether `resource` is locked.
    pub fn is_locked(&self, resource: &Resource) -> bool {
        self.locks.contains_key(resource)
    }

    /// The lock on `resource` as it looks at `at`; none if it is free.
    pub fn info(&self, resource: &Resource, at: LogTime) -> Option<LockInfo> {
        self.locks.get(resource).map(|lock| lock.info(resource, at))
    }

    /// All locks as they look at `at`, by name.
    pub fn list(&self, at: LogTime) -> Vec<LockInfo> {
        self.locks.iter().map(|(resource, lock)| lock.info(resource, at)).collect()
    }

    /// Who waits for `resource`, in line.
    pub fn queue(&self, resource: &Resource) -> Vec<(Owner, AttemptId)> {
        let waiters = self.locks.get(resource).map(|lock| lock.waiters.iter());
        waiters.into_iter().flatten().map(|w| (w.owner.clone(), w.attempt)).collect()
    }

    pub(crate) fn locks(&self) -> impl Iterator<Item = (&Resource, &Lock)> {
        self.locks.iter()
    }

    pub(crate) fn own_clock(&self) -> &OwnClock {
        &self.own_clock
    }

    /// Whether the table keeps its guarantees.
    ///
    /// # Errors
    /// Says which one it does not, and where.
    pub fn check(&self) -> Result<(), String> {
        let mut tokens = BTreeSet::new();
        let mut lease_ends = BTreeSet::new();
        let mut wait_ends = BTreeSet::new();
        for (resource, lock) in &self.locks {
            lock.check(self.time, self.limits)
                .map_err(|problem| format!("{resource}: {problem}"))?;
            if lock.token > self.last_token || !tokens.insert(lock.token) {
                let last = self.last_token;
                return Err(format!("{resource}: token {:?} (last issued {last:?})", lock.token));
            }
            lease_ends.insert((lock.expires_at, resource.clone()));
            wait_ends.extend(lock.waiters.iter().map(|waiter| waiter.end(resource)));
        }
        if lease_ends != self.lease_ends || wait_ends != self.wait_ends {
            return Err("the sets of deadlines differ from the locks".to_owned());
        }
        Ok(())
    }
}

// Applying.
impl StateMachine for LockTable {
    type Command = Command;
    type Output = Output;
    type Query = Query;
    type Answer = Reply;
    type Snapshot = TableSnapshot;

    fn apply(&mut self, _index: LogIndex, command: &Command) -> Output {
        self.apply_command(command)
    }

    fn query(&self, query: &Query) -> Reply {
        self.look(query, self.time)
    }
}

impl LockTable {
    /// The answer to `query`, with spans as they look at `at`.
    pub(crate) fn look(&self, query: &Query, at: LogTime) -> Reply {
        match query {
            Query::IsLocked(resource) => Reply::Locked(self.is_locked(resource)),
            Query::Info(resource) => Reply::Info(self.info(resource, at)),
            Query::List => Reply::Locks(self.list(at)),
        }
    }

    /// Applies one command: time first, then what it says.
    pub fn apply_command(&mut self, command: &Command) -> Output {
        let at = command.at;
        let mut changes = Vec::new();
        self.advance(at, &mut changes);
        let outcome = match &command.action {
            Action::Acquire { resource, owner, attempt, ttl, wait } => {
                self.last_arrival = self.last_arrival.next();
                let wish = Waiter {
                    owner: owner.clone(),
                    attempt: *attempt,
                    arrival: self.last_arrival,
                    // A zero TTL cannot come from our leader; it must not break the table either.
                    ttl: (*ttl).max(Duration::from_nanos(1)),
                    deadline: wait.map_or(at, |wait| at.after(wait)),
                };
                self.acquire(at, resource, wish, wait.is_some())
            }
            Action::Release { resource, owner, token, attempt } => {
                Outcome::Answer(self.release(resource, owner, *token, *attempt, &mut changes))
            }
            Action::Renew { resource, owner, token, ttl } => {
                Outcome::Answer(self.renew(at, resource, owner, *token, *ttl))
            }
            Action::Cancel { resource, owner, attempt } => {
                self.cancel(resource, owner, *attempt, &mut changes);
                Outcome::Answer(Ok(Reply::Cancelled))
            }
            Action::Tick => Outcome::Ticked,
        };
        if self.planted.is(Mutant::TokenForgottenWhenFree) && self.locks.is_empty() {
            self.last_token = FencingToken::ZERO;
        }
        Output { at, outcome, changes }
    }

    /// Moves the table's time to `at`, and ends what is due: first the waits, so that a lease that
    /// ends is not handed to somebody who has gone, then the leases.
    ///
    /// A lease handed on begins at the table's time, not when its predecessor's ended: after a long
    /// silence the new holder would otherwise lose it before it could know of it.
    fn advance(&mut self, at: LogTime, changes: &mut Vec<Change>) {
        self.time = self.time.max(at);
        if self.planted.is(Mutant::OwnClockExpiry) {
            self.time = self.own_clock.read();
        }
        while self.wait_ends.first().is_some_and(|(end, ..)| *end <= self.time) {
            let Some((_, resource, owner, attempt)) = self.wait_ends.pop_first() else { break };
            if self.planted.is(Mutant::GhostWaiters) {
                continue;
            }
            if let Some(lock) = self.locks.get_mut(&resource) {
                lock.waiters.retain(|waiter| !waiter.is(&owner, attempt));
            }
            self.end_wait(resource, owner, attempt, WaitEnd::TimedOut, changes);
        }
        while self.lease_ends.first().is_some_and(|(end, _)| *end <= self.time) {
            let Some((_, resource)) = self.lease_ends.first().cloned() else { break };
            let Some(lock) = self.take(&resource) else { break };
            let (owner, token) = (lock.owner.clone(), lock.token);
            changes.push(Change::Expired { resource: resource.clone(), owner, token });
            self.hand_on(resource, lock, changes);
        }
    }

    fn end_wait(
        &mut self,
        resource: Resource,
        owner: Owner,
        attempt: AttemptId,
        why: WaitEnd,
        changes: &mut Vec<Change>,
    ) {
        self.ended.remember(&resource, &owner, attempt, why);
        changes.push(Change::WaitEnded { resource, owner, attempt, why });
    }

    fn acquire(
        &mut self,
        at: LogTime,
        resource: &Resource,
        wish: Waiter,
        may_wait: bool,
    ) -> Outcome {
        if let Some(grant) = self.held_by(at, resource, &wish) {
            return Outcome::Answer(Ok(Reply::Acquired(grant)));
        }
        if let Some(why) = self.ended.why(resource, &wish.owner, wish.attempt) {
            return Outcome::Answer(Err(why.error()));
        }
        let Some(lock) = self.locks.get_mut(resource) else {
            let lock = self.grant(resource, &wish, VecDeque::new());
            return Outcome::Answer(Ok(Reply::Acquired(lock.grant(at))));
        };
        if lock.owner == wish.owner {
            if lock.attempts.len() >= self.limits.holds_max {
                let holds_max = self.limits.holds_max;
                return Outcome::Answer(Err(Error::TooManyHolds { holds_max }));
            }
            lock.attempts.push(wish.attempt);
            let grant = self.extend(at, resource, wish.ttl);
            return Outcome::Answer(Ok(Reply::Acquired(grant)));
        }
        let queued = |wish: &Waiter| {
            Outcome::Queued(Box::new((resource.clone(), wish.owner.clone(), wish.attempt)))
        };
        if lock.waiters.iter().any(|waiter| waiter.is(&wish.owner, wish.attempt)) && may_wait {
            return queued(&wish);
        }
        if !may_wait {
            let (owner, remaining) = (lock.owner.clone(), lock.expires_at.since(self.time));
            return Outcome::Answer(Err(Error::Held { owner, remaining }));
        }
        if wish.deadline <= self.time {
            return Outcome::Answer(Err(Error::WaitTimedOut));
        }
        if lock.waiters.len() >= self.limits.waiters_max {
            let waiters_max = self.limits.waiters_max;
            return Outcome::Answer(Err(Error::QueueFull { waiters_max }));
        }
        self.wait_ends.insert(wish.end(resource));
        let outcome = queued(&wish);
        lock.waiters.push_back(wish);
        outcome
    }

    /// What `wish` has already got: then it is a retry, and changes nothing.
    fn held_by(&self, at: LogTime, resource: &Resource, wish: &Waiter) -> Option<Grant> {
        let lock = self.locks.get(resource)?;
        if lock.owner != wish.owner || self.planted.is(Mutant::RetryCountedTwice) {
            return None;
        }
        let place = lock.attempts.iter().position(|&held| held == wish.attempt)?;
        Some(Grant { holds: place as u32 + 1, ..lock.grant(at) })
    }

    fn release(
        &mut self,
        resource: &Resource,
        owner: &Owner,
        token: FencingToken,
        attempt: Option<AttemptId>,
        changes: &mut Vec<Change>,
    ) -> Response {
        let lock = self.locks.get(resource).ok_or(Error::NotHolder)?;
        let (any_owner, any_token) =
            (self.planted.is(Mutant::ReleaseByAnyone), self.planted.is(Mutant::ReleaseByAnyToken));
        lock.verify(owner, token, any_owner, any_token)?;
        let place = match attempt {
            None => lock.attempts.len() - 1,
            Some(attempt) => {
                let place = lock.attempts.iter().position(|&held| held == attempt);
                place.ok_or(Error::NotHolder)?
            }
        };
        Ok(Reply::Released { remaining_holds: self.give_back(resource, place, changes) })
    }

    fn renew(
        &mut self,
        at: LogTime,
        resource: &Resource,
        owner: &Owner,
        token: FencingToken,
        ttl: Duration,
    ) -> Response {
        if self.planted.is(Mutant::RenewalAfterExpiry)
            && !self.locks.contains_key(resource)
            && token <= self.last_token
        {
            let (owner, deadline) = (owner.clone(), self.time);
            let (attempt, arrival) = (AttemptId::default(), self.last_arrival);
            let wish = Waiter { owner, attempt, arrival, ttl, deadline };
            self.grant(resource, &wish, VecDeque::new());
        } else {
            let lock = self.locks.get(resource).ok_or(Error::NotHolder)?;
            lock.verify(owner, token, false, false)?;
        }
        let grant = self.extend(at, resource, ttl);
        let lock = self.locks.get_mut(resource).expect("verified above");
        lock.renewals += 1;
        Ok(Reply::Renewed { renewals: lock.renewals, valid_for: grant.valid_for })
    }

    fn cancel(
        &mut self,
        resource: &Resource,
        owner: &Owner,
        attempt: AttemptId,
        changes: &mut Vec<Change>,
    ) {
        if let Some(lock) = self.locks.get_mut(resource) {
            if let Some(place) = lock.waiters.iter().position(|w| w.is(owner, attempt)) {
                let waiter = lock.waiters.remove(place).expect("found there");
                self.wait_ends.remove(&waiter.end(resource));
                let (resource, owner) = (resource.clone(), owner.clone());
                return self.end_wait(resource, owner, attempt, WaitEnd::Cancelled, changes);
            }
            let held = lock.attempts.iter().position(|&held| held == attempt);
            if let Some(place) = held.filter(|_| lock.owner == *owner) {
                self.give_back(resource, place, changes);
            }
        }
        self.ended.remember(resource, owner, attempt, WaitEnd::Cancelled);
    }
}

// The steps that the actions share.
impl LockTable {
    /// Makes a lock on a free resource, with a new token.
    fn grant(&mut self, resource: &Resource, wish: &Waiter, waiters: VecDeque<Waiter>) -> &Lock {
        self.last_token = self.last_token.next();
        let expires_at = self.time.after(wish.ttl);
        self.lease_ends.insert((expires_at, resource.clone()));
        let lock = Lock {
            owner: wish.owner.clone(),
            token: self.last_token,
            arrival: wish.arrival,
            attempts: vec![wish.attempt],
            ttl: wish.ttl,
            acquired_at: self.time,
            expires_at,
            renewals: 0,
            waiters,
        };
        self.locks.insert(resource.clone(), lock);
        &self.locks[resource]
    }

    /// Lets a lease last for `ttl` from now, unless it lasts longer anyway: what a holder was told
    /// stays true whatever it asks next.
    fn extend(&mut self, at: LogTime, resource: &Resource, ttl: Duration) -> Grant {
        let lock = self.locks.get_mut(resource).expect("called for a lock that is held");
        lock.ttl = ttl;
        let end = self.time.after(ttl);
        if end > lock.expires_at {
            self.lease_ends.remove(&(lock.expires_at, resource.clone()));
            self.lease_ends.insert((end, resource.clone()));
            lock.expires_at = end;
        }
        lock.grant(at)
    }

    /// Takes hold number `place` off a lock, and the lock off its owner if it was the last. Returns
    /// how many are left.
    fn give_back(&mut self, resource: &Resource, place: usize, changes: &mut Vec<Change>) -> u32 {
        let lock = self.locks.get_mut(resource).expect("called for a lock that is held");
        lock.attempts.remove(place);
        let left = lock.attempts.len() as u32;
        if left == 0
            && let Some(lock) = self.take(resource)
        {
            self.hand_on(resource.clone(), lock, changes);
        }
        left
    }

    /// Takes a lock out of the table.
    fn take(&mut self, resource: &Resource) -> Option<Lock> {
        let lock = self.locks.remove(resource)?;
        self.lease_ends.remove(&(lock.expires_at, resource.clone()));
        Some(lock)
    }

    /// Gives a lock that came free to the first in line. Waiters of the same owner come with it:
    /// were they to ask now, they would be let in too.
    fn hand_on(&mut self, resource: Resource, freed: Lock, changes: &mut Vec<Change>) {
        let mut waiters = freed.waiters;
        let next = if self.planted.is(Mutant::LastComeFirstServed) {
            waiters.pop_back()
        } else {
            waiters.pop_front()
        };
        let Some(first) = next else { return };
        if self.planted.is(Mutant::TokenKeptOnRegrant) {
            self.last_token = FencingToken::new(freed.token.get() - 1);
        }
        let mut along: Vec<Waiter> = vec![first.clone()];
        waiters.retain(|waiter| {
            let comes = waiter.owner == first.owner && along.len() < self.limits.holds_max;
            if comes {
                along.push(waiter.clone());
            }
            !comes
        });
        self.grant(&resource, &first, waiters);
        for (place, waiter) in along.into_iter().enumerate() {
            self.wait_ends.remove(&waiter.end(&resource));
            if place > 0 {
                let lock = self.locks.get_mut(&resource).expect("granted above");
                lock.attempts.push(waiter.attempt);
            }
            self.extend(self.time, &resource, waiter.ttl);
            let lock = &self.locks[&resource];
            changes.push(Change::Granted {
                resource: resource.clone(),
                owner: waiter.owner,
                attempt: waiter.attempt,
                token: lock.token,
                arrival: lock.arrival,
                ttl: waiter.ttl,
                holds: lock.attempts.len() as u32,
                expires_at: lock.expires_at,
            });
        }
    }
}

/// Over what replicas must agree on: not over what follows from it.
impl Hash for LockTable {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.time.hash(state);
        self.last_token.hash(state);
        self.last_arrival.hash(state);
        self.locks.hash(state);
        self.ended.hash(state);
    }
}
