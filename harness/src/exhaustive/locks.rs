//! The lock table: every order of commands of a few owners, judged by what they were told.

use std::collections::BTreeSet;
use std::hash::Hash;
use std::time::Duration;

use cluster::explore::{Broken, Fingerprint, Limits, Report, Space, search};
use dlock::{
    Action, AttemptId, Change, Command, Config, Error, FencingToken, LockTable, LogTime, Outcome,
    Output, Owner, Reply, Resource, WaitEnd,
};

#[cfg(feature = "mutants")]
use super::hunt::Stage;
use super::{Expected, Run};

/// What the table broke.
pub(super) const FENCING: &str = "fencing";
/// Two owners were told that they hold the lock at one time.
pub(super) const MUTUAL_EXCLUSION: &str = "mutual exclusion";
/// Somebody was served before somebody who came earlier.
pub(super) const FIRST_COME: &str = "first come, first served";
/// A lock is kept from those who wait though nobody holds it any more.
pub(super) const DEADLOCK_FREEDOM: &str = "deadlock freedom";
/// An attempt took effect twice, or after it was told that it would not.
pub(super) const EXACTLY_ONCE: &str = "exactly-once";
/// The table contradicts itself.
pub(super) const LOCK_TABLE: &str = "lock table";

const TTL: Duration = Duration::from_millis(20);
/// Less than a lease, and two waits in a row more.
const WAIT: Duration = Duration::from_millis(15);

/// Every order of so many commands on one lock.
pub(super) struct Table {
    config: Config,
    owners: Vec<Owner>,
    attempts: u64,
    commands: u8,
}

/// The table, and what its clients know.
#[derive(Clone)]
pub(super) struct State {
    table: LockTable,
    told: Told,
    /// Not part of what stands for the state: it is first reached by the shortest way, which has the
    /// most commands left.
    commands: u8,
}

/// What the clients were told.
#[derive(Clone, Hash, Default)]
struct Told {
    newest: FencingToken,
    holder: Option<Holder>,
    /// Who was told to wait, in that order.
    line: Vec<Waiting>,
    /// Attempts that were told that they have nothing.
    over: BTreeSet<(Owner, AttemptId)>,
    /// For each owner, how many attempts it has made.
    made: Vec<u64>,
}

#[derive(Clone, Hash)]
struct Holder {
    owner: Owner,
    token: FencingToken,
    /// What it holds the lock by, oldest first.
    attempts: Vec<AttemptId>,
    until: LogTime,
}

#[derive(Clone, Hash)]
struct Waiting {
    owner: Owner,
    attempt: AttemptId,
    deadline: LogTime,
}

fn broken<T>(guarantee: &'static str, what: String) -> Result<T, Broken> {
    Err(Broken { guarantee, what })
}

impl Table {
    pub(super) fn new(config: Config, owners: usize, attempts: u64, commands: u8) -> Self {
        let owners = ["ann", "bob", "cleo"].into_iter().take(owners).map(Owner::new).collect();
        Self { config, owners, attempts, commands }
    }

    pub(super) fn explore(&self, limits: &Limits) -> Report {
        search(self, limits)
    }

    fn lock() -> Resource {
        Resource::new("x")
    }

    /// What can be asked of the table, whenever it is asked.
    fn actions(&self, told: &Told) -> Vec<Action> {
        let mut actions = vec![Action::Tick];
        let resource = Self::lock();
        // Nobody is preferred for a name, so the next owner comes only when the last one has.
        let come = told.made.iter().take_while(|&&made| made > 0).count();
        for (place, owner) in self.owners.iter().enumerate().take(come + 1) {
            let made = told.made.get(place).copied().unwrap_or(0);
            for number in 1..=self.attempts.min(made + 1) {
                let attempt = AttemptId::new(number);
                for wait in [None, Some(WAIT)] {
                    let (resource, owner) = (resource.clone(), owner.clone());
                    actions.push(Action::Acquire { resource, owner, attempt, ttl: TTL, wait });
                }
                let (resource, owner) = (resource.clone(), owner.clone());
                actions.push(Action::Cancel { resource, owner, attempt });
            }
            if made == 0 {
                continue;
            }
            // The token of the last grant, and of the one before: nobody knows others.
            let newest = told.newest.get();
            for token in (newest.saturating_sub(1).max(1)..=newest).map(FencingToken::new) {
                for attempt in [None, Some(AttemptId::new(1))] {
                    let (resource, owner) = (resource.clone(), owner.clone());
                    actions.push(Action::Release { resource, owner, token, attempt });
                }
                let (resource, owner) = (resource.clone(), owner.clone());
                actions.push(Action::Renew { resource, owner, token, ttl: TTL });
            }
        }
        actions
    }
}

impl Space for Table {
    type State = State;
    type Choice = Command;

    fn start(&self) -> Result<State, Broken> {
        let told = Told { made: vec![0; self.owners.len()], ..Told::default() };
        Ok(State { table: self.config.table(), told, commands: 0 })
    }

    fn choices(&self, state: &State) -> Vec<Command> {
        if state.commands == self.commands {
            return Vec::new();
        }
        let now = state.table.time();
        let times: Vec<LogTime> =
            [Some(now), state.told.next_deadline()].into_iter().flatten().collect();
        let actions = self.actions(&state.told).into_iter();
        actions
            .flat_map(|action| times.iter().map(move |&at| Command { at, action: action.clone() }))
            .collect()
    }

    fn take(&self, state: &State, command: &Command) -> Result<State, Broken> {
        let mut next = state.clone();
        next.commands += 1;
        let output = next.table.apply_command(command);
        next.told.hear(&self.owners, command, &output)?;
        if let Err(what) = next.table.check() {
            return broken(LOCK_TABLE, what);
        }
        Ok(next)
    }

    fn fingerprint(&self, state: &State) -> u128 {
        Fingerprint::of(|into| {
            state.table.hash(into);
            state.told.hash(into);
        })
    }

    fn describe(&self, state: &State, command: &Command) -> String {
        let output = state.table.clone().apply_command(command);
        let (at, action) = (command.at, &command.action);
        format!("{at:?} {action:?} → {:?}, {:?}", output.outcome, output.changes)
    }
}

// What clients hear, and may expect.
impl Told {
    fn next_deadline(&self) -> Option<LogTime> {
        let held = self.holder.as_ref().map(|holder| holder.until);
        self.line.iter().map(|waiting| waiting.deadline).chain(held).min()
    }

    fn hear(&mut self, owners: &[Owner], command: &Command, output: &Output) -> Result<(), Broken> {
        if let Action::Acquire { owner, attempt, .. } | Action::Cancel { owner, attempt, .. } =
            &command.action
            && let Some(place) = owners.iter().position(|it| it == owner)
        {
            self.made[place] = self.made[place].max(attempt.get());
        }
        for change in &output.changes {
            self.changed(command, &output.outcome, change)?;
        }
        match &output.outcome {
            Outcome::Ticked => {}
            Outcome::Queued(_) => self.queued(command),
            Outcome::Answer(Ok(reply)) => self.answered(command, reply)?,
            Outcome::Answer(Err(error)) => self.refused(command, error)?,
        }
        self.check(command.at)
    }

    fn changed(
        &mut self,
        command: &Command,
        outcome: &Outcome,
        change: &Change,
    ) -> Result<(), Broken> {
        match change {
            Change::Expired { owner, token, .. } => {
                let Some(holder) = self.holder.take() else {
                    return broken(LOCK_TABLE, format!("the lease of {owner} ended; it had none"));
                };
                if (&holder.owner, holder.token) != (owner, *token) || holder.until > command.at {
                    let (now, until) = (command.at, holder.until);
                    let what = format!("{owner} lost {token} at {now:?}, had it until {until:?}");
                    return broken(MUTUAL_EXCLUSION, what);
                }
            }
            Change::WaitEnded { owner, attempt, why, .. } => {
                let is = |it: &Waiting| (&it.owner, it.attempt) == (owner, *attempt);
                let Some(place) = self.line.iter().position(is) else {
                    let what = format!("the wait of {owner} {attempt:?} ended; it did not wait");
                    return broken(LOCK_TABLE, what);
                };
                let waiting = self.line.remove(place);
                if *why == WaitEnd::TimedOut && waiting.deadline > command.at {
                    let what = format!("{owner} {attempt:?} waits until {:?}", waiting.deadline);
                    return broken(FIRST_COME, what);
                }
                self.over.insert((owner.clone(), *attempt));
            }
            Change::Granted { owner, attempt, token, expires_at, holds, .. } => {
                self.let_go(command, outcome, owner);
                self.line_served(owner, *attempt)?;
                self.granted(command.at, owner, *attempt, *token, *expires_at)?;
                self.count(owner, *attempt, *holds)?;
            }
        }
        Ok(())
    }

    /// The holder gave back its last hold, if that is what `command` did before `next` was served.
    fn let_go(&mut self, command: &Command, outcome: &Outcome, next: &Owner) {
        let Some(holder) = self.holder.as_ref().filter(|holder| holder.owner != *next) else {
            return;
        };
        let gone = match (&command.action, outcome) {
            (Action::Release { owner, .. }, Outcome::Answer(Ok(Reply::Released { .. }))) => {
                *owner == holder.owner && holder.attempts.len() == 1
            }
            (Action::Cancel { owner, attempt, .. }, _) => {
                *owner == holder.owner && holder.attempts == [*attempt]
            }
            _ => false,
        };
        if gone {
            self.holder = None;
        }
    }

    /// A waiter is served: the first in line, or one whose owner was.
    fn line_served(&mut self, owner: &Owner, attempt: AttemptId) -> Result<(), Broken> {
        let is = |it: &Waiting| &it.owner == owner && it.attempt == attempt;
        let Some(place) = self.line.iter().position(is) else {
            return broken(EXACTLY_ONCE, format!("{owner} {attempt:?} was granted, out of line"));
        };
        let comes_along = self.holder.as_ref().is_some_and(|holder| holder.owner == *owner);
        if place > 0 && !comes_along {
            let first = &self.line[0].owner;
            return broken(FIRST_COME, format!("{owner} was served before {first}"));
        }
        self.line.remove(place);
        Ok(())
    }

    /// `owner` was told that it holds the lock.
    fn granted(
        &mut self,
        at: LogTime,
        owner: &Owner,
        attempt: AttemptId,
        token: FencingToken,
        until: LogTime,
    ) -> Result<(), Broken> {
        if self.over.contains(&(owner.clone(), attempt)) {
            let what = format!("{owner} {attempt:?} was granted after it was told that it is over");
            return broken(EXACTLY_ONCE, what);
        }
        match &mut self.holder {
            Some(holder) if holder.owner != *owner => {
                let (other, end) = (&holder.owner, holder.until);
                let what = format!("{owner} was granted at {at:?}, {other} holds until {end:?}");
                broken(MUTUAL_EXCLUSION, what)
            }
            Some(holder) if holder.token != token => {
                let what = format!("{owner} holds by {}, was granted {token}", holder.token);
                broken(FENCING, what)
            }
            Some(holder) => {
                if !holder.attempts.contains(&attempt) {
                    holder.attempts.push(attempt);
                }
                holder.until = holder.until.max(until);
                Ok(())
            }
            None if token <= self.newest => {
                broken(FENCING, format!("{owner} was granted {token} after {}", self.newest))
            }
            None => {
                self.newest = token;
                let (owner, attempts) = (owner.clone(), vec![attempt]);
                self.holder = Some(Holder { owner, token, attempts, until });
                Ok(())
            }
        }
    }

    /// The owner was told how often it holds the lock.
    fn count(&self, owner: &Owner, attempt: AttemptId, holds: u32) -> Result<(), Broken> {
        let Some(holder) = &self.holder else { return Ok(()) };
        let place = holder.attempts.iter().position(|&held| held == attempt);
        let right = place.map_or(0, |place| place as u32 + 1);
        if holds == right {
            return Ok(());
        }
        broken(EXACTLY_ONCE, format!("{owner} {attempt:?} is hold {right}, was told {holds}"))
    }

    fn queued(&mut self, command: &Command) {
        let Action::Acquire { owner, attempt, wait: Some(wait), .. } = &command.action else {
            return;
        };
        if self.line.iter().any(|it| &it.owner == owner && it.attempt == *attempt) {
            return;
        }
        let (owner, attempt, deadline) = (owner.clone(), *attempt, command.at.after(*wait));
        self.line.push(Waiting { owner, attempt, deadline });
    }

    fn answered(&mut self, command: &Command, reply: &Reply) -> Result<(), Broken> {
        match (&command.action, reply) {
            (Action::Acquire { owner, attempt, .. }, Reply::Acquired(grant)) => {
                if self.holder.is_none()
                    && let Some(first) = self.line.first()
                {
                    let what = format!("{owner} was served before {}", first.owner);
                    return broken(FIRST_COME, what);
                }
                let until = command.at.after(grant.valid_for);
                self.granted(command.at, owner, *attempt, grant.token, until)?;
                self.count(owner, *attempt, grant.holds)
            }
            (
                Action::Release { owner, token, attempt, .. },
                Reply::Released { remaining_holds },
            ) => self.released(owner, *token, *attempt, *remaining_holds),
            (Action::Renew { owner, token, ttl, .. }, Reply::Renewed { .. }) => {
                match &mut self.holder {
                    Some(holder) if (&holder.owner, holder.token) == (owner, *token) => {
                        holder.until = holder.until.max(command.at.after(*ttl));
                        Ok(())
                    }
                    Some(_) | None => {
                        broken(MUTUAL_EXCLUSION, format!("{owner} renewed {token}, holds nothing"))
                    }
                }
            }
            (Action::Cancel { owner, attempt, .. }, Reply::Cancelled) => {
                if let Some(holder) = self.holder.as_mut().filter(|it| it.owner == *owner) {
                    holder.attempts.retain(|held| held != attempt);
                }
                self.holder.take_if(|holder| holder.attempts.is_empty());
                self.over.insert((owner.clone(), *attempt));
                Ok(())
            }
            (action, reply) => broken(LOCK_TABLE, format!("{action:?} is answered {reply:?}")),
        }
    }

    fn released(
        &mut self,
        owner: &Owner,
        token: FencingToken,
        attempt: Option<AttemptId>,
        left: u32,
    ) -> Result<(), Broken> {
        let holder = self.holder.as_mut();
        let Some(holder) = holder.filter(|it| it.token == token && it.owner == *owner) else {
            // Its last hold, and the lock went on to the next in line: `let_go` took note.
            if left == 0 && self.holder.as_ref().is_some_and(|holder| holder.token > token) {
                return Ok(());
            }
            return broken(MUTUAL_EXCLUSION, format!("{owner} released {token}, holds nothing"));
        };
        match attempt {
            None => holder.attempts.pop(),
            Some(attempt) => {
                let place = holder.attempts.iter().position(|&held| held == attempt);
                place.map(|place| holder.attempts.remove(place))
            }
        };
        let right = holder.attempts.len() as u32;
        self.holder.take_if(|holder| holder.attempts.is_empty());
        if left == right {
            return Ok(());
        }
        broken(EXACTLY_ONCE, format!("{owner} has {right} holds left, was told {left}"))
    }

    fn refused(&mut self, command: &Command, error: &Error) -> Result<(), Broken> {
        let holds = |owner: &Owner, token: FencingToken| {
            self.holder.as_ref().is_some_and(|it| it.owner == *owner && it.token == token)
        };
        match &command.action {
            Action::Renew { owner, token, .. } if holds(owner, *token) => {
                broken(MUTUAL_EXCLUSION, format!("{owner} holds {token} and is told {error}"))
            }
            Action::Release { owner, token, attempt: None, .. } if holds(owner, *token) => {
                broken(MUTUAL_EXCLUSION, format!("{owner} holds {token} and is told {error}"))
            }
            Action::Acquire { owner, .. } if self.holder.is_none() && self.line.is_empty() => {
                match error {
                    Error::Held { .. } => {
                        broken(DEADLOCK_FREEDOM, format!("nobody holds, {owner} is told {error}"))
                    }
                    _ => Ok(()),
                }
            }
            Action::Acquire { .. }
            | Action::Release { .. }
            | Action::Renew { .. }
            | Action::Cancel { .. }
            | Action::Tick => Ok(()),
        }
    }

    /// What must be so at `now`, after every command.
    fn check(&self, now: LogTime) -> Result<(), Broken> {
        if let Some(holder) = self.holder.as_ref().filter(|holder| holder.until <= now) {
            let (owner, until) = (&holder.owner, holder.until);
            let what = format!("{owner} holds until {until:?}, and it is {now:?}");
            return broken(DEADLOCK_FREEDOM, what);
        }
        if let Some(late) = self.line.iter().find(|waiting| waiting.deadline <= now) {
            let what = format!("{} still waits at {now:?}", late.owner);
            return broken(FIRST_COME, what);
        }
        match self.line.first() {
            Some(first) if self.holder.is_none() => {
                broken(DEADLOCK_FREEDOM, format!("{} waits for a free lock", first.owner))
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// The configuration of all runs.
pub(super) fn config() -> Config {
    Config::default().with_textbook_elections().trusting_disks()
}

/// Three owners, one attempt each.
pub(super) fn three(config: Config, limits: &Limits) -> Report {
    Table::new(config, 3, 1, 8).explore(limits)
}

/// Two owners, two attempts each.
pub(super) fn two(config: Config, limits: &Limits) -> Report {
    Table::new(config, 2, 2, 7).explore(limits)
}

/// The runs that are part of every build.
pub(super) const RUNS: &[Run] = &[
    Run {
        pattern: "dlock",
        name: "table, 3 owners",
        about: "the lock table: every order of 8 commands of 3 owners, 1 attempt each",
        expected: Expected::Holds,
        explore: |limits| three(config(), limits),
    },
    Run {
        pattern: "dlock",
        name: "table, 2 owners",
        about: "the lock table: every order of 7 commands of 2 owners, 2 attempts each",
        expected: Expected::Holds,
        explore: |limits| two(config(), limits),
    },
];

/// Where a planted bug should show, in the table.
#[cfg(feature = "mutants")]
pub(super) fn stages(mutant: dlock::Mutant) -> Vec<Stage<Config>> {
    use dlock::Mutant;
    let stage = |name, explore| Stage { name, explore };
    match mutant {
        Mutant::TokenForgottenWhenFree
        | Mutant::TokenKeptOnRegrant
        | Mutant::ReleaseByAnyone
        | Mutant::ReleaseByAnyToken
        | Mutant::RenewalAfterExpiry
        | Mutant::RetryCountedTwice
        | Mutant::GhostWaiters => vec![stage("table, 2 owners", two)],
        Mutant::LastComeFirstServed => vec![stage("table, 3 owners", three)],
        Mutant::OwnClockExpiry
        | Mutant::TicksTwice
        | Mutant::AnswersBeforeCommit
        | Mutant::LeasesLostOnFailover
        | Mutant::LocalReads
        | Mutant::NeverTicks => Vec::new(),
    }
}
