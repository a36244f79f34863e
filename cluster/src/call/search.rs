//! Whom to ask next, and when nobody any more.

use std::time::{Duration, Instant};

use crate::NodeId;

/// How long to rest, when nobody knows who serves, before asking around again; doubled each time.
const REST_MIN: Duration = Duration::from_millis(2);
/// The longest rest.
const REST_MAX: Duration = Duration::from_millis(32);
/// The least time for an answer. To ask with less would turn a request of which it is known that nothing
/// was done into one of which nothing is known.
const LEAST: Duration = Duration::from_millis(5);

/// The way of one request from node to node: whom to ask next, and when nobody any more.
#[derive(Clone, Debug)]
pub struct Search {
    node: NodeId,
    /// How often it may follow a hint before it rests: nodes that believe in each other would send it to
    /// and fro as fast as it can run.
    hops_left: usize,
    rest: Duration,
    deadline: Instant,
}

impl Search {
    /// Begins at `first`, one of `members`; by `deadline` there must be an answer.
    pub fn new(members: &[NodeId], first: NodeId, deadline: Instant) -> Self {
        Self { node: first, hops_left: members.len(), rest: REST_MIN, deadline }
    }

    /// Whom to ask.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// The node does not serve it: follows its hint, if it gave one, and otherwise goes on to the next of
    /// `members`. Returns when to ask; none if there is no time left for an answer.
    pub fn turned_away(
        &mut self,
        members: &[NodeId],
        hint: Option<NodeId>,
        now: Instant,
    ) -> Option<Instant> {
        let known = hint.filter(|&to| to != self.node);
        self.node = known.unwrap_or_else(|| following(members, self.node));
        let at = if known.is_some() && self.hops_left > 0 {
            self.hops_left -= 1;
            now
        } else {
            self.hops_left = members.len();
            let rest = self.rest;
            self.rest = REST_MAX.min(2 * rest);
            now + rest
        };
        (at + LEAST < self.deadline).then_some(at)
    }

    /// The node is silent: goes on to the next of `members`, at once.
    pub fn pass_over(&mut self, members: &[NodeId]) {
        self.node = following(members, self.node);
        self.hops_left = members.len();
    }
}

/// The member after `node`, going round.
fn following(members: &[NodeId], node: NodeId) -> NodeId {
    let next = members.partition_point(|&member| member <= node);
    members[next % members.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMBERS: [NodeId; 3] = [NodeId::new(1), NodeId::new(2), NodeId::new(5)];

    fn search(span: Duration) -> (Search, Instant) {
        let now = Instant::now();
        (Search::new(&MEMBERS, MEMBERS[0], now + span), now)
    }

    #[track_caller]
    fn check(search: &mut Search, hint: Option<u32>, now: Instant, node: u32, rest: Option<u64>) {
        let at = search.turned_away(&MEMBERS, hint.map(NodeId::new), now);
        assert_eq!(at, rest.map(|millis| now + Duration::from_millis(millis)));
        assert_eq!(search.node(), NodeId::new(node));
    }

    /// Longer and longer, lest nodes that have no leader yet are kept from electing one.
    #[test]
    fn whoever_is_given_no_hint_goes_round_and_rests() {
        let (mut search, now) = search(Duration::from_secs(9));
        for (node, rest) in [(2, 2), (5, 4), (1, 8), (2, 16), (5, 32), (1, 32)] {
            check(&mut search, None, now, node, Some(rest));
        }
    }

    #[test]
    fn a_hint_is_followed_at_once_but_not_for_ever() {
        let (mut search, now) = search(Duration::from_secs(9));
        for turn in 0..2 {
            for (node, rest) in [(5, 0), (1, 0), (5, 0), (1, 2 << turn)] {
                check(&mut search, Some(node), now, node, Some(rest));
            }
        }
        // Who names itself and does not serve gives no hint.
        check(&mut search, Some(1), now, 2, Some(8));
    }

    #[test]
    fn whoever_is_silent_is_passed_over() {
        let (mut search, now) = search(Duration::from_secs(9));
        search.pass_over(&MEMBERS);
        assert_eq!(search.node(), MEMBERS[1]);
        check(&mut search, Some(5), now, 5, Some(0));
    }

    #[test]
    fn it_ends_before_there_is_no_time_for_an_answer() {
        let (mut search, now) = search(LEAST + Duration::from_millis(6));
        check(&mut search, None, now, 2, Some(2));
        check(&mut search, None, now + Duration::from_millis(2), 5, None);
    }
}
