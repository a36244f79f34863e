//! A node as a process runs it.

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, unbounded};
use mio::Token;
use mio::event::Event;
use serde::Serialize;
use serde::de::DeserializeOwned;
use socket2::SockRef;

use super::budget::Budget;
use super::dial::{Calling, Dial};
use super::entrance::Entrance;
use super::gate::{Gate, Hall};
use super::greeting::Caller;
use super::id::{ClusterId, Incarnation};
use super::inside::Inside;
use super::limits::Limits;
use super::link::{Link, Post};
use super::passport;
use super::reactor::{Desk, Prepared, Reactor, Station};
use super::refusal::Reason;
use super::remote::Remote;
use super::tls::Tls;
use super::unsent::Unsent;
use super::{Spoken, StartError, chance, node_map};
use crate::store::{Journal, Opened, Store};
use crate::threads::host::{self, Control, Host, Mail};
use crate::threads::medium::{Medium, Opener};
use crate::threads::{CallError, Client, Options, Refusal};
use crate::{Emitted, Fault, InvalidConfig, Members, NodeId, NodeState, Rng, Unsupported};

/// How many connections may wait to be taken.
pub(crate) const BACKLOG: i32 = 4096;

/// One node of a cluster, which its peers and clients reach by TCP: a thread for the node, as in
/// [`threads`](crate::threads), and one for all connections.
///
/// Dropping it stops both, at once: clients that wait are told that nobody knows what became of their
/// requests. [`shutdown`](Server::shutdown) does the same and tells of panics;
/// [`retire`](Server::retire) lets the node finish first.
pub struct Server<N: Spoken> {
    pub(super) inside: Arc<Inside<N>>,
    addr: SocketAddr,
    incarnation: Incarnation,
    host: Option<JoinHandle<()>>,
    reactor: Reactor,
}

/// Configures and starts a [`Server`].
///
/// | setting | default |
/// |---|---|
/// | [`node`](Builder::node), at least its own and one call for each | none |
/// | [`listen`](Builder::listen) or [`listener`](Builder::listener) | the address that peers know |
/// | [`directory`](Builder::directory) | none: its disk is memory |
/// | [`limits`](Builder::limits) | those of [`Limits::default`] |
/// | [`options`](Builder::options) | those of [`Options::default`] |
/// | `tls` | none: it listens on loopback only |
/// | [`insecurely`](Builder::insecurely) | not |
#[must_use = "a server runs once it is started"]
pub struct Builder<N: Spoken> {
    config: N::Config,
    cluster: ClusterId,
    here: NodeId,
    nodes: Vec<(NodeId, SocketAddr)>,
    door: Option<Door>,
    directory: Option<(PathBuf, Opener<N::Record>)>,
    limits: Limits,
    options: Options,
    tls: Option<Tls>,
    insecurely: bool,
}

/// Where to listen.
enum Door {
    At(SocketAddr),
    Open(TcpListener),
}

impl<N: Spoken> Server<N> {
    /// Node `here` of `cluster`, to be configured and started.
    pub fn builder(cluster: ClusterId, here: NodeId, config: N::Config) -> Builder<N> {
        Builder {
            config,
            cluster,
            here,
            nodes: Vec::new(),
            door: None,
            directory: None,
            limits: Limits::default(),
            options: Options::default(),
            tls: None,
            insecurely: false,
        }
    }

    /// Which node it is.
    pub fn id(&self) -> NodeId {
        self.inside.here
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Which life of the node this is.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// A way to the whole cluster for clients in this process: to this node without a connection, to the
    /// others by connections of their own.
    ///
    /// # Errors
    /// [`StartError::System`] if the system has no more threads or files.
    pub fn port(&self) -> Result<Arc<Remote<N>>, StartError> {
        let Inside { here, nodes, calling, entrance, .. } = &*self.inside;
        Remote::builder(calling.cluster.clone(), nodes.iter().copied())
            .limits(calling.limits.clone())
            .secured(calling.tls.clone())
            .local(*here, entrance.clone())
            .connect()
    }

    /// Asks this server's own node, and waits for its answer for at most `patience`.
    ///
    /// # Errors
    /// As [`Client::call`](crate::threads::Client::call) has them; [`CallError::Unavailable`] also if the
    /// system has no more threads or files for it.
    pub fn ask(&self, request: N::Request, patience: Duration) -> Result<N::Response, CallError> {
        let port = self.port().map_err(|_| CallError::Unavailable { waited: Duration::ZERO })?;
        Client::over(port).call(self.id(), request, patience)
    }

    /// How the node is doing. One that does not say so within two seconds, because its disk hangs, counts
    /// as down; what else is asked of a node here is none then.
    pub fn state(&self) -> NodeState {
        self.inside.state()
    }

    /// Why the node is down, if it is and has not panicked: why it did not boot from its disk, or how its
    /// disk failed.
    pub fn refusal(&self) -> Option<Refusal> {
        self.inside.question(Control::Refusal).flatten()
    }

    /// Whether its node's thread has ended, as it does by itself only when it panics.
    pub fn is_over(&self) -> bool {
        self.host.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// What the node counts, by name; none if it is down.
    pub fn gauges(&self) -> Option<Vec<(&'static str, u64)>> {
        self.inside.gauges()
    }

    /// What its connections count, by name: refusals by their reason, messages dropped to and from peers,
    /// bytes that wait, peers that it can reach.
    pub fn traffic(&self) -> Vec<(String, u64)> {
        self.inside.traffic()
    }

    /// How often connections were refused for this reason, by this node or, of its own, by a peer.
    pub fn refused(&self, reason: Reason) -> u64 {
        self.inside.calling.tally.of(reason)
    }

    /// The peers to which it has a connection now.
    pub fn peers(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.inside.peers()
    }

    /// All that the node tells its application from now on, as it happens.
    pub fn subscribe(&self) -> Receiver<Emitted<N::Event>> {
        let (sender, receiver) = unbounded();
        let _ = self.inside.entrance.inbox.send(Mail::Control(Control::Subscribe(sender)));
        receiver
    }

    /// Makes something go wrong with its node, for tests: its clocks ([`Fault::Clock`]), or a crash of
    /// the node, not of the process, after so many effects ([`Fault::CrashAfter`]), which
    /// [`Fault::Restart`] calls off.
    ///
    /// # Errors
    /// [`Unsupported`], of any other fault and of another node's; nothing has changed then.
    pub fn inject(&self, fault: &Fault) -> Result<(), Unsupported> {
        let control = match fault {
            Fault::Clock { node, clock } if *node == self.id() => Control::Clock(*clock),
            Fault::CrashAfter { node, effects } if *node == self.id() => {
                Control::CrashAfter(*effects)
            }
            Fault::Restart { node } if *node == self.id() => Control::Restart,
            _ => return Err(Unsupported::new(fault, "a server makes no such thing happen")),
        };
        // A host that is gone has nothing left to go wrong.
        let _ = self.inside.entrance.inbox.send(Mail::Control(control));
        Ok(())
    }

    /// Stops it as one stops a process that is wanted again: lets the pattern hand over what it holds (a
    /// lead, say) by `hand_over`; from then on turns every new request away, with nothing done; and stops
    /// when those under way are answered, or after `patience`.
    ///
    /// # Panics
    /// As [`shutdown`](Server::shutdown).
    pub fn retire(self, patience: Duration, hand_over: impl FnOnce(&Self)) {
        hand_over(&self);
        self.inside.entrance.shut();
        let deadline = Instant::now() + patience;
        while self.inside.entrance.is_busy() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.shutdown();
    }

    /// Stops it at once.
    ///
    /// # Panics
    /// When the node, or the thread of its connections, has panicked, with what it said.
    pub fn shutdown(mut self) {
        if let Err(panic) = self.stop() {
            std::panic::resume_unwind(panic);
        }
    }

    fn stop(&mut self) -> std::thread::Result<()> {
        // First the node, whose last answers the other thread writes.
        let _ = self.inside.entrance.inbox.send(Mail::Control(Control::Stop));
        let host = self.host.take().map_or(Ok(()), JoinHandle::join);
        host.and(self.reactor.stop())
    }
}

impl<N: Spoken> Drop for Server<N> {
    fn drop(&mut self) {
        // To panic here could abort the process.
        let _ = self.stop();
    }
}

impl<N: Spoken> fmt::Debug for Server<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("here", &self.id())
            .field("addr", &self.addr)
            .field("incarnation", &self.incarnation)
            .finish_non_exhaustive()
    }
}

impl<N: Spoken> Builder<N> {
    /// Node `id` of the cluster, and where its peers and clients reach it. To be called for each, this one
    /// included.
    pub fn node(mut self, id: NodeId, address: SocketAddr) -> Self {
        self.nodes.push((id, address));
        self
    }

    /// As [`node`](Builder::node), for several.
    pub fn nodes(mut self, nodes: impl IntoIterator<Item = (NodeId, SocketAddr)>) -> Self {
        self.nodes.extend(nodes);
        self
    }

    /// Listens at this address of the machine, if it is not the one that others know.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.door = Some(Door::At(address));
        self
    }

    /// Listens by a socket that listens already.
    pub fn listener(mut self, listener: TcpListener) -> Self {
        self.door = Some(Door::Open(listener));
        self
    }

    /// Keeps a journal in this directory, which is this node's alone, and a file that says so.
    pub fn directory(self, path: impl Into<PathBuf>) -> Self
    where
        N::Record: Serialize + DeserializeOwned,
    {
        let path = path.into();
        let journal = path.join("journal");
        self.directory_on(path, move || Journal::open(&journal))
    }

    /// Keeps its records in the store that `open` opens whenever the node boots, on the node's own
    /// thread; and in this directory, which is this node's alone, a file that says so.
    pub fn directory_on<S: Store<N::Record> + 'static>(
        mut self,
        path: impl Into<PathBuf>,
        open: impl Fn() -> Opened<S, N::Record> + Send + Sync + 'static,
    ) -> Self {
        let open = move |_| {
            let (store, records) = open()?;
            Ok((Box::new(store) as Box<dyn Store<N::Record>>, records))
        };
        self.directory = Some((path.into(), Arc::new(open)));
        self
    }

    /// How much of everything it holds.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How the node's thread runs.
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Speaks TLS, shows this certificate, and asks for others of the same authority.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Listens without TLS on an address that other machines may reach: whoever reaches it can do what a
    /// client can, and what a node can.
    pub fn insecurely(mut self) -> Self {
        self.insecurely = true;
        self
    }

    /// Starts it. It boots, and connects to its peers, after this has returned:
    /// [`state`](Server::state) says how it is doing.
    ///
    /// # Errors
    /// [`StartError`] says what makes no sense or did not work. Nothing is left running.
    pub fn start(mut self) -> Result<Server<N>, StartError> {
        let (members, nodes) = node_map(std::mem::take(&mut self.nodes))?;
        self.validate(&members)?;
        let own = members.index_of(self.here).map(|place| nodes[place].1).expect("validated");
        let (listener, addr) = self.open_door(own)?;
        let incarnation = match &self.directory {
            Some((path, _)) => passport::renew(path, &self.cluster, self.here)?,
            // It keeps nothing, so it has promised nothing that outlives it.
            None => Incarnation::first(),
        };
        let caller = Caller::Node { id: self.here, incarnation };
        let calling = Arc::new(Calling {
            cluster: self.cluster.clone(),
            caller,
            budget: Budget::new(self.limits.memory_max),
            tally: Arc::default(),
            tls: self.tls.clone(),
            limits: self.limits.clone(),
        });
        let launched = self.launch(members, nodes, listener, incarnation, calling);
        let (inside, host, reactor) = launched.map_err(StartError::system("cannot start it"))?;
        let inside = Arc::new(inside);
        Ok(Server { inside, addr, incarnation, host: Some(host), reactor })
    }

    fn validate(&self, members: &Members) -> Result<(), InvalidConfig> {
        if !members.contains(self.here) {
            return Err(InvalidConfig::new("nodes", "all others", format!("{} too", self.here)));
        }
        if self.options.batch_max == 0 {
            return Err(InvalidConfig::new("batch_max", 0, "at least 1"));
        }
        self.limits.validate()?;
        N::validate(&self.config, members)
    }

    fn open_door(
        &mut self,
        own: SocketAddr,
    ) -> Result<(mio::net::TcpListener, SocketAddr), StartError> {
        let failed = StartError::system("cannot listen");
        let listener = match self.door.take().unwrap_or(Door::At(own)) {
            Door::At(address) => {
                self.check_secrecy(address)?;
                mio::net::TcpListener::bind(address).map_err(failed)?
            }
            Door::Open(listener) => {
                listener.set_nonblocking(true).map_err(&failed)?;
                mio::net::TcpListener::from_std(listener)
            }
        };
        // Many may come at once, when all are started, and a system that finds no room lets them wait for
        // seconds. If it takes no such number, it keeps its own.
        let _ = SockRef::from(&listener).listen(BACKLOG);
        let address = listener.local_addr().map_err(StartError::system("cannot listen"))?;
        self.check_secrecy(address)?;
        Ok((listener, address))
    }

    fn check_secrecy(&self, address: SocketAddr) -> Result<(), InvalidConfig> {
        if self.tls.is_some() || self.insecurely || address.ip().is_loopback() {
            return Ok(());
        }
        Err(InvalidConfig::new("listen", address, "a loopback address, TLS, or `insecurely`"))
    }

    fn launch(
        self,
        members: Members,
        nodes: Vec<(NodeId, SocketAddr)>,
        listener: mio::net::TcpListener,
        incarnation: Incarnation,
        calling: Arc<Calling>,
    ) -> std::io::Result<(Inside<N>, JoinHandle<()>, Reactor)> {
        let prepared = Prepared::new()?;
        let (inbox, outlet) = unbounded();
        let entrance = Entrance::new(inbox);
        let answers = Arc::new(Unsent::new(prepared.caller()));
        let lives = Arc::default();
        let link = |id| {
            let (lives, tally) = (Arc::clone(&lives), Arc::clone(&calling.tally));
            let inbox = entrance.inbox.clone();
            let ended = move |node| drop(inbox.send(Mail::Ended { node }));
            Arc::new(Link::new(id, lives, tally, self.limits.link_max, ended))
        };
        let links: Vec<_> = members.iter().map(|id| (id != self.here).then(|| link(id))).collect();
        let mut rng = Rng::from_seed(self.options.seed);
        let mut chance = chance();
        let mut dials = Vec::new();
        for (place, (node, link)) in nodes.iter().zip(&links).enumerate() {
            let Some(link) = link else { continue };
            let rng = chance.fork(place as u64);
            let calling = Arc::clone(&calling);
            dials.push(Dial::new(Arc::clone(link), *node, Token(place), rng, calling));
        }
        let hall = Hall {
            here: self.here,
            incarnation,
            members: members.clone(),
            lives,
            entrance: entrance.clone(),
            answers: Arc::clone(&answers),
            calling: Arc::clone(&calling),
        };
        let gate = Gate::open(hall, listener, prepared.registry(), members.count())?;
        let post = Post {
            here: self.here,
            members: members.clone(),
            links: links.clone(),
            touched: Vec::new(),
            inbox: entrance.inbox.clone(),
            answers,
        };
        let host = host::Start {
            id: self.here,
            config: self.config,
            members: members.clone(),
            start: Instant::now(),
            batch_max: self.options.batch_max,
            spins: self.options.spins,
            medium: self.directory.map_or_else(Medium::memory, |(_, open)| Medium::store(open)),
            inbox: outlet,
            outlet: Box::new(post),
            rng: rng.fork(u64::from(self.here.get())),
        };
        let reactor = prepared.start(&format!("net {}", self.here), House { gate, dials })?;
        let thread = std::thread::Builder::new().name(format!("node {}", self.here));
        let host = thread.spawn(move || Host::new(host).run())?;
        let inside = Inside { here: self.here, members, nodes, calling, entrance, links };
        Ok((inside, host, reactor))
    }
}

/// What the thread of a server's connections does.
struct House<N: Spoken> {
    gate: Gate<N>,
    /// To the peers; each has its place as its token.
    dials: Vec<Dial<Link>>,
}

impl<N: Spoken> Station for House<N> {
    fn ready(&mut self, desk: &mut Desk<'_>, event: &Event) {
        match self.dials.iter_mut().find(|dial| dial.token() == event.token()) {
            Some(dial) => dial.ready(desk, event),
            None => self.gate.ready(desk, event),
        }
    }

    fn attend(&mut self, desk: &mut Desk<'_>) -> Option<Instant> {
        let dials = self.dials.iter_mut().filter_map(|dial| dial.attend(desk)).min();
        [dials, self.gate.attend(desk)].into_iter().flatten().min()
    }

    fn close(&mut self) {
        self.dials.iter_mut().for_each(Dial::close);
        self.gate.close();
    }
}
