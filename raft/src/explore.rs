//! What makes the state of a node, for the search of every schedule.
//!
//! Left out, and why that loses no state:
//! - what nodes are configured with and the members: they never change;
//! - the configurations after the first one that is known, and `targets`: they follow from the log, and
//!   from what else a leader knows;
//! - what is left to read of a snapshot under way: the machines that are explored are written in one
//!   flush;
//! - `counts`, `incarnation`, the term of a transfer's last part and the log's count of truncations: people and monitors look at them,
//!   the node does not;
//! - the generator: it is set back before every input, and what it draws are election timeouts;
//! - `election_at` of a leader: it is drawn anew before it is next looked at, and `heartbeat_at`
//!   dies with the leadership; each is written where it is the node's only alarm;
//! - the leader's `indexes` and `rounds`: memory kept for its own sake, cleared before use;
//! - `settled`, `events` and `ack`: empty after every flush, and the search looks only then;
//! - on a disk, records that later ones overrule: a boot folds them away.
//!
//! Configurations name nodes as they are: a model that changes them, or whose first one does not hold
//! all members, explores without symmetry. So does one that does not trust disks: what a node's are
//! called follows from its own name, and from how often it has lost one. Where disks are trusted nobody
//! has an identity, and none is written.
//!
//! No node is preferred for its name: votes and progress are counted, and what goes to all goes in
//! the order of the members, which messages without order do not show.

use std::hash::{Hash, Hasher};

use cluster::explore::{Explorable, Fingerprint, Frame};
use cluster::{NodeId, Rng};

use crate::canvass::Canvass;
use crate::change::Ongoing;
use crate::checkpoint::scan;
use crate::election::Campaign;
use crate::leader::Leadership;
use crate::log::Log;
use crate::message::{Message, Record};
use crate::node::{Part, Raft};
use crate::reads::{Asker, Reads};
use crate::transfer::Transfer;
use crate::witness::Goal;
use crate::{LogIndex, Papers, Position, StateMachine, Term};

impl<S> Explorable for Raft<S>
where
    S: StateMachine + Hash + Sync,
    S::Output: Sync,
    S::Query: Sync,
    S::Answer: Sync,
    S::Snapshot: Sync,
{
    const INTERCHANGEABLE: bool = true;
    const BOOT_SEED_MATTERS: bool = false;

    fn reseed(&mut self, seed: u64) {
        self.rng = Rng::from_seed(seed);
    }

    fn fingerprint(&self, frame: &Frame<'_>, into: &mut Fingerprint) {
        debug_assert!(self.settled.is_empty() && self.events.is_empty() && self.ack.is_none());
        debug_assert!(self.forget.is_none(), "a flush says so");
        debug_assert!(!self.ballot_unsaved, "a flush saves the ballot");
        self.term.hash(into);
        name(self.vote, frame, into);
        name(self.leader, frame, into);
        self.fingerprint_identities(frame, into);
        self.log.fingerprint(frame, into);
        let base = self.log.history().iter().next();
        base.map(|seated| (seated.index, &seated.configuration)).hash(into);
        self.commit.hash(into);
        self.applied_index().hash(into);
        self.machine().hash(into);
        self.sessions.fingerprint(into);
        self.snapshot.hash(into);
        (self.grown, self.compaction_due).hash(into);
        self.writing_fingerprint(frame, into);
        into.write_u8(u8::from(self.incoming.is_some()));
        if let Some(incoming) = &self.incoming {
            (incoming.id, incoming.pieces.bytes()).hash(into);
        }
        self.proposals.hash(into);
        self.queries.hash(into);
        self.fingerprint_contacts(frame, into);
        match &self.part {
            Part::Follower => {
                into.write_u8(0);
                into.write_u64(frame.alarm(self.election_at));
            }
            Part::PreCandidate(canvass) => {
                into.write_u8(3);
                into.write_u64(frame.alarm(self.election_at));
                canvass.fingerprint(frame, into);
            }
            Part::Candidate(campaign) => {
                into.write_u8(1);
                into.write_u64(frame.alarm(self.election_at));
                campaign.fingerprint(frame, into);
            }
            Part::Leader(leadership) => {
                into.write_u8(2);
                into.write_u64(frame.alarm(leadership.heartbeat_at));
                leadership.fingerprint(self.place, frame, into);
                if self.config.check_quorum || self.config.stickiness {
                    // How long ago anyone was heard from, up to where that no longer matters.
                    let patience = self.config.quorum_patience().max(self.config.stick_for());
                    for place in frame.places().filter(|&place| place != self.place) {
                        into.write_u64(frame.until(leadership.heard[place] + patience));
                    }
                }
                self.fingerprint_change(leadership, frame, into);
                let full = self.log.seated().full_voters(&self.peers);
                for place in full.filter(|_| leadership.has_witnesses()) {
                    let Goal { index, since } = leadership.goals[place];
                    let heard = leadership.heard[place];
                    (index, heard == leadership.began).hash(into);
                    into.write_u64(frame.until(since + self.config.quorum_patience()));
                    into.write_u64(frame.until(heard + self.config.quorum_patience()));
                }
            }
        }
    }

    fn fingerprint_record(record: &Record<S::Command>, frame: &Frame<'_>, into: &mut Fingerprint) {
        match record {
            Record::Ballot { term, vote } => {
                into.write_u8(0);
                term.hash(into);
                name(*vote, frame, into);
            }
            Record::Entries(entries) => {
                into.write_u8(1);
                entries.hash(into);
            }
            Record::Checkpoint(checkpoint) => {
                into.write_u8(2);
                checkpoint.position.hash(into);
                checkpoint.term.hash(into);
                name(checkpoint.vote, frame, into);
                checkpoint.entries.hash(into);
                checkpoint.papers.hash(into);
            }
            Record::Piece { offset, chunk, id } => {
                into.write_u8(3);
                (offset, chunk, id).hash(into);
            }
            Record::Papers(papers) => {
                into.write_u8(4);
                papers.hash(into);
            }
        }
    }

    /// What [`boot_core`](Raft::boot_core) folds them to: the last whole snapshot, the last ballot,
    /// and the log; and what is there of a snapshot that may yet be whole, after which the ballot and
    /// the log say the same.
    fn fingerprint_disk(records: &[Record<S::Command>], frame: &Frame<'_>, into: &mut Fingerprint) {
        let mut ballot = (Term::ZERO, None);
        let mut papers = Papers::default();
        let mut base = Position::ZERO;
        let mut log = Vec::new();
        // What makes no sense is left to the boot to refuse.
        let (whole, begun) = scan(records).unwrap_or_default();
        let start = whole.as_ref().map_or(0, |(first, _)| *first);
        for (place, record) in records.iter().enumerate().skip(start) {
            let is_first = whole.is_some() && place == start;
            match record {
                Record::Ballot { term, vote } => ballot = (*term, *vote),
                Record::Entries(entries) => {
                    let first = entries.first().map_or(LogIndex::ZERO, |entry| entry.index);
                    log.truncate(first.prev().since(base.index));
                    log.extend(entries.iter());
                }
                Record::Checkpoint(checkpoint) if is_first => {
                    ballot = (checkpoint.term, checkpoint.vote);
                    base = checkpoint.position;
                    papers.clone_from(&checkpoint.papers);
                    log.extend(checkpoint.entries.iter());
                }
                Record::Papers(later) => papers.clone_from(later),
                Record::Checkpoint(_) | Record::Piece { .. } => {}
            }
        }
        whole.map(|(_, held)| held).hash(into);
        begun.map(|(_, position, pieces)| pieces.id(position)).hash(into);
        ballot.0.hash(into);
        name(ballot.1, frame, into);
        papers.hash(into);
        log.hash(into);
    }

    /// Messages name nobody: from whom and to whom is not their business. Tags of reads name a life,
    /// which is a number that the boot seed gives.
    fn fingerprint_message(
        message: &Message<S::Command>,
        _frame: &Frame<'_>,
        into: &mut Fingerprint,
    ) {
        message.hash(into);
    }
}

/// Writes what a node is called, if it is one.
fn name(node: Option<NodeId>, frame: &Frame<'_>, into: &mut Fingerprint) {
    into.write_u32(node.map_or(u32::MAX, |node| frame.name(node)));
}

impl<S: StateMachine> Raft<S> {
    /// Writes who it is, and as whom the others have spoken.
    fn fingerprint_identities(&self, frame: &Frame<'_>, into: &mut Fingerprint) {
        self.papers.witness.hash(into);
        if self.config.trusts_disks {
            return;
        }
        debug_assert!(!self.papers_unsaved, "a flush saves the papers");
        (&self.papers, &self.founding).hash(into);
        for place in frame.places() {
            self.peers[place].hash(into);
        }
    }

    /// Writes what it knows of its leader's silence, of its disk, of its reads, and of a transfer.
    fn fingerprint_contacts(&self, frame: &Frame<'_>, into: &mut Fingerprint) {
        if self.config.stickiness && !self.is_leader() {
            into.write_u64(frame.until(self.loyal_until));
        }
        if let Some(patience) = self.config.disk_patience() {
            // How many records are under way is in the world's part of the state.
            let since = self.disk.busy_since().map(|since| frame.until(since + patience));
            since.hash(into);
        }
        self.follower_reads.hash(into);
        if self.follower_reads.asks() {
            into.write_u64(frame.until(self.ask_again_at));
            into.write_u64(frame.until(self.election_at));
        }
        name(self.handover.map(|handover| handover.to), frame, into);
        self.handover.map(|handover| handover.request).hash(into);
    }

    /// How long ago a round began, and who was heard from, up to where that no longer matters.
    fn fingerprint_change(
        &self,
        leadership: &Leadership,
        frame: &Frame<'_>,
        into: &mut Fingerprint,
    ) {
        let patience = self.config.quorum_patience();
        into.write_usize(leadership.departing.len());
        for departing in &leadership.departing {
            (departing.place, departing.index).hash(into);
            into.write_u64(frame.until(departing.silent_since(&leadership.heard) + patience));
        }
        leadership.change.as_ref().map(std::mem::discriminant).hash(into);
        match &leadership.change {
            Some(Ongoing::CatchUp(catch_up)) => {
                catch_up.fingerprint(into);
                into.write_u64(frame.until(catch_up.since + self.config.stick_for()));
                for &place in catch_up.joining() {
                    let since = catch_up.silent_since(place, &leadership.heard);
                    into.write_u64(frame.until(since + patience));
                }
            }
            Some(Ongoing::Joint(request)) => request.hash(into),
            None => {}
        }
    }

    /// What is written of a snapshot stands for what is still to be read: that follows from what the
    /// machine was then.
    fn writing_fingerprint(&self, frame: &Frame<'_>, into: &mut Fingerprint) {
        into.write_u8(u8::from(self.writing.is_some()));
        if let Some(writing) = &self.writing {
            writing.pieces.id(writing.position).hash(into);
            for count in [writing.first, writing.last] {
                into.write_u64(count.map_or(u64::MAX, |count| frame.behind(count)));
            }
        }
    }
}

impl<C: Hash> Log<C> {
    fn fingerprint(&self, frame: &Frame<'_>, into: &mut Fingerprint) {
        self.base().hash(into);
        into.write_usize(self.len());
        for entry in self.slice(self.base().index.next(), usize::MAX) {
            entry.hash(into);
        }
        self.durable().hash(into);
        self.saved_index().hash(into);
        into.write_usize(self.unsynced().len());
        for &(count, upto) in self.unsynced() {
            into.write_u64(frame.behind(count));
            upto.hash(into);
        }
    }
}

impl Campaign {
    fn fingerprint(&self, frame: &Frame<'_>, into: &mut Fingerprint) {
        for place in frame.places() {
            self.votes[place].hash(into);
        }
        into.write_u64(frame.behind(self.ballot));
    }
}

impl Canvass {
    fn fingerprint(&self, frame: &Frame<'_>, into: &mut Fingerprint) {
        for place in frame.places() {
            self.votes[place].hash(into);
        }
        self.agrees.hash(into);
    }
}

impl Reads {
    fn fingerprint(&self, frame: &Frame<'_>, into: &mut Fingerprint) {
        self.round.hash(into);
        self.asked_in.hash(into);
        for waiting in [&self.asked, &self.arrived] {
            into.write_usize(waiting.len());
            for asker in waiting {
                match *asker {
                    Asker::Here(request) => request.hash(into),
                    Asker::Follower(node, tag) => {
                        name(Some(node), frame, into);
                        tag.hash(into);
                    }
                }
            }
        }
        self.by_lease.hash(into);
        into.write_usize(self.begun.len());
        for &(round, at) in &self.begun {
            round.hash(into);
            into.write_u64(frame.span(at).cast_unsigned());
        }
        self.leased_from.map(|at| frame.span(at)).hash(into);
    }
}

impl Leadership {
    fn fingerprint(&self, own: usize, frame: &Frame<'_>, into: &mut Fingerprint) {
        self.first.hash(into);
        for place in frame.places().filter(|&place| place != own) {
            self.followers[place].hash(into);
        }
        self.reads.fingerprint(frame, into);
        into.write_u8(u8::from(self.lease_void));
        name(self.transfer.map(|transfer| transfer.to), frame, into);
        if let Some(Transfer { request, until, told, .. }) = self.transfer {
            request.hash(into);
            into.write_u64(frame.until(until));
            into.write_u8(u8::from(told));
        }
        self.beyond.hash(into);
    }
}
