//! Leading: being heard, counting who listens, letting go.

use cluster::{EffectsOf, Epoch, NodeId, Timestamp};

use crate::lease::Lease;
use crate::message::{Event, Message, Round};
use crate::mutants::Mutant;

use super::{Bully, Reign};

impl Bully {
    /// Leads `epoch` from now on, on the strength of `lease`.
    pub(super) fn begin_reign(
        &mut self,
        epoch: Epoch,
        lease: Option<Lease>,
        now: Timestamp,
        out: &mut EffectsOf<Self>,
    ) {
        self.campaign = None;
        self.leader = None;
        self.favour = None;
        self.counters.reigns += 1;
        let heartbeat_at = now + self.config.heartbeat();
        self.reign = Some(Reign { epoch, lease, heartbeat_at });
        out.emit(Event::Elected { epoch });
        let round = self.leading_round(now);
        self.tell_all(Message::Coordinator { epoch, round }, out);
    }

    /// Is heard, when it is time.
    pub(super) fn keep_leading(&mut self, now: Timestamp, out: &mut EffectsOf<Self>) {
        let heartbeat = self.config.heartbeat();
        let Some(reign) = self.reign.as_mut().filter(|reign| reign.heartbeat_at <= now) else {
            return;
        };
        reign.heartbeat_at = now + heartbeat;
        let epoch = reign.epoch;
        let round = self.leading_round(now);
        self.tell_all(Message::Heartbeat { epoch, round }, out);
    }

    /// Tells one node that it leads.
    pub(super) fn announce_to(
        &mut self,
        to: NodeId,
        epoch: Epoch,
        now: Timestamp,
        out: &mut EffectsOf<Self>,
    ) {
        let round = self.leading_round(now);
        out.send(to, Message::Coordinator { epoch, round });
    }

    /// A round that goes out now, under the lease if there is one.
    fn leading_round(&mut self, now: Timestamp) -> Round {
        let round = self.next_round();
        if let Some(lease) = self.reign.as_mut().and_then(|reign| reign.lease.as_mut()) {
            lease.sent(round, now);
        }
        round
    }

    /// A follower gives its word for a round.
    pub(super) fn on_ack(&mut self, from: NodeId, epoch: Epoch, round: Round, now: Timestamp) {
        let voter = self.index(from);
        let counted = match &mut self.reign {
            Some(Reign { epoch: led, lease: Some(lease), .. }) if *led == epoch => {
                lease.support(voter, round, now)
            }
            Some(_) | None => false,
        };
        if !counted {
            self.counters.stale += 1;
        }
    }

    /// A higher node wants to lead in this one's stead.
    pub(super) fn on_challenge(
        &mut self,
        from: NodeId,
        epoch: Epoch,
        now: Timestamp,
        out: &mut EffectsOf<Self>,
    ) {
        if self.released == Some((self.id, epoch)) {
            // It has been granted already, and the word got lost.
            out.send(from, Message::Release { epoch, successor: Some(from) });
            return;
        }
        let voter = self.index(from);
        // Only for a node that it still hears: the challenge may be old, and its sender dead.
        let is_due = self.reign.as_ref().is_some_and(|reign| {
            reign.epoch == epoch
                && reign.lease.as_ref().is_some_and(|lease| lease.is_backed_by(voter, now))
        });
        if from < self.id || !is_due {
            self.counters.stale += 1;
            return;
        }
        self.counters.abdications += 1;
        self.end_reign(Some(from), out);
        self.stand_at = now + self.config.timeout() + self.jitter();
    }

    /// Somebody has gone on to a later epoch, and will never again listen to this one.
    pub(super) fn on_refuse(
        &mut self,
        from: NodeId,
        epoch: Epoch,
        round: Round,
        now: Timestamp,
        out: &mut EffectsOf<Self>,
    ) {
        let overtaken = self.reign.as_ref().is_some_and(|reign| match &reign.lease {
            Some(lease) => epoch > reign.epoch && lease.knows(round),
            // Textbook: the same epoch may have another leader.
            None => epoch >= reign.epoch,
        });
        if overtaken {
            if self.plants(Mutant::TwoLeadersKeptAfterHealing) {
                return;
            }
            // To lead it again, this node needs a later epoch itself.
            self.end_reign(None, out);
            self.stand_at = now;
        } else if self.reign.is_some() || !self.on_ballot_refused(from, epoch, round, now, out) {
            self.counters.stale += 1;
        }
    }

    /// Leads no more, if it did. It will never again act in that epoch, so everyone bound to it is free.
    ///
    /// The caller decides when to stand again.
    pub(super) fn end_reign(&mut self, successor: Option<NodeId>, out: &mut EffectsOf<Self>) {
        let Some(Reign { epoch, .. }) = self.reign.take() else { return };
        self.released = Some((self.id, epoch));
        out.emit(Event::SteppedDown { epoch });
        self.tell_all(Message::Release { epoch, successor }, out);
    }
}
