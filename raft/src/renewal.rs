//! How a leader outlives a term higher than its own, of which it hears from a node that has no say.
//!
//! A node may have a higher term than its cluster and no vote in it: it stood, lost, and was taken out
//! before it heard so; now it is put in again. It refuses the leader's appends, and "if RPC response
//! contains term T > currentTerm, convert to follower" (figure 2) would let it depose a leader whom all
//! voters follow, and leave what is under way unknown. To ignore it, as voters ignore its requests
//! (§4.2.3 of the thesis), would keep it out for ever. So the leader goes beyond its term:
//!
//! ```text
//!  n4, t9, no voter ── Stale, t9 ─▶ n1 leads t5 ── takes no more commands ── all it has is committed
//!                                                                                    │
//!                   n1 leads t10, n4 follows  ◀── n2, n3 vote for the leader they follow ◀── stands in t10
//! ```
//! Not to heed the term at once is safe: it is as if the message came later. A voter's term is heeded at
//! once, since a leader elected by it may be there already.

use cluster::{NodeId, Now};

use crate::StateMachine;
use crate::change::Ongoing;
use crate::message::{Appended, Message};
use crate::mutants::Mutant;
use crate::node::{Out, Part, Raft};

impl<S: StateMachine> Raft<S> {
    /// Whether this leader goes on for now although `message` names a higher term: `from` refuses what
    /// the leader sent, and has no vote. If no transfer and no joint change is under way, and the leader
    /// may be elected, it is to stand beyond that term.
    pub(crate) fn outlives(&mut self, from: NodeId, message: &Message<S::Command>) -> bool {
        let Message::Appended { term, outcome: Appended::Stale, by, .. } = message else {
            return false;
        };
        let votes = self.configuration().votes_on(from, by.disk);
        if *term <= self.term || votes || self.config.planted.is(Mutant::GuestsDepose) {
            return false;
        }
        let may_stand = self.may_stand();
        let Part::Leader(leadership) = &mut self.part else { return false };
        let joint = matches!(leadership.change, Some(Ongoing::Joint(_)));
        if may_stand && !joint && leadership.transfer.is_none() {
            leadership.beyond = leadership.beyond.max(Some(*term));
        }
        true
    }

    /// Stands beyond the term that it is to outlive, once all that it has is committed; not if it is out
    /// by then.
    pub(crate) fn renew_term<P, E>(&mut self, now: Now, out: &mut Out<S, P, E>) {
        let Part::Leader(leadership) = &mut self.part else { return };
        let Some(beyond) = leadership.beyond else { return };
        let under_way = self.commit < self.log.last_index();
        if under_way && !self.config.planted.is(Mutant::RenewsTooSoon) {
            return;
        }
        leadership.beyond = None;
        if self.may_stand() {
            self.heed_term(now, beyond, out);
            self.campaign(now, false, out);
        }
    }
}
