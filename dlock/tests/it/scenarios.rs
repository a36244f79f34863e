//! What must hold, scenario by scenario, each over many seeds. Each returns a verdict rather than
//! panic, so that the planted bugs can be tried on it too.

use cluster::{Cluster, Fault};
use dlock::{Config, Error, Reply, Request};

use crate::support::{
    Verdict, World, cancel, expect, granted, ms, release, release_hold, renew, take, wait_for,
};

/// A scenario, by name.
pub(crate) type Scenario = (&'static str, fn(&Config, u64) -> Verdict);

pub(crate) const ALL: [Scenario; 11] = [
    ("first come, first served", first_come_first_served),
    ("leases end without anyone asking", leases_end_unasked),
    ("an idle service writes nothing", idle_writes_nothing),
    ("a dead holder's lock goes to who waits", dead_holder),
    ("a failover keeps leases", failover_keeps_leases),
    ("tokens grow across everything", tokens_grow),
    ("a retry gets what the first sending got", retries),
    ("a wait that ended never holds", ghosts),
    ("a cancelled attempt never holds", cancelled),
    ("release and renewal are verified", verified),
    ("a deposed leader answers no reads", deposed_reads),
];

/// Runs `scenario` over `seeds`.
#[track_caller]
fn check(name: &str, seeds: u64) {
    let (_, scenario) = ALL.iter().find(|(known, _)| *known == name).expect("a scenario");
    for seed in 0..seeds {
        if let Err(problem) = scenario(&Config::default(), seed) {
            panic!("{name}, seed {seed}: {problem}");
        }
    }
}

macro_rules! scenarios {
    ($($test:ident: $name:literal;)*) => {
        $(#[test] fn $test() { check($name, 30); })*
    };
}

scenarios! {
    waiters_are_served_first_come_first: "first come, first served";
    leases_end_without_anyone_asking: "leases end without anyone asking";
    an_idle_service_writes_nothing: "an idle service writes nothing";
    a_dead_holders_lock_goes_to_who_waits: "a dead holder's lock goes to who waits";
    a_failover_keeps_leases: "a failover keeps leases";
    tokens_grow_across_release_expiry_restart_and_failover: "tokens grow across everything";
    retries_are_idempotent: "a retry gets what the first sending got";
    a_wait_that_ended_never_holds: "a wait that ended never holds";
    a_cancelled_attempt_never_holds: "a cancelled attempt never holds";
    release_and_renewal_are_verified: "release and renewal are verified";
    a_deposed_leader_answers_no_reads: "a deposed leader answers no reads";
}

/// Five wait in line, served on release, in the order in which the leader took them.
fn first_come_first_served(config: &Config, seed: u64) -> Verdict {
    let mut world = World::new(config, 3, seed);
    let leader = world.await_leader()?;
    let mut token = world.grant(take("r", "holder", 1, 5_000))?.token;
    let mut line = Vec::new();
    for number in 0..5 {
        let owner = format!("waiter-{number}");
        let id = world.submit(leader, wait_for("r", &owner, 1, 5_000, 20_000));
        line.push((owner, id));
        // Further apart than any two requests can differ on their way.
        world.run_for(ms(2))?;
    }
    let mut holder = "holder".to_owned();
    for (owner, id) in line {
        world.run_for(ms(20))?;
        let released = world.submit(leader, release("r", &holder, token));
        let grant = granted(&Request::List, world.answer(id, ms(1_000))?)?;
        expect(matches!(world.answer(released, ms(1_000))?, Ok(Reply::Released { .. })), || {
            format!("{holder} could not release")
        })?;
        expect(grant.token > token, || format!("{:?} after {token:?}", grant.token))?;
        (holder, token) = (owner, grant.token);
    }
    Ok(())
}

fn leases_end_unasked(config: &Config, seed: u64) -> Verdict {
    let mut world = World::new(config, 3, seed);
    world.await_leader()?;
    let grant = world.grant(take("r", "ann", 1, 500))?;
    world.run_for(ms(490))?;
    expect(!world.expired.contains_key(&grant.token), || "the lease ended early".to_owned())?;
    world.run_for(ms(100))?;
    for &id in world.sim.members() {
        let held = world.sim.node(id).map(|node| node.table().held_count());
        expect(held == Some(0), || format!("{id} has {held:?} locks"))?;
    }
    Ok(())
}

fn idle_writes_nothing(config: &Config, seed: u64) -> Verdict {
    let mut world = World::new(config, 3, seed);
    let leader = world.await_leader()?;
    world.grant(take("r", "ann", 1, 60_000))?;
    let length = |world: &World| world.sim.node(leader).map(|node| node.raft().last_index());
    let before = length(&world);
    world.run_for(ms(30_000))?;
    expect(length(&world) == before, || format!("{before:?} grew to {:?}", length(&world)))?;
    world.run_for(ms(31_000))?;
    // One tick, for the one thing that was due.
    let after = before.map(|index| index.next());
    expect(length(&world) == after, || format!("{:?} instead of {after:?}", length(&world)))
}

/// The holder is never heard of again: the first in line has the lock within its TTL.
fn dead_holder(config: &Config, seed: u64) -> Verdict {
    let mut world = World::new(config, 3, seed);
    let leader = world.await_leader()?;
    let first = world.grant(take("r", "dead", 1, 800))?;
    let request = wait_for("r", "bob", 1, 1_000, 5_000);
    let sent = world.now();
    let id = world.submit(leader, request.clone());
    let grant = granted(&request, world.answer(id, ms(800 + 50))?)?;
    expect(grant.token > first.token, || format!("{grant:?} after {first:?}"))?;
    // Counted from the sending: the wait and the lease, and no more.
    let waited = world.now().since(sent);
    expect(grant.valid_for <= waited + ms(1_000) && grant.valid_for > ms(1_000), || {
        format!("{grant:?} after {waited:?}")
    })
}

/// The leader dies; the lease goes on for as long as promised at least, and ends all the same.
fn failover_keeps_leases(config: &Config, seed: u64) -> Verdict {
    let mut world = World::new(config, 3, seed);
    let leader = world.await_leader()?;
    let sent = world.now();
    let grant = world.grant(take("r", "ann", 1, 3_000))?;
    world.run_for(ms(100))?;
    world.inject(Fault::Crash { node: leader });
    let successor = world.await_leader()?;
    expect(successor != leader, || "the dead leader leads".to_owned())?;
    let end = sent + grant.valid_for;
    while world.now() + ms(50) < end {
        let other = world.ask(take("r", "bob", world.now().as_nanos(), 1_000))?;
        expect(matches!(other, Err(Error::Held { .. })), || {
            format!("with {:?} of ann's lease left: {other:?}", end.since(world.now()))
        })?;
        world.run_for(ms(200))?;
    }
    // Log time stood still between the last command and the election: at most that much longer.
    world.run_for(ms(3_000))?;
    expect(!world.is_locked("r")?, || "still locked, a TTL after the failover".to_owned())
}

/// Each grant has a greater token than the one before, whatever happened between.
fn tokens_grow(config: &Config, seed: u64) -> Verdict {
    let mut world = World::new(config, 3, seed);
    let mut last = dlock::FencingToken::ZERO;
    for round in 0..8u64 {
        let leader = world.await_leader()?;
        let grant = world.grant(take("r", "ann", round, 200))?;
        expect(grant.token > last, || format!("{:?} after {last:?}", grant.token))?;
        last = grant.token;
        match (round + seed) % 4 {
            0 => drop(world.ask(release_hold("r", "ann", grant.token, round))?),
            1 => world.run_for(ms(300))?,
            2 => {
                world.inject(Fault::Crash { node: leader });
                world.run_for(ms(1_000))?;
                world.inject(Fault::Restart { node: leader });
            }
            _ => {
                world.inject(Fault::PowerLoss);
                for node in world.sim.members().to_vec() {
                    world.inject(Fault::Restart { node });
                }
            }
        }
        let gone = |world: &World| {
            world.leader().and_then(|id| world.sim.node(id)).is_some_and(|node| {
                let raft = node.raft();
                let known = raft.leads_from().is_some_and(|first| raft.applied_index() >= first);
                known && node.table().held_count() == 0
            })
        };
        world.run_until(ms(5_000), "the lock comes free", gone)?;
    }
    Ok(())
}

/// Who has lost the answer asks the new leader again, and has one hold, or one place in line.
fn retries(config: &Config, seed: u64) -> Verdict {
    let mut world = World::new(config, 3, seed);
    let leader = world.await_leader()?;
    let first = world.grant(take("r", "ann", 1, 4_000))?;
    let again = world.grant(take("r", "ann", 1, 4_000))?;
    expect((again.token, again.holds) == (first.token, 1), || format!("{again:?}: {first:?}"))?;
    let bob = world.submit(leader, wait_for("r", "bob", 1, 1_000, 10_000));
    world.run_for(ms(2))?;
    let cat = world.submit(leader, wait_for("r", "cat", 1, 1_000, 10_000));
    world.run_for(ms(50))?;
    world.inject(Fault::Crash { node: leader });
    world.run_for(ms(5))?;
    for id in [bob, cat] {
        let lost = world.take_answer(id).map(|completion| completion.outcome);
        expect(matches!(lost, Some(Err(_))), || format!("{id:?}: {lost:?}"))?;
    }
    let leader = world.await_leader()?;
    // In the other order: the places in line are those of the first sending.
    let cat = world.submit(leader, wait_for("r", "cat", 1, 1_000, 10_000));
    world.run_for(ms(5))?;
    let bob = world.submit(leader, wait_for("r", "bob", 1, 1_000, 10_000));
    world.run_for(ms(5))?;
    let waiters = world.info("r")?.map(|info| info.waiters);
    expect(waiters == Some(2), || format!("{waiters:?} in line"))?;
    let again = world.grant(take("r", "ann", 1, 4_000))?;
    expect((again.token, again.holds) == (first.token, 1), || format!("{again:?}: {first:?}"))?;
    world.ask(release_hold("r", "ann", first.token, 1))?.map_err(|error| error.to_string())?;
    let bob = granted(&Request::List, world.answer(bob, ms(1_000))?)?;
    let cat = granted(&Request::List, world.answer(cat, ms(3_000))?)?;
    expect(first.token < bob.token && bob.token < cat.token, || format!("{bob:?}, {cat:?}"))?;
    // Whoever frees it twice frees it once.
    let twice = world.ask(release_hold("r", "ann", first.token, 1))?;
    expect(twice == Err(Error::NotHolder), || format!("{twice:?}"))
}

/// The wait ends, the lock comes free later: who waited does not get it.
fn ghosts(config: &Config, seed: u64) -> Verdict {
    let mut world = World::new(config, 3, seed);
    let leader = world.await_leader()?;
    let first = world.grant(take("r", "ann", 1, 2_000))?;
    let bob = world.submit(leader, wait_for("r", "bob", 1, 1_000, 300));
    let timed_out = world.answer(bob, ms(300 + 50))?;
    expect(timed_out == Err(Error::WaitTimedOut), || format!("{timed_out:?}"))?;
    // Also across a change of leader: its deadline is in the table.
    let cat = world.submit(leader, wait_for("r", "cat", 1, 1_000, 400));
    world.run_for(ms(20))?;
    world.inject(Fault::Crash { node: leader });
    let _ = world.answer(cat, ms(50));
    world.await_leader()?;
    world.run_for(ms(500))?;
    world.ask(release_hold("r", "ann", first.token, 1))?.map_err(|error| error.to_string())?;
    expect(!world.is_locked("r")?, || "somebody who has gone was let in".to_owned())?;
    let late = world.ask(wait_for("r", "bob", 1, 1_000, 300))?;
    expect(late == Err(Error::WaitTimedOut), || format!("{late:?}"))
}

/// A cancelled attempt, waiting, holding or not yet arrived, has nothing and gets nothing.
fn cancelled(config: &Config, seed: u64) -> Verdict {
    let mut world = World::new(config, 3, seed);
    let leader = world.await_leader()?;
    let first = world.grant(take("r", "ann", 1, 5_000))?;
    let bob = world.submit(leader, wait_for("r", "bob", 1, 1_000, 5_000));
    let cat = world.submit(leader, wait_for("r", "cat", 1, 1_000, 5_000));
    world.run_for(ms(20))?;
    for (owner, attempt) in [("bob", 1), ("ann", 1), ("dan", 1)] {
        let response = world.ask(cancel("r", owner, attempt))?;
        expect(response == Ok(Reply::Cancelled), || format!("{owner}: {response:?}"))?;
    }
    let bob = world.answer(bob, ms(100))?;
    expect(bob == Err(Error::Cancelled), || format!("bob: {bob:?}"))?;
    let cat = granted(&Request::List, world.answer(cat, ms(100))?)?;
    expect(cat.token > first.token, || format!("cat: {cat:?}"))?;
    world.ask(release("r", "cat", cat.token))?.map_err(|error| error.to_string())?;
    let dan = world.ask(take("r", "dan", 1, 1_000))?;
    expect(dan == Err(Error::Cancelled), || format!("dan: {dan:?}"))
}

/// By owner and token, and only while the lease lasts.
fn verified(config: &Config, seed: u64) -> Verdict {
    let mut world = World::new(config, 3, seed);
    let first = world.grant(take("r", "ann", 1, 300))?;
    let refusals = [
        (release("r", "bob", first.token), Error::NotHolder),
        (renew("r", "bob", first.token, 300), Error::NotHolder),
        (release("r", "ann", first.token.next()), Error::StaleToken { current: first.token }),
        (renew("r", "ann", first.token.next(), 300), Error::StaleToken { current: first.token }),
    ];
    for (request, error) in refusals {
        let response = world.ask(request.clone())?;
        expect(response.as_ref() == Err(&error), || format!("{request:?}: {response:?}"))?;
    }
    let renewed = world.ask(renew("r", "ann", first.token, 400))?;
    expect(matches!(renewed, Ok(Reply::Renewed { renewals: 1, .. })), || format!("{renewed:?}"))?;
    world.run_for(ms(390))?;
    expect(world.is_locked("r")?, || "the renewal did not last".to_owned())?;
    world.run_for(ms(60))?;
    let late = world.ask(renew("r", "ann", first.token, 400))?;
    expect(late == Err(Error::NotHolder), || format!("after the end: {late:?}"))?;
    let second = world.grant(take("r", "ann", 2, 300))?;
    let stale = world.ask(release("r", "ann", first.token))?;
    let current = second.token;
    expect(stale == Err(Error::StaleToken { current }), || format!("{stale:?}"))
}

/// The leader is cut off, and does not know it. What it would say is not what is.
fn deposed_reads(config: &Config, seed: u64) -> Verdict {
    let mut world = World::new(config, 3, seed);
    let old = world.await_leader()?;
    let first = world.grant(take("r", "ann", 1, 60_000))?;
    let others = world.followers(old);
    world.inject(Fault::Partition { groups: vec![vec![old], others] });
    world.run_until(ms(5_000), "another leader", |world| world.leader() != Some(old))?;
    world.ask(release("r", "ann", first.token))?.map_err(|error| error.to_string())?;
    world.grant(take("r", "bob", 1, 60_000))?;
    let asked = [
        world.submit(old, Request::Info { resource: "r".into() }),
        world.submit(old, Request::List),
        world.submit(old, take("r", "ann", 2, 1_000)),
    ];
    world.run_for(ms(500))?;
    for (place, id) in asked.into_iter().enumerate() {
        if let Some(completion) = world.take_answer(id) {
            // Once it has stepped down, it does not know what becomes of a command.
            let refused = match completion.outcome {
                Ok(Err(Error::NotLeader { .. })) => true,
                Ok(Err(Error::Unknown)) => place == 2,
                _ => false,
            };
            expect(refused, || format!("{old} answered {:?}", completion.outcome))?;
        }
    }
    world.inject(Fault::Heal);
    world.run_for(ms(1_000))?;
    let holder = world.info("r")?.map(|info| info.owner);
    expect(holder == Some("bob".into()), || format!("{holder:?} holds it"))
}
