//! The Redis protocol in front of a store.
//!
//! What speaks to Redis (`redis-cli`, `redis-benchmark`, any client library) speaks to a [`Server`], which
//! hands its commands, as data, to a [`Store`]:
//!
//! ```text
//!  client ── bytes ─▶ ┌ one of few threads ┐ ── a Turn a client: [Command, …] ─▶ Store::carry_out_all
//!  client ── bytes ─▶ │                    │
//!         ◀─ bytes ── └────────────────────┘ ◀─ a Reply for each ─────────────
//! ```
//! Commands of one connection are carried out in the order in which they arrive, and what has arrived
//! together, on whichever connections, is handed over together: a store that replicates can put the
//! commands of all its clients into one entry ([`together`]).
//!
//! One thread at a time waits for all sockets; whoever finds some ready lets the next one wait, reads,
//! has the store carry out what was asked, and writes the answers itself ("Leader/Followers", Schmidt et
//! al., 2000). So a lone request is handed from no thread to another. The last thread does not wait for
//! the store: it lets clients in, answers what needs no store, and gathers what does, to be carried out at
//! once by whoever comes back first.
//!
//! ```
//! use std::net::{Ipv4Addr, TcpListener};
//! use resp::{Command, Limits, Reply, Server, Store};
//!
//! /// Holds each key's own name under it.
//! struct Echo;
//!
//! impl Store for Echo {
//!     type Session = ();
//!
//!     fn carry_out(&self, (): &mut (), commands: Vec<Command>, replies: &mut Vec<Reply>) {
//!         replies.extend(commands.into_iter().map(|command| match command {
//!             Command::Get(key) => Reply::Bytes(key),
//!             _ => Reply::err("it only reads"),
//!         }));
//!     }
//!
//!     fn info(&self) -> String {
//!         String::new()
//!     }
//! }
//!
//! let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
//! let server = Server::start(Echo, listener, Limits::default())?;
//! println!("redis-cli -p {} get sky", server.addr().port());
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # What is spoken
//! RESP, version 2 ([specification](https://redis.io/docs/latest/develop/reference/protocol-spec/)):
//! arrays of strings, and commands typed as a line. Of the commands those that [`Command`] lists, and what
//! needs no store: `PING`, `ECHO`, `QUIT`, `INFO`, `SELECT 0`, and as much of `HELLO`, `CLIENT`, `COMMAND`
//! and `CONFIG GET` as makes the usual clients content. What is not known, or has the wrong arguments, is
//! answered with an error in Redis's words, and the connection goes on. What is no request at all ends the
//! connection, with an error that says why.
//!
//! # What is bounded
//! A reply of several values holds at most [`REPLY_MAX`] bytes of them.
//! [`Limits`]: connections, the length of a request, the number of its words. A word is allocated by what
//! has arrived of it, never by its announced length; nested arrays, which no command has, are refused
//! before they are looked into. A reply of several values holds no more than [`REPLY_MAX`]. A client that
//! does not read its replies is read no more from until it has, and nobody waits for it. While a store is at
//! work [as often as it may be](Limits::threads), who asks it waits, and nobody else does.
//!
//! # What is not here
//! Transactions, scripts, subscriptions, blocking commands, types other than strings, passwords and TLS:
//! who can connect can do all, so a listener belongs on loopback or in a network of its own.

mod command;
mod connection;
mod reply;
mod request;
mod seats;
mod server;
mod turn;

pub use command::{Command, Condition};
pub use reply::Reply;
pub use server::{Limits, Server};
pub use turn::{Turn, together};

/// The most bytes of values that one reply holds if it holds several: stores go by it, and refuse what would
/// be more with [`Reply::too_long`]. A request names a key in a few bytes, and the same one as often as it
/// likes.
pub const REPLY_MAX: usize = 8 << 20;

/// What commands are carried out on.
pub trait Store: Send + Sync + 'static {
    /// What is kept for one connection: what its client has chosen, say.
    type Session: Default + Send;

    /// Commands that no other store has, in capitals: they come as [`Command::Own`].
    const OWN: &'static [&'static str] = &[];

    /// Carries out `commands` in their order, and adds a reply for each to `replies`, in the same order.
    /// It may wait here; a reply that is missing is told to the client as an error.
    fn carry_out(
        &self,
        session: &mut Self::Session,
        commands: Vec<Command>,
        replies: &mut Vec<Reply>,
    );

    /// Carries out what several clients have asked at the same time, of which none comes before another.
    /// Unless a store says otherwise, one client's after the other's. If it panics, the connections that
    /// were looked at together end.
    fn carry_out_all(&self, turns: &mut [&mut Turn<Self::Session>]) {
        for Turn { session, commands, replies } in turns {
            self.carry_out(session, std::mem::take(commands), replies);
        }
    }

    /// What `INFO` answers: lines `name:value`, under headings `# Name`.
    fn info(&self) -> String;
}
