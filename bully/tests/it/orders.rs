//! Property tests: any order of anything.
//!
//! Here the network is an adversary: it holds every message ever sent, and delivers which it likes,
//! when it likes, as often as it likes. Clocks run at different rates. Failing cases shrink.

use std::collections::BTreeMap;

use bully::{Bully, Config, Message, Monitor, Record, Request, Round, View};
use cluster::{
    Boot, Effect, EffectsOf, Epoch, Input, Members, Node, NodeId, Now, PersistCount, RequestId,
    Timestamp, WallTime,
};
use proptest::prelude::*;

use crate::support::n;

/// What the adversary does next.
#[derive(Clone, Debug)]
enum Move {
    /// Lets every node that is up hear everything on its way that is younger than a millisecond,
    /// so that elections get anywhere at all.
    Calm,
    /// Delivers one of all messages ever sent; counted from the newest.
    Deliver(prop::sample::Index),
    /// Lets so many milliseconds of true time pass.
    Pass(u64),
    /// One node's disk finishes its work.
    Sync(usize),
    /// One node dies; so many of its unsynced records survive.
    Crash(usize, usize),
    /// One node boots.
    Boot(usize),
    /// One node is asked to resign.
    Resign(usize),
}

fn moves(nodes: usize) -> impl Strategy<Value = Move> {
    prop_oneof![
        6 => Just(Move::Calm),
        8 => any::<prop::sample::Index>().prop_map(Move::Deliver),
        5 => (1..120_u64).prop_map(Move::Pass),
        4 => (0..nodes).prop_map(Move::Sync),
        1 => ((0..nodes), 0..3_usize).prop_map(|(node, lucky)| Move::Crash(node, lucky)),
        2 => (0..nodes).prop_map(Move::Boot),
        1 => (0..nodes).prop_map(Move::Resign),
    ]
}

/// A host without a world: its disk, its clock, and what waits for the disk.
#[derive(Default)]
struct Host {
    node: Option<Bully>,
    out: EffectsOf<Bully>,
    disk: Vec<Record>,
    synced: usize,
    at_boot: usize,
    boots: u64,
    /// Sends that wait until so many records are durable.
    waiting: Vec<(usize, NodeId, Message)>,
    /// Local nanoseconds in a million of true ones.
    rate: u64,
}

struct Table {
    config: Config,
    members: Members,
    hosts: Vec<Host>,
    sent: Vec<(u64, NodeId, NodeId, Message)>,
    now_millis: u64,
    monitor: Monitor,
}

impl Table {
    fn new(config: Config, drifts: &[i64]) -> Self {
        let hosts = drifts
            .iter()
            .map(|drift| Host { rate: (1_000_000 + drift).unsigned_abs(), ..Host::default() })
            .collect();
        let members = Members::first(drifts.len()).unwrap();
        let (sent, monitor) = (Vec::new(), Monitor::new());
        let mut table = Self { config, members, hosts, sent, now_millis: 0, monitor };
        (0..drifts.len()).for_each(|host| table.boot(host));
        table
    }

    fn id(&self, host: usize) -> NodeId {
        self.members.as_slice()[host]
    }

    fn clock(&self, host: usize) -> Now {
        let Host { rate, boots, .. } = &self.hosts[host];
        let local = self.now_millis * rate + boots * 1_000_000_000;
        Now { monotonic: Timestamp::from_nanos(local), wall: WallTime::default() }
    }

    fn play(&mut self, step: &Move) {
        match step {
            Move::Calm => {
                for host in 0..self.hosts.len() {
                    self.sync(host);
                }
                let fresh: Vec<_> = self
                    .sent
                    .iter()
                    .filter(|(at, ..)| *at + 1 >= self.now_millis)
                    .copied()
                    .collect();
                for (_, from, to, body) in fresh {
                    self.deliver(from, to, body);
                }
            }
            Move::Deliver(index) if !self.sent.is_empty() => {
                // Mostly of late, now and then from long ago.
                let back = index.index(self.sent.len()).min(index.index(64));
                let (_, from, to, body) = self.sent[self.sent.len() - 1 - back];
                self.deliver(from, to, body);
            }
            Move::Deliver(_) => {}
            Move::Pass(millis) => {
                self.now_millis += millis;
                for host in 0..self.hosts.len() {
                    let due = self.hosts[host].node.as_ref().and_then(Node::deadline);
                    if due.is_some_and(|due| due <= self.clock(host).monotonic) {
                        self.handle(host, Input::Timer);
                    }
                }
            }
            Move::Sync(host) => self.sync(*host),
            Move::Crash(host, lucky) => {
                let host = &mut self.hosts[*host];
                if host.node.take().is_some() {
                    host.disk.truncate(host.synced + lucky);
                    host.synced = host.disk.len();
                    host.waiting.clear();
                }
            }
            Move::Boot(host) => self.boot(*host),
            Move::Resign(host) => {
                let body = Request::Resign;
                self.handle(*host, Input::Request { id: RequestId::new(0, 1), body });
            }
        }
    }

    fn boot(&mut self, index: usize) {
        let (id, members) = (self.id(index), self.members.clone());
        if self.hosts[index].node.is_some() {
            return;
        }
        self.hosts[index].boots += 1;
        let now = self.clock(index);
        let host = &mut self.hosts[index];
        host.out = EffectsOf::<Bully>::new();
        host.at_boot = host.disk.len();
        let seed = host.boots * 1_000 + u64::from(id.get());
        let boot = Boot { id, members, now, seed, records: host.disk.clone() };
        host.node = Some(Bully::boot(&self.config, boot, &mut host.out).unwrap());
        self.handle(index, Input::Timer);
    }

    fn deliver(&mut self, from: NodeId, to: NodeId, body: Message) {
        let host = self.members.index_of(to).unwrap();
        self.handle(host, Input::Message { from, body });
    }

    fn sync(&mut self, index: usize) {
        let host = &mut self.hosts[index];
        if host.node.is_none() || host.synced == host.disk.len() {
            return;
        }
        host.synced = host.disk.len();
        let durable = PersistCount((host.synced - host.at_boot) as u64);
        let id = self.members.as_slice()[index];
        for (_, to, message) in host.waiting.drain(..) {
            self.sent.push((self.now_millis, id, to, message));
        }
        self.handle(index, Input::Durable(durable));
    }

    fn handle(&mut self, index: usize, input: Input<Message, Request>) {
        let (now, id) = (self.clock(index), self.id(index));
        let host = &mut self.hosts[index];
        let Some(node) = &mut host.node else { return };
        node.handle(now, input, &mut host.out);
        node.flush(now, &mut host.out);
        for effect in host.out.drain() {
            match effect {
                Effect::Persist(record) => host.disk.push(record),
                Effect::Send { to, message, .. } if host.synced == host.disk.len() => {
                    self.sent.push((self.now_millis, id, to, message));
                }
                Effect::Send { to, message, .. } => {
                    host.waiting.push((host.disk.len(), to, message));
                }
                Effect::Respond { .. } | Effect::Emit(_) | Effect::Forget { .. } => {}
            }
        }
    }

    fn look(&mut self) -> Result<(), TestCaseError> {
        let mut monitor = std::mem::take(&mut self.monitor);
        let nodes = (0..self.hosts.len()).filter_map(|host| {
            Some((self.id(host), self.hosts[host].node.as_ref()?, self.clock(host)))
        });
        let verdict = monitor.observe(nodes);
        self.monitor = monitor;
        verdict.map_err(|violation| TestCaseError::fail(violation.to_string()))
    }
}

fn drifts(nodes: usize) -> impl Strategy<Value = Vec<i64>> {
    prop::collection::vec(prop_oneof![Just(0), Just(-100_000), Just(100_000)], nodes)
}

fn any_message() -> impl Strategy<Value = Message> {
    let epoch = || prop_oneof![0..6_u64, any::<u64>()].prop_map(Epoch::new);
    let round = || any::<u64>().prop_map(Round::new);
    let view = prop_oneof![
        Just(View::Free),
        Just(View::Prefers),
        Just(View::Booted),
        (0..9_u32, epoch()).prop_map(|(to, epoch)| View::Bound { to: n(to), epoch }),
        epoch().prop_map(|epoch| View::Leads { epoch }),
    ];
    (0..12, epoch(), round(), view, prop::option::of(epoch()), prop::option::of(0..9_u32)).prop_map(
        |(kind, epoch, round, view, released, successor)| match kind {
            0 => Message::Election { epoch, round },
            1 => Message::Answer { epoch, round },
            2 => Message::Coordinator { epoch, round },
            3 => Message::Heartbeat { epoch, round },
            4 => Message::Ack { epoch, round },
            5 => Message::Refuse { epoch, round },
            6 => Message::Canvass { epoch, round },
            7 => Message::Canvassed { epoch, round, view },
            8 => Message::Challenge { epoch, round },
            9 => Message::Ballot { epoch, round, released },
            10 => Message::Grant { epoch, round },
            _ => Message::Release { epoch, successor: successor.map(n) },
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// Election safety and no split brain, whatever order messages, disks, crashes and clocks take.
    #[test]
    fn no_order_of_messages_breaks_a_promise(
        (drifts, steps) in prop_oneof![Just(3), Just(5)].prop_flat_map(|nodes| {
            (drifts(nodes), prop::collection::vec(moves(nodes), 1..400))
        }),
    ) {
        let mut table = Table::new(Config::default(), &drifts);
        for step in &steps {
            table.play(step);
            table.look()?;
        }
    }

    /// Forged words may stop an election, but they neither crash a node nor take back a promise.
    #[test]
    fn no_word_makes_a_node_panic_or_go_back(
        guarded in any::<bool>(),
        id in 1..=4_u32,
        words in prop::collection::vec((0..6_u32, any_message(), 0..200_u64), 1..80),
    ) {
        let config = if guarded { Config::default() } else { Config::textbook() };
        let mut table = Table::new(config, &[0; 4]);
        let host = id as usize - 1;
        let mut promised = BTreeMap::new();
        for (from, body, millis) in words {
            table.play(&Move::Pass(millis));
            table.handle(host, Input::Message { from: n(from), body });
            table.sync(host);
            let node = table.hosts[host].node.as_ref().unwrap();
            let now = table.clock(host);
            let next = node.deadline().expect("a node always has something to wait for");
            prop_assert!(next > now.monotonic, "it would be called for ever");
            let before = promised.insert(id, node.promised()).unwrap_or(Epoch::ZERO);
            prop_assert!(node.promised() >= before);
        }
        // What it wrote is something that it can boot from.
        table.play(&Move::Crash(host, 0));
        table.play(&Move::Boot(host));
    }
}

/// The adversary above is no straw man: elections do get somewhere under it.
#[test]
fn the_table_elects_leaders() {
    let mut table = Table::new(Config::default(), &[0; 3]);
    for _ in 0..200 {
        table.play(&Move::Calm);
        table.play(&Move::Pass(1));
        table.look().unwrap();
    }
    let highest = table.hosts[2].node.as_ref().unwrap();
    assert!(highest.reigns().is_some());
}
