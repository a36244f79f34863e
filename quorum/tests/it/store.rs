//! The façade, on real threads.

use std::time::{Duration, Instant};

use cluster::threads::{Options, Threads};
use cluster::{Cluster, Fault, Members};
use quorum::{Config, Guarantee, Replica, Store, StoreError};

use crate::rig::n;

const TIMEOUT: Duration = Duration::from_secs(5);

fn start(config: Config, nodes: usize) -> (Threads<Replica>, Store) {
    let members = Members::first(nodes).expect("a cluster");
    let threads = Threads::start(config, members, Options::default()).expect("valid");
    let store = Store::new(threads.client(), TIMEOUT);
    (threads, store)
}

/// Waits for what must come true, and fails if it takes too long.
#[track_caller]
fn eventually(what: &str, mut is_true: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !is_true() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::yield_now();
    }
}

#[test]
fn put_get_delete() {
    let (threads, mut store) = start(Config::default(), 5);
    let first = store.put("key", "value").expect("all are up");
    let read = store.get("key").expect("all are up");
    assert_eq!(read.value, Some("value".into()));
    assert_eq!((read.version, read.guarantee), (first, Guarantee::Linearizable));
    let deleted = store.delete("key").expect("all are up");
    assert!(deleted > first);
    let read = store.get("key").expect("all are up");
    assert_eq!((read.value, read.version), (None, deleted));
    assert!(store.get("never").expect("all are up").version.is_zero());
    threads.shutdown();
}

#[test]
fn clients_on_many_threads_see_one_register() {
    let (threads, store) = start(Config::default(), 3);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let mut store = store.clone();
            scope.spawn(move || {
                let mut last = store.put("key", "start").expect("all are up");
                for number in 0..100 {
                    let read = store.get("key").expect("all are up").version;
                    assert!(read >= last, "a read went back");
                    last = store.put("key", format!("{number}")).expect("all are up");
                    assert!(last > read, "a write fell behind");
                }
            });
        }
    });
    threads.shutdown();
}

#[test]
fn a_node_fails_and_returns() {
    let probe = Duration::from_millis(50);
    let config = Config::default().with_probe_interval(probe).with_suspect_after(probe * 3);
    let (mut threads, mut store) = start(config, 3);
    threads.inject(&Fault::Crash { node: n(3) }).expect("taken");
    let mut live = |node| {
        let status = store.status(n(1)).expect("n1 is up");
        status.live.iter().any(|&(id, live)| id == node && live)
    };
    eventually("suspicion", || !live(n(3)));
    for key in ["a", "b", "c"] {
        store.put(key, "value").expect("two are up");
    }
    assert!(matches!(store.status(n(3)), Err(StoreError::NoAnswer(_))));
    threads.inject(&Fault::Restart { node: n(3) }).expect("taken");
    eventually("hints drain", || {
        let mut hints = |node| store.status(n(node)).expect("up").hints;
        let drained = hints(1) == 0 && hints(2) == 0;
        drained && store.status(n(3)).expect("up").keys == 3
    });
    threads.shutdown();
}
