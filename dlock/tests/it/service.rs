//! The service as clients see it, in virtual time.

use cluster::{Cluster, Fault, Timestamp};
use dlock::{AttemptId, Config, Error, FencingToken, LockInfo, Reply, Request};

use crate::support::{World, granted, ms, release, renew, take, wait_for};

/// Asks for each of `requests` of a fresh service, and compares the answers.
#[track_caller]
fn check(requests: Vec<(Request, Result<Reply, Error>)>) {
    let mut world = World::new(&Config::default(), 3, 1);
    for (request, expected) in requests {
        let found = world.ask(request.clone()).expect("an answer");
        assert_eq!(found, expected, "{request:?}");
    }
}

#[test]
fn ttls_out_of_bounds_are_refused_without_effect() {
    let (min, max) = (ms(10), ms(3_600_000));
    let invalid = |ttl| Err(Error::InvalidTtl { ttl: ms(ttl), min, max });
    check(vec![
        (take("r", "ann", 1, 0), invalid(0)),
        (take("r", "ann", 1, 3_600_001), invalid(3_600_001)),
        (wait_for("r", "ann", 1, 9, 100), invalid(9)),
        (renew("r", "ann", FencingToken::new(1), 0), invalid(0)),
        (Request::IsLocked { resource: "r".into() }, Ok(Reply::Locked(false))),
        (Request::List, Ok(Reply::Locks(Vec::new()))),
    ]);
    let error = Error::InvalidTtl { ttl: ms(0), min, max }.to_string();
    assert_eq!(error, "ttl is 0ns, expected 10ms to 3600s; nothing was done");
}

#[test]
fn a_request_without_a_ttl_gets_the_configured_one() {
    let mut world = World::new(&Config::default().with_ttl_default(ms(700)), 3, 1);
    let attempt = AttemptId::new(1);
    let (resource, owner) = ("r".into(), "ann".into());
    let request = Request::TryAcquire { resource, owner, attempt, ttl: None };
    assert_eq!(world.grant(request).expect("free").ttl, ms(700));
    world.run_for(ms(720)).expect("holds");
    assert!(!world.is_locked("r").expect("an answer"));
}

#[test]
fn info_and_list_show_who_holds_what() {
    let mut world = World::new(&Config::default(), 3, 1);
    let door = world.grant(take("door", "ann", 1, 10_000)).expect("free");
    world.grant(take("door", "ann", 2, 10_000)).expect("re-entered");
    world.grant(take("room", "bob", 1, 20_000)).expect("free");
    world.ask(renew("door", "ann", door.token, 15_000)).expect("an answer").expect("renewed");
    let leader = world.leader().expect("one");
    world.submit(leader, wait_for("door", "cat", 1, 1_000, 60_000));
    world.run_for(ms(1_000)).expect("holds");
    let info = world.info("door").expect("an answer").expect("locked");
    let LockInfo { held_for, remaining, .. } = info;
    assert!(held_for >= ms(1_000) && held_for < ms(1_100), "{held_for:?}");
    assert!(remaining <= ms(14_000) && remaining > ms(13_900), "{remaining:?}");
    let expected = LockInfo {
        resource: "door".into(),
        owner: "ann".into(),
        token: door.token,
        holds: 2,
        renewals: 1,
        ttl: ms(15_000),
        held_for,
        remaining,
        waiters: 1,
    };
    assert_eq!(info, expected);
    let Ok(Reply::Locks(list)) = world.ask(Request::List).expect("an answer") else { panic!() };
    let names: Vec<&str> = list.iter().map(|info| info.resource.as_str()).collect();
    assert_eq!(names, ["door", "room"]);
}

#[test]
fn a_single_node_serves() {
    let mut world = World::new(&Config::default(), 1, 1);
    let first = world.grant(take("r", "ann", 1, 1_000)).expect("free");
    let leader = world.leader().expect("one");
    let waiting = world.submit(leader, wait_for("r", "bob", 1, 1_000, 5_000));
    let second = world.answer(waiting, ms(1_100)).expect("an answer");
    let second = granted(&Request::List, second).expect("free by then");
    assert!(second.token > first.token);
    world.inject(Fault::PowerLoss);
    world.inject(Fault::Restart { node: leader });
    let third = world.grant(take("q", "cat", 1, 1_000)).expect("free");
    assert!(third.token > second.token);
}

#[test]
fn a_follower_says_who_leads() {
    let mut world = World::new(&Config::default(), 3, 1);
    let leader = world.await_leader().expect("one");
    world.run_for(ms(200)).expect("holds");
    let follower = world.followers(leader)[0];
    for request in [take("r", "ann", 1, 1_000), Request::List, Request::HandOver] {
        let id = world.submit(follower, request);
        let refused = world.answer(id, ms(100)).expect("an answer");
        assert_eq!(refused, Err(Error::NotLeader { leader: Some(leader) }));
    }
}

/// Locks stay as they are, and whoever waits in line where the lead was is answered there.
#[test]
fn a_leader_hands_over_with_all_that_is_locked() {
    let mut world = World::new(&Config::default(), 3, 1);
    let old = world.await_leader().expect("one");
    let held = world.grant(take("r", "ann", 1, 10_000)).expect("free");
    let waiting = world.submit(old, wait_for("r", "bob", 1, 1_000, 60_000));
    world.run_for(ms(100)).expect("holds");
    let asked = world.submit(old, Request::HandOver);
    let answer = world.answer(asked, ms(100)).expect("an answer");
    let Ok(Reply::HandedOver { to }) = answer else { panic!("{answer:?}") };
    assert_ne!(to, old);
    assert_eq!(world.info("r").expect("an answer").map(|info| info.token), Some(held.token));
    assert_eq!(world.leader(), Some(to));
    world.ask(release("r", "ann", held.token)).expect("an answer").expect("it was held");
    let next = granted(&Request::HandOver, world.answer(waiting, ms(100)).expect("an answer"));
    assert!(next.expect("its turn").token > held.token);
}

#[test]
fn a_leader_that_is_alone_cannot_hand_over() {
    let mut world = World::new(&Config::default(), 1, 1);
    let refused = world.ask(Request::HandOver).expect("an answer");
    assert_eq!(refused, Err(Error::NotHandedOver));
}

/// A leader without a majority promises nothing, however long it takes itself for one.
#[test]
fn a_cut_off_leader_grants_nothing() {
    for seed in 0..20 {
        let mut world = World::new(&Config::default(), 3, seed);
        let old = world.await_leader().expect("one");
        let others = world.followers(old);
        world.inject(Fault::Partition { groups: vec![vec![old], others] });
        let lost = world.submit(old, take("r", "ann", 1, 60_000));
        let bob = world.grant(take("r", "bob", 1, 60_000));
        let bob = bob.or_else(|_| world.grant(take("r", "bob", 1, 60_000)));
        bob.unwrap_or_else(|problem| panic!("seed {seed}: {problem}"));
        world.inject(Fault::Heal);
        let response = world.answer(lost, ms(2_000)).expect("an answer, then or before");
        assert_eq!(response, Err(Error::Unknown), "seed {seed}");
        let holder = world.info("r").expect("an answer").expect("locked").owner;
        assert_eq!(holder.as_str(), "bob", "seed {seed}");
    }
}

/// The leader stands still past the end of a lease; what it does on waking, it does in the log, or
/// not at all (a stalled old leader must not revoke live leases: etcd #15247).
#[test]
fn a_leader_that_wakes_up_late_ends_no_lease_of_its_successors() {
    for seed in 0..20 {
        let mut world = World::new(&Config::default(), 3, seed);
        let old = world.await_leader().expect("one");
        let lease = world.grant(take("r", "ann", 1, 1_000)).expect("free");
        world.inject(Fault::Pause { node: old });
        world.run_for(ms(600)).expect("holds");
        let renewed = world.ask(renew("r", "ann", lease.token, 5_000)).expect("an answer");
        renewed.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        world.run_for(ms(1_000)).expect("holds");
        world.inject(Fault::Resume { node: old });
        world.run_for(ms(1_000)).expect("holds");
        assert!(world.is_locked("r").expect("an answer"), "seed {seed}");
        assert!(!world.expired.contains_key(&lease.token), "seed {seed}");
    }
}

/// What a node's wall clock shows decides nothing.
#[test]
fn wall_clock_jumps_change_nothing() {
    let digest = |jump_nanos| {
        let mut world = World::new(&Config::default(), 3, 1);
        world.await_leader().expect("one");
        let lease = world.grant(take("r", "ann", 1, 1_000)).expect("free");
        for node in world.sim.members().to_vec() {
            let clock = cluster::ClockFault { drift_ppm: 0, jump_nanos };
            world.inject(Fault::Clock { node, clock });
        }
        world.run_for(ms(1_200)).expect("holds");
        let ended: Option<Timestamp> = world.expired.get(&lease.token).copied();
        (ended, world.now())
    };
    assert_eq!(digest(0), digest(3_600_000_000_000));
    assert_eq!(digest(0), digest(-3_600_000_000_000));
}

/// Both the node's own answer and the retry's are one grant.
#[test]
fn a_retry_that_waits_beside_the_first_sending_is_answered_too() {
    let mut world = World::new(&Config::default(), 3, 1);
    let leader = world.await_leader().expect("one");
    let first = world.grant(take("r", "ann", 1, 5_000)).expect("free");
    let one = world.submit(leader, wait_for("r", "bob", 1, 1_000, 5_000));
    world.run_for(ms(100)).expect("holds");
    let two = world.submit(leader, wait_for("r", "bob", 1, 1_000, 5_000));
    world.run_for(ms(100)).expect("holds");
    world.ask(release("r", "ann", first.token)).expect("an answer").expect("released");
    let answer = |world: &mut World, id| {
        granted(&Request::List, world.answer(id, ms(100)).expect("an answer")).expect("a grant")
    };
    let (one, two) = (answer(&mut world, one), answer(&mut world, two));
    assert_eq!((one.token, one.holds), (two.token, two.holds));
    // Each counts from its own sending.
    let apart = one.valid_for - two.valid_for;
    assert!(apart > ms(99) && apart < ms(102), "{apart:?}");
}
