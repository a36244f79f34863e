//! What the suite tells a process, and asks it: a line of JSON each way, over a connection of its own.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use cluster::Fault;
use serde::{Deserialize, Serialize};

use super::super::inhabitant::Look;

/// The longest line, in bytes.
const LINE_MAX: u64 = 64 << 10;
/// How long whoever calls may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the suite says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Order {
    /// How do you see yourself?
    Look,
    /// Let this go wrong, or right again.
    Take(Fault),
}

/// What the process answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Report {
    /// To [`Order::Look`]: none if the node does not say.
    Looks(Option<Look>),
    /// To [`Order::Take`].
    Done,
    /// To [`Order::Take`]: it cannot be.
    Refused,
}

/// Says `order` to the process that listens there, and waits for so long for what it answers; not at
/// all if there is no time for that.
pub(super) fn say(to: SocketAddr, order: &Order, patience: Option<Duration>) -> io::Result<Report> {
    let mut stream = TcpStream::connect_timeout(&to, patience.unwrap_or(PATIENCE))?;
    let mut line = serde_json::to_string(order)?;
    line.push('\n');
    stream.write_all(line.as_bytes())?;
    if patience.is_none() {
        return Ok(Report::Done);
    }
    stream.set_read_timeout(patience)?;
    read(&stream)
}

/// Listens at `address`, and has every order obeyed by `obey`, on a thread of its own.
pub(super) fn listen(
    address: SocketAddr,
    obey: impl Fn(Order) -> Report + Send + Sync + 'static,
) -> io::Result<()> {
    let listener = TcpListener::bind(address)?;
    let obey = Arc::new(obey);
    thread::Builder::new().name("orders".to_owned()).spawn(move || {
        for stream in listener.incoming().flatten() {
            let obey = Arc::clone(&obey);
            // One that does not come through is for whoever sent it to miss.
            thread::spawn(move || drop(attend(&stream, &*obey)));
        }
    })?;
    Ok(())
}

fn attend(mut stream: &TcpStream, obey: &dyn Fn(Order) -> Report) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let report = obey(read(stream)?);
    let mut line = serde_json::to_string(&report)?;
    line.push('\n');
    stream.write_all(line.as_bytes())
}

fn read<T: for<'de> Deserialize<'de>>(stream: &TcpStream) -> io::Result<T> {
    let mut line = String::new();
    BufReader::new(stream.take(LINE_MAX)).read_line(&mut line)?;
    Ok(serde_json::from_str(&line)?)
}
