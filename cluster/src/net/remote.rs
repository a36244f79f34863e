//! The way to the nodes of a cluster from outside.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use mio::Token;
use mio::event::Event;
use rustc_hash::FxHashMap;

use super::budget::Budget;
use super::client::{Answering, Asking};
use super::dial::{Calling, Dial, Line};
use super::entrance::Entrance;
use super::frame::{self, Frame, Kind};
use super::greeting::{Caller, Welcome};
use super::id::ClusterId;
use super::limits::Limits;
use super::news;
use super::reactor::{Desk, Prepared, Reactor, Station};
use super::refusal::{Reason, Refused};
use super::tls::Tls;
use super::wire::{Pushed, Wire};
use super::{Spoken, StartError, chance, node_map};
use crate::{Members, NoAnswer, NodeId, Port, ReplyTo};

/// A client's connections to the nodes of a cluster: one to each, made anew whenever it is lost, and a
/// thread for all of them. Any number of threads may ask at once, and have any number of requests under
/// way.
///
/// What becomes of a request: while a node cannot be reached it is [`NoAnswer::Unreachable`] at once, and
/// while the first connection is being made it waits for that. Once it may have been sent, a connection
/// that is lost is [`NoAnswer::Lost`]. There is no deadline here: a node that never answers, on a
/// connection that lives, is waited for.
pub struct Remote<N: Spoken> {
    members: Members,
    /// By the member's place.
    channels: Vec<Arc<Channel<N>>>,
    /// The node in this process, if there is one.
    local: Option<(NodeId, Entrance<N>)>,
    calling: Arc<Calling>,
    _reactor: Reactor,
}

/// Configures and makes a [`Remote`].
#[must_use = "nothing is connected before `connect`"]
pub struct RemoteBuilder<N: Spoken> {
    cluster: ClusterId,
    nodes: Vec<(NodeId, SocketAddr)>,
    limits: Limits,
    tls: Option<Tls>,
    local: Option<(NodeId, Entrance<N>)>,
}

impl<N: Spoken> Remote<N> {
    /// A way to the nodes of `cluster` at these addresses, to be configured.
    pub fn builder(
        cluster: ClusterId,
        nodes: impl IntoIterator<Item = (NodeId, SocketAddr)>,
    ) -> RemoteBuilder<N> {
        let nodes = nodes.into_iter().collect();
        RemoteBuilder { cluster, nodes, limits: Limits::default(), tls: None, local: None }
    }

    /// How often nodes have refused this client, or it has refused them, for this reason.
    pub fn refused(&self, reason: Reason) -> u64 {
        self.calling.tally.of(reason)
    }
}

impl<N: Spoken> RemoteBuilder<N> {
    /// How much of everything it holds: `frame_max`, `memory_max`, `requests_max` of each node, and the
    /// times.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Speaks TLS, and shows this certificate.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    pub(super) fn secured(mut self, tls: Option<Tls>) -> Self {
        self.tls = tls;
        self
    }

    /// Node `id` is in this process, and is asked there.
    pub(super) fn local(mut self, id: NodeId, entrance: Entrance<N>) -> Self {
        self.local = Some((id, entrance));
        self
    }

    /// Begins to connect, and does not wait for it.
    ///
    /// # Errors
    /// [`StartError::Invalid`] if there are no nodes, or one twice, or a limit makes no sense;
    /// [`StartError::System`] if the system has no more threads or files.
    pub fn connect(self) -> Result<Arc<Remote<N>>, StartError> {
        let Self { cluster, nodes, limits, tls, local } = self;
        let (members, nodes) = node_map(nodes)?;
        limits.validate()?;
        let calling = Arc::new(Calling {
            cluster,
            caller: Caller::Client,
            budget: Budget::new(limits.memory_max),
            tally: Arc::default(),
            tls,
            limits,
        });
        let mut rng = chance();
        let channels: Vec<_> = members.iter().map(|_| Channel::new(&calling)).collect();
        let dials = nodes.into_iter().zip(&channels).enumerate().map(|(place, (node, channel))| {
            let (channel, calling) = (Arc::clone(channel), Arc::clone(&calling));
            Dial::new(channel, node, Token(place), rng.fork(place as u64), calling)
        });
        // Not to the node that is here.
        let here = local.as_ref().and_then(|(id, _)| members.index_of(*id));
        let dials = dials.filter(|dial| Some(dial.token().0) != here).collect();
        let prepared = Prepared::new().map_err(StartError::system("cannot wait for sockets"))?;
        let reactor = prepared.start("net client", Switchboard { dials });
        let reactor = reactor.map_err(StartError::system("cannot start a thread"))?;
        Ok(Arc::new(Remote { members, channels, local, calling, _reactor: reactor }))
    }
}

impl<N: Spoken> Port<N> for Remote<N> {
    fn members(&self) -> &[NodeId] {
        self.members.as_slice()
    }

    fn submit(&self, node: NodeId, request: N::Request, reply: ReplyTo<N::Response>) {
        match (&self.local, self.members.index_of(node)) {
            (Some((here, entrance)), _) if *here == node => entrance.submit(request, reply),
            (_, Some(place)) => self.channels[place].submit(request, reply),
            (_, None) => reply.complete(Err(NoAnswer::Unreachable)),
        }
    }
}

impl<N: Spoken> fmt::Debug for Remote<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("members", &self.members).finish_non_exhaustive()
    }
}

/// What the thread of a [`Remote`] does.
struct Switchboard<N: Spoken> {
    dials: Vec<Dial<Channel<N>>>,
}

impl<N: Spoken> Station for Switchboard<N> {
    fn ready(&mut self, desk: &mut Desk<'_>, event: &Event) {
        if let Some(dial) = self.dials.iter_mut().find(|dial| dial.token() == event.token()) {
            dial.ready(desk, event);
        }
    }

    fn attend(&mut self, desk: &mut Desk<'_>) -> Option<Instant> {
        self.dials.iter_mut().filter_map(|dial| dial.attend(desk)).min()
    }

    fn close(&mut self) {
        self.dials.iter_mut().for_each(Dial::close);
    }
}

/// The connection to one node, and the requests that are under way on it.
struct Channel<N: Spoken> {
    state: Mutex<State<N>>,
    calling: Arc<Calling>,
}

enum State<N: Spoken> {
    /// There is none. Before `until` none is being made; after it, requests wait for what comes of it.
    Shut {
        until: Instant,
        queue: Vec<(N::Request, ReplyTo<N::Response>)>,
    },
    Open {
        wire: Arc<Wire>,
        under_way: FxHashMap<u64, ReplyTo<N::Response>>,
        asked: u64,
    },
}

// Replies are called when the lock is let go: what they lead to may be the next request.
impl<N: Spoken> Channel<N> {
    fn new(calling: &Arc<Calling>) -> Arc<Self> {
        let state = State::Shut { until: Instant::now(), queue: Vec::new() };
        Arc::new(Self { state: Mutex::new(state), calling: Arc::clone(calling) })
    }

    fn state(&self) -> MutexGuard<'_, State<N>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn submit(&self, request: N::Request, reply: ReplyTo<N::Response>) {
        let requests_max = self.calling.limits.requests_max;
        let turned_away = match &mut *self.state() {
            State::Shut { until, queue }
                if *until <= Instant::now() && queue.len() < requests_max =>
            {
                queue.push((request, reply));
                None
            }
            State::Shut { .. } => Some(reply),
            State::Open { under_way, .. } if under_way.len() >= requests_max => Some(reply),
            State::Open { wire, under_way, asked } => send(wire, under_way, asked, request, reply),
        };
        if let Some(reply) = turned_away {
            reply.complete(Err(NoAnswer::Unreachable));
        }
    }
}

/// Sends a request, or returns whom to tell that it was not sent.
fn send<Q: serde::Serialize, P>(
    wire: &Wire,
    under_way: &mut FxHashMap<u64, ReplyTo<P>>,
    asked: &mut u64,
    request: Q,
    reply: ReplyTo<P>,
) -> Option<ReplyTo<P>> {
    *asked += 1;
    match wire.push(Kind::Request, &Asking { tag: *asked, request }) {
        Pushed::First => wire.flush(),
        // Whoever put something there before writes this too.
        Pushed::Queued => {}
        Pushed::Full | Pushed::Closed => return Some(reply),
        Pushed::Unsendable(problem) => {
            news::unsendable(wire.peer(), &problem.0);
            return Some(reply);
        }
    }
    under_way.insert(*asked, reply);
    None
}

impl<N: Spoken> Line for Channel<N> {
    fn welcomed(&self, _: Welcome) -> Result<(), Refused> {
        Ok(())
    }

    fn opened(&self, wire: &Arc<Wire>) {
        let mut turned_away = Vec::new();
        {
            let mut state = self.state();
            let State::Shut { queue, .. } = &mut *state else { return };
            let (queue, mut under_way, mut asked) =
                (std::mem::take(queue), FxHashMap::default(), 0);
            turned_away.extend(queue.into_iter().filter_map(|(request, reply)| {
                send(wire, &mut under_way, &mut asked, request, reply)
            }));
            *state = State::Open { wire: Arc::clone(wire), under_way, asked };
        }
        for reply in turned_away {
            reply.complete(Err(NoAnswer::Unreachable));
        }
    }

    fn heard(&self, frame: Frame<'_>) -> Result<(), Refused> {
        match frame.kind {
            Kind::Response => {}
            Kind::Hello | Kind::Welcome | Kind::Refusal | Kind::Message | Kind::Request => {
                return Err(Refused::new(Reason::Garbled, "a node that sends no response"));
            }
        }
        let Answering { tag, outcome } = frame::read(frame.body)?;
        let reply = match &mut *self.state() {
            State::Open { under_way, .. } => under_way.remove(&tag),
            State::Shut { .. } => None,
        };
        // The node may know of an earlier answer to the same.
        if let Some(reply) = reply {
            reply.complete(outcome.into());
        }
        Ok(())
    }

    fn closed(&self, retry: Instant) {
        let shut = State::Shut { until: retry, queue: Vec::new() };
        match std::mem::replace(&mut *self.state(), shut) {
            State::Shut { queue, .. } => {
                for (_, reply) in queue {
                    reply.complete(Err(NoAnswer::Unreachable));
                }
            }
            State::Open { under_way, .. } => {
                for reply in under_way.into_values() {
                    reply.complete(Err(NoAnswer::Lost));
                }
            }
        }
    }
}
