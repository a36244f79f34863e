//! What makes the state of a node, for the search of every schedule.
//!
//! Left out, and why that loses no state:
//! - the configuration, the members and the ring: they never change;
//! - `counts`, `life` and the revisions of the storage and the hints: people and monitors look at
//!   them, the node does not;
//! - the count of tombstones: it follows from the entries;
//! - how long ago an entry was written, once it is durable: the node asks only whether it is;
//! - the alarms of the operations: they say what each operation's `wake` says;
//! - on a disk, records that later ones overrule: a boot folds them away.
//!
//! Nodes are not interchangeable: versions are ordered by writer.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

use cluster::explore::{Explorable, Fingerprint, Frame};

use crate::message::Record;
use crate::node::Replica;
use crate::operation::Operation;
use crate::version::Incarnation;

impl Explorable for Replica {
    const BOOT_SEED_MATTERS: bool = false;

    /// Nothing is drawn but the moment of the first probe, from the boot seed, which is the same at
    /// every boot.
    fn reseed(&mut self, _seed: u64) {}

    fn fingerprint(&self, frame: &Frame<'_>, into: &mut Fingerprint) {
        self.incarnation.hash(into);
        self.op_count.hash(into);
        self.own_counter.hash(into);
        into.write_u8(u8::from(self.is_ready()));
        into.write_u64(frame.until(self.next_probe()));
        for (key, slot) in self.storage.iter() {
            key.hash(into);
            slot.entry.hash(into);
            into.write_u64(match slot.persisted <= self.durable {
                true => 0,
                false => frame.behind(slot.persisted) + 1,
            });
        }
        for hint in self.hints.iter() {
            hint.hash(into);
        }
        self.peers.hash(into);
        into.write_usize(self.operations.len());
        for (count, operation) in self.operations.iter() {
            count.hash(into);
            operation.fingerprint(frame, into);
        }
        self.early.hash(into);
        self.inbox.hash(into);
        into.write_usize(self.held.len());
        for (needed, message) in &self.held {
            into.write_u64(frame.behind(*needed));
            message.hash(into);
        }
    }

    /// What [`restore`](Replica) folds them to: the incarnation, the last entry of each key, the
    /// hints. Which of two entries is the greater is not asked: they were written in that order.
    fn fingerprint_disk(records: &[Record], _frame: &Frame<'_>, into: &mut Fingerprint) {
        let mut incarnation = Incarnation::ZERO;
        let (mut entries, mut hints) = (BTreeMap::new(), BTreeMap::new());
        for record in records {
            match record {
                Record::Booted { incarnation: booted } => incarnation = *booted,
                Record::Stored { key, entry } => {
                    entries.insert(key, entry);
                }
                Record::Hinted { to, key, entry } => {
                    hints.insert((to, key), entry);
                }
                Record::HintDone { to, key } => {
                    hints.remove(&(to, key));
                }
            }
        }
        incarnation.hash(into);
        entries.hash(into);
        hints.hash(into);
    }
}

impl Operation {
    fn fingerprint(&self, frame: &Frame<'_>, into: &mut Fingerprint) {
        self.request.hash(into);
        self.key.hash(into);
        self.guarantee.hash(into);
        self.phase.hash(into);
        into.write_u64(frame.until(self.deadline));
        into.write_u64(frame.until(self.wake));
    }
}
