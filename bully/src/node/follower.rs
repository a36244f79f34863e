//! Hearing leaders, and hearing nothing.

use cluster::{EffectsOf, Epoch, NodeId, Timestamp};

use crate::campaign::{Campaign, Purpose, Stage};
use crate::message::{Event, Message, Round};
use crate::mutants::Mutant;

use super::{Bully, Leader};

impl Bully {
    /// A node says that it leads.
    pub(super) fn on_leader(
        &mut self,
        from: NodeId,
        epoch: Epoch,
        round: Round,
        now: Timestamp,
        out: &mut EffectsOf<Self>,
    ) {
        let over = self.released == Some((from, epoch));
        let heard = self.leader.is_some_and(|leader| {
            (leader.id, leader.epoch) == (from, epoch) && round <= leader.round
        });
        if over || heard {
            self.counters.stale += 1;
            return;
        }
        if self.is_past(from, epoch) && !self.plants(Mutant::StaleCoordinatorBelieved) {
            // Whoever leads in the past must learn that it is the past.
            self.counters.stale += 1;
            out.send(from, Message::Refuse { epoch: self.voter.promised(), round });
            return;
        }
        if self.config.is_guarded() {
            self.on_guarded_leader(from, epoch, round, now, out);
        } else {
            self.on_textbook_leader(from, epoch, round, now, out);
        }
    }

    /// Whether this node has gone beyond `leader` leading `epoch`.
    ///
    /// In guarded mode a leader has a majority's word for its epoch, so it counts for nothing that
    /// this node had given its own word to another. In textbook mode each side of a partition may
    /// lead the same epoch; it belongs to whom a node heard of first, and the other must go on to a
    /// later one.
    fn is_past(&self, leader: NodeId, epoch: Epoch) -> bool {
        let promised = self.voter.promised();
        let taken = !self.config.is_guarded() && !self.voter.may_have(leader, epoch);
        epoch < promised || taken
    }

    fn on_guarded_leader(
        &mut self,
        from: NodeId,
        epoch: Epoch,
        round: Round,
        now: Timestamp,
        out: &mut EffectsOf<Self>,
    ) {
        match self.reigns() {
            // No epoch has two leaders: this is no leader's word.
            Some(own) if epoch <= own => {
                self.counters.dropped += 1;
                return;
            }
            // A majority has gone on, so the own lease is worth nothing any more.
            Some(_) => self.end_reign(None, out),
            None => {}
        }
        self.follow(from, epoch, round, now, out);
        self.voter.bind(from, epoch, now + self.config.timeout());
        out.send(from, Message::Ack { epoch, round });
    }

    fn on_textbook_leader(
        &mut self,
        from: NodeId,
        epoch: Epoch,
        round: Round,
        now: Timestamp,
        out: &mut EffectsOf<Self>,
    ) {
        if self.reign.is_some() && self.plants(Mutant::TwoLeadersKeptAfterHealing) {
            return;
        }
        if from < self.id && !self.plants(Mutant::CoordinatorFromLowerId) {
            // "It bullies": a lower node has no business leading while this one lives.
            if self.rest_until > now {
                self.follow(from, epoch, round, now, out);
                return;
            }
            self.end_reign(None, out);
            self.stand_at = self.stand_at.min(now);
            self.leader = self.leader.filter(|leader| leader.id != from);
            return;
        }
        self.end_reign(None, out);
        self.follow(from, epoch, round, now, out);
    }

    /// Believes in `leader` for another timeout.
    fn follow(
        &mut self,
        leader: NodeId,
        epoch: Epoch,
        round: Round,
        now: Timestamp,
        out: &mut EffectsOf<Self>,
    ) {
        let until = now + self.config.timeout();
        if let Some(known) = &mut self.leader
            && (known.id, known.epoch) == (leader, epoch)
        {
            known.round = round;
            known.until = until;
            return;
        }
        self.promise(epoch, leader, out);
        self.drop_campaign(out);
        self.favour = None;
        self.challenges_failed = 0;
        let challenges = self.config.is_guarded()
            && leader < self.id
            && !self.plants(Mutant::ReturnedHighestNeverChallenges);
        let challenge_at = challenges.then(|| now + self.config.settle());
        self.leader = Some(Leader { id: leader, epoch, round, until, challenge_at });
        out.emit(Event::Follows { leader, epoch });
    }

    /// A node says that it leads `epoch` no more, or that it has given up trying.
    pub(super) fn on_release(
        &mut self,
        from: NodeId,
        epoch: Epoch,
        successor: Option<NodeId>,
        now: Timestamp,
        out: &mut EffectsOf<Self>,
    ) {
        self.released = Some((from, epoch));
        let freed = self.voter.release(from, epoch);
        let led = self.leader.is_some_and(|leader| (leader.id, leader.epoch) == (from, epoch));
        if led {
            self.leader = None;
        }
        if let Some(Campaign { purpose: Purpose::Challenge { leader, epoch: led }, stage, .. }) =
            &self.campaign
            && (*leader, *led) == (from, epoch)
        {
            match stage {
                Stage::Challenging => return self.begin_ballot(Some(epoch), now, out),
                Stage::Balloting(_) => return,
                Stage::Asking | Stage::Deferring | Stage::Canvassing(_) => self.campaign = None,
            }
        }
        if !led && !freed || self.campaign.is_some() || self.reign.is_some() {
            return;
        }
        self.stand_at = match successor {
            // It is about to be heard of.
            Some(successor) if successor != self.id => now + self.config.timeout() + self.jitter(),
            Some(_) => now,
            None if led => now + self.jitter(),
            None => now + self.pause(),
        };
    }
}
