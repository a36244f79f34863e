//! How a leader hands over (§3.10 of the thesis).
//!
//! ```text
//!  n1 leads ── takes no more commands ── n2 holds the whole log ── TimeoutNow ─▶ n2 stands at once
//!     ▲                                                                              │
//!     └── after the longest election timeout, it leads on ──      it hears n2 ◀──────┘ done
//! ```

use cluster::{NodeId, Now, RequestId, Timestamp};

use crate::leader::Leadership;
use crate::message::Message;
use crate::mutants::Mutant;
use crate::node::{Out, Part, Raft};
use crate::request::Settled;
use crate::{Error, Kind, StateMachine, Term, WitnessRefusal};

/// A transfer under way, as the leader knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Transfer {
    /// To whom.
    pub(crate) to: NodeId,
    /// Its place among the members.
    pub(crate) place: usize,
    /// Who wants to know.
    pub(crate) request: Option<RequestId>,
    /// When it is given up.
    pub(crate) until: Timestamp,
    /// Whether the target has been told since the last heartbeat.
    pub(crate) told: bool,
}

/// A transfer after which this node leads no longer, and whose end it does not know.
#[derive(Clone, Copy, Debug, Hash)]
pub(crate) struct Handover {
    pub(crate) to: NodeId,
    pub(crate) request: RequestId,
}

impl Leadership {
    /// To whom this leader, `own`, is handing over; itself, if it is to stand again.
    pub(crate) fn hands_over(&self, own: NodeId) -> Option<NodeId> {
        self.transfer.map(|transfer| transfer.to).or(self.beyond.map(|_| own))
    }
}

impl<S: StateMachine> Raft<S> {
    /// Hands the lead over to `to`, or to the follower that has come furthest if none is named.
    /// From now on no command is taken, until that has come about or the longest election timeout
    /// has passed. [`Settled::Transferred`] and [`Settled::Failed`] say what became of `request`.
    /// Leases are given up for the rest of the term, whatever becomes of it.
    ///
    /// # Errors
    /// [`Error::NotLeader`], [`Error::Transferring`] if it hands over already,
    /// [`Error::NoSuchMember`], and [`Error::Witness`] if `to` is one; nothing is done then.
    pub fn transfer(
        &mut self,
        now: Now,
        request: Option<RequestId>,
        to: Option<NodeId>,
    ) -> Result<(), Error> {
        let Part::Leader(leadership) = &mut self.part else {
            return Err(Error::NotLeader { leader: self.leader });
        };
        if let Some(to) = leadership.hands_over(self.id) {
            return Err(Error::Transferring { to });
        }
        let own = self.place;
        let configuration = &self.log.seated().configuration;
        let voters = configuration.voters();
        let furthest = || {
            let full = voters.iter().filter(|&&voter| configuration.kind(voter) == Kind::Full);
            let voters = full.filter_map(|&voter| self.members.index_of(voter));
            let others = voters.filter(|&place| place != own);
            // Of those equally far, whoever was heard last; of those, the first. When somebody was
            // heard matters to nothing else where both of these are off.
            let timed = self.config.check_quorum || self.config.stickiness;
            let key = |place: &usize| {
                let heard = if timed { leadership.heard[*place] } else { Timestamp::ZERO };
                // Who has lost its disk cannot lead.
                let node = self.members.as_slice()[*place];
                let votes = configuration.votes_on(node, self.peers[*place].disk);
                (votes, leadership.followers[*place].matched, heard)
            };
            others.rev().max_by_key(key).map(|place| self.members.as_slice()[place])
        };
        let to = to.or_else(furthest).ok_or(Error::NoSuchMember)?;
        if configuration.kind(to) == Kind::Witness {
            return Err(Error::Witness(WitnessRefusal::NoReplica { node: to }));
        }
        let place = self.members.index_of(to).filter(|_| voters.contains(&to));
        let place = place.ok_or(Error::NoSuchMember)?;
        if place == own {
            self.settled.extend(request.map(|request| Settled::Transferred { request, to }));
            return Ok(());
        }
        let until = now.monotonic + self.config.quorum_patience();
        leadership.transfer = Some(Transfer { to, place, request, until, told: false });
        Ok(())
    }

    /// Whom this leader is handing over to: itself, if it is to stand again.
    pub fn transferring(&self) -> Option<NodeId> {
        match &self.part {
            Part::Leader(leadership) => leadership.hands_over(self.id),
            Part::Follower | Part::PreCandidate(_) | Part::Candidate(_) => None,
        }
    }

    /// Gives a transfer up that has taken too long; otherwise lets the target be told once more.
    pub(crate) fn watch_transfer(&mut self, now: Now) {
        let Part::Leader(leadership) = &mut self.part else { return };
        let Some(transfer) = &mut leadership.transfer else { return };
        transfer.told = false;
        if now.monotonic < transfer.until {
            return;
        }
        let request = transfer.request;
        leadership.transfer = None;
        let error = Error::NotTransferred;
        self.settled.extend(request.map(|request| Settled::Failed { request, error }));
    }

    /// Tells the target to stand, once it holds the whole log. A leader that has no vote any more
    /// waits until that is committed, and is done then.
    pub(crate) fn tell_target<P, E>(&mut self, now: Now, out: &mut Out<S, P, E>) {
        if self.transferring().is_none() {
            return;
        }
        let last = self.log.last_index();
        let planted = self.config.planted;
        let retired = self.is_retired();
        let Part::Leader(leadership) = &mut self.part else { return };
        let Some(transfer) = &mut leadership.transfer else { return };
        let whole = leadership.followers[transfer.place].matched == last
            || planted.is(Mutant::TransfersToALaggard);
        let ready = whole && !(retired && self.commit < last);
        if ready && !transfer.told {
            transfer.told = true;
            // The message may arrive at any later time, and then voters leave this leader early.
            leadership.lease_void |= !planted.is(Mutant::KeepsLeaseAfterTransfer);
            out.send_now(transfer.to, Message::TimeoutNow { term: self.term });
            if retired {
                self.step_down(now, out);
                self.lose_leader();
            }
        }
    }

    /// TimeoutNow, as its receiver: it stands at once, and asks nobody before.
    pub(crate) fn on_timeout_now<P, E>(
        &mut self,
        now: Now,
        from: NodeId,
        term: Term,
        out: &mut Out<S, P, E>,
    ) {
        let follows = match self.part {
            Part::Follower => self.leader == Some(from),
            Part::PreCandidate(_) | Part::Candidate(_) | Part::Leader(_) => false,
        };
        if term == self.term && follows && self.may_stand() && !self.disk_hangs(now) {
            self.campaign(now, true, out);
        }
    }

    /// This node led, and leads no longer: what its transfer comes to, another leader will show.
    pub(crate) fn hand_over(&mut self, transfer: Option<Transfer>) {
        let Some(Transfer { to, request: Some(request), .. }) = transfer else { return };
        self.fail_handover();
        self.handover = Some(Handover { to, request });
    }

    /// `leader` leads now.
    pub(crate) fn end_handover(&mut self, leader: NodeId) {
        let Some(Handover { to, request }) = self.handover.take() else { return };
        self.settled.push(if leader == to {
            Settled::Transferred { request, to }
        } else {
            Settled::Failed { request, error: Error::NotTransferred }
        });
    }

    /// Nobody took over in time.
    pub(crate) fn fail_handover(&mut self) {
        let Some(Handover { request, .. }) = self.handover.take() else { return };
        self.settled.push(Settled::Failed { request, error: Error::NotTransferred });
    }
}
