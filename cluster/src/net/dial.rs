//! One connection to a node, made anew whenever it is lost.
//!
//! ```text
//!            time to try           connected          welcome
//!  Resting ──────────────▶ Calling ─────────▶ Greeting ───────▶ Open
//!     ▲                      │                   │               │
//!     └──────────────────────┴───────────────────┴───────────────┘ refused, failed, out of time, lost
//!       longer each time, until one is open
//! ```

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Token};

use super::budget::Budget;
use super::frame::{self, Frame, Kind};
use super::greeting::{Caller, Hello, Welcome};
use super::id::ClusterId;
use super::limits::Limits;
use super::news;
use super::reactor::Desk;
use super::reader::{Progress, Reader};
use super::refusal::{Reason, Refused, Tally};
use super::tls::Tls;
use super::wire::{self, Broken, Pushed, Wire};
use crate::{NodeId, Rng};

/// What a connection is for.
pub(super) trait Line: Send + Sync + 'static {
    /// Whether whoever answers is who was called, in a life that will do.
    fn welcomed(&self, welcome: Welcome) -> Result<(), Refused>;

    /// It is open.
    fn opened(&self, wire: &Arc<Wire>);

    /// The node has sent something.
    fn heard(&self, frame: Frame<'_>) -> Result<(), Refused>;

    /// It is closed, or was not opened. `retry` is when it will be tried again.
    fn closed(&self, retry: Instant);

    /// Where it led, nobody listens any more.
    fn ended(&self) {}
}

/// What all connections of one server, or of one client, have in common.
#[derive(Debug)]
pub(super) struct Calling {
    pub(super) cluster: ClusterId,
    pub(super) caller: Caller,
    pub(super) limits: Limits,
    pub(super) budget: Arc<Budget>,
    pub(super) tally: Arc<Tally>,
    pub(super) tls: Option<Tls>,
}

pub(super) struct Dial<L> {
    pub(super) line: Arc<L>,
    to: NodeId,
    address: SocketAddr,
    token: Token,
    state: State,
    /// The next rest, before it is shortened by chance.
    rest: Duration,
    /// Whether it was open since nobody listened there.
    met: bool,
    rng: Rng,
    calling: Arc<Calling>,
}

enum State {
    Resting { until: Instant },
    Calling { stream: TcpStream, until: Instant },
    Greeting { open: Open, until: Instant },
    Open(Open),
}

struct Open {
    wire: Arc<Wire>,
    reader: Reader,
    /// There may be more to read than was read.
    unread: bool,
}

impl<L: Line> Dial<L> {
    pub(super) fn new(
        line: Arc<L>,
        (to, address): (NodeId, SocketAddr),
        token: Token,
        rng: Rng,
        calling: Arc<Calling>,
    ) -> Self {
        let state = State::Resting { until: Instant::now() };
        let rest = calling.limits.rest_min;
        Self { line, to, address, token, state, rest, met: false, rng, calling }
    }

    pub(super) fn token(&self) -> Token {
        self.token
    }

    /// Its socket is ready for something.
    pub(super) fn ready(&mut self, desk: &mut Desk<'_>, event: &Event) {
        if let State::Calling { .. } = self.state {
            self.connected(desk);
        }
        if event.is_writable()
            && let State::Greeting { open, .. } | State::Open(open) = &self.state
        {
            open.wire.flush();
        }
        self.read(desk);
    }

    /// Does what is due. When to come back at the latest.
    pub(super) fn attend(&mut self, desk: &mut Desk<'_>) -> Option<Instant> {
        match &self.state {
            State::Resting { until } if *until <= desk.now => self.call(desk),
            State::Calling { until, .. } | State::Greeting { until, .. } if *until <= desk.now => {
                self.lost(desk, &io::Error::from(io::ErrorKind::TimedOut).into());
            }
            State::Greeting { open: Open { unread: true, .. }, .. }
            | State::Open(Open { unread: true, .. }) => self.read(desk),
            State::Resting { .. }
            | State::Calling { .. }
            | State::Greeting { .. }
            | State::Open(_) => {}
        }
        match &self.state {
            State::Greeting { open, .. } | State::Open(open) if open.unread => Some(desk.now),
            State::Resting { until }
            | State::Calling { until, .. }
            | State::Greeting { until, .. } => Some(*until),
            State::Open(_) => None,
        }
    }

    /// Ends it, as one that is not to be made anew.
    pub(super) fn close(&mut self) {
        if let State::Greeting { open, .. } | State::Open(open) = &self.state {
            open.wire.close();
        }
        let never = Instant::now() + Duration::from_secs(1 << 30);
        self.state = State::Resting { until: never };
        self.line.closed(never);
    }

    fn call(&mut self, desk: &mut Desk<'_>) {
        let called = TcpStream::connect(self.address).and_then(|mut stream| {
            let both = Interest::READABLE | Interest::WRITABLE;
            desk.registry.register(&mut stream, self.token, both)?;
            Ok(stream)
        });
        match called {
            Ok(stream) => {
                let until = desk.now + self.calling.limits.connect_timeout;
                self.state = State::Calling { stream, until };
            }
            Err(error) => self.lost(desk, &error.into()),
        }
    }

    /// The socket that was to be connected is, or it failed, or neither.
    fn connected(&mut self, desk: &mut Desk<'_>) {
        let State::Calling { stream, .. } = &self.state else { return };
        let connected = match stream.take_error() {
            Ok(None) => stream.peer_addr(),
            Ok(Some(error)) | Err(error) => Err(error),
        };
        match connected {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotConnected => return,
            Err(error) => return self.lost(desk, &error.into()),
        }
        let rest = State::Resting { until: desk.now };
        let State::Calling { stream, .. } = std::mem::replace(&mut self.state, rest) else {
            return;
        };
        match self.greet(stream) {
            Ok(open) => {
                let until = desk.now + self.calling.limits.greeting_timeout;
                self.state = State::Greeting { open, until };
            }
            Err(refused) => self.lost(desk, &refused.into()),
        }
    }

    fn greet(&self, stream: TcpStream) -> Result<Open, Refused> {
        let Calling { cluster, caller, limits, budget, tls, .. } = &*self.calling;
        wire::tune(&stream, limits.patience);
        let session = tls.as_ref().map(|tls| tls.connect(cluster, self.to)).transpose()?;
        let body_max = limits.frame_max;
        let wire = Wire::new(stream, self.address, session, budget.share(), body_max);
        let hello = Hello { cluster: cluster.clone(), to: self.to, caller: *caller };
        match wire.push(Kind::Hello, &hello) {
            Pushed::First | Pushed::Queued => {}
            Pushed::Full | Pushed::Closed | Pushed::Unsendable(_) => {
                return Err(Refused::new(Reason::Overloaded, "too much waits here"));
            }
        }
        wire.flush();
        let reader = Reader::new(budget.share(), body_max);
        Ok(Open { wire: Arc::new(wire), reader, unread: false })
    }

    fn read(&mut self, desk: &mut Desk<'_>) {
        let Self { line, state, to, .. } = self;
        let (State::Greeting { open, .. } | State::Open(open)) = state else { return };
        let mut welcomed = false;
        let wire = Arc::clone(&open.wire);
        let read = open.reader.read(&wire, desk.room, |frame| match frame.kind {
            Kind::Welcome if !welcomed => {
                line.welcomed(frame::read(frame.body)?)?;
                line.opened(&wire);
                welcomed = true;
                Ok(())
            }
            Kind::Refusal => Err(frame::read_refusal(frame.body)),
            Kind::Hello | Kind::Welcome => {
                Err(Refused::new(Reason::Garbled, "a greeting out of place"))
            }
            Kind::Message | Kind::Request | Kind::Response => line.heard(frame),
        });
        open.unread = matches!(read, Ok(Progress::More));
        if welcomed {
            news::opened(*to, wire.peer());
            self.rest = self.calling.limits.rest_min;
            self.met = true;
            let resting = State::Resting { until: desk.now };
            if let State::Greeting { open, .. } = std::mem::replace(&mut self.state, resting) {
                self.state = State::Open(open);
            }
        }
        match read {
            Ok(Progress::Drained | Progress::More) => {}
            Ok(Progress::End) => {
                self.lost(desk, &io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            Err(broken) => self.lost(desk, &broken),
        }
    }

    /// It failed. It is tried again after a rest, which chance shortens by up to a half, so that many who
    /// lost the same node do not come back at one moment.
    fn lost(&mut self, desk: &mut Desk<'_>, broken: &Broken) {
        if let State::Greeting { open, .. } | State::Open(open) = &self.state {
            open.wire.close();
        }
        if let Broken::Refused(refused) = broken {
            self.calling.tally.refused(refused.reason);
        }
        news::lost(self.to, self.address, broken);
        let until = desk.now + self.rng.span(self.rest / 2..=self.rest);
        self.rest = self.calling.limits.rest_max.min(2 * self.rest);
        self.state = State::Resting { until };
        self.line.closed(until);
        let refused = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
        if matches!(broken, Broken::Io(error) if refused(error)) && std::mem::take(&mut self.met) {
            self.line.ended();
        }
    }
}
