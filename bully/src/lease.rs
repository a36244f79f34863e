//! The leader's side of the guard: for how long it may act on what others have told it.

use std::collections::VecDeque;
use std::time::Duration;

use cluster::{Members, NodeId, Timestamp};

use crate::message::Round;
use crate::mutants::{Mutant, Planted};

/// A right to act that ends by itself.
///
/// ```text
///   leader   sends #7 ───────────── lease ───────────▶|  ends
///                 \                                      (leader's clock, shortened by drift)
///   voter          ▼ hears #7 ─────── bound ─────────────▶|  may vote for another
/// ```
/// A voter is bound from the moment it hears a round, the leader's right counts from the moment it
/// sent it, and the span is shortened by the drift that clocks may have: so the right ends first.
/// With a majority's word for a round, no other node can have one: two majorities share a voter.
///
/// Invariant: `rounds` ascends in both fields.
#[derive(Clone, Debug)]
pub(crate) struct Lease {
    span: Duration,
    own: usize,
    /// How many others make a majority together with this node.
    others_needed: usize,
    /// What was sent within the last span, and when.
    rounds: VecDeque<(Round, Timestamp)>,
    /// For each member, when the latest round was sent that it gave its word for.
    supports: Vec<Option<Timestamp>>,
    /// When the right to act ends, as `supports` say: asked far more often than they change.
    until: Option<Timestamp>,
    planted: Planted,
}

impl Lease {
    /// The lease of `own` before anyone has given it a word; `span` is how long a word is good for.
    pub(crate) fn new(own: NodeId, members: &Members, span: Duration, planted: Planted) -> Self {
        let others_needed = members.majority() - 1;
        Self {
            span,
            own: members.index_of(own).expect("a node is a member of its cluster"),
            others_needed,
            rounds: VecDeque::new(),
            supports: vec![None; members.count()],
            until: (others_needed == 0).then_some(Timestamp::MAX),
            planted,
        }
    }

    /// What was sent within the last span, and when.
    pub(crate) fn rounds(&self) -> &VecDeque<(Round, Timestamp)> {
        &self.rounds
    }

    /// For each member, when the latest round was sent that it gave its word for.
    pub(crate) fn supports(&self) -> &[Option<Timestamp>] {
        &self.supports
    }

    /// Notes that `round` goes out at `now`, at the earliest.
    pub(crate) fn sent(&mut self, round: Round, now: Timestamp) {
        while self.rounds.front().is_some_and(|&(_, at)| at + self.span <= now) {
            self.rounds.pop_front();
        }
        self.rounds.push_back((round, now));
    }

    /// Whether `round` was sent, recently enough to matter.
    pub(crate) fn knows(&self, round: Round) -> bool {
        self.sent_at(round).is_some()
    }

    /// Notes that member number `voter` gives its word for `round`. False, and nothing noted, if
    /// that round was never sent or is too old to matter.
    pub(crate) fn support(&mut self, voter: usize, round: Round, now: Timestamp) -> bool {
        let mut sent_at = self.sent_at(round);
        if self.planted.is(Mutant::StaleAckCounts) {
            sent_at = self.rounds.back().map(|&(_, at)| at);
        }
        if self.planted.is(Mutant::LeaseFromReply) {
            sent_at = sent_at.map(|_| now);
        }
        let Some(sent_at) = sent_at else { return false };
        let support = &mut self.supports[voter];
        if *support < Some(sent_at) {
            *support = Some(sent_at);
            self.until = self.majority_word();
        }
        true
    }

    /// Whether member number `voter` gave its word for a round sent within the last span.
    pub(crate) fn is_backed_by(&self, voter: usize, now: Timestamp) -> bool {
        self.supports[voter].is_some_and(|at| at + self.span > now)
    }

    /// When the right to act ends; none if a majority has never given its word.
    pub(crate) fn until(&self) -> Option<Timestamp> {
        self.until
    }

    fn majority_word(&self) -> Option<Timestamp> {
        if self.others_needed == 0 {
            return Some(Timestamp::MAX);
        }
        let mut others: Vec<Timestamp> = self
            .supports
            .iter()
            .enumerate()
            .filter_map(|(index, at)| at.filter(|_| index != self.own))
            .collect();
        // The majority's word is as old as its oldest part, if the newest words make it up.
        others.sort_unstable_by(|a, b| b.cmp(a));
        others.get(self.others_needed - 1).map(|&at| at + self.span)
    }

    /// Whether the right to act holds at `now`.
    pub(crate) fn is_valid(&self, now: Timestamp) -> bool {
        self.until().is_some_and(|until| until > now)
    }

    fn sent_at(&self, round: Round) -> Option<Timestamp> {
        let place = self.rounds.binary_search_by_key(&round, |&(sent, _)| sent).ok()?;
        Some(self.rounds[place].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Duration = Duration::from_millis(100);

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn lease(members: usize) -> Lease {
        let members = Members::first(members).unwrap();
        Lease::new(NodeId::new(1), &members, SPAN, Planted::default())
    }

    #[test]
    fn counts_from_the_sending_of_the_oldest_round_that_makes_a_majority() {
        let mut lease = lease(5);
        lease.sent(Round::new(7), at(10));
        lease.sent(Round::new(8), at(30));
        lease.sent(Round::new(9), at(50));
        assert!(lease.support(1, Round::new(9), at(60)));
        assert_eq!(lease.until(), None);
        assert!(lease.support(2, Round::new(7), at(60)));
        assert_eq!(lease.until(), Some(at(110)));
        assert!(lease.support(3, Round::new(8), at(60)));
        assert_eq!(lease.until(), Some(at(130)));
        assert!(lease.is_valid(at(129)) && !lease.is_valid(at(130)));
    }

    #[test]
    fn words_for_rounds_unknown_doubled_or_overtaken_change_nothing() {
        let mut lease = lease(3);
        lease.sent(Round::new(7), at(10));
        lease.sent(Round::new(8), at(30));
        assert!(!lease.support(1, Round::new(6), at(40)));
        assert!(!lease.support(1, Round::new(99), at(40)));
        assert_eq!(lease.until(), None);
        lease.support(1, Round::new(8), at(40));
        lease.support(1, Round::new(8), at(90));
        lease.support(1, Round::new(7), at(90));
        assert_eq!(lease.until(), Some(at(130)));
        // Its own word is never counted twice.
        lease.support(0, Round::new(8), at(40));
        assert_eq!(lease.until(), Some(at(130)));
    }

    #[test]
    fn forgets_rounds_that_can_no_longer_matter() {
        let mut lease = lease(3);
        for count in 0..10_000 {
            lease.sent(Round::new(count), at(count));
        }
        assert!(lease.rounds.len() <= 101);
        assert!(!lease.knows(Round::new(0)));
    }

    #[test]
    fn a_cluster_of_one_needs_nobody() {
        assert!(lease(1).is_valid(at(1_000_000)));
    }
}
