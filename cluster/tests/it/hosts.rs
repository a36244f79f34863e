//! Hosts: pauses, crashes, restarts, and what becomes of requests.

use std::collections::BTreeMap;
use std::time::Duration;

use cluster::sim::{Options, Sim};
use cluster::{Cluster, Fault, NoAnswer, NodeState, Rng, Timestamp};

use crate::scribe::{
    Answer, Ask, Config, News, Scribe, configured, done, members, n, numbers, pass, sim,
};

fn inject(sim: &mut Sim<Scribe>, fault: Fault) {
    sim.inject(&fault).expect("taken");
}

#[test]
fn a_paused_node_does_nothing_and_goes_on_where_it_stopped() {
    for seed in 0..100 {
        let mut sim = sim(2, seed);
        inject(&mut sim, Fault::Pause { node: n(2) });
        done(&mut sim, 1, Ask::Flood { to: n(2), count: 20 });
        let waiting = sim.submit(n(2), Ask::Count);
        assert!(pass(&mut sim, 20).is_empty());
        assert!(numbers(&sim, 2).is_empty());
        assert_eq!(sim.state(n(2)), NodeState::Paused);
        done(&mut sim, 1, Ask::Flood { to: n(2), count: 20 });
        inject(&mut sim, Fault::Resume { node: n(2) });
        let ends = pass(&mut sim, 20);
        assert_eq!((ends[0].request, &ends[0].outcome), (waiting, &Ok(Answer::Count(0))));
        let twenty: Vec<u64> = (0..20).collect();
        assert_eq!(numbers(&sim, 2), [&twenty[..], &twenty[..]].concat(), "seed {seed}");
    }
}

/// What was held comes before what arrives at the very instant at which the node goes on.
#[test]
fn order_holds_across_a_resume_at_the_instant_of_an_arrival() {
    let instant = |millis| Duration::from_millis(millis)..=Duration::from_millis(millis);
    let options = Options { latency: instant(1), client_latency: instant(1), ..Options::seeded(1) };
    let mut sim = configured(2, Config::default(), options);
    inject(&mut sim, Fault::Pause { node: n(2) });
    sim.submit(n(1), Ask::Flood { to: n(2), count: 3 });
    pass(&mut sim, 5);
    // The world's own answers (n9 is nobody) stop the clock where it is wanted: at 6 ms, before n1
    // is asked, and at 7 ms, before its notes reach n2.
    sim.submit(n(9), Ask::Count);
    sim.submit(n(1), Ask::Flood { to: n(2), count: 5 });
    for millis in [6, 7] {
        assert!(sim.poll(Timestamp::MAX).is_some());
        assert_eq!(sim.now(), Timestamp::from_millis(millis));
        sim.submit(n(9), Ask::Count);
    }
    inject(&mut sim, Fault::Resume { node: n(2) });
    pass(&mut sim, 5);
    assert_eq!(numbers(&sim, 2), [0, 1, 2, 0, 1, 2, 3, 4]);
}

#[test]
fn a_deadline_that_passed_in_a_pause_is_handled_at_once() {
    for seed in 0..100 {
        let mut sim = sim(1, seed);
        done(&mut sim, 1, Ask::RingIn(Some(Duration::from_millis(2))));
        inject(&mut sim, Fault::Pause { node: n(1) });
        pass(&mut sim, 1_000);
        assert!(sim.node(n(1)).expect("paused").rings.is_empty());
        inject(&mut sim, Fault::Resume { node: n(1) });
        let until = sim.now() + Duration::from_micros(1);
        assert!(sim.poll(until).is_none());
        let (due, rang) = sim.node(n(1)).expect("up").rings[0];
        assert!(rang.since(due) > Duration::from_millis(990), "seed {seed}");
        pass(&mut sim, 10);
        assert_eq!(sim.node(n(1)).expect("up").rings.len(), 1, "and only once");
    }
}

#[test]
fn a_request_to_a_node_that_is_down_is_unreachable() {
    let mut sim = sim(2, 1);
    inject(&mut sim, Fault::Crash { node: n(1) });
    assert_eq!(sim.state(n(1)), NodeState::Down);
    for node in [n(1), n(9)] {
        let id = sim.submit(node, Ask::Append(1));
        let ends = pass(&mut sim, 10);
        assert_eq!(ends.len(), 1);
        assert_eq!((ends[0].request, &ends[0].outcome), (id, &Err(NoAnswer::Unreachable)));
    }
    inject(&mut sim, Fault::Restart { node: n(1) });
    assert!(sim.node(n(1)).expect("up").written.is_empty(), "it had no effect");
}

#[test]
fn what_was_not_answered_by_a_crash_is_lost() {
    let mut sim = sim(1, 1);
    let ignored = sim.submit(n(1), Ask::Ignore);
    assert!(pass(&mut sim, 10).is_empty());
    inject(&mut sim, Fault::Pause { node: n(1) });
    let held = sim.submit(n(1), Ask::Count);
    assert!(pass(&mut sim, 10).is_empty());
    inject(&mut sim, Fault::Crash { node: n(1) });
    inject(&mut sim, Fault::Restart { node: n(1) });
    let mut ends: Vec<_> =
        pass(&mut sim, 10).into_iter().map(|it| (it.request, it.outcome)).collect();
    ends.sort_by_key(|(id, _)| *id);
    assert_eq!(ends, [(ignored, Err(NoAnswer::Lost)), (held, Err(NoAnswer::Lost))]);
    inject(&mut sim, Fault::Crash { node: n(1) });
    assert!(pass(&mut sim, 10).is_empty(), "once");
}

#[test]
fn only_the_first_answer_counts() {
    let mut sim = sim(1, 1);
    done(&mut sim, 1, Ask::Twice);
    assert!(pass(&mut sim, 10).is_empty());
}

/// Whatever happens, a request ends once and only once.
#[test]
fn every_request_ends_exactly_once() {
    for seed in 0..200 {
        let mut sim = sim(3, seed);
        let mut rng = Rng::from_seed(seed);
        let mut ends = BTreeMap::new();
        for value in 0..100 {
            let node = n(rng.within(1..=3) as u32);
            match rng.below(12) {
                0 => inject(&mut sim, Fault::Crash { node }),
                1 | 2 => inject(&mut sim, Fault::Restart { node }),
                3 => inject(&mut sim, Fault::Pause { node }),
                4 | 5 => inject(&mut sim, Fault::Resume { node }),
                6 => {
                    ends.insert(sim.submit(node, Ask::Ignore), 0);
                }
                7 => {
                    ends.insert(sim.submit(node, Ask::Twice), 0);
                }
                _ => {
                    ends.insert(sim.submit(node, Ask::Append(value)), 0);
                }
            }
            let until = sim.now() + rng.span(Duration::ZERO..=Duration::from_micros(300));
            while let Some(end) = sim.poll(until) {
                *ends.get_mut(&end.request).expect("it was asked") += 1;
            }
        }
        // Until all that was asked has arrived; then nobody is left to answer later.
        let mut last = pass(&mut sim, 10);
        inject(&mut sim, Fault::PowerLoss);
        last.extend(pass(&mut sim, 10));
        for end in last {
            *ends.get_mut(&end.request).expect("it was asked") += 1;
        }
        assert!(ends.values().all(|&times| times == 1), "seed {seed}: {ends:?}");
    }
}

#[test]
fn faults_without_an_object_have_no_effect() {
    let mut sim = sim(1, 1);
    done(&mut sim, 1, Ask::Append(1));
    let born = sim.node(n(1)).expect("up").born;
    inject(&mut sim, Fault::Restart { node: n(1) });
    inject(&mut sim, Fault::Resume { node: n(1) });
    assert_eq!(sim.node(n(1)).expect("up").born, born, "it is the same life");
    inject(&mut sim, Fault::Pause { node: n(1) });
    inject(&mut sim, Fault::Restart { node: n(1) });
    assert_eq!(sim.state(n(1)), NodeState::Paused);
    inject(&mut sim, Fault::Crash { node: n(1) });
    inject(&mut sim, Fault::Crash { node: n(1) });
    inject(&mut sim, Fault::Pause { node: n(1) });
    inject(&mut sim, Fault::Resume { node: n(1) });
    assert_eq!(sim.state(n(1)), NodeState::Down);
    inject(&mut sim, Fault::Restart { node: n(1) });
    assert_eq!(sim.node(n(1)).expect("up").written, [1]);
}

#[test]
fn a_message_of_an_earlier_life_reaches_the_later_one() {
    let zero = Duration::ZERO..=Duration::ZERO;
    let mut sim =
        configured(2, Config::default(), Options { client_latency: zero, ..Options::seeded(1) });
    done(&mut sim, 1, Ask::Flood { to: n(2), count: 3 });
    for node in [n(1), n(2)] {
        inject(&mut sim, Fault::Crash { node });
        inject(&mut sim, Fault::Restart { node });
    }
    pass(&mut sim, 10);
    assert_eq!(numbers(&sim, 2), [0, 1, 2]);
}

#[test]
fn the_application_is_told_in_order() {
    let mut sim = sim(1, 1);
    done(&mut sim, 1, Ask::Append(5));
    inject(&mut sim, Fault::Crash { node: n(1) });
    inject(&mut sim, Fault::Restart { node: n(1) });
    let emitted = sim.take_emitted();
    assert!(emitted.is_sorted_by_key(|it| it.at) && emitted.iter().all(|it| it.node == n(1)));
    let news: Vec<_> = emitted.into_iter().map(|it| it.event).collect();
    let expected = [News::Booted { records: 0 }, News::Wrote(5), News::Booted { records: 1 }];
    assert_eq!(news, expected);
    assert!(sim.take_emitted().is_empty());
}

/// What reaches a node at one instant is one batch, flushed once.
#[test]
fn one_instant_is_one_batch() {
    let zero = Duration::ZERO..=Duration::ZERO;
    let mut sim =
        configured(1, Config::default(), Options { client_latency: zero, ..Options::seeded(1) });
    let flushes = sim.node(n(1)).expect("up").flushes;
    assert_eq!(flushes, 1, "boot is a batch");
    for _ in 0..10 {
        sim.submit(n(1), Ask::Count);
    }
    assert_eq!(pass(&mut sim, 1).len(), 10);
    let node = sim.node(n(1)).expect("up");
    assert_eq!((node.flushes, node.inputs), (2, 10));
}

#[test]
fn bad_configurations_start_nothing() {
    let bad = Config { invalid: true, ..Config::default() };
    let refusal = Sim::<Scribe>::new(bad, members(1), Options::seeded(1)).err().expect("invalid");
    assert_eq!(refusal.to_string(), "invalid is true, expected false");
    let (low, high) = (Duration::from_millis(1), Duration::from_millis(2));
    let options = Options { sync: high..=low, ..Options::seeded(1) };
    let refusal =
        Sim::<Scribe>::new(Config::default(), members(1), options).err().expect("invalid");
    assert_eq!(refusal.to_string(), "sync is 2ms..=1ms, expected a range from low to high");
}
