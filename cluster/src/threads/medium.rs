//! What a node of this world writes its records to.

use std::sync::Arc;

use crate::disk::Disk;
use crate::sim::Planted;
use crate::store::{OpenError, Opened, Store, StoreError};
use crate::{CorruptRecords, Damage, DiskFault, NodeId, Rng};

use super::Refusal;

/// Opens the store of a node.
pub(crate) type Opener<R> = Arc<dyn Fn(NodeId) -> Opened<Box<dyn Store<R>>, R> + Send + Sync>;

/// Memory that misbehaves as disks do when it is told to, or a store.
///
/// Records are counted from any number, all of a boot's after all of an earlier one's.
pub(crate) enum Medium<R> {
    /// While it is sound it needs no time: what is written is durable.
    Memory(Disk<R>),
    /// A sync blocks.
    Store(Kept<R>),
}

/// A store, and how far it has come since the last boot.
pub(crate) struct Kept<R> {
    opener: Opener<R>,
    /// None while the process is down.
    store: Option<Box<dyn Store<R>>>,
    written: usize,
    synced: usize,
}

impl<R: Clone> Medium<R> {
    pub(crate) fn memory() -> Self {
        Self::Memory(Disk::new(Planted::default()))
    }

    pub(crate) fn store(opener: Opener<R>) -> Self {
        Self::Store(Kept { opener, store: None, written: 0, synced: 0 })
    }

    /// The process of `node` starts: what there is for it.
    pub(super) fn boot(&mut self, node: NodeId) -> Result<Vec<R>, Refusal> {
        match self {
            Self::Memory(disk) => Ok(disk.boot(node)?),
            Self::Store(kept) => {
                (kept.written, kept.synced) = (0, 0);
                let (store, records) = (kept.opener)(node)?;
                kept.store = Some(store);
                Ok(records)
            }
        }
    }

    /// The process dies.
    pub(super) fn crash(&mut self, power_loss: bool, rng: &mut Rng) {
        match self {
            Self::Memory(disk) => disk.crash(power_loss, rng),
            Self::Store(kept) => kept.store = None,
        }
    }

    /// Writes a record. An error is the end of the process.
    pub(super) fn write(&mut self, record: R) -> Result<(), StoreError> {
        match self {
            Self::Memory(disk) => {
                let DiskFault { slow, stalled, full, .. } = disk.fault;
                if full {
                    return Err(StoreError::Failed { because: "the disk is full".to_owned() });
                }
                let at_once = slow.is_zero() && !stalled && !disk.is_dirty();
                disk.write(record);
                if at_once {
                    disk.synced(disk.written());
                }
                Ok(())
            }
            Self::Store(kept) => {
                kept.written += 1;
                kept.store.as_mut().map_or(Ok(()), |store| store.append(record))
            }
        }
    }

    /// What is older than record `before` of this boot, counted from one, may go.
    pub(super) fn forget(&mut self, before: u64) -> Result<(), StoreError> {
        match self {
            Self::Memory(disk) => {
                disk.forget(before);
                Ok(())
            }
            Self::Store(kept) => {
                let before = crate::PersistCount(before);
                kept.store.as_mut().map_or(Ok(()), |store| store.forget(before))
            }
        }
    }

    /// Ends a batch: of a store, makes durable all that was written, which blocks. Whether it took
    /// any time.
    pub(super) fn sync(&mut self) -> Result<bool, StoreError> {
        match self {
            Self::Store(Kept { store: Some(store), written, synced, .. }) if *synced < *written => {
                store.sync()?;
                *synced = *written;
                Ok(true)
            }
            Self::Store(_) | Self::Memory(_) => Ok(false),
        }
    }

    /// How many records are written, durable or not.
    pub(super) fn written(&self) -> usize {
        match self {
            Self::Memory(disk) => disk.written(),
            Self::Store(kept) => kept.written,
        }
    }

    /// How many of them are durable.
    pub(super) fn durable(&self) -> usize {
        match self {
            Self::Memory(disk) => disk.told(),
            Self::Store(kept) => kept.synced,
        }
    }

    pub(super) fn is_dirty(&self) -> bool {
        self.durable() < self.written()
    }

    /// How many records of this boot are durable.
    pub(super) fn durable_since_boot(&self) -> u64 {
        match self {
            Self::Memory(disk) => disk.since_boot(disk.told()),
            Self::Store(kept) => kept.synced as u64,
        }
    }

    /// Starts to sync memory that takes its time, if need be: how many records it is for, and what
    /// is wrong with it.
    pub(super) fn start_sync(&mut self) -> Option<(usize, DiskFault)> {
        match self {
            Self::Memory(disk) if disk.is_dirty() => Some((disk.start_sync()?, disk.fault)),
            Self::Memory(_) | Self::Store(_) => None,
        }
    }

    /// That sync is done.
    pub(super) fn synced(&mut self, upto: usize) {
        if let Self::Memory(disk) = self {
            disk.synced(upto);
        }
    }

    // The rest is for memory only: the world has refused these faults of a store.

    pub(super) fn misbehave(&mut self, fault: DiskFault) {
        if let Self::Memory(disk) = self {
            disk.fault = fault;
        }
    }

    pub(super) fn rot(&mut self, at_ppm: u32, damage: Damage) {
        if let Self::Memory(disk) = self {
            disk.rot(at_ppm, damage);
        }
    }

    pub(super) fn wipe(&mut self) {
        if let Self::Memory(disk) = self {
            disk.wipe();
        }
    }
}

impl From<CorruptRecords> for Refusal {
    fn from(corrupt: CorruptRecords) -> Self {
        Self::Records(corrupt)
    }
}

impl From<OpenError> for Refusal {
    fn from(error: OpenError) -> Self {
        Self::Closed(error)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}
