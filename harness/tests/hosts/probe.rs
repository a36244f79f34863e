//! A node that knows no protocol: it keeps registers in files, and tells what reaches it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use cluster::{Epoch, NoAnswer, NodeId, Role};
use harness::hosts::{Client, Ills, Inhabitant, Launch, Look, Seat};
use harness::vocabulary::{Answer, Op, Outcome, Refusal};

/// In the environment of a probe: where it lives.
const PEERS: &str = "PROBE_PEERS";
const CLIENTS: &str = "PROBE_CLIENTS";
const CALLS: &str = "PROBE_CALLS";
pub(crate) const DIR: &str = "PROBE_DIR";
/// How long one line of talk may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long a call may take that is to fail now and then.
const GLANCE: Duration = Duration::from_millis(50);

/// This binary, as an inhabitant.
pub(crate) struct Probe {
    program: PathBuf,
}

impl Probe {
    pub(crate) fn new() -> Self {
        Self { program: std::env::current_exe().expect("a test runs from a file") }
    }
}

impl Inhabitant for Probe {
    type Client = Line;

    fn launch(&self, seat: &Seat, peers: &[(NodeId, SocketAddr)], _: &Ills) -> Launch {
        let calls: Vec<String> =
            peers.iter().map(|(id, address)| format!("{id}={address}")).collect();
        let env = |name: &str, value: OsString| (OsString::from(name), value);
        Launch {
            program: self.program.clone(),
            args: ["--exact", "probe::live", "--nocapture"].map(OsString::from).to_vec(),
            env: vec![
                env(PEERS, seat.peers.to_string().into()),
                env(CLIENTS, seat.clients.to_string().into()),
                env(CALLS, calls.join(",").into()),
                env(DIR, seat.dir.clone().into()),
            ],
        }
    }

    fn client(&self, seat: &Seat) -> Line {
        Line(seat.clients)
    }
}

/// Speaks to a probe, a line at a time.
pub(crate) struct Line(pub(crate) SocketAddr);

impl Line {
    /// What the probe answers.
    pub(crate) fn say(&self, words: &str) -> std::io::Result<String> {
        say(self.0, words)
    }
}

fn say(to: SocketAddr, words: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    // Bursts and downloads take their time.
    stream.set_read_timeout(Some(PATIENCE * 20))?;
    writeln!(stream, "{words}")?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    if answer.is_empty() {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(answer.trim_end().to_owned())
}

impl Client for Line {
    fn call(&self, op: Op) -> Result<Answer, NoAnswer> {
        let words = match op {
            Op::Read { key, .. } => format!("read {key}"),
            Op::Write { key, value, .. } => format!("write {key} {value}"),
            other => panic!("nobody asks a probe for {other:?}"),
        };
        match self.say(&words) {
            Ok(value) if value == "none" => Ok(Ok(Outcome::Value(None))),
            Ok(value) if value == "written" => Ok(Ok(Outcome::Written)),
            Ok(value) => {
                Ok(value.parse().map(|it| Outcome::Value(Some(it))).map_err(|_| Refusal::Unknown))
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                Err(NoAnswer::Unreachable)
            }
            Err(_) => Err(NoAnswer::Lost),
        }
    }

    fn look(&self) -> Option<Look> {
        // Its port is its name.
        let name = self.say("name").ok()?.parse().ok()?;
        Some(Look { name, role: Role::Replica, epoch: Epoch::ZERO, leader: None })
    }
}

/// What a probe has and knows.
struct Life {
    clients: SocketAddr,
    dir: PathBuf,
    /// Where it calls whom.
    calls: BTreeMap<String, SocketAddr>,
    socket: UdpSocket,
    /// Numbers of datagrams, in the order in which they came.
    datagrams: Mutex<Vec<u32>>,
    /// Lines that came over connections.
    words: Mutex<Vec<String>>,
    /// The one connection to each other node that it has told something.
    told: Mutex<BTreeMap<String, TcpStream>>,
}

/// The other life of this binary: it ends when it is killed. As a test it does nothing.
#[test]
fn live() {
    let var = |name: &str| std::env::var(name).ok();
    let at = |name: &str| var(name)?.parse::<SocketAddr>().ok();
    let (Some(peers), Some(clients)) = (at(PEERS), at(CLIENTS)) else { return };
    let call = |call: &str| {
        let (name, address) = call.split_once('=')?;
        Some((name.to_owned(), address.parse().ok()?))
    };
    let life = Life {
        clients,
        dir: PathBuf::from(var(DIR).expect("it is told where to live")),
        calls: var(CALLS).iter().flat_map(|calls| calls.split(',')).filter_map(call).collect(),
        socket: UdpSocket::bind(peers).expect("its address is free"),
        datagrams: Mutex::default(),
        words: Mutex::default(),
        told: Mutex::default(),
    };
    println!("probe at {clients}");
    let peers = TcpListener::bind(peers).expect("its address is free");
    let clients = TcpListener::bind(clients).expect("its address is free");
    let life = &life;
    thread::scope(|scope| {
        scope.spawn(|| life.hear_datagrams());
        scope.spawn(move || {
            for stream in peers.incoming().filter_map(Result::ok) {
                scope.spawn(move || life.serve_peer(&stream));
            }
        });
        for stream in clients.incoming().filter_map(Result::ok) {
            scope.spawn(move || {
                let mut line = String::new();
                if BufReader::new(&stream).read_line(&mut line).is_ok() {
                    let answer = life.obey(line.trim_end());
                    let _ = writeln!(&stream, "{answer}");
                }
            });
        }
    });
}

impl Life {
    fn hear_datagrams(&self) {
        let mut bytes = [0; 4];
        while self.socket.recv(&mut bytes).is_ok() {
            self.datagrams.lock().expect("nobody panics").push(u32::from_be_bytes(bytes));
        }
    }

    /// Keeps every line but one that asks for bytes, which it gets.
    fn serve_peer(&self, mut stream: &TcpStream) {
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { return };
            match line.strip_prefix("bytes ").and_then(|count| count.parse::<usize>().ok()) {
                Some(count) => {
                    let mut bytes = vec![b'x'; count];
                    bytes.push(b'\n');
                    if stream.write_all(&bytes).is_err() {
                        return;
                    }
                }
                None => self.words.lock().expect("nobody panics").push(line),
            }
        }
    }

    fn obey(&self, line: &str) -> String {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            // Its ports are its own, or else its address is.
            ["name"] => match self.clients.ip() {
                IpAddr::V4(ip) => u64::from(ip.to_bits()) << 16 | u64::from(self.clients.port()),
                IpAddr::V6(_) => 0,
            }
            .to_string(),
            ["read", key] => {
                fs::read_to_string(self.dir.join(key)).unwrap_or_else(|_| "none".to_owned())
            }
            ["write", key, value] => {
                if let Err(error) = fs::write(self.dir.join(key), value) {
                    // As whoever cannot write what it would go on from.
                    eprintln!("cannot write: {error}");
                    std::process::exit(1);
                }
                "written".to_owned()
            }
            ["burst", to, first, end] => {
                let number = |text: &str| text.parse().expect("a number");
                self.burst(to, number(first)..number(end))
            }
            ["datagrams"] => {
                let datagrams = std::mem::take(&mut *self.datagrams.lock().expect("no panic"));
                format!("{datagrams:?}")
            }
            ["tell", to, word] => self.tell(to, word),
            ["call", to] => match TcpStream::connect_timeout(&self.calls[*to], GLANCE) {
                Ok(_) => "connected".to_owned(),
                Err(error) => format!("{:?}", error.kind()),
            },
            ["words"] => format!("{:?}", self.words.lock().expect("nobody panics")),
            ["bytes", from, count] => {
                let begin = Instant::now();
                match say(self.calls[*from], &format!("bytes {count}")) {
                    Ok(_) => begin.elapsed().as_millis().to_string(),
                    Err(error) => format!("{:?}", error.kind()),
                }
            }
            _ => "what?".to_owned(),
        }
    }

    /// Sends numbered datagrams, not faster than anybody can take them.
    fn burst(&self, to: &str, numbers: Range<u32>) -> String {
        for number in numbers {
            self.socket.send_to(&number.to_be_bytes(), self.calls[to]).expect("the link is up");
            if number % 10 == 9 {
                thread::sleep(Duration::from_millis(1));
            }
        }
        "sent".to_owned()
    }

    /// Sends a line over the one connection to `to`.
    fn tell(&self, to: &str, word: &str) -> String {
        let mut told = self.told.lock().expect("nobody panics");
        let line = |mut stream: &TcpStream| writeln!(stream, "{word}");
        let sent = match told.get(to) {
            Some(stream) => line(stream),
            None => TcpStream::connect_timeout(&self.calls[to], PATIENCE).and_then(|stream| {
                line(&stream)?;
                told.insert(to.to_owned(), stream);
                Ok(())
            }),
        };
        sent.map_or_else(|error| error.to_string(), |()| "told".to_owned())
    }
}
