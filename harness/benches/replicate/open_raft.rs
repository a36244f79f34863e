//! openraft, driven as its own minimal benchmark drives it: one tokio runtime of several threads,
//! links that are function calls, a log in memory, and a task for each outstanding command that asks
//! again as soon as it is answered. It brings its own tasks, so it can run in neither of the loops.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::Cursor;
use std::ops::RangeBounds;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use openraft::error::{InstallSnapshotError, RPCError, RaftError, Unreachable};
use openraft::network::{RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};
use openraft::storage::{LogFlushed, RaftLogStorage, RaftStateMachine};
use openraft::{
    AnyError, Config, EmptyNode, Entry, EntryPayload, LogId, LogState, OptionalSend, Raft,
    RaftLogReader, RaftSnapshotBuilder, Snapshot, SnapshotMeta, SnapshotPolicy, StorageError,
    StoredMembership, Vote,
};

use crate::drive::{COMMAND, Measured, REPLICAS, cpu_time};

pub(crate) const NAME: &str = "openraft";

#[derive(Clone, Debug)]
pub(crate) struct Command(#[allow(dead_code, reason = "the machine drops it")] Bytes);

openraft::declare_raft_types!(
    pub(crate) Types:
        D = Command,
        R = (),
        NodeId = u64,
        Node = EmptyNode,
);

type Failure = StorageError<u64>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Default)]
struct Kept {
    vote: Option<Vote<u64>>,
    purged: Option<LogId<u64>>,
    log: BTreeMap<u64, Entry<Types>>,
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Kept>>);

impl RaftLogReader<Types> for Log {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry<Types>>, Failure> {
        Ok(lock(&self.0).log.range(range).map(|(_, entry)| entry.clone()).collect())
    }
}

impl RaftLogStorage<Types> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, Failure> {
        let kept = lock(&self.0);
        let last = kept.log.last_key_value().map(|(_, entry)| entry.log_id);
        let last_log_id = last.or(kept.purged);
        Ok(LogState { last_purged_log_id: kept.purged, last_log_id })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote<u64>) -> Result<(), Failure> {
        lock(&self.0).vote = Some(*vote);
        Ok(())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote<u64>>, Failure> {
        Ok(lock(&self.0).vote)
    }

    async fn append<I>(&mut self, entries: I, callback: LogFlushed<Types>) -> Result<(), Failure>
    where
        I: IntoIterator<Item = Entry<Types>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        lock(&self.0).log.extend(entries.into_iter().map(|entry| (entry.log_id.index, entry)));
        callback.log_io_completed(Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, log_id: LogId<u64>) -> Result<(), Failure> {
        lock(&self.0).log.split_off(&log_id.index);
        Ok(())
    }

    async fn purge(&mut self, log_id: LogId<u64>) -> Result<(), Failure> {
        let mut kept = lock(&self.0);
        kept.purged = Some(log_id);
        kept.log = kept.log.split_off(&(log_id.index + 1));
        Ok(())
    }
}

/// A machine that drops every command.
#[derive(Clone, Default)]
struct Nothing {
    last: Option<LogId<u64>>,
    membership: StoredMembership<u64, EmptyNode>,
}

impl RaftSnapshotBuilder<Types> for Nothing {
    async fn build_snapshot(&mut self) -> Result<Snapshot<Types>, Failure> {
        let (last_log_id, last_membership) = (self.last, self.membership.clone());
        let snapshot_id = format!("{last_log_id:?}");
        let meta = SnapshotMeta { last_log_id, last_membership, snapshot_id };
        Ok(Snapshot { meta, snapshot: Box::default() })
    }
}

impl RaftStateMachine<Types> for Nothing {
    type SnapshotBuilder = Self;

    async fn applied_state(
        &mut self,
    ) -> Result<(Option<LogId<u64>>, StoredMembership<u64, EmptyNode>), Failure> {
        Ok((self.last, self.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<()>, Failure>
    where
        I: IntoIterator<Item = Entry<Types>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut replies = Vec::new();
        for Entry { log_id, payload } in entries {
            if let EntryPayload::Membership(membership) = payload {
                self.membership = StoredMembership::new(Some(log_id), membership);
            }
            self.last = Some(log_id);
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
        _: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), Failure> {
        self.last = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<Types>>, Failure> {
        self.build_snapshot().await.map(Some)
    }
}

/// The nodes, once all of them are there.
#[derive(Clone, Default)]
struct Nodes(Arc<OnceLock<Vec<Raft<Types>>>>);

/// One end of a link.
struct Link {
    nodes: Nodes,
    to: u64,
}

impl RaftNetworkFactory<Types> for Nodes {
    type Network = Link;

    async fn new_client(&mut self, to: u64, _: &EmptyNode) -> Link {
        Link { nodes: self.clone(), to }
    }
}

type Lost<E> = RPCError<u64, EmptyNode, RaftError<u64, E>>;

fn lost<E: std::error::Error>(why: &str) -> Lost<E> {
    RPCError::Unreachable(Unreachable::new(&AnyError::error(why)))
}

impl Link {
    fn peer(&self) -> Option<&Raft<Types>> {
        self.nodes.0.get()?.get(self.to as usize)
    }
}

impl RaftNetwork<Types> for Link {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Types>,
        _: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, RPCError<u64, EmptyNode, RaftError<u64>>> {
        let peer = self.peer().ok_or_else(|| lost("not yet"))?;
        peer.append_entries(rpc).await.map_err(|_| lost("stopped"))
    }

    async fn install_snapshot(
        &mut self,
        rpc: InstallSnapshotRequest<Types>,
        _: RPCOption,
    ) -> Result<
        InstallSnapshotResponse<u64>,
        RPCError<u64, EmptyNode, RaftError<u64, InstallSnapshotError>>,
    > {
        let peer = self.peer().ok_or_else(|| lost("not yet"))?;
        peer.install_snapshot(rpc).await.map_err(|_| lost("stopped"))
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<u64>,
        _: RPCOption,
    ) -> Result<VoteResponse<u64>, RPCError<u64, EmptyNode, RaftError<u64>>> {
        let peer = self.peer().ok_or_else(|| lost("not yet"))?;
        peer.vote(rpc).await.map_err(|_| lost("stopped"))
    }
}

/// Starts the nodes, and waits until the first leads.
async fn start() -> Vec<Raft<Types>> {
    // As in its benchmark; the log is kept as long as the others keep theirs.
    let config = Config {
        election_timeout_min: 200,
        election_timeout_max: 2_000,
        purge_batch_size: 1_024,
        max_payload_entries: 1_024,
        max_in_snapshot_log_to_keep: 32_768,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(32_768),
        ..Config::default()
    };
    let config = Arc::new(config.validate().expect("a sound configuration"));
    let links = Nodes::default();
    let mut nodes = Vec::new();
    for name in 0..REPLICAS as u64 {
        let (log, machine) = (Log::default(), Nothing::default());
        let node = Raft::new(name, Arc::clone(&config), links.clone(), log, machine).await;
        nodes.push(node.expect("an empty log is sound"));
    }
    assert!(links.0.set(nodes.clone()).is_ok(), "set once");
    let members: BTreeMap<_, _> = (0..REPLICAS as u64).map(|name| (name, EmptyNode {})).collect();
    nodes[0].initialize(members).await.expect("there is no cluster yet");
    let elected = nodes[0].wait(Some(Duration::from_secs(30))).current_leader(0, "leads").await;
    elected.expect("the first to know of the others leads");
    nodes
}

/// A client with one command outstanding, and when each was asked and answered.
async fn ask(leader: Raft<Types>, over: Arc<AtomicBool>) -> Vec<(Instant, Instant)> {
    let mut asked = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let command = Command(Bytes::from(vec![asked.len() as u8; COMMAND]));
        let begun = Instant::now();
        leader.client_write(command).await.expect("the leader leads on");
        asked.push((begun, Instant::now()));
    }
    asked
}

async fn measure(outstanding: usize, span: Duration) -> Measured {
    let nodes = start().await;
    let over = Arc::new(AtomicBool::new(false));
    let ask = || tokio::spawn(ask(nodes[0].clone(), Arc::clone(&over)));
    let clients: Vec<_> = (0..outstanding).map(|_| ask()).collect();
    // As everywhere, the first tenth of the time does not count.
    tokio::time::sleep(span / 10).await;
    let (warm_at, cpu) = (Instant::now(), cpu_time());
    tokio::time::sleep(span - span / 10).await;
    let (end, cpu) = (Instant::now(), cpu_time() - cpu);
    over.store(true, Ordering::Relaxed);
    let mut took = Vec::new();
    for client in clients {
        let asked = client.await.expect("no client panics");
        let counted = asked.into_iter().filter(|&(_, done)| warm_at <= done && done <= end);
        took.extend(counted.map(|(begun, done)| (done - begun, 1)));
    }
    for node in nodes {
        node.shutdown().await.expect("it runs");
    }
    Measured::of(&mut took, end - warm_at, cpu)
}

pub(crate) fn run(outstanding: usize, span: Duration) -> Measured {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_time().build();
    runtime.expect("a runtime can be built").block_on(measure(outstanding, span))
}
