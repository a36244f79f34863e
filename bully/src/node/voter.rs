//! Answering those who stand.

use cluster::{EffectsOf, Epoch, NodeId, Timestamp};

use crate::campaign::{Campaign, Stage};
use crate::message::{Message, Round, View};
use crate::mutants::Mutant;
use crate::promise::{Bond, Judgement};

use super::{Bully, Favour};

impl Bully {
    /// A lower node asks whether this one lives.
    pub(super) fn on_election(
        &mut self,
        from: NodeId,
        round: Round,
        now: Timestamp,
        out: &mut EffectsOf<Self>,
    ) {
        if from > self.id {
            self.counters.dropped += 1;
            return;
        }
        if let Some(epoch) = self.reigns() {
            self.announce_to(from, epoch, now, out);
            return;
        }
        if self.rest_until > now {
            return;
        }
        out.send(from, Message::Answer { epoch: self.seen, round });
        if self.plants(Mutant::AnswersTwice) {
            out.send(from, Message::Answer { epoch: self.seen, round });
        }
        if self.leader.is_none() && self.campaign.is_none() {
            let bound_until = self.voter.bond_against(self.id, now).map_or(now, |bond| bond.until);
            self.stand_at = self.stand_at.min(bound_until);
        }
    }

    /// A candidate asks how things look.
    pub(super) fn on_canvass(
        &mut self,
        from: NodeId,
        round: Round,
        now: Timestamp,
        out: &mut EffectsOf<Self>,
    ) {
        let view = self.view(from, now);
        out.send(from, Message::Canvassed { epoch: self.seen, round, view });
    }

    /// How things look to this node if `candidate` asks.
    pub(super) fn view(&mut self, candidate: NodeId, now: Timestamp) -> View {
        if let Some(epoch) = self.reigns() {
            return View::Leads { epoch };
        }
        if let Some(Bond { to, .. }) = self.voter.bond_against(candidate, now)
            && !self.plants(Mutant::BoundVoterVotes)
        {
            return to.map_or(View::Booted, |(to, epoch)| View::Bound { to, epoch });
        }
        let own = if self.campaign.is_some() { self.id } else { candidate };
        let favour =
            self.favour.get_or_insert(Favour { candidate: own, until: now + self.config.favour() });
        if favour.until <= now || favour.candidate <= candidate {
            favour.candidate = favour.candidate.max(candidate);
            View::Free
        } else {
            View::Prefers
        }
    }

    /// A candidate asks for an epoch.
    pub(super) fn on_ballot(
        &mut self,
        from: NodeId,
        epoch: Epoch,
        round: Round,
        released: Option<Epoch>,
        now: Timestamp,
        out: &mut EffectsOf<Self>,
    ) {
        if let Some(released) = released {
            self.voter.release_epoch(released);
            if self.leader.is_some_and(|leader| leader.epoch == released) {
                self.leader = None;
            }
        }
        // Old news: of an epoch that its sender has given up, or of one that it has won since.
        let over = self.released == Some((from, epoch));
        let won = self.leader.is_some_and(|leader| (leader.id, leader.epoch) == (from, epoch));
        if over || won {
            self.counters.stale += 1;
            return;
        }
        let judgement = match self.voter.judge(from, epoch, now) {
            Judgement::Outbid
                if epoch == self.voter.promised() && self.plants(Mutant::EpochGrantedTwice) =>
            {
                Judgement::Grant
            }
            Judgement::Bound if self.plants(Mutant::BoundVoterVotes) => Judgement::Grant,
            judgement @ (Judgement::Grant | Judgement::Outbid | Judgement::Bound) => judgement,
        };
        match judgement {
            Judgement::Outbid => {
                self.counters.refused += 1;
                out.send(from, Message::Refuse { epoch: self.voter.promised(), round });
                // Both ask for the same epoch, and whoever votes for the lower is lost to the
                // higher.
                if self.asks_for(epoch) && from > self.id {
                    self.drop_campaign(out);
                    self.stand_at = now + self.config.timeout() + self.jitter();
                }
            }
            // A leader and a candidate that asks for votes itself are bound to themselves, except
            // that the lower of two candidates gives way.
            Judgement::Grant
                if self.reign.is_none() && (!self.is_balloting() || from > self.id) =>
            {
                self.grant(from, epoch, round, now, out);
            }
            Judgement::Bound | Judgement::Grant => self.counters.refused += 1,
        }
    }

    fn grant(
        &mut self,
        to: NodeId,
        epoch: Epoch,
        round: Round,
        now: Timestamp,
        out: &mut EffectsOf<Self>,
    ) {
        self.counters.grants += 1;
        self.drop_campaign(out);
        self.leader = None;
        self.promise(epoch, to, out);
        let until = now + self.config.timeout();
        self.voter.bind(to, epoch, until);
        self.stand_at = until + self.jitter();
        out.send(to, Message::Grant { epoch, round });
    }

    /// Whether it is a candidate that asks for the votes of `epoch`.
    fn asks_for(&self, epoch: Epoch) -> bool {
        matches!(
            &self.campaign,
            Some(Campaign { stage: Stage::Balloting(ballot), .. }) if ballot.epoch == epoch
        )
    }

    fn is_balloting(&self) -> bool {
        matches!(&self.campaign, Some(Campaign { stage: Stage::Balloting(_), .. }))
    }
}
