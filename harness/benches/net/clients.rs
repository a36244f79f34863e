//! Clients that speak RESP: a connection each, all on one thread.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::failover::EVERY;
use crate::measured::{Measured, Stopwatch};
use crate::process::PATIENCE;
use crate::served::{Ask, Plan, VALUE, Work, name};

/// The longest answer that is expected, and room to spare.
const ANSWER: usize = VALUE + 256;

/// One client.
struct Client {
    stream: TcpStream,
    /// What was asked, and when; none when it has nothing left to ask.
    asked: Option<(Ask, Instant)>,
    answer: [u8; ANSWER],
    filled: usize,
}

/// Has so many clients of the server at `addr` do that work for that long.
pub(crate) fn drive(
    addr: SocketAddr,
    servers: Vec<u32>,
    work: Work,
    clients: usize,
    span: Duration,
) -> anyhow::Result<Measured> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(clients);
    let connect = |place| Client::connect(addr, Token(place), &poll);
    let mut clients = (0..clients).map(connect).collect::<anyhow::Result<Vec<_>>>()?;
    let mut plan = Plan::new(work);
    let mut watch = Stopwatch::start(servers, span);
    let mut request = Vec::new();
    let mut under_way = 0;
    for client in &mut clients {
        under_way += usize::from(client.ask(&mut plan, &mut request)?);
    }
    let mut ends = false;
    while under_way > 0 {
        poll.poll(&mut events, Some(PATIENCE))?;
        if events.is_empty() {
            bail!("no answer within {PATIENCE:?}");
        }
        for event in &events {
            let client = &mut clients[event.token().0];
            let Some(asked) = client.read()? else { continue };
            let now = Instant::now();
            watch.answered(asked, now);
            under_way -= 1;
            ends |= work != Work::Fill && watch.over(now);
            if !ends {
                under_way += usize::from(client.ask(&mut plan, &mut request)?);
            }
        }
    }
    Ok(watch.stop())
}

impl Client {
    fn connect(addr: SocketAddr, place: Token, poll: &Poll) -> anyhow::Result<Self> {
        let stream = std::net::TcpStream::connect(addr).context("a client connects")?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        poll.registry().register(&mut stream, place, Interest::READABLE)?;
        Ok(Self { stream, asked: None, answer: [0; ANSWER], filled: 0 })
    }

    /// Asks what is next. False if there is nothing.
    fn ask(&mut self, plan: &mut Plan, request: &mut Vec<u8>) -> anyhow::Result<bool> {
        let Some(ask) = plan.next() else { return Ok(false) };
        write(ask, request);
        self.asked = Some((ask, Instant::now()));
        // There is room for it in the socket: nothing else is under way.
        self.stream.write_all(request).context("a request is sent")?;
        Ok(true)
    }

    /// Reads what there is. When that ends an answer, the time at which it was asked for.
    fn read(&mut self) -> anyhow::Result<Option<Instant>> {
        loop {
            match self.stream.read(&mut self.answer[self.filled..]) {
                Ok(0) => bail!("a server closed a connection, or said too much"),
                Ok(read) => self.filled += read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error.into()),
            }
            let Some((ask, asked)) = self.asked else { bail!("an answer that nobody asked for") };
            let said = &self.answer[..self.filled];
            let whole = match ask {
                Ask::Put(_) => said == b"+OK\r\n",
                // "$256", the value, and two ends of lines.
                Ask::Get(_) => said.starts_with(b"$256\r\n") && said.len() == VALUE + 8,
            };
            if whole {
                (self.asked, self.filled) = (None, 0);
                return Ok(Some(asked));
            }
            if said.starts_with(b"-") || said.starts_with(b"$-") {
                bail!("{ask:?} was answered with {}", said.escape_ascii());
            }
        }
    }
}

/// The bytes of a request.
fn write(ask: Ask, to: &mut Vec<u8>) {
    to.clear();
    match ask {
        Ask::Put(key) => {
            let name = name(key);
            let head = format!("*3\r\n$3\r\nSET\r\n${}\r\n{name}\r\n${VALUE}\r\n", name.len());
            to.extend_from_slice(head.as_bytes());
            to.resize(to.len() + VALUE, b'v');
            to.extend_from_slice(b"\r\n");
        }
        Ask::Get(key) => {
            let name = name(key);
            let whole = format!("*2\r\n$3\r\nGET\r\n${}\r\n{name}\r\n", name.len());
            to.extend_from_slice(whole.as_bytes());
        }
    }
}

/// What the server at `addr` answers to `request`, once `whole` finds it so; none if it is not reached, or
/// says no such thing in time.
pub(crate) fn say(
    addr: SocketAddr,
    request: &[u8],
    whole: impl Fn(&str) -> bool,
) -> Option<String> {
    const GLANCE: Duration = Duration::from_secs(1);
    let mut stream = std::net::TcpStream::connect_timeout(&addr, GLANCE).ok()?;
    stream.set_read_timeout(Some(GLANCE)).ok()?;
    stream.write_all(request).ok()?;
    let mut said = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).ok().filter(|&read| read > 0)?;
        said.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&said);
        if whole(&text) {
            return Some(text.into_owned());
        }
    }
}

/// Does `kill`, and then asks each of `servers` to write, again and again, until one says that it has: how
/// long that took, from the beginning of `kill`.
pub(crate) fn outage(
    servers: &[SocketAddr],
    kill: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<Duration> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(servers.len());
    let (mut clients, mut plan) = (Vec::new(), Plan::new(Work::Puts));
    let (begun, mut request) = (Instant::now(), Vec::new());
    kill()?;
    loop {
        for &addr in servers {
            let place = Token(clients.len());
            let mut client = Client::connect(addr, place, &poll)?;
            client.ask(&mut plan, &mut request)?;
            clients.push(client);
        }
        let again = Instant::now() + EVERY;
        while let Some(rest) = again.checked_duration_since(Instant::now()) {
            poll.poll(&mut events, Some(rest))?;
            for event in &events {
                // One that refuses says nothing of the others.
                if matches!(clients[event.token().0].read(), Ok(Some(_))) {
                    return Ok(begun.elapsed());
                }
            }
        }
        anyhow::ensure!(begun.elapsed() < PATIENCE, "no write within {PATIENCE:?}");
    }
}
