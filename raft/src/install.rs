//! How a follower gets a snapshot that its leader has (§7, figure 13; thesis §5.2).
//!
//! A leader that no longer has the entries that a follower lacks sends its latest snapshot instead,
//! in parts, a few ahead of their answers. Each answer says how many bytes the follower has from the
//! first on, so that what is lost, doubled or out of order costs a repetition and no more; and so
//! that another leader which holds the same snapshot goes on where the first one stopped. When all
//! bytes are there they are checked, and the snapshot takes the place of the machine and of the log
//! before it. It is acknowledged like entries, once it is on the disk.
//!
//! The follower keeps what it receives in memory until all is there: a restart begins anew.

use std::sync::Arc;

use cluster::{NodeId, Now};

use crate::checkpoint::{Restored, Writing};
use crate::message::{Append, Appended, Install, Installed, Message};
use crate::mutants::Mutant;
use crate::node::{Out, Part, Raft};
use crate::progress::{Pace, Progress};
use crate::request::{Event, Settled};
use crate::snapshot::{Chunk, Held, Pieces, SnapshotId};
use crate::{Kind, LogIndex, Position, Round, StateMachine, Term};

/// How many parts are sent ahead of their answers.
const AHEAD: u64 = 4;

/// A snapshot on its way to a follower, as its leader sees it.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Transfer {
    /// Kept until the follower has it, whatever the leader's latest is by then.
    snapshot: Arc<Held>,
    /// How many bytes the follower has.
    acknowledged: u64,
    /// How many bytes were sent. `acknowledged <= sent`.
    sent: u64,
    /// Whether the follower has said how much of it it has.
    known: bool,
    /// Whether a heartbeat has passed since the follower last came further.
    stalled: bool,
}

/// A snapshot on its way to this node.
#[derive(Clone, Debug)]
pub(crate) struct Incoming {
    pub(crate) id: SnapshotId,
    pub(crate) pieces: Pieces,
    /// The term of the leader that sent of it last. People look at it, the node does not.
    term: Term,
}

impl Transfer {
    fn new(snapshot: Arc<Held>) -> Self {
        Self { snapshot, acknowledged: 0, sent: 0, known: false, stalled: false }
    }

    /// The last entry that the follower will have.
    pub(crate) fn covers(&self) -> LogIndex {
        self.snapshot.id.position.index
    }

    /// The follower has so many bytes. Old news changes nothing; but when nothing has moved since
    /// the last heartbeat, less than before is believed: it has restarted.
    fn acknowledged(&mut self, bytes: u64) {
        let bytes = bytes.min(self.snapshot.id.bytes);
        if bytes > self.acknowledged || (self.stalled && bytes < self.acknowledged) {
            if bytes < self.acknowledged {
                self.sent = bytes;
            }
            self.acknowledged = bytes;
            self.sent = self.sent.max(bytes);
            self.stalled = false;
        }
        self.known = true;
    }

    /// Sends what may be sent now; something at all if that is due.
    pub(crate) fn send<C, R, P, E>(
        &mut self,
        to: NodeId,
        (term, round, kind): (Term, Round, Kind),
        due: bool,
        out: &mut cluster::Effects<Message<C>, R, P, E>,
    ) {
        if due {
            if self.stalled {
                self.sent = self.acknowledged;
            }
            self.stalled = true;
        }
        let id = self.snapshot.id;
        let mut silent = due;
        while let Some(chunk) = self.next_part() {
            let offset = self.sent;
            self.sent += chunk.len() as u64;
            out.send_now(to, Message::Install(Install { term, id, offset, chunk, round, kind }));
            silent = false;
        }
        if silent {
            let (offset, chunk) = (self.sent, Vec::new().into());
            out.send_now(to, Message::Install(Install { term, id, offset, chunk, round, kind }));
        }
    }

    /// The next part, if not too much is under way.
    fn next_part(&self) -> Option<Chunk> {
        let chunk = self.snapshot.pieces.from(self.sent)?;
        // Until it is known what the follower has, one part asks.
        let ahead = if self.known { AHEAD * chunk.len() as u64 } else { 1 };
        (self.sent - self.acknowledged < ahead).then_some(chunk)
    }
}

impl Progress {
    /// The snapshot that the follower is to be sent, if it needs one: `base` is where its leader's
    /// log begins.
    pub(crate) fn transfer(
        &mut self,
        base: Position,
        latest: impl FnOnce() -> Option<Arc<Held>>,
    ) -> Option<&mut Transfer> {
        let lacks = match &self.pace {
            Pace::Probe { .. } | Pace::Stream { .. } => self.next.prev() < base.index,
            // What follows that snapshot is gone as well.
            Pace::Install(transfer) => transfer.covers() < base.index,
        };
        if lacks {
            let transfer = Transfer::new(latest()?);
            self.next = transfer.covers().next();
            self.pace = Pace::Install(transfer);
        }
        match &mut self.pace {
            Pace::Probe { .. } | Pace::Stream { .. } => None,
            Pace::Install(transfer) => Some(transfer),
        }
    }

    /// The first index after which the leader must keep its log for this follower.
    pub(crate) fn needs(&self) -> LogIndex {
        match &self.pace {
            Pace::Probe { .. } | Pace::Stream { .. } => self.matched,
            Pace::Install(transfer) => transfer.covers(),
        }
    }
}

// The leader's side.
impl<S: StateMachine> Raft<S> {
    /// The answer of the member at `place` to a part of a snapshot.
    pub(crate) fn on_installed(
        &mut self,
        now: Now,
        place: usize,
        (term, round): (Term, Round),
        id: SnapshotId,
        outcome: Installed,
    ) {
        if term != self.term {
            return;
        }
        let Part::Leader(leadership) = &mut self.part else { return };
        let follower = &mut leadership.followers[place];
        follower.silent = 0;
        leadership.heard[place] = now.monotonic;
        if round <= leadership.reads.round {
            follower.round = follower.round.max(round);
        }
        let Pace::Install(transfer) = &mut follower.pace else { return };
        if transfer.snapshot.id != id {
            return;
        }
        match outcome {
            Installed::Holds(bytes) => transfer.acknowledged(bytes),
            Installed::Unreadable => {
                (transfer.acknowledged, transfer.sent) = (0, 0);
            }
        }
    }
}

// The follower's side.
impl<S: StateMachine> Raft<S> {
    /// InstallSnapshot, as its receiver (figure 13).
    pub(crate) fn on_install<P, E>(
        &mut self,
        now: Now,
        from: NodeId,
        install: Install,
        out: &mut Out<S, P, E>,
    ) {
        self.save_ballot(out);
        let Install { term, id, offset, chunk, round, kind } = install;
        if term < self.term {
            let (term, outcome) = (self.term, Appended::Stale);
            out.send(from, Message::Appended { term, round, outcome, by: self.identity() });
            return;
        }
        let fits = offset.checked_add(chunk.len() as u64).is_some_and(|end| end <= id.bytes);
        if term > self.term || !fits || id.position.term > term || id.bytes == 0 {
            self.counts.dropped += 1;
            return;
        }
        if !self.accept_leader(now, from, out) {
            return;
        }
        if !self.fits((from, round), kind, out) {
            return;
        }
        if id.position.index <= self.commit {
            // All that is committed here equals the leader's log.
            self.incoming = None;
            return self.owe(from, id.position.index, round);
        }
        if self.incoming.as_ref().is_none_or(|incoming| incoming.id != id) {
            self.counts.transfers += 1;
            self.incoming = Some(Incoming { id, pieces: Pieces::default(), term });
        }
        let Some(incoming) = &mut self.incoming else { return };
        if offset == incoming.pieces.bytes() && !chunk.is_empty() {
            self.counts.resumed += u64::from(incoming.term < term);
            incoming.term = term;
            incoming.pieces.push(chunk);
        }
        let bytes = incoming.pieces.bytes();
        let outcome = if bytes < id.bytes {
            Installed::Holds(bytes)
        } else if self.install(kind, out) {
            return self.owe(from, id.position.index, round);
        } else {
            Installed::Unreadable
        };
        out.send(from, Message::Installed { term, round, id, outcome, by: self.identity() });
    }

    /// Puts the snapshot that has come in the place of the machine and of the log before it. False,
    /// and nothing has changed, if it is none.
    fn install<P, E>(&mut self, kind: Kind, out: &mut Out<S, P, E>) -> bool {
        let Some(Incoming { id, pieces, .. }) = self.incoming.take() else { return false };
        let held = Held::new(id.position, pieces);
        let verified = held.id == id || self.config.planted.is(Mutant::UnverifiedSnapshot);
        let restored = if verified { self.restored(&held, kind).ok() } else { None };
        let Some(Restored { machine, sessions, configured }) = restored else {
            self.counts.unreadable += 1;
            return false;
        };
        if kind == Kind::Witness {
            self.become_witness(out);
        }
        (self.machine, self.sessions) = (machine, sessions);
        let keeps_conflict = self.config.planted.is(Mutant::KeepsConflictAfterInstall);
        self.log.restart(id.position, configured, keeps_conflict);
        (self.commit, self.applied) = (id.position.index, id.position.index);
        self.grown = 0;
        self.counts.installs += 1;
        self.settled.push(Settled::Restored { upto: id.position.index });
        self.events.push(Event::SnapshotInstalled { upto: id.position.index });
        self.writing = Some(Writing::received(Arc::clone(&held)));
        self.snapshot = Some(held);
        self.save_snapshot(out);
        true
    }

    /// `append` without the entries that this node's snapshot covers: they are committed, so they
    /// are the same. None if they are not: then no leader sent it.
    pub(crate) fn beyond_base(&self, append: Append<S::Command>) -> Option<Append<S::Command>> {
        let base = self.log.base();
        if append.prev.index >= base.index || self.config.planted.is(Mutant::RefusesBelowSnapshot) {
            return Some(append);
        }
        let covered = base.index.since(append.prev.index);
        let rest = match append.entries.iter().nth(covered - 1) {
            Some(entry) if entry.position() != base => return None,
            Some(_) => append.entries.skip(covered),
            None => Vec::new().into(),
        };
        Some(Append { prev: base, entries: rest, ..append })
    }
}
