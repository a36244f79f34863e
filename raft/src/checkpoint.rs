//! How a node takes snapshots of its machine, and drops the log that they cover (§7; thesis §5).
//!
//! ```text
//!  on disk   ▒▒▒▒▒▒▒▒▒▒▒▒│checkpoint│piece│ i9 │piece│ i10 i11 │last piece│ i12 …
//!            needed until │          ╰─ the state up to i6, ─ ─ ─ ─ ─ ╯ once durable, what is
//!            then         ╰─ term, vote, and the log after i6             before may go
//!
//!  in memory        i3 i4 i5 i6│i7 i8 i9 i10 i11 i12
//!                   ╰ kept for followers a little behind
//! ```
//! A boot begins at the last checkpoint all of whose pieces are there, and it does not matter to it
//! whether what was before is still there: so a crash between any two of these steps is harmless, and
//! a disk may let old records go when and as far as it likes.

use std::sync::Arc;

use cluster::PersistCount;
use serde::{Deserialize, Serialize};

use crate::configuration::Configuration;
use crate::history::{Seated, stranger};
use crate::log::Log;
use crate::message::{Checkpoint, Record};
use crate::mutants::Mutant;
use crate::node::{Out, Part as Role, Raft};
use crate::progress::Pace;
use crate::request::Event;
use crate::session::Sessions;
use crate::snapshot::{Chunk, Held, Part, Pieces, Snapshot, Unreadable, decode, encode};
use crate::{Kind, LogIndex, Position, StateMachine};

/// How many bytes of a snapshot are read and written in one flush, at least: what a node does at
/// once between two inputs.
const STEP: usize = 1 << 20;
/// A follower that has left so many heartbeats unanswered has nothing kept for it.
const SILENT_MAX: u16 = 20;

/// A snapshot that is being written to the disk.
#[derive(Clone)]
pub(crate) struct Writing<S: StateMachine> {
    pub(crate) position: Position,
    /// What is still to be read; none once all is.
    source: Option<S::Snapshot>,
    /// What was read and makes no whole chunk yet.
    buffer: Vec<u8>,
    pub(crate) pieces: Pieces,
    /// The source had nothing when it was last asked.
    waits: bool,
    /// The snapshot that this will be, if that is known from the start: it was received whole.
    whole: Option<Arc<Held>>,
    /// Which record its checkpoint is, once written.
    pub(crate) first: Option<PersistCount>,
    /// Which record its last piece is, once written.
    pub(crate) last: Option<PersistCount>,
}

/// What comes before a machine's own bytes in a snapshot.
#[derive(Serialize, Deserialize)]
struct Header<K, T> {
    /// Where the configuration stood in the log.
    configured_at: LogIndex,
    /// The latest in the log up to the snapshot's end.
    configuration: K,
    sessions: T,
}

/// What a snapshot holds.
pub(crate) struct Restored<S: StateMachine> {
    pub(crate) machine: S,
    pub(crate) sessions: Sessions<S::Output>,
    /// The configuration, and where it stood in the log.
    pub(crate) configured: (LogIndex, Arc<Configuration>),
}

impl<S: StateMachine> Writing<S> {
    /// Of a snapshot that was received.
    pub(crate) fn received(held: Arc<Held>) -> Self {
        Self {
            position: held.id.position,
            source: None,
            buffer: Vec::new(),
            pieces: Pieces::default(),
            waits: false,
            whole: Some(held),
            first: None,
            last: None,
        }
    }

    /// Whether there is more to write at once.
    pub(crate) fn hurries(&self) -> bool {
        self.last.is_none() && !self.waits
    }

    /// The next chunk, of `size` bytes unless it is the last, and whether it is that; none if the
    /// source has nothing yet.
    fn next_chunk(&mut self, size: usize) -> Option<(Chunk, bool)> {
        self.waits = false;
        while let Some(source) = &mut self.source
            && self.buffer.len() < size
        {
            match source.read(size - self.buffer.len()) {
                Part::Bytes(bytes) if !bytes.is_empty() => self.buffer.extend(bytes),
                Part::Bytes(_) | Part::Later => {
                    self.waits = true;
                    return None;
                }
                Part::End => self.source = None,
            }
        }
        let rest = self.buffer.split_off(size.min(self.buffer.len()));
        let chunk = std::mem::replace(&mut self.buffer, rest);
        Some((chunk.into(), self.source.is_none() && self.buffer.is_empty()))
    }
}

// Taking and writing one.
impl<S: StateMachine> Raft<S> {
    /// The next index at which every node takes a snapshot.
    pub(crate) fn next_snapshot(&mut self) -> LogIndex {
        if self.applied >= self.snapshot_at {
            // A division, which is not for every entry.
            let every = self.config.snapshot_every;
            let number = (self.applied.get() / every).saturating_add(1);
            self.snapshot_at = LogIndex::new(number.saturating_mul(every));
        }
        self.snapshot_at
    }

    /// Takes a snapshot of the machine as it is, if it is time and no other is being written.
    pub(crate) fn begin_snapshot_if_due(&mut self) {
        let last = self.snapshot.as_ref().map_or(0, |held| held.id.bytes);
        let due =
            self.applied == self.snapshot_at || self.grown >= self.config.snapshot_bytes.max(last);
        if due && self.writing.is_none() {
            self.begin_snapshot();
        }
    }

    fn begin_snapshot(&mut self) {
        let index = self.applied;
        let Some(term) = self.log.term_at(index) else { return };
        let forgets = self.config.planted.is(Mutant::ForgetsSessions);
        let none = Sessions::new();
        let sessions = if forgets { &none } else { &self.sessions };
        let buffer = prefix(self.log.history().at(index), sessions);
        let source = (!self.is_witness()).then(|| S::Snapshot::take(&self.machine));
        self.grown = 0;
        self.counts.snapshots += 1;
        self.writing = Some(Writing {
            position: Position { term, index },
            source,
            buffer,
            pieces: Pieces::default(),
            waits: false,
            whole: None,
            first: None,
            last: None,
        });
    }

    /// Hands some more of the snapshot under way to the disk; all of it if it was received.
    pub(crate) fn save_snapshot<P, E>(&mut self, out: &mut Out<S, P, E>) {
        let Some(writing) = &mut self.writing else { return };
        if writing.last.is_some() {
            return;
        }
        let position = writing.position;
        if writing.first.is_none() {
            writing.first = Some(out.persist(Record::Checkpoint(Box::new(Checkpoint {
                position,
                term: self.term,
                vote: self.vote,
                entries: self.log.share(position.index.next(), usize::MAX),
                papers: self.papers.clone(),
            }))));
        }
        if let Some(held) = &writing.whole {
            for (offset, chunk) in held.pieces.iter() {
                let last = offset + chunk.len() as u64 == held.id.bytes;
                let id = last.then_some(held.id);
                let piece = Record::Piece { offset: *offset, chunk: chunk.clone(), id };
                writing.last = Some(out.persist(piece));
            }
            return;
        }
        let mut done = 0;
        while done < STEP
            && let Some((chunk, last)) = writing.next_chunk(self.config.chunk_bytes)
        {
            let offset = writing.pieces.bytes();
            done += chunk.len();
            writing.pieces.push(chunk.clone());
            let id = last.then(|| writing.pieces.id(position));
            let count = out.persist(Record::Piece { offset, chunk, id });
            if last {
                writing.last = Some(count);
                if self.config.planted.is(Mutant::ForgetsBeforeDurable) {
                    self.forget = writing.first;
                }
                break;
            }
        }
    }

    /// The first `upto` records are durable, and perhaps the snapshot among them: then it may be
    /// relied on, and what it covers may go.
    pub(crate) fn snapshot_durable(&mut self, upto: PersistCount) {
        let durable = |writing: &mut Writing<S>| writing.last.is_some_and(|last| last <= upto);
        let Some(writing) = self.writing.take_if(durable) else { return };
        self.forget = writing.first;
        let Writing { position, pieces, whole, .. } = writing;
        if whole.is_none() {
            self.events.push(Event::SnapshotTaken { upto: position.index });
        }
        self.snapshot = Some(whole.unwrap_or_else(|| Held::new(position, pieces)));
        self.compaction_due = true;
        if let Role::Leader(leadership) = &self.part {
            let mut followers = leadership.followers.iter();
            let beside = followers.any(|follower| matches!(follower.pace, Pace::Install(_)));
            self.counts.beside += u64::from(beside);
        }
    }

    /// Compacts the log if a snapshot has become durable since. Not at once, but with the next message
    /// or timer: so that who looks on after each batch sees every entry before it goes.
    pub(crate) fn compact_if_due(&mut self) {
        if std::mem::take(&mut self.compaction_due) {
            self.compact();
        }
    }

    /// Drops from memory what the snapshot covers, except what followers may need: those a little
    /// behind, and on a leader those further behind that keep answering. So a follower that installs
    /// one snapshot goes on from it with entries, and does not need another.
    pub(crate) fn compact(&mut self) {
        let Some(snapshot) = &self.snapshot else { return };
        let covered = snapshot.id.position.index.get();
        let mut upto = covered.saturating_sub(self.config.keep_behind);
        if let Role::Leader(leadership) = &self.part
            && !self.config.planted.is(Mutant::CompactsPastInstalls)
        {
            let others = leadership.targets.iter().filter(|&&place| place != self.place);
            let needed = others
                .map(|&place| &leadership.followers[place])
                .filter(|follower| follower.silent < SILENT_MAX)
                .map(|follower| follower.needs().get())
                .min();
            let least = covered.saturating_sub(self.config.lag_max);
            upto = upto.min(needed.unwrap_or(upto)).max(least);
        }
        self.log.compact(LogIndex::new(upto).max(self.log.base().index));
    }
}

/// What comes before the machine's own bytes in a snapshot that ends where `seated` is in effect.
fn prefix<T: Serialize>(seated: &Seated, sessions: T) -> Vec<u8> {
    let (configured_at, configuration) = (seated.index, &*seated.configuration);
    let header = encode(&Header { configured_at, configuration, sessions });
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    bytes
}

impl Held {
    /// What a member of that kind is sent for it, by the owner of `log`: to a witness, a snapshot without
    /// machine and sessions.
    pub(crate) fn of_kind<C>(self: &Arc<Self>, kind: Kind, log: &Log<C>) -> Arc<Self> {
        match kind {
            Kind::Full => Arc::clone(self),
            Kind::Witness => {
                let position = self.id.position;
                let mut pieces = Pieces::default();
                let seated = log.history().at(position.index);
                pieces.push(prefix(seated, Sessions::<()>::new()).into());
                Self::new(position, pieces)
            }
        }
    }
}

// Reading one.
impl<S: StateMachine> Raft<S> {
    /// What `held` holds, for a member of that kind.
    pub(crate) fn restored(&self, held: &Held, kind: Kind) -> Result<Restored<S>, Unreadable> {
        let bytes = held.pieces.whole();
        let short = || Unreadable("it is too short".to_owned());
        let (length, rest) = bytes.split_first_chunk().ok_or_else(short)?;
        let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| short())?;
        let (header, rest) = rest.split_at_checked(length).ok_or_else(short)?;
        let header: Header<Configuration, Sessions<S::Output>> = decode(header)?;
        let Header { configured_at, configuration, sessions } = header;
        if let Some(node) = stranger(&configuration, &self.members) {
            let expected = self.members.as_slice();
            return Err(Unreadable(format!("{node} takes part, who is none of {expected:?}")));
        }
        let mut machine = self.config.machine.clone();
        match kind {
            Kind::Full => S::Snapshot::restore(&mut machine, rest)?,
            Kind::Witness if rest.is_empty() => {}
            Kind::Witness => {
                return Err(Unreadable("it holds a machine, and is a witness's".to_owned()));
            }
        }
        Ok(Restored { machine, sessions, configured: (configured_at, Arc::new(configuration)) })
    }

    /// Takes over what the disk held, or says which record is wrong, and how.
    pub(crate) fn recover_all(
        &mut self,
        records: Vec<Record<S::Command>>,
    ) -> Result<(), (usize, String)> {
        let mut start = 0;
        if let (Some((first, held)), _) = scan(&records)? {
            let kind = match &records[first] {
                Record::Checkpoint(checkpoint) if checkpoint.papers.witness => Kind::Witness,
                Record::Checkpoint(_)
                | Record::Ballot { .. }
                | Record::Entries(_)
                | Record::Piece { .. }
                | Record::Papers(_) => Kind::Full,
            };
            let restored = self.restored(&held, kind).map_err(|it| (first, it.to_string()))?;
            self.machine = restored.machine;
            self.sessions = restored.sessions;
            self.log.restart(held.id.position, restored.configured, false);
            self.commit = held.id.position.index;
            self.applied = self.commit;
            self.snapshot = Some(held);
            start = first;
        }
        for (position, record) in records.into_iter().enumerate().skip(start) {
            let recovered = match record {
                Record::Checkpoint(checkpoint) if position == start => self.begin_at(*checkpoint),
                record => self.recover(record),
            };
            recovered.map_err(|problem| (position, problem))?;
        }
        Ok(())
    }

    /// A disk begins with `checkpoint`.
    fn begin_at(&mut self, checkpoint: Checkpoint<S::Command>) -> Result<(), String> {
        let Checkpoint { position, term, vote, entries, papers } = checkpoint;
        if self.log.base() != position {
            let problem = format!("a snapshot up to {position:?}, whose last piece is missing");
            return Err(format!("{problem}, and nothing before it, expected either"));
        }
        (self.term, self.vote, self.papers) = (term, vote, papers);
        if !crate::follower::is_sequel(position, &entries, term) {
            return Err(format!("entries that do not follow {position:?}"));
        }
        self.refuse_lack(&entries)?;
        self.log.extend(entries);
        Ok(())
    }
}

/// A complete snapshot, and where it begins.
pub(crate) type Whole = Option<(usize, Arc<Held>)>;
/// The beginning of one, what it covers, and what is there of it.
pub(crate) type Begun = Option<(usize, Position, Pieces)>;

/// The last snapshot of which everything is there, and the one that was begun after that.
///
/// # Errors
/// Which record is wrong, and how.
pub(crate) fn scan<C>(records: &[Record<C>]) -> Result<(Whole, Begun), (usize, String)> {
    let mut found = None;
    let mut current: Begun = None;
    for (place, record) in records.iter().enumerate() {
        match record {
            Record::Ballot { .. } | Record::Entries(_) | Record::Papers(_) => {}
            Record::Checkpoint(checkpoint) => {
                current = Some((place, checkpoint.position, Pieces::default()));
            }
            Record::Piece { offset, chunk, id } => {
                // The rest of a snapshot whose beginning was let go.
                let Some((first, position, pieces)) = &mut current else { continue };
                if *offset != pieces.bytes() {
                    let expected = pieces.bytes();
                    let problem = format!("a piece at byte {offset}, expected byte {expected}");
                    return Err((place, problem));
                }
                pieces.push(chunk.clone());
                let Some(id) = id else { continue };
                let held = Held::new(*position, std::mem::take(pieces));
                if held.id != *id {
                    let problem = "a snapshot whose digest does not match, expected a match";
                    return Err((place, problem.to_owned()));
                }
                found = Some((*first, held));
                current = None;
            }
        }
    }
    Ok((found, current))
}
