//! One client.

use std::io::{self, ErrorKind, Read, Write};

use mio::net::TcpStream;

use crate::command::{self, Wish};
use crate::request;
use crate::turn::missing;
use crate::{Limits, Reply, Store, Turn};

/// How much is read of one client before it is another's turn.
pub(crate) const PIECE: usize = 64 << 10;

/// What a client has sent and not been answered.
pub(crate) struct Connection<S: Store> {
    stream: TcpStream,
    /// Read, and not understood yet.
    bytes: Vec<u8>,
    /// For the store, from the requests at hand.
    turn: Turn<S::Session>,
    /// How the requests at hand are answered, in their order.
    answers: Vec<Answer>,
    /// What is to be written.
    out: Vec<u8>,
    /// Whether it ends once all is written.
    ends: bool,
}

/// How a request is answered.
enum Answer {
    /// By what the store replies to its next command.
    Carried,
    /// By what the store says of itself.
    Info,
    Said(Reply),
}

/// How far a connection is, for the moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Then {
    /// Nothing is left to do until its socket is ready again.
    Rest,
    /// There may be more to read.
    GoOn,
    /// It is over.
    End,
}

impl<S: Store> Connection<S> {
    pub(crate) fn new(stream: TcpStream) -> Self {
        let session = S::Session::default();
        let turn = Turn { session, commands: Vec::new(), replies: Vec::new() };
        Self { stream, bytes: Vec::new(), turn, answers: Vec::new(), out: Vec::new(), ends: false }
    }

    pub(crate) fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Whether the store is needed to answer what is at hand.
    pub(crate) fn needs_store(&self) -> bool {
        self.answers.iter().any(|answer| match answer {
            Answer::Carried | Answer::Info => true,
            Answer::Said(_) => false,
        })
    }

    /// What it asks the store, if it does.
    pub(crate) fn turn(&mut self) -> Option<&mut Turn<S::Session>> {
        (!self.turn.commands.is_empty()).then_some(&mut self.turn)
    }

    /// Writes what is left to be written; if that is all, reads what there is, by way of `piece`, and
    /// finds the requests that are whole.
    pub(crate) fn receive(&mut self, piece: &mut [u8], limits: &Limits) -> Then {
        match self.write() {
            Ok(()) if self.out.is_empty() && !self.ends => {}
            Ok(()) if self.out.is_empty() => return Then::End,
            Ok(()) => return Then::Rest,
            Err(_) => return Then::End,
        }
        let read = match retried(|| self.stream.read(piece)) {
            Ok(0) => return Then::End,
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Then::Rest,
            Err(_) => return Then::End,
        };
        self.bytes.extend_from_slice(&piece[..read]);
        self.understand(limits);
        // A socket does not tell again of what it has told of: the end may be there already.
        Then::GoOn
    }

    /// Finds the requests that are whole.
    fn understand(&mut self, limits: &Limits) {
        let mut taken = 0;
        while !self.ends {
            match request::first(&self.bytes[taken..], limits) {
                Ok(Some(words)) => {
                    let rest = &self.bytes[taken..];
                    let read: Vec<_> = words.places.into_iter().map(|place| &rest[place]).collect();
                    taken += words.end;
                    if read.is_empty() {
                        continue;
                    }
                    self.answers.push(match command::read(&read, S::OWN) {
                        Ok(Wish::Store(command)) => {
                            self.turn.commands.push(command);
                            Answer::Carried
                        }
                        Ok(Wish::Info) => Answer::Info,
                        Ok(Wish::Answer(reply)) | Err(reply) => Answer::Said(reply),
                        Ok(Wish::Quit) => {
                            self.ends = true;
                            Answer::Said(Reply::Ok)
                        }
                    });
                }
                Ok(None) => break,
                Err(malformed) => {
                    self.answers.push(Answer::Said(Reply::err(malformed)));
                    self.ends = true;
                }
            }
        }
        self.bytes.drain(..taken);
        if self.bytes.is_empty() && self.bytes.capacity() > PIECE {
            self.bytes = Vec::new();
        }
    }

    /// Answers the requests at hand, now that the store has carried out what was for it.
    pub(crate) fn answer(&mut self, store: &S) -> Then {
        let mut replies = self.turn.replies.drain(..);
        for answer in self.answers.drain(..) {
            match answer {
                Answer::Carried => replies.next().unwrap_or_else(missing).write(&mut self.out),
                Answer::Info => Reply::Bytes(store.info().into_bytes()).write(&mut self.out),
                Answer::Said(reply) => reply.write(&mut self.out),
            }
        }
        drop(replies);
        match self.write() {
            Ok(()) if self.ends && self.out.is_empty() => Then::End,
            Ok(()) => Then::Rest,
            Err(_) => Then::End,
        }
    }

    /// Writes as much as the socket takes.
    fn write(&mut self) -> io::Result<()> {
        let mut written = 0;
        while written < self.out.len() {
            match retried(|| self.stream.write(&self.out[written..])) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(more) => written += more,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        self.out.drain(..written);
        if self.out.is_empty() && self.out.capacity() > PIECE {
            self.out = Vec::new();
        }
        Ok(())
    }
}

/// Again, if a signal came between.
fn retried(mut attempt: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match attempt() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}
