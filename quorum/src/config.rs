//! What a store is configured with, and what it may claim for that.

use std::time::Duration;

use cluster::{InvalidConfig, Members};
use serde::{Deserialize, Serialize};

#[cfg(feature = "mutants")]
use crate::mutants::Mutant;
use crate::mutants::Planted;

/// How writes get their versions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Versioning {
    /// A writer asks a read quorum for the largest version, then writes a greater one: two round
    /// trips, and no clock (Lynch and Shvartsman 1997, after Attiya, Bar-Noy and Dolev 1995).
    Tagged,
    /// A writer takes the time of its wall clock: one round trip, last write wins. A write by a
    /// clock that is behind is acknowledged and lost.
    WallClock,
}

/// What a read does about replicas that lack the version it returns.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Repair {
    /// Writes it back until a write quorum has it, then answers; skips that when the replies show
    /// that a write quorum has it already. No later read returns less.
    WriteBack,
    /// Answers, then writes it to the replicas that lack it. A later read may return less.
    Background,
    /// Nothing. Replicas that missed a write depend on hints and later writes alone.
    Off,
}

/// What a reply promises, weakest first. Each reply carries one.
///
/// It holds among all requests to the same key that carry the same or a stronger one; a write with
/// a weaker one is, to the stronger, a write that takes effect at some time or never.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guarantee {
    /// Once faults have stopped, the hints are replayed and the key has been read with repair on,
    /// all its replicas hold the same version. Until then a read may return anything that was
    /// written, and an acknowledged write may lose to an earlier one.
    Convergent,
    /// And: a read returns the last write that was complete when it began, or one that ran beside
    /// it or whose end is unknown. Two reads may see such a write and then not.
    Regular,
    /// And: the key is one atomic register; every request takes effect at one moment between its
    /// start and its reply.
    Linearizable,
}

/// The configuration of a store, alike on all its nodes.
///
/// The default is the strict one: three replicas, two to read, two to write, tagged versions,
/// write-back; see [`Config::guarantee`]. A store needs at least as many nodes as replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    replication: usize,
    read_quorum: usize,
    write_quorum: usize,
    virtual_nodes: usize,
    versioning: Versioning,
    repair: Repair,
    timeout: Duration,
    resend_interval: Duration,
    probe_interval: Duration,
    suspect_after: Duration,
    hints_max: usize,
    hint_replay_batch: usize,
    operations_max: usize,
    pub(crate) planted: Planted,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            replication: 3,
            read_quorum: 2,
            write_quorum: 2,
            virtual_nodes: 64,
            versioning: Versioning::Tagged,
            repair: Repair::WriteBack,
            timeout: Duration::from_millis(500),
            resend_interval: Duration::from_millis(100),
            probe_interval: Duration::from_millis(100),
            suspect_after: Duration::from_millis(300),
            hints_max: 100_000,
            hint_replay_batch: 64,
            operations_max: 65_536,
            planted: Planted::default(),
        }
    }
}

// Setting. Nothing is checked before `Config::check`.
impl Config {
    /// N replicas of each key, R to answer a read, W to acknowledge a write.
    #[must_use]
    pub fn with_quorums(mut self, replication: usize, read: usize, write: usize) -> Self {
        self.replication = replication;
        self.read_quorum = read;
        self.write_quorum = write;
        self
    }

    /// N: how many nodes hold each key. At most [`Config::REPLICATION_MAX`], and no more than the
    /// cluster has nodes.
    #[must_use]
    pub fn with_replication(mut self, replication: usize) -> Self {
        self.replication = replication;
        self
    }

    /// R: how many replicas must answer a read, and a writer's question for the largest version.
    #[must_use]
    pub fn with_read_quorum(mut self, read_quorum: usize) -> Self {
        self.read_quorum = read_quorum;
        self
    }

    /// W: how many replicas must have stored a write durably before it is acknowledged.
    #[must_use]
    pub fn with_write_quorum(mut self, write_quorum: usize) -> Self {
        self.write_quorum = write_quorum;
        self
    }

    /// How many points of the ring each node owns. More spread keys more evenly.
    #[must_use]
    pub fn with_virtual_nodes(mut self, virtual_nodes: usize) -> Self {
        self.virtual_nodes = virtual_nodes;
        self
    }

    /// How writes get their versions.
    #[must_use]
    pub fn with_versioning(mut self, versioning: Versioning) -> Self {
        self.versioning = versioning;
        self
    }

    /// What reads do about replicas that lag behind.
    #[must_use]
    pub fn with_repair(mut self, repair: Repair) -> Self {
        self.repair = repair;
        self
    }

    /// How long a request is tried before it ends as unknown or timed out.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// After how long a replica that is believed live and has not answered is asked again.
    #[must_use]
    pub fn with_resend_interval(mut self, resend_interval: Duration) -> Self {
        self.resend_interval = resend_interval;
        self
    }

    /// How often every other node is probed, and hints are replayed.
    #[must_use]
    pub fn with_probe_interval(mut self, probe_interval: Duration) -> Self {
        self.probe_interval = probe_interval;
        self
    }

    /// After how long without an answer a node is suspected, rounded up to whole probe intervals.
    #[must_use]
    pub fn with_suspect_after(mut self, suspect_after: Duration) -> Self {
        self.suspect_after = suspect_after;
        self
    }

    /// The most hints that one node keeps for others; what does not fit is dropped and counted.
    /// Zero turns hinted handoff off.
    #[must_use]
    pub fn with_hints_max(mut self, hints_max: usize) -> Self {
        self.hints_max = hints_max;
        self
    }

    /// The most hints replayed to one node in one probe interval.
    #[must_use]
    pub fn with_hint_replay_batch(mut self, hint_replay_batch: usize) -> Self {
        self.hint_replay_batch = hint_replay_batch;
        self
    }

    /// The most operations that one node coordinates at a time, those among them that are answered
    /// and listen to stragglers; beyond it, requests are refused.
    #[must_use]
    pub fn with_operations_max(mut self, operations_max: usize) -> Self {
        self.operations_max = operations_max;
        self
    }

    /// Plants a known bug.
    #[cfg(feature = "mutants")]
    #[must_use]
    pub fn plant(mut self, mutant: Mutant) -> Self {
        self.planted = Planted::of(mutant);
        self
    }
}

// Reading.
impl Config {
    /// The most replicas of one key.
    pub const REPLICATION_MAX: usize = 64;

    /// N: how many nodes hold each key.
    pub fn replication(&self) -> usize {
        self.replication
    }

    /// R: how many replicas must answer a read.
    pub fn read_quorum(&self) -> usize {
        self.read_quorum
    }

    /// W: how many replicas must have stored a write.
    pub fn write_quorum(&self) -> usize {
        self.write_quorum
    }

    /// How many points of the ring each node owns.
    pub fn virtual_nodes(&self) -> usize {
        self.virtual_nodes
    }

    /// How writes get their versions.
    pub fn versioning(&self) -> Versioning {
        self.versioning
    }

    /// What reads do about replicas that lag behind.
    pub fn repair(&self) -> Repair {
        self.repair
    }

    /// How long a request is tried.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// After how long a silent replica is asked again.
    pub fn resend_interval(&self) -> Duration {
        self.resend_interval
    }

    /// How often nodes are probed, and hints replayed.
    pub fn probe_interval(&self) -> Duration {
        self.probe_interval
    }

    /// After how long a silent node is suspected.
    pub fn suspect_after(&self) -> Duration {
        self.suspect_after
    }

    /// The most hints that one node keeps.
    pub fn hints_max(&self) -> usize {
        self.hints_max
    }

    /// The most hints replayed to one node in one probe interval.
    pub fn hint_replay_batch(&self) -> usize {
        self.hint_replay_batch
    }

    /// The most operations that one node coordinates at a time.
    pub fn operations_max(&self) -> usize {
        self.operations_max
    }

    /// What requests at the store's own quorums are promised.
    ///
    /// | R + W | versioning | repair | guarantee |
    /// |---|---|---|---|
    /// | ≤ N | any | any | [`Convergent`](Guarantee::Convergent) |
    /// | > N | wall clock | any | [`Convergent`](Guarantee::Convergent) |
    /// | > N | tagged | background, off | [`Regular`](Guarantee::Regular) |
    /// | > N | tagged | write-back | [`Linearizable`](Guarantee::Linearizable) |
    pub fn guarantee(&self) -> Guarantee {
        if self.read_quorum + self.write_quorum <= self.replication {
            return Guarantee::Convergent;
        }
        match (self.versioning, self.repair) {
            (Versioning::WallClock, _) => Guarantee::Convergent,
            (Versioning::Tagged, Repair::Background | Repair::Off) => Guarantee::Regular,
            (Versioning::Tagged, Repair::WriteBack) => Guarantee::Linearizable,
        }
    }

    /// What a read of `quorum` replies is promised: what the store is, unless it asks fewer
    /// replicas than the store's R.
    ///
    /// Fewer would do where R + W is more than N + 1, but only against writes of W. Two requests
    /// that each ask for less need not meet.
    pub fn read_guarantee(&self, quorum: usize) -> Guarantee {
        if quorum < self.read_quorum { Guarantee::Convergent } else { self.guarantee() }
    }

    /// What a write to `quorum` replicas is promised: what the store is, unless it asks fewer
    /// replicas than the store's W.
    pub fn write_guarantee(&self, quorum: usize) -> Guarantee {
        if quorum < self.write_quorum { Guarantee::Convergent } else { self.guarantee() }
    }

    /// Whether this makes sense for a cluster of `members`.
    ///
    /// # Errors
    /// Names the first field that does not, what it held and what was expected.
    pub fn check(&self, members: &Members) -> Result<(), InvalidConfig> {
        let n = self.replication;
        let most = members.count().min(Self::REPLICATION_MAX);
        range("replication", n, 1, most, "the nodes of the cluster, and 64")?;
        range("read_quorum", self.read_quorum, 1, n, "the replication")?;
        range("write_quorum", self.write_quorum, 1, n, "the replication")?;
        range("virtual_nodes", self.virtual_nodes, 1, 4096, "4096")?;
        range("hint_replay_batch", self.hint_replay_batch, 1, usize::MAX, "anything")?;
        range("operations_max", self.operations_max, 1, usize::MAX, "anything")?;
        positive("timeout", self.timeout)?;
        positive("resend_interval", self.resend_interval)?;
        positive("probe_interval", self.probe_interval)?;
        if self.suspect_after < self.probe_interval {
            let value = format!("{:?}", self.suspect_after);
            let expected = format!("at least the probe interval, {:?}", self.probe_interval);
            return Err(InvalidConfig::new("suspect_after", value, expected));
        }
        Ok(())
    }
}

fn range(
    field: &'static str,
    value: usize,
    least: usize,
    most: usize,
    most_is: &str,
) -> Result<(), InvalidConfig> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    let expected = if most == usize::MAX {
        format!("at least {least}")
    } else {
        format!("between {least} and {most} (at most {most_is})")
    };
    Err(InvalidConfig::new(field, value, expected))
}

/// Below a microsecond a node would do nothing but look at its clock.
fn positive(field: &'static str, span: Duration) -> Result<(), InvalidConfig> {
    if span >= Duration::from_micros(1) {
        return Ok(());
    }
    Err(InvalidConfig::new(field, format!("{span:?}"), "at least 1µs"))
}
