//! The six tests of a lock service's client, on three nodes, each a thread.
//!
//! `cargo run -p dlock --example demo`. Exits with an error if an expectation fails.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use cluster::Members;
use cluster::threads::{Options, Threads};
use dlock::{Config, Error, FencedResource, Lease, LockError, LockNode, Locks};

const TTL: Duration = Duration::from_millis(5_000);
const SHORT_TTL: Duration = Duration::from_millis(400);
const SLACK: Duration = Duration::from_millis(2_000);

fn main() -> Result<()> {
    println!("=== Distributed locks: 3 nodes, leases with fencing tokens ===");
    let config = Config::default().with_ttl_default(TTL);
    let cluster = Threads::<LockNode>::start(config, Members::first(3)?, Options::default())?;
    let locks = |owner: &str| Locks::new(cluster.caller(), owner);
    let (client1, client2) = (locks("client1"), locks("client2"));

    acquire_and_release(&client1).context("test 1")?;
    concurrent_acquisition(&client1, &client2).context("test 2")?;
    expiration(&client1, &client2).context("test 3")?;
    renewal(&client1).context("test 4")?;
    fencing_tokens(&client1, &client2).context("test 5")?;
    blocking_acquire(&client1, client2).context("test 6")?;

    cluster.shutdown();
    println!("\nAll as expected; every thread is joined.");
    Ok(())
}

fn acquire_and_release(client1: &Locks) -> Result<()> {
    println!("\n--- Test 1: acquire and release ---");
    let lease = client1.try_acquire("resource1", None).wait()?;
    println!("client1 acquired resource1, {}", told(&lease));
    ensure!(client1.is_locked("resource1").wait()?, "it should be locked");
    client1.release(&lease).wait()?;
    ensure!(!client1.is_locked("resource1").wait()?, "it should be free");
    println!("client1 released it; locked: false");
    let again = client1.release(&lease).wait();
    ensure!(again == Err(LockError::Refused(Error::NotHolder)), "released twice: {again:?}");
    println!("to release it again is refused: not the holder");
    Ok(())
}

fn concurrent_acquisition(client1: &Locks, client2: &Locks) -> Result<()> {
    println!("\n--- Test 2: concurrent acquisition ---");
    let lease = client1.try_acquire("resource2", None).wait()?;
    println!("client1 acquired resource2, {}", told(&lease));
    match client2.try_acquire("resource2", None).wait() {
        Err(LockError::Refused(error @ Error::Held { .. })) => println!("client2: {error}"),
        other => bail!("client2 should be refused, and got {other:?}"),
    }
    let inner = client1.try_acquire("resource2", None).wait()?;
    ensure!((inner.token, inner.holds) == (lease.token, 2), "re-entered as {inner:?}");
    println!("client1 re-enters: same token, held {} times", inner.holds);
    for info in client1.list().wait()? {
        println!(
            "held now: {} by {}, {}, {} times",
            info.resource, info.owner, info.token, info.holds
        );
    }
    client1.release(&inner).wait()?;
    ensure!(client1.is_locked("resource2").wait()?, "one hold should be left");
    client1.release(&lease).wait()?;
    ensure!(!client1.is_locked("resource2").wait()?, "no hold should be left");
    println!("client1 released both holds; locked: false");
    Ok(())
}

fn expiration(client1: &Locks, client2: &Locks) -> Result<()> {
    println!("\n--- Test 3: expiration ---");
    let lease = client1.try_acquire("resource3", Some(SHORT_TTL)).wait()?;
    println!("client1 acquired resource3 for {SHORT_TTL:?}, {}", told(&lease));
    ensure!(client1.is_locked("resource3").wait()?, "it should be locked");
    println!("locked: true; client1 is not heard of again");
    let waited = until("the lease runs out", SHORT_TTL + SLACK, || {
        Ok(!client2.is_locked("resource3").wait()?)
    })?;
    println!("after {waited:.1?}, without anyone releasing it, locked: false");
    let next = client2.try_acquire("resource3", None).wait()?;
    ensure!(next.token > lease.token, "{} after {}", next.token, lease.token);
    println!("client2 acquired it, {}", told(&next));
    let late = client1.release(&lease).wait();
    ensure!(late == Err(LockError::Refused(Error::NotHolder)), "a late release: {late:?}");
    println!("client1's late release is refused: not the holder");
    client2.release(&next).wait()?;
    Ok(())
}

fn renewal(client1: &Locks) -> Result<()> {
    println!("\n--- Test 4: renewal ---");
    let start = Instant::now();
    let mut lease = client1.try_acquire("resource4", Some(SHORT_TTL)).wait()?;
    let first_end = lease.valid_until;
    println!("client1 acquired resource4 for {SHORT_TTL:?}");
    std::thread::sleep(SHORT_TTL / 2);
    lease = client1.renew(&lease, Some(2 * SHORT_TTL)).wait()?;
    let renewals = lease.renewals;
    println!("renewed after {:.1?}, for {:?}: renewal {renewals}", start.elapsed(), 2 * SHORT_TTL);
    ensure!(renewals == 1, "renewed {renewals} times");
    std::thread::sleep(first_end.saturating_duration_since(Instant::now()) + SHORT_TTL / 4);
    ensure!(Instant::now() < lease.valid_until, "this machine stood still: try again");
    ensure!(client1.is_locked("resource4").wait()?, "the renewal should have lasted");
    println!("after {:.1?}, past the first lease, locked: true", start.elapsed());
    until("the renewed lease runs out", 2 * SHORT_TTL + SLACK, || {
        Ok(!client1.is_locked("resource4").wait()?)
    })?;
    let late = client1.renew(&lease, None).wait();
    ensure!(late == Err(LockError::Refused(Error::NotHolder)), "renewed too late: {late:?}");
    println!("after {:.1?} it has run out, and a renewal is refused", start.elapsed());
    Ok(())
}

fn fencing_tokens(client1: &Locks, client2: &Locks) -> Result<()> {
    println!("\n--- Test 5: fencing tokens ---");
    let mut storage = FencedResource::new(Vec::new());
    let lease1 = client1.try_acquire("resource5", None).wait()?;
    println!("client1's token: {}", lease1.token);
    storage.access(lease1.token)?.push("client1");
    client1.release(&lease1).wait()?;
    let lease2 = client2.try_acquire("resource5", None).wait()?;
    println!("client2's token: {}", lease2.token);
    ensure!(lease2.token > lease1.token, "tokens should grow");
    println!("token increased: true");
    storage.access(lease2.token)?.push("client2");
    match storage.access(lease1.token) {
        Err(fenced) => println!("client1 writes late: {fenced}"),
        Ok(_) => bail!("a stale token should be refused"),
    }
    ensure!(*storage.get() == ["client1", "client2"], "written: {:?}", storage.get());
    client2.release(&lease2).wait()?;
    Ok(())
}

fn blocking_acquire(client1: &Locks, client2: Locks) -> Result<()> {
    println!("\n--- Test 6: blocking acquire ---");
    let lease = client1.try_acquire("resource6", None).wait()?;
    println!("client1 acquired resource6, {}", told(&lease));
    let short = client2.acquire("resource6", None, Duration::from_millis(200)).wait();
    ensure!(short == Err(LockError::Refused(Error::WaitTimedOut)), "waited in vain: {short:?}");
    println!("client2 waited 200ms for it: timeout");
    let waiting = std::thread::spawn(move || {
        println!("client2 waits for it again, for 3s");
        let start = Instant::now();
        let lease = client2.acquire("resource6", None, Duration::from_secs(3)).wait()?;
        let waited = start.elapsed();
        println!("client2: success after {waited:.1?}, {}", told(&lease));
        client2.release(&lease).wait()?;
        Ok::<_, LockError>(lease)
    });
    until("client2 stands in line", SLACK, || {
        Ok(client1.info("resource6").wait()?.is_some_and(|info| info.waiters == 1))
    })?;
    println!("client1 sees one waiter in line");
    client1.release(&lease).wait()?;
    println!("client1 released it");
    let second = waiting.join().expect("the thread does not panic")?;
    ensure!(second.token > lease.token, "{} after {}", second.token, lease.token);
    Ok(())
}

fn told(lease: &Lease) -> String {
    let left = lease.valid_until.saturating_duration_since(Instant::now());
    format!("token {}, valid for {left:.1?}", lease.token)
}

/// Waits until `is_so`, for at most `span`; returns how long that took.
fn until(what: &str, span: Duration, mut is_so: impl FnMut() -> Result<bool>) -> Result<Duration> {
    let start = Instant::now();
    while !is_so()? {
        ensure!(start.elapsed() < span, "not within {span:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(start.elapsed())
}
