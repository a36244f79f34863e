//! How a node finds out whether it could win before it stands (pre-vote, §9.6 of the thesis), and
//! how it gets what its log lacks for that.
//!
//! A node that was cut off, or hears its leader badly, would come with a new term each time it
//! stands, and depose a leader that serves everyone else. So it asks first, in the term that it is
//! in: nothing changes at anyone for the question.
//!
//! The thesis leaves one hole. When the only node that can reach a majority is behind in its log, it
//! may not be elected, and nobody else can be ("constrained election": H. Ng, S. Haridi, P. Carbone,
//! *Omni-Paxos: Breaking the Barriers of Partial Connectivity*, EuroSys 2023). So a voter that
//! refuses because its own log is ahead lends the asker what it lacks. That is safe:
//!
//! - A log that ends in term `t` is a first part of that of the leader of `t`, and holds all that
//!   could ever be committed in terms before `t` (leader completeness). So to exchange a log for one
//!   that is more up to date loses nothing that the node may have acknowledged.
//! - The asker follows nobody. If it has to drop entries for the loan, a leader of its term may yet
//!   count on it to hold them; so it goes into another term first, where no leader knows it.
//! - A loan is no acknowledgement, and commits nothing.

use cluster::{NodeId, Now};

use crate::entries::Entries;
use crate::follower::is_sequel;
use crate::message::{Entry, Message};
use crate::mutants::Mutant;
use crate::node::{Out, Part, Raft};
use crate::quorum::Tally;
use crate::{Position, StateMachine, Term};

/// What a pre-candidate knows.
#[derive(Clone)]
pub(crate) struct Canvass {
    /// For each member, by its place, what it has answered.
    pub(crate) votes: Vec<Option<bool>>,
    /// Where its log may agree with that of a lender at the latest.
    pub(crate) agrees: Position,
}

impl<S: StateMachine> Raft<S> {
    /// No word from a leader for an election timeout.
    pub(crate) fn seek_election<P, E>(&mut self, now: Now, out: &mut Out<S, P, E>) {
        self.draw_election_timeout(now);
        self.fail_handover();
        self.greet(out);
        if self.disk_hangs(now) || !self.may_stand() {
            // It could not even vote for itself, or waits for a leader of those who can.
            self.step_down(now, out);
            self.lose_leader();
            return;
        }
        if self.config.pre_vote {
            self.canvass(now, self.log.last(), out);
        } else {
            self.campaign(now, false, out);
        }
    }

    /// Asks everyone, in the term that it is in. Again at once, where a loan or a higher term in an
    /// answer makes it worth while: each of these grows, so that ends.
    pub(crate) fn canvass<P, E>(&mut self, now: Now, agrees: Position, out: &mut Out<S, P, E>) {
        self.lose_leader();
        self.counts.canvasses += 1;
        let mut votes = vec![None; self.members.count()];
        votes[self.place] = Some(true);
        self.part = Part::PreCandidate(Canvass { votes, agrees });
        // Ungated: the question and its answers promise nothing.
        let (term, last) = (self.term, self.log.last());
        for to in self.other_voters() {
            out.send_now(to, Message::PreVote { term, last, agrees });
        }
        self.stand_if_encouraged(now, out);
    }

    /// PreVote, as its receiver. Neither term nor election timer changes.
    pub(crate) fn on_pre_vote<P, E>(
        &mut self,
        now: Now,
        from: NodeId,
        (term, last, agrees): (Term, Position, Position),
        out: &mut Out<S, P, E>,
    ) {
        let planted = self.config.planted;
        let open = term >= self.term && !self.is_loyal(now, from);
        let granted = open && self.is_up_to_date(last) && self.may_promise();
        if granted && planted.is(Mutant::PreVoteResetsTimer) {
            self.draw_election_timeout(now);
        }
        self.save_ballot(out);
        let own = if planted.is(Mutant::PreVoteHidesTerm) { term } else { self.term };
        // Gated, though it promises nothing: a node whose disk hangs encourages nobody, for it could
        // not vote.
        out.send(
            from,
            Message::PreVoted { term: own, asked: term, last, granted, by: self.identity() },
        );
        if open && !granted && !self.is_leader() {
            self.lend(from, last, agrees, out);
        }
    }

    /// Sends `to`, whose log ends at `last`, what its log lacks.
    fn lend<P, E>(&self, to: NodeId, last: Position, agrees: Position, out: &mut Out<S, P, E>) {
        // A witness has nothing to lend.
        if self.config.planted.is(Mutant::LendsNothing) || self.is_witness() {
            return;
        }
        let prev = if self.log.term_at(agrees.index) == Some(agrees.term) {
            agrees
        } else {
            self.log.agree_at_most(agrees.index.min(self.log.last_index()), agrees.term)
        };
        // Who lacks what this log has compacted needs a snapshot, and that is a leader's to give.
        if prev.index < self.log.base().index {
            return;
        }
        // As much as in an append, and at least so much that the asker's log gains by it.
        let rest = self.log.slice(prev.index.next(), usize::MAX);
        let needed = rest.take_while(|entry| entry.position() <= last).count().saturating_add(1);
        let entries = self.log.share(prev.index.next(), needed.max(self.config.entries_max));
        out.send(to, Message::Lent { term: self.term, prev, entries });
    }

    /// The answer of the member at `place` to a PreVote in `asked` for a log that ended at `last`: what
    /// was said of a shorter one is no longer true.
    pub(crate) fn on_pre_voted<P, E>(
        &mut self,
        now: Now,
        place: usize,
        (asked, last, granted): (Term, Position, bool),
        out: &mut Out<S, P, E>,
    ) {
        if asked != self.term || last != self.log.last() {
            return;
        }
        let Part::PreCandidate(canvass) = &mut self.part else { return };
        canvass.votes[place].get_or_insert(granted);
        self.stand_if_encouraged(now, out);
    }

    fn stand_if_encouraged<P, E>(&mut self, now: Now, out: &mut Out<S, P, E>) {
        let Part::PreCandidate(canvass) = &self.part else { return };
        match self.log.seated().tally(&self.peers, &canvass.votes) {
            Tally::Won => self.campaign(now, false, out),
            // A loan, a leader or its own next timeout goes on from here.
            Tally::Lost | Tally::Pending => {}
        }
    }

    /// A loan. If the log gains by it, everyone is asked again at once.
    pub(crate) fn on_lent<P, E>(
        &mut self,
        now: Now,
        prev: Position,
        entries: Entries<S::Command>,
        out: &mut Out<S, P, E>,
    ) {
        let Part::PreCandidate(canvass) = &self.part else { return };
        let known = canvass.agrees;
        if !is_sequel(prev, &entries, self.term) || entries.lacks_payload() {
            self.counts.dropped += 1;
            return;
        }
        if self.log.term_at(prev.index) != Some(prev.term) {
            // Further back, by whole terms; not behind what is compacted, which is committed, so
            // that whoever may lend has it too.
            let back = self.log.agree_at_most(prev.index.prev(), prev.term);
            let base = self.log.base();
            let agrees = if back.index < base.index { base } else { back };
            if agrees.index < known.index {
                self.canvass(now, agrees, out);
            }
            return;
        }
        let end = entries.last().map_or(prev, Entry::position);
        if end <= self.log.last() {
            return;
        }
        let held = self.log.held_of(&entries);
        let keep = prev.index.plus(held);
        if keep < self.log.last_index() {
            if keep < self.commit || self.term.next() >= Term::LIMIT {
                self.counts.dropped += 1;
                return;
            }
            self.term = self.term.next();
            self.vote = None;
            self.ballot_unsaved = true;
            self.save_ballot(out);
        }
        let borrowed = entries.len() - held;
        if self.take_over(entries, prev.index, out) {
            self.counts.borrowed += borrowed as u64;
            self.canvass(now, self.log.last(), out);
        }
    }
}
