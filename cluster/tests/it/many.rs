//! Many groups in one node: each sees what it would see alone, and what they share costs once.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use cluster::many::{Bundle, Config, GroupId, GroupPort, Many, NoSuchGroup, Record, Tagged};
use cluster::sim::{Options, Sim};
use cluster::threads::{self, Threads};
use cluster::{
    Boot, Cluster, Completion, DiskFault, EffectsOf, Fault, Input, NoAnswer, Node, NodeId, Port,
    ReplyTo, Sink, Timestamp, WallTime,
};

use crate::scribe::{self, Answer, Ask, News, Note, Scribe, members, n};

pub(crate) type Groups = Many<Scribe>;

const MILLI: Duration = Duration::from_millis(1);

pub(crate) fn g(number: u32) -> GroupId {
    GroupId::new(number)
}

pub(crate) fn to<T>(group: u32, body: T) -> Tagged<T> {
    Tagged { group: g(group), body }
}

pub(crate) fn config(groups: u32) -> Config<scribe::Config> {
    Config::new(GroupId::first(groups).map(|group| (group, scribe::Config::default())))
}

/// Requests that are asked at one moment arrive at one moment.
pub(crate) fn options(seed: u64) -> Options {
    Options { client_latency: Duration::ZERO..=Duration::ZERO, ..Options::seeded(seed) }
}

fn sim(nodes: usize, groups: u32, seed: u64) -> Sim<Groups> {
    Sim::new(config(groups), members(nodes), options(seed)).expect("valid")
}

fn pass(sim: &mut Sim<Groups>, millis: u32) -> Vec<Completion<Result<Answer, NoSuchGroup>>> {
    let until = sim.now() + millis * MILLI;
    std::iter::from_fn(|| sim.poll(until)).collect()
}

#[track_caller]
pub(crate) fn scribe(sim: &Sim<Groups>, node: u32, group: u32) -> &Scribe {
    sim.node(n(node)).expect("it is up").group(g(group)).expect("it is configured")
}

/// The scribe itself refuses counts that are not its own: that go back, or beyond what it wrote.
#[test]
fn each_group_is_told_of_its_own_records() {
    for seed in 0..50 {
        let mut sim = sim(2, 5, seed);
        for round in 0..20 {
            for group in 1..=5 {
                for value in 0..u64::from(group) {
                    sim.submit(n(1), to(group, Ask::Append(100 * round + value)));
                }
            }
            let answers = pass(&mut sim, if round % 3 == 0 { 0 } else { 3 });
            assert!(answers.iter().all(|it| it.outcome == Ok(Ok(Answer::Done))));
        }
        pass(&mut sim, 10);
        for group in 1..=5 {
            let scribe = scribe(&sim, 1, group);
            assert_eq!(scribe.written.len(), 20 * group as usize);
            assert_eq!(scribe.durable.0, 20 * u64::from(group), "of all that it wrote");
        }
    }
}

#[test]
fn messages_of_many_groups_leave_as_one() {
    let mut sim = sim(3, 100, 1);
    let (before, _) = sim.messages();
    for group in 1..=100 {
        for to_node in [2, 3] {
            sim.submit(n(1), to(group, Ask::Flood { to: n(to_node), count: 3 }));
        }
    }
    assert_eq!(pass(&mut sim, 20).len(), 200);
    assert_eq!(sim.messages().0 - before, 2, "one to each peer");
    for group in 1..=100 {
        for node in [2, 3] {
            assert_eq!(scribe(&sim, node, group).numbers(), [0, 1, 2], "g{group} at n{node}");
        }
    }
}

/// Bundles are as small as is asked, but for a message that is larger alone.
#[test]
fn a_bundle_holds_so_many_messages_and_bytes_and_no_more() {
    let size = Scribe::message_size(&Note::Soon(0));
    let by_bytes = |bytes| config(10).with_bundle_bytes_max(bytes);
    for (config, bundles) in [
        (config(10).with_bundle_max(4), 3),
        (config(10).with_bundle_max(10), 1),
        (by_bytes(3 * size), 4),
        (by_bytes(4 * size - 1), 4),
        (by_bytes(1), 10),
    ] {
        let mut sim = Sim::<Groups>::new(config, members(2), options(1)).expect("valid");
        for group in 1..=10 {
            sim.submit(n(1), to(group, Ask::Flood { to: n(2), count: 1 }));
        }
        pass(&mut sim, 20);
        assert_eq!(sim.messages().0, bundles);
        assert!((1..=10).all(|group| scribe(&sim, 2, group).numbers() == [0]));
    }
    let bundle = Bundle(vec![to(1, Note::Soon(1)), to(2, Note::Safe(2))]);
    assert_eq!(Groups::message_size(&bundle), 2 * size);
}

/// One group writes, and waits for a slow disk; another has written nothing, and does not.
#[test]
fn what_waits_for_the_disk_waits_for_its_own_group() {
    let mut sim = sim(2, 2, 1);
    let slow = DiskFault { slow: 50 * MILLI, ..DiskFault::default() };
    sim.inject(&Fault::Disk { node: n(1), disk: slow }).expect("taken");
    let append = sim.submit(n(1), to(1, Ask::Append(7)));
    let flood = sim.submit(n(1), to(2, Ask::Flood { to: n(2), count: 1 }));
    let ended = pass(&mut sim, 20);
    assert_eq!(ended.iter().map(|it| it.request).collect::<Vec<_>>(), [flood]);
    assert_eq!(scribe(&sim, 2, 2).numbers(), [0]);
    assert_eq!(scribe(&sim, 2, 1).heard, [(n(1), Note::Soon(7))]);
    let ended = pass(&mut sim, 50);
    assert_eq!(ended.iter().map(|it| it.request).collect::<Vec<_>>(), [append]);
    assert_eq!(scribe(&sim, 2, 1).heard.last(), Some(&(n(1), Note::Safe(7))));
}

#[test]
fn an_idle_group_is_not_touched() {
    let mut sim = sim(2, 1000, 1);
    sim.submit(n(1), to(500, Ask::RingIn(Some(100 * MILLI))));
    pass(&mut sim, 10);
    let flushes = |sim: &Sim<Groups>, group| scribe(sim, 1, group).flushes;
    let before: Vec<u64> = (1..=1000).map(|group| flushes(&sim, group)).collect();
    for value in 0..100 {
        sim.submit(n(1), to(7, Ask::Append(value)));
        pass(&mut sim, 2);
    }
    for group in 1..=1000 {
        let (now, before) = (flushes(&sim, group), before[group as usize - 1]);
        match group {
            7 => assert!(now >= before + 200, "asked, and told of its records"),
            500 => assert_eq!(now, before + 1, "when its deadline came"),
            _ => assert_eq!(now, before, "g{group}"),
        }
    }
}

/// Deadlines within one tick come together, at its end; none comes early.
#[test]
fn deadlines_that_are_close_together_come_together() {
    for (tick, most) in [(5, 12), (0, 1000)] {
        let config = config(1000).with_tick(tick * MILLI);
        let mut sim = Sim::<Groups>::new(config, members(1), options(3)).expect("valid");
        pass(&mut sim, 1);
        for group in 1..=1000 {
            let span = Duration::from_micros(10_000 + 50 * u64::from(group));
            sim.submit(n(1), to(group, Ask::RingIn(Some(span))));
        }
        pass(&mut sim, 1);
        let before = sim.events();
        pass(&mut sim, 100);
        let called = sim.events() - before;
        assert!(called <= most && called * 2 > most, "tick {tick}: {called} times");
        for group in 1..=1000 {
            let [(due, came)] = scribe(&sim, 1, group).rings[..] else { panic!("g{group}") };
            let late = came.since(due);
            assert!(due <= came && late <= tick * MILLI, "g{group}: {late:?} late");
        }
    }
}

/// What asks to be called at once, again and again, is; the others too.
#[test]
fn a_deadline_that_has_passed_is_due_at_once() {
    let mut sim = sim(1, 2, 1);
    sim.submit(n(1), to(1, Ask::RingAtOnce(20)));
    sim.submit(n(1), to(2, Ask::RingIn(None)));
    sim.submit(n(1), to(2, Ask::Append(1)));
    assert_eq!(pass(&mut sim, 4).len(), 3);
    assert_eq!(scribe(&sim, 1, 1).rings.len(), 20);
    assert_eq!(scribe(&sim, 1, 2).rings.len(), 0);
}

#[test]
fn a_group_that_is_not_here_is_refused_and_counted() {
    let mut sim = sim(1, 2, 1);
    sim.submit(n(1), to(3, Ask::Count));
    let ended = pass(&mut sim, 5);
    assert_eq!(ended[0].outcome, Ok(Err(NoSuchGroup { group: g(3) })));

    let (mut node, mut out) = booted(2, Vec::new()).expect("it boots");
    let body = Bundle(vec![to(9, Note::Soon(1)), to(2, Note::Soon(2))]);
    node.handle(now(), Input::Message { from: n(2), body }, &mut out);
    assert_eq!(node.group(g(2)).expect("it is here").heard, [(n(2), Note::Soon(2))]);
    assert!(node.gauges().contains(&("messages for no group", 1)));
}

fn now() -> cluster::Now {
    cluster::Now { monotonic: Timestamp::from_millis(5), wall: WallTime::from_nanos(0) }
}

fn booted(
    groups: u32,
    records: Vec<Record<u64>>,
) -> Result<(Groups, EffectsOf<Groups>), cluster::CorruptRecords> {
    let mut out = EffectsOf::<Groups>::new();
    let boot = Boot { id: n(1), members: members(2), now: now(), seed: 8, records };
    Ok((Groups::boot(&config(groups), boot, &mut out)?, out))
}

fn own(group: u32, value: u64) -> Record<u64> {
    Record::Own(to(group, value))
}

fn copy(group: u32, value: u64, part: u32, of: u32) -> Record<u64> {
    Record::Copy { record: to(group, value), part, of }
}

/// What the groups are handed of what the disk held, or what is wrong with it.
#[track_caller]
fn check(records: Vec<Record<u64>>, expected: Result<[&[u64]; 2], usize>) {
    let found = booted(2, records.clone());
    match expected {
        Ok(lists) => {
            let (node, _) = found.unwrap_or_else(|error| panic!("{records:?}: {error}"));
            for (group, list) in (1..).zip(lists) {
                assert_eq!(node.group(g(group)).expect("here").written, list, "{records:?}");
            }
        }
        Err(position) => match found {
            Ok(_) => panic!("{records:?}: booted"),
            Err(refusal) => assert_eq!(refusal.position, position, "{records:?}"),
        },
    }
}

#[test]
fn a_boot_finds_what_each_group_needs() {
    check(vec![], Ok([&[], &[]]));
    check(vec![own(1, 1), own(2, 10), own(1, 2)], Ok([&[1, 2], &[10]]));
    // Copies stand for what came before them, once all are there.
    let (a, b) = (copy(1, 5, 1, 2), copy(1, 6, 2, 2));
    check(vec![own(1, 5), own(1, 6), own(2, 10), a.clone(), b.clone()], Ok([&[5, 6], &[10]]));
    check(vec![own(2, 10), a.clone(), b.clone(), own(1, 7)], Ok([&[5, 6, 7], &[10]]));
    // A crash came between them: the originals are there.
    check(vec![own(1, 5), own(1, 6), a.clone()], Ok([&[5, 6], &[]]));
    check(vec![own(1, 5), own(1, 6), a.clone(), own(1, 7)], Ok([&[5, 6, 7], &[]]));
    check(vec![own(1, 5), own(1, 6), a.clone(), a.clone(), b.clone()], Ok([&[5, 6], &[]]));
    // Some were let go since: first those before them, then the first of them.
    check(vec![b.clone(), own(1, 7)], Ok([&[6, 7], &[]]));
    check(vec![copy(1, 5, 2, 3), own(1, 7)], Ok([&[7], &[]]));
}

#[test]
fn a_boot_refuses_what_no_run_can_have_written() {
    check(vec![own(1, 1), own(3, 1)], Err(1));
    check(vec![own(1, 1), copy(1, 1, 2, 1)], Err(1));
    check(vec![own(1, 1), copy(1, 1, 0, 1)], Err(1));
    check(vec![own(1, 1), copy(1, 1, 2, 2)], Err(1));
    check(vec![own(2, 1), copy(1, 1, 1, 3), copy(1, 3, 3, 3)], Err(2));
    check(vec![own(2, 1), copy(1, 1, 1, 2)], Err(1));
    // Refused by the group: the place is that on the disk.
    let its = scribe::Config { poison: Some(6), ..scribe::Config::default() };
    let config = Config::new([(g(1), scribe::Config::default()), (g(2), its)]);
    let records = vec![own(2, 5), own(1, 6), own(2, 6)];
    let boot = Boot { id: n(1), members: members(1), now: now(), seed: 8, records };
    let mut out = EffectsOf::<Groups>::new();
    let refusal = Groups::boot(&config, boot, &mut out).err().expect("poison");
    assert_eq!((refusal.position, &*refusal.problem), (2, "g2: poison, expected none"));
}

/// A group draws the same whoever else is there, and no two draw the same.
#[test]
fn each_group_has_a_seed_of_its_own() {
    let seed =
        |groups, group| booted(groups, vec![]).expect("boots").0.group(g(group)).unwrap().seed;
    assert_ne!(seed(3, 1), seed(3, 2));
    assert_eq!(seed(3, 2), seed(100, 2));
}

#[test]
fn a_configuration_that_makes_no_sense_is_named() {
    let error = |config| Sim::<Groups>::new(config, members(1), options(1)).err().expect("invalid");
    assert_eq!(error(config(0)).field, "groups");
    assert_eq!(error(config(1).with_bundle_max(0)).field, "bundle_max");
    assert_eq!(error(config(1).with_bundle_bytes_max(0)).field, "bundle_bytes_max");
    let its = scribe::Config { invalid: true, ..scribe::Config::default() };
    let error = error(Config::new([(g(1), scribe::Config::default()), (g(2), its)]));
    assert_eq!(error.to_string(), "invalid is true in g2, expected false");
}

#[test]
fn gauges_add_up_and_events_are_tagged() {
    let mut sim = sim(1, 3, 1);
    sim.take_emitted();
    for group in 1..=3 {
        sim.submit(n(1), to(group, Ask::Append(u64::from(group))));
    }
    pass(&mut sim, 5);
    let told: Vec<_> = sim.take_emitted().into_iter().map(|it| it.event).collect();
    assert_eq!(told, (1..=3).map(|it| to(it, News::Wrote(it.into()))).collect::<Vec<_>>());
    let gauges = sim.node(n(1)).expect("up").gauges();
    assert!(gauges.contains(&("written", 3)) && gauges.contains(&("groups", 3)), "{gauges:?}");
    assert_eq!(sim.node(n(1)).expect("up").groups().collect::<Vec<_>>(), [g(1), g(2), g(3)]);
}

#[test]
fn equal_seeds_play_the_same_game() {
    let play = |seed| {
        let mut sim = sim(3, 20, seed);
        for round in 0..30 {
            for group in 1..=20 {
                sim.submit(n(1 + group % 3), to(group, Ask::Append(round)));
            }
            pass(&mut sim, 1);
            let node = n(1 + round as u32 % 3);
            sim.inject(&Fault::Crash { node }).expect("taken");
            sim.inject(&Fault::Restart { node }).expect("taken");
        }
        sim.digest()
    };
    assert_eq!(play(4), play(4));
    assert_ne!(play(4), play(5));
}

struct Told(Sender<Result<Answer, NoAnswer>>);

impl Sink<Answer> for Told {
    fn complete(self: Arc<Self>, _: u64, outcome: Result<Answer, NoAnswer>) {
        self.0.send(outcome).expect("somebody waits");
    }
}

/// On threads, by a port that knows of one group only.
#[test]
fn a_port_leads_to_one_group() {
    let options = threads::Options::default();
    let cluster = Threads::<Groups>::start(config(2), members(2), options).expect("valid");
    let ask = |group, node: NodeId, ask| {
        let port = GroupPort::new(cluster.port(), g(group));
        assert_eq!(port.members(), members(2).as_slice());
        let (sender, told) = channel();
        port.submit(node, ask, ReplyTo::new(Arc::new(Told(sender)), 1));
        told.recv_timeout(Duration::from_secs(20)).expect("an outcome")
    };
    assert_eq!(ask(1, n(1), Ask::Append(5)), Ok(Answer::Done));
    assert_eq!(ask(1, n(1), Ask::Count), Ok(Answer::Count(1)));
    assert_eq!(ask(2, n(1), Ask::Count), Ok(Answer::Count(0)));
    assert_eq!(ask(3, n(1), Ask::Count), Err(NoAnswer::Unreachable), "no such group");
    assert_eq!(ask(1, n(9), Ask::Count), Err(NoAnswer::Unreachable), "no such node");
}
