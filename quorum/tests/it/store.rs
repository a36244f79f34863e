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
    let store = Store::new(threads.caller(), TIMEOUT);
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
    let (threads, store) = start(Config::default(), 5);
    let first = store.put("key", "value").wait().expect("all are up");
    let read = store.get("key").wait().expect("all are up");
    assert_eq!(read.value, Some("value".into()));
    assert_eq!((read.version, read.guarantee), (first, Guarantee::Linearizable));
    let deleted = store.delete("key").wait().expect("all are up");
    assert!(deleted > first);
    let read = store.get("key").wait().expect("all are up");
    assert_eq!((read.value, read.version), (None, deleted));
    assert!(store.get("never").wait().expect("all are up").version.is_zero());
    threads.shutdown();
}

#[test]
fn clients_on_many_threads_see_one_register() {
    let (threads, store) = start(Config::default(), 3);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let store = store.clone();
            scope.spawn(move || {
                let mut last = store.put("key", "start").wait().expect("all are up");
                for number in 0..100 {
                    let read = store.get("key").wait().expect("all are up").version;
                    assert!(read >= last, "a read went back");
                    last = store.put("key", format!("{number}")).wait().expect("all are up");
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
    let (mut threads, store) = start(config, 3);
    threads.inject(&Fault::Crash { node: n(3) }).expect("taken");
    let live = |node| {
        let status = store.status(n(1)).wait().expect("n1 is up");
        status.live.iter().any(|&(id, live)| id == node && live)
    };
    eventually("suspicion", || !live(n(3)));
    for key in ["a", "b", "c"] {
        store.put(key, "value").wait().expect("two are up");
    }
    assert!(matches!(store.status(n(3)).wait(), Err(StoreError::NoAnswer(_))));
    threads.inject(&Fault::Restart { node: n(3) }).expect("taken");
    eventually("hints drain", || {
        let hints = |node| store.status(n(node)).wait().expect("up").hints;
        let drained = hints(1) == 0 && hints(2) == 0;
        drained && store.status(n(3)).wait().expect("up").keys == 3
    });
    threads.shutdown();
}

/// A node that is asked and stands still: a read goes on to the next, a write says that it cannot know, by
/// its deadline; both awaited, and one that is dropped holds nothing up.
#[test]
fn a_node_that_stands_still_holds_up_writes_only() {
    let members = Members::first(3).expect("a cluster");
    let mut threads: Threads<Replica> =
        Threads::start(Config::default(), members, Options::default()).expect("valid");
    let caller = threads.caller();
    let store = Store::new(caller.clone(), Duration::from_secs(20));
    let hasty = Store::new(caller, Duration::from_millis(100));
    pollster::block_on(async {
        // Whoever has answered is asked first.
        let written = store.put("key", "value").await.expect("all are up");
        threads.inject(&Fault::Pause { node: n(1) }).expect("taken");
        drop(hasty.put("key", "dropped"));
        let (read, write) = (store.get("key"), hasty.put("other", "value"));
        let begun = Instant::now();
        let unknown = write.await.expect_err("it stands still");
        assert!(!unknown.is_without_effect() && begun.elapsed() < TIMEOUT, "{unknown}");
        assert_eq!(read.await.expect("at another").version, written);
        threads.inject(&Fault::Resume { node: n(1) }).expect("taken");
    });
    threads.shutdown();
}
