//! Threads: faults of hosts and of links.

use std::time::{Duration, Instant};

use cluster::threads::{Refusal, Threads};
use cluster::{ClockFault, Cluster, Fault, LinkFault, NoAnswer, NodeState};

use crate::scribe::{Answer, Ask, Config, News, Scribe, eventually, n};
use crate::threads_calls::{LONG, gauge, inject, start};

/// Floods `to` from `from` with `count` notes.
#[track_caller]
fn flood(cluster: &Threads<Scribe>, from: u32, to: u32, count: u64) {
    let ask = Ask::Flood { to: n(to), count };
    assert_eq!(cluster.client().call(n(from), ask, LONG), Ok(Answer::Done));
}

/// The numbers that `node` has heard.
#[track_caller]
fn numbers(cluster: &Threads<Scribe>, node: u32) -> Vec<u64> {
    match cluster.client().call(n(node), Ask::Heard, LONG) {
        Ok(Answer::Heard(numbers)) => numbers,
        other => panic!("{other:?}"),
    }
}

const NONE: [u64; 0] = [];

fn all(count: u64) -> Vec<u64> {
    (0..count).collect()
}

#[test]
fn a_node_comes_back_from_its_records() {
    let mut cluster = start(2, Config::default());
    let mut client = cluster.client();
    for value in 0..10 {
        assert_eq!(client.call(n(1), Ask::Append(value), LONG), Ok(Answer::Done));
    }
    let ignored = cluster.submit(n(1), Ask::Ignore);
    inject(&mut cluster, Fault::Crash { node: n(1) });
    let refused = cluster.submit(n(1), Ask::Append(10));
    assert_eq!(cluster.state(n(1)), NodeState::Down);
    let mut ends = Vec::new();
    for _ in 0..2 {
        let end = cluster.poll(cluster.now() + LONG).expect("an end");
        ends.push((end.request, end.outcome));
    }
    assert_eq!(ends, [(ignored, Err(NoAnswer::Lost)), (refused, Err(NoAnswer::Unreachable))]);
    inject(&mut cluster, Fault::Restart { node: n(1) });
    inject(&mut cluster, Fault::Restart { node: n(1) });
    assert_eq!(client.call(n(1), Ask::Count, LONG), Ok(Answer::Count(10)));
    inject(&mut cluster, Fault::PowerLoss);
    assert_eq!(cluster.state(n(2)), NodeState::Down);
    for node in [n(1), n(2)] {
        inject(&mut cluster, Fault::Restart { node });
    }
    assert_eq!(client.call(n(1), Ask::Append(10), LONG), Ok(Answer::Done));
    assert_eq!(client.call(n(1), Ask::Count, LONG), Ok(Answer::Count(11)));
    assert_eq!(client.call(n(2), Ask::Count, LONG), Ok(Answer::Count(0)));
    cluster.shutdown();
}

#[test]
fn a_node_that_finds_poison_on_its_disk_stays_down() {
    let mut cluster = start(1, Config { poison: Some(13), ..Config::default() });
    assert_eq!(cluster.client().call(n(1), Ask::Append(13), LONG), Ok(Answer::Done));
    assert_eq!(cluster.refusal(n(1)), None);
    inject(&mut cluster, Fault::Crash { node: n(1) });
    inject(&mut cluster, Fault::Restart { node: n(1) });
    assert_eq!(cluster.state(n(1)), NodeState::Down);
    assert!(matches!(cluster.refusal(n(1)), Some(Refusal::Records(it)) if it.position == 0));
    cluster.shutdown();
}

#[test]
fn a_paused_node_goes_on_where_it_stopped() {
    let mut cluster = start(2, Config::default());
    inject(&mut cluster, Fault::Pause { node: n(2) });
    flood(&cluster, 1, 2, 100);
    let held = cluster.submit(n(2), Ask::Heard);
    assert!(cluster.poll(cluster.now() + Duration::from_millis(30)).is_none());
    assert_eq!(cluster.state(n(2)), NodeState::Paused);
    inject(&mut cluster, Fault::Resume { node: n(2) });
    let end = cluster.poll(cluster.now() + LONG).expect("an answer");
    assert_eq!((end.request, end.outcome), (held, Ok(Answer::Heard(all(100)))));
    // Down, it forgets what it held.
    inject(&mut cluster, Fault::Pause { node: n(2) });
    flood(&cluster, 1, 2, 5);
    let lost = cluster.submit(n(2), Ask::Heard);
    inject(&mut cluster, Fault::Crash { node: n(2) });
    let end = cluster.poll(cluster.now() + LONG).expect("an end");
    assert_eq!((end.request, end.outcome), (lost, Err(NoAnswer::Lost)));
    inject(&mut cluster, Fault::Restart { node: n(2) });
    inject(&mut cluster, Fault::Pause { node: n(2) });
    inject(&mut cluster, Fault::Resume { node: n(2) });
    assert_eq!(numbers(&cluster, 2), NONE);
    cluster.shutdown();
}

#[test]
fn a_deadline_that_passed_in_a_pause_is_handled_at_once() {
    let mut cluster = start(1, Config::default());
    let mut client = cluster.client();
    let ask = Ask::RingIn(Some(Duration::from_millis(10)));
    // In one batch or in two, the pause comes before the deadline, or the test shows nothing.
    assert_eq!(client.call(n(1), ask, LONG), Ok(Answer::Done));
    inject(&mut cluster, Fault::Pause { node: n(1) });
    assert!(cluster.poll(cluster.now() + Duration::from_millis(20)).is_none());
    assert!(cluster.gauges(n(1)).is_none());
    inject(&mut cluster, Fault::Resume { node: n(1) });
    eventually("it rings", || gauge(&cluster, 1, "rings") == 1);
    cluster.shutdown();
}

#[test]
fn links_keep_their_order_while_nothing_is_wrong() {
    let cluster = start(2, Config::default());
    flood(&cluster, 1, 2, 10_000);
    eventually("all are heard", || gauge(&cluster, 2, "heard") == 10_000);
    assert_eq!(numbers(&cluster, 2), all(10_000));
    cluster.shutdown();
}

#[test]
fn cuts_add_up_until_healed() {
    let mut cluster = start(3, Config::default());
    inject(&mut cluster, Fault::Cut { from: vec![n(1)], to: vec![n(1), n(2)] });
    inject(&mut cluster, Fault::Partition { groups: vec![vec![n(1), n(2)], vec![n(3)]] });
    for (from, to) in [(1, 2), (1, 3), (3, 1), (2, 3), (3, 2)] {
        flood(&cluster, from, to, 3);
    }
    flood(&cluster, 2, 1, 3);
    flood(&cluster, 1, 1, 3);
    // A flood's notes are in the inbox before its answer: what is not there by now never will be.
    assert_eq!(numbers(&cluster, 1).len(), 6, "from n2, and from itself");
    assert_eq!((numbers(&cluster, 2), numbers(&cluster, 3)), (vec![], vec![]));
    inject(&mut cluster, Fault::Heal);
    for (from, to) in [(1, 2), (3, 2), (1, 3)] {
        flood(&cluster, from, to, 3);
    }
    assert_eq!((numbers(&cluster, 2).len(), numbers(&cluster, 3).len()), (6, 3));
    cluster.shutdown();
}

#[test]
fn links_lose_and_double() {
    let mut cluster = start(2, Config::default());
    inject(&mut cluster, Fault::Links(LinkFault { loss_ppm: 500_000, ..LinkFault::default() }));
    flood(&cluster, 1, 2, 10_000);
    let heard = numbers(&cluster, 2).len();
    assert!((4_500..5_500).contains(&heard), "{heard}");
    let twice = LinkFault { duplicate_ppm: 1_000_000, ..LinkFault::default() };
    inject(&mut cluster, Fault::Links(twice));
    flood(&cluster, 1, 2, 100);
    assert_eq!(numbers(&cluster, 2).len(), heard + 200);
    inject(&mut cluster, Fault::Links(LinkFault::default()));
    flood(&cluster, 1, 2, 100);
    assert_eq!(numbers(&cluster, 2).split_off(heard + 200), all(100));
    cluster.shutdown();
}

#[test]
fn delayed_messages_are_overtaken_and_none_is_lost() {
    let mut cluster = start(2, Config::default());
    let delay_max = Duration::from_millis(10);
    let some = LinkFault { delay_ppm: 500_000, delay_max, ..LinkFault::default() };
    inject(&mut cluster, Fault::Links(some));
    flood(&cluster, 1, 2, 100);
    eventually("all are heard", || numbers(&cluster, 2).len() == 100);
    let mut heard = numbers(&cluster, 2);
    assert!(!heard.is_sorted(), "half of them wait for up to 10 ms");
    heard.sort_unstable();
    assert_eq!(heard, all(100));
    cluster.shutdown();
}

/// A host wakes for what was held back, though nothing else arrives.
#[test]
fn delayed_messages_wake_their_host() {
    let mut cluster = start(2, Config::default());
    let delay_max = Duration::from_millis(20);
    let all_of_them = LinkFault { delay_ppm: 1_000_000, delay_max, ..LinkFault::default() };
    inject(&mut cluster, Fault::Links(all_of_them));
    let events = cluster.subscribe();
    flood(&cluster, 1, 2, 10);
    let deadline = Instant::now() + LONG;
    for _ in 0..10 {
        while !matches!(events.recv_deadline(deadline).expect("news").event, News::Heard(_)) {}
    }
    cluster.shutdown();
}

#[test]
fn nothing_comes_between_a_node_and_itself() {
    let mut cluster = start(2, Config::default());
    inject(&mut cluster, Fault::Links(LinkFault { loss_ppm: 1_000_000, ..LinkFault::default() }));
    flood(&cluster, 1, 1, 20);
    flood(&cluster, 1, 2, 20);
    assert_eq!((numbers(&cluster, 1), numbers(&cluster, 2)), (all(20), vec![]));
    cluster.shutdown();
}

#[test]
fn clocks_drift_and_alarms_with_them() {
    let mut cluster = start(1, Config::default());
    let slow = ClockFault { drift_ppm: -500_000, jump_nanos: i64::MIN };
    inject(&mut cluster, Fault::Clock { node: n(1), clock: slow });
    let asked = cluster.now();
    let ask = Ask::RingIn(Some(Duration::from_millis(20)));
    assert_eq!(cluster.client().call(n(1), ask, LONG), Ok(Answer::Done));
    eventually("it rings", || gauge(&cluster, 1, "rings") == 1);
    assert!(cluster.now().since(asked) >= Duration::from_millis(39), "at half speed");
    cluster.shutdown();
}

#[test]
fn a_fault_that_makes_no_sense_is_refused_and_changes_nothing() {
    let mut cluster = start(2, Config::default());
    let node = n(9);
    for fault in [
        Fault::Crash { node },
        Fault::Cut { from: vec![n(1), n(2)], to: vec![n(1), n(2), node] },
        Fault::Partition { groups: vec![vec![n(1)], vec![n(2), node]] },
        Fault::Partition { groups: vec![vec![n(1)], vec![n(2), n(1)]] },
    ] {
        cluster.inject(&fault).expect_err("it makes no sense");
    }
    flood(&cluster, 1, 2, 3);
    assert_eq!(numbers(&cluster, 2), all(3));
    cluster.shutdown();
}
