//! What makes the state of a node, for the search of every schedule.
//!
//! The log says what it needs for itself; see the file of the same name in `raft`. On top of that,
//! left out are the configuration, which never changes; `ticks`, which the node only counts; and of
//! the table what follows from the rest (its `Hash` says what). That the log calls a timer its only
//! alarm is not true here, where the table's deadlines share the timer: so alarms are measured.
//!
//! Nodes are interchangeable in the log, and the table knows no nodes.

use std::hash::{Hash, Hasher};

use cluster::explore::{Explorable, Fingerprint, Frame};
use raft::{Message, Raft, Record};

use crate::{Command, LockTable};

use super::LockNode;

impl Explorable for LockNode {
    const INTERCHANGEABLE: bool = true;
    const BOOT_SEED_MATTERS: bool = false;

    fn reseed(&mut self, seed: u64) {
        self.raft.reseed(seed);
    }

    fn fingerprint(&self, frame: &Frame<'_>, into: &mut Fingerprint) {
        self.raft.fingerprint(&frame.measured(), into);
        into.write_u8(u8::from(self.clock.is_some()));
        if let Some(clock) = &self.clock {
            clock.fingerprint(frame, into);
        }
        into.write_u64(frame.until(self.tick_not_before));
        self.waiting.hash(into);
        self.reads.hash(into);
    }

    fn fingerprint_message(message: &Message<Command>, frame: &Frame<'_>, into: &mut Fingerprint) {
        Raft::<LockTable>::fingerprint_message(message, frame, into);
    }

    fn fingerprint_record(record: &Record<Command>, frame: &Frame<'_>, into: &mut Fingerprint) {
        Raft::<LockTable>::fingerprint_record(record, frame, into);
    }

    fn fingerprint_disk(records: &[Record<Command>], frame: &Frame<'_>, into: &mut Fingerprint) {
        Raft::<LockTable>::fingerprint_disk(records, frame, into);
    }
}
