//! How a leader replicates (§5.3), commits (§5.4.2) and reads (§8).

use std::sync::Arc;

use cluster::{Now, RequestId, Timestamp};

use crate::message::{Append, Appended, Entries, Entry, Event, Message, Payload, Settled};
use crate::mutants::Mutant;
use crate::node::{Out, Part, Raft};
use crate::progress::Progress;
use crate::quorum::reached_by_majority;
use crate::session::Submission;
use crate::{Error, LogIndex, Position, Round, StateMachine, Term};

/// What a leader knows.
#[derive(Clone)]
pub(crate) struct Leadership {
    /// The first entry of its term: a no-op.
    pub(crate) first: LogIndex,
    pub(crate) heartbeat_at: Timestamp,
    /// One a member, by its place; its own is not used.
    pub(crate) followers: Vec<Progress>,
    pub(crate) reads: Reads,
    /// Kept for their memory.
    indexes: Vec<LogIndex>,
    rounds: Vec<Round>,
}

/// The linearizable reads that wait.
///
/// A read is answered once a majority has answered a round that began after the read arrived: then
/// no other leader can have committed anything before that moment. One round is under way at a
/// time; reads that arrive meanwhile share the next one.
#[derive(Clone, Default, Hash)]
pub(crate) struct Reads {
    round: Round,
    /// Waiting for the answers to `round`.
    asked: Vec<RequestId>,
    /// Waiting for a round to begin.
    arrived: Vec<RequestId>,
}

impl Reads {
    fn count(&self) -> usize {
        self.asked.len() + self.arrived.len()
    }

    /// Whether `round` is one of those begun so far.
    pub(crate) fn has_begun(&self, round: Round) -> bool {
        round <= self.round
    }

    /// All that wait, in the order of their arrival.
    pub(crate) fn into_requests(self) -> impl Iterator<Item = RequestId> {
        self.asked.into_iter().chain(self.arrived)
    }
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
    /// [`Settled::Applied`] at that index and in this term, with `request`, says so;
    /// [`Settled::Failed`] with [`Error::Deposed`] says that this node will not know.
    ///
    /// # Errors
    /// [`Error::NotLeader`] and [`Error::Overloaded`]; nothing is done then.
    pub fn propose(
        &mut self,
        _now: Now,
        request: Option<RequestId>,
        command: S::Command,
    ) -> Result<LogIndex, Error> {
        self.propose_payload(request, Payload::Command(command))
    }

    /// Asks for a session, and returns its place, which is its name if it becomes one:
    /// [`Settled::Opened`] says so.
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

    /// As [`propose`](Raft::propose), for a command that is applied once however often it comes:
    /// [`Settled::Applied`] or [`Settled::Repeated`], or [`Settled::Failed`] with
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
        if !self.is_leader() {
            return Err(Error::NotLeader { leader: self.leader });
        }
        let last = self.log.last_index();
        if last.since(self.commit) >= self.config.pending_max {
            return Err(Error::Overloaded);
        }
        let (term, index) = (self.term, last.next());
        self.log.push(Arc::new(Entry { term, index, payload }));
        if let Some(request) = request {
            self.proposals.push_back((index, request));
        }
        Ok(index)
    }

    /// Asks for a moment at which the machine holds every command that was applied anywhere before
    /// now. [`Settled::Readable`] says when it has come, [`Settled::Failed`] that it will not.
    /// Reads settle in the order in which they were asked.
    ///
    /// # Errors
    /// [`Error::NotLeader`] and [`Error::Overloaded`]; nothing is done then.
    pub fn read_index(&mut self, _now: Now, request: RequestId) -> Result<(), Error> {
        let Part::Leader(leadership) = &mut self.part else {
            return Err(Error::NotLeader { leader: self.leader });
        };
        if leadership.reads.count() >= self.config.pending_max {
            return Err(Error::Overloaded);
        }
        leadership.reads.arrived.push(request);
        Ok(())
    }
}

// What a leader does.
impl<S: StateMachine> Raft<S> {
    /// A majority has voted for this node in its term.
    pub(crate) fn lead(&mut self, now: Now) {
        let last = self.log.last_index();
        let count = self.members.count();
        self.part = Part::Leader(Leadership {
            first: last.next(),
            heartbeat_at: now.monotonic + self.config.heartbeat,
            followers: vec![Progress::unknown(last); count],
            reads: Reads::default(),
            indexes: Vec::with_capacity(count),
            rounds: Vec::with_capacity(count),
        });
        self.leader = Some(self.id);
        self.counts.leaderships += 1;
        let (term, index) = (self.term, last.next());
        self.log.push(Arc::new(Entry { term, index, payload: Payload::Noop }));
        if self.config.planted.is(Mutant::NoopTwice) {
            let index = index.next();
            self.log.push(Arc::new(Entry { term, index, payload: Payload::Noop }));
        }
        self.events.push(Event::ElectedLeader { term });
    }

    /// The answer of the member at `place` to an append.
    pub(crate) fn on_appended(
        &mut self,
        place: usize,
        term: Term,
        round: Round,
        outcome: Appended,
    ) {
        if term != self.term {
            return;
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
            Appended::Matched(_) | Appended::Refused { .. } | Appended::Stale => {
                self.counts.dropped += 1;
                return;
            }
        }
        // It names this leader's term, whether the append fitted or not.
        if round <= leadership.reads.round {
            follower.round = follower.round.max(round);
        }
    }

    /// "If there exists an N such that N > commitIndex, a majority of matchIndex[i] ≥ N, and
    /// log[N].term == currentTerm: set commitIndex = N" (figure 2; §5.4.2).
    pub(crate) fn advance_commit(&mut self) {
        let Part::Leader(leadership) = &mut self.part else { return };
        let planted = self.config.planted;
        let own = if planted.is(Mutant::CountsItselfBeforeDurable) {
            self.log.last_index()
        } else {
            self.log.durable()
        };
        let indexes = &mut leadership.indexes;
        indexes.clear();
        indexes.extend(leadership.followers.iter().map(|follower| follower.matched));
        indexes[self.place] = own;
        let majority = reached_by_majority(indexes);
        let reached = if planted.is(Mutant::CommitsWithoutMajority) {
            indexes[(indexes.len() / 2).saturating_sub(1)]
        } else {
            majority.unwrap_or(LogIndex::ZERO)
        };
        // The first entry of the term and all after it are of the term.
        let is_current = reached >= leadership.first || planted.is(Mutant::CommitsOldTerms);
        if is_current {
            self.commit = self.commit.max(reached);
        }
    }

    /// Lets reads go that a majority has confirmed, and begins a round for those that arrived.
    pub(crate) fn confirm_reads(&mut self) {
        self.settle_reads();
        let Part::Leader(leadership) = &mut self.part else { return };
        let reads = &mut leadership.reads;
        if !reads.asked.is_empty() || reads.arrived.is_empty() {
            return;
        }
        // Until an entry of its term is committed, it does not know what is (§8).
        let knows = self.commit >= leadership.first;
        if knows || self.config.planted.is(Mutant::ReadsBeforeNoop) {
            reads.round = reads.round.next();
            std::mem::swap(&mut reads.asked, &mut reads.arrived);
            leadership.all_due();
            self.settle_reads();
        }
    }

    fn settle_reads(&mut self) {
        let Part::Leader(leadership) = &mut self.part else { return };
        let reads = &mut leadership.reads;
        if reads.asked.is_empty() {
            return;
        }
        let rounds = &mut leadership.rounds;
        rounds.clear();
        rounds.extend(leadership.followers.iter().map(|follower| follower.round));
        rounds[self.place] = reads.round;
        let confirmed = reached_by_majority(rounds) == Some(reads.round);
        if confirmed || self.config.planted.is(Mutant::ReadsWithoutQuorum) {
            // What was committed when the round began is applied by now.
            let readable = reads.asked.drain(..).map(|request| Settled::Readable { request });
            self.settled.extend(readable);
        }
    }

    /// Sends each follower what it lacks, and something at all if that is due. `fresh` is the end
    /// of the log, if it has just been saved.
    ///
    /// Ungated: the entries may leave before they are on this node's own disk, since it counts
    /// itself only once they are (§10.2.1 of the thesis). Its term is durable since its election.
    pub(crate) fn replicate<P, E>(
        &mut self,
        fresh: Option<Entries<S::Command>>,
        out: &mut Out<S, P, E>,
    ) {
        let Part::Leader(leadership) = &mut self.part else { return };
        let (term, commit, round) = (self.term, self.commit, leadership.reads.round);
        let (log, config) = (&self.log, &self.config);
        let last = log.last_index();
        let append = |next: LogIndex, entries: Entries<S::Command>| {
            let index = next.prev();
            let prev_term = log.term_at(index).expect("a leader sends on from what it holds");
            let prev = Position { term: prev_term, index };
            Message::Append(Append { term, prev, entries, commit, round })
        };
        // Followers that lack the same are sent the same.
        let mut batch = fresh.filter(|entries| entries.len() <= config.entries_max);
        for (place, follower) in leadership.followers.iter_mut().enumerate() {
            if place == self.place {
                continue;
            }
            let to = self.members.as_slice()[place];
            let due = follower.due;
            if let Some(transfer) = follower.transfer(log.base(), self.snapshot.as_ref()) {
                transfer.send(to, (term, round), due, out);
                follower.due = false;
                continue;
            }
            while follower.next <= last && follower.may_send(config.inflight_max) {
                let entries = batch_from(&mut batch, follower.next, || {
                    log.slice(follower.next, config.entries_max).iter().cloned().collect()
                });
                let count = entries.len();
                out.send_now(to, append(follower.next, entries));
                follower.sent(count);
                follower.due = false;
            }
            if follower.due {
                out.send_now(to, append(follower.next, Entries::default()));
                follower.sent(0);
                follower.due = false;
            }
        }
    }
}

/// `batch`, if it begins at `first`; otherwise what `make` makes, kept in it.
fn batch_from<C>(
    batch: &mut Option<Entries<C>>,
    first: LogIndex,
    make: impl FnOnce() -> Entries<C>,
) -> Entries<C> {
    match batch {
        Some(entries) if entries.first().is_some_and(|entry| entry.index == first) => {
            Arc::clone(entries)
        }
        Some(_) | None => Arc::clone(batch.insert(make())),
    }
}
