//! Who takes part, and whose word counts (§6; chapter 4 of the thesis).
//!
//! A configuration is *simple*, with one set of voters, or *joint*, with two: the incoming voters and
//! the outgoing ones. While it is joint, whatever needs a majority needs one of each.
//!
//! ```text
//!  (1 2 3) ──────── one voter more or less: majorities overlap ───────▶ (1 2 3 4)
//!
//!  (1 2 3) ──▶ (1 4 5)&&(1 2 3) ──▶ (1 4 5)     any change: a majority of the joint one
//!     enter_joint               leave_joint      overlaps with those before and after it
//! ```
//! Everything here is a pure function of configurations: who asks for a change, when it may be made
//! and what it waits for is in [`Raft::change`](crate::Raft::change).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use cluster::NodeId;
use serde::{Deserialize, Serialize};

use crate::{Disk, Error, Kind, WitnessRefusal};

/// Who takes part in a cluster.
///
/// A voter is a node with a disk: what that node says on another disk does not count. In a joint
/// configuration a node may be an outgoing voter with one disk and an incoming one with another.
///
/// Guarantees of every configuration that was made by [`simple`](Configuration::simple),
/// [`enter_joint`](Configuration::enter_joint) and [`leave_joint`](Configuration::leave_joint) from
/// one of voters only:
/// 1. no learner is a voter, incoming or outgoing;
/// 2. whoever [is to be a learner next](Configuration::learners_next) is an outgoing voter, and no
///    incoming one;
/// 3. unless it is joint, there are no outgoing voters, no learners to be, and nothing to leave;
/// 4. only voters have disks;
/// 5. only who takes part is a [witness](crate::Kind::Witness), and nobody becomes one, or stops being
///    one, between two that follow each other;
/// 6. of each set of voters at most half are witnesses, so that a majority holds a full replica.
///
/// Prints as etcd's does: `voters=(1 2)&&(1) learners=(3) learners_next=(4) witnesses=(2) autoleave`;
/// where disks are named, `voters=(1:d7 2:d9)`.
#[derive(Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct Configuration {
    voters: BTreeSet<NodeId>,
    /// Not empty while it is joint.
    outgoing: BTreeSet<NodeId>,
    learners: BTreeSet<NodeId>,
    learners_next: BTreeSet<NodeId>,
    auto_leave: bool,
    /// Those of all nodes that keep no commands.
    witnesses: BTreeSet<NodeId>,
    /// Those of the voters that have one.
    disks: BTreeMap<NodeId, Disk>,
    /// Those of the outgoing voters that have one.
    outgoing_disks: BTreeMap<NodeId, Disk>,
}

/// A configuration as it is written: without witnesses, byte for byte as it was before there were any,
/// when a truth value stood in the place of the [`Shape`].
#[derive(Serialize, Deserialize)]
struct Written {
    voters: BTreeSet<NodeId>,
    outgoing: BTreeSet<NodeId>,
    learners: BTreeSet<NodeId>,
    learners_next: BTreeSet<NodeId>,
    shape: Shape,
    disks: BTreeMap<NodeId, Disk>,
    outgoing_disks: BTreeMap<NodeId, Disk>,
}

#[derive(Serialize, Deserialize)]
enum Shape {
    Stays,
    LeavesByItself,
    Witnessed { auto_leave: bool, witnesses: BTreeSet<NodeId> },
}

impl From<Configuration> for Written {
    fn from(it: Configuration) -> Self {
        let Configuration { voters, outgoing, learners, learners_next, .. } = it;
        let Configuration { auto_leave, witnesses, disks, outgoing_disks, .. } = it;
        let shape = match auto_leave {
            _ if !witnesses.is_empty() => Shape::Witnessed { auto_leave, witnesses },
            true => Shape::LeavesByItself,
            false => Shape::Stays,
        };
        Self { voters, outgoing, learners, learners_next, shape, disks, outgoing_disks }
    }
}

impl From<Written> for Configuration {
    fn from(it: Written) -> Self {
        let Written { voters, outgoing, learners, learners_next, shape, disks, outgoing_disks } =
            it;
        let (auto_leave, witnesses) = match shape {
            Shape::Stays => (false, BTreeSet::new()),
            Shape::LeavesByItself => (true, BTreeSet::new()),
            Shape::Witnessed { auto_leave, witnesses } => (auto_leave, witnesses),
        };
        Self {
            voters,
            outgoing,
            learners,
            learners_next,
            auto_leave,
            witnesses,
            disks,
            outgoing_disks,
        }
    }
}

/// What shall become of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// It votes: on the disk that it votes on already, or on one that is yet to be named; as a full
    /// replica, unless it takes part as a witness.
    Voter(NodeId),
    /// It votes in the same way, as a witness.
    Witness(NodeId),
    /// It gets the log, and does not vote; a witness gets it as one.
    Learner(NodeId),
    /// It takes no part.
    Remove(NodeId),
}

/// Why there is no such next configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Misstep {
    /// Nobody would vote.
    #[error("all voters would be removed")]
    NoVoters,
    /// More than one voter would come or go at once, so that majorities before and after need not
    /// overlap. Enter a joint configuration instead.
    #[error("more than one voter would change without a joint configuration")]
    ManyVoters,
    /// It is joint: it can only be left.
    #[error("the configuration is joint already")]
    IsJoint,
    /// It is not joint, so there is nothing to leave.
    #[error("the configuration is not joint")]
    IsNotJoint,
    /// It has no voters, so there is nothing to go out from.
    #[error("a configuration without voters cannot become joint")]
    WasEmpty,
    /// A node that takes part as a full replica would become a witness.
    #[error("{node} takes part as a full replica")]
    FullReplica {
        /// Which.
        node: NodeId,
    },
}

impl Configuration {
    /// A simple one, without learners.
    pub fn of(voters: impl IntoIterator<Item = NodeId>) -> Self {
        Self { voters: voters.into_iter().collect(), ..Self::default() }
    }

    /// The same, where those of `witnesses` that take part are witnesses.
    pub(crate) fn witnessed(mut self, witnesses: &BTreeSet<NodeId>) -> Self {
        let nodes = self.nodes();
        self.witnesses = witnesses.intersection(&nodes).copied().collect();
        self
    }

    /// Who votes; while it is joint, who votes in the configuration that comes.
    pub fn voters(&self) -> &BTreeSet<NodeId> {
        &self.voters
    }

    /// While it is joint, who votes in the configuration that goes.
    pub fn outgoing(&self) -> &BTreeSet<NodeId> {
        &self.outgoing
    }

    /// Who gets the log and does not vote.
    pub fn learners(&self) -> &BTreeSet<NodeId> {
        &self.learners
    }

    /// Who votes until the joint configuration is left, and learns from then on.
    pub fn learners_next(&self) -> &BTreeSet<NodeId> {
        &self.learners_next
    }

    /// Who takes part as a witness.
    pub fn witnesses(&self) -> &BTreeSet<NodeId> {
        &self.witnesses
    }

    /// What `node` keeps of the log, if it takes part.
    pub fn kind(&self, node: NodeId) -> Kind {
        if self.witnesses.contains(&node) { Kind::Witness } else { Kind::Full }
    }

    /// How many of the voters are witnesses, and how many there are, if those are too many: more than
    /// half of them, in either half of it.
    pub fn too_many_witnesses(&self) -> Option<(usize, usize)> {
        [&self.voters, &self.outgoing].into_iter().find_map(|voters| {
            let count = voters.intersection(&self.witnesses).count();
            (2 * count > voters.len()).then_some((count, voters.len()))
        })
    }

    /// The disk with which `node` is a voter, in the configuration that comes while it is joint;
    /// [`Disk::UNNAMED`] if it is none, or none is named.
    pub fn disk(&self, node: NodeId) -> Disk {
        self.disks.get(&node).copied().unwrap_or_default()
    }

    /// While it is joint, the disk with which `node` is a voter in the configuration that goes.
    pub fn outgoing_disk(&self, node: NodeId) -> Disk {
        self.outgoing_disks.get(&node).copied().unwrap_or_default()
    }

    /// Whether `node` has a vote, in either half of it, on `disk`.
    pub fn votes_on(&self, node: NodeId, disk: Disk) -> bool {
        self.voters.contains(&node) && self.disk(node) == disk
            || self.outgoing.contains(&node) && self.outgoing_disk(node) == disk
    }

    /// The same, where each voter that has no disk (incoming, if it is joint) has that which `disk`
    /// says.
    #[must_use]
    pub fn named(mut self, disk: impl Fn(NodeId) -> Disk) -> Self {
        for &node in &self.voters {
            let disk = disk(node);
            if disk != Disk::UNNAMED {
                self.disks.entry(node).or_insert(disk);
            }
        }
        self
    }

    /// Whether `self` may be what becomes of the configuration that founders began with, `first`: the
    /// same, with disks.
    pub(crate) fn founds(&self, first: &Self) -> bool {
        let bare = Self { disks: BTreeMap::new(), ..self.clone() };
        first.disks.is_empty() && bare == *first && self.disks.len() == self.voters.len()
    }

    /// The voters that come, each with its disk.
    fn pairs(&self) -> BTreeSet<(NodeId, Disk)> {
        self.voters.iter().map(|&node| (node, self.disk(node))).collect()
    }

    /// How many voters `self` has that `other` has not, and the other way round.
    fn distance(&self, other: &Self) -> usize {
        self.pairs().symmetric_difference(&other.pairs()).count()
    }

    /// The voters that come and are none in `before`, or not on that disk.
    pub(crate) fn new_voters(&self, before: &Self) -> Vec<NodeId> {
        self.pairs().difference(&before.pairs()).map(|&(node, _)| node).collect()
    }

    /// Whether two majorities are needed.
    pub fn is_joint(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Whether a leader shall leave the joint configuration by itself, as soon as it is committed.
    pub fn leaves_by_itself(&self) -> bool {
        self.auto_leave
    }

    /// Whether `node` has a vote, in either half of it.
    pub fn votes(&self, node: NodeId) -> bool {
        self.voters.contains(&node) || self.outgoing.contains(&node)
    }

    /// Whether `node` takes part, as a voter of either half or as a learner.
    pub fn contains(&self, node: NodeId) -> bool {
        self.votes(node) || self.learners.contains(&node)
    }

    /// Everyone who takes part, ascending.
    pub fn nodes(&self) -> BTreeSet<NodeId> {
        let sets = [&self.voters, &self.outgoing, &self.learners];
        sets.into_iter().flatten().copied().collect()
    }

    /// The configuration after `steps`, taken in order, if they change one voter at most (§4.1 of the
    /// thesis).
    ///
    /// # Errors
    /// [`Misstep::IsJoint`], [`Misstep::NoVoters`] and [`Misstep::ManyVoters`].
    pub fn simple(&self, steps: &[Step]) -> Result<Self, Misstep> {
        if self.is_joint() {
            return Err(Misstep::IsJoint);
        }
        let next = self.after(steps)?;
        match self.distance(&next) {
            0 | 1 => Ok(next),
            _ => Err(Misstep::ManyVoters),
        }
    }

    /// The joint configuration on the way to the one after `steps` (§4.3 of the thesis).
    ///
    /// # Errors
    /// [`Misstep::IsJoint`], [`Misstep::WasEmpty`] and [`Misstep::NoVoters`].
    pub fn enter_joint(&self, auto_leave: bool, steps: &[Step]) -> Result<Self, Misstep> {
        if self.is_joint() {
            return Err(Misstep::IsJoint);
        }
        if self.voters.is_empty() {
            return Err(Misstep::WasEmpty);
        }
        let (outgoing, outgoing_disks) = (self.voters.clone(), self.disks.clone());
        let begun = Self { outgoing, outgoing_disks, ..self.clone() };
        Ok(Self { auto_leave, ..begun.after(steps)? })
    }

    /// The configuration that comes after a joint one.
    ///
    /// # Errors
    /// [`Misstep::IsNotJoint`].
    pub fn leave_joint(&self) -> Result<Self, Misstep> {
        if !self.is_joint() {
            return Err(Misstep::IsNotJoint);
        }
        let learners = self.learners.union(&self.learners_next).copied().collect();
        let (voters, disks) = (self.voters.clone(), self.disks.clone());
        let left = Self { voters, disks, learners, ..Self::default() };
        Ok(left.witnessed(&self.witnesses))
    }

    /// Whether `self` may stand next after `before` in a log: it is the same but for one voter and any
    /// learners, or enters a joint configuration from it, or leaves it.
    ///
    /// A voter on another disk is another voter, so it takes a joint configuration to get there. Whoever
    /// takes part in both is of the same kind in both.
    pub fn may_follow(&self, before: &Self) -> bool {
        let common: BTreeSet<NodeId> =
            self.nodes().intersection(&before.nodes()).copied().collect();
        if common.iter().any(|&node| self.kind(node) != before.kind(node)) {
            return false;
        }
        match (before.is_joint(), self.is_joint()) {
            (false, false) => self.distance(before) <= 1,
            (false, true) => self.outgoing == before.voters && self.outgoing_disks == before.disks,
            (true, false) => before.leave_joint().as_ref() == Ok(self),
            (true, true) => false,
        }
    }

    fn after(&self, steps: &[Step]) -> Result<Self, Misstep> {
        let mut next = self.clone();
        for step in steps {
            match *step {
                Step::Voter(node) => next.seat(node),
                Step::Witness(node) => {
                    if self.contains(node) && self.kind(node) == Kind::Full {
                        return Err(Misstep::FullReplica { node });
                    }
                    next.seat(node);
                    next.witnesses.insert(node);
                }
                Step::Learner(node) => {
                    next.remove(node);
                    // No learner may be a voter, and it is one until the joint configuration is left.
                    let votes = next.outgoing.contains(&node);
                    let learners = if votes { &mut next.learners_next } else { &mut next.learners };
                    learners.insert(node);
                }
                Step::Remove(node) => next.remove(node),
            }
        }
        if next.voters.is_empty() {
            return Err(Misstep::NoVoters);
        }
        let witnesses = std::mem::take(&mut next.witnesses);
        Ok(next.witnessed(&witnesses))
    }

    fn seat(&mut self, node: NodeId) {
        let disk = self.disks.get(&node).copied();
        self.remove(node);
        self.voters.insert(node);
        self.disks.extend(disk.map(|disk| (node, disk)));
    }

    fn remove(&mut self, node: NodeId) {
        self.voters.remove(&node);
        self.disks.remove(&node);
        self.learners.remove(&node);
        self.learners_next.remove(&node);
    }
}

impl fmt::Display for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let none = BTreeMap::new();
        let list = |nodes: &BTreeSet<NodeId>, disks: &BTreeMap<NodeId, Disk>| {
            let name = |node: &NodeId| match disks.get(node) {
                Some(disk) => format!("{}:{disk}", node.get()),
                None => node.get().to_string(),
            };
            let names: Vec<String> = nodes.iter().map(name).collect();
            format!("({})", names.join(" "))
        };
        write!(f, "voters={}", list(&self.voters, &self.disks))?;
        if self.is_joint() {
            write!(f, "&&{}", list(&self.outgoing, &self.outgoing_disks))?;
        }
        if !self.learners.is_empty() {
            write!(f, " learners={}", list(&self.learners, &none))?;
        }
        if !self.learners_next.is_empty() {
            write!(f, " learners_next={}", list(&self.learners_next, &none))?;
        }
        if !self.witnesses.is_empty() {
            write!(f, " witnesses={}", list(&self.witnesses, &none))?;
        }
        if self.auto_leave { f.write_str(" autoleave") } else { Ok(()) }
    }
}

impl fmt::Debug for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What an operator wants of the configuration, in one call: see [`Request::Change`].
///
/// Each is a goal. Where it is reached already, the change is made all the same, as an entry that
/// changes nothing: so one that is asked again after an answer was lost is answered alike.
///
/// [`Request::Change`]: crate::Request::Change
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Change {
    /// The node votes, as a full replica, whatever else it was; refused if it takes part as a witness.
    AddVoter(NodeId),
    /// The node, which has no vote, gets the log, whole; refused if it takes part as a witness. One whose
    /// disk was a witness's gets nothing, which its [`Status`](crate::Status) and gauges show; to promote
    /// it is refused.
    AddLearner(NodeId),
    /// The learner votes. It is of the kind that it was.
    Promote(NodeId),
    /// The voter becomes a learner. It is of the kind that it was.
    Demote(NodeId),
    /// The node, voter or learner, takes no part.
    Remove(NodeId),
    /// `new` votes in the place of `old`, which takes no part any more, and as a witness if that was one.
    /// There is no moment at which one too many or too few must be up.
    Replace {
        /// A voter.
        old: NodeId,
        /// Anyone but `old`.
        new: NodeId,
    },
    /// The voter has lost its disk, and comes with another one: it votes on that from now on. It takes a
    /// majority of the others, since what the node says does not count until this is done. Nothing else
    /// changes; nothing at all if its disk is the one that it votes on already.
    Renew(NodeId),
    /// These vote, and no others; who voted and is not among them takes no part any more. Learners
    /// who are not among them stay. Witnesses among them stay witnesses.
    Voters(BTreeSet<NodeId>),
    /// The node votes as a [witness](crate::Kind::Witness); refused if it takes part as a full replica.
    AddWitness(NodeId),
}

impl Change {
    /// The configuration to go to from `current`, which is simple: a joint one if more than one voter
    /// changes. New voters, and one that is renewed, have no disk in it: whoever carries the change out
    /// [names](Configuration::named) those that it hears from.
    ///
    /// # Errors
    /// [`Error::NoSuchMember`], [`Error::UnfitMember`], [`Error::LastVoter`], [`Error::Witness`], and
    /// [`Error::ChangeInProgress`] if `current` is joint. Whether the nodes exist is not asked.
    pub fn apply(&self, current: &Configuration) -> Result<Configuration, Error> {
        let next = self.unbounded(current)?;
        match next.too_many_witnesses() {
            Some((witnesses, voters)) => {
                Err(Error::Witness(WitnessRefusal::TooMany { witnesses, voters }))
            }
            None => Ok(next),
        }
    }

    /// The same, however many witnesses there would be.
    pub(crate) fn unbounded(&self, current: &Configuration) -> Result<Configuration, Error> {
        let steps = self.steps(current)?;
        let next = match current.simple(&steps) {
            Err(Misstep::ManyVoters) => current.enter_joint(true, &steps),
            next => next,
        };
        next.map_err(|misstep| match misstep {
            Misstep::NoVoters | Misstep::WasEmpty => Error::LastVoter,
            Misstep::FullReplica { node } => other_kind(node),
            Misstep::IsJoint | Misstep::IsNotJoint | Misstep::ManyVoters => Error::ChangeInProgress,
        })
    }

    fn steps(&self, current: &Configuration) -> Result<Vec<Step>, Error> {
        let known = |node: NodeId| {
            if current.contains(node) { Ok(node) } else { Err(Error::NoSuchMember) }
        };
        let is_witness = |node: &NodeId| current.witnesses.contains(node);
        let vote_as = |node: NodeId, witness| {
            if witness { Step::Witness(node) } else { Step::Voter(node) }
        };
        Ok(match self {
            Self::AddVoter(node) | Self::AddLearner(node) if is_witness(node) => {
                return Err(other_kind(*node));
            }
            Self::AddVoter(node) => vec![Step::Voter(*node)],
            Self::AddWitness(node) => vec![Step::Witness(*node)],
            Self::AddLearner(node) if current.votes(*node) => return Err(Error::UnfitMember),
            Self::AddLearner(node) => vec![Step::Learner(*node)],
            Self::Promote(node) => vec![Step::Voter(known(*node)?)],
            Self::Demote(node) => vec![Step::Learner(known(*node)?)],
            Self::Remove(node) => vec![Step::Remove(*node)],
            Self::Replace { old, new } => {
                let done = !current.contains(*old) && current.votes(*new);
                if old == new || !(done || current.votes(*old)) {
                    return Err(Error::UnfitMember);
                }
                // If it is done, the new one is what the old one was.
                let witness = is_witness(old) || done && is_witness(new);
                if is_witness(new) && !witness {
                    return Err(other_kind(*new));
                }
                vec![vote_as(*new, witness), Step::Remove(*old)]
            }
            Self::Renew(node) if !current.votes(*node) => return Err(Error::UnfitMember),
            Self::Renew(node) => vec![Step::Remove(*node), Step::Voter(*node)],
            Self::Voters(voters) => {
                let gone = current.voters.difference(voters).map(|&node| Step::Remove(node));
                gone.chain(voters.iter().map(|&node| Step::Voter(node))).collect()
            }
        })
    }
}

fn other_kind(node: NodeId) -> Error {
    Error::Witness(WitnessRefusal::OtherKind { node })
}
