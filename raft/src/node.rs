//! The state machine: what a node knows, and what it does with each input.

mod service;
mod view;

use std::collections::VecDeque;
use std::sync::Arc;

use cluster::{
    Boot, CorruptRecords, Effects, Members, NodeId, Now, PersistCount, RequestId, Rng, Timestamp,
};

use crate::canvass::Canvass;
use crate::checkpoint::Writing;
use crate::disk::DiskWatch;
use crate::election::Campaign;
use crate::follower::Ack;
use crate::founding::Founding;
use crate::history::History;
use crate::install::Incoming;
use crate::leader::Leadership;
use crate::log::Log;
use crate::message::{Entry, Message, Payload, Record};
use crate::mutants::Mutant;
use crate::reads::FollowerReads;
use crate::request::{Event, Settled};
use crate::session::{Known, Sessions};
use crate::snapshot::Held;
use crate::transfer::Handover;
use crate::{Config, Error, Identity, LogIndex, Papers, StateMachine, Term};

/// The effects of a core, inside a node that answers `P` and emits `E`.
pub(crate) type Out<S, P, E> =
    Effects<Message<<S as StateMachine>::Command>, Record<<S as StateMachine>::Command>, P, E>;

/// One node of a Raft cluster, with its replica of the machine `S`.
///
/// As it stands it is a [`Node`](cluster::Node) that takes [`Request`](crate::Request)s. A node that
/// does more than that wraps it and uses the core: [`boot_core`](Raft::boot_core), then for each
/// batch of inputs any of [`receive`](Raft::receive), [`tick`](Raft::tick),
/// [`durable`](Raft::durable), [`propose`](Raft::propose) and [`read_index`](Raft::read_index), then
/// [`flush_core`](Raft::flush_core) once, then [`take_settled`](Raft::take_settled) and
/// [`take_events`](Raft::take_events). **Nothing that was proposed is written or sent before
/// `flush_core`.** Do not mix the two: `Node::handle` and `Node::flush` of the wrapped node take
/// what is settled for themselves.
///
/// Guarantees, checked after every simulated step by [`Monitor`](crate::invariants::Monitor):
/// 1. `applied <= commit <= last_index`, and none of term, commit and applied goes back while the
///    node runs;
/// 2. in one term it votes for one candidate at most;
/// 3. while it leads, its log only grows.
#[derive(Clone)]
pub struct Raft<S: StateMachine> {
    pub(crate) id: NodeId,
    /// Its place among the members.
    pub(crate) place: usize,
    pub(crate) members: Members,
    pub(crate) config: Config<S>,
    pub(crate) rng: Rng,
    /// Differs from boot to boot.
    pub(crate) incarnation: u64,

    /// Who it is, as its disk has it.
    pub(crate) papers: Papers,
    /// Whether that is yet to be handed to the disk.
    pub(crate) papers_unsaved: bool,
    pub(crate) founding: Founding,
    /// As whom each member, by its place, has spoken last; itself among them.
    pub(crate) peers: Vec<Identity>,

    pub(crate) term: Term,
    pub(crate) vote: Option<NodeId>,
    /// Whether `term` and `vote` are yet to be handed to the disk.
    pub(crate) ballot_unsaved: bool,
    pub(crate) log: Log<S::Command>,

    pub(crate) part: Part,
    pub(crate) leader: Option<NodeId>,
    /// When it stands for election, unless it leads.
    pub(crate) election_at: Timestamp,
    /// Until when it stays with the leader it last heard from, unless it leads.
    pub(crate) loyal_until: Timestamp,
    pub(crate) disk: DiskWatch,
    /// The acknowledgement that the next flush sends.
    pub(crate) ack: Option<Ack>,

    pub(crate) commit: LogIndex,
    pub(crate) applied: LogIndex,
    pub(crate) machine: S,
    /// As of `applied`, like the machine.
    pub(crate) sessions: Sessions<S::Output>,
    /// The latest snapshot that is whole. Invariant: it covers the base of the log.
    pub(crate) snapshot: Option<Arc<Held>>,
    /// The snapshot that is being written to the disk.
    pub(crate) writing: Option<Writing<S>>,
    /// The snapshot that is being received.
    pub(crate) incoming: Option<Incoming>,
    /// The log may be longer than it need be since the latest snapshot.
    pub(crate) compaction_due: bool,
    /// Where the next snapshot is due, if nothing is applied beyond that.
    pub(crate) snapshot_at: LogIndex,
    /// The records before this one may go with the next flush.
    pub(crate) forget: Option<PersistCount>,
    /// How large the commands are that were applied since the last snapshot was begun.
    pub(crate) grown: u64,
    /// Who waits for which entry; ascending. Empty unless it leads.
    pub(crate) proposals: VecDeque<(LogIndex, RequestId)>,
    /// Reads that it answers while it follows.
    pub(crate) follower_reads: FollowerReads,
    /// When to ask the leader again for their index. No meaning while nothing is asked.
    pub(crate) ask_again_at: Timestamp,
    /// What its last leadership may yet come to.
    pub(crate) handover: Option<Handover>,
    pub(crate) settled: Vec<Settled<S>>,
    pub(crate) events: Vec<Event>,
    pub(crate) counts: Counts,
    /// The queries of linearizable reads that this node took as a [`Node`], in order.
    pub(crate) queries: VecDeque<(RequestId, S::Query)>,
}

/// The part a node plays, with what only that part knows.
#[derive(Clone)]
pub(crate) enum Part {
    Follower,
    /// Asks whether it would win, in the term that it is in.
    PreCandidate(Canvass),
    Candidate(Campaign),
    Leader(Box<Leadership>),
}

/// What a node counts, for people.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) canvasses: u64,
    pub(crate) campaigns: u64,
    pub(crate) leaderships: u64,
    /// Leaderships given up without a higher term: a silent majority, or a disk that hangs.
    pub(crate) abdications: u64,
    /// Votes and pre-votes refused out of loyalty to a leader.
    pub(crate) loyal: u64,
    /// Entries taken from other logs before an election.
    pub(crate) borrowed: u64,
    /// Appends that did not fit this node's log.
    pub(crate) refusals: u64,
    /// Snapshots that this node took.
    pub(crate) snapshots: u64,
    /// Snapshots that this node began to receive.
    pub(crate) transfers: u64,
    /// Transfers that went on with another leader.
    pub(crate) resumed: u64,
    /// Snapshots that this node finished while it sent one to a follower.
    pub(crate) beside: u64,
    /// Snapshots that this node received and restored.
    pub(crate) installs: u64,
    /// Snapshots that this node received and could not restore.
    pub(crate) unreadable: u64,
    /// Commands of a session that were there already.
    pub(crate) repeats: u64,
    /// Votes that this node did not give because it has not met the other founders.
    pub(crate) withheld: u64,
    /// What leaders sent who took this node's disk for one of the other kind.
    pub(crate) misfits: u64,
    /// Promises of copies of a disk, or of a disk as it was earlier.
    pub(crate) impostors: u64,
    /// Messages that make no sense: from strangers, malformed, or against what is committed.
    pub(crate) dropped: u64,
}

// Construction.
impl<S: StateMachine> Raft<S> {
    /// The node as it comes up, from what its disk held. It does nothing before its first input.
    ///
    /// # Errors
    /// When the records contradict each other. The node must stay down then: to go on could forget
    /// a vote or an acknowledged entry.
    pub fn boot_core(
        config: &Config<S>,
        boot: Boot<Record<S::Command>>,
    ) -> Result<Self, CorruptRecords> {
        let Boot { id, members, now, seed, records } = boot;
        let Some(place) = members.index_of(id) else {
            let problem = format!("{id} is none of the members {members:?}");
            return Err(CorruptRecords { node: id, position: 0, problem });
        };
        let first = config.first_configuration(&members);
        let history = History::new(members.clone(), first, config.planted);
        let mut rng = Rng::from_seed(seed);
        let incarnation = rng.next();
        let peers = vec![Identity::default(); members.count()];
        let mut node = Self {
            id,
            place,
            members,
            config: config.clone(),
            rng,
            incarnation,
            papers: Papers::default(),
            papers_unsaved: false,
            founding: Founding::default(),
            peers,
            term: Term::ZERO,
            vote: None,
            ballot_unsaved: false,
            log: Log::new(history),
            part: Part::Follower,
            leader: None,
            election_at: Timestamp::ZERO,
            loyal_until: Timestamp::ZERO,
            disk: DiskWatch::default(),
            ack: None,
            commit: LogIndex::ZERO,
            applied: LogIndex::ZERO,
            machine: config.machine.clone(),
            sessions: Sessions::new(),
            snapshot: None,
            writing: None,
            incoming: None,
            compaction_due: false,
            snapshot_at: LogIndex::ZERO,
            forget: None,
            grown: 0,
            proposals: VecDeque::new(),
            follower_reads: FollowerReads::default(),
            ask_again_at: Timestamp::ZERO,
            handover: None,
            settled: Vec::new(),
            events: Vec::new(),
            counts: Counts::default(),
            queries: VecDeque::new(),
        };
        node.recover_all(records).map_err(|(position, problem)| CorruptRecords {
            node: id,
            position,
            problem,
        })?;
        node.log.recovered();
        node.take_up_papers();
        if config.planted.is(Mutant::CommitsAllAtBoot) {
            node.commit = node.log.last_index();
            node.apply();
        }
        node.draw_election_timeout(now);
        if config.lease_drift_ppm.is_some() && !config.planted.is(Mutant::ForgetsLeaseAtBoot) {
            // It may have promised a lease just before it went down.
            node.loyal_until = now.monotonic + config.stick_for();
        }
        Ok(node)
    }

    /// Takes over one record that is no part of a snapshot, or says what is wrong with it.
    pub(crate) fn recover(&mut self, record: Record<S::Command>) -> Result<(), String> {
        match record {
            Record::Ballot { term, vote } => {
                if term < self.term {
                    return Err(format!("term {term} after {}", self.term));
                }
                if term == self.term && self.vote.is_some() && vote != self.vote {
                    let (first, second) = (self.vote, vote);
                    return Err(format!("two votes in {term}: {first:?} and {second:?}"));
                }
                self.term = term;
                self.vote = vote;
            }
            Record::Entries(entries) => {
                let Some(first) = entries.first() else {
                    return Err("a record of no entries".to_owned());
                };
                let last = self.log.last_index();
                if first.index <= self.log.base().index || first.index > last.next() {
                    return Err(format!("entries from {} on after {last}", first.index));
                }
                self.log.truncate_after(first.index.prev());
                if !crate::follower::is_sequel(self.log.last(), &entries, self.term) {
                    return Err(format!("entries that do not follow {:?}", self.log.last()));
                }
                self.refuse_lack(&entries)?;
                self.log.extend(entries);
            }
            Record::Papers(papers) => {
                if !self.papers.may_become(&papers) {
                    let (own, other) = (self.papers.own, papers.own);
                    return Err(format!("a disk called {other:?} after {own:?}"));
                }
                self.papers = papers;
            }
            Record::Checkpoint(_) | Record::Piece { .. } => {}
        }
        Ok(())
    }
}

// The core: inputs.
impl<S: StateMachine> Raft<S> {
    /// Takes a message from another node. What makes no sense is dropped and counted.
    pub fn receive<P, E>(
        &mut self,
        now: Now,
        from: NodeId,
        message: Message<S::Command>,
        out: &mut Out<S, P, E>,
    ) {
        let place = self.members.index_of(from).filter(|&place| place != self.place);
        let (Some(place), true) = (place, message.term() < Term::LIMIT) else {
            self.counts.dropped += 1;
            return;
        };
        if message.identity().is_some_and(|by| !self.recognises(place, by)) {
            return;
        }
        self.compact_if_due();
        let raised = matches!(self.part, Part::PreCandidate(_)) && message.term() > self.term;
        if self.heeds_term(now, from, &message) && !self.outlives(from, &message) {
            self.heed_term(now, message.term(), out);
        }
        match message {
            Message::RequestVote { term, .. } if term > self.term => self.counts.loyal += 1,
            Message::RequestVote { term, last, .. } => {
                self.on_request_vote(now, from, term, last, out);
            }
            Message::Vote { term, granted, .. } => self.on_vote(now, place, term, granted),
            Message::Append(append) => self.on_append(now, from, append, out),
            Message::Appended { term, round, outcome, .. } => {
                self.on_appended(now, place, term, round, outcome);
            }
            Message::PreVote { term, last, agrees } => {
                self.on_pre_vote(now, from, (term, last, agrees), out);
            }
            Message::PreVoted { .. } if raised && self.may_stand() => {
                self.canvass(now, self.log.last(), out);
            }
            Message::PreVoted { asked, last, granted, .. } => {
                self.on_pre_voted(now, place, (asked, last, granted), out);
            }
            Message::Lent { prev, entries, .. } => self.on_lent(now, prev, entries, out),
            Message::TimeoutNow { term } => self.on_timeout_now(now, from, term, out),
            Message::AskIndex { tag, .. } => self.on_ask_index(from, tag, out),
            Message::ReadFrom { tag, index, .. } => self.on_read_from(tag, index),
            Message::Install(install) => self.on_install(now, from, install, out),
            Message::Installed { term, round, id, outcome, .. } => {
                self.on_installed(now, place, (term, round), id, outcome);
            }
            Message::Hello { disk, known, asks } => self.on_hello(from, (disk, known, asks), out),
        }
        self.save_ballot(out);
    }

    /// Whether a higher term in `message` makes this node give up its own: always, but for a
    /// question that changes nothing, and for a candidate whom it ignores.
    fn heeds_term(&self, now: Now, from: NodeId, message: &Message<S::Command>) -> bool {
        let planted = self.config.planted;
        match message {
            Message::PreVote { .. } => planted.is(Mutant::PreVoteRaisesTerm),
            Message::RequestVote { term, transfer, .. } => {
                // "A server ignores this if the candidate was told to stand" (§4.2.3 of the thesis).
                let told = *transfer && !planted.is(Mutant::TransferRespectsLoyalty);
                *term <= self.term || told || !self.is_loyal(now, from)
            }
            Message::Vote { .. }
            | Message::Append(_)
            | Message::Appended { .. }
            | Message::PreVoted { .. }
            | Message::Lent { .. }
            | Message::TimeoutNow { .. }
            | Message::AskIndex { .. }
            | Message::ReadFrom { .. }
            | Message::Install(_)
            | Message::Installed { .. } => true,
            Message::Hello { .. } => false,
        }
    }

    /// Notices that time has passed. Call it when the node's
    /// [`deadline`](cluster::Node::deadline) has come; earlier does no harm.
    pub fn tick<P, E>(&mut self, now: Now, out: &mut Out<S, P, E>) {
        self.compact_if_due();
        if self.abdicate_if_unfit(now, out) {
            return;
        }
        match &mut self.part {
            Part::Leader(leadership) => {
                if now.monotonic >= leadership.heartbeat_at {
                    let often = self.config.planted.is(Mutant::HeartbeatsTwiceAsOften);
                    let pause = self.config.heartbeat / if often { 2 } else { 1 };
                    leadership.heartbeat_at = now.monotonic + pause;
                    leadership.all_due();
                    leadership.count_silence(self.snapshot.is_some());
                    self.compact();
                    self.watch_transfer(now);
                    self.renew_lease(now);
                }
            }
            Part::Follower | Part::PreCandidate(_) | Part::Candidate(_) => {
                if now.monotonic >= self.election_at {
                    self.seek_election(now, out);
                } else if self.follower_reads.asks() && now.monotonic >= self.ask_again_at {
                    self.ask_leader(now, out);
                }
            }
        }
    }

    /// Notices that the first `upto` records persisted since boot are durable.
    pub fn durable<P, E>(&mut self, now: Now, upto: PersistCount, _out: &mut Out<S, P, E>) {
        let before = self.log.durable();
        self.log.synced(upto);
        self.disk.synced(now, upto);
        self.snapshot_durable(upto);
        self.own_vote_durable(now, upto);
        let follows = self.leader.is_some() && !self.is_leader();
        if follows && self.log.durable() > before && !self.config.planted.is(Mutant::SlowDiskStands)
        {
            // The leader cannot have heard of these entries from here before now: however long the
            // disk took, that is no silence of the leader's.
            self.draw_election_timeout(now);
        }
    }

    /// Ends a batch: writes and sends what was proposed, acknowledges, commits, applies.
    pub fn flush_core<P, E>(&mut self, now: Now, out: &mut Out<S, P, E>) {
        self.save_ballot(out);
        if !self.founding.greeted {
            self.greet(out);
        }
        if self.is_leader() {
            self.advance_commit();
            self.apply();
            self.drive_change(now);
            self.save_entries(out);
            self.confirm_reads(now, out);
            self.part_from_departed(now);
            self.replicate(now, out);
            self.renew_term(now, out);
            self.retire(now, out);
            self.tell_target(now, out);
        } else {
            self.acknowledge(out);
            self.apply();
        }
        self.follow_reads(now, out);
        self.disk.wrote(now, out.persisted());
        self.save_snapshot(out);
        self.log.free_some();
        if let Some(oldest) = self.forget.take() {
            out.forget(oldest);
        }
    }

    /// What was settled since the last call, in order. After a flush the machine has applied all of
    /// it.
    pub fn take_settled(&mut self) -> Vec<Settled<S>> {
        std::mem::take(&mut self.settled)
    }

    /// As [`take_settled`](Raft::take_settled), for who looks at each once: the memory is kept.
    pub fn drain_settled(&mut self) -> impl Iterator<Item = Settled<S>> + '_ {
        self.settled.drain(..)
    }

    /// What happened since the last call that an application may want to hear, in order.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Hands to the disk who it is, its term and its vote, if they have changed.
    pub(crate) fn save_ballot<P, E>(&mut self, out: &mut Out<S, P, E>) {
        self.save_papers(out);
        if self.ballot_unsaved {
            self.ballot_unsaved = false;
            out.persist(Record::Ballot { term: self.term, vote: self.vote });
        }
    }

    /// Applies what is committed and not applied, and takes a snapshot where one is due.
    fn apply(&mut self) {
        // Invariant 1 says that there is no difference; whoever breaks it shall be seen, not hang.
        let upto = self.commit.min(self.log.last_index());
        while self.applied < upto {
            let next_snapshot = self.next_snapshot();
            self.apply_upto(upto.min(next_snapshot));
            self.begin_snapshot_if_due();
        }
    }

    /// Applies what is committed up to `upto`.
    fn apply_upto(&mut self, upto: LogIndex) {
        let first = self.applied.next();
        let count = upto.since(self.applied);
        let batch = self.log.slices(first, count);
        self.applied = upto;
        self.settled.reserve(count);
        let planted = self.config.planted;
        let backwards = planted.is(Mutant::AppliesBackwards);
        let mut apply = |entry: &Entry<S::Command>| {
            let index = entry.index;
            if matches!(entry.payload, Payload::Noop | Payload::Withheld) {
                return;
            }
            let request = match self.proposals.front() {
                Some(&(at, _)) if at == index => self.proposals.pop_front(),
                Some(_) if backwards => {
                    let place = self.proposals.binary_search_by_key(&index, |&(at, _)| at);
                    place.ok().and_then(|place| self.proposals.remove(place))
                }
                Some(_) | None => None,
            };
            let request = request.map(|(_, request)| request);
            match &entry.payload {
                Payload::Noop | Payload::Withheld => {}
                Payload::Command(command) => {
                    self.grown += S::size_of(command) as u64;
                    let output = self.machine.apply(index, command);
                    self.settled.push(Settled::Applied { index, request, output });
                }
                Payload::Open { sessions_max } => {
                    let session = self.sessions.open(index, *sessions_max);
                    self.settled.push(Settled::Opened { session, request });
                }
                Payload::Close(session) => {
                    if request.is_some() || !planted.is(Mutant::ClosesWhereAsked) {
                        self.sessions.close(*session);
                    }
                    self.settled.push(Settled::Closed { request });
                }
                Payload::Submit(submission) => {
                    self.grown += S::size_of(&submission.command) as u64;
                    let known = match self.sessions.look(index, submission) {
                        Known::Applied(..) if planted.is(Mutant::AppliesRetries) => Known::New,
                        known => known,
                    };
                    self.settled.extend(match known {
                        Known::New => {
                            let output = self.machine.apply(index, &submission.command);
                            self.sessions.remember(index, submission, &output);
                            Some(Settled::Applied { index, request, output })
                        }
                        Known::Applied(index, output) => {
                            self.counts.repeats += 1;
                            Some(Settled::Repeated { index, request, output })
                        }
                        Known::Ended => {
                            let error = Error::SessionExpired;
                            request.map(|request| Settled::Failed { request, error })
                        }
                    });
                }
                Payload::Configuration(configuration) => {
                    let configuration = Arc::clone(configuration);
                    self.settled.push(Settled::Changed { index, request, configuration });
                }
            }
        };
        if backwards {
            let batch: Vec<_> = batch.flatten().collect();
            batch.into_iter().rev().for_each(apply);
        } else {
            batch.for_each(|entries| entries.iter().for_each(&mut apply));
        }
    }
}
