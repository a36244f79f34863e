//! What all nodes of one lock service are configured with alike.

use std::ops::RangeInclusive;
use std::time::Duration;

use cluster::InvalidConfig;

use crate::LockTable;
#[cfg(feature = "mutants")]
use crate::mutants::Mutant;
use crate::mutants::Planted;

/// The settings of a lock service. [`Config::default`] is safe on a local network.
///
/// What [`Config::with_ttl_default`] and its like are given is checked when the cluster starts; all
/// nodes must be given the same.
#[derive(Clone, Debug)]
pub struct Config {
    election_timeout: RangeInclusive<Duration>,
    textbook_elections: bool,
    trusting_disks: bool,
    heartbeat: Duration,
    ttl_default: Duration,
    ttl_min: Duration,
    ttl_max: Duration,
    waiters_max: usize,
    holds_max: usize,
    snapshot_every: u64,
    keep_behind: u64,
    pub(crate) planted: Planted,
}

/// The bounds that the table itself keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) waiters_max: usize,
    pub(crate) holds_max: usize,
}

impl Default for Config {
    /// TTLs of 30 s, within 10 ms and an hour; at most 1024 waiters a lock and 1024 holds an owner;
    /// an election after 150 to 300 ms of silence, a heartbeat every 50 ms; a snapshot of the table
    /// every 10 000 commands, with 1000 commands kept before it.
    fn default() -> Self {
        Self {
            election_timeout: Duration::from_millis(150)..=Duration::from_millis(300),
            textbook_elections: false,
            trusting_disks: false,
            heartbeat: Duration::from_millis(50),
            ttl_default: Duration::from_secs(30),
            ttl_min: Duration::from_millis(10),
            ttl_max: Duration::from_secs(3600),
            waiters_max: 1024,
            holds_max: 1024,
            snapshot_every: 10_000,
            keep_behind: 1_000,
            planted: Planted::default(),
        }
    }
}

// Settings.
impl Config {
    /// How long a follower waits for its leader before it stands for election, drawn anew each time.
    /// Must be longer than [`Config::with_heartbeat`].
    #[must_use]
    pub fn with_election_timeout(mut self, range: RangeInclusive<Duration>) -> Self {
        self.election_timeout = range;
        self
    }

    /// How often a leader is heard of.
    #[must_use]
    pub fn with_heartbeat(mut self, period: Duration) -> Self {
        self.heartbeat = period;
        self
    }

    /// How long a lease lasts whose request does not say. Within [`Config::with_ttl_min`] and
    /// [`Config::with_ttl_max`].
    #[must_use]
    pub fn with_ttl_default(mut self, ttl: Duration) -> Self {
        self.ttl_default = ttl;
        self
    }

    /// The shortest TTL that is granted; above zero. A lease shorter than a round of replication is
    /// over before its holder knows of it.
    #[must_use]
    pub fn with_ttl_min(mut self, ttl: Duration) -> Self {
        self.ttl_min = ttl;
        self
    }

    /// The longest TTL that is granted: a dead holder's lock is free after so long at the latest,
    /// not counting time without a leader, and counting from the last change of leader.
    #[must_use]
    pub fn with_ttl_max(mut self, ttl: Duration) -> Self {
        self.ttl_max = ttl;
        self
    }

    /// How many attempts may wait for one lock. Zero: none.
    #[must_use]
    pub fn with_waiters_max(mut self, count: usize) -> Self {
        self.waiters_max = count;
        self
    }

    /// Elections as the paper has them, without what [`raft`] adds by default: see
    /// [`raft::Config::with_textbook_elections`].
    #[must_use]
    pub fn with_textbook_elections(mut self) -> Self {
        self.textbook_elections = true;
        self
    }

    /// Takes every node for who it says it is, whatever has become of its disk: for models. See
    /// [`raft::Config::trusting_disks`].
    #[must_use]
    pub fn trusting_disks(mut self) -> Self {
        self.trusting_disks = true;
        self
    }

    /// How often one owner may hold one lock at a time; at least once.
    #[must_use]
    pub fn with_holds_max(mut self, count: usize) -> Self {
        self.holds_max = count;
        self
    }

    /// After how many commands a node writes the table down, so that it can drop the log before.
    #[must_use]
    pub fn with_snapshot_every(mut self, commands: u64) -> Self {
        self.snapshot_every = commands;
        self
    }

    /// How many commands a node keeps before its last snapshot, for followers a little behind.
    #[must_use]
    pub fn with_keep_behind(mut self, commands: u64) -> Self {
        self.keep_behind = commands;
        self
    }

    /// Plants a bug, for tests of the judges.
    #[cfg(feature = "mutants")]
    #[must_use]
    pub fn plant(mut self, mutant: Mutant) -> Self {
        self.planted = Planted::of(mutant);
        self
    }
}

// Reading.
impl Config {
    /// An empty table with these settings: what the log drives, for whoever drives it by hand.
    pub fn table(&self) -> LockTable {
        let limits = Limits { waiters_max: self.waiters_max, holds_max: self.holds_max };
        LockTable::new(limits, self.planted)
    }

    /// The settings of the log under the table.
    pub(crate) fn raft(&self) -> raft::Config<LockTable> {
        let config = raft::Config::new(self.table())
            .with_election_timeout(self.election_timeout.clone())
            .with_heartbeat(self.heartbeat)
            .with_snapshot_every(self.snapshot_every)
            .with_keep_behind(self.keep_behind);
        let config = if self.trusting_disks { config.trusting_disks() } else { config };
        if self.textbook_elections { config.with_textbook_elections() } else { config }
    }

    /// How long to leave the log alone after it refused a tick.
    pub(crate) fn tick_retry(&self) -> Duration {
        self.heartbeat
    }

    /// The TTL to grant where `asked` was asked.
    ///
    /// # Errors
    /// [`crate::Error::InvalidTtl`] if it is out of bounds.
    pub(crate) fn ttl(&self, asked: Option<Duration>) -> Result<Duration, crate::Error> {
        let ttl = asked.unwrap_or(self.ttl_default);
        let (min, max) = (self.ttl_min, self.ttl_max);
        if (min..=max).contains(&ttl) {
            Ok(ttl)
        } else {
            Err(crate::Error::InvalidTtl { ttl, min, max })
        }
    }

    /// Whether the lock table's own settings make sense; the log's are checked by `raft`.
    pub(crate) fn check(&self) -> Result<(), InvalidConfig> {
        let invalid = |field, value: Duration, expected: String| {
            Err(InvalidConfig::new(field, format!("{value:?}"), expected))
        };
        if self.ttl_min.is_zero() {
            return invalid("ttl_min", self.ttl_min, "more than zero".to_owned());
        }
        if self.ttl_max < self.ttl_min {
            let expected = format!("at least ttl_min ({:?})", self.ttl_min);
            return invalid("ttl_max", self.ttl_max, expected);
        }
        if self.ttl(None).is_err() {
            let expected = format!("ttl_min to ttl_max ({:?} to {:?})", self.ttl_min, self.ttl_max);
            return invalid("ttl_default", self.ttl_default, expected);
        }
        if self.holds_max == 0 || u32::try_from(self.holds_max).is_err() {
            let expected = format!("1 to {}", u32::MAX);
            return Err(InvalidConfig::new("holds_max", self.holds_max, expected));
        }
        Ok(())
    }
}
