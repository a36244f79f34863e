//! How a cluster begins, and who of its founders has lost its disk.
//!
//! The first configuration comes from the [`Config`](crate::Config), which knows nodes and not disks: it
//! cannot tell a founder from the same node with its disk wiped. So before a founder stands or votes
//! with an empty log, it meets every other founder once:
//!
//! ```text
//!  n1 (d7, empty)                       n2 (d9)
//!     │ Hello: I am d7, who are you? ──▶ │ writes down "n1 is d7", if n1 is nobody yet
//!     │ ◀─ Hello: I am d9, you are d7 ── │ once that is durable
//!     ▼
//!  all others say d7: it is *founded*, and writes that down    one says another: it was wiped
//!  it knows all disks: they make the first configuration      it abstains until it is renewed
//! ```
//! What a founder writes down of another is the first disk that it hears of, and never changes. The
//! first entry of the first leader is the configuration with its disks; from then on logs say who
//! counts, and nobody is asked: a node that holds any entry votes as the thesis has it (§4.1: whatever
//! its own configuration says of it), and is counted by those whose configuration names its disk.
//!
//! # Why that is enough
//! Say that a founder `B` has voted with an empty log on disk `d`. It was founded, so every other founder
//! has said, and written down before, that `B` is `d`. Let `B` come back with `d'`. Each founder that has
//! kept its disk says `d`; so `B` is not founded on `d'` as long as *one* other has. Hence of the votes
//! that are given with empty logs, those of one node are all on one disk. Two elections by empty logs in
//! one term share a node, as majorities do, and so a voter; and two first leaders' configurations differ
//! at most in the disks of nodes that had promised nothing by then. Whoever holds an entry refuses a
//! candidate with an empty log, so a committed entry stops all further elections of that kind: a majority
//! of the pairs of the leader that committed it hold it, and those of them that a candidate with an
//! empty log counts on the same disk refuse it, while on another disk they would have to be founded
//! against the word of all that elected that leader.
//!
//! # Why all others, and no majority of them
//! Of seven, let four of the six others suffice: two fours may share two nodes and no more. Lose those
//! two disks and `B`'s, a minority of the seven, and `B` is founded twice. When all others are asked, one
//! that keeps its disk is enough; and whoever is founded knows every disk of the first configuration.
//! The price is that all founders must meet before the first election: one that never comes up keeps the
//! cluster from its first service. (A founder that loses its disk before all have met still tells the
//! others who they are; only it cannot be founded itself, if one of them had heard of its first disk.)

use std::collections::btree_map::Entry;

use cluster::NodeId;

use crate::configuration::Configuration;
use crate::message::{Message, Record};
use crate::mutants::Mutant;
use crate::node::{Out, Part, Raft};
use crate::progress::Progress;
use crate::{Disk, Identity, LogIndex, Recognition, StateMachine};

/// What a founder knows of its founding, in this life.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Founding {
    /// For each member, by its place, whether it knows this node by its disk.
    pub(crate) confirmed: Vec<bool>,
    /// Whether one of them knows it by another.
    pub(crate) refuted: bool,
    /// Whether it has made itself known since its boot.
    pub(crate) greeted: bool,
}

// At boot.
impl<S: StateMachine> Raft<S> {
    /// What the disk held is there. If it says who this node is, it is that; else it is nobody yet.
    pub(crate) fn take_up_papers(&mut self) {
        if !self.config.trusts_disks {
            self.papers.renewed(&mut self.rng);
            self.papers_unsaved = true;
        }
        self.peers[self.place] = self.papers.own;
        self.founding.confirmed = vec![false; self.members.count()];
        self.found_if_confirmed();
        self.know_founders();
    }
}

// What it may do.
impl<S: StateMachine> Raft<S> {
    /// Who says so, in what this node promises.
    pub(crate) fn identity(&self) -> Identity {
        self.papers.own
    }

    /// Whether it is a founder that must not promise anything yet: it has no entry, and not met all
    /// others.
    pub(crate) fn is_unfounded(&self) -> bool {
        !self.config.trusts_disks
            && !self.papers.founded
            && self.log.last_index() == LogIndex::ZERO
            && self.config.first_configuration(&self.members).votes(self.id)
    }

    /// Whether it may vote; counts it if not.
    pub(crate) fn may_promise(&mut self) -> bool {
        let may = !self.is_unfounded();
        self.counts.withheld += u64::from(!may);
        may
    }

    /// How the cluster knows it.
    pub fn recognition(&self) -> Recognition {
        let (id, disk) = (self.id, self.papers.own.disk);
        let configuration = self.configuration();
        if self.is_unfounded() {
            return if self.founding.refuted {
                Recognition::Replaced
            } else {
                Recognition::Awaited
            };
        }
        if configuration.votes_on(id, disk) {
            Recognition::Voter
        } else if configuration.votes(id) {
            Recognition::Replaced
        } else {
            Recognition::Guest
        }
    }

    /// The first configuration, with its disks.
    fn founded_configuration(&self) -> Configuration {
        let own = self.papers.own.disk;
        let disk = |node: NodeId| match self.papers.founders.get(&node) {
            Some(&disk) => disk,
            None if node == self.id => own,
            None => Disk::UNNAMED,
        };
        self.config.first_configuration(&self.members).named(disk)
    }
}

// Meeting the others.
impl<S: StateMachine> Raft<S> {
    /// Makes itself known to every founder that has not confirmed it.
    pub(crate) fn greet<P, E>(&mut self, out: &mut Out<S, P, E>) {
        if !self.is_unfounded() || self.founding.refuted {
            return;
        }
        self.founding.greeted = true;
        self.save_papers(out);
        for node in self.other_founders() {
            self.say_hello(node, out);
        }
    }

    fn other_founders(&self) -> Vec<NodeId> {
        let first = self.config.first_configuration(&self.members);
        let others = first.voters().iter().copied().filter(|&node| node != self.id);
        others.collect()
    }

    fn confirmed(&self, node: NodeId) -> bool {
        self.members.index_of(node).is_some_and(|place| self.founding.confirmed[place])
    }

    fn say_hello<P, E>(&mut self, to: NodeId, out: &mut Out<S, P, E>) {
        let known = self.papers.founders.get(&to).copied();
        let asks = self.is_unfounded() && !self.founding.refuted && !self.confirmed(to);
        let hello = Message::Hello { disk: self.papers.own.disk, known, asks };
        if self.config.planted.is(Mutant::KnowsFoundersUnsaved) {
            out.send_now(to, hello);
        } else {
            out.send(to, hello);
        }
    }

    /// Hello, as its receiver.
    pub(crate) fn on_hello<P, E>(
        &mut self,
        from: NodeId,
        (disk, known, asks): (Disk, Option<Disk>, bool),
        out: &mut Out<S, P, E>,
    ) {
        let founders = self.other_founders();
        if self.config.trusts_disks || disk == Disk::UNNAMED || !founders.contains(&from) {
            self.counts.dropped += 1;
            return;
        }
        if let Entry::Vacant(unknown) = self.papers.founders.entry(from) {
            unknown.insert(disk);
            self.papers_unsaved = true;
        }
        if self.is_unfounded()
            && let Some(known) = known
            && let Some(place) = self.members.index_of(from)
        {
            let same = known == self.papers.own.disk;
            self.founding.confirmed[place] |= same;
            self.founding.refuted |= !same;
            self.found_if_confirmed();
        }
        self.save_papers(out);
        if asks {
            self.say_hello(from, out);
        }
        self.know_founders();
    }

    /// "Confirmed by all others": from now on it is a voter of the first configuration.
    fn found_if_confirmed(&mut self) {
        let refuted = self.founding.refuted && !self.config.planted.is(Mutant::WipedFounderVotes);
        let met = |&node: &NodeId| {
            self.confirmed(node)
                || self.config.planted.is(Mutant::WipedFounderVotes)
                    && self.papers.founders.contains_key(&node)
        };
        if self.is_unfounded() && !refuted && self.other_founders().iter().all(met) {
            self.papers.founded = true;
            self.papers_unsaved = true;
        }
    }

    /// Puts the disks of the founders into the first configuration.
    fn know_founders(&mut self) {
        if self.papers.founded && !self.config.trusts_disks {
            let first = self.founded_configuration();
            self.log.found(first);
        }
    }

    /// Hands to the disk who it is, if that has changed.
    pub(crate) fn save_papers<P, E>(&mut self, out: &mut Out<S, P, E>) {
        if std::mem::take(&mut self.papers_unsaved) {
            out.persist(Record::Papers(self.papers.clone()));
        }
    }
}

// Whose word is heard.
impl<S: StateMachine> Raft<S> {
    /// The member at `place` speaks as `by`. False if a later life of it was heard, or another of the
    /// same number: then this one is a copy, or back from the past.
    pub(crate) fn recognises(&mut self, place: usize, by: Identity) -> bool {
        let known = self.peers[place];
        if known.disk == by.disk && !by.life.may_follow(known.life) {
            self.counts.impostors += 1;
            return self.config.planted.is(Mutant::HearsOlderLives);
        }
        self.peers[place] = by;
        let changed = known.disk != by.disk && known.disk != Disk::UNNAMED;
        if changed && !self.config.planted.is(Mutant::KeepsProgressOfAnotherDisk) {
            self.forget_promises(place);
        }
        true
    }

    /// The disk at `place` is another one: what was promised there before does not stand on it.
    fn forget_promises(&mut self, place: usize) {
        let last = self.log.last_index();
        match &mut self.part {
            Part::Follower => {}
            Part::PreCandidate(canvass) => canvass.votes[place] = None,
            Part::Candidate(campaign) => campaign.votes[place] = None,
            Part::Leader(leadership) => {
                let follower = &mut leadership.followers[place];
                *follower = Progress::unknown(last, follower.kind);
            }
        }
    }
}
