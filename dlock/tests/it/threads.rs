//! The service on threads, in real time: what blocks, wakes up; what is shut down, ends.

use std::time::{Duration, Instant};

use cluster::threads::{Options, Threads};
use cluster::{Cluster, Fault, Members, NodeId};
use dlock::{Config, Error, LockError, LockNode, Locks};

use crate::support::ms;

fn start() -> Threads<LockNode> {
    let config = Config::default().with_ttl_default(ms(20_000));
    Threads::start(config, Members::first(3).expect("three nodes"), Options::default())
        .expect("valid")
}

/// Waits for a leader, for at most ten seconds.
fn leader(cluster: &mut Threads<LockNode>) -> NodeId {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let members = cluster.members().to_vec();
        if let Some(leader) = members.into_iter().find(|&id| cluster.state(id).leads()) {
            return leader;
        }
        assert!(Instant::now() < deadline, "no leader");
        std::thread::yield_now();
    }
}

/// Waits until so many stand in line for `r`, which is locked.
#[track_caller]
fn await_waiters(locks: &Locks, count: usize) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while locks.info("r").wait().expect("an answer").expect("locked").waiters != count {
        assert!(Instant::now() < deadline, "there are not {count} in line");
    }
}

#[test]
fn locks_are_taken_renewed_and_given_back() {
    let cluster = start();
    let ann = Locks::new(cluster.caller(), "ann");
    let bob = Locks::new(cluster.caller(), "bob");
    let sent = Instant::now();
    let mut lease = ann.try_acquire("r", None).wait().expect("free");
    assert!(lease.is_valid(Instant::now()));
    assert!(lease.valid_until <= Instant::now() + ms(20_000), "counted from the sending");
    assert!(lease.valid_until > sent + ms(19_900));
    let held = bob.try_acquire("r", None).wait().expect_err("held");
    assert!(matches!(held, LockError::Refused(Error::Held { .. })), "{held}");
    lease = ann.renew(&lease, Some(ms(40_000))).wait().expect("held");
    assert_eq!(lease.renewals, 1);
    assert!(lease.valid_until > Instant::now() + ms(30_000));
    assert_eq!(bob.info("r").wait().expect("an answer").expect("locked").token, lease.token);
    assert_eq!(bob.list().wait().expect("an answer").len(), 1);
    ann.release(&lease).wait().expect("held");
    assert_eq!(ann.release(&lease).wait(), Err(LockError::Refused(Error::NotHolder)));
    assert!(!ann.is_locked("r").wait().expect("an answer"));
    let zero = ann.try_acquire("r", Some(ms(0))).wait().expect_err("no TTL");
    assert!(matches!(zero, LockError::Refused(Error::InvalidTtl { .. })), "{zero}");
    cluster.shutdown();
}

#[test]
fn who_waits_is_woken_by_the_release() {
    let cluster = start();
    let ann = Locks::new(cluster.caller(), "ann");
    let lease = ann.try_acquire("r", None).wait().expect("free");
    let bob = Locks::new(cluster.caller(), "bob");
    let waiting = bob.acquire("r", None, Duration::from_secs(20));
    await_waiters(&ann, 1);
    ann.release(&lease).wait().expect("held");
    let second = pollster::block_on(waiting).expect("granted");
    assert!(second.token > lease.token);
    assert!(second.is_valid(Instant::now()));
    cluster.shutdown();
}

#[test]
fn who_waits_in_vain_is_told_so_and_leaves_the_line() {
    let cluster = start();
    let ann = Locks::new(cluster.caller(), "ann");
    let lease = ann.try_acquire("r", None).wait().expect("free");
    let bob = Locks::new(cluster.caller(), "bob");
    let start = Instant::now();
    let outcome = bob.acquire("r", None, ms(100)).wait();
    assert_eq!(outcome, Err(LockError::Refused(Error::WaitTimedOut)));
    assert!(start.elapsed() >= ms(100));
    assert_eq!(ann.info("r").wait().expect("an answer").expect("locked").waiters, 0);
    ann.release(&lease).wait().expect("held");
    assert!(!ann.is_locked("r").wait().expect("an answer"));
    cluster.shutdown();
}

/// The leader dies while somebody waits. The wait goes on in the same place, at the next leader.
#[test]
fn a_wait_survives_the_leader() {
    let mut cluster = start();
    let dead = leader(&mut cluster);
    let ann = Locks::new(cluster.caller(), "ann");
    let lease = ann.try_acquire("r", None).wait().expect("free");
    let bob = Locks::new(cluster.caller(), "bob");
    let waiting = bob.acquire("r", None, Duration::from_secs(30));
    await_waiters(&ann, 1);
    cluster.inject(&Fault::Crash { node: dead }).expect("threads can be stopped");
    ann.release(&lease).wait().expect("held");
    let second = pollster::block_on(waiting).expect("granted");
    assert!(second.token > lease.token);
    cluster.shutdown();
}

/// Whoever gives up, in line or once the lock is his, leaves nothing behind.
#[test]
fn an_acquire_that_is_dropped_is_cancelled() {
    let cluster = start();
    let ann = Locks::new(cluster.caller(), "ann");
    let bob = Locks::new(cluster.caller(), "bob");
    let lease = ann.try_acquire("r", None).wait().expect("free");
    let waiting = bob.acquire("r", None, Duration::from_secs(60));
    await_waiters(&ann, 1);
    drop(waiting);
    await_waiters(&ann, 0);
    ann.release(&lease).wait().expect("held");
    for unwanted in [bob.try_acquire("r", None), bob.acquire("r", None, ms(100))] {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !ann.is_locked("r").wait().expect("an answer") {
            assert!(Instant::now() < deadline, "bob does not get it");
        }
        drop(unwanted);
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    while ann.is_locked("r").wait().expect("an answer") {
        assert!(Instant::now() < deadline, "bob's hold is left");
    }
    cluster.shutdown();
}

/// Attempts of one handle and its clones are different ones: each is a hold of its own.
#[test]
fn clones_hold_beside_each_other() {
    let cluster = start();
    let one = Locks::new(cluster.caller(), "ann");
    let other = one.clone();
    let calls = [one.try_acquire("r", None), other.try_acquire("r", None)];
    let leases = calls.map(|call| call.wait().expect("the owner's own"));
    assert_eq!(leases[0].token, leases[1].token);
    assert_eq!(leases.iter().map(|lease| lease.holds).max(), Some(2));
    one.release(&leases[0]).wait().expect("held");
    assert!(one.is_locked("r").wait().expect("an answer"));
    one.release(&leases[1]).wait().expect("held");
    assert!(!one.is_locked("r").wait().expect("an answer"));
    cluster.shutdown();
}

#[test]
fn without_a_majority_nothing_is_granted() {
    let mut cluster = start();
    leader(&mut cluster);
    for node in [1, 2, 3] {
        cluster.inject(&Fault::Crash { node: NodeId::new(node) }).expect("can be stopped");
    }
    let ann = Locks::new(cluster.caller(), "ann").patience(ms(400));
    let error = ann.try_acquire("r", None).wait().expect_err("nobody is there");
    // Unknown only if a thread that should have said that its node is down was not scheduled.
    let nothing = matches!(error, LockError::Unavailable { .. } | LockError::Unknown { .. });
    assert!(nothing, "{error}");
    cluster.shutdown();
}
