//! Standing for leader.

use cluster::{EffectsOf, Epoch, NodeId, Timestamp};

use crate::campaign::{Ballot, Campaign, Purpose, Stage, Tally};
use crate::lease::Lease;
use crate::message::{Message, Round, View};
use crate::mutants::Mutant;
use crate::promise::Judgement;

use super::Bully;

/// After so many challenges in vain the time between them grows no more.
const CHALLENGE_DOUBLINGS_MAX: u32 = 2;

// Beginning.
impl Bully {
    /// Stands, if there is nobody to follow, or only a lower leader who had time to settle.
    pub(super) fn stand_if_due(&mut self, now: Timestamp, out: &mut EffectsOf<Self>) {
        if self.rest_until > now {
            return;
        }
        let purpose = match self.leader {
            None => (self.stand_at <= now).then_some(Purpose::Succeed),
            Some(leader) => leader
                .challenge_at
                .is_some_and(|at| at <= now)
                .then_some(Purpose::Challenge { leader: leader.id, epoch: leader.epoch }),
        };
        if let Some(purpose) = purpose {
            self.counters.campaigns += 1;
            self.begin_asking(purpose, now, out);
        }
    }

    /// Asks the higher nodes whether they live.
    fn begin_asking(&mut self, purpose: Purpose, now: Timestamp, out: &mut EffectsOf<Self>) {
        let round = self.next_round();
        let message = Message::Election { epoch: self.seen, round };
        let mut higher = self.members.iter().filter(|&node| node > self.id).peekable();
        let until = match higher.peek() {
            Some(_) => now + self.config.answer_wait(),
            None => now,
        };
        higher.for_each(|node| out.send(node, message));
        self.campaign = Some(Campaign {
            purpose,
            stage: Stage::Asking,
            until,
            round,
            again_at: Timestamp::MAX,
        });
        self.keep_standing(now, out);
    }

    /// Asks everybody for a view.
    fn begin_canvass(&mut self, now: Timestamp, out: &mut EffectsOf<Self>) {
        let mut tally = Tally::new(&self.members);
        tally.note(self.index(self.id), self.view(self.id, now));
        self.enter(Stage::Canvassing(tally), now);
        self.say_again(now, out);
        self.count_canvass(now, out);
    }

    /// Asks the lower leader to let go.
    fn begin_challenge(&mut self, now: Timestamp, out: &mut EffectsOf<Self>) {
        self.enter(Stage::Challenging, now);
        self.say_again(now, out);
    }

    /// Asks everybody for an epoch.
    pub(super) fn begin_ballot(
        &mut self,
        released: Option<Epoch>,
        now: Timestamp,
        out: &mut EffectsOf<Self>,
    ) {
        if let Some(released) = released {
            self.voter.release_epoch(released);
        }
        let epoch = self.seen.max(self.voter.promised()).next();
        match self.voter.judge(self.id, epoch, now) {
            Judgement::Grant => {}
            Judgement::Bound if self.plants(Mutant::BoundVoterVotes) => {}
            Judgement::Bound | Judgement::Outbid => return self.fail(now, out),
        }
        self.promise(epoch, self.id, out);
        let (own_promise, span) = (out.persisted(), self.config.lease());
        let lease = Lease::new(self.id, &self.members, span, *self.config.planted());
        let lost = vec![false; self.members.count()];
        let ballot = Ballot { epoch, lease, own_promise, lost, released };
        self.enter(Stage::Balloting(Box::new(ballot)), now);
        self.say_again(now, out);
        self.count_ballot(now, out);
    }

    fn enter(&mut self, stage: Stage, now: Timestamp) {
        let round = self.next_round();
        // A ballot waits for two disks, one after the other; the rest is talk.
        let patience = match &stage {
            Stage::Balloting(_) => self.config.timeout(),
            Stage::Asking | Stage::Deferring | Stage::Canvassing(_) | Stage::Challenging => {
                self.config.patience()
            }
        };
        let until = now + patience;
        let Some(campaign) = &mut self.campaign else { return };
        *campaign = Campaign { purpose: campaign.purpose, stage, until, round, again_at: now };
    }
}

// Going on.
impl Bully {
    /// Says what must be said again, and ends what has taken its time.
    pub(super) fn keep_standing(&mut self, now: Timestamp, out: &mut EffectsOf<Self>) {
        let Some(campaign) = &self.campaign else { return };
        if campaign.until > now {
            if campaign.again_at <= now {
                self.say_again(now, out);
            }
            return;
        }
        match &campaign.stage {
            Stage::Asking if self.config.is_guarded() => self.begin_canvass(now, out),
            Stage::Asking => self.win_by_silence(now, out),
            Stage::Deferring if self.config.is_guarded() => self.begin_canvass(now, out),
            Stage::Canvassing(_) if self.plants(Mutant::SilenceIsVictory) => {
                self.begin_ballot(None, now, out);
            }
            Stage::Balloting(ballot) if self.plants(Mutant::SilenceIsVictory) => {
                let epoch = ballot.epoch;
                self.begin_reign(epoch, None, now, out);
            }
            Stage::Deferring | Stage::Canvassing(_) | Stage::Challenging | Stage::Balloting(_) => {
                self.fail(now, out);
            }
        }
    }

    /// Says it to everyone who has not replied, and sets the time for the next one.
    fn say_again(&mut self, now: Timestamp, out: &mut EffectsOf<Self>) {
        let (id, seen) = (self.id, self.seen);
        let next_round = self.last_round.next();
        let again_at = now + self.config.heartbeat();
        let Some(campaign) = &mut self.campaign else { return };
        campaign.again_at = again_at;
        let round = campaign.round;
        match &mut campaign.stage {
            Stage::Asking | Stage::Deferring => {}
            Stage::Canvassing(tally) => {
                let message = Message::Canvass { epoch: seen, round };
                for (index, other) in self.members.iter().enumerate() {
                    // Whoever is not free yet may be by now.
                    if other != id && tally.view(index) != Some(View::Free) {
                        out.send(other, message);
                    }
                }
            }
            Stage::Challenging => {
                if let Purpose::Challenge { leader, epoch } = campaign.purpose {
                    out.send(leader, Message::Challenge { epoch, round });
                }
            }
            Stage::Balloting(ballot) => {
                // A round of its own for each sending: the lease counts from the one answered.
                self.last_round = next_round;
                campaign.round = next_round;
                ballot.lease.sent(next_round, now);
                let (epoch, released) = (ballot.epoch, ballot.released);
                self.tell_all(Message::Ballot { epoch, round: next_round, released }, out);
            }
        }
    }

    /// A higher node lives.
    pub(super) fn on_answer(&mut self, from: NodeId, round: Round, now: Timestamp) {
        let wait = self.config.timeout() + self.jitter();
        let for_ever = self.plants(Mutant::NoElectionAfterLostAnswer);
        match &mut self.campaign {
            Some(campaign)
                if campaign.round == round
                    && from > self.id
                    && matches!(campaign.stage, Stage::Asking) =>
            {
                campaign.stage = Stage::Deferring;
                campaign.until = if for_ever { Timestamp::MAX } else { now + wait };
            }
            // The second answer of several, or an old one.
            Some(_) | None => self.counters.stale += 1,
        }
    }

    /// A node says how things look.
    pub(super) fn on_canvassed(
        &mut self,
        from: NodeId,
        round: Round,
        view: View,
        now: Timestamp,
        out: &mut EffectsOf<Self>,
    ) {
        let voter = self.index(from);
        match &mut self.campaign {
            Some(campaign) if campaign.round == round => match &mut campaign.stage {
                Stage::Canvassing(tally) => tally.note(voter, view),
                Stage::Asking | Stage::Deferring | Stage::Challenging | Stage::Balloting(_) => {
                    self.counters.stale += 1;
                }
            },
            Some(_) | None => self.counters.stale += 1,
        }
        self.count_canvass(now, out);
    }

    fn count_canvass(&mut self, now: Timestamp, out: &mut EffectsOf<Self>) {
        let Some(Campaign { purpose, stage: Stage::Canvassing(tally), .. }) = &self.campaign else {
            return;
        };
        let majority = self.members.majority();
        match *purpose {
            Purpose::Succeed if tally.free() >= majority => self.begin_ballot(None, now, out),
            // The leader must be heard as well: who cannot hear it would depose it for nothing.
            Purpose::Challenge { leader, epoch }
                if tally.free_after(leader, epoch) >= majority
                    && tally.view(self.index(leader)) == Some(View::Leads { epoch }) =>
            {
                self.begin_challenge(now, out);
            }
            Purpose::Succeed | Purpose::Challenge { .. } => {}
        }
    }

    /// A voter promises the epoch.
    pub(super) fn on_grant(
        &mut self,
        from: NodeId,
        epoch: Epoch,
        round: Round,
        now: Timestamp,
        out: &mut EffectsOf<Self>,
    ) {
        let voter = self.index(from);
        let counted = match &mut self.campaign {
            Some(Campaign { stage: Stage::Balloting(ballot), .. }) if ballot.epoch == epoch => {
                ballot.lease.support(voter, round, now)
            }
            Some(_) | None => false,
        };
        if counted {
            self.count_ballot(now, out);
        } else {
            self.counters.stale += 1;
        }
    }

    /// Leads, if a majority has promised it the epoch, its own promise is durable, and there is
    /// time left to act.
    pub(super) fn count_ballot(&mut self, now: Timestamp, out: &mut EffectsOf<Self>) {
        let Some(Campaign { stage: Stage::Balloting(ballot), .. }) = &self.campaign else {
            return;
        };
        if ballot.own_promise <= self.durable && ballot.lease.is_valid(now) {
            let (epoch, lease) = (ballot.epoch, ballot.lease.clone());
            self.begin_reign(epoch, Some(lease), now, out);
        }
    }

    /// A voter has promised the epoch to another, or has promised a later one. False if that is no
    /// news to this ballot.
    pub(super) fn on_ballot_refused(
        &mut self,
        from: NodeId,
        epoch: Epoch,
        round: Round,
        now: Timestamp,
        out: &mut EffectsOf<Self>,
    ) -> bool {
        let (voter, majority) = (self.index(from), self.members.majority());
        let Some(Campaign { stage: Stage::Balloting(ballot), .. }) = &mut self.campaign else {
            return false;
        };
        if epoch < ballot.epoch || !ballot.lease.knows(round) {
            return false;
        }
        ballot.lost[voter] = true;
        let left = ballot.lost.iter().filter(|&&lost| !lost).count();
        // The others may still do, unless some have gone on: those would not follow it anyway.
        if epoch > ballot.epoch || left < majority {
            self.fail(now, out);
        }
        true
    }
}

// Ending.
impl Bully {
    /// Textbook: nobody higher has answered, so nobody higher lives.
    fn win_by_silence(&mut self, now: Timestamp, out: &mut EffectsOf<Self>) {
        let epoch = self.seen.max(self.voter.promised()).next();
        self.promise(epoch, self.id, out);
        self.begin_reign(epoch, None, now, out);
    }

    /// Gives up for now, and tries again after a while.
    fn fail(&mut self, now: Timestamp, out: &mut EffectsOf<Self>) {
        let pause = self.pause();
        self.drop_campaign(out);
        self.stand_at = now + pause;
        if let Some(leader) = &mut self.leader {
            let doublings = self.challenges_failed.min(CHALLENGE_DOUBLINGS_MAX);
            leader.challenge_at = Some(now + self.config.settle() * (1 << doublings) + pause);
            self.challenges_failed = self.challenges_failed.saturating_add(1);
        }
    }

    /// Stands no more. Whoever has granted it an epoch is free again.
    pub(super) fn drop_campaign(&mut self, out: &mut EffectsOf<Self>) {
        let Some(campaign) = self.campaign.take() else { return };
        match campaign.stage {
            Stage::Asking | Stage::Deferring | Stage::Canvassing(_) | Stage::Challenging => {}
            Stage::Balloting(ballot) => {
                let epoch = ballot.epoch;
                self.tell_all(Message::Release { epoch, successor: None }, out);
            }
        }
    }
}
