//! One node of the lock service: the log, the table, the leader's clock, and who waits for answers.

mod explore;

use std::collections::BTreeMap;

use cluster::{
    Boot, CorruptRecords, EffectsOf, Input, InputOf, InvalidConfig, Members, Node, Now, Redirect,
    RequestId, Standing, Timestamp,
};
use raft::{Raft, Settled};

use crate::clock::LogClock;
use crate::mutants::Mutant;
use crate::table::{Change, Outcome, Output, Query};
use crate::{
    Action, AttemptId, Command, Config, Error, Event, Grant, LockTable, LogTime, Owner, Reply,
    Request, Resource, Response,
};

/// A node of a lock service: a [`LockTable`] replicated by [`Raft`].
///
/// **Every request that changes something is stamped by the leader with the log's time, committed,
/// and applied on every node; the node that took the request answers it when it applies it.** An
/// attempt that has to wait is answered by that node too, when a later command ends its wait.
#[derive(Clone)]
pub struct LockNode {
    raft: Raft<LockTable>,
    config: Config,
    /// Invariant: there while this node leads, for the term it leads in.
    clock: Option<LogClock>,
    /// Not to propose a tick before, after the log refused one.
    tick_not_before: Timestamp,
    /// Requests that wait in line, with the stamps they came with. A retry adds another one.
    waiting: BTreeMap<(Resource, Owner, AttemptId), Vec<(RequestId, LogTime)>>,
    /// Reads that wait for the log to confirm them.
    reads: BTreeMap<RequestId, Query>,
    ticks: u64,
}

// Looking inside.
impl LockNode {
    /// The table, as far as this node has applied the log.
    pub fn table(&self) -> &LockTable {
        self.raft.machine()
    }

    /// The log under the table.
    pub fn raft(&self) -> &Raft<LockTable> {
        &self.raft
    }

    /// How many requests of this node's clients wait in line.
    pub fn waiting_requests(&self) -> usize {
        self.waiting.values().map(Vec::len).sum()
    }

    /// What the log's time is at `now`, by this node's estimate: its own clock's while it leads.
    fn log_time(&self, now: Now) -> LogTime {
        let table = self.table().time();
        self.clock.map_or(table, |clock| clock.read(now.monotonic).max(table))
    }

    /// When the next lease or wait will have to be ended by a tick; none if this node does not lead,
    /// nothing is due ever, or a command that will end it is in the log already.
    fn tick_due(&self) -> Option<Timestamp> {
        let clock = self.clock.filter(|_| !self.config.planted.is(Mutant::NeverTicks))?;
        let next = self.table().next_deadline()?;
        (clock.last() < next).then(|| clock.when(next).max(self.tick_not_before))
    }
}

impl Node for LockNode {
    type Config = Config;
    type Request = Request;
    type Response = Response;
    type Message = raft::Message<Command>;
    type Record = raft::Record<Command>;
    type Event = Event;

    fn validate(config: &Config, members: &Members) -> Result<(), InvalidConfig> {
        config.check()?;
        config.raft().validate(members)
    }

    fn boot(
        config: &Config,
        boot: Boot<Self::Record>,
        _out: &mut EffectsOf<Self>,
    ) -> Result<Self, CorruptRecords> {
        Ok(Self {
            raft: Raft::boot_core(&config.raft(), boot)?,
            config: config.clone(),
            clock: None,
            tick_not_before: Timestamp::ZERO,
            waiting: BTreeMap::new(),
            reads: BTreeMap::new(),
            ticks: 0,
        })
    }

    fn handle(&mut self, now: Now, input: InputOf<Self>, out: &mut EffectsOf<Self>) {
        match input {
            Input::Request { id, body } => self.request(now, id, body, out),
            Input::Message { from, body } => self.raft.receive(now, from, body, out),
            Input::Ended { node } => self.raft.ended(now, node),
            Input::Timer => self.raft.tick(now, out),
            Input::Durable(upto) => self.raft.durable(now, upto, out),
        }
    }

    fn flush(&mut self, now: Now, out: &mut EffectsOf<Self>) {
        self.follow_leadership(now);
        self.tick_if_due(now);
        self.table().own_clock().set(now.monotonic);
        self.raft.flush_core(now, out);
        for settled in self.raft.take_settled() {
            self.settle(now, settled, out);
        }
        for event in self.raft.take_events().into_iter().filter_map(Event::of_log) {
            out.emit(event);
        }
        self.follow_leadership(now);
    }

    fn deadline(&self) -> Option<Timestamp> {
        match (Node::deadline(&self.raft), self.tick_due()) {
            (Some(raft), Some(tick)) => Some(raft.min(tick)),
            (raft, tick) => raft.or(tick),
        }
    }

    fn standing(&self, now: Now) -> Standing {
        self.raft.standing(now)
    }

    fn gauges(&self) -> Vec<(&'static str, u64)> {
        let mut gauges = self.raft.gauges();
        let table = self.table();
        gauges.extend([
            ("locks", table.held_count() as u64),
            ("waiters", table.waiting_count() as u64),
            ("last token", table.last_token().get()),
            ("requests in line", self.waiting_requests() as u64),
            ("ticks", self.ticks),
        ]);
        gauges
    }

    fn message_size(message: &Self::Message) -> usize {
        Raft::<LockTable>::message_size(message)
    }

    fn redirect(response: &Response) -> Option<Redirect> {
        match response {
            Err(Error::NotLeader { leader }) => Some(Redirect { to: *leader }),
            Ok(_)
            | Err(
                Error::Held { .. }
                | Error::WaitTimedOut
                | Error::Cancelled
                | Error::QueueFull { .. }
                | Error::TooManyHolds { .. }
                | Error::NotHolder
                | Error::StaleToken { .. }
                | Error::InvalidTtl { .. }
                | Error::NotHandedOver
                | Error::Overloaded
                | Error::Unknown,
            ) => None,
        }
    }
}

// Taking requests.
impl LockNode {
    fn request(&mut self, now: Now, id: RequestId, body: Request, out: &mut EffectsOf<Self>) {
        let action = match self.plan(body) {
            Ok(Plan::Write(action)) => action,
            Ok(Plan::Read(query)) => return self.read(now, id, query, out),
            Ok(Plan::HandOver) => return self.hand_over(now, id, out),
            Err(error) => return out.respond_now(id, Err(error)),
        };
        self.follow_leadership(now);
        let Some(clock) = &mut self.clock else {
            let leader = self.raft.leader();
            return out.respond_now(id, Err(Error::NotLeader { leader }));
        };
        let command = Command { at: clock.stamp(now.monotonic), action };
        let mut request = Some(id);
        if self.config.planted.is(Mutant::AnswersBeforeCommit) {
            let outcome = self.table().clone().apply_command(&command).outcome;
            if let Outcome::Answer(response) = outcome {
                out.respond_now(id, response);
                request = None;
            }
        }
        if let Err(error) = self.raft.propose(now, request, command) {
            out.respond_now(id, Err(error.into()));
        }
    }

    /// What `body` comes to; TTLs are checked here, before anything is done.
    fn plan(&self, body: Request) -> Result<Plan, Error> {
        let acquire = |resource, owner, attempt, ttl, wait| {
            let ttl = self.config.ttl(ttl)?;
            Ok(Plan::Write(Action::Acquire { resource, owner, attempt, ttl, wait }))
        };
        match body {
            Request::TryAcquire { resource, owner, attempt, ttl } => {
                acquire(resource, owner, attempt, ttl, None)
            }
            Request::Acquire { resource, owner, attempt, ttl, wait } => {
                acquire(resource, owner, attempt, ttl, Some(wait))
            }
            Request::Release { resource, owner, token, attempt } => {
                Ok(Plan::Write(Action::Release { resource, owner, token, attempt }))
            }
            Request::Renew { resource, owner, token, ttl } => {
                let ttl = self.config.ttl(ttl)?;
                Ok(Plan::Write(Action::Renew { resource, owner, token, ttl }))
            }
            Request::Cancel { resource, owner, attempt } => {
                Ok(Plan::Write(Action::Cancel { resource, owner, attempt }))
            }
            Request::IsLocked { resource } => Ok(Plan::Read(Query::IsLocked(resource))),
            Request::Info { resource } => Ok(Plan::Read(Query::Info(resource))),
            Request::List => Ok(Plan::Read(Query::List)),
            Request::HandOver => Ok(Plan::HandOver),
        }
    }

    fn hand_over(&mut self, now: Now, id: RequestId, out: &mut EffectsOf<Self>) {
        if let Err(error) = self.raft.transfer(now, Some(id), None) {
            out.respond_now(id, Err(error.into()));
        }
    }

    fn read(&mut self, now: Now, id: RequestId, query: Query, out: &mut EffectsOf<Self>) {
        if self.config.planted.is(Mutant::LocalReads) {
            return out.respond_now(id, Ok(self.table().look(&query, self.log_time(now))));
        }
        match self.raft.read_index(now, id) {
            Ok(()) => {
                self.reads.insert(id, query);
            }
            Err(error) => out.respond_now(id, Err(error.into())),
        }
    }
}

enum Plan {
    Write(Action),
    Read(Query),
    HandOver,
}

// Leading.
impl LockNode {
    /// Starts the log's clock when this node begins to lead, and drops it when it no longer does.
    fn follow_leadership(&mut self, now: Now) {
        let leads_in = self.raft.is_leader().then(|| self.raft.term());
        if leads_in != self.clock.map(|clock| clock.term) {
            self.clock =
                leads_in.map(|term| LogClock::start(term, self.last_stamp(), now.monotonic));
        }
    }

    /// The stamp of the last command in the log, committed or not.
    fn last_stamp(&self) -> LogTime {
        let mut index = self.raft.last_index();
        let mut last = self.table().time();
        while let Some(entry) = self.raft.entry(index) {
            if let Some(command) = entry.payload.command() {
                last = last.max(command.at);
                break;
            }
            index = index.prev();
        }
        if self.config.planted.is(Mutant::LeasesLostOnFailover) && last > LogTime::ZERO {
            last = last.after(std::time::Duration::from_secs(86_400));
        }
        last
    }

    /// Proposes that time has passed, if that ends a lease or a wait and nothing in the log does so
    /// already. An idle service writes nothing.
    fn tick_if_due(&mut self, now: Now) {
        if self.tick_due().is_none_or(|due| due > now.monotonic) {
            return;
        }
        let Some(clock) = &mut self.clock else { return };
        let command = Command { at: clock.stamp(now.monotonic), action: Action::Tick };
        if self.config.planted.is(Mutant::TicksTwice) {
            let again = Command { at: clock.stamp(now.monotonic), action: Action::Tick };
            self.ticks += u64::from(self.raft.propose(now, None, again).is_ok());
        }
        match self.raft.propose(now, None, command) {
            Ok(_) => self.ticks += 1,
            Err(_) => {
                // The commands that crowd the log bring later stamps with them, and those end what
                // is due as well. If they do not, a little later will do.
                self.tick_not_before = now.monotonic + self.config.tick_retry();
            }
        }
    }
}

// Answering. None of it waits for this node's own disk: what is committed is on a majority's.
impl LockNode {
    fn settle(&mut self, now: Now, settled: Settled<LockTable>, out: &mut EffectsOf<Self>) {
        match settled {
            // Sessions are the log's own: the table makes its requests count once by their attempts.
            Settled::Opened { .. } | Settled::Closed { .. } => {}
            Settled::Applied { request, output, .. }
            | Settled::Repeated { request, output, .. } => {
                self.applied(request, output, out);
            }
            Settled::Restored { .. } => self.restored(out),
            Settled::Readable { request } => {
                if let Some(query) = self.reads.remove(&request) {
                    let at = self.log_time(now);
                    out.respond_now(request, Ok(self.table().look(&query, at)));
                }
            }
            Settled::Transferred { request, to } => {
                out.respond_now(request, Ok(Reply::HandedOver { to }));
            }
            // Nobody asks this service for that.
            Settled::Changed { .. } => {}
            Settled::Failed { request, error } => {
                let was_read = self.reads.remove(&request).is_some();
                let error = match error {
                    // A read that failed has done nothing, whatever the reason.
                    raft::Error::Deposed if was_read => {
                        Error::NotLeader { leader: self.raft.leader() }
                    }
                    error => error.into(),
                };
                out.respond_now(request, Err(error));
            }
        }
    }

    /// The table has jumped: what ended waits in between was not seen. Whoever still stands in line
    /// will be heard of; of the others it is not known what they were told elsewhere.
    fn restored(&mut self, out: &mut EffectsOf<Self>) {
        let waiting = std::mem::take(&mut self.waiting);
        for (key, requests) in waiting {
            let (resource, owner, attempt) = &key;
            let queue = self.table().queue(resource);
            if queue.iter().any(|(other, its)| other == owner && its == attempt) {
                self.waiting.insert(key, requests);
                continue;
            }
            for (request, _) in requests {
                out.respond_now(request, Err(Error::Unknown));
            }
        }
    }

    /// Answers whoever asked for a command that was applied, and whoever it let through or sent away.
    fn applied(&mut self, request: Option<RequestId>, output: Output, out: &mut EffectsOf<Self>) {
        for change in output.changes {
            self.changed(change, out);
        }
        let Some(request) = request else { return };
        match output.outcome {
            Outcome::Answer(response) => out.respond_now(request, response),
            Outcome::Queued(attempt) => {
                self.waiting.entry(*attempt).or_default().push((request, output.at));
            }
            Outcome::Ticked => {}
        }
    }

    fn changed(&mut self, change: Change, out: &mut EffectsOf<Self>) {
        match change {
            Change::Granted {
                resource,
                owner,
                attempt,
                token,
                arrival,
                ttl,
                holds,
                expires_at,
            } => {
                for (request, asked_at) in self.no_longer_waiting(resource, owner, attempt) {
                    let valid_for = expires_at.since(asked_at);
                    let grant = Grant { token, arrival, ttl, holds, valid_for };
                    out.respond_now(request, Ok(Reply::Acquired(grant)));
                }
            }
            Change::WaitEnded { resource, owner, attempt, why } => {
                for (request, _) in self.no_longer_waiting(resource, owner, attempt) {
                    out.respond_now(request, Err(why.error()));
                }
            }
            Change::Expired { resource, owner, token } => {
                out.emit(Event::Expired { resource, owner, token });
            }
        }
    }

    fn no_longer_waiting(
        &mut self,
        resource: Resource,
        owner: Owner,
        attempt: AttemptId,
    ) -> Vec<(RequestId, LogTime)> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        self.waiting.remove(&(resource, owner, attempt)).unwrap_or_default()
    }
}
