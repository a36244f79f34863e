//! One connection: a socket that never blocks, and what is still to be written to it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mio::net::TcpStream;
use serde::Serialize;
use socket2::{SockRef, TcpKeepalive};

use super::budget::Share;
use super::frame::{self, Kind, Unsendable};
use super::refusal::Refused;
use super::tls::Session;

/// Buffers that grew beyond this are not kept.
const KEPT_MAX: usize = 1 << 18;

/// One connection, for the thread that reads it and for all that write to it. Once it is closed it takes
/// nothing more, and its socket is gone whoever still holds it.
#[derive(Debug)]
pub(super) struct Wire {
    pipe: Mutex<Option<Pipe>>,
    peer: SocketAddr,
    body_max: usize,
}

#[derive(Debug)]
struct Pipe {
    stream: TcpStream,
    session: Option<Session>,
    /// Frames, from the first that is not written whole.
    waiting: Vec<u8>,
    /// How many bytes of them are written.
    written: usize,
    /// For what waits.
    share: Share,
    /// It failed: whoever reads it learns so by the end of what there is to read.
    broken: bool,
}

/// What became of a frame.
#[derive(Debug)]
pub(super) enum Pushed {
    /// It waits, and nothing waited before it: somebody must [`flush`](Wire::flush).
    First,
    /// It waits behind others.
    Queued,
    /// It was dropped: too much waits.
    Full,
    /// It was dropped: the connection is closed, or about to be.
    Closed,
    /// It was dropped: it is no body of a frame.
    Unsendable(Unsendable),
}

/// What there was to read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read1 {
    Bytes(usize),
    /// Nothing for now.
    Nothing,
    /// The other side has closed it.
    End,
}

/// Why nothing more can be read.
#[derive(Debug)]
pub(super) enum Broken {
    Io(io::Error),
    Refused(Refused),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Refused> for Broken {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl Wire {
    /// A connection by `stream`, which is registered already, inside `session` if there is one.
    pub(super) fn new(
        stream: TcpStream,
        peer: SocketAddr,
        session: Option<Session>,
        share: Share,
        body_max: usize,
    ) -> Self {
        let (waiting, written) = (Vec::new(), 0);
        let pipe = Pipe { stream, session, waiting, written, share, broken: false };
        Self { pipe: Mutex::new(Some(pipe)), peer, body_max }
    }

    /// Who is at the other end.
    pub(super) fn peer(&self) -> SocketAddr {
        self.peer
    }

    fn pipe(&self) -> MutexGuard<'_, Option<Pipe>> {
        self.pipe.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a frame behind those that wait.
    pub(super) fn push(&self, kind: Kind, value: &impl Serialize) -> Pushed {
        let mut pipe = self.pipe();
        let Some(pipe) = pipe.as_mut().filter(|pipe| !pipe.broken) else { return Pushed::Closed };
        let before = pipe.waiting.len();
        if let Err(problem) = frame::append(kind, value, self.body_max, &mut pipe.waiting) {
            return Pushed::Unsendable(problem);
        }
        if !pipe.share.resize(pipe.waiting.len()) {
            pipe.waiting.truncate(before);
            return Pushed::Full;
        }
        if before == 0 { Pushed::First } else { Pushed::Queued }
    }

    /// How many bytes wait.
    pub(super) fn waiting(&self) -> usize {
        self.pipe().as_ref().map_or(0, |pipe| pipe.waiting.len())
    }

    /// Writes what the system takes now. The reading thread goes on with the rest when it takes more, and
    /// learns of failures.
    pub(super) fn flush(&self) {
        if let Some(pipe) = self.pipe().as_mut() {
            pipe.flush();
        }
    }

    /// Reads what is there, as far as there is room for it.
    pub(super) fn read(&self, room: &mut [u8]) -> Result<Read1, Broken> {
        let mut pipe = self.pipe();
        let Some(Pipe { stream, session, .. }) = pipe.as_mut() else { return Ok(Read1::End) };
        loop {
            let read = match session {
                None => stream.read(room).map_err(Broken::Io),
                Some(session) => session.read(stream, room),
            };
            return match read {
                Ok(0) => Ok(Read1::End),
                Ok(count) => Ok(Read1::Bytes(count)),
                Err(Broken::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    Ok(Read1::Nothing)
                }
                Err(Broken::Io(error)) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(broken) => Err(broken),
            };
        }
    }

    /// Whether the other side has shown a certificate for `host`, where certificates are shown at all.
    pub(super) fn is_for(&self, host: &str) -> Result<(), Refused> {
        match self.pipe().as_ref().and_then(|pipe| pipe.session.as_ref()) {
            Some(session) => session.is_for(host),
            None => Ok(()),
        }
    }

    /// Says why, and writes nothing after that. What the other side has sent meanwhile should be read
    /// for a while: a socket that is closed with something unread takes back what it has sent.
    pub(super) fn refuse(&self, refused: &Refused) {
        if let Some(pipe) = self.pipe().as_mut() {
            frame::append_refusal(refused, &mut pipe.waiting);
            pipe.flush();
            pipe.give_up(Shutdown::Write);
        }
    }

    /// Ends it at once, without a word.
    pub(super) fn close(&self) {
        let pipe = self.pipe().take();
        if let Some(mut pipe) = pipe {
            pipe.flush();
            pipe.give_up(Shutdown::Both);
        }
    }

    /// Ends it at once, as a process that dies: what waits is lost.
    pub(super) fn abandon(&self) {
        drop(self.pipe().take());
    }

    /// It has failed: nothing more is taken, and the reading thread will meet its end.
    pub(super) fn fail(&self) {
        if let Some(pipe) = self.pipe().as_mut() {
            pipe.give_up(Shutdown::Both);
        }
    }
}

impl Pipe {
    fn flush(&mut self) {
        let flushed = self.write_all();
        if self.written == self.waiting.len() {
            self.waiting.clear();
            self.waiting.shrink_to(KEPT_MAX);
            self.written = 0;
        } else if self.written > self.waiting.len() / 2 {
            self.waiting.drain(..self.written);
            self.written = 0;
        }
        self.share.resize(self.waiting.len());
        if let Err(error) = flushed
            && error.kind() != io::ErrorKind::WouldBlock
        {
            self.give_up(Shutdown::Both);
        }
    }

    fn write_all(&mut self) -> io::Result<()> {
        while !self.broken && self.written < self.waiting.len() {
            let rest = &self.waiting[self.written..];
            let wrote = match &mut self.session {
                None => self.stream.write(rest),
                Some(session) => session.write(&mut self.stream, rest),
            };
            match wrote {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        match &mut self.session {
            Some(session) if !self.broken => session.flush(&mut self.stream),
            Some(_) | None => Ok(()),
        }
    }

    fn give_up(&mut self, how: Shutdown) {
        self.broken = true;
        self.waiting = Vec::new();
        self.written = 0;
        self.share.resize(0);
        // If it cannot be shut down it has failed, and that is known to who reads it.
        let _ = self.stream.shutdown(how);
    }
}

/// What sockets of this world are set to. A socket that does not take it works all the same.
pub(super) fn tune(stream: &TcpStream, patience: Duration) {
    let _ = stream.set_nodelay(true);
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new().with_time(patience);
    let _ = socket.set_tcp_keepalive(&keepalive.with_interval(patience / 3));
    // Without it the system goes on for many minutes with a connection over a link that was cut, in
    // longer and longer intervals, even when the link has long been whole again.
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_user_timeout(Some(patience));
}
