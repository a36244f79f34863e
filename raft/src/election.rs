//! How a leader is found (§5.2) and who may become one (§5.4.1).

use std::collections::BTreeSet;

use cluster::{NodeId, Now, PersistCount};

use crate::message::Message;
use crate::mutants::Mutant;
use crate::node::{Out, Part, Raft};
use crate::quorum::Tally;
use crate::request::{Event, Settled};
use crate::{Error, Position, StateMachine, Term};

/// What a candidate knows.
#[derive(Clone)]
pub(crate) struct Campaign {
    /// For each member, by its place, what it has answered.
    pub(crate) votes: Vec<Option<bool>>,
    /// How many records must be durable before its vote for itself counts.
    pub(crate) ballot: PersistCount,
}

impl<S: StateMachine> Raft<S> {
    /// Chooses anew how long to wait for a leader.
    pub(crate) fn draw_election_timeout(&mut self, now: Now) {
        let range = self.config.election_timeout.clone();
        let timeout = if self.config.planted.is(Mutant::FixedTimeouts) {
            *range.start()
        } else {
            self.rng.span(range)
        };
        self.election_at = now.monotonic + timeout + self.config.reluctance(self.id);
    }

    /// Whether this node stands for election: if it votes, on its disk, in the latest configuration of its log or in
    /// an earlier one that the latest may yet give way to ("a server that is not part of its own latest
    /// configuration should still start new elections, as it might still be needed until the C_new entry
    /// is committed", §4.2.2 of the thesis). Not in a generation of which its log holds nothing: the
    /// cluster was [recovered](crate::recovery), perhaps without it. A [witness](crate::witness) never does.
    pub(crate) fn may_stand(&self) -> bool {
        let mut open = self.log.history().open(self.commit);
        if self.log.last().term.generation() != self.term.generation() {
            return false;
        }
        if self.is_witness() && !self.config.planted.is(Mutant::WitnessStands) {
            return false;
        }
        let disk = self.identity().disk;
        open.any(|seated| seated.configuration.votes_on(self.id, disk))
            || self.config.planted.is(Mutant::LearnersStand)
    }

    /// The others whose vote counts, each once.
    pub(crate) fn other_voters(&self) -> BTreeSet<NodeId> {
        let places = self.log.seated().voters().filter(|&place| place != self.place);
        places.map(|place| self.members.as_slice()[place]).collect()
    }

    /// "To begin an election, a follower increments its current term and transitions to candidate
    /// state" (§5.2).
    ///
    /// With `transfer`, its leader told it to.
    pub(crate) fn campaign<P, E>(&mut self, now: Now, transfer: bool, out: &mut Out<S, P, E>) {
        self.draw_election_timeout(now);
        if self.term.next() >= Term::LIMIT {
            return;
        }
        self.term = self.term.next();
        self.vote = Some(self.id);
        self.lose_leader();
        self.ack = None;
        self.counts.campaigns += 1;
        self.ballot_unsaved = true;
        self.save_ballot(out);
        let votes = vec![None; self.members.count()];
        self.part = Part::Candidate(Campaign { votes, ballot: out.persisted() });
        // Gated: a vote may be given on what this log holds, so it must not shrink in a crash.
        let (term, last) = (self.term, self.log.last());
        for to in self.other_voters() {
            out.send(to, Message::RequestVote { term, last, transfer });
        }
    }

    /// "If RPC request or response contains term T > currentTerm: set currentTerm = T, convert to
    /// follower" (figure 2, rules for all servers).
    pub(crate) fn heed_term<P, E>(&mut self, now: Now, term: Term, out: &mut Out<S, P, E>) {
        if term <= self.term {
            return;
        }
        if self.is_leader() && self.config.planted.is(Mutant::IgnoresHigherTerm) {
            return;
        }
        self.step_down(now, out);
        self.term = term;
        self.vote = None;
        self.lose_leader();
        self.ack = None;
        self.ballot_unsaved = true;
    }

    /// Becomes a follower, whatever it was.
    pub(crate) fn step_down<P, E>(&mut self, now: Now, out: &mut Out<S, P, E>) {
        match std::mem::replace(&mut self.part, Part::Follower) {
            Part::Follower | Part::PreCandidate(_) | Part::Candidate(_) => {}
            Part::Leader(leadership) => {
                // What it proposed and did not flush is in its log, so it goes to its disk.
                self.save_entries(out);
                self.draw_election_timeout(now);
                self.events.push(Event::SteppedDown { term: self.term });
                let deposed = |request| Settled::Failed { request, error: Error::Deposed };
                let proposals = self.proposals.drain(..).map(|(_, request)| deposed(request));
                self.settled.extend(proposals);
                self.fail_change(leadership.change);
                self.fail_reads(leadership.reads, out);
                self.hand_over(leadership.transfer);
            }
        }
    }

    /// RequestVote, as its receiver (figure 2).
    pub(crate) fn on_request_vote<P, E>(
        &mut self,
        now: Now,
        from: NodeId,
        term: Term,
        last: Position,
        out: &mut Out<S, P, E>,
    ) {
        let planted = self.config.planted;
        let free = match self.vote {
            None => true,
            Some(choice) => choice == from || planted.is(Mutant::VotesTwice),
        };
        let granted = term == self.term && free && self.is_up_to_date(last) && self.may_promise();
        if granted {
            self.ballot_unsaved |= self.vote != Some(from);
            self.vote = Some(from);
            self.draw_election_timeout(now);
        }
        self.save_ballot(out);
        let vote = Message::Vote { term: self.term, granted, by: self.identity() };
        if planted.is(Mutant::VotesBeforeDurable) {
            out.send_now(from, vote);
        } else {
            out.send(from, vote);
        }
    }

    /// Whether a log that ends at `last` is at least as up to date as this node's (§5.4.1).
    pub(crate) fn is_up_to_date(&self, last: Position) -> bool {
        let own = self.log.last();
        if self.config.planted.is(Mutant::NoUpToDateCheck) {
            return true;
        }
        if self.is_witness() && self.config.planted.is(Mutant::WitnessVotesForAll) {
            return true;
        }
        if self.config.planted.is(Mutant::LengthBeforeTerm) {
            return (last.index, last.term) >= (own.index, own.term);
        }
        last >= own
    }

    /// The answer of the member at `place` to a RequestVote.
    pub(crate) fn on_vote(&mut self, now: Now, place: usize, term: Term, granted: bool) {
        if term != self.term {
            return;
        }
        let Part::Candidate(campaign) = &mut self.part else { return };
        campaign.votes[place].get_or_insert(granted);
        self.lead_if_elected(now);
    }

    /// The first `upto` records are durable, and perhaps this node's vote for itself among them.
    pub(crate) fn own_vote_durable(&mut self, now: Now, upto: PersistCount) {
        let Part::Candidate(campaign) = &mut self.part else { return };
        if upto >= campaign.ballot {
            campaign.votes[self.place] = Some(true);
            self.lead_if_elected(now);
        }
    }

    fn lead_if_elected(&mut self, now: Now) {
        let Part::Candidate(campaign) = &self.part else { return };
        match self.log.seated().tally(&self.peers, &campaign.votes) {
            Tally::Won => self.lead(now),
            // Others' terms or its own next timeout end a lost election.
            Tally::Lost | Tally::Pending => {}
        }
    }
}
