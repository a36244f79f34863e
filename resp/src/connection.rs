//! One client.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use crate::command::{self, Wish};
use crate::request;
use crate::{Command, Limits, Reply, Store};

/// How much is read at a time.
const PIECE: usize = 64 << 10;

/// What a client has sent and not been answered.
struct Connection<'a, S: Store> {
    store: &'a S,
    limits: &'a Limits,
    session: S::Session,
    /// For the store, from the requests at hand.
    commands: Vec<Command>,
    replies: Vec<Reply>,
    /// What is to be written.
    out: Vec<u8>,
}

/// Whether a connection goes on.
#[derive(PartialEq, Eq)]
enum Then {
    GoOn,
    End,
}

/// Serves the client behind `stream` until it goes, says something that is no request, or its socket is
/// shut down.
pub(crate) fn serve<S: Store>(mut stream: TcpStream, store: &S, limits: &Limits) -> io::Result<()> {
    let (session, commands) = (S::Session::default(), Vec::new());
    let (replies, out) = (Vec::new(), Vec::new());
    let mut connection = Connection { store, limits, session, commands, replies, out };
    let mut bytes = Vec::new();
    loop {
        let filled = bytes.len();
        bytes.resize(filled + PIECE, 0);
        let read = stream.read(&mut bytes[filled..])?;
        bytes.truncate(filled + read);
        if read == 0 {
            return Ok(());
        }
        let (taken, then) = connection.answer_all(&bytes);
        bytes.drain(..taken);
        stream.write_all(&connection.out)?;
        connection.out.clear();
        if then == Then::End {
            return Ok(());
        }
    }
}

impl<S: Store> Connection<'_, S> {
    /// Answers the requests that are whole. How many bytes they took.
    fn answer_all(&mut self, bytes: &[u8]) -> (usize, Then) {
        let mut taken = 0;
        let then = loop {
            match request::first(&bytes[taken..], self.limits) {
                Ok(Some(words)) => {
                    let rest = &bytes[taken..];
                    let read: Vec<_> = words.places.into_iter().map(|place| &rest[place]).collect();
                    taken += words.end;
                    if !read.is_empty() && self.answer(&read) == Then::End {
                        break Then::End;
                    }
                }
                Ok(None) => break Then::GoOn,
                Err(malformed) => {
                    self.say(&Reply::err(malformed));
                    break Then::End;
                }
            }
        };
        self.carry_out();
        (taken, then)
    }

    fn answer(&mut self, words: &[&[u8]]) -> Then {
        match command::read(words) {
            Ok(Wish::Store(command)) => self.commands.push(command),
            Ok(Wish::Info) => {
                let info = Reply::Bytes(self.store.info().into_bytes());
                self.say(&info);
            }
            Ok(Wish::Answer(reply)) | Err(reply) => self.say(&reply),
            Ok(Wish::Quit) => {
                self.say(&Reply::Ok);
                return Then::End;
            }
        }
        Then::GoOn
    }

    /// Answers with `reply`, after what was asked before.
    fn say(&mut self, reply: &Reply) {
        self.carry_out();
        reply.write(&mut self.out);
    }

    /// Has the store carry out what is at hand.
    fn carry_out(&mut self) {
        if self.commands.is_empty() {
            return;
        }
        let count = self.commands.len();
        let commands = std::mem::take(&mut self.commands);
        self.store.carry_out(&mut self.session, commands, &mut self.replies);
        self.replies.resize_with(count, || Reply::err("no reply; it may have had an effect"));
        for reply in self.replies.drain(..) {
            reply.write(&mut self.out);
        }
    }
}
