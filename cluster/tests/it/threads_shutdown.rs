//! Threads: the end. Every thread is joined, and whoever waits is told.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use cluster::threads::CallError;
use cluster::{Cluster, Fault, NoAnswer, NodeState};

use crate::scribe::{Answer, Ask, Config, n};
use crate::threads_calls::{LONG, inject, start};

/// A configuration, and what tells how many hold it: hosts and nodes do while they live.
fn witnessed() -> (Config, Arc<()>) {
    let config = Config::default();
    let witness = Arc::clone(&config.witness);
    (config, witness)
}

#[track_caller]
fn nobody_left(witness: &Arc<()>) {
    assert_eq!(Arc::strong_count(witness), 1);
}

#[test]
fn shutdown_joins_every_thread() {
    for _ in 0..20 {
        let (config, witness) = witnessed();
        let cluster = start(5, config);
        assert!(Arc::strong_count(&witness) > 5);
        let mut client = cluster.client();
        assert_eq!(client.call(n(1), Ask::Append(1), LONG), Ok(Answer::Done));
        cluster.shutdown();
        nobody_left(&witness);
        let outcome = client.call(n(1), Ask::Count, LONG);
        assert!(matches!(outcome, Err(CallError::Unavailable { .. })), "{outcome:?}");
    }
}

#[test]
fn so_does_drop() {
    for _ in 0..20 {
        let (config, witness) = witnessed();
        let cluster = start(5, config);
        let client = cluster.client();
        drop(cluster);
        nobody_left(&witness);
        drop(client);
    }
}

#[test]
fn in_whatever_state_its_nodes_are() {
    let (config, witness) = witnessed();
    let mut cluster = start(4, config);
    inject(&mut cluster, Fault::Pause { node: n(1) });
    inject(&mut cluster, Fault::Crash { node: n(2) });
    inject(&mut cluster, Fault::Partition { groups: vec![vec![n(3)], vec![n(4)]] });
    let mut client = cluster.client();
    assert_eq!(client.call(n(3), Ask::RingAtOnce(u32::MAX), LONG), Ok(Answer::Done));
    cluster.shutdown();
    nobody_left(&witness);
}

#[test]
fn who_waits_is_told() {
    let cluster = start(2, Config::default());
    let mut client = cluster.client();
    let start = Instant::now();
    std::thread::scope(|scope| {
        let waits = scope.spawn(move || client.call(n(1), Ask::Ignore, LONG));
        // Until the request is there: one that finds the inbox closed is another case.
        while cluster.gauges(n(1)).expect("up").iter().all(|&gauge| gauge != ("inputs", 1)) {
            std::thread::yield_now();
        }
        cluster.shutdown();
        let outcome = waits.join().expect("no panic");
        assert!(matches!(outcome, Err(CallError::Unknown { .. })), "{outcome:?}");
    });
    assert!(start.elapsed() < LONG, "not by its own deadline");
}

#[test]
fn under_load() {
    for _ in 0..10 {
        let (config, witness) = witnessed();
        let cluster = start(3, config);
        let stop = AtomicBool::new(false);
        let one = cluster.client();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (mut client, stop) = (one.clone(), &stop);
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        // Nothing here may take long but a request lost in the closing door.
                        let short = std::time::Duration::from_millis(50);
                        let _ = client.call(n(1 + thread % 3), Ask::Append(1), short);
                    }
                });
            }
            cluster.client().call(n(1), Ask::Count, LONG).expect("an answer");
            cluster.shutdown();
            nobody_left(&witness);
            stop.store(true, Ordering::Relaxed);
        });
    }
}

#[test]
fn subscribers_hear_the_end() {
    let cluster = start(2, Config::default());
    let events = cluster.subscribe();
    cluster.shutdown();
    assert!(events.iter().count() <= 2, "it ends");
}

#[test]
fn a_node_that_panics_is_down_and_shutdown_says_why() {
    let (config, witness) = witnessed();
    let mut cluster = start(3, config);
    let mut client = cluster.client();
    let start = Instant::now();
    let ignored = cluster.submit(n(2), Ask::Ignore);
    let outcome = client.call(n(2), Ask::Panic, LONG);
    assert!(matches!(outcome, Err(CallError::Unknown { .. })), "{outcome:?}");
    let end = cluster.poll(cluster.now() + LONG).expect("an end");
    assert_eq!((end.request, end.outcome), (ignored, Err(NoAnswer::Lost)));
    // It stays down; the others go on.
    assert_eq!(cluster.state(n(2)), NodeState::Down);
    assert!(cluster.gauges(n(2)).is_none());
    inject(&mut cluster, Fault::Restart { node: n(2) });
    assert_eq!(cluster.state(n(2)), NodeState::Down);
    let outcome = client.call(n(2), Ask::Count, LONG);
    assert!(matches!(outcome, Err(CallError::Unavailable { .. })), "{outcome:?}");
    assert_eq!(client.call(n(1), Ask::Append(1), LONG), Ok(Answer::Done));
    assert!(start.elapsed() < LONG, "nobody waited for a deadline");
    let panic = catch_unwind(AssertUnwindSafe(|| cluster.shutdown())).expect_err("it tells");
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"the scribe was told to"));
    nobody_left(&witness);
}

#[test]
fn drop_keeps_a_panic_to_itself() {
    let (config, witness) = witnessed();
    let cluster = start(2, config);
    let outcome = cluster.client().call(n(1), Ask::Panic, LONG);
    assert!(matches!(outcome, Err(CallError::Unknown { .. })), "{outcome:?}");
    drop(cluster);
    nobody_left(&witness);
}
