//! A core as a [`Node`] that takes [`Request`]s.

use cluster::{
    Boot, CorruptRecords, EffectsOf, Input, InputOf, InvalidConfig, Members, Node, Now, Redirect,
    RequestId, Standing, Timestamp,
};

use crate::checkpoint::Writing;
use crate::leader::payload_size;
use crate::message::{Append, Entry, Message, Record};
use crate::node::{Part, Raft};
use crate::request::{Event, ReadLevel, Reply, Request, Response, Settled};
use crate::{Config, Error, Recognition, StateMachine};

// The node: the core, with a memory for queries.
impl<S: StateMachine> Raft<S> {
    fn ask(&mut self, now: Now, id: RequestId, request: Request<S>, out: &mut EffectsOf<Self>) {
        match request {
            Request::Write(command) => {
                if let Err(error) = self.propose(now, Some(id), command) {
                    out.respond_now(id, Err(error));
                }
            }
            Request::Open => {
                if let Err(error) = self.open_session(now, Some(id)) {
                    out.respond_now(id, Err(error));
                }
            }
            Request::Submit(submission) => {
                if let Err(error) = self.submit(now, Some(id), submission) {
                    out.respond_now(id, Err(error));
                }
            }
            Request::Close(session) => {
                if let Err(error) = self.close_session(now, Some(id), session) {
                    out.respond_now(id, Err(error));
                }
            }
            Request::Read(query) => match self.read_index(now, id) {
                Ok(()) => self.queries.push_back((id, query)),
                Err(error) => out.respond_now(id, Err(error)),
            },
            Request::ReadLocal(query) | Request::ReadAt(ReadLevel::Local, query) => {
                let answer = self.serves_queries().map(|()| self.machine.query(&query));
                out.respond_now(id, answer.map(Reply::Answer));
            }
            Request::ReadAt(level, query) => match self.read(now, id, level) {
                Ok(()) => self.queries.push_back((id, query)),
                Err(error) => out.respond_now(id, Err(error)),
            },
            Request::Transfer { to } => {
                if let Err(error) = self.transfer(now, Some(id), to) {
                    out.respond_now(id, Err(error));
                }
            }
            Request::Change(change) => {
                if let Err(error) = self.change(now, Some(id), &change) {
                    out.respond_now(id, Err(error));
                }
            }
            Request::Committed { from, max } => {
                let entries = self.serves_queries().map(|()| self.committed(from, max));
                out.respond_now(id, entries.map(Reply::Committed));
            }
            Request::Status => out.respond_now(id, Ok(Reply::Status(Box::new(self.status())))),
        }
    }

    /// Answers what is settled. Without waiting for this node's own disk: what is committed is on a
    /// majority's.
    fn answer(&mut self, out: &mut EffectsOf<Self>) {
        let mut settled = std::mem::take(&mut self.settled);
        for settled in settled.drain(..) {
            match settled {
                Settled::Applied { request: None, .. }
                | Settled::Repeated { request: None, .. }
                | Settled::Opened { request: None, .. }
                | Settled::Closed { request: None }
                | Settled::Changed { request: None, .. }
                | Settled::Restored { .. } => {}
                Settled::Applied { index, request: Some(request), output }
                | Settled::Repeated { index, request: Some(request), output } => {
                    out.respond_now(request, Ok(Reply::Written { index, output }));
                }
                Settled::Opened { session, request: Some(request) } => {
                    out.respond_now(request, Ok(Reply::Opened(session)));
                }
                Settled::Closed { request: Some(request) } => {
                    out.respond_now(request, Ok(Reply::Closed));
                }
                Settled::Readable { request } => {
                    if let Some(query) = self.take_query(request) {
                        out.respond_now(request, Ok(Reply::Answer(self.machine.query(&query))));
                    }
                }
                Settled::Transferred { request, to } => {
                    out.respond_now(request, Ok(Reply::Transferred { to }));
                }
                Settled::Changed { index, request: Some(request), configuration } => {
                    out.respond_now(request, Ok(Reply::Changed { index, configuration }));
                }
                Settled::Failed { request, error } => {
                    self.take_query(request);
                    out.respond_now(request, Err(error));
                }
            }
        }
        // Kept for its memory.
        self.settled = settled;
    }

    /// Reads of one level settle in the order in which they were asked, so this looks far only where
    /// levels mix.
    fn take_query(&mut self, request: RequestId) -> Option<S::Query> {
        let place = self.queries.iter().position(|(id, _)| *id == request)?;
        self.queries.remove(place).map(|(_, query)| query)
    }
}

impl<S: StateMachine> Node for Raft<S> {
    type Config = Config<S>;
    type Request = Request<S>;
    type Response = Response<S>;
    type Message = Message<S::Command>;
    type Record = Record<S::Command>;
    type Event = Event;

    fn validate(config: &Config<S>, members: &Members) -> Result<(), InvalidConfig> {
        config.validate(members)
    }

    fn boot(
        config: &Config<S>,
        boot: Boot<Self::Record>,
        _out: &mut EffectsOf<Self>,
    ) -> Result<Self, CorruptRecords> {
        Self::boot_core(config, boot)
    }

    fn handle(&mut self, now: Now, input: InputOf<Self>, out: &mut EffectsOf<Self>) {
        match input {
            Input::Request { id, body } => self.ask(now, id, body, out),
            Input::Message { from, body } => self.receive(now, from, body, out),
            Input::Ended { node } => self.ended(now, node),
            Input::Timer => self.tick(now, out),
            Input::Durable(upto) => self.durable(now, upto, out),
        }
    }

    fn flush(&mut self, now: Now, out: &mut EffectsOf<Self>) {
        self.flush_core(now, out);
        self.answer(out);
        for event in self.events.drain(..) {
            out.emit(event);
        }
    }

    fn deadline(&self) -> Option<Timestamp> {
        if self.writing.as_ref().is_some_and(Writing::hurries) {
            return Some(Timestamp::ZERO);
        }
        match &self.part {
            Part::Leader(leadership) => Some(leadership.heartbeat_at),
            Part::Follower | Part::PreCandidate(_) | Part::Candidate(_) => {
                let ask_again = self.follower_reads.asks().then_some(self.ask_again_at);
                Some(ask_again.map_or(self.election_at, |at| at.min(self.election_at)))
            }
        }
    }

    fn standing(&self, _now: Now) -> Standing {
        Standing { role: self.role(), epoch: self.term.into(), leader: self.leader }
    }

    fn gauges(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("term", self.term.get()),
            ("log entries", self.last_index().get()),
            ("entries held", self.log.len() as u64),
            ("committed", self.commit.get()),
            ("applied", self.applied.get()),
            ("campaigns", self.counts.campaigns),
            ("leaderships", self.counts.leaderships),
            ("canvasses", self.counts.canvasses),
            ("abdications", self.counts.abdications),
            ("candidates ignored", self.counts.loyal),
            ("entries borrowed", self.counts.borrowed),
            ("appends refused", self.counts.refusals),
            ("snapshots taken", self.counts.snapshots),
            ("snapshots begun to install", self.counts.transfers),
            ("transfers resumed", self.counts.resumed),
            ("snapshots beside a transfer", self.counts.beside),
            ("snapshots installed", self.counts.installs),
            ("snapshots unreadable", self.counts.unreadable),
            ("sessions", self.sessions.count() as u64),
            ("session outputs", self.sessions.outputs() as u64),
            ("commands repeated", self.counts.repeats),
            ("messages dropped", self.counts.dropped),
            ("disk replaced", u64::from(self.recognition() == Recognition::Replaced)),
            ("votes withheld", self.counts.withheld),
            ("impostors ignored", self.counts.impostors),
            ("taken for the other kind", self.counts.misfits),
            ("voters", self.configuration().voters().len() as u64),
            ("learners", self.configuration().learners().len() as u64),
            ("witnesses", self.configuration().witnesses().len() as u64),
        ]
    }

    fn message_size(message: &Message<S::Command>) -> usize {
        let owned = match message {
            Message::Append(Append { entries, .. }) | Message::Lent { entries, .. } => {
                let size =
                    |entry: &Entry<_>| size_of_val(entry) + payload_size::<S>(&entry.payload);
                entries.iter().map(size).sum()
            }
            Message::Install(install) => install.chunk.len(),
            Message::RequestVote { .. }
            | Message::Vote { .. }
            | Message::Appended { .. }
            | Message::PreVote { .. }
            | Message::PreVoted { .. }
            | Message::TimeoutNow { .. }
            | Message::AskIndex { .. }
            | Message::ReadFrom { .. }
            | Message::Installed { .. }
            | Message::Hello { .. } => 0,
        };
        size_of_val(message) + owned
    }

    fn redirect(response: &Response<S>) -> Option<Redirect> {
        match response {
            Err(Error::NotLeader { leader }) => Some(Redirect { to: *leader }),
            Err(Error::Transferring { to }) => Some(Redirect { to: Some(*to) }),
            Ok(_)
            | Err(
                Error::Deposed
                | Error::SessionExpired
                | Error::Overloaded
                | Error::TooLarge { .. }
                | Error::NoSuchMember
                | Error::NotTransferred
                | Error::ChangeInProgress
                | Error::NotCaughtUp
                | Error::UnfitMember
                | Error::LastVoter
                | Error::Witness(_),
            ) => None,
        }
    }
}
