//! A client that changes who votes.

use std::ops::RangeInclusive;
use std::time::Duration;

use cluster::{NodeId, Rng, Timestamp};

use crate::history::Call;
use crate::vocabulary::Op;

use super::caller::done;
use super::{Context, Habit, Next};

/// How long it leaves a membership as it is.
const CONTENT: RangeInclusive<Duration> = Duration::from_millis(20)..=Duration::from_millis(500);

/// Takes one voter out at a time, or puts it in another's place, until everything is repaired; then it
/// sees to it that all vote again.
///
/// Never more than one is out: so many nodes as a majority of all and one more serve at any moment,
/// between two memberships too.
#[derive(Debug, Default)]
pub(crate) struct Operator {
    all_vote: bool,
}

/// Everybody, or everybody but one.
fn voters(members: &[NodeId], rng: &mut Rng) -> Vec<NodeId> {
    let mut voters = members.to_vec();
    if voters.len() > 1 && rng.chance(750_000) {
        voters.remove(rng.index(voters.len()));
    }
    voters
}

impl Habit for Operator {
    fn next(&mut self, context: &mut Context<'_>, rng: &mut Rng) -> Next {
        let repaired = context.history.healed.is_some();
        let all = context.members;
        Next::Call(Op::Vote { voters: if repaired { all.to_vec() } else { voters(all, rng) } })
    }

    fn ended(&mut self, context: &mut Context<'_>, rng: &mut Rng, call: &Call) -> Timestamp {
        let all = Op::Vote { voters: context.members.to_vec() };
        let repaired = context.history.healed.is_some_and(|healed| call.invoked >= healed);
        self.all_vote = repaired && call.op == all && done(call).is_some();
        context.now() + rng.span(CONTENT)
    }

    /// It is not before all vote.
    fn finish(&mut self) {}

    fn finished(&self) -> bool {
        self.all_vote
    }
}
