//! What makes the state of a node, for the search of every schedule.
//!
//! Left out, and why that loses no state:
//! - the configuration and the members: they never change;
//! - `counts`, `incarnation` and the log's count of truncations: people and monitors look at them,
//!   the node does not;
//! - the generator: it is set back before every input, and what it draws are election timeouts;
//! - `election_at` of a leader: it is drawn anew before it is next looked at, and `heartbeat_at`
//!   dies with the leadership; each is written where it is the node's only alarm;
//! - the leader's `indexes` and `rounds`: memory kept for its own sake, cleared before use;
//! - `settled`, `events` and `ack`: empty after every flush, and the search looks only then;
//! - on a disk, records that later ones overrule: a boot folds them away.
//!
//! No node is preferred for its name: votes and progress are counted, and what goes to all goes in
//! the order of the members, which messages without order do not show.

use std::hash::{Hash, Hasher};

use cluster::explore::{Explorable, Fingerprint, Frame};
use cluster::{NodeId, Rng};

use crate::canvass::Canvass;
use crate::election::Campaign;
use crate::leader::Leadership;
use crate::log::Log;
use crate::message::{Message, Record};
use crate::node::{Part, Raft};
use crate::reads::{Asker, Reads};
use crate::transfer::Transfer;
use crate::{StateMachine, Term};

impl<S> Explorable for Raft<S>
where
    S: StateMachine + Hash + Sync,
    S::Output: Sync,
    S::Query: Sync,
    S::Answer: Sync,
{
    const INTERCHANGEABLE: bool = true;
    const BOOT_SEED_MATTERS: bool = false;

    fn reseed(&mut self, seed: u64) {
        self.rng = Rng::from_seed(seed);
    }

    fn fingerprint(&self, frame: &Frame<'_>, into: &mut Fingerprint) {
        debug_assert!(self.settled.is_empty() && self.events.is_empty() && self.ack.is_none());
        debug_assert!(!self.ballot_unsaved, "a flush saves the ballot");
        self.term.hash(into);
        name(self.vote, frame, into);
        name(self.leader, frame, into);
        self.log.fingerprint(frame, into);
        self.commit.hash(into);
        self.applied_index().hash(into);
        self.machine().hash(into);
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
        }
    }

    /// What [`boot_core`](Raft::boot_core) folds them to: the last ballot, and the log.
    fn fingerprint_disk(records: &[Record<S::Command>], frame: &Frame<'_>, into: &mut Fingerprint) {
        let mut ballot = (Term::ZERO, None);
        let mut log = Vec::new();
        for record in records {
            match record {
                Record::Ballot { term, vote } => ballot = (*term, *vote),
                Record::Entries(entries) => {
                    let first = entries.first().map_or(0, |entry| entry.index.get());
                    log.truncate(usize::try_from(first.saturating_sub(1)).unwrap_or(usize::MAX));
                    log.extend(entries.iter());
                }
            }
        }
        ballot.0.hash(into);
        name(ballot.1, frame, into);
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
}

impl<C: Hash> Log<C> {
    fn fingerprint(&self, frame: &Frame<'_>, into: &mut Fingerprint) {
        into.write_usize(self.entries().len());
        for entry in self.entries() {
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
    }
}
