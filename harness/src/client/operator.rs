//! A client that changes who votes.

use std::ops::RangeInclusive;
use std::time::Duration;

use cluster::{NodeId, Rng, Timestamp};

use crate::history::Call;
use crate::vocabulary::{Membership, Op};

use super::caller::done;
use super::{Context, Habit, Next};

/// How long it leaves a membership as it is.
const CONTENT: RangeInclusive<Duration> = Duration::from_millis(20)..=Duration::from_millis(500);

/// Takes one voter out at a time, puts it in another's place, or has one vote on the disk that it has;
/// once everything is repaired, it sees to it that all vote, each on its own disk.
///
/// Never more than one is out: so many nodes as a majority of all and one more serve at any moment,
/// between two memberships too.
#[derive(Debug)]
pub(crate) struct Operator {
    /// Who is never taken out.
    stays: fn(NodeId) -> bool,
    /// What is left to do, the last first, since everything was repaired.
    left: Option<Vec<Membership>>,
}

impl Operator {
    /// One that takes nobody out who `stays`.
    pub(crate) fn new(stays: fn(NodeId) -> bool) -> Self {
        Self { stays, left: None }
    }

    /// Everybody votes, or everybody but one, or one on another disk.
    fn drawn(&self, members: &[NodeId], rng: &mut Rng) -> Membership {
        let place = rng.index(members.len());
        let mut voters = members.to_vec();
        match rng.below(4) {
            0 => return Membership::Renewed(members[place]),
            1 => {}
            _ if voters.len() == 1 || (self.stays)(members[place]) => {}
            _ => drop(voters.remove(place)),
        }
        Membership::Voters(voters)
    }
}

/// What is left to do once everything is repaired, the last first.
fn restored(members: &[NodeId]) -> Vec<Membership> {
    let renewed = members.iter().map(|&node| Membership::Renewed(node));
    renewed.chain([Membership::Voters(members.to_vec())]).collect()
}

impl Habit for Operator {
    fn next(&mut self, context: &mut Context<'_>, rng: &mut Rng) -> Next {
        let members = context.members;
        if context.history.healed.is_none() {
            return Next::Call(Op::Change(self.drawn(members, rng)));
        }
        let left = self.left.get_or_insert_with(|| restored(members));
        match left.last() {
            Some(next) => Next::Call(Op::Change(next.clone())),
            None => Next::Wait(Timestamp::MAX),
        }
    }

    fn ended(&mut self, context: &mut Context<'_>, rng: &mut Rng, call: &Call) -> Timestamp {
        if let Some(left) = &mut self.left
            && done(call).is_some()
            && left.last().is_some_and(|next| call.op == Op::Change(next.clone()))
        {
            left.pop();
        }
        context.now() + rng.span(CONTENT)
    }

    /// It is not before all vote.
    fn finish(&mut self) {}

    fn finished(&self) -> bool {
        self.left.as_ref().is_some_and(Vec::is_empty)
    }
}
