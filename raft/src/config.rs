//! What all nodes of a cluster are configured with alike.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use cluster::{InvalidConfig, Members, NodeId};

use crate::StateMachine;
use crate::configuration::Configuration;
use crate::mutants::{Mutant, Planted};

/// The configuration of a cluster. Every node has the same.
///
/// | setting | default |
/// |---|---|
/// | [`voters`](Config::with_voters) | all members |
/// | [`witnesses`](Config::with_witnesses) | none |
/// | [`election_timeout`](Config::with_election_timeout) | 150 to 300 ms |
/// | [`heartbeat`](Config::with_heartbeat) | 50 ms |
/// | [`entries_max`](Config::with_entries_max) | 1024 |
/// | [`inflight_max`](Config::with_inflight_max) | 256 |
/// | [`pending_max`](Config::with_pending_max) | 65 536 |
/// | [`pre_vote`](Config::with_pre_vote) | on |
/// | [`check_quorum`](Config::with_check_quorum) | on |
/// | [`stickiness`](Config::with_stickiness) | on |
/// | [`lease`](Config::with_lease) | off: no bound on clock drift is known |
/// | [`disk_patience`](Config::with_disk_patience) | 4 election timeouts |
/// | [`rank`](Config::with_rank) | all nodes alike |
/// | [`entry_bytes_max`](Config::with_entry_bytes_max) | 1 MiB |
/// | [`append_bytes_max`](Config::with_append_bytes_max) | 4 MiB |
/// | [`inflight_bytes_max`](Config::with_inflight_bytes_max) | 64 MiB |
/// | [`snapshot_every`](Config::with_snapshot_every) | 100 000 entries |
/// | [`snapshot_bytes`](Config::with_snapshot_bytes) | 64 MiB |
/// | [`keep_behind`](Config::with_keep_behind) | 10 000 entries |
/// | [`lag_max`](Config::with_lag_max) | 1 000 000 entries |
/// | [`chunk_bytes`](Config::with_chunk_bytes) | 1 MiB |
/// | [`sessions_max`](Config::with_sessions_max) | 4096 |
/// | [`trusting_disks`](Config::trusting_disks) | no: a node that has lost its disk does not count |
#[derive(Clone)]
pub struct Config<S> {
    pub(crate) machine: S,
    /// None: all members.
    pub(crate) voters: Option<BTreeSet<NodeId>>,
    pub(crate) witnesses: BTreeSet<NodeId>,
    pub(crate) election_timeout: RangeInclusive<Duration>,
    pub(crate) heartbeat: Duration,
    pub(crate) entries_max: usize,
    pub(crate) inflight_max: usize,
    pub(crate) pending_max: usize,
    pub(crate) pre_vote: bool,
    pub(crate) check_quorum: bool,
    pub(crate) stickiness: bool,
    /// By how many millionths one node's clock may run faster than another's; none: no leases.
    pub(crate) lease_drift_ppm: Option<u32>,
    /// In longest election timeouts; zero: for ever.
    pub(crate) disk_patience: u32,
    pub(crate) rank: Option<Rank>,
    pub(crate) entry_bytes_max: usize,
    pub(crate) append_bytes_max: usize,
    pub(crate) inflight_bytes_max: usize,
    pub(crate) snapshot_every: u64,
    pub(crate) snapshot_bytes: u64,
    pub(crate) keep_behind: u64,
    pub(crate) lag_max: u64,
    pub(crate) chunk_bytes: usize,
    pub(crate) sessions_max: u32,
    pub(crate) trusts_disks: bool,
    pub(crate) planted: Planted,
}

/// Says of each node how many others are to be preferred to it as leader.
pub(crate) type Rank = Arc<dyn Fn(NodeId) -> u32 + Send + Sync>;

impl<S: StateMachine> Config<S> {
    /// The defaults, for replicas that begin as clones of `machine`.
    pub fn new(machine: S) -> Self {
        Self {
            machine,
            voters: None,
            witnesses: BTreeSet::new(),
            election_timeout: Duration::from_millis(150)..=Duration::from_millis(300),
            heartbeat: Duration::from_millis(50),
            entries_max: 1024,
            inflight_max: 256,
            pending_max: 65_536,
            pre_vote: true,
            check_quorum: true,
            stickiness: true,
            lease_drift_ppm: None,
            disk_patience: 4,
            rank: None,
            entry_bytes_max: 1 << 20,
            append_bytes_max: 4 << 20,
            inflight_bytes_max: 64 << 20,
            snapshot_every: 100_000,
            snapshot_bytes: 64 << 20,
            keep_behind: 10_000,
            lag_max: 1_000_000,
            chunk_bytes: 1 << 20,
            sessions_max: 4096,
            trusts_disks: false,
            planted: Planted::default(),
        }
    }

    /// Who votes in the first configuration of the cluster, which is in effect until the log holds
    /// another: its founders. All of them must meet before the first election: a founder that is not
    /// there yet keeps the cluster from its first service. The other members wait to be [added](crate::Change). At least one, and members all.
    /// It must not change while a node lives whose log, or snapshot, says nothing of configurations.
    #[must_use]
    pub fn with_voters(mut self, voters: impl IntoIterator<Item = NodeId>) -> Self {
        self.voters = Some(voters.into_iter().collect());
        self
    }

    /// Which of the first voters are [witnesses](crate::Kind::Witness): they vote, and hold no commands. At
    /// most half of the voters. The same as for those goes for when it may change.
    #[must_use]
    pub fn with_witnesses(mut self, witnesses: impl IntoIterator<Item = NodeId>) -> Self {
        self.witnesses = witnesses.into_iter().collect();
        self
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

    /// Whether a node asks the others, before it stands for election, if they would vote for it
    /// (§9.6 of the thesis): a node that could not win disturbs nobody. A voter whose log is ahead
    /// of the asker's lends it what it lacks, so that whoever can reach a majority can win.
    #[must_use]
    pub fn with_pre_vote(mut self, on: bool) -> Self {
        self.pre_vote = on;
        self
    }

    /// Whether a leader steps down once it has not heard from a majority for the longest election
    /// timeout (§6.2 of the thesis): its clients learn that it cannot serve them.
    #[must_use]
    pub fn with_check_quorum(mut self, on: bool) -> Self {
        self.check_quorum = on;
        self
    }

    /// Whether a node that has heard from a leader within the shortest election timeout ignores
    /// those who would replace it (§4.2.3 of the thesis).
    #[must_use]
    pub fn with_stickiness(mut self, on: bool) -> Self {
        self.stickiness = on;
        self
    }

    /// Elections as the paper has them: no pre-vote, no check of the quorum, no stickiness, and
    /// unlimited patience with disks.
    #[must_use]
    pub fn with_textbook_elections(self) -> Self {
        self.with_pre_vote(false)
            .with_check_quorum(false)
            .with_stickiness(false)
            .with_disk_patience(0)
    }

    /// Lets leaders hold leases, for [`ReadLevel::Lease`](crate::ReadLevel::Lease) (§6.4.1 of the
    /// thesis), under the promise that **no node's clock ever runs more than `drift_ppm` millionths
    /// faster than another's**. A lease lasts the shortest election timeout, divided by one plus
    /// that, from the moment at which a round began that a majority has answered. If a clock breaks
    /// the promise, reads by lease may be stale; nothing else suffers.
    ///
    /// Needs stickiness and the check of the quorum. A node then gives no vote within the shortest
    /// election timeout after its boot: it may have promised a lease before.
    #[must_use]
    pub fn with_lease(mut self, drift_ppm: u32) -> Self {
        self.lease_drift_ppm = Some(drift_ppm);
        self
    }

    /// How long a disk may take to sync anything at all, in longest election timeouts, before its
    /// node steps down and does not stand for election until the disk has moved again; zero for
    /// ever.
    #[must_use]
    pub fn with_disk_patience(mut self, timeouts: u32) -> Self {
        self.disk_patience = timeouts;
        self
    }

    /// Who should rather lead: a node waits for its rank times the width of the election timeout
    /// longer before it stands. Zero is the most preferred, and what all have by default. A
    /// preference only: it costs time to elect others when the preferred are down, and takes the
    /// lead from nobody. It must say the same of a node at every node and at all times.
    #[must_use]
    pub fn with_rank(mut self, rank: impl Fn(NodeId) -> u32 + Send + Sync + 'static) -> Self {
        self.rank = Some(Arc::new(rank));
        self
    }

    /// How large a command may be, by [`StateMachine::size_of`]; a larger one is refused.
    #[must_use]
    pub fn with_entry_bytes_max(mut self, bytes: usize) -> Self {
        self.entry_bytes_max = bytes;
        self
    }

    /// How large the commands of one append are together, unless it carries only one.
    #[must_use]
    pub fn with_append_bytes_max(mut self, bytes: usize) -> Self {
        self.append_bytes_max = bytes;
        self
    }

    /// How much a leader sends to one follower without an acknowledgement, beside
    /// [`inflight_max`](Config::with_inflight_max): nothing more is sent once so much is on its way.
    #[must_use]
    pub fn with_inflight_bytes_max(mut self, bytes: usize) -> Self {
        self.inflight_bytes_max = bytes;
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

    /// Takes every node for who it says it is, whatever has become of its disk: nodes have no
    /// [`Disk`](crate::Disk), founders need not meet before the first election, and no configuration
    /// names disks. For cores that are driven by hand, for models, and where something else keeps a node
    /// whose disk was lost or copied from coming back under its name: here it could vote twice, or be
    /// missed for what it had acknowledged. It must be the same in all of a cluster's life.
    #[must_use]
    pub fn trusting_disks(mut self) -> Self {
        self.trusts_disks = true;
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
            ("entry_bytes_max", self.entry_bytes_max),
            ("append_bytes_max", self.append_bytes_max),
            ("inflight_bytes_max", self.inflight_bytes_max),
        ] {
            if value == 0 {
                return Err(InvalidConfig::new(field, value, "at least 1"));
            }
        }
        if self.lease_drift_ppm.is_some() && !(self.stickiness && self.check_quorum) {
            let expected = "stickiness and the check of the quorum with it";
            return Err(InvalidConfig::new("lease", "on", expected));
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
        let first = self.first_configuration(members);
        if first.voters().is_empty() || first.voters().iter().any(|&node| !members.contains(node)) {
            let expected = format!("at least one, and all of {members:?}");
            return Err(InvalidConfig::new("voters", first, expected));
        }
        let strangers = !self.witnesses.is_subset(first.voters());
        if strangers || first.too_many_witnesses().is_some() {
            let value = format!("{:?}", self.witnesses);
            let expected = format!("at most half of the voters {:?}", first.voters());
            return Err(InvalidConfig::new("witnesses", value, expected));
        }
        Ok(())
    }

    /// The configuration of an empty log.
    pub(crate) fn first_configuration(&self, members: &Members) -> Configuration {
        let first = match &self.voters {
            Some(voters) => Configuration::of(voters.iter().copied()),
            None => Configuration::of(members.iter()),
        };
        first.witnessed(&self.witnesses)
    }

    /// How long a node that has heard from a leader stays with it.
    pub(crate) fn stick_for(&self) -> Duration {
        *self.election_timeout.start()
    }

    /// How long a leader leads without hearing from a majority.
    pub(crate) fn quorum_patience(&self) -> Duration {
        *self.election_timeout.end()
    }

    /// How long a lease lasts, if there are any.
    pub(crate) fn lease(&self) -> Option<Duration> {
        let drift_ppm = self.lease_drift_ppm?;
        if self.planted.is(Mutant::LeaseIgnoresDrift) {
            return Some(self.stick_for());
        }
        let nanos = self.stick_for().as_nanos() * 1_000_000 / (1_000_000 + u128::from(drift_ppm));
        Some(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }

    /// How long a disk may do nothing; none for ever.
    pub(crate) fn disk_patience(&self) -> Option<Duration> {
        let patience = self.election_timeout.end().saturating_mul(self.disk_patience);
        (!patience.is_zero()).then_some(patience)
    }

    /// How much longer than others `node` waits before it stands for election.
    pub(crate) fn reluctance(&self, node: NodeId) -> Duration {
        let width = self.election_timeout.end().saturating_sub(*self.election_timeout.start());
        self.rank.as_ref().map_or(Duration::ZERO, |rank| width.saturating_mul(rank(node)))
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
            .field("voters", &self.voters)
            .field("witnesses", &self.witnesses)
            .field("election_timeout", &self.election_timeout)
            .field("heartbeat", &self.heartbeat)
            .field("entries_max", &self.entries_max)
            .field("inflight_max", &self.inflight_max)
            .field("pending_max", &self.pending_max)
            .field("pre_vote", &self.pre_vote)
            .field("check_quorum", &self.check_quorum)
            .field("stickiness", &self.stickiness)
            .field("lease_drift_ppm", &self.lease_drift_ppm)
            .field("disk_patience", &self.disk_patience)
            .field("entry_bytes_max", &self.entry_bytes_max)
            .field("append_bytes_max", &self.append_bytes_max)
            .field("inflight_bytes_max", &self.inflight_bytes_max)
            .field("snapshot_every", &self.snapshot_every)
            .field("snapshot_bytes", &self.snapshot_bytes)
            .field("keep_behind", &self.keep_behind)
            .field("lag_max", &self.lag_max)
            .field("chunk_bytes", &self.chunk_bytes)
            .field("sessions_max", &self.sessions_max)
            .field("trusts_disks", &self.trusts_disks)
            .field("planted", &self.planted)
            .finish_non_exhaustive()
    }
}
