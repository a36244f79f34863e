//! What a process around a server needs: to be told to stop, and to be looked at.
//!
//! ```no_run
//! # fn run<N: cluster::net::Spoken>(
//! #     server: cluster::net::Server<N>,
//! #     hand_over: impl FnOnce(&cluster::net::Server<N>),
//! # ) -> Result<(), Box<dyn std::error::Error>> {
//! use cluster::net::process::{Lookout, Stop};
//!
//! let stop = Stop::listen()?;
//! let _lookout = Lookout::start("127.0.0.1:9001".parse()?, &server, String::new)?;
//! stop.wait();
//! server.retire(std::time::Duration::from_secs(10), hand_over);
//! # Ok(())
//! # }
//! ```

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;

use super::inside::Inside;
use super::{Server, Spoken};
use crate::{NodeState, Role};

/// How long somebody may take to ask, and to read the answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// The longest question, in bytes.
const QUESTION_MAX: usize = 8192;

/// That the process is told to stop, by SIGTERM or SIGINT.
#[derive(Debug)]
pub struct Stop(Signals);

impl Stop {
    /// Listens from now on: the first such signal does not end the process. A second one ends it at once,
    /// as if nobody had listened.
    ///
    /// # Errors
    /// When the system does not let it listen.
    pub fn listen() -> io::Result<Self> {
        let told = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            // In this order: the first signal finds that nobody was told before.
            flag::register_conditional_default(signal, Arc::clone(&told))?;
            flag::register(signal, Arc::clone(&told))?;
        }
        Signals::new([SIGTERM, SIGINT]).map(Self)
    }

    /// Waits for it.
    pub fn wait(mut self) {
        self.0.forever().next();
    }
}

/// Answers those who watch a server, by HTTP, on a thread of its own. Dropping it ends that.
///
/// | `GET` | answer |
/// |---|---|
/// | `/live` | 200 while the node is up, or paused; otherwise 503: to start it again may help |
/// | `/ready` | 200 while the node is up and reaches a majority of the nodes, itself among them; otherwise 503 |
/// | `/metrics` | what it counts, in Prometheus's text format, version 0.0.4 |
///
/// It answers one question after the other, and gives each a second: it is meant for the operator's own
/// network.
#[derive(Debug)]
pub struct Lookout {
    address: SocketAddr,
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Lookout {
    /// Watches `server`, which may be stopped before this is, and listens at `address`. What `further`
    /// returns is put behind the metrics: what a recorder has collected, in the same format.
    ///
    /// # Errors
    /// When it cannot listen there, or start a thread.
    pub fn start<N: Spoken>(
        address: SocketAddr,
        server: &Server<N>,
        further: impl Fn() -> String + Send + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let stopped = Arc::new(AtomicBool::new(false));
        let watch =
            Watch { inside: Arc::clone(&server.inside), further, stopped: Arc::clone(&stopped) };
        let thread = std::thread::Builder::new().name(format!("lookout {}", server.id()));
        let thread = Some(thread.spawn(move || watch.run(&listener))?);
        Ok(Self { address, stopped, thread })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Lookout {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        // It sleeps until somebody comes.
        let own = match self.address {
            address if address.ip().is_unspecified() => {
                let local: std::net::IpAddr = match address {
                    SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                    SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
                };
                SocketAddr::new(local, address.port())
            }
            address => address,
        };
        if TcpStream::connect_timeout(&own, PATIENCE).is_ok()
            && let Some(thread) = self.thread.take()
        {
            // If `further` panicked, it has been told on that thread.
            let _ = thread.join();
        }
    }
}

struct Watch<N: Spoken, F> {
    inside: Arc<Inside<N>>,
    further: F,
    stopped: Arc<AtomicBool>,
}

impl<N: Spoken, F: Fn() -> String> Watch<N, F> {
    fn run(&self, listener: &TcpListener) {
        while !self.stopped.load(Ordering::Acquire) {
            match listener.accept() {
                // Whoever does not ask, or does not listen, is not answered.
                Ok((stream, _)) => drop(self.serve(stream)),
                // There are as many open files as there may be, as a rule.
                Err(_) => std::thread::sleep(PATIENCE),
            }
        }
    }

    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        let question = read_question(&mut stream)?;
        let (status, body) = self.answer(&question);
        stream.set_write_timeout(Some(PATIENCE))?;
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes())
    }

    fn answer(&self, question: &str) -> (&'static str, String) {
        let mut words = question.split_ascii_whitespace();
        let (method, path) = (words.next(), words.next().unwrap_or_default());
        if method != Some("GET") {
            return ("405 Method Not Allowed", "only GET\n".to_owned());
        }
        let verdict = |holds| match holds {
            true => ("200 OK", "yes\n".to_owned()),
            false => ("503 Service Unavailable", "no\n".to_owned()),
        };
        match path.split('?').next().unwrap_or_default() {
            "/live" => verdict(self.inside.state() != NodeState::Down),
            "/ready" => verdict(self.is_ready()),
            "/metrics" => ("200 OK", self.metrics() + &(self.further)()),
            _ => ("404 Not Found", "/live, /ready or /metrics\n".to_owned()),
        }
    }

    fn is_ready(&self) -> bool {
        let reached = self.inside.peers().count() + 1;
        self.inside.state().standing().is_some() && reached >= self.inside.members.majority()
    }

    fn metrics(&self) -> String {
        let state = self.inside.state();
        let leads = state.standing().is_some_and(|standing| standing.role == Role::Leader);
        let epoch = state.standing().map_or(0, |standing| standing.epoch.get());
        let standing = [
            ("up", u64::from(state.standing().is_some())),
            ("ready", u64::from(self.is_ready())),
            ("leader", u64::from(leads)),
            ("epoch", epoch),
        ];
        let named = |(name, count): (&str, u64)| (name.to_owned(), count);
        let gauges = self.inside.gauges().unwrap_or_default();
        let figures = standing.into_iter().chain(gauges).map(named).chain(self.inside.traffic());
        let mut text = String::new();
        for (name, count) in figures {
            let name = name.replace(|letter: char| !letter.is_ascii_alphanumeric(), "_");
            // Writing to a string does not fail.
            let _ = writeln!(text, "cluster_{name}{{node=\"{}\"}} {count}", self.inside.here);
        }
        text
    }
}

/// The first line of what is asked, once all of it is here.
fn read_question(stream: &mut TcpStream) -> io::Result<String> {
    let deadline = Instant::now() + PATIENCE;
    let mut question = Vec::new();
    while !question.windows(4).any(|end| end == b"\r\n\r\n") {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || question.len() >= QUESTION_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        stream.set_read_timeout(Some(left))?;
        let mut room = [0; 1024];
        match stream.read(&mut room)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => question.extend_from_slice(&room[..count]),
        }
    }
    let line = question.split(|&byte| byte == b'\r').next().unwrap_or_default();
    Ok(String::from_utf8_lossy(line).into_owned())
}
