//! What all nodes of a cluster are configured with alike.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use cluster::{InvalidConfig, Members};

use crate::StateMachine;
use crate::mutants::Planted;

/// The configuration of a cluster. Every node has the same.
///
/// | setting | default |
/// |---|---|
/// | [`election_timeout`](Config::with_election_timeout) | 150 to 300 ms |
/// | [`heartbeat`](Config::with_heartbeat) | 50 ms |
/// | [`entries_max`](Config::with_entries_max) | 1024 |
/// | [`inflight_max`](Config::with_inflight_max) | 256 |
/// | [`pending_max`](Config::with_pending_max) | 65 536 |
/// | [`snapshot_every`](Config::with_snapshot_every) | 100 000 entries |
/// | [`snapshot_bytes`](Config::with_snapshot_bytes) | 64 MiB |
/// | [`keep_behind`](Config::with_keep_behind) | 10 000 entries |
/// | [`lag_max`](Config::with_lag_max) | 1 000 000 entries |
/// | [`chunk_bytes`](Config::with_chunk_bytes) | 1 MiB |
/// | [`sessions_max`](Config::with_sessions_max) | 4096 |
#[derive(Clone)]
pub struct Config<S> {
    pub(crate) machine: S,
    pub(crate) election_timeout: RangeInclusive<Duration>,
    pub(crate) heartbeat: Duration,
    pub(crate) entries_max: usize,
    pub(crate) inflight_max: usize,
    pub(crate) pending_max: usize,
    pub(crate) snapshot_every: u64,
    pub(crate) snapshot_bytes: u64,
    pub(crate) keep_behind: u64,
    pub(crate) lag_max: u64,
    pub(crate) chunk_bytes: usize,
    pub(crate) sessions_max: u32,
    pub(crate) planted: Planted,
}

impl<S: StateMachine> Config<S> {
    /// The defaults, for replicas that begin as clones of `machine`.
    pub fn new(machine: S) -> Self {
        Self {
            machine,
            election_timeout: Duration::from_millis(150)..=Duration::from_millis(300),
            heartbeat: Duration::from_millis(50),
            entries_max: 1024,
            inflight_max: 256,
            pending_max: 65_536,
            snapshot_every: 100_000,
            snapshot_bytes: 64 << 20,
            keep_behind: 10_000,
            lag_max: 1_000_000,
            chunk_bytes: 1 << 20,
            sessions_max: 4096,
            planted: Planted::default(),
        }
    }

    /// How long a node goes without word from a leader before it stands for election: drawn from
    /// this range each time (§5.2). Its start must exceed the heartbeat, and should exceed it by
    /// more than messages are ever late; its width should be many times a message's journey.
    #[must_use]
    pub fn with_election_timeout(mut self, range: RangeInclusive<Duration>) -> Self {
        self.election_timeout = range;
        self
    }

    /// How often a leader shows itself to its followers.
    #[must_use]
    pub fn with_heartbeat(mut self, interval: Duration) -> Self {
        self.heartbeat = interval;
        self
    }

    /// How many entries one append carries at most; at least 1.
    #[must_use]
    pub fn with_entries_max(mut self, count: usize) -> Self {
        self.entries_max = count;
        self
    }

    /// How many appends with entries a leader sends to one follower without an acknowledgement; at
    /// least 1.
    #[must_use]
    pub fn with_inflight_max(mut self, count: usize) -> Self {
        self.inflight_max = count;
        self
    }

    /// How many entries may wait to be committed, and how many reads to be confirmed, before a
    /// leader refuses more; at least 1.
    #[must_use]
    pub fn with_pending_max(mut self, count: usize) -> Self {
        self.pending_max = count;
        self
    }

    /// After how many entries a node takes a snapshot of its machine, so that it can drop the log
    /// before (§7): at each index that is a multiple of this, so that all nodes take the same ones.
    /// At least 1; `u64::MAX` for never. A snapshot costs as much as the machine is large, so let
    /// the entries between two be worth more than that.
    #[must_use]
    pub fn with_snapshot_every(mut self, entries: u64) -> Self {
        self.snapshot_every = entries;
        self
    }

    /// How large the commands since the last snapshot may become, by
    /// [`StateMachine::size_of`], before the node takes one early; but they may always become as large
    /// as that snapshot was. At least 1.
    #[must_use]
    pub fn with_snapshot_bytes(mut self, bytes: u64) -> Self {
        self.snapshot_bytes = bytes;
        self
    }

    /// How many entries before a snapshot a node keeps in memory, so that a follower that is not far
    /// behind needs no snapshot. A restart forgets them.
    #[must_use]
    pub fn with_keep_behind(mut self, entries: u64) -> Self {
        self.keep_behind = entries;
        self
    }

    /// How many entries before its latest snapshot a leader keeps at most for followers that are
    /// further behind, or install an earlier one, and make progress. At least
    /// [`keep_behind`](Config::with_keep_behind).
    #[must_use]
    pub fn with_lag_max(mut self, entries: u64) -> Self {
        self.lag_max = entries;
        self
    }

    /// How many bytes of a snapshot go into one message and one record; at least 1.
    #[must_use]
    pub fn with_chunk_bytes(mut self, bytes: usize) -> Self {
        self.chunk_bytes = bytes;
        self
    }

    /// How many sessions may be open before the one in longest disuse ends; at least 1.
    #[must_use]
    pub fn with_sessions_max(mut self, count: u32) -> Self {
        self.sessions_max = count;
        self
    }

    /// Plants a bug, for tests of those who judge.
    #[cfg(feature = "mutants")]
    #[must_use]
    pub fn plant(mut self, mutant: crate::Mutant) -> Self {
        self.planted = Planted::of(mutant);
        self
    }

    /// Whether this makes sense for `members`.
    ///
    /// # Errors
    /// Names the setting, what it held and what was expected.
    pub fn validate(&self, members: &Members) -> Result<(), InvalidConfig> {
        if self.heartbeat.is_zero() {
            return Err(InvalidConfig::new("heartbeat", "0", "a span above zero"));
        }
        let (low, high) = (*self.election_timeout.start(), *self.election_timeout.end());
        if low <= self.heartbeat || high <= low {
            let expected = format!(
                "a range from above the heartbeat ({:?}) to more than that",
                self.heartbeat
            );
            let value = format!("{:?}", self.election_timeout);
            return Err(InvalidConfig::new("election_timeout", value, expected));
        }
        for (field, value) in [
            ("entries_max", self.entries_max),
            ("inflight_max", self.inflight_max),
            ("pending_max", self.pending_max),
        ] {
            if value == 0 {
                return Err(InvalidConfig::new(field, value, "at least 1"));
            }
        }
        for (field, value) in [
            ("snapshot_every", self.snapshot_every),
            ("snapshot_bytes", self.snapshot_bytes),
            ("chunk_bytes", self.chunk_bytes as u64),
            ("sessions_max", u64::from(self.sessions_max)),
        ] {
            if value == 0 {
                return Err(InvalidConfig::new(field, value, "at least 1"));
            }
        }
        if self.lag_max < self.keep_behind {
            let expected = format!("at least keep_behind ({})", self.keep_behind);
            return Err(InvalidConfig::new("lag_max", self.lag_max, expected));
        }
        debug_assert!(members.count() > 0);
        Ok(())
    }
}

impl<S: StateMachine + Default> Default for Config<S> {
    fn default() -> Self {
        Self::new(S::default())
    }
}

impl<S> fmt::Debug for Config<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("election_timeout", &self.election_timeout)
            .field("heartbeat", &self.heartbeat)
            .field("entries_max", &self.entries_max)
            .field("inflight_max", &self.inflight_max)
            .field("pending_max", &self.pending_max)
            .field("snapshot_every", &self.snapshot_every)
            .field("snapshot_bytes", &self.snapshot_bytes)
            .field("keep_behind", &self.keep_behind)
            .field("lag_max", &self.lag_max)
            .field("chunk_bytes", &self.chunk_bytes)
            .field("sessions_max", &self.sessions_max)
            .field("planted", &self.planted)
            .finish_non_exhaustive()
    }
}
