//! What a node shows of itself.

use cluster::{Node, NodeId, Role};

use crate::configuration::Configuration;
use crate::entries::Entries;
use crate::message::Entry;
use crate::node::{Part, Raft};
use crate::{Kind, LogIndex, Position, StateMachine, Status, Term};

// What a node is asked about itself.
impl<S: StateMachine> Raft<S> {
    /// Its name.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// The term it is in.
    pub fn term(&self) -> Term {
        self.term
    }

    /// Whom it has voted for in its term.
    pub fn vote(&self) -> Option<NodeId> {
        self.vote
    }

    /// Who leads in its term, as far as it knows.
    pub fn leader(&self) -> Option<NodeId> {
        self.leader
    }

    /// Whether it leads in its term. A later term may have another leader already.
    pub fn is_leader(&self) -> bool {
        match self.part {
            Part::Leader(_) => true,
            Part::Follower | Part::PreCandidate(_) | Part::Candidate(_) => false,
        }
    }

    /// The part it plays.
    pub fn role(&self) -> Role {
        match self.part {
            Part::Follower => Role::Follower,
            Part::PreCandidate(_) | Part::Candidate(_) => Role::Candidate,
            Part::Leader(_) => Role::Leader,
        }
    }

    /// If it leads: the index of the first entry of its leadership, a no-op. Once that is
    /// committed, it knows everything that earlier leaders committed.
    pub fn leads_from(&self) -> Option<LogIndex> {
        match &self.part {
            Part::Leader(leadership) => Some(leadership.first),
            Part::Follower | Part::PreCandidate(_) | Part::Candidate(_) => None,
        }
    }

    /// Who takes part: the latest configuration in its log, committed or not.
    pub fn configuration(&self) -> &Configuration {
        &self.log.seated().configuration
    }

    /// Where that configuration stands in the log; zero for the first one, which is in no entry.
    pub fn configured_at(&self) -> LogIndex {
        self.log.seated().index
    }

    /// How far the log is committed, as far as it knows. After a restart, what its snapshot covers.
    pub fn commit_index(&self) -> LogIndex {
        self.commit
    }

    /// How far the log has been applied to the machine.
    pub fn applied_index(&self) -> LogIndex {
        self.applied
    }

    /// The index of the last entry, committed or not.
    pub fn last_index(&self) -> LogIndex {
        self.log.last_index()
    }

    /// Where the log ends.
    pub fn last(&self) -> Position {
        self.log.last()
    }

    /// Where the last entry stood that this node no longer has, because a snapshot covers it; zero
    /// if it has all. The log begins after it.
    pub fn base(&self) -> Position {
        self.log.base()
    }

    /// The last entry that its latest snapshot covers; zero if it has none.
    pub fn snapshot_index(&self) -> LogIndex {
        self.snapshot.as_ref().map_or(LogIndex::ZERO, |held| held.id.position.index)
    }

    /// How many sessions are open, as far as it has applied the log.
    pub fn sessions(&self) -> usize {
        self.sessions.count()
    }

    /// All of this, and what it counts, at one moment.
    pub fn status(&self) -> Status {
        Status {
            node: self.id,
            disk: self.identity().disk,
            recognition: self.recognition(),
            kind: if self.is_witness() { Kind::Witness } else { Kind::Full },
            role: self.role(),
            term: self.term,
            leader: self.leader,
            commit: self.commit,
            applied: self.applied,
            last: self.last_index(),
            snapshot: self.snapshot_index(),
            gauges: self.gauges().into_iter().map(|(name, count)| (name.into(), count)).collect(),
        }
    }

    /// The entry at `index`, committed or not.
    pub fn entry(&self, index: LogIndex) -> Option<&Entry<S::Command>> {
        self.log.get(index)
    }

    /// At most `max` entries from `from` on, committed or not; from the first that is still there, if
    /// `from` is before that.
    pub fn entries(
        &self,
        from: LogIndex,
        max: usize,
    ) -> impl Iterator<Item = &Entry<S::Command>> + Clone {
        self.log.slice(from, max)
    }

    /// At most `max` entries from `from` on that this node knows to be committed; from the first that
    /// is still there, if `from` is before that.
    pub fn committed(&self, from: LogIndex, max: usize) -> Entries<S::Command> {
        let from = from.max(self.log.base().index.next());
        self.log.share(from, max.min(self.commit.next().since(from)))
    }

    /// This node's replica, with everything applied up to
    /// [`applied_index`](Raft::applied_index).
    pub fn machine(&self) -> &S {
        &self.machine
    }
}
