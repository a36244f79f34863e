//! How a follower takes over its leader's log (§5.3).

use cluster::{NodeId, Now};

use crate::entries::Entries;
use crate::message::{Append, Appended, Message, Record};
use crate::mutants::Mutant;
use crate::node::{Out, Part, Raft};
use crate::request::Event;
use crate::{Kind, LogIndex, Position, Round, StateMachine, Term};

/// What a follower owes its leader at the end of a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ack {
    to: NodeId,
    /// The greatest index that an append of this batch verified.
    matched: LogIndex,
    /// The latest round of this batch.
    round: Round,
}

/// Whether `entries` may stand after `prev` in a log of a node in `term`: their indexes have no
/// gap, and their terms never decrease.
pub(crate) fn is_sequel<C>(prev: Position, entries: &Entries<C>, term: Term) -> bool {
    let mut before = prev;
    entries.iter().all(|entry| {
        let follows = entry.index == before.index.next()
            && entry.index > before.index
            && entry.term >= before.term
            && entry.term > Term::ZERO;
        before = entry.position();
        follows
    }) && before.term <= term
}

impl<S: StateMachine> Raft<S> {
    /// AppendEntries, as its receiver (figure 2).
    pub(crate) fn on_append<P, E>(
        &mut self,
        now: Now,
        from: NodeId,
        append: Append<S::Command>,
        out: &mut Out<S, P, E>,
    ) {
        self.save_ballot(out);
        if append.term < self.term {
            let (term, round, outcome) = (self.term, append.round, Appended::Stale);
            out.send(from, Message::Appended { term, round, outcome, by: self.identity() });
            return;
        }
        if append.term > self.term || !is_sequel(append.prev, &append.entries, append.term) {
            self.counts.dropped += 1;
            return;
        }
        if !self.accept_leader(now, from, out) {
            return;
        }
        if !self.fits((from, append.round), append.kind, out) {
            return;
        }
        if append.kind == Kind::Full && append.entries.lacks_payload() {
            self.counts.dropped += 1;
            return;
        }
        let Some(append) = self.beyond_base(append) else {
            self.counts.dropped += 1;
            return;
        };
        if let Some(hint) = self.mismatch(append.prev) {
            self.refuse(from, &append, hint, out);
            return;
        }
        let verified = append.prev.index.plus(append.entries.len());
        let entries = match append.kind {
            Kind::Witness if !append.entries.is_empty() => {
                self.become_witness(out);
                append.entries.withheld()
            }
            Kind::Witness | Kind::Full => append.entries,
        };
        if !self.take_over(entries, append.prev.index, out) {
            self.counts.dropped += 1;
            return;
        }
        self.commit_upto(append.commit, verified);
        let acknowledged = if self.config.planted.is(Mutant::AcknowledgesOwnLast) {
            self.log.last_index()
        } else {
            verified
        };
        self.owe(from, acknowledged, append.round);
    }

    /// Lets the next flush acknowledge.
    pub(crate) fn owe(&mut self, to: NodeId, matched: LogIndex, round: Round) {
        let ack = self.ack.get_or_insert(Ack { to, matched: LogIndex::ZERO, round: Round::ZERO });
        ack.matched = ack.matched.max(matched);
        ack.round = ack.round.max(round);
    }

    /// `from` leads in this node's term. False if this node does not accept that.
    pub(crate) fn accept_leader<P, E>(
        &mut self,
        now: Now,
        from: NodeId,
        out: &mut Out<S, P, E>,
    ) -> bool {
        match self.part {
            Part::Follower => {}
            Part::PreCandidate(_) => self.step_down(now, out),
            Part::Candidate(_) => {
                if self.config.planted.is(Mutant::CandidateIgnoresLeader) {
                    return false;
                }
                // "If the leader's term is at least as large as the candidate's current term, then
                // the candidate recognizes the leader as legitimate" (§5.2).
                self.step_down(now, out);
            }
            Part::Leader(_) => {
                // No term has two leaders: whoever sent this is broken.
                self.counts.dropped += 1;
                return false;
            }
        }
        match self.leader {
            Some(leader) if leader == from => {}
            Some(_) => {
                self.counts.dropped += 1;
                return false;
            }
            None => {
                self.leader = Some(from);
                self.end_handover(from);
                self.events.push(Event::Follows { leader: from, term: self.term });
            }
        }
        self.draw_election_timeout(now);
        self.heard_leader(now);
        true
    }

    /// If this log has no entry at `prev` of that term, the last position at which the two logs may
    /// agree.
    fn mismatch(&self, prev: Position) -> Option<Position> {
        match self.log.term_at(prev.index) {
            Some(term) if term == prev.term => None,
            Some(_) if self.config.planted.is(Mutant::NoPreviousCheck) => None,
            Some(_) => Some(self.log.agree_at_most(prev.index, prev.term)),
            None => Some(self.log.agree_at_most(self.log.last_index(), prev.term)),
        }
    }

    fn refuse<P, E>(
        &mut self,
        leader: NodeId,
        append: &Append<S::Command>,
        hint: Position,
        out: &mut Out<S, P, E>,
    ) {
        self.counts.refusals += 1;
        if self.config.planted.is(Mutant::CommitsOnRefusal) {
            self.commit_upto(append.commit, self.log.last_index());
        }
        let (term, round, by) = (self.term, append.round, self.identity());
        let outcome = Appended::Refused { prev: append.prev.index, hint };
        out.send(leader, Message::Appended { term, round, outcome, by });
    }

    /// Makes the log hold `entries` after `prev`, which it holds. "If an existing entry conflicts
    /// with a new one (same index but different terms), delete the existing entry and all that
    /// follow it; append any new entries not already in the log" (figure 2).
    ///
    /// False, and nothing is done, if the conflict is with an entry that is committed here.
    pub(crate) fn take_over<P, E>(
        &mut self,
        entries: Entries<S::Command>,
        prev: LogIndex,
        out: &mut Out<S, P, E>,
    ) -> bool {
        let always = self.config.planted.is(Mutant::TruncatesAlways);
        let held = if always || prev == self.log.last_index() {
            0
        } else {
            // By log matching, what is held is a first part.
            self.log.held_of(&entries)
        };
        if held == entries.len() && !always {
            return true;
        }
        let keep = prev.plus(held);
        if keep < self.log.last_index() {
            if keep < self.commit && !always {
                return false;
            }
            self.log.truncate_after(keep);
        }
        self.log.extend(entries.skip(held));
        self.save_entries(out);
        true
    }

    /// "If leaderCommit > commitIndex, set commitIndex = min(leaderCommit, index of last new entry)"
    /// (figure 2); that is the last entry known to equal the leader's.
    fn commit_upto(&mut self, leader_commit: LogIndex, verified: LogIndex) {
        let limit = if self.config.planted.is(Mutant::CommitsBeyondVerified) {
            self.log.last_index()
        } else {
            verified
        };
        self.commit = self.commit.max(leader_commit.min(limit));
    }

    /// Hands the entries that are not there yet to the disk, as one record.
    pub(crate) fn save_entries<P, E>(&mut self, out: &mut Out<S, P, E>) {
        if let Some(fresh) = self.log.unsaved() {
            let count = out.persist(Record::Entries(fresh));
            self.log.saved(count);
        }
    }

    /// Sends what this batch's appends have earned.
    pub(crate) fn acknowledge<P, E>(&mut self, out: &mut Out<S, P, E>) {
        let Some(Ack { to, matched, round }) = self.ack.take() else { return };
        let outcome = Appended::Matched(matched);
        let message = Message::Appended { term: self.term, round, outcome, by: self.identity() };
        let planted = self.config.planted;
        let snapshot_too_soon = planted.is(Mutant::AcknowledgesSnapshotBeforeDurable)
            && self.writing.as_ref().is_some_and(|writing| writing.position.index == matched);
        if planted.is(Mutant::AcknowledgesBeforeDurable) || snapshot_too_soon {
            out.send_now(to, message);
        } else {
            out.send(to, message);
        }
    }
}
