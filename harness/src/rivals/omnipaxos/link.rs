//! Sessions over datagrams: what a pair of nodes says arrives in order, once, or the session ends
//! and both are told.
//!
//! Each end has a number, drawn afresh whenever it gives a session up. An end that knows nobody says
//! `Hello` with its number; who hears it takes that for the other end's number, and answers
//! `Welcome` with both. A session is a pair of numbers, and every packet of it carries both, so that
//! nothing from another session can be taken for part of this one, however late it arrives.
//!
//! ```text
//!   a1                          b1
//!    │── Hello a1 ─────────────▶│   the session (a1, b1) begins at b1
//!    │◀──────── Welcome b1→a1 ──│   and at a1
//!    │── Data a1→b1 #0 #1 ─────▶│
//!    │◀──────── Data b1→a1 #0 ──│   with the acknowledgement of #0 #1
//! ```
//!
//! What is not acknowledged is sent again. An end that heard no acknowledgement for long gives up,
//! with all that it still held, and becomes a2; its `Hello` ends the session at b1 as well. So does
//! the `Hello` of an end that has forgotten everything.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use cluster::{NodeId, Rng, Timestamp};

/// After how long what was not acknowledged is sent again.
const RESEND: Duration = Duration::from_millis(20);
/// After how long without an acknowledgement a session is given up.
const PATIENCE: Duration = Duration::from_secs(1);

/// The number of one end of a session.
type End = u64;

/// A datagram.
#[derive(Clone, Debug)]
pub enum Packet<L> {
    /// The sender knows of no session. Answered by [`Packet::Welcome`].
    Hello {
        /// The sender's end.
        from: End,
    },
    /// The sender knows of this session.
    Welcome {
        /// The sender's end.
        from: End,
        /// The receiver's end.
        to: End,
    },
    /// Some letters of a session. Answered by an acknowledgement, alone or with letters.
    Data {
        /// The sender's end.
        from: End,
        /// The receiver's end.
        to: End,
        /// The number of the first of these letters.
        first: u64,
        /// What is said; nothing in an acknowledgement alone.
        letters: Vec<Arc<L>>,
        /// The number of the first letter of the other direction that has not arrived.
        next: u64,
    },
    /// "I am not, or no longer, that end." Answered by nothing.
    Stranger {
        /// Which end it is not.
        to: End,
    },
}

/// What comes of a packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Arrival<L> {
    /// A letter, in order.
    Letter(L),
    /// A session has ended and a new one has begun: letters of either direction may be lost. All
    /// that arrives from now on was said in the new one.
    Reconnected,
}

/// All links of one node.
pub struct Links<L> {
    rng: Rng,
    links: BTreeMap<NodeId, Link<L>>,
    /// To be sent with the next flush.
    replies: Vec<(NodeId, Packet<L>)>,
}

/// One end of a session, or of none.
struct Link<L> {
    /// This end.
    me: End,
    /// The other end, once it is known.
    you: Option<End>,
    /// Ends whom a later one has replaced as the other end of this one: they are over.
    replaced: BTreeSet<End>,
    /// Every other end that was ever known. None of them says hello again.
    known: BTreeSet<End>,
    /// Whether a session has ended, or letters were given up, since the last one began.
    broken: bool,
    out: Outgoing<L>,
    incoming: Incoming<L>,
    /// When to say hello again, or to send again what is not acknowledged.
    again_at: Timestamp,
    /// When the other end was last heard to listen, or this one began to call.
    heard_at: Timestamp,
}

/// What is said.
///
/// Invariant: `sent <= queue.len()`; nothing is sent outside of a session.
struct Outgoing<L> {
    /// The number of the first letter in `queue`: all before it are acknowledged.
    base: u64,
    queue: VecDeque<Arc<L>>,
    sent: usize,
}

/// What is heard.
struct Incoming<L> {
    next: u64,
    /// What has overtaken others.
    early: BTreeMap<u64, Arc<L>>,
    owes_ack: bool,
}

impl<L> Outgoing<L> {
    fn new() -> Self {
        Self { base: 0, queue: VecDeque::new(), sent: 0 }
    }

    /// Whether it brought anything new.
    fn acknowledged(&mut self, next: u64) -> bool {
        let count = next.checked_sub(self.base).and_then(|count| usize::try_from(count).ok());
        let Some(count) = count.filter(|&count| 0 < count && count <= self.sent) else {
            return false;
        };
        self.queue.drain(..count);
        self.sent -= count;
        self.base = next;
        true
    }
}

impl<L> Incoming<L> {
    fn new() -> Self {
        Self { next: 0, early: BTreeMap::new(), owes_ack: false }
    }
}

impl<L: Clone> Incoming<L> {
    fn take(&mut self, first: u64, letters: Vec<Arc<L>>, arrivals: &mut Vec<Arrival<L>>) {
        self.owes_ack |= !letters.is_empty();
        for (number, letter) in (first..).zip(letters) {
            if number >= self.next {
                self.early.entry(number).or_insert(letter);
            }
        }
        while let Some(letter) = self.early.remove(&self.next) {
            self.next += 1;
            arrivals.push(Arrival::Letter(Arc::unwrap_or_clone(letter)));
        }
    }
}

impl<L> Link<L> {
    fn new(now: Timestamp, rng: &mut Rng) -> Self {
        Self {
            me: rng.next(),
            you: None,
            replaced: BTreeSet::new(),
            known: BTreeSet::new(),
            broken: false,
            out: Outgoing::new(),
            incoming: Incoming::new(),
            again_at: now,
            heard_at: now,
        }
    }

    /// The session is over, and what was still on its way in it is lost.
    fn end(&mut self) {
        self.broken |= self.you.is_some() || !self.out.queue.is_empty();
        self.out = Outgoing::new();
        self.incoming = Incoming::new();
    }

    /// This end gives up, and becomes another.
    fn give_up(&mut self, now: Timestamp, rng: &mut Rng) {
        self.end();
        self.me = rng.next();
        self.you = None;
        self.replaced.clear();
        self.again_at = now;
        self.heard_at = now;
    }

    /// The other end is `you`. Whatever session there was with another one is over.
    fn meet(&mut self, now: Timestamp, you: End, arrivals: &mut Vec<Arrival<L>>) {
        if self.you == Some(you) {
            return;
        }
        if let Some(other) = self.you {
            self.end();
            self.replaced.insert(other);
        }
        self.you = Some(you);
        self.known.insert(you);
        self.heard_at = now;
        if std::mem::take(&mut self.broken) {
            arrivals.push(Arrival::Reconnected);
        }
    }

    /// Whether a packet that names `to` as this end, and `from` as the other, is part of the session,
    /// or the first sign of one.
    fn is_mine(&self, from: End, to: End) -> bool {
        to == self.me && !self.replaced.contains(&from)
    }

    /// Whether it waits for the other end.
    fn waits(&self) -> bool {
        self.you.is_none() || self.out.sent > 0
    }

    /// What is to be said by now, if anything.
    fn packet(&mut self, now: Timestamp) -> Option<Packet<L>> {
        let from = self.me;
        let Some(to) = self.you else {
            return (now >= self.again_at).then(|| {
                self.again_at = now + RESEND;
                Packet::Hello { from }
            });
        };
        let out = &mut self.out;
        let again = out.sent > 0 && now >= self.again_at;
        if !again && out.sent == out.queue.len() && !self.incoming.owes_ack {
            return None;
        }
        if out.sent == 0 {
            // Nobody could have been heard to listen while nothing was said.
            self.heard_at = now;
        }
        let skip = if again { 0 } else { out.sent };
        if skip == 0 {
            self.again_at = now + RESEND;
        }
        out.sent = out.queue.len();
        self.incoming.owes_ack = false;
        let letters = out.queue.range(skip..).cloned().collect();
        let first = out.base + skip as u64;
        Some(Packet::Data { from, to, first, letters, next: self.incoming.next })
    }
}

impl<L: Clone> Links<L> {
    /// Links to `peers`, none of them open yet.
    pub fn new(now: Timestamp, peers: impl Iterator<Item = NodeId>, mut rng: Rng) -> Self {
        let links = peers.map(|peer| (peer, Link::new(now, &mut rng))).collect();
        Self { rng, links, replies: Vec::new() }
    }

    /// Says `letter` to `peer`, with the next flush. To a stranger, it is dropped.
    pub fn post(&mut self, peer: NodeId, letter: L) {
        if let Some(link) = self.links.get_mut(&peer) {
            link.out.queue.push_back(Arc::new(letter));
        }
    }

    /// Takes a packet, and returns what comes of it. From a stranger: nothing.
    pub fn receive(&mut self, now: Timestamp, peer: NodeId, packet: Packet<L>) -> Vec<Arrival<L>> {
        let mut arrivals = Vec::new();
        let Some(link) = self.links.get_mut(&peer) else { return arrivals };
        match packet {
            Packet::Hello { from } => {
                if link.you == Some(from) || !link.known.contains(&from) {
                    link.meet(now, from, &mut arrivals);
                    self.replies.push((peer, Packet::Welcome { from: link.me, to: from }));
                }
            }
            Packet::Welcome { from, to } => {
                if link.is_mine(from, to) {
                    link.meet(now, from, &mut arrivals);
                }
            }
            Packet::Data { from, to, first, letters, next } => {
                if link.is_mine(from, to) {
                    link.meet(now, from, &mut arrivals);
                    link.incoming.take(first, letters, &mut arrivals);
                    if link.out.acknowledged(next) {
                        link.heard_at = now;
                        link.again_at = now + RESEND;
                    }
                } else if to != link.me {
                    self.replies.push((peer, Packet::Stranger { to }));
                }
            }
            Packet::Stranger { to } => {
                if link.you == Some(to) {
                    link.give_up(now, &mut self.rng);
                }
            }
        }
        arrivals
    }

    /// Sends what is to be sent by now.
    pub fn flush(&mut self, now: Timestamp, mut send: impl FnMut(NodeId, Packet<L>)) {
        for (peer, reply) in self.replies.drain(..) {
            send(peer, reply);
        }
        for (&peer, link) in &mut self.links {
            if link.waits() && now >= link.heard_at + PATIENCE && now >= link.again_at {
                link.give_up(now, &mut self.rng);
            }
            if let Some(packet) = link.packet(now) {
                send(peer, packet);
            }
        }
    }

    /// When to flush next, if nothing arrives before.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.links.values().filter(|link| link.waits()).map(|link| link.again_at).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: NodeId = NodeId::new(1);
    const TWO: NodeId = NodeId::new(2);

    /// Two ends and what is on its way between them.
    struct Wire {
        now: Timestamp,
        ends: [Links<u32>; 2],
        /// When, to which end, what.
        under_way: Vec<(Timestamp, usize, Packet<u32>)>,
        heard: [Vec<Arrival<u32>>; 2],
        rng: Rng,
        loss_ppm: u32,
    }

    impl Wire {
        fn new(seed: u64, loss_ppm: u32) -> Self {
            let mut rng = Rng::from_seed(seed);
            let now = Timestamp::from_millis(1);
            let ends = [
                Links::new(now, std::iter::once(TWO), rng.fork(1)),
                Links::new(now, std::iter::once(ONE), rng.fork(2)),
            ];
            Self { now, ends, under_way: vec![], heard: [vec![], vec![]], rng, loss_ppm }
        }

        /// Lets a millisecond pass.
        fn step(&mut self) {
            self.now += Duration::from_millis(1);
            let now = self.now;
            let (due, later) = std::mem::take(&mut self.under_way)
                .into_iter()
                .partition::<Vec<_>, _>(|(at, _, _)| *at <= now);
            self.under_way = later;
            for (_, to, packet) in due {
                let from = [ONE, TWO][1 - to];
                let arrivals = self.ends[to].receive(now, from, packet);
                self.heard[to].extend(arrivals);
            }
            for from in [0, 1] {
                let (rng, under_way) = (&mut self.rng, &mut self.under_way);
                let loss_ppm = self.loss_ppm;
                self.ends[from].flush(now, |_, packet| {
                    for _ in 0..=rng.below(2) {
                        if !rng.chance(loss_ppm) {
                            let delay = Duration::from_millis(rng.within(0..=30));
                            under_way.push((now + delay, 1 - from, packet.clone()));
                        }
                    }
                });
            }
        }

        fn letters(&self, end: usize) -> Vec<u32> {
            let letter = |arrival: &Arrival<u32>| match arrival {
                Arrival::Letter(letter) => Some(*letter),
                Arrival::Reconnected => None,
            };
            self.heard[end].iter().filter_map(letter).collect()
        }
    }

    #[test]
    fn letters_arrive_once_and_in_order_over_a_bad_wire() {
        for seed in 0..50 {
            let mut wire = Wire::new(seed, 200_000);
            for number in 0..200 {
                wire.ends[0].post(TWO, number);
                wire.ends[1].post(ONE, number + 1_000);
                wire.step();
            }
            for _ in 0..2_000 {
                wire.step();
            }
            assert_eq!(wire.letters(1), Vec::from_iter(0..200), "seed {seed}");
            assert_eq!(wire.letters(0), Vec::from_iter(1_000..1_200), "seed {seed}");
            assert!(!wire.heard[0].contains(&Arrival::Reconnected), "seed {seed}");
        }
    }

    #[test]
    fn an_end_that_forgets_ends_the_session_and_both_are_told() {
        for seed in 0..50 {
            let mut wire = Wire::new(seed, 100_000);
            for number in 0..100 {
                wire.ends[0].post(TWO, number);
                wire.ends[1].post(ONE, number);
                wire.step();
            }
            // The second end dies and comes back, with packets of its earlier life under way.
            let rng = wire.rng.fork(3);
            wire.ends[1] = Links::new(wire.now, std::iter::once(ONE), rng);
            wire.heard = [vec![], vec![]];
            for _ in 0..200 {
                wire.step();
            }
            assert!(wire.heard[0].contains(&Arrival::Reconnected), "seed {seed}");
            let before = wire.letters(1).len();
            wire.ends[0].post(TWO, 777);
            for _ in 0..500 {
                wire.step();
            }
            let after = wire.letters(1);
            assert_eq!(after[before..], [777], "seed {seed}: {after:?}");
            // Nothing that was said to the earlier life comes back.
            assert!(after.is_sorted(), "seed {seed}: {after:?}");
        }
    }

    /// However an end forgets, and whatever is still under way from its earlier lives, the two find
    /// each other and stay together.
    #[test]
    fn ends_that_forget_over_and_over_find_each_other() {
        for seed in 0..50 {
            let mut wire = Wire::new(seed, 300_000);
            for turn in 0..20 {
                let (place, peer) = [(0, TWO), (1, ONE)][wire.rng.index(2)];
                let rng = wire.rng.fork(turn);
                wire.ends[place] = Links::new(wire.now, std::iter::once(peer), rng);
                for _ in 0..wire.rng.below(60) {
                    wire.ends[0].post(TWO, 0);
                    wire.ends[1].post(ONE, 0);
                    wire.step();
                }
            }
            for _ in 0..500 {
                wire.step();
            }
            wire.heard = [vec![], vec![]];
            for number in 0..100 {
                wire.ends[0].post(TWO, number);
                wire.ends[1].post(ONE, number);
                wire.step();
            }
            for _ in 0..2_000 {
                wire.step();
            }
            let all = Vec::from_iter((0..100).map(Arrival::Letter));
            assert_eq!(wire.heard, [all.clone(), all], "seed {seed}");
        }
    }

    #[test]
    fn a_stream_that_nobody_hears_is_given_up_and_its_letters_with_it() {
        let mut wire = Wire::new(7, 0);
        for _ in 0..100 {
            wire.step();
        }
        wire.loss_ppm = 1_000_000;
        for number in 0..3_000 {
            wire.ends[0].post(TWO, number);
            wire.step();
        }
        wire.loss_ppm = 0;
        for _ in 0..200 {
            wire.step();
        }
        assert!(wire.heard[0].contains(&Arrival::Reconnected));
        assert!(wire.heard[1].contains(&Arrival::Reconnected));
        let letters = wire.letters(1);
        assert!(letters.len() < 2_000 && letters.is_sorted(), "{} letters", letters.len());
    }
}
