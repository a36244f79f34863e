//! The configurations that a log holds.
//!
//! "Each server always uses the latest configuration in its log, regardless of whether the entry is
//! committed" (§6; §4.1 of the thesis). So a configuration takes effect when it is appended, and when
//! it is overwritten the one before takes effect again.

use std::collections::VecDeque;
use std::sync::Arc;

use cluster::{Members, NodeId};

use crate::LogIndex;
use crate::configuration::Configuration;
use crate::message::{Entry, Payload};
use crate::mutants::{Mutant, Planted};
use crate::quorum::{Tally, joint_tally, reached_by_joint};
use crate::{Disk, Identity, Kind};

/// A voter in one half of a configuration.
#[derive(Clone, Copy, Debug)]
struct Seat {
    /// Its place among the members. A stranger is at no place, and never heard of.
    place: Option<usize>,
    disk: Disk,
    kind: Kind,
    planted: Planted,
}

impl Seat {
    /// Where to look for what counts here: the voter's place, if it is the voter's disk that was last
    /// heard of there.
    fn heard(&self, peers: &[Identity]) -> Option<usize> {
        let named = |&place: &usize| {
            peers[place].disk == self.disk || self.planted.is(Mutant::CountsAnyDisk)
        };
        self.place.filter(named)
    }
}

/// A configuration in a log, with the places of its nodes among the members.
#[derive(Clone, Debug)]
pub(crate) struct Seated {
    /// Where it stands; zero for the first one, which no entry holds.
    pub(crate) index: LogIndex,
    pub(crate) configuration: Arc<Configuration>,
    incoming: Vec<Seat>,
    outgoing: Vec<Seat>,
    /// The places of all who get the log, ascending.
    pub(crate) everyone: Vec<usize>,
}

impl Seated {
    fn new(
        index: LogIndex,
        configuration: Arc<Configuration>,
        members: &Members,
        planted: Planted,
    ) -> Self {
        let place = |&node: &NodeId| members.index_of(node);
        let seat = |node: &NodeId, disk| {
            let kind = configuration.kind(*node);
            Seat { place: place(node), disk, kind, planted }
        };
        let incoming = |node: &NodeId| seat(node, configuration.disk(*node));
        let outgoing = |node: &NodeId| seat(node, configuration.outgoing_disk(*node));
        let mut incoming: Vec<_> = if planted.is(Mutant::CountsLearners) {
            configuration.voters().union(configuration.learners()).map(incoming).collect()
        } else {
            configuration.voters().iter().map(incoming).collect()
        };
        let mut outgoing: Vec<_> = configuration.outgoing().iter().map(outgoing).collect();
        if planted.is(Mutant::CountsOutgoingOnly) && configuration.is_joint() {
            incoming = std::mem::take(&mut outgoing);
        }
        let everyone = configuration.nodes().iter().filter_map(place).collect();
        Self { index, configuration, incoming, outgoing, everyone }
    }

    /// The greatest value that a majority reaches, of each half while it is joint. `value` is asked by
    /// place, of those who are there with the disk that the half names, as far as `peers` says; the
    /// others have the least. `scratch` is memory. The least one if there are no voters.
    pub(crate) fn reached<T: Ord + Copy + Default>(
        &self,
        scratch: &mut Vec<T>,
        peers: &[Identity],
        value: impl Fn(usize) -> T,
    ) -> T {
        scratch.clear();
        let value = |seat: &Seat| seat.heard(peers).map_or_else(T::default, &value);
        scratch.extend(self.incoming.iter().map(&value));
        scratch.extend(self.outgoing.iter().map(&value));
        let (incoming, outgoing) = scratch.split_at_mut(self.incoming.len());
        reached_by_joint(incoming, outgoing).unwrap_or_default()
    }

    /// How an election stands, of whose `votes`, by place, only those of voters count, each in the halves
    /// that name the disk it is on.
    pub(crate) fn tally(&self, peers: &[Identity], votes: &[Option<bool>]) -> Tally {
        if self.incoming.is_empty() {
            return Tally::Pending;
        }
        let vote = |seat: &Seat| seat.heard(peers).and_then(|place| votes[place]);
        let incoming: Vec<_> = self.incoming.iter().map(vote).collect();
        let outgoing: Vec<_> = self.outgoing.iter().map(vote).collect();
        joint_tally(&incoming, &outgoing)
    }

    /// The places of the voters that are no witnesses, each on the disk that a half names or on one that
    /// is not known; some may come twice.
    pub(crate) fn full_voters(&self, peers: &[Identity]) -> impl Iterator<Item = usize> {
        let seats = self.incoming.iter().chain(&self.outgoing);
        let full = seats.filter(|seat| seat.kind == Kind::Full);
        full.filter_map(|seat| {
            let known = |&place: &usize| [seat.disk, Disk::UNNAMED].contains(&peers[place].disk);
            seat.place.filter(known)
        })
    }

    /// Whether the member at `place` votes.
    pub(crate) fn votes_at(&self, place: usize) -> bool {
        self.voters().any(|at| at == place)
    }

    /// The places of those whose vote counts, in no order; some may come twice.
    pub(crate) fn voters(&self) -> impl Iterator<Item = usize> + '_ {
        self.incoming.iter().chain(&self.outgoing).filter_map(|seat| seat.place)
    }
}

/// The configuration at the base of a log, and those after it.
///
/// Guarantee: never empty, and ascending by index.
#[derive(Clone, Debug)]
pub(crate) struct History {
    members: Members,
    planted: Planted,
    known: VecDeque<Seated>,
}

impl History {
    /// Of an empty log.
    pub(crate) fn new(members: Members, first: Configuration, planted: Planted) -> Self {
        let mut history = Self { members, planted, known: VecDeque::new() };
        history.push(LogIndex::ZERO, Arc::new(first));
        history
    }

    fn push(&mut self, index: LogIndex, configuration: Arc<Configuration>) {
        let seated = Seated::new(index, configuration, &self.members, self.planted);
        self.known.push_back(seated);
    }

    /// The first configuration of an empty log, before any entry, is known by its disks now.
    pub(crate) fn found(&mut self, first: Configuration) {
        if self.latest().index == LogIndex::ZERO {
            self.known.clear();
            self.push(LogIndex::ZERO, Arc::new(first));
        }
    }

    /// The one in effect.
    pub(crate) fn latest(&self) -> &Seated {
        self.known.back().expect("never empty")
    }

    /// The one in effect for a log that ends at `index`, which is not before the base.
    pub(crate) fn at(&self, index: LogIndex) -> &Seated {
        let after = self.known.partition_point(|seated| seated.index <= index);
        &self.known[after.saturating_sub(1)]
    }

    /// All that may be in effect yet where the log is committed up to `commit`: the last one up to
    /// there, and those after it.
    pub(crate) fn open(&self, commit: LogIndex) -> impl Iterator<Item = &Seated> {
        let after = self.known.partition_point(|seated| seated.index <= commit);
        self.known.range(after.saturating_sub(1)..)
    }

    /// All that are known, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Seated> {
        self.known.iter()
    }

    /// `entry` is the last of the log now.
    pub(crate) fn appended<C>(&mut self, entry: &Entry<C>) {
        if let Payload::Configuration(configuration) = &entry.payload {
            self.push(entry.index, Arc::clone(configuration));
        }
    }

    /// The log ends at `index`, which is not before the base.
    pub(crate) fn truncated(&mut self, index: LogIndex) {
        if self.planted.is(Mutant::KeepsTruncatedConfiguration) {
            return;
        }
        while self.known.len() > 1 && self.latest().index > index {
            self.known.pop_back();
        }
    }

    /// The log begins after `index`.
    pub(crate) fn compacted(&mut self, index: LogIndex) {
        while self.known.get(1).is_some_and(|seated| seated.index <= index) {
            self.known.pop_front();
        }
    }

    /// The log is nothing but what a snapshot covers, which says that `configuration`, from `index`, is
    /// in effect.
    pub(crate) fn restarted(&mut self, index: LogIndex, configuration: Arc<Configuration>) {
        if self.planted.is(Mutant::ForgetsConfiguration) {
            return;
        }
        self.known.clear();
        self.push(index, configuration);
    }
}

/// Whether `configuration` names nodes that are no members: then this node cannot reach them.
pub(crate) fn stranger(configuration: &Configuration, members: &Members) -> Option<NodeId> {
    configuration.nodes().into_iter().find(|&node| !members.contains(node))
}
