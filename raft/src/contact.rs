//! Who has heard from whom lately: what a leader knows of its majority, and a follower of its
//! leader.

use cluster::{NodeId, Now, Timestamp};

use crate::history::Seated;
use crate::leader::Leadership;
use crate::mutants::Mutant;
use crate::node::{Out, Part, Raft};
use crate::{Identity, StateMachine};

impl Leadership {
    /// The latest moment by which a majority had been heard from; the leader, at `own`, hears itself.
    fn quorum_heard(&self, seated: &Seated, peers: &[Identity], own: usize, now: Now) -> Timestamp {
        let heard = |place| if place == own { now.monotonic } else { self.heard[place] };
        seated.reached(&mut Vec::new(), peers, heard)
    }
}

impl<S: StateMachine> Raft<S> {
    /// Whether this node stays with the leader it has, when `from` would replace it: "if a server
    /// receives a RequestVote request within the minimum election timeout of hearing from a current
    /// leader, it does not update its term or grant its vote" (§4.2.3 of the thesis).
    ///
    /// A leader stays with itself while it hears from a majority. Nobody stays with a leader that
    /// itself stands: it has given up the lead.
    pub(crate) fn is_loyal(&self, now: Now, from: NodeId) -> bool {
        if !self.config.stickiness {
            return false;
        }
        match &self.part {
            Part::Leader(leadership) => {
                let heard =
                    leadership.quorum_heard(self.log.seated(), &self.peers, self.place, now);
                now.monotonic < heard + self.config.stick_for()
            }
            Part::Follower | Part::PreCandidate(_) | Part::Candidate(_) => {
                let own = self.leader == Some(from)
                    && !self.config.planted.is(Mutant::RefusesItsOwnLeader);
                now.monotonic < self.loyal_until && !own
            }
        }
    }

    /// This node has heard from the leader of its term.
    pub(crate) fn heard_leader(&mut self, now: Now) {
        if self.config.stickiness {
            self.loyal_until = now.monotonic + self.config.stick_for();
        }
    }

    /// Steps down if this node leads and should not: because a majority is silent (§6.2 of the
    /// thesis), or because its disk hangs. True if so.
    pub(crate) fn abdicate_if_unfit<P, E>(&mut self, now: Now, out: &mut Out<S, P, E>) -> bool {
        let Part::Leader(leadership) = &self.part else { return false };
        let heard = leadership.quorum_heard(self.log.seated(), &self.peers, self.place, now);
        let cut_off = self.config.check_quorum
            && !self.config.planted.is(Mutant::LeadsWithoutQuorum)
            && now.monotonic.since(heard) >= self.config.quorum_patience();
        if !cut_off && !self.disk_hangs(now) {
            return false;
        }
        self.counts.abdications += 1;
        self.step_down(now, out);
        self.lose_leader();
        true
    }

    /// Whether this node's disk has stopped.
    pub(crate) fn disk_hangs(&self, now: Now) -> bool {
        self.disk.hangs(now, self.config.disk_patience())
            && !self.config.planted.is(Mutant::LeadsOnAHungDisk)
    }
}
