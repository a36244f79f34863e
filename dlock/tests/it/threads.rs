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

#[test]
fn locks_are_taken_renewed_and_given_back() {
    let cluster = start();
    let mut ann = Locks::new(cluster.client(), "ann");
    let mut bob = Locks::new(cluster.client(), "bob");
    let sent = Instant::now();
    let mut lease = ann.try_acquire("r", None).expect("free");
    assert!(lease.is_valid(Instant::now()));
    assert!(lease.valid_until <= Instant::now() + ms(20_000), "counted from the sending");
    assert!(lease.valid_until > sent + ms(19_900));
    let held = bob.try_acquire("r", None).expect_err("held");
    assert!(matches!(held, LockError::Refused(Error::Held { .. })), "{held}");
    assert_eq!(ann.renew(&mut lease, Some(ms(40_000))), Ok(1));
    assert!(lease.valid_until > Instant::now() + ms(30_000));
    assert_eq!(bob.info("r").expect("an answer").expect("locked").token, lease.token);
    assert_eq!(bob.list().expect("an answer").len(), 1);
    ann.release(&lease).expect("held");
    assert_eq!(ann.release(&lease), Err(LockError::Refused(Error::NotHolder)));
    assert!(!ann.is_locked("r").expect("an answer"));
    let zero = ann.try_acquire("r", Some(ms(0))).expect_err("no TTL");
    assert!(matches!(zero, LockError::Refused(Error::InvalidTtl { .. })), "{zero}");
    cluster.shutdown();
}

#[test]
fn who_waits_is_woken_by_the_release() {
    let cluster = start();
    let mut ann = Locks::new(cluster.client(), "ann");
    let lease = ann.try_acquire("r", None).expect("free");
    let mut bob = Locks::new(cluster.client(), "bob");
    let waiting = std::thread::spawn(move || bob.acquire("r", None, Duration::from_secs(20)));
    let deadline = Instant::now() + Duration::from_secs(10);
    while ann.info("r").expect("an answer").expect("locked").waiters == 0 {
        assert!(Instant::now() < deadline, "bob does not stand in line");
    }
    ann.release(&lease).expect("held");
    let second = waiting.join().expect("no panic").expect("granted");
    assert!(second.token > lease.token);
    assert!(second.is_valid(Instant::now()));
    cluster.shutdown();
}

#[test]
fn who_waits_in_vain_is_told_so_and_leaves_the_line() {
    let cluster = start();
    let mut ann = Locks::new(cluster.client(), "ann");
    let lease = ann.try_acquire("r", None).expect("free");
    let mut bob = Locks::new(cluster.client(), "bob");
    let start = Instant::now();
    let outcome = bob.acquire("r", None, ms(100));
    assert_eq!(outcome, Err(LockError::Refused(Error::WaitTimedOut)));
    assert!(start.elapsed() >= ms(100));
    assert_eq!(ann.info("r").expect("an answer").expect("locked").waiters, 0);
    ann.release(&lease).expect("held");
    assert!(!ann.is_locked("r").expect("an answer"));
    cluster.shutdown();
}

/// The leader dies while somebody waits. The wait goes on in the same place, at the next leader.
#[test]
fn a_wait_survives_the_leader() {
    let mut cluster = start();
    let dead = leader(&mut cluster);
    let mut ann = Locks::new(cluster.client(), "ann");
    let lease = ann.try_acquire("r", None).expect("free");
    let mut bob = Locks::new(cluster.client(), "bob");
    let waiting = std::thread::spawn(move || bob.acquire("r", None, Duration::from_secs(30)));
    let deadline = Instant::now() + Duration::from_secs(10);
    while ann.info("r").expect("an answer").expect("locked").waiters == 0 {
        assert!(Instant::now() < deadline, "bob does not stand in line");
    }
    cluster.inject(&Fault::Crash { node: dead }).expect("threads can be stopped");
    ann.release(&lease).expect("held");
    let second = waiting.join().expect("no panic").expect("granted");
    assert!(second.token > lease.token);
    cluster.shutdown();
}

#[test]
fn without_a_majority_nothing_is_granted() {
    let mut cluster = start();
    leader(&mut cluster);
    for node in [1, 2, 3] {
        cluster.inject(&Fault::Crash { node: NodeId::new(node) }).expect("can be stopped");
    }
    let mut ann = Locks::new(cluster.client(), "ann").patience(ms(400));
    let error = ann.try_acquire("r", None).expect_err("nobody is there");
    // Unknown only if a thread that should have said that its node is down was not scheduled.
    let nothing = matches!(error, LockError::Unavailable { .. } | LockError::Unknown { .. });
    assert!(nothing, "{error}");
    cluster.shutdown();
}
