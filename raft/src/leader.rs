//! How a leader replicates (§5.3) and commits (§5.4.2).

use std::sync::Arc;

use cluster::{Now, RequestId, Timestamp};

use crate::change::{Departing, Ongoing};
use crate::entries::Entries;
use crate::log::Log;
use crate::message::{Append, Appended, Entry, Message, Payload};
use crate::mutants::Mutant;
use crate::node::{Out, Part, Raft};
use crate::progress::Progress;
use crate::quorum::reached_by_majority;
use crate::reads::Reads;
use crate::request::Event;
use crate::session::Submission;
use crate::transfer::Transfer;
use crate::witness::Goal;
use crate::{Config, Error, Kind, LogIndex, Position, Round, SessionId, StateMachine, Term};

/// What a leader knows.
#[derive(Clone)]
pub(crate) struct Leadership {
    /// The first entry of its term: a no-op.
    pub(crate) first: LogIndex,
    pub(crate) heartbeat_at: Timestamp,
    /// One a member, by its place; only those of the targets are used, and its own is not.
    pub(crate) followers: Vec<Progress>,
    /// The places of those to whom the log goes, ascending.
    pub(crate) targets: Vec<usize>,
    /// Those who are out, and may not know it.
    pub(crate) departing: Vec<Departing>,
    /// The change of the configuration that was asked of it.
    pub(crate) change: Option<Ongoing>,
    /// When each member, by its place, was heard from in this term; its own is not used.
    pub(crate) heard: Vec<Timestamp>,
    /// When it began.
    pub(crate) began: Timestamp,
    /// For each member, by its place, where it is to come: see [`witness`](crate::witness).
    pub(crate) goals: Vec<Goal>,
    pub(crate) reads: Reads,
    /// Whether it must not hold a lease in this term any more.
    pub(crate) lease_void: bool,
    pub(crate) transfer: Option<Transfer>,
    /// The highest term that it is to outlive: see [`renewal`](crate::renewal).
    pub(crate) beyond: Option<Term>,
    /// Kept for their memory.
    indexes: Vec<LogIndex>,
    pub(crate) rounds: Vec<Round>,
}

impl Leadership {
    /// Lets the next flush send something to everyone.
    pub(crate) fn all_due(&mut self) {
        for follower in &mut self.followers {
            follower.due = true;
        }
    }

    /// A heartbeat is due. What it matters for is the log kept for those who are behind, so there is
    /// no need to count before there is a snapshot.
    pub(crate) fn count_silence(&mut self, holds_snapshot: bool) {
        if holds_snapshot {
            for follower in &mut self.followers {
                follower.silent = follower.silent.saturating_add(1);
            }
        }
    }
}

// What is asked of a leader.
impl<S: StateMachine> Raft<S> {
    /// Appends `command` to the log and returns its place. It is written and sent by
    /// [`flush_core`](Raft::flush_core), and is applied once committed, if it ever is:
    /// [`Settled::Applied`](crate::Settled::Applied) at that index and in this term, with `request`, says so;
    /// [`Settled::Failed`](crate::Settled::Failed) with [`Error::Deposed`] says that this node will not know.
    ///
    /// # Errors
    /// [`Error::NotLeader`], [`Error::TooLarge`], [`Error::Transferring`] and [`Error::Overloaded`];
    /// nothing is done then.
    pub fn propose(
        &mut self,
        _now: Now,
        request: Option<RequestId>,
        command: S::Command,
    ) -> Result<LogIndex, Error> {
        self.propose_payload(request, Payload::Command(command))
    }

    /// Asks for a session, and returns its place, which is its name if it becomes one:
    /// [`Settled::Opened`](crate::Settled::Opened) says so.
    ///
    /// # Errors
    /// As [`propose`](Raft::propose).
    pub fn open_session(
        &mut self,
        _now: Now,
        request: Option<RequestId>,
    ) -> Result<LogIndex, Error> {
        let sessions_max = self.config.sessions_max;
        self.propose_payload(request, Payload::Open { sessions_max })
    }

    /// Ends a session at the returned place, if it is still open then:
    /// [`Settled::Closed`](crate::Settled::Closed) says so.
    ///
    /// # Errors
    /// As [`propose`](Raft::propose).
    pub fn close_session(
        &mut self,
        _now: Now,
        request: Option<RequestId>,
        session: SessionId,
    ) -> Result<LogIndex, Error> {
        self.propose_payload(request, Payload::Close(session))
    }

    /// As [`propose`](Raft::propose), for a command that is applied once however often it comes:
    /// [`Settled::Applied`](crate::Settled::Applied) or [`Settled::Repeated`](crate::Settled::Repeated), or [`Settled::Failed`](crate::Settled::Failed) with
    /// [`Error::SessionExpired`].
    ///
    /// # Errors
    /// As [`propose`](Raft::propose).
    pub fn submit(
        &mut self,
        _now: Now,
        request: Option<RequestId>,
        submission: Submission<S::Command>,
    ) -> Result<LogIndex, Error> {
        self.propose_payload(request, Payload::Submit(Box::new(submission)))
    }

    fn propose_payload(
        &mut self,
        request: Option<RequestId>,
        payload: Payload<S::Command>,
    ) -> Result<LogIndex, Error> {
        let Part::Leader(leadership) = &self.part else {
            return Err(Error::NotLeader { leader: self.leader });
        };
        let (bytes, limit) = (payload_size::<S>(&payload), self.config.entry_bytes_max);
        if bytes > limit {
            return Err(Error::TooLarge { bytes, limit });
        }
        if let Some(to) = leadership.hands_over(self.id)
            && !self.config.planted.is(Mutant::ProposesDuringTransfer)
        {
            return Err(Error::Transferring { to });
        }
        let last = self.log.last_index();
        if last.since(self.commit) >= self.config.pending_max {
            return Err(Error::Overloaded);
        }
        let (term, index) = (self.term, last.next());
        self.log.push(Entry { term, index, payload });
        if let Some(request) = request {
            self.proposals.push_back((index, request));
        }
        Ok(index)
    }
}

// What a leader does.
impl<S: StateMachine> Raft<S> {
    /// A majority has voted for this node in its term.
    pub(crate) fn lead(&mut self, now: Now) {
        let last = self.log.last_index();
        let count = self.members.count();
        let arrived = self.take_follower_reads();
        self.fail_handover();
        let configuration = self.configuration();
        let unknown = |node| Progress::unknown(last, configuration.kind(node));
        let followers = self.members.iter().map(unknown).collect();
        self.part = Part::Leader(Box::new(Leadership {
            first: last.next(),
            heartbeat_at: now.monotonic + self.config.heartbeat,
            followers,
            targets: self.log.seated().everyone.clone(),
            departing: Vec::new(),
            change: None,
            heard: vec![now.monotonic; count],
            began: now.monotonic,
            goals: vec![Goal { index: last.next(), since: now.monotonic }; count],
            reads: Reads { arrived, ..Reads::default() },
            lease_void: false,
            transfer: None,
            beyond: None,
            indexes: Vec::with_capacity(count),
            rounds: Vec::with_capacity(count),
        }));
        self.leader = Some(self.id);
        self.counts.leaderships += 1;
        let (term, index) = (self.term, last.next());
        let payload = self.first_payload();
        self.log.push(Entry { term, index, payload });
        if self.config.planted.is(Mutant::NoopTwice) {
            let index = index.next();
            self.log.push(Entry { term, index, payload: Payload::Noop });
        }
        self.events.push(Event::ElectedLeader { term });
    }

    /// What a leader's first entry holds: nothing, or, in an empty log, the configuration by which it was
    /// elected, disks and all, so that everyone has the same from here on.
    fn first_payload(&self) -> Payload<S::Command> {
        let seated = self.log.seated();
        if self.config.trusts_disks || seated.index > LogIndex::ZERO {
            Payload::Noop
        } else {
            Payload::Configuration(Arc::clone(&seated.configuration))
        }
    }

    /// The answer of the member at `place` to an append.
    pub(crate) fn on_appended(
        &mut self,
        now: Now,
        place: usize,
        term: Term,
        round: Round,
        outcome: Appended,
    ) {
        if term != self.term {
            return;
        }
        if outcome == Appended::Misfit {
            return self.on_misfit(place);
        }
        let last = self.log.last_index();
        let Part::Leader(leadership) = &mut self.part else { return };
        let follower = &mut leadership.followers[place];
        follower.silent = 0;
        match outcome {
            Appended::Matched(index) if index <= last => follower.matched(index),
            Appended::Refused { prev, hint } if prev <= last => {
                // The follower's hint goes back a whole term of its log at once, and this one a
                // whole term of ours (§5.3, "the protocol can be optimized").
                let agree = self.log.agree_at_most(hint.index.min(prev.prev()), hint.term);
                follower.refused(prev, agree.index);
            }
            Appended::Matched(_)
            | Appended::Refused { .. }
            | Appended::Stale
            | Appended::Misfit => {
                self.counts.dropped += 1;
                return;
            }
        }
        // It names this leader's term, whether the append fitted or not.
        leadership.heard[place] = now.monotonic;
        if round <= leadership.reads.round {
            follower.round = follower.round.max(round);
        }
    }

    /// "If there exists an N such that N > commitIndex, a majority of matchIndex[i] ≥ N, and
    /// log[N].term == currentTerm: set commitIndex = N" (figure 2; §5.4.2).
    pub(crate) fn advance_commit(&mut self) {
        let Part::Leader(leadership) = &mut self.part else { return };
        // What was not handed to this disk was not sent to any other.
        if self.commit >= self.log.saved_index() {
            return;
        }
        let planted = self.config.planted;
        let own = if planted.is(Mutant::CountsItselfBeforeDurable) {
            self.log.last_index()
        } else {
            self.log.durable()
        };
        let Leadership { indexes, followers, .. } = &mut **leadership;
        let (seated, place) = (self.log.seated(), self.place);
        let matched = |at: usize| if at == place { own } else { followers[at].matched };
        let mut reached = seated.reached(indexes, &self.peers, matched);
        if planted.is(Mutant::CommitsWithoutMajority) {
            reached = indexes[(indexes.len() / 2).saturating_sub(1)];
        }
        if planted.is(Mutant::RemovedCountsItself) && !seated.configuration.votes(self.id) {
            indexes.push(own);
            reached = reached_by_majority(indexes).unwrap_or(reached);
        }
        // The first entry of the term and all after it are of the term.
        let is_current = reached >= leadership.first || planted.is(Mutant::CommitsOldTerms);
        if is_current {
            self.commit = self.commit.max(reached);
        }
    }

    /// Sends each follower what it lacks, and something at all if that is due.
    ///
    /// Ungated: the entries may leave before they are on this node's own disk, since it counts
    /// itself only once they are (§10.2.1 of the thesis). Its term is durable since its election.
    pub(crate) fn replicate<P, E>(&mut self, now: Now, out: &mut Out<S, P, E>) {
        let Part::Leader(leadership) = &mut self.part else { return };
        let (term, commit, round) = (self.term, self.commit, leadership.reads.round);
        let (log, config) = (&self.log, &self.config);
        let last = log.last_index();
        let (whom, ends) = ((log.seated(), &*self.peers, self.place), (last, log.durable()));
        let witnessed = leadership.witnessed_upto(now, whom, ends, config);
        let append = |kind, prev: Position, entries: Entries<S::Command>| {
            Message::Append(Append { term, prev, entries, commit, round, kind })
        };
        // Followers that lack the same are sent the same.
        let mut batch = None;
        let Leadership { followers, targets, .. } = &mut **leadership;
        for &place in targets.iter().filter(|&&place| place != self.place) {
            let follower = &mut followers[place];
            let to = self.members.as_slice()[place];
            let (due, kind) = (follower.due, follower.kind);
            let last = if kind == Kind::Full { last } else { witnessed };
            let snapshot = || self.snapshot.as_ref().map(|held| held.of_kind(kind, log));
            if let Some(transfer) = follower.transfer(log.base(), snapshot) {
                transfer.send(to, (term, round, kind), due, out);
                follower.due = false;
                continue;
            }
            let window = (config.inflight_max, config.inflight_bytes_max);
            while follower.next <= last && follower.may_send(window) {
                let first = follower.next;
                let end = (first, last, kind);
                let known = batch.take_if(|batch: &mut Batch<_>| batch.end == end);
                let batch =
                    batch.insert(known.unwrap_or_else(|| Batch::from::<S>(end, log, config)));
                out.send_now(to, append(kind, batch.prev, batch.entries.clone()));
                follower.sent(batch.count, batch.bytes);
                follower.due = false;
            }
            if follower.due {
                out.send_now(to, append(kind, before(log, follower.next), Entries::default()));
                follower.sent(0, 0);
                follower.due = false;
            }
        }
    }
}

/// What stands before `next` in the log of a leader that sends on from there.
fn before<C>(log: &Log<C>, next: LogIndex) -> Position {
    let index = next.prev();
    let term = log.term_at(index).expect("a leader sends on from what it holds");
    Position { term, index }
}

/// What one append carries.
struct Batch<C> {
    /// From where on, up to where at most, and to whom.
    end: (LogIndex, LogIndex, Kind),
    prev: Position,
    entries: Entries<C>,
    count: usize,
    /// How large they are together.
    bytes: usize,
}

impl<C> Batch<C> {
    /// As much from `first` on, up to `last`, as one append may carry to a member of that kind; at least
    /// one entry, if there is one.
    fn from<S: StateMachine<Command = C>>(
        (first, last, kind): (LogIndex, LogIndex, Kind),
        log: &Log<C>,
        config: &Config<S>,
    ) -> Self {
        let (mut count, mut bytes) = (0, 0_usize);
        let count_max = config.entries_max.min(last.next().since(first));
        'full: for entries in log.slices(first, count_max) {
            for entry in entries {
                let more = bytes.saturating_add(payload_size::<S>(&entry.payload));
                if count > 0 && more > config.append_bytes_max {
                    break 'full;
                }
                (count, bytes) = (count + 1, more);
            }
        }
        let (prev, shared) = (before(log, first), log.share(first, count));
        let (entries, bytes) = match kind {
            Kind::Full => (shared, bytes),
            Kind::Witness => (shared.withheld(), 0),
        };
        Self { end: (first, last, kind), prev, entries, count, bytes }
    }
}

/// How large a payload is, for limits.
pub(crate) fn payload_size<S: StateMachine>(payload: &Payload<S::Command>) -> usize {
    payload.command().map_or(0, S::size_of)
}
