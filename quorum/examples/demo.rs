//! The study guide's "Quorum Consensus Demo", on real threads: five nodes, three replicas of each
//! key, two to read, two to write. Exits non-zero when an expectation fails.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use cluster::threads::{Options, Threads};
use cluster::{Cluster, Fault, Members, NodeId};
use quorum::{Config, Error, Key, Read, Replica, Ring, Store, StoreError, Value, Version};

const PROBE: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(5);
const ASKED: NodeId = NodeId::new(1);
const SECOND: NodeId = NodeId::new(2);
const FOURTH: NodeId = NodeId::new(4);

struct Demo {
    threads: Threads<Replica>,
    store: Store,
    ring: Ring,
}

fn main() -> Result<()> {
    println!("=== Quorum consensus demo ===");
    let config = Config::default()
        .with_quorums(3, 2, 2)
        .with_probe_interval(PROBE)
        .with_suspect_after(3 * PROBE)
        .with_timeout(Duration::from_millis(500));
    println!("5 nodes, N=3, R=2, W=2: R + W > N, and the store claims {:?}.", config.guarantee());
    let careless = config.clone().with_quorums(3, 1, 1);
    println!("With R=1, W=1 the same store would claim {:?} only.", careless.guarantee());

    let members = Members::first(5)?;
    let ring = Ring::new(&members, config.virtual_nodes(), config.replication())?;
    let threads = Threads::start(config, members, Options::default())?;
    let store = Store::new(threads.caller(), PATIENCE);
    let mut demo = Demo { threads, store, ring };
    demo.print_status()?;
    demo.write_and_read()?;
    demo.several_writes()?;
    demo.one_node_fails()?;
    let refused = demo.two_nodes_fail()?;
    demo.nodes_recover(&refused)?;
    demo.updates()?;
    demo.threads.shutdown();
    println!("\nAll expectations held.");
    Ok(())
}

// The six tests.
impl Demo {
    fn write_and_read(&mut self) -> Result<()> {
        println!("\n--- Test 1: write and read ---");
        self.write("user:1", "Alice")?;
        self.expect("user:1", "Alice")
    }

    fn several_writes(&mut self) -> Result<()> {
        println!("\n--- Test 2: several writes ---");
        let users = [("user:2", "Bob"), ("user:3", "Charlie"), ("user:4", "Diana")];
        for (key, value) in users {
            self.write(key, value)?;
        }
        users.into_iter().try_for_each(|(key, value)| self.expect(key, value))
    }

    fn one_node_fails(&mut self) -> Result<()> {
        println!("\n--- Test 3: node failure ---");
        self.fail(SECOND)?;
        self.print_status()?;
        println!("Any key has at most one replica on n2, so two of three are always there:");
        self.write("user:5", "Eve")?;
        self.expect("user:5", "Eve")?;
        let key = self.find("a key with a replica on n2", |on| on.contains(&SECOND))?;
        self.write(key.as_str(), "Eve's friend")?;
        self.expect(key.as_str(), "Eve's friend")?;
        let hints = self.store.status(ASKED).wait()?.hints;
        println!("n1 keeps {hints} hint(s) of what n2 missed; they do not count toward W.");
        ensure!(hints > 0, "no hint was kept");
        Ok(())
    }

    /// Returns a key that could not be written.
    fn two_nodes_fail(&mut self) -> Result<Key> {
        println!("\n--- Test 4: two failures ---");
        self.fail(FOURTH)?;
        self.print_status()?;
        let both = |on: &[NodeId]| on.contains(&SECOND) && on.contains(&FOURTH);
        println!(
            "It depends on the key now. The guide's own, user:6, is on {:?}:",
            self.on("user:6")
        );
        if both(self.on("user:6")) {
            self.expect_refusal("user:6")?;
        } else {
            self.write("user:6", "Frank")?;
            self.expect("user:6", "Frank")?;
        }
        println!("A key with at most one replica on n2 and n4 still has its quorum:");
        let served = self.find("such a key", |on| !both(on))?;
        self.write(served.as_str(), "served")?;
        self.expect(served.as_str(), "served")?;
        println!(
            "A key with replicas on both has one left, and is refused at once, not at a timeout:"
        );
        let refused = self.find("such a key", both)?;
        self.expect_refusal(refused.as_str())?;
        Ok(refused)
    }

    fn nodes_recover(&mut self, refused: &Key) -> Result<()> {
        println!("\n--- Test 5: recovery ---");
        for node in [SECOND, FOURTH] {
            self.threads.inject(&Fault::Restart { node })?;
            println!("{node} recovered");
        }
        self.wait("every node is live again, and every hint is replayed", |store| {
            let status = store.status(ASKED).wait()?;
            Ok(status.hints == 0 && status.live.iter().all(|&(_, live)| live))
        })?;
        self.print_status()?;
        self.write("user:7", "Grace")?;
        self.expect("user:7", "Grace")?;
        println!("What was refused had no effect, and can be written now:");
        let never = self.read(refused.as_str())?;
        ensure!(never.version == Version::ZERO, "{refused} is {never:?}, expected nothing");
        self.write(refused.as_str(), "at last")?;
        self.expect(refused.as_str(), "at last")
    }

    fn updates(&mut self) -> Result<()> {
        println!("\n--- Test 6: updates ---");
        let mut last = Version::ZERO;
        for value in ["1", "2", "3"] {
            let version = self.write("counter", value)?;
            ensure!(version > last, "{version} does not follow {last}");
            last = version;
        }
        self.expect("counter", "3")?;
        println!("Two clients at once: versions may share a counter, and are never equal.");
        let (one, two) = (self.store.clone(), self.store.clone());
        let (first, second) = std::thread::scope(|scope| {
            let second = scope.spawn(move || two.put("counter", "5").wait());
            (one.put("counter", "4").wait(), second.join())
        });
        let Ok(second) = second else { bail!("the second client panicked") };
        let (first, second) = (first?, second?);
        println!("4 became {first}, 5 became {second}");
        self.expect("counter", if first > second { "4" } else { "5" })?;
        self.store.delete("counter").wait()?;
        let gone = self.read("counter")?;
        ensure!(gone.value.is_none() && gone.version > first.max(second), "deleted, yet {gone:?}");
        println!("Deleted, which is a version too: {}", gone.version);
        Ok(())
    }
}

// Helpers, which narrate.
impl Demo {
    fn write(&mut self, key: &str, value: &str) -> Result<Version> {
        let version =
            self.store.put(key, value).wait().with_context(|| format!("write {key}={value}"))?;
        println!("Write {key}={value} on {:?}: {version}", self.on(key));
        Ok(version)
    }

    fn read(&mut self, key: &str) -> Result<Read> {
        self.store.get(key).wait().with_context(|| format!("read {key}"))
    }

    fn expect(&mut self, key: &str, value: &str) -> Result<()> {
        let read = self.read(key)?;
        ensure!(read.value == Some(Value::from(value)), "{key} is {read:?}, expected {value}");
        println!("Read {key}: {value} [{}] ({:?})", read.version, read.guarantee);
        Ok(())
    }

    fn expect_refusal(&mut self, key: &str) -> Result<()> {
        match self.store.put(key, "refused").wait() {
            Err(StoreError::Refused(Error::Unavailable { live, needed })) => {
                println!("Write {key} on {:?}: unavailable, {live} of {needed} live", self.on(key));
                Ok(())
            }
            other => bail!("write of {key} ended as {other:?}, expected it to be unavailable"),
        }
    }

    fn fail(&mut self, node: NodeId) -> Result<()> {
        self.threads.inject(&Fault::Crash { node })?;
        println!("{node} FAILED");
        self.wait("n1 suspects it", |store| {
            let status = store.status(ASKED).wait()?;
            Ok(status.live.contains(&(node, false)))
        })
    }

    fn wait(&mut self, what: &str, mut is_true: impl FnMut(&Store) -> Result<bool>) -> Result<()> {
        let start = Instant::now();
        while !is_true(&self.store)? {
            ensure!(start.elapsed() < PATIENCE, "after {PATIENCE:?} it is not true that {what}");
            std::thread::sleep(Duration::from_millis(1));
        }
        println!("After {:?} {what}.", start.elapsed());
        Ok(())
    }

    fn on(&self, key: &str) -> &[NodeId] {
        self.ring.replicas(&Key::from(key))
    }

    fn find(&self, what: &str, suits: impl Fn(&[NodeId]) -> bool) -> Result<Key> {
        let mut keys = (8..1_000).map(|number| Key::from(format!("user:{number}")));
        keys.find(|key| suits(self.ring.replicas(key))).with_context(|| format!("no {what}"))
    }

    fn print_status(&mut self) -> Result<()> {
        for node in self.threads.members().to_vec() {
            match self.store.status(node).wait() {
                Ok(status) => {
                    println!("  {node}: ACTIVE ({} keys, {} hints)", status.keys, status.hints);
                }
                Err(StoreError::NoAnswer(_)) => println!("  {node}: FAILED"),
                Err(refused @ (StoreError::Refused(_) | StoreError::Mismatch)) => {
                    return Err(refused.into());
                }
            }
        }
        Ok(())
    }
}
