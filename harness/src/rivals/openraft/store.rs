//! What a node keeps: a log and a vote that survive it, and a state machine that does not.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::Cursor;
use std::ops::RangeBounds;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::openraft::storage::{LogFlushed, RaftLogStorage, RaftStateMachine};
use ::openraft::{
    AnyError, EmptyNode, Entry, EntryPayload, LogId, LogState, OptionalSend, RaftLogReader,
    RaftSnapshotBuilder, Snapshot, SnapshotMeta, StorageError, StorageIOError, StoredMembership,
    Vote,
};

use ::cluster::DiskFault;
use tokio::time::sleep;

use crate::rivals::registers::Replica;

use super::Types;

type Failure = StorageError<u64>;

/// Whether a node's process lives. Once it does not, nothing that is left of it has any effect.
#[derive(Clone, Debug, Default)]
pub(super) struct Life(Arc<AtomicBool>);

impl Life {
    pub(super) fn end(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_over(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// A disk. What was written to it is durable, and outlives every life; what is still being written
/// when a life ends is not there, not even in part.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk(Arc<Mutex<Kept>>);

/// How often a write that hangs looks whether it may go on.
const STALL: Duration = Duration::from_millis(5);

impl Disk {
    /// The disk behaves so from now on. A torn write is cut off when it is read: here it is never
    /// there.
    pub(super) fn behave(&self, fault: DiskFault) {
        lock(&self.0).fault = fault;
    }

    /// Takes as long as a write takes.
    async fn turn(&self) {
        let slow = lock(&self.0).fault.slow;
        if !slow.is_zero() {
            sleep(slow).await;
        }
        while lock(&self.0).fault.stalled {
            sleep(STALL).await;
        }
    }
}

#[derive(Debug, Default)]
struct Kept {
    fault: DiskFault,
    vote: Option<Vote<u64>>,
    committed: Option<LogId<u64>>,
    purged: Option<LogId<u64>>,
    log: BTreeMap<u64, Entry<Types>>,
    snapshot: Option<Taken>,
}

/// A snapshot: a replica, and how far it goes.
#[derive(Clone, Debug)]
struct Taken {
    meta: SnapshotMeta<u64, EmptyNode>,
    bytes: Vec<u8>,
}

impl Taken {
    fn offer(&self) -> Snapshot<Types> {
        let snapshot = Box::new(Cursor::new(self.bytes.clone()));
        Snapshot { meta: self.meta.clone(), snapshot }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why nothing is written.
#[derive(Clone, Copy, Debug)]
enum Refused {
    Dead,
    Full,
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        let why = match refused {
            Refused::Dead => "the process is dead",
            Refused::Full => "no space left on the disk",
        };
        StorageIOError::write(AnyError::error(why)).into()
    }
}

/// The log and vote of one life of a node.
#[derive(Clone, Debug)]
pub(super) struct LogStore {
    disk: Disk,
    life: Life,
}

impl LogStore {
    pub(super) fn new(disk: Disk, life: Life) -> Self {
        Self { disk, life }
    }

    /// Makes a write, which takes as long as it takes: openraft waits for it.
    async fn write(&self, f: impl FnOnce(&mut Kept) + Send) -> Result<(), Refused> {
        self.disk.turn().await;
        // Locked first: a life that ends now ends before whoever comes next writes.
        let mut kept = lock(&self.disk.0);
        if self.life.is_over() {
            return Err(Refused::Dead);
        }
        if kept.fault.full {
            return Err(Refused::Full);
        }
        f(&mut kept);
        Ok(())
    }
}

impl RaftLogReader<Types> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry<Types>>, Failure> {
        Ok(lock(&self.disk.0).log.range(range).map(|(_, entry)| entry.clone()).collect())
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, Failure> {
        let kept = lock(&self.disk.0);
        let last = kept.log.last_key_value().map(|(_, entry)| entry.log_id);
        let last_log_id = last.or(kept.purged);
        Ok(LogState { last_purged_log_id: kept.purged, last_log_id })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote<u64>) -> Result<(), Failure> {
        Ok(self.write(|kept| kept.vote = Some(*vote)).await?)
    }

    async fn read_vote(&mut self) -> Result<Option<Vote<u64>>, Failure> {
        Ok(lock(&self.disk.0).vote)
    }

    async fn save_committed(&mut self, committed: Option<LogId<u64>>) -> Result<(), Failure> {
        // It need not be there after a crash, so nobody waits for the disk.
        lock(&self.disk.0).committed = committed;
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId<u64>>, Failure> {
        Ok(lock(&self.disk.0).committed)
    }

    async fn append<I>(&mut self, entries: I, callback: LogFlushed<Types>) -> Result<(), Failure>
    where
        I: IntoIterator<Item = Entry<Types>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<_> =
            entries.into_iter().map(|entry| (entry.log_id.index, entry)).collect();
        self.write(|kept| kept.log.extend(entries)).await?;
        callback.log_io_completed(Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, log_id: LogId<u64>) -> Result<(), Failure> {
        let cut = |kept: &mut Kept| drop(kept.log.split_off(&log_id.index));
        Ok(self.write(cut).await?)
    }

    async fn purge(&mut self, log_id: LogId<u64>) -> Result<(), Failure> {
        let purge = |kept: &mut Kept| {
            kept.log = kept.log.split_off(&(log_id.index + 1));
            kept.purged = Some(log_id);
        };
        Ok(self.write(purge).await?)
    }
}

/// The state machine of one life of a node.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    disk: Disk,
    life: Life,
    state: Arc<Mutex<State>>,
}

#[derive(Clone, Debug, Default)]
struct State {
    last: Option<LogId<u64>>,
    membership: StoredMembership<u64, EmptyNode>,
    replica: Replica,
}

impl Machine {
    /// The machine as it comes up: what the last snapshot holds, or nothing.
    pub(super) fn new(disk: Disk, life: Life) -> Self {
        let snapshot = lock(&disk.0).snapshot.clone();
        let state = snapshot.map_or_else(State::default, |Taken { meta, bytes }| State {
            last: meta.last_log_id,
            membership: meta.last_membership,
            replica: serde_json::from_slice(&bytes).expect("written by `build_snapshot`"),
        });
        Self { disk, life, state: Arc::new(Mutex::new(state)) }
    }

    /// What the registers hold, as far as this node has applied.
    pub(super) fn look<T>(&self, at: impl FnOnce(&Replica) -> T) -> T {
        at(&lock(&self.state).replica)
    }

    async fn keep(&self, snapshot: Taken) -> Result<(), Refused> {
        let store = LogStore::new(self.disk.clone(), self.life.clone());
        store.write(|kept| kept.snapshot = Some(snapshot)).await
    }
}

impl RaftSnapshotBuilder<Types> for Machine {
    async fn build_snapshot(&mut self) -> Result<Snapshot<Types>, Failure> {
        let State { last, membership, replica } = lock(&self.state).clone();
        let bytes = serde_json::to_vec(&replica).expect("a replica is plain data");
        let snapshot_id = format!("{last:?}");
        let meta = SnapshotMeta { last_log_id: last, last_membership: membership, snapshot_id };
        let taken = Taken { meta, bytes };
        let offer = taken.offer();
        self.keep(taken).await?;
        Ok(offer)
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotBuilder = Self;

    async fn applied_state(
        &mut self,
    ) -> Result<(Option<LogId<u64>>, StoredMembership<u64, EmptyNode>), Failure> {
        let state = lock(&self.state);
        Ok((state.last, state.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<()>, Failure>
    where
        I: IntoIterator<Item = Entry<Types>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut state = lock(&self.state);
        let mut replies = Vec::new();
        for Entry { log_id, payload } in entries {
            let write = match payload {
                EntryPayload::Normal(write) => Some(write),
                EntryPayload::Blank => None,
                EntryPayload::Membership(membership) => {
                    state.membership = StoredMembership::new(Some(log_id), membership);
                    None
                }
            };
            let leader = log_id.leader_id;
            state.replica.apply((leader.term, leader.node_id, log_id.index), write);
            state.last = Some(log_id);
            replies.push(());
        }
        Ok(replies)
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Cursor<Vec<u8>>>, Failure> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta<u64, EmptyNode>,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), Failure> {
        let bytes = snapshot.into_inner();
        let replica = serde_json::from_slice(&bytes).map_err(|error| {
            StorageIOError::read_snapshot(Some(meta.signature()), AnyError::new(&error))
        })?;
        self.keep(Taken { meta: meta.clone(), bytes }).await?;
        let membership = meta.last_membership.clone();
        *lock(&self.state) = State { last: meta.last_log_id, membership, replica };
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<Types>>, Failure> {
        Ok(lock(&self.disk.0).snapshot.as_ref().map(Taken::offer))
    }
}
