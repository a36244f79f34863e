//! The table against a model so simple that it is plainly right: lists, searched from end to end.

use std::time::Duration;

use dlock::{
    Action, Arrival, AttemptId, Change, Command, Config, Error, FencingToken, Grant, LogTime,
    Outcome, Owner, Reply, Resource, WaitEnd,
};
use proptest::prelude::*;

const WAITERS_MAX: usize = 3;
const HOLDS_MAX: usize = 3;

/// A lock service that nobody would deploy.
#[derive(Default)]
struct Model {
    time: u64,
    tokens: u64,
    arrivals: u64,
    held: Vec<Held>,
    /// In the order of arrival, all resources together.
    line: Vec<Waits>,
    over: Vec<(Resource, Owner, AttemptId, WaitEnd)>,
}

#[derive(Clone)]
struct Held {
    resource: Resource,
    owner: Owner,
    token: u64,
    arrival: u64,
    holds: Vec<AttemptId>,
    until: u64,
    renewals: u64,
}

#[derive(Clone)]
struct Waits {
    resource: Resource,
    owner: Owner,
    attempt: AttemptId,
    arrival: u64,
    ttl: u64,
    until: u64,
}

fn nanos(span: Duration) -> u64 {
    span.as_nanos() as u64
}

impl Model {
    fn apply(&mut self, command: &Command) -> (Outcome, Vec<Change>) {
        let mut changes = Vec::new();
        let at = command.at.as_nanos();
        self.time = self.time.max(at);
        self.end_waits(&mut changes);
        self.end_leases(&mut changes);
        let answer = match command.action.clone() {
            Action::Tick => return (Outcome::Ticked, changes),
            Action::Acquire { resource, owner, attempt, ttl, wait } => {
                match self.acquire(at, resource.clone(), owner.clone(), attempt, nanos(ttl), wait) {
                    Some(answer) => answer,
                    None => {
                        let queued = Outcome::Queued(Box::new((resource, owner, attempt)));
                        return (queued, changes);
                    }
                }
            }
            Action::Release { resource, owner, token, attempt } => {
                self.verified(&resource, &owner, token).and_then(|place| {
                    let holds = &self.held[place].holds;
                    let attempt = attempt.unwrap_or(holds[holds.len() - 1]);
                    let hold = holds.iter().position(|&held| held == attempt);
                    let hold = hold.ok_or(Error::NotHolder)?;
                    let remaining_holds = self.give_back(place, hold, &mut changes);
                    Ok(Reply::Released { remaining_holds })
                })
            }
            Action::Renew { resource, owner, token, ttl } => {
                self.verified(&resource, &owner, token).map(|place| {
                    let until = self.time + nanos(ttl);
                    let held = &mut self.held[place];
                    held.until = held.until.max(until);
                    held.renewals += 1;
                    let valid_for = Duration::from_nanos(held.until - at);
                    Reply::Renewed { renewals: held.renewals, valid_for }
                })
            }
            Action::Cancel { resource, owner, attempt } => {
                self.cancel(resource, owner, attempt, &mut changes);
                Ok(Reply::Cancelled)
            }
        };
        (Outcome::Answer(answer), changes)
    }

    fn end_waits(&mut self, changes: &mut Vec<Change>) {
        let mut ended: Vec<Waits> =
            self.line.iter().filter(|waits| waits.until <= self.time).cloned().collect();
        self.line.retain(|waits| waits.until > self.time);
        ended.sort_by_key(|w| (w.until, w.resource.clone(), w.owner.clone(), w.attempt));
        for Waits { resource, owner, attempt, .. } in ended {
            self.end(resource, owner, attempt, WaitEnd::TimedOut, changes);
        }
    }

    fn end(
        &mut self,
        resource: Resource,
        owner: Owner,
        attempt: AttemptId,
        why: WaitEnd,
        changes: &mut Vec<Change>,
    ) {
        self.over.push((resource.clone(), owner.clone(), attempt, why));
        changes.push(Change::WaitEnded { resource, owner, attempt, why });
    }

    fn end_leases(&mut self, changes: &mut Vec<Change>) {
        while let Some(place) = (0..self.held.len())
            .filter(|&place| self.held[place].until <= self.time)
            .min_by_key(|&place| (self.held[place].until, self.held[place].resource.clone()))
        {
            let Held { resource, owner, token, .. } = self.held.remove(place);
            let token = FencingToken::new(token);
            changes.push(Change::Expired { resource: resource.clone(), owner, token });
            self.next(&resource, changes);
        }
    }

    /// `resource` is free: who is next?
    fn next(&mut self, resource: &Resource, changes: &mut Vec<Change>) {
        let Some(first) = self.line.iter().find(|waits| waits.resource == *resource).cloned()
        else {
            return;
        };
        self.tokens += 1;
        let (owner, token) = (first.owner.clone(), self.tokens);
        self.held.push(Held {
            resource: resource.clone(),
            owner: owner.clone(),
            token,
            arrival: first.arrival,
            holds: vec![],
            until: 0,
            renewals: 0,
        });
        let held = self.held.last_mut().unwrap();
        while held.holds.len() < HOLDS_MAX {
            let Some(place) =
                self.line.iter().position(|w| w.resource == *resource && w.owner == owner)
            else {
                break;
            };
            let Waits { attempt, ttl, .. } = self.line.remove(place);
            held.holds.push(attempt);
            held.until = held.until.max(self.time + ttl);
            changes.push(Change::Granted {
                resource: resource.clone(),
                owner: owner.clone(),
                attempt,
                token: FencingToken::new(token),
                arrival: Arrival::new(first.arrival),
                ttl: Duration::from_nanos(ttl),
                holds: held.holds.len() as u32,
                expires_at: LogTime::from_nanos(held.until),
            });
        }
    }

    /// None: it waits.
    fn acquire(
        &mut self,
        at: u64,
        resource: Resource,
        owner: Owner,
        attempt: AttemptId,
        ttl: u64,
        wait: Option<Duration>,
    ) -> Option<Result<Reply, Error>> {
        self.arrivals += 1;
        let arrival = self.arrivals;
        let place = self.held.iter().position(|held| held.resource == resource);
        if let Some(place) = place
            && self.held[place].owner == owner
            && let Some(hold) = self.held[place].holds.iter().position(|&held| held == attempt)
        {
            return Some(Ok(self.granted(at, place, hold as u32 + 1)));
        }
        // The last word on an attempt is the one that counts.
        let over =
            self.over.iter().rev().find(|(r, o, a, _)| (r, o, *a) == (&resource, &owner, attempt));
        if let Some((.., why)) = over {
            return Some(Err(match why {
                WaitEnd::TimedOut => Error::WaitTimedOut,
                WaitEnd::Cancelled => Error::Cancelled,
            }));
        }
        let Some(place) = place else {
            self.tokens += 1;
            let (token, until) = (self.tokens, self.time + ttl);
            let holds = vec![attempt];
            self.held.push(Held { resource, owner, token, arrival, holds, until, renewals: 0 });
            return Some(Ok(self.granted(at, self.held.len() - 1, 1)));
        };
        let held = &mut self.held[place];
        if held.owner == owner {
            if held.holds.len() == HOLDS_MAX {
                return Some(Err(Error::TooManyHolds { holds_max: HOLDS_MAX }));
            }
            held.holds.push(attempt);
            held.until = held.until.max(self.time + ttl);
            let holds = held.holds.len() as u32;
            return Some(Ok(self.granted(at, place, holds)));
        }
        let Some(wait) = wait else {
            let remaining = Duration::from_nanos(held.until - self.time);
            return Some(Err(Error::Held { owner: held.owner.clone(), remaining }));
        };
        let in_line = |waits: &&Waits| waits.resource == resource;
        if self.line.iter().filter(in_line).any(|w| w.owner == owner && w.attempt == attempt) {
            return None;
        }
        let until = at + nanos(wait);
        if until <= self.time {
            return Some(Err(Error::WaitTimedOut));
        }
        if self.line.iter().filter(in_line).count() == WAITERS_MAX {
            return Some(Err(Error::QueueFull { waiters_max: WAITERS_MAX }));
        }
        self.line.push(Waits { resource, owner, attempt, arrival, ttl, until });
        None
    }

    fn granted(&self, at: u64, place: usize, holds: u32) -> Reply {
        let held = &self.held[place];
        Reply::Acquired(Grant {
            token: FencingToken::new(held.token),
            arrival: Arrival::new(held.arrival),
            // Not modelled.
            ttl: Duration::ZERO,
            holds,
            valid_for: Duration::from_nanos(held.until - at),
        })
    }

    fn verified(
        &self,
        resource: &Resource,
        owner: &Owner,
        token: FencingToken,
    ) -> Result<usize, Error> {
        let mine = |held: &Held| held.resource == *resource && held.owner == *owner;
        let place = self.held.iter().position(mine).ok_or(Error::NotHolder)?;
        let current = FencingToken::new(self.held[place].token);
        if token == current { Ok(place) } else { Err(Error::StaleToken { current }) }
    }

    fn give_back(&mut self, place: usize, hold: usize, changes: &mut Vec<Change>) -> u32 {
        self.held[place].holds.remove(hold);
        let left = self.held[place].holds.len() as u32;
        if left == 0 {
            let Held { resource, .. } = self.held.remove(place);
            self.next(&resource, changes);
        }
        left
    }

    fn cancel(
        &mut self,
        resource: Resource,
        owner: Owner,
        attempt: AttemptId,
        changes: &mut Vec<Change>,
    ) {
        let waits = |w: &Waits| w.resource == resource && w.owner == owner && w.attempt == attempt;
        if let Some(place) = self.line.iter().position(waits) {
            self.line.remove(place);
            return self.end(resource, owner, attempt, WaitEnd::Cancelled, changes);
        }
        let holder = |held: &Held| held.resource == resource && held.owner == owner;
        if let Some(place) = self.held.iter().position(holder)
            && let Some(hold) = self.held[place].holds.iter().position(|&held| held == attempt)
        {
            self.give_back(place, hold, changes);
        }
        self.over.push((resource, owner, attempt, WaitEnd::Cancelled));
    }
}

/// A command in which tokens are named by how many grants ago they were issued.
#[derive(Clone, Debug)]
struct Step {
    passes: u64,
    verb: u8,
    resource: u8,
    owner: u8,
    attempt: u64,
    ttl: u64,
    wait: Option<u64>,
    tokens_ago: u64,
    by_attempt: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let numbers = (0..12u64, 0..12u8, 0..2u8, 0..3u8, 0..6u64);
    let spans = (1..30u64, proptest::option::of(0..25u64), 0..3u64, any::<bool>());
    (numbers, spans).prop_map(
        |((passes, verb, resource, owner, attempt), (ttl, wait, tokens_ago, by_attempt))| Step {
            // Often no time passes at all.
            passes: passes.saturating_sub(5),
            verb,
            resource,
            owner,
            attempt,
            ttl,
            wait,
            tokens_ago,
            by_attempt,
        },
    )
}

fn command(step: &Step, at: u64, tokens: u64) -> Command {
    let resource = Resource::from(["door", "room"][usize::from(step.resource)]);
    let owner = Owner::from(["ann", "bob", "cat"][usize::from(step.owner)]);
    let attempt = AttemptId::new(step.attempt);
    let token = FencingToken::new(tokens.saturating_sub(step.tokens_ago));
    let ttl = Duration::from_nanos(step.ttl);
    let action = match step.verb {
        0..=4 => {
            let wait = step.wait.map(Duration::from_nanos);
            Action::Acquire { resource, owner, attempt, ttl, wait }
        }
        5..=7 => {
            let attempt = step.by_attempt.then_some(attempt);
            Action::Release { resource, owner, token, attempt }
        }
        8 | 9 => Action::Renew { resource, owner, token, ttl },
        10 => Action::Cancel { resource, owner, attempt },
        _ => Action::Tick,
    };
    Command { at: LogTime::from_nanos(at), action }
}

fn without_ttl(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Answer(Ok(Reply::Acquired(grant))) => {
            Outcome::Answer(Ok(Reply::Acquired(Grant { ttl: Duration::ZERO, ..grant })))
        }
        other => other,
    }
}

/// Drives a table of `config` and the model alike.
///
/// # Errors
/// Where they differ first.
fn compare(config: Config, steps: &[Step]) -> Result<(), String> {
    let mut table = config.with_waiters_max(WAITERS_MAX).with_holds_max(HOLDS_MAX).table();
    let mut model = Model::default();
    let mut at = 0;
    for (number, step) in steps.iter().enumerate() {
        at += step.passes;
        let command = command(step, at, model.tokens);
        let output = table.apply_command(&command);
        let (outcome, changes) = model.apply(&command);
        let (found, expected) = ((without_ttl(output.outcome), output.changes), (outcome, changes));
        if found != expected {
            return Err(format!("step {number}, {command:?}: {found:?}, model: {expected:?}"));
        }
        table.check().map_err(|problem| format!("step {number}, {command:?}: {problem}"))?;
        let until = model.held.iter().map(|held| held.until);
        let until = until.chain(model.line.iter().map(|waits| waits.until)).min();
        if table.next_deadline() != until.map(LogTime::from_nanos) {
            return Err(format!("step {number}: next end {:?}", table.next_deadline()));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_table_does_what_the_model_does(steps in prop::collection::vec(step(), 1..80)) {
        compare(Config::default(), &steps).map_err(TestCaseError::fail)?;
    }
}

/// The same, for whoever wants to know whether it holds of `config`: an example where it does not.
#[cfg(feature = "mutants")]
pub(crate) fn difference(config: &Config) -> Option<String> {
    use proptest::test_runner::{Config as Cases, RngAlgorithm, TestError, TestRng, TestRunner};
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let cases = Cases { failure_persistence: None, ..Cases::with_cases(2000) };
    let mut runner = TestRunner::new_with_rng(cases, rng);
    let steps = prop::collection::vec(step(), 1..80);
    let result =
        runner.run(&steps, |steps| compare(config.clone(), &steps).map_err(TestCaseError::fail));
    match result {
        Ok(()) => None,
        Err(TestError::Fail(why, steps)) => Some(format!("{} steps: {why}", steps.len())),
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
}
