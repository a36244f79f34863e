//! The state machine: one node of an election.
//!
//! Methods lie by the part that a node plays in them: `follower` hears leaders, `candidate` stands,
//! `voter` answers those who stand, `leader` leads.

mod candidate;
mod explore;
mod follower;
mod leader;
mod voter;

use cluster::{
    Boot, CorruptRecords, EffectsOf, Epoch, Input, InputOf, InvalidConfig, Members, Node, NodeId,
    Now, PersistCount, Redirect, Rng, Role, Standing, Timestamp,
};

use crate::campaign::{Campaign, Purpose, Stage};
use crate::config::Config;
use crate::error::Error;
use crate::lease::Lease;
use crate::message::{Answer, Event, Message, Record, Request, Response, Round};
use crate::mutants::Mutant;
use crate::promise::Voter;

/// For how many timeouts a node that resigned leaves the lead to others. If nobody takes it, or a
/// lower node does, it stands again after that.
pub const REST_TIMEOUTS: u32 = 4;

/// Epochs beyond this are taken for garbage: nobody lives through so many elections, and one of
/// them believed would leave no room for later ones.
const EPOCH_MAX: Epoch = Epoch::new(1 << 62);

/// One node of an election by the Bully algorithm. See the [crate] for what it does and promises.
///
/// Invariants:
/// 1. at most one of `reign` and `campaign` is there, and with `reign` there is no `leader`;
/// 2. in guarded mode a node that follows is bound to whom it follows, for as long as it follows;
/// 3. `reign`, once given up, never comes back with the same epoch.
#[derive(Clone, Debug)]
pub struct Bully {
    id: NodeId,
    members: Members,
    config: Config,
    rng: Rng,
    /// Tells one life of a node from the next.
    incarnation: u64,
    voter: Voter,
    /// The highest epoch heard of. Not durable: it only saves failed ballots.
    seen: Epoch,
    /// Whom it follows.
    leader: Option<Leader>,
    campaign: Option<Campaign>,
    reign: Option<Reign>,
    /// When to stand if nobody leads by then.
    stand_at: Timestamp,
    /// Before this it does not stand, having resigned.
    rest_until: Timestamp,
    /// How often it has challenged the leader it follows, in vain.
    challenges_failed: u32,
    /// The candidate it would rather see lead, while it makes up its mind.
    favour: Option<Favour>,
    /// Whom it last heard let an epoch go: what of that epoch still arrives from there is old.
    released: Option<(NodeId, Epoch)>,
    last_round: Round,
    /// How much of what it has persisted is durable.
    durable: PersistCount,
    counters: Counters,
}

/// A leader, as a follower knows it.
#[derive(Clone, Copy, Debug)]
struct Leader {
    id: NodeId,
    epoch: Epoch,
    /// The last round heard from it.
    round: Round,
    /// When to stop believing in it.
    until: Timestamp,
    /// If it is lower: when to challenge it.
    challenge_at: Option<Timestamp>,
}

/// What a leader has.
#[derive(Clone, Debug)]
struct Reign {
    epoch: Epoch,
    /// None in textbook mode: nothing limits that leader.
    lease: Option<Lease>,
    /// When to be heard next.
    heartbeat_at: Timestamp,
}

/// The highest candidate of the moment.
#[derive(Clone, Copy, Debug)]
struct Favour {
    candidate: NodeId,
    /// After this all candidates are alike, until somebody leads: the favourite may be one that
    /// cannot win, and keeps trying.
    until: Timestamp,
}

/// What people may want to know.
#[derive(Clone, Copy, Debug, Default)]
struct Counters {
    campaigns: u64,
    reigns: u64,
    abdications: u64,
    leases_lost: u64,
    grants: u64,
    refused: u64,
    stale: u64,
    dropped: u64,
}

// Looking at it.
impl Bully {
    /// The epoch that it was elected for and has not let go, whether or not it may act on it now.
    pub fn reigns(&self) -> Option<Epoch> {
        self.reign.as_ref().map(|reign| reign.epoch)
    }

    /// The last epoch that it has promised away, perhaps not durably yet.
    pub fn promised(&self) -> Epoch {
        self.voter.promised()
    }

    /// Different for each life of a node, from its boot seed.
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Whom it follows at `now`.
    fn followed(&self, now: Timestamp) -> Option<Leader> {
        self.leader.filter(|leader| leader.until > now)
    }

    /// The epoch in which it acts as leader at `now`.
    fn acting(&self, now: Timestamp) -> Option<Epoch> {
        let reign = self.reign.as_ref()?;
        let may = reign.lease.as_ref().is_none_or(|lease| lease.is_valid(now));
        may.then_some(reign.epoch)
    }

    fn plants(&self, mutant: Mutant) -> bool {
        self.config.planted().is(mutant)
    }
}

impl Node for Bully {
    type Config = Config;
    type Request = Request;
    type Response = Response;
    type Message = Message;
    type Record = Record;
    type Event = Event;

    fn validate(config: &Config, members: &Members) -> Result<(), InvalidConfig> {
        config.validate(members)
    }

    fn boot(
        config: &Config,
        boot: Boot<Record>,
        _out: &mut EffectsOf<Self>,
    ) -> Result<Self, CorruptRecords> {
        let Boot { id, members, now, seed, records } = boot;
        let mut voter = Voter::recall(id, &members, &records)?;
        let now = now.monotonic;
        let mut stand_at = now;
        // Whoever has no records has told nobody anything: all its words waited for a record. Whoever
        // has some may have been bound a moment ago.
        let may_be_bound = config.is_guarded() && !records.is_empty();
        if may_be_bound && !config.planted().is(Mutant::ForgetsBindingOnBoot) {
            stand_at = now + config.timeout();
            voter.bind_after_boot(stand_at);
        }
        let mut rng = Rng::from_seed(seed);
        let last_round = Round::new(rng.next() >> 1);
        Ok(Self {
            id,
            seen: voter.promised(),
            members,
            config: config.clone(),
            rng,
            incarnation: seed,
            voter,
            leader: None,
            campaign: None,
            reign: None,
            stand_at,
            rest_until: Timestamp::ZERO,
            challenges_failed: 0,
            favour: None,
            released: None,
            last_round,
            durable: PersistCount::default(),
            counters: Counters::default(),
        })
    }

    fn handle(&mut self, now: Now, input: InputOf<Self>, out: &mut EffectsOf<Self>) {
        let now = now.monotonic;
        self.expire(now, out);
        match input {
            Input::Request { id, body } => {
                let response = self.answer(body, now, out);
                // Nothing here waits for the disk: a leader's epoch was durable at a majority,
                // itself included, before it led; a resignation lasts no longer than this life.
                out.respond_now(id, response);
            }
            Input::Message { from, body } => self.hear(from, body, now, out),
            // Who is silent is found by time: a promise to a leader holds for as long as it was given.
            Input::Ended { .. } | Input::Timer => {}
            Input::Durable(count) => {
                self.durable = self.durable.max(count);
                self.count_ballot(now, out);
            }
        }
    }

    fn flush(&mut self, now: Now, out: &mut EffectsOf<Self>) {
        let now = now.monotonic;
        self.expire(now, out);
        if self.reign.is_some() {
            self.keep_leading(now, out);
        } else if self.campaign.is_some() {
            self.keep_standing(now, out);
        } else {
            self.stand_if_due(now, out);
        }
    }

    fn deadline(&self) -> Option<Timestamp> {
        if let Some(reign) = &self.reign {
            let lease = reign.lease.as_ref().and_then(Lease::until);
            return Some(lease.map_or(reign.heartbeat_at, |until| until.min(reign.heartbeat_at)));
        }
        let silent = self.leader.map(|leader| leader.until);
        let next = match (&self.campaign, self.leader) {
            (Some(campaign), _) => campaign.until.min(campaign.again_at),
            (None, Some(leader)) => match leader.challenge_at {
                Some(at) => at.max(self.rest_until),
                None => leader.until,
            },
            (None, None) => self.stand_at.max(self.rest_until),
        };
        Some(silent.map_or(next, |until| until.min(next)))
    }

    fn standing(&self, now: Now) -> Standing {
        let now = now.monotonic;
        if let Some(epoch) = self.acting(now) {
            return Standing { role: Role::Leader, epoch, leader: Some(self.id) };
        }
        let followed = self.followed(now);
        let role = match &self.campaign {
            Some(Campaign { purpose: Purpose::Succeed, .. }) => Role::Candidate,
            Some(Campaign { stage: Stage::Balloting(_), .. }) => Role::Candidate,
            Some(Campaign { purpose: Purpose::Challenge { .. }, .. }) | None => Role::Follower,
        };
        let epoch = followed.map_or(self.voter.promised(), |leader| leader.epoch);
        Standing { role, epoch, leader: followed.map(|leader| leader.id) }
    }

    fn gauges(&self) -> Vec<(&'static str, u64)> {
        let Counters {
            campaigns,
            reigns,
            abdications,
            leases_lost,
            grants,
            refused,
            stale,
            dropped,
        } = self.counters;
        vec![
            ("epoch promised", self.voter.promised().get()),
            ("campaigns", campaigns),
            ("reigns", reigns),
            ("abdications", abdications),
            ("leases lost", leases_lost),
            ("grants", grants),
            ("requests for votes refused", refused),
            ("messages out of date", stale),
            ("messages dropped", dropped),
        ]
    }

    fn redirect(response: &Response) -> Option<Redirect> {
        match response {
            Err(Error::NotLeader { leader }) => Some(Redirect { to: *leader }),
            Ok(Answer::Leader { .. } | Answer::Leading { .. } | Answer::Resigned) => None,
        }
    }
}

// What every part shares.
impl Bully {
    /// Lets go of whatever `now` has ended. First in every batch and before every input, so that
    /// nothing is done on an expired right.
    fn expire(&mut self, now: Timestamp, out: &mut EffectsOf<Self>) {
        let lapsed = self.reign.is_some() && self.acting(now).is_none();
        if lapsed {
            self.counters.leases_lost += 1;
            self.end_reign(None, out);
            self.stand_at = now + self.pause();
        }
        if self.leader.is_some_and(|leader| leader.until <= now) {
            self.leader = None;
            self.stand_at = now;
            // A challenge to nobody is none; the node stands for itself.
            if matches!(
                &self.campaign,
                Some(Campaign { purpose: Purpose::Challenge { .. }, stage, .. })
                    if !matches!(stage, Stage::Balloting(_))
            ) {
                self.campaign = None;
            }
        }
    }

    fn answer(&mut self, request: Request, now: Timestamp, out: &mut EffectsOf<Self>) -> Response {
        let acting = self.acting(now);
        let leader = self.followed(now);
        let not_leader = Error::NotLeader { leader: leader.map(|leader| leader.id) };
        match (request, acting) {
            (Request::Leader, Some(epoch)) => Ok(Answer::Leader { leader: Some(self.id), epoch }),
            (Request::Leader, None) => Ok(match leader {
                Some(Leader { id, epoch, .. }) => Answer::Leader { leader: Some(id), epoch },
                None => Answer::Leader { leader: None, epoch: self.voter.promised() },
            }),
            (Request::Lead, Some(epoch)) => Ok(Answer::Leading { epoch }),
            (Request::Resign, Some(_)) => {
                self.end_reign(None, out);
                self.rest_until = now + self.config.timeout() * REST_TIMEOUTS;
                self.stand_at = self.rest_until;
                Ok(Answer::Resigned)
            }
            (Request::Lead | Request::Resign, None) => Err(not_leader),
        }
    }

    fn hear(&mut self, from: NodeId, message: Message, now: Timestamp, out: &mut EffectsOf<Self>) {
        let known = from != self.id && self.members.contains(from);
        if !known || message.epoch() > EPOCH_MAX {
            self.counters.dropped += 1;
            return;
        }
        self.seen = self.seen.max(message.epoch());
        match message {
            Message::Election { round, .. } => self.on_election(from, round, now, out),
            Message::Answer { round, .. } => self.on_answer(from, round, now),
            Message::Coordinator { epoch, round } | Message::Heartbeat { epoch, round } => {
                self.on_leader(from, epoch, round, now, out);
            }
            Message::Refuse { epoch, round } => self.on_refuse(from, epoch, round, now, out),
            Message::Release { epoch, successor } => {
                self.on_release(from, epoch, successor, now, out);
            }
            Message::Ack { .. }
            | Message::Canvass { .. }
            | Message::Canvassed { .. }
            | Message::Challenge { .. }
            | Message::Ballot { .. }
            | Message::Grant { .. }
                if !self.config.is_guarded() =>
            {
                self.counters.dropped += 1;
            }
            Message::Ack { epoch, round } => self.on_ack(from, epoch, round, now),
            Message::Canvass { round, .. } => self.on_canvass(from, round, now, out),
            Message::Canvassed { round, view, .. } => {
                self.on_canvassed(from, round, view, now, out);
            }
            Message::Challenge { epoch, .. } => self.on_challenge(from, epoch, now, out),
            Message::Ballot { epoch, round, released } => {
                self.on_ballot(from, epoch, round, released, now, out);
            }
            Message::Grant { epoch, round } => self.on_grant(from, epoch, round, now, out),
        }
    }

    /// The place of a node that `hear` has found to be a member.
    fn index(&self, node: NodeId) -> usize {
        self.members.index_of(node).expect("checked by hear")
    }

    fn next_round(&mut self) -> Round {
        self.last_round = self.last_round.next();
        self.last_round
    }

    /// Says `message` to every other node, as soon as what was promised before is durable.
    fn tell_all(&self, message: Message, out: &mut EffectsOf<Self>) {
        for other in self.members.others(self.id) {
            out.send(other, message);
        }
    }

    /// Goes on to `epoch`, which belongs to `to`, and sees to it that it stays so.
    fn promise(&mut self, epoch: Epoch, to: NodeId, out: &mut EffectsOf<Self>) {
        self.seen = self.seen.max(epoch);
        if let Some(record) = self.voter.promise(epoch, to)
            && !self.plants(Mutant::PromiseNotDurable)
        {
            out.persist(record);
        }
    }

    /// A while, different for each node and each time, so that those who collided do not again.
    fn pause(&mut self) -> std::time::Duration {
        self.rng.span(self.config.answer_wait()..=self.config.timeout())
    }

    /// A short while, by which nodes that hear the same thing at once act one after the other.
    fn jitter(&mut self) -> std::time::Duration {
        self.rng.span(std::time::Duration::ZERO..=self.config.answer_wait() / 4)
    }
}
