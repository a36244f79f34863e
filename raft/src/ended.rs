//! The leader's process has ended: why wait until it is missed?
//!
//! A process that is killed cannot say so, but its machine does: connections to it break, and new ones are
//! refused. A follower that is told ([`cluster::Input::Ended`]) need not let an election timeout pass. It
//! stays with its leader no longer, and stands when it is its turn: those who may follow each other by an eighth
//! of the shortest timeout, in the order of their names, so that as a rule nobody meets another candidate,
//! and whoever has heard of it last does not refuse the first one for long.
//!
//! It is a hint, and decides nothing. Who stands is elected by the votes of a majority, and with pre-vote
//! nothing happens at all before a majority has lost sight of the leader. A hint that is late or wrong
//! costs an election at most. With leases it would cost more, for a leader counts on the loyalty of those
//! who follow it (§6.4.1 of the thesis): there, hints are not heeded.

use cluster::{NodeId, Now};

use crate::mutants::Mutant;
use crate::node::Raft;
use crate::{Kind, StateMachine};

/// Into how many turns the shortest election timeout is divided.
const TURNS: u32 = 8;

impl<S: StateMachine> Raft<S> {
    /// The process of `node` has ended, as its machine tells.
    pub fn ended(&mut self, now: Now, node: NodeId) {
        let leases =
            self.config.lease().is_some() && !self.config.planted.is(Mutant::HintsBreakLeases);
        if self.leader != Some(node) || leases {
            return;
        }
        let stands = |&it: &NodeId| it != node && self.configuration().kind(it) == Kind::Full;
        let before = self.other_voters().into_iter().filter(stands).filter(|&it| it < self.id);
        let turn = u32::try_from(before.count()).unwrap_or(u32::MAX).saturating_add(1);
        let wait = (self.config.stick_for() / TURNS).saturating_mul(turn);
        let at = now.monotonic + wait + self.config.reluctance(self.id);
        self.election_at = self.election_at.min(at);
        self.loyal_until = now.monotonic;
    }
}
