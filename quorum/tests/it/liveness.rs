//! Suspicion, quick refusals, hints.

use std::time::Duration;

use cluster::sim::{Options, Sim};
use cluster::{ClockFault, Cluster, Fault, Members, NodeId};
use quorum::{Config, Error, Guarantee, Key, Replica, Reply, Request, Response, Versioning};

use crate::rig::{Fate, Letter, Rig, all, n};

/// Longer than any suspicion, or recovery, takes with the default configuration.
const SETTLED: Duration = Duration::from_millis(600);

fn sim(config: Config, nodes: usize, seed: u64) -> Sim<Replica> {
    let members = Members::first(nodes).expect("a cluster");
    Sim::new(config, members, Options::seeded(seed)).expect("valid")
}

/// Asks, and waits for the answer and how long it took.
#[track_caller]
fn call(sim: &mut Sim<Replica>, node: NodeId, request: Request) -> (Response, Duration) {
    let start = sim.now();
    let id = sim.submit(node, request);
    let completion = sim.poll(start + Duration::from_secs(5)).expect("an answer");
    assert_eq!(completion.request, id);
    (completion.outcome.expect("up"), completion.at.since(start))
}

#[track_caller]
fn run(sim: &mut Sim<Replica>, span: Duration) {
    let until = sim.now() + span;
    assert!(sim.poll(until).is_none(), "nobody asked");
}

#[track_caller]
fn gauge(sim: &Sim<Replica>, node: NodeId, name: &str) -> u64 {
    use cluster::Node;
    let gauges = sim.node(node).expect("up").gauges();
    gauges.iter().find(|(gauge, _)| *gauge == name).expect("a gauge").1
}

fn crash(sim: &mut Sim<Replica>, node: NodeId) {
    sim.inject(&Fault::Crash { node }).expect("taken");
}

fn restart(sim: &mut Sim<Replica>, node: NodeId) {
    sim.inject(&Fault::Restart { node }).expect("taken");
}

#[test]
fn too_few_live_replicas_are_said_at_once() {
    for seed in 0..50 {
        let mut sim = sim(Config::default(), 3, seed);
        let (put, _) = call(&mut sim, n(1), Request::put("key", "value"));
        put.expect("all are up");
        crash(&mut sim, n(2));
        crash(&mut sim, n(3));
        // Not known yet: it is tried, until the timeout.
        let (read, took) = call(&mut sim, n(1), Request::get("key"));
        assert!(matches!(read, Err(Error::TimedOut { .. })), "seed {seed}: {read:?}");
        assert!(took >= Config::default().timeout(), "seed {seed}: {took:?}");
        run(&mut sim, SETTLED);
        for request in [Request::get("key"), Request::put("key", "other"), Request::delete("key")] {
            let (response, took) = call(&mut sim, n(1), request);
            assert_eq!(response, Err(Error::Unavailable { live: 1, needed: 2 }), "seed {seed}");
            assert!(took < Duration::from_millis(5), "seed {seed}: at once is not {took:?}");
        }
        let held = sim.node(n(1)).expect("up").entry(&Key::from("key"));
        assert_eq!(held.version.counter(), 1, "seed {seed}: nothing was written");
        restart(&mut sim, n(2));
        run(&mut sim, SETTLED);
        let (read, _) = call(&mut sim, n(1), Request::get("key"));
        assert!(matches!(read, Ok(Reply::Value { value: Some(_), .. })), "seed {seed}: {read:?}");
    }
}

/// With R = 1 and W = 3 a read could be answered by one replica; with write-back it promises that
/// three have what it returns, so it needs three.
#[test]
fn a_read_that_must_write_back_needs_a_write_quorum() {
    let mut sim = sim(Config::default().with_quorums(3, 1, 3), 3, 1);
    crash(&mut sim, n(3));
    run(&mut sim, SETTLED);
    let (read, _) = call(&mut sim, n(1), Request::get("key"));
    assert_eq!(read, Err(Error::Unavailable { live: 2, needed: 3 }));
}

/// Not sooner, for a lost message or two prove nothing; and not later.
#[test]
fn a_node_is_suspected_when_it_has_missed_probes_for_long_enough() {
    let mut rig = Rig::new(Config::default().with_quorums(2, 1, 2), 2);
    let mut silent = Duration::ZERO;
    let mut was_probed = false;
    while rig.node(n(1)).believes_live(n(2)) {
        rig.pass(Duration::from_millis(1));
        was_probed |= rig.wire.iter().any(|letter| letter.to == n(2));
        rig.deliver(|_| Fate::Drop);
        silent += Duration::from_millis(u64::from(was_probed));
    }
    let after = Config::default().suspect_after();
    assert!((after..=after + Duration::from_millis(2)).contains(&silent), "{silent:?}");
    // One answer is enough to be believed again.
    rig.run(Config::default().probe_interval(), all);
    assert!(rig.node(n(1)).believes_live(n(2)));
}

#[test]
fn a_node_that_was_paused_does_not_suspect_the_others() {
    for seed in 0..20 {
        let mut sim = sim(Config::default(), 3, seed);
        run(&mut sim, SETTLED);
        sim.inject(&Fault::Pause { node: n(1) }).expect("taken");
        run(&mut sim, Duration::from_secs(10));
        let others = |sim: &Sim<Replica>| sim.node(n(2)).expect("up").believes_live(n(1));
        assert!(!others(&sim), "seed {seed}");
        sim.inject(&Fault::Resume { node: n(1) }).expect("taken");
        let (read, _) = call(&mut sim, n(1), Request::get("key"));
        assert!(read.is_ok(), "seed {seed}: {read:?}");
        run(&mut sim, SETTLED);
        assert!(others(&sim), "seed {seed}: it answers again");
    }
}

/// Hearing from a node proves nothing: it must answer.
#[test]
fn a_node_that_cannot_be_reached_is_suspected_though_it_speaks() {
    let mut sim = sim(Config::default(), 3, 1);
    sim.inject(&Fault::Cut { from: vec![n(1)], to: vec![n(2)] }).expect("taken");
    run(&mut sim, SETTLED);
    let believes =
        |sim: &Sim<Replica>, of, about| sim.node(of).is_some_and(|node| node.believes_live(about));
    assert!(!believes(&sim, n(1), n(2)), "n2 never hears n1");
    assert!(!believes(&sim, n(2), n(1)), "n2 never hears an answer");
    assert!(believes(&sim, n(3), n(1)) && believes(&sim, n(3), n(2)));
}

#[test]
fn hints_are_kept_replayed_and_drained() {
    for seed in 0..30 {
        let mut sim = sim(Config::default(), 3, seed);
        crash(&mut sim, n(3));
        run(&mut sim, SETTLED);
        for number in 0..200 {
            let (put, _) = call(&mut sim, n(1), Request::put(format!("key{number}"), "value"));
            put.expect("two are up");
        }
        let (delete, _) = call(&mut sim, n(1), Request::delete("key7"));
        delete.expect("two are up");
        assert_eq!(gauge(&sim, n(1), "hints"), 200, "seed {seed}: one a key");
        // The coordinator crashes; its hints are on its disk.
        run(&mut sim, SETTLED);
        crash(&mut sim, n(1));
        restart(&mut sim, n(1));
        assert_eq!(gauge(&sim, n(1), "hints"), 200, "seed {seed}");
        restart(&mut sim, n(3));
        // 64 a tenth of a second: 200 take four of them.
        run(&mut sim, Duration::from_millis(150));
        let after_one = gauge(&sim, n(1), "hints");
        assert!(after_one > 0 && after_one < 200, "seed {seed}: throttled, {after_one} left");
        run(&mut sim, SETTLED);
        assert_eq!(gauge(&sim, n(1), "hints"), 0, "seed {seed}");
        let nodes = [1, 2, 3].map(|number| sim.node(n(number)).expect("up"));
        quorum::invariants::converged(nodes).unwrap_or_else(|what| panic!("seed {seed}: {what}"));
        assert_eq!(gauge(&sim, n(3), "tombstones"), 1, "seed {seed}");
    }
}

#[test]
fn hints_do_not_count_toward_the_quorum() {
    let mut rig = Rig::new(Config::default(), 3);
    let write = rig.request(n(1), Request::put("key", "value"));
    rig.deliver(|letter| match letter.message {
        quorum::Message::Store { .. } => Fate::Drop,
        _ => Fate::Deliver,
    });
    rig.pass(Config::default().timeout());
    assert_eq!(rig.answer(write), Some(&Err(Error::Unknown { acked: 1, needed: 2 })));
    assert_eq!(rig.gauge(n(1), "hints"), 2, "and yet it may take effect");
    rig.run(SETTLED, all);
    assert_eq!(rig.gauge(n(1), "hints"), 0);
    assert_eq!(rig.read(n(3), "key", all), "value");
}

#[test]
fn hints_are_bounded_and_what_is_dropped_is_counted() {
    let mut rig = Rig::new(Config::default().with_hints_max(2), 3);
    let not_n3 = |letter: &Letter| match letter.to == n(3) {
        true => Fate::Drop,
        false => Fate::Deliver,
    };
    for key in ["a", "b", "c", "d"] {
        rig.request(n(1), Request::put(key, "value"));
        rig.deliver(not_n3);
    }
    rig.run(SETTLED, not_n3);
    assert_eq!((rig.gauge(n(1), "hints"), rig.gauge(n(1), "hints-dropped")), (2, 2));
    // A newer hint takes the place of an older one.
    rig.request(n(1), Request::put("a", "newer"));
    rig.run(SETTLED, not_n3);
    assert_eq!((rig.gauge(n(1), "hints"), rig.gauge(n(1), "hints-dropped")), (2, 2));
    rig.run(SETTLED, all);
    assert_eq!(rig.gauge(n(1), "hints"), 0);
    assert_eq!(rig.entry(n(3), "a"), rig.entry(n(1), "a"));
    // What was dropped comes with the next read.
    assert_ne!(rig.entry(n(3), "d"), rig.entry(n(1), "d"));
    assert_eq!(rig.read(n(2), "d", all), "value");
    assert_eq!(rig.entry(n(3), "d"), rig.entry(n(1), "d"));
    assert_eq!(rig.violation, None);
}

#[test]
fn a_late_hint_does_not_undo_a_newer_write() {
    let mut rig = Rig::new(Config::default(), 3);
    let not_n3 = |letter: &Letter| match letter.to == n(3) {
        true => Fate::Drop,
        false => Fate::Deliver,
    };
    rig.request(n(1), Request::put("key", "old"));
    rig.run(SETTLED, not_n3);
    assert_eq!(rig.gauge(n(1), "hints"), 1);
    rig.done(n(2), Request::put("key", "new"));
    assert_eq!(rig.entry(n(3), "key"), rig.entry(n(2), "key"));
    rig.run(SETTLED, all);
    assert_eq!(rig.gauge(n(1), "hints"), 0);
    assert_eq!(rig.read(n(3), "key", all), "new");
    assert_eq!(rig.violation, None);
}

/// Last write wins, by clocks: the last by a clock that is behind loses, though acknowledged.
#[test]
fn wall_clocks_lose_an_acknowledged_write() {
    let values = |versioning| {
        let config = Config::default().with_versioning(versioning);
        let promised = config.guarantee();
        let mut sim = sim(config, 3, 7);
        let clock = ClockFault { drift_ppm: 0, jump_nanos: -10_000_000_000 };
        sim.inject(&Fault::Clock { node: n(2), clock }).expect("taken");
        for (node, value) in [(n(1), "first"), (n(2), "second")] {
            let (put, _) = call(&mut sim, node, Request::put("key", value));
            let Ok(Reply::Written { guarantee, .. }) = put else { panic!("{put:?}") };
            assert_eq!(guarantee, promised);
        }
        let (read, _) = call(&mut sim, n(3), Request::get("key"));
        let Ok(Reply::Value { value: Some(value), guarantee, .. }) = read else { panic!() };
        assert_eq!(guarantee, promised);
        (value, promised)
    };
    assert_eq!(values(Versioning::WallClock), ("first".into(), Guarantee::Convergent));
    assert_eq!(values(Versioning::Tagged), ("second".into(), Guarantee::Linearizable));
}

#[test]
fn status_tells_keys_hints_and_liveness() {
    let mut sim = sim(Config::default(), 4, 3);
    crash(&mut sim, n(4));
    run(&mut sim, SETTLED);
    for number in 0..20 {
        call(&mut sim, n(1), Request::put(format!("key{number}"), "value")).0.expect("two are up");
    }
    let (status, _) = call(&mut sim, n(1), Request::Status);
    let Ok(Reply::Status(status)) = status else { panic!("{status:?}") };
    assert_eq!(status.live, [(n(1), true), (n(2), true), (n(3), true), (n(4), false)]);
    assert_eq!((status.node, status.incarnation.get()), (n(1), 1));
    let of_n4 = |number: &u32| {
        let key = Key::from(format!("key{number}"));
        sim.node(n(1)).expect("up").ring().replicas(&key).contains(&n(4))
    };
    assert_eq!(status.hints, (0..20).filter(of_n4).count());
    assert_eq!(status.guarantee, Guarantee::Linearizable);
    assert!(status.keys > 0 && status.keys < 20, "it holds {} of 20", status.keys);
}
