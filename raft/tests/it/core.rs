//! The core, as a crate that wraps it sees it: with its own answers and events.

use cluster::{Boot, Effect, Effects, Members, Node, Now, PersistCount, RequestId, WallTime};
use raft::{Error, Event, Identity, LogIndex, Message, Raft, Record, Settled, Term};

use crate::bed::plain;
use crate::journal::Journal;
use crate::table::n;

/// What the wrapper answers and emits; the core knows neither.
type Out = Effects<Message<u64>, Record<u64>, &'static str, char>;

struct Wrapper {
    core: Raft<Journal>,
    out: Out,
    now: Now,
}

impl Wrapper {
    fn new(nodes: usize) -> Self {
        let now = Now { monotonic: cluster::Timestamp::ZERO, wall: WallTime::from_nanos(0) };
        let members = Members::first(nodes).unwrap();
        let boot = Boot { id: n(1), members, now, seed: 3, records: Vec::new() };
        Self {
            core: Raft::boot_core(&plain().trusting_disks(), boot).unwrap(),
            out: Out::new(),
            now,
        }
    }

    /// Flushes, and lets the disk sync everything; returns what is sent.
    fn flush(&mut self) -> Vec<Message<u64>> {
        let mut sent = Vec::new();
        let mut synced = PersistCount(0);
        loop {
            self.core.flush_core(self.now, &mut self.out);
            for effect in self.out.drain() {
                match effect {
                    Effect::Send { message, .. } => sent.push(message),
                    Effect::Persist(_) | Effect::Forget { .. } => {}
                    Effect::Respond { .. } | Effect::Emit(_) => panic!("the core answers nobody"),
                }
            }
            if synced == self.out.persisted() {
                return sent;
            }
            synced = self.out.persisted();
            self.core.durable(self.now, synced, &mut self.out);
        }
    }

    fn tick(&mut self) -> Vec<Message<u64>> {
        self.now.monotonic = self.core.deadline().unwrap();
        self.core.tick(self.now, &mut self.out);
        self.flush()
    }
}

#[test]
fn commands_settle_in_order_with_their_requests() {
    let mut node = Wrapper::new(1);
    node.tick();
    assert_eq!(node.core.take_events(), [Event::ElectedLeader { term: Term::new(1) }]);
    let request = RequestId::new(4, 2);
    assert_eq!(node.core.propose(node.now, None, 10), Ok(LogIndex::new(2)));
    assert_eq!(node.core.propose(node.now, Some(request), 11), Ok(LogIndex::new(3)));
    assert_eq!(node.core.commit_index(), LogIndex::new(1), "nothing before the flush");
    node.core.read_index(node.now, RequestId::new(4, 3)).unwrap();
    node.flush();
    let settled = format!("{:?}", node.core.take_settled());
    let expected = "[Readable { request: r4.3 }, \
                    Applied { index: i2, request: None, output: 0 }, \
                    Applied { index: i3, request: Some(r4.2), output: 1 }]";
    assert_eq!(settled, expected);
    assert_eq!(node.core.machine().values, [10, 11]);
}

#[test]
fn one_flush_is_one_record_and_one_append_a_follower() {
    let mut node = Wrapper::new(3);
    node.tick();
    let vote = Message::Vote { term: Term::new(1), granted: true, by: Identity::default() };
    node.core.receive(node.now, n(2), vote, &mut node.out);
    node.flush();
    let matched = raft::Appended::Matched(LogIndex::new(1));
    for follower in [n(2), n(3)] {
        let message = Message::Appended {
            term: Term::new(1),
            round: raft::Round::ZERO,
            outcome: matched,
            by: Identity::default(),
        };
        node.core.receive(node.now, follower, message, &mut node.out);
    }
    node.flush();
    let before = node.out.persisted();
    for value in 0..100 {
        node.core.propose(node.now, None, value).unwrap();
    }
    let sent = node.flush();
    assert_eq!(node.out.persisted().0 - before.0, 1);
    assert_eq!(sent.len(), 2);
    for message in sent {
        let Message::Append(append) = message else { panic!("{message:?}") };
        assert_eq!(append.entries.len(), 100);
    }
}

#[test]
fn a_deposed_core_says_what_became_of_each_request() {
    let mut node = Wrapper::new(3);
    let refused = Err(Error::NotLeader { leader: None });
    assert_eq!(node.core.propose(node.now, None, 1), refused);
    node.tick();
    let vote = Message::Vote { term: Term::new(1), granted: true, by: Identity::default() };
    node.core.receive(node.now, n(2), vote, &mut node.out);
    let (write, read) = (RequestId::new(0, 1), RequestId::new(0, 2));
    node.core.propose(node.now, Some(write), 1).unwrap();
    node.core.read_index(node.now, read).unwrap();
    let later = Message::Vote { term: Term::new(2), granted: false, by: Identity::default() };
    node.core.receive(node.now, n(3), later, &mut node.out);
    node.flush();
    let settled: Vec<_> = node
        .core
        .take_settled()
        .into_iter()
        .map(|settled| match settled {
            Settled::Failed { request, error } => (request, error),
            settled => panic!("{settled:?}"),
        })
        .collect();
    assert_eq!(settled, [(write, Error::Deposed), (read, Error::NotLeader { leader: None })]);
    let term = Term::new(1);
    assert_eq!(
        node.core.take_events(),
        [Event::ElectedLeader { term }, Event::SteppedDown { term }]
    );
    // What it had not flushed is on its disk all the same: its log has no holes.
    assert_eq!(node.core.last_index(), LogIndex::new(2));
}

/// What a node says of itself is what it is.
#[test]
fn a_node_tells_how_it_is_doing() {
    let mut node = Wrapper::new(1);
    node.tick();
    node.core.propose(node.now, None, 5).unwrap();
    node.flush();
    let status = node.core.status();
    assert_eq!(
        (status.node, status.role, status.leader),
        (n(1), cluster::Role::Leader, Some(n(1)))
    );
    let (commit, applied, last) = (status.commit, status.applied, status.last);
    assert_eq!((status.term, status.snapshot), (Term::new(1), LogIndex::ZERO));
    assert_eq!([commit, applied, last], [LogIndex::new(2); 3]);
    assert_eq!((status.gauge("leaderships"), status.gauge("no such thing")), (1, 0));
}
