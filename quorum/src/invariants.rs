//! What must hold of the nodes' states at every moment, and at the end of a run.
//!
//! A [`Monitor`] is shown replicas as a run goes on; it costs little when nothing has changed.
//! [`converged`] judges them once faults have stopped and repair is done.

use std::collections::BTreeMap;

use cluster::{NodeId, PersistCount};

use crate::node::Replica;
use crate::version::{Entry, Key, Version};

/// A state that no right run can reach.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{guarantee}: {what}")]
pub struct Violation {
    /// Which invariant is broken.
    pub guarantee: &'static str,
    /// Where, and how.
    pub what: String,
}

/// Watches the replicas of one run.
///
/// It checks, of one state:
/// 1. a node holds only keys that it is a replica of, none with version zero;
/// 2. it keeps no more hints than it may, and none for itself;
///
/// and of successive states:
///
/// 3. a version of a key has one value, on all nodes and in all hints, for ever;
/// 4. a replica's version of a key never goes back while it runs;
/// 5. nor does it, across a crash, to less than what was durable;
/// 6. an incarnation that was durable, so that things were named by it, is never a node's again.
#[derive(Clone, Debug, Default)]
pub struct Monitor {
    values: BTreeMap<(Key, Version), Entry>,
    nodes: BTreeMap<NodeId, Seen>,
}

/// What was last seen of one node.
#[derive(Clone, Debug, Default)]
struct Seen {
    life: u64,
    /// The last one that was durable.
    incarnation: u32,
    revision: u64,
    hints: u64,
    durable: PersistCount,
    keys: BTreeMap<Key, History>,
}

/// What was seen of one key on one node.
#[derive(Clone, Debug)]
struct History {
    version: Version,
    /// The greatest version that any crash must leave.
    durable: Version,
    /// Versions whose records were not known to be durable, ascending by record.
    pending: Vec<(PersistCount, Version)>,
}

impl History {
    fn settle(&mut self, durable: PersistCount) {
        let settled = self.pending.partition_point(|&(record, _)| record <= durable);
        for (_, version) in self.pending.drain(..settled) {
            self.durable = self.durable.max(version);
        }
    }
}

impl Monitor {
    /// One that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks at `replica` as it is now. Show each one after every step that concerned it.
    ///
    /// # Errors
    /// The first invariant found broken.
    pub fn observe(&mut self, replica: &Replica) -> Result<(), Violation> {
        let seen = self.nodes.entry(replica.id).or_default();
        if seen.life != replica.life {
            seen.reborn(replica)?;
        } else if seen.revision == replica.revision() && seen.hints == replica.hints.revision() {
            seen.durable = replica.durable;
            return Ok(());
        }
        let since = seen.revision;
        for (key, slot) in replica.storage.iter().filter(|(_, slot)| slot.revision > since) {
            if slot.entry.version.is_zero() || !replica.ring.replicas(key).contains(&replica.id) {
                let what = format!("{} holds {:?} of {key}", replica.id, slot.entry);
                return Err(Violation { guarantee: "placement", what });
            }
            seen.note(replica.id, key, slot.entry.version, slot.persisted)?;
            note_value(&mut self.values, key, &slot.entry)?;
        }
        seen.check_nothing_vanished(replica)?;
        if seen.hints != replica.hints.revision() {
            check_hints(&mut self.values, replica)?;
        }
        seen.revision = replica.revision();
        seen.hints = replica.hints.revision();
        seen.durable = replica.durable;
        if replica.is_ready() {
            seen.incarnation = replica.incarnation.get();
        }
        Ok(())
    }
}

impl Seen {
    /// The node has booted: what was durable must be there, the rest may be.
    fn reborn(&mut self, replica: &Replica) -> Result<(), Violation> {
        let incarnation = replica.incarnation.get();
        if incarnation <= self.incarnation {
            let what = format!("{} booted twice as {:?}", replica.id, replica.incarnation);
            return Err(Violation { guarantee: "incarnations are used once", what });
        }
        for (key, history) in &mut self.keys {
            history.settle(self.durable);
            let version = replica.storage.version(key);
            if version < history.durable {
                let (id, durable) = (replica.id, history.durable);
                let what =
                    format!("{id} had {durable:?} of {key} on disk, came up with {version:?}");
                return Err(Violation { guarantee: "durability", what });
            }
            *history = History { version, durable: version, pending: Vec::new() };
        }
        self.life = replica.life;
        self.revision = 0;
        self.hints = 0;
        self.durable = PersistCount::default();
        Ok(())
    }

    fn note(
        &mut self,
        id: NodeId,
        key: &Key,
        version: Version,
        persisted: PersistCount,
    ) -> Result<(), Violation> {
        let history = self.keys.entry(key.clone()).or_insert_with(|| History {
            version: Version::ZERO,
            durable: Version::ZERO,
            pending: Vec::new(),
        });
        if version < history.version {
            let what = format!("{id} went from {:?} to {version:?} of {key}", history.version);
            return Err(Violation { guarantee: "versions never go back", what });
        }
        history.version = version;
        history.settle(self.durable);
        history.pending.push((persisted, version));
        Ok(())
    }

    fn check_nothing_vanished(&self, replica: &Replica) -> Result<(), Violation> {
        let held = replica.storage.keys() + replica.storage.tombstones();
        let known = self.keys.values().filter(|history| !history.version.is_zero()).count();
        if held >= known {
            return Ok(());
        }
        let gone = |key: &&Key| replica.storage.slot(key).is_none();
        let key = self.keys.keys().find(gone).map_or("", Key::as_str);
        let what = format!("{} holds nothing of {key} any more", replica.id);
        Err(Violation { guarantee: "versions never go back", what })
    }
}

fn check_hints(
    values: &mut BTreeMap<(Key, Version), Entry>,
    replica: &Replica,
) -> Result<(), Violation> {
    let (count, max) = (replica.hints.count(), replica.config.hints_max());
    if count > max {
        let what = format!("{} keeps {count} hints, may keep {max}", replica.id);
        return Err(Violation { guarantee: "hints are bounded", what });
    }
    for (to, key, entry) in replica.hints.iter() {
        if to == replica.id || !replica.ring.replicas(key).contains(&to) {
            let what = format!("{} keeps a hint of {key} for {to}", replica.id);
            return Err(Violation { guarantee: "placement", what });
        }
        note_value(values, key, entry)?;
    }
    Ok(())
}

fn note_value(
    values: &mut BTreeMap<(Key, Version), Entry>,
    key: &Key,
    entry: &Entry,
) -> Result<(), Violation> {
    let first = values.entry((key.clone(), entry.version)).or_insert_with(|| entry.clone());
    if first.value == entry.value {
        return Ok(());
    }
    let what = format!("{key} has {first:?} and {entry:?}");
    Err(Violation { guarantee: "a version has one value", what })
}

/// Whether, of every key that any of `replicas` holds, all replicas hold the same.
///
/// That is what every guarantee promises once faults have stopped, all hints are replayed and every
/// key has been read with repair on. Show all nodes, up and running.
///
/// # Errors
/// The first key found that differs, and what each of its replicas holds.
pub fn converged<'a>(replicas: impl IntoIterator<Item = &'a Replica>) -> Result<(), String> {
    let by_id: BTreeMap<NodeId, &Replica> =
        replicas.into_iter().map(|replica| (replica.id, replica)).collect();
    for replica in by_id.values() {
        for key in replica.storage.iter().map(|(key, _)| key) {
            let mut entries = Vec::new();
            for &node in replica.ring.replicas(key) {
                let Some(other) = by_id.get(&node) else {
                    return Err(format!("{node}, a replica of {key}, is not there"));
                };
                entries.push((node, other.entry(key)));
            }
            if entries.windows(2).any(|pair| pair[0].1 != pair[1].1) {
                return Err(format!("replicas of {key} differ: {entries:?}"));
            }
        }
    }
    Ok(())
}
