//! The process of one node.

use std::error::Error;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::exit;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use cluster::net::process::Stop;
use cluster::net::{ClusterId, Server};
use cluster::store::{Journal, Opened, Store, StoreError};
use cluster::{Fault, Node, NodeId, PersistCount, threads};
use serde::{Deserialize, Serialize};
use wal::Os;

use crate::implementations;

use super::super::inhabitant::{Ills, Look};
use super::disk::{Disk, Files};
use super::orders::{self, Order, Report};
use super::{ABLE, CLUSTER, Resides};

/// In the environment of a process that is to be a node: its [`Post`].
const POST: &str = "HOSTS_POST";
/// The journal, in the node's directory.
pub(super) const JOURNAL: &str = "journal";
/// How long a node that is told to stop may take to hand over, and then to answer what it was asked.
const FAREWELL: Duration = Duration::from_secs(2);
/// The size of a part of the journal: small, so that a run of seconds fills some.
const SEGMENT: u64 = 256 << 10;

/// All that a process must know to be a node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Post {
    /// Of which implementation.
    pub implementation: String,
    /// Which one.
    pub here: NodeId,
    /// Where it is to call whom, itself among them.
    pub nodes: Vec<(NodeId, SocketAddr)>,
    /// Where it is to listen to nodes and clients.
    pub listen: SocketAddr,
    /// Where it is to listen to the suite.
    pub orders: SocketAddr,
    /// Its directory.
    pub dir: PathBuf,
    /// Decides the seed that it boots with.
    pub seed: u64,
    /// What is wrong with it from the start.
    pub ills: Ills,
    /// Whether its disk says, once its journal is open, that it has synced what it has not.
    pub lying: bool,
}

impl Post {
    pub(super) fn to_env(&self) -> (OsString, OsString) {
        let text = serde_json::to_string(self).expect("it is plain data");
        (POST.into(), text.into())
    }
}

/// What serves a post; returns when it was told to stop, and has.
pub type Serve = dyn Fn(Post) -> Result<(), Box<dyn Error>> + Send + Sync;

/// To be called first in `main` by whoever starts clusters of processes: where this process was started
/// as a node of one, it is that node, and this does not return. Otherwise it returns at once, and this
/// program is from now on what such clusters are made of.
pub fn become_node() {
    match std::env::var(POST) {
        Err(_) => {
            if let Ok(program) = std::env::current_exe() {
                ABLE.get_or_init(|| program);
            }
        }
        Ok(post) => exit(match be(&post) {
            Ok(()) => 0,
            Err(error) => {
                eprintln!("{error}");
                1
            }
        }),
    }
}

fn be(post: &str) -> Result<(), Box<dyn Error>> {
    let post: Post = serde_json::from_str(post)?;
    let known = implementations::named(&post.implementation).and_then(|it| it.serve);
    let serve = known.ok_or_else(|| format!("nobody knows {}", post.implementation))?;
    serve(post)
}

/// What ends a process.
enum End {
    /// It was told to.
    Told,
    /// Its node has let go of its disk: it is dead.
    Died,
}

/// Serves `post` with nodes of `P`, configured so.
///
/// # Errors
/// Why it does not, or does no more.
pub(crate) fn serve<P: Resides>(
    config: <P::Node as Node>::Config,
    post: Post,
) -> Result<(), Box<dyn Error>> {
    let (ended, end) = channel();
    let stop = Stop::listen()?;
    let told = ended.clone();
    std::thread::Builder::new().spawn(move || {
        stop.wait();
        told.send(End::Told)
    })?;
    let disk = Disk::new(post.ills.disk);
    let Post { here, orders, ills, .. } = post;
    let server = start::<P>(config, post, &disk, ended)?;
    server.inject(&Fault::Clock { node: here, clock: ills.clock })?;
    let server = Arc::new(RwLock::new(Some(server)));
    let obeying = Arc::clone(&server);
    orders::listen(orders, move |order| {
        let server = obeying.read().unwrap_or_else(PoisonError::into_inner);
        server.as_ref().map_or(Report::Refused, |server| obey::<P>(server, &disk, order))
    })?;
    let end = end.recv()?;
    let server = server.write().unwrap_or_else(PoisonError::into_inner).take();
    let server = server.ok_or("it is taken once")?;
    match end {
        End::Told => {
            server.retire(FAREWELL, hand_over::<P>);
            Ok(())
        }
        End::Died => Err(match server.refusal() {
            Some(refusal) => refusal.into(),
            None => "the node died".into(),
        }),
    }
}

fn start<P: Resides>(
    config: <P::Node as Node>::Config,
    post: Post,
    disk: &Arc<Disk>,
    ended: Sender<End>,
) -> Result<Server<P::Node>, Box<dyn Error>> {
    let Post { here, nodes, listen, dir, seed, lying, .. } = post;
    let (journal, disk, ended) = (dir.join(JOURNAL), Arc::clone(disk), Mutex::new(ended));
    let open = move || -> Opened<_, _> {
        let ended = ended.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // Kept from here on: a store that does not open is the end of its node, too.
        let life = Life(ended);
        let failed = |error: std::io::Error| cluster::store::OpenError::Failed {
            because: error.to_string(),
        };
        let files = Files::new(Os::open(&journal).map_err(failed)?, &disk);
        let options = Journal::<<P::Node as Node>::Record>::options();
        let options = options.segment_bytes(SEGMENT).prepare_bytes(SEGMENT);
        let (journal, records) = Journal::open_in(files, options)?;
        if lying {
            disk.lie();
        }
        Ok((Kept { journal, _life: life }, records))
    };
    let options = threads::Options { seed, ..threads::Options::default() };
    let server = Server::<P::Node>::builder(ClusterId::new(CLUSTER)?, here, config)
        .nodes(nodes)
        .listen(listen)
        // Nobody else is in its network.
        .insecurely()
        .options(options)
        .directory_on(dir, open);
    Ok(server.start()?)
}

/// A journal that tells when its node lets go of it.
struct Kept<R> {
    journal: Journal<R, Files>,
    _life: Life,
}

/// Tells when it is dropped.
struct Life(Sender<End>);

impl Drop for Life {
    fn drop(&mut self) {
        // Nobody listens who ends already.
        let _ = self.0.send(End::Died);
    }
}

impl<R: Serialize + serde::de::DeserializeOwned> Store<R> for Kept<R> {
    fn append(&mut self, record: R) -> Result<(), StoreError> {
        self.journal.append(record)
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        self.journal.sync()
    }

    fn forget(&mut self, before: PersistCount) -> Result<(), StoreError> {
        self.journal.forget(before)
    }
}

fn obey<P: Resides>(server: &Server<P::Node>, disk: &Disk, order: Order) -> Report {
    match order {
        Order::Look => Report::Looks(server.state().standing().map(|standing| Look {
            name: u64::from(server.id().get()),
            role: standing.role,
            epoch: standing.epoch,
            leader: standing.leader.map(|leader| u64::from(leader.get())),
        })),
        Order::Take(Fault::Disk { disk: fault, .. }) => {
            disk.misbehave(fault);
            Report::Done
        }
        Order::Take(fault) => match server.inject(&fault) {
            Ok(()) => Report::Done,
            Err(_) => Report::Refused,
        },
    }
}

/// Asks the node to hand over what it holds, and waits until it has answered.
fn hand_over<P: Resides>(server: &Server<P::Node>) {
    if let Some(request) = P::farewell() {
        // Whatever it answers, or if it does not: it has had its time.
        let _ = server.ask(request, FAREWELL);
    }
}
