//! Links between nodes: calls that may be lost, late, or made twice.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::cluster::{Cuts, Fault, LinkFault, NodeId, Rng};
use ::openraft::error::{InstallSnapshotError, RPCError, RaftError, Unreachable};
use ::openraft::network::{Backoff, RPCOption, RaftNetwork, RaftNetworkFactory};
use ::openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};
use ::openraft::{AnyError, EmptyNode, Raft};
use tokio::time::sleep;

use super::Types;
use super::store::Life;

/// How long a peer that refused a call is left alone. The default, 500 ms, would keep a node that
/// was restarted waiting for longer than its election timeout.
const BACKOFF: Duration = Duration::from_millis(20);

/// All links of a cluster, and who answers at their ends.
#[derive(Clone)]
pub(super) struct Router(Arc<Mutex<Routes>>);

struct Routes {
    up: BTreeMap<u64, (Raft<Types>, Life)>,
    nodes: Vec<NodeId>,
    cuts: Cuts,
    links: LinkFault,
    rng: Rng,
}

/// How one message fares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Fate {
    lost: bool,
    delay: Duration,
    /// For how long the second copy is held back, if there is one.
    again: Option<Duration>,
}

impl Router {
    pub(super) fn new(nodes: Vec<NodeId>, rng: Rng) -> Self {
        let (cuts, links) = (Cuts::none(nodes.len()), LinkFault::default());
        let up = BTreeMap::new();
        Self(Arc::new(Mutex::new(Routes { up, nodes, cuts, links, rng })))
    }

    fn with<T>(&self, f: impl FnOnce(&mut Routes) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on, `node` answers.
    pub(super) fn join(&self, node: u64, raft: Raft<Types>, life: Life) {
        self.with(|routes| routes.up.insert(node, (raft, life)));
    }

    /// From now on, nobody answers at `node`.
    pub(super) fn leave(&self, node: u64) {
        self.with(|routes| routes.up.remove(&node));
    }

    /// Cuts, heals or spoils links.
    pub(super) fn apply(&self, fault: &Fault) {
        self.with(|routes| {
            if let Fault::Links(links) = fault {
                routes.links = *links;
            }
            let nodes = &routes.nodes;
            routes.cuts.apply(fault, |node| nodes.iter().position(|&known| known == node));
        });
    }

    fn fate(&self, from: u64, to: u64) -> Fate {
        self.with(|routes| {
            let place = |id| routes.nodes.iter().position(|node| u64::from(node.get()) == id);
            let cut = match (place(from), place(to)) {
                (Some(from), Some(to)) => routes.cuts.is_cut(from, to),
                (None, _) | (_, None) => true,
            };
            let (links, rng) = (routes.links, &mut routes.rng);
            let late = |rng: &mut Rng| rng.span(Duration::ZERO..=links.delay_max);
            let lost = cut || rng.chance(links.loss_ppm);
            let delay = if rng.chance(links.delay_ppm) { late(rng) } else { Duration::ZERO };
            let again = rng.chance(links.duplicate_ppm).then(|| late(rng));
            Fate { lost, delay, again }
        })
    }
}

/// The links of one life of a node.
#[derive(Clone)]
pub(super) struct Links {
    router: Router,
    from: u64,
    life: Life,
}

impl Links {
    pub(super) fn new(router: Router, from: u64, life: Life) -> Self {
        Self { router, from, life }
    }
}

impl RaftNetworkFactory<Types> for Links {
    type Network = Peer;

    async fn new_client(&mut self, target: u64, _node: &EmptyNode) -> Peer {
        Peer { links: self.clone(), to: target }
    }
}

/// One end of a link.
#[derive(Clone)]
pub(super) struct Peer {
    links: Links,
    to: u64,
}

type Failure<E> = RPCError<u64, EmptyNode, RaftError<u64, E>>;

fn unreachable<E: std::error::Error>(why: &str) -> Failure<E> {
    RPCError::Unreachable(Unreachable::new(&AnyError::error(why)))
}

impl Peer {
    /// Makes a call: there, and back. Either way it may be lost; then it never returns, and openraft
    /// gives it up.
    async fn call<Q, A, E, F>(
        &self,
        request: Q,
        handle: fn(Raft<Types>, Q) -> F,
    ) -> Result<A, Failure<E>>
    where
        Q: Clone + Send + 'static,
        A: Send + 'static,
        E: std::error::Error + Send + 'static,
        F: Future<Output = Result<A, RaftError<u64, E>>> + Send + 'static,
    {
        let Self { links: Links { router, from, life }, to } = self;
        let there = router.fate(*from, *to);
        if there.lost || life.is_over() {
            return pending().await;
        }
        if let Some(delay) = there.again {
            let (peer, request) = (self.clone(), request.clone());
            tokio::spawn(async move {
                sleep(there.delay + delay).await;
                if let Some((raft, _)) = peer.target() {
                    // The answer to a copy reaches nobody.
                    let _ = handle(raft, request).await;
                }
            });
        }
        if !there.delay.is_zero() {
            sleep(there.delay).await;
        }
        let Some((raft, target)) = self.target() else {
            return Err(unreachable("nobody listens"));
        };
        let answer = handle(raft, request).await;
        let back = router.fate(*to, *from);
        if back.lost {
            return pending().await;
        }
        if !back.delay.is_zero() {
            sleep(back.delay).await;
        }
        if target.is_over() {
            return Err(unreachable("the connection broke"));
        }
        answer.map_err(|_| unreachable("the peer has stopped"))
    }

    fn target(&self) -> Option<(Raft<Types>, Life)> {
        self.links.router.with(|routes| routes.up.get(&self.to).cloned())
    }
}

impl RaftNetwork<Types> for Peer {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Types>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, RPCError<u64, EmptyNode, RaftError<u64>>> {
        self.call(rpc, |raft, rpc| async move { raft.append_entries(rpc).await }).await
    }

    async fn install_snapshot(
        &mut self,
        rpc: InstallSnapshotRequest<Types>,
        _option: RPCOption,
    ) -> Result<
        InstallSnapshotResponse<u64>,
        RPCError<u64, EmptyNode, RaftError<u64, InstallSnapshotError>>,
    > {
        self.call(rpc, |raft, rpc| async move { raft.install_snapshot(rpc).await }).await
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<u64>,
        _option: RPCOption,
    ) -> Result<VoteResponse<u64>, RPCError<u64, EmptyNode, RaftError<u64>>> {
        self.call(rpc, |raft, rpc| async move { raft.vote(rpc).await }).await
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(BACKOFF))
    }
}
