//! Connections that others make: who they are, and what they are let do.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Token};
use rustc_hash::FxHashMap;

use super::Spoken;
use super::client::Client;
use super::dial::Calling;
use super::entrance::Entrance;
use super::frame::{self, Frame, Kind};
use super::greeting::{self, Hello, Lives, Welcome};
use super::id::Incarnation;
use super::news;
use super::reactor::Desk;
use super::reader::{Progress, Reader};
use super::refusal::{Reason, Refused};
use super::unsent::Unsent;
use super::wire::{self, Broken, Wire};
use crate::threads::host::{Cargo, Mail};
use crate::{Members, NodeId};

/// How long to wait when the system gives no more connections.
const DEAF: Duration = Duration::from_millis(100);
/// How many connections are taken before those that are there have their turn.
const ACCEPTS_MAX: usize = 256;

/// What all visitors of a node meet.
pub(super) struct Hall<N: Spoken> {
    pub(super) here: NodeId,
    pub(super) incarnation: Incarnation,
    pub(super) members: Members,
    pub(super) lives: Arc<Mutex<Lives>>,
    pub(super) entrance: Entrance<N>,
    pub(super) answers: Arc<Unsent>,
    pub(super) calling: Arc<Calling>,
}

/// A connection that somebody made.
struct Visitor<N: Spoken> {
    wire: Arc<Wire>,
    reader: Reader,
    part: Part<N>,
    /// There may be more to read than was read.
    unread: bool,
}

/// What a visitor is.
enum Part<N: Spoken> {
    /// Nobody knows yet; until then.
    Stranger(Instant),
    Peer(NodeId),
    Client(Arc<Client<N>>),
    /// It was told to go, and has time until then to hear it.
    Refused(Instant),
}

/// All visitors, and the door.
pub(super) struct Gate<N: Spoken> {
    hall: Hall<N>,
    listener: TcpListener,
    listener_token: Token,
    /// There may be connections that were not taken, and when to take them.
    knocking: Option<Instant>,
    visitors: FxHashMap<Token, Visitor<N>>,
    next_token: usize,
    /// Strangers, and those that were told to go, the oldest first; and some that are neither any more.
    strangers: VecDeque<(Instant, Token)>,
    /// How many of them there are.
    strangers_count: usize,
    clients_count: usize,
    peers: BTreeMap<NodeId, Token>,
    unread: Vec<Token>,
}

impl<N: Spoken> Gate<N> {
    /// Opens the door. The tokens from `first` on are its own.
    pub(super) fn open(
        hall: Hall<N>,
        mut listener: TcpListener,
        registry: &mio::Registry,
        first: usize,
    ) -> io::Result<Self> {
        let listener_token = Token(first);
        registry.register(&mut listener, listener_token, Interest::READABLE)?;
        Ok(Self {
            hall,
            listener,
            listener_token,
            knocking: None,
            visitors: FxHashMap::default(),
            next_token: first + 1,
            strangers: VecDeque::new(),
            strangers_count: 0,
            clients_count: 0,
            peers: BTreeMap::new(),
            unread: Vec::new(),
        })
    }

    pub(super) fn ready(&mut self, desk: &mut Desk<'_>, event: &Event) {
        let token = event.token();
        if token == self.listener_token {
            self.knocking = Some(desk.now);
            return;
        }
        if event.is_writable()
            && let Some(visitor) = self.visitors.get(&token)
        {
            visitor.wire.flush();
        }
        self.read(desk, token);
    }

    /// Does what is due. When to come back at the latest.
    pub(super) fn attend(&mut self, desk: &mut Desk<'_>) -> Option<Instant> {
        for token in std::mem::take(&mut self.unread) {
            self.read(desk, token);
        }
        if self.knocking.is_some_and(|at| at <= desk.now) {
            self.knocking = self.accept(desk);
        }
        while let Some(&(until, token)) = self.strangers.front()
            && until <= desk.now
        {
            self.strangers.pop_front();
            self.overdue(desk, token);
        }
        self.hall.answers.flush();
        let unread = (!self.unread.is_empty()).then_some(desk.now);
        let overdue = self.strangers.front().map(|(until, _)| *until);
        [unread, self.knocking, overdue].into_iter().flatten().min()
    }

    pub(super) fn close(&mut self) {
        for (_, visitor) in self.visitors.drain() {
            visitor.wire.close();
        }
    }

    /// Takes connections. When to try again, if there may be more.
    fn accept(&mut self, desk: &mut Desk<'_>) -> Option<Instant> {
        for _ in 0..ACCEPTS_MAX {
            match self.listener.accept() {
                Ok((stream, peer)) => self.admit(desk, stream, peer),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return None,
                    io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => {}
                    // There are as many open files as there may be, as a rule.
                    _ => {
                        news::deaf(&error);
                        return Some(desk.now + DEAF);
                    }
                },
            }
        }
        Some(desk.now)
    }

    fn admit(&mut self, desk: &mut Desk<'_>, mut stream: TcpStream, peer: SocketAddr) {
        let limits = &self.hall.calling.limits;
        wire::tune(&stream, limits.patience);
        let session = match self.hall.calling.tls.as_ref().map(|tls| tls.accept()).transpose() {
            Ok(session) => session,
            Err(refused) => return self.count(peer, &refused),
        };
        let token = Token(self.next_token);
        self.next_token += 1;
        let both = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = desk.registry.register(&mut stream, token, both) {
            return news::deaf(&error);
        }
        let (budget, body_max) = (&self.hall.calling.budget, limits.frame_max);
        let until = desk.now + limits.greeting_timeout;
        let strangers_max = limits.strangers_max;
        let wire = Wire::new(stream, peer, session, budget.share(), body_max);
        let reader = Reader::new(budget.share(), body_max);
        let part = Part::Stranger(until);
        let visitor = Visitor { wire: Arc::new(wire), reader, part, unread: false };
        self.visitors.insert(token, visitor);
        self.strangers.push_back((until, token));
        self.strangers_count += 1;
        if self.strangers_count > strangers_max {
            self.make_room();
        }
        self.read(desk, token);
    }

    /// The oldest stranger makes room for a newer one.
    fn make_room(&mut self) {
        while let Some((_, token)) = self.strangers.pop_front() {
            let Some(visitor) = self.visitors.get(&token) else { continue };
            if matches!(visitor.part, Part::Stranger(_) | Part::Refused(_)) {
                let refused = Refused::new(Reason::Full, "too many connections say nothing");
                self.count(visitor.wire.peer(), &refused);
                return self.dismiss(token);
            }
        }
    }

    fn read(&mut self, desk: &mut Desk<'_>, token: Token) {
        let Some(visitor) = self.visitors.get_mut(&token) else { return };
        let Visitor { wire, reader, part, unread } = visitor;
        let was_stranger = matches!(part, Part::Stranger(_));
        let (hall, clients) = (&self.hall, self.clients_count);
        let read = reader.read(wire, desk.room, |frame| match part {
            Part::Stranger(_) => {
                *part = hall.greet(wire, &frame, clients)?;
                Ok(())
            }
            Part::Peer(id) => hall.hear(*id, &frame),
            Part::Client(client) => client.ask(&hall.entrance, &frame),
            // It has been told to go, and nothing it says matters.
            Part::Refused(_) => Ok(()),
        });
        *unread = matches!(read, Ok(Progress::More));
        if *unread {
            self.unread.push(token);
        }
        if was_stranger {
            self.greeted(desk, token);
        }
        match read {
            Ok(Progress::Drained | Progress::More) => {}
            Ok(Progress::End) | Err(Broken::Io(_)) => self.dismiss(token),
            Err(Broken::Refused(refused)) => self.refuse(desk, token, &refused),
        }
    }

    /// A stranger may be one no more.
    fn greeted(&mut self, desk: &mut Desk<'_>, token: Token) {
        let Some(visitor) = self.visitors.get(&token) else { return };
        match &visitor.part {
            Part::Stranger(_) | Part::Refused(_) => return,
            Part::Client(_) => self.clients_count += 1,
            Part::Peer(id) => {
                if let Some(earlier) = self.peers.insert(*id, token) {
                    let refused = Refused::new(Reason::Replaced, "the node has connected anew");
                    self.refuse(desk, earlier, &refused);
                }
            }
        }
        self.strangers_count -= 1;
    }

    /// Tells a visitor to go.
    fn refuse(&mut self, desk: &mut Desk<'_>, token: Token, refused: &Refused) {
        let Some(visitor) = self.visitors.get_mut(&token) else { return };
        if matches!(visitor.part, Part::Refused(_)) {
            // What it is sending is no frame any more. It has heard why.
            return self.dismiss(token);
        }
        let until = desk.now + self.hall.calling.limits.greeting_timeout;
        let part = std::mem::replace(&mut visitor.part, Part::Refused(until));
        let wire = Arc::clone(&visitor.wire);
        // Before it is told: who has been told may look.
        self.count(wire.peer(), refused);
        wire.refuse(refused);
        self.leave(token, &part);
        self.strangers_count += 1;
        self.strangers.push_back((until, token));
        // It may have closed it by now: nothing would tell of that any more.
        self.read(desk, token);
    }

    /// A visitor's time as a stranger, or to go, may be over.
    fn overdue(&mut self, desk: &mut Desk<'_>, token: Token) {
        let Some(visitor) = self.visitors.get(&token) else { return };
        match visitor.part {
            Part::Stranger(until) if until <= desk.now => {
                let refused = Refused::new(Reason::Silent, "it did not say who it is");
                self.refuse(desk, token, &refused);
            }
            Part::Refused(until) if until <= desk.now => self.dismiss(token),
            Part::Stranger(_) | Part::Refused(_) | Part::Peer(_) | Part::Client(_) => {}
        }
    }

    /// A visitor is gone.
    fn dismiss(&mut self, token: Token) {
        if let Some(visitor) = self.visitors.remove(&token) {
            visitor.wire.abandon();
            self.leave(token, &visitor.part);
        }
    }

    /// A visitor plays that part no more.
    fn leave(&mut self, token: Token, part: &Part<N>) {
        match part {
            Part::Stranger(_) | Part::Refused(_) => self.strangers_count -= 1,
            Part::Client(_) => self.clients_count -= 1,
            Part::Peer(id) => {
                if self.peers.get(id) == Some(&token) {
                    self.peers.remove(id);
                }
            }
        }
    }

    fn count(&self, peer: SocketAddr, refused: &Refused) {
        self.hall.calling.tally.refused(refused.reason);
        news::refused(peer, refused);
    }
}

impl<N: Spoken> Hall<N> {
    /// Finds out who a stranger is by its first frame, and welcomes it.
    fn greet(
        &self,
        wire: &Arc<Wire>,
        frame: &Frame<'_>,
        clients: usize,
    ) -> Result<Part<N>, Refused> {
        let hello: Hello = match frame.kind {
            Kind::Hello => frame::read(frame.body)?,
            Kind::Welcome | Kind::Refusal | Kind::Message | Kind::Request | Kind::Response => {
                return Err(Refused::new(Reason::Garbled, "it did not say who it is"));
            }
        };
        let Calling { cluster, limits, .. } = &*self.calling;
        hello.check(cluster, &self.members, self.here)?;
        let part = match hello.caller {
            greeting::Caller::Node { id, incarnation } => {
                wire.is_for(&cluster.host_of(id))?;
                let mut lives = self.lives.lock().unwrap_or_else(PoisonError::into_inner);
                lives.meet(id, incarnation)?;
                Part::Peer(id)
            }
            greeting::Caller::Client if clients >= limits.clients_max => {
                return Err(Refused::new(Reason::Full, format!("{clients} clients are connected")));
            }
            greeting::Caller::Client => {
                Part::Client(Client::new(Arc::clone(wire), &self.answers, &self.calling))
            }
        };
        wire.push(Kind::Welcome, &Welcome { incarnation: self.incarnation });
        wire.flush();
        Ok(part)
    }

    /// A peer has said something.
    fn hear(&self, from: NodeId, frame: &Frame<'_>) -> Result<(), Refused> {
        match frame.kind {
            Kind::Message => {}
            Kind::Hello | Kind::Welcome | Kind::Refusal | Kind::Request | Kind::Response => {
                return Err(Refused::new(Reason::Garbled, "a peer that sends no message"));
            }
        }
        let body = frame::read(frame.body)?;
        // It is kept until the node has been handed the message.
        let Some(share) = self.calling.budget.take(frame.len()) else {
            self.calling.tally.unheard();
            return Ok(());
        };
        let cargo: Cargo = Box::new(share);
        let mail = Mail::Message { from, body, due: None, cargo: Some(cargo) };
        // If the node has died of a panic, nobody will read it.
        let _ = self.entrance.inbox.send(mail);
        Ok(())
    }
}
