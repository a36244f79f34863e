//! Conversations, byte by byte.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use resp::{Command, Condition, Limits, Reply, Server, Store, Turn, together};

/// Long enough for anything here.
const LONG: Duration = Duration::from_secs(20);

/// A map that forgets nothing in time, and how many commands were handed over together.
#[derive(Default)]
struct Map {
    values: Mutex<BTreeMap<Vec<u8>, Vec<u8>>>,
}

impl Store for Map {
    type Session = Vec<usize>;

    const OWN: &'static [&'static str] = &["TEMPER"];

    fn carry_out(
        &self,
        batches: &mut Vec<usize>,
        commands: Vec<Command>,
        replies: &mut Vec<Reply>,
    ) {
        batches.push(commands.len());
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        let found = |value: Option<&Vec<u8>>| value.cloned().map_or(Reply::Nil, Reply::Bytes);
        for command in commands {
            replies.push(match command {
                Command::Get(key) if key == b"batches" => {
                    Reply::Bytes(format!("{batches:?}").into_bytes())
                }
                Command::Get(key) if key == b"panic" => panic!("it was asked to"),
                Command::Get(key) if key == b"silence" => continue,
                Command::Get(key) => found(values.get(&key)),
                Command::Set { key, condition: Condition::IfAbsent, .. }
                    if values.contains_key(&key) =>
                {
                    Reply::Nil
                }
                Command::Set { key, value, .. } => {
                    values.insert(key, value);
                    Reply::Ok
                }
                Command::Del(keys) => {
                    let there = keys.iter().filter(|key| values.remove(*key).is_some()).count();
                    Reply::Integer(there as i64)
                }
                Command::MGet(keys) => {
                    Reply::Array(keys.iter().map(|key| found(values.get(key))).collect())
                }
                Command::MSet(pairs) => {
                    values.extend(pairs);
                    Reply::Ok
                }
                Command::Own { name, args } => {
                    Reply::Bytes(format!("{name} {}", args.len()).into_bytes())
                }
                Command::Exists(_) | Command::Add { .. } => Reply::err("not here"),
            });
        }
    }

    fn info(&self) -> String {
        "# Map\r\nkind:map\r\n".to_owned()
    }
}

fn start(limits: Limits) -> Server {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    Server::start(Map::default(), listener, limits).expect("it starts")
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.addr()).expect("it listens");
    stream.set_read_timeout(Some(LONG)).expect("a timeout");
    stream
}

/// All that is answered to `bytes` by the time the connection ends.
fn said(server: &Server, bytes: &[u8]) -> String {
    let mut stream = connect(server);
    stream.write_all(bytes).expect("it is sent");
    stream.shutdown(Shutdown::Write).expect("no more is sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("it is answered");
    String::from_utf8_lossy(&answer).into_owned()
}

#[track_caller]
fn check(bytes: &str, answer: &str) {
    assert_eq!(said(&start(Limits::default()), bytes.as_bytes()), answer);
}

fn array(words: &[&str]) -> String {
    let strings = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len()));
    format!("*{}\r\n{}", words.len(), strings.collect::<String>())
}

#[test]
fn commands_are_answered_in_their_order() {
    let asked = [
        array(&["SET", "a", "1"]),
        array(&["PING"]),
        array(&["GET", "a"]),
        array(&["SET", "a", "2", "NX"]),
        array(&["MGET", "a", "b"]),
        array(&["DEL", "a", "b"]),
        array(&["GET", "a"]),
        "*0\r\n\r\n".to_owned(),
        array(&["ECHO", "bye"]),
    ];
    check(
        &asked.concat(),
        "+OK\r\n+PONG\r\n$1\r\n1\r\n$-1\r\n*2\r\n$1\r\n1\r\n$-1\r\n:1\r\n$-1\r\n$3\r\nbye\r\n",
    );
}

#[test]
fn people_type_lines() {
    check("set a 1\r\nget a\nquit\r\nget a\r\n", "+OK\r\n$1\r\n1\r\n+OK\r\n");
}

#[test]
fn a_store_has_commands_of_its_own() {
    check(
        "temper a b\r\nTemper\r\ntempest\r\n",
        "$8\r\nTEMPER 2\r\n$8\r\nTEMPER 0\r\n-ERR unknown command 'tempest'\r\n",
    );
}

#[test]
fn mistakes_do_not_end_a_connection() {
    check(
        "frob\r\nget\r\nping\r\n",
        "-ERR unknown command 'frob'\r\n-ERR wrong number of arguments for 'get' command\r\n+PONG\r\n",
    );
}

#[test]
fn what_is_no_request_ends_it_after_what_came_before() {
    check("ping\r\n*1\r\n*1\r\n", "+PONG\r\n-ERR Protocol error: expected '$', got '*'\r\n");
}

#[test]
fn a_pipeline_is_handed_over_together() {
    let server = start(Limits::default());
    let mut stream = connect(&server);
    stream.write_all(&array(&["SET", "a", "1"]).repeat(50).into_bytes()).expect("it is sent");
    let mut answers = vec![0; 5 * 50];
    stream.read_exact(&mut answers).expect("all are answered");
    let batches = said_in(&mut stream, "get batches\r\n");
    let handed = batches.split([',', '[', ']']).filter_map(|it| it.trim().parse().ok());
    let handed: Vec<usize> = handed.collect();
    assert_eq!(handed.iter().sum::<usize>(), 51, "{batches}");
    assert!(handed.len() < 51, "one by one: {batches}");
}

/// The string that is answered to `line`.
fn said_in(stream: &mut TcpStream, line: &str) -> String {
    stream.write_all(line.as_bytes()).expect("it is sent");
    let mut answer = Vec::new();
    let mut byte = [0];
    while !(answer.starts_with(b"$") && answer.iter().filter(|&&it| it == b'\n').count() == 2) {
        stream.read_exact(&mut byte).expect("it is answered");
        answer.push(byte[0]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn a_reply_that_is_missing_is_told_as_an_error() {
    check("get silence\r\nping\r\n", "-ERR no reply; it may have had an effect\r\n+PONG\r\n");
}

#[test]
fn one_client_too_many_is_told_so_and_there_is_room_again() {
    let server = start(Limits { connections_max: 1, ..Limits::default() });
    let mut first = connect(&server);
    said_in(&mut first, "echo here\r\n");
    assert_eq!(said(&server, b""), "-ERR max number of clients reached\r\n");
    drop(first);
    await_connections(&server, 0);
    assert_eq!(said(&server, b"ping\r\n"), "+PONG\r\n");
}

/// A store that panics costs that one connection.
#[test]
fn a_panic_ends_one_connection() {
    let server = start(Limits { connections_max: 1, ..Limits::default() });
    assert_eq!(said(&server, b"get panic\r\n"), "");
    await_connections(&server, 0);
    assert_eq!(said(&server, b"info\r\n"), "$17\r\n# Map\r\nkind:map\r\n\r\n");
}

#[test]
fn a_server_that_ends_ends_its_connections() {
    let server = start(Limits::default());
    let mut stream = connect(&server);
    said_in(&mut stream, "echo here\r\n");
    drop(server);
    assert_eq!(stream.read(&mut [0]).ok(), Some(0));
}

/// A store at work once for all who ask: who asks for `hold` is answered when it is let go.
struct Gate {
    held: AtomicBool,
    open: AtomicBool,
    runs: Mutex<Vec<usize>>,
}

/// The same one as a store, for the server.
struct Behind(Arc<Gate>);

impl Store for Behind {
    type Session = ();

    fn carry_out(&self, (): &mut (), commands: Vec<Command>, replies: &mut Vec<Reply>) {
        self.0.runs.lock().unwrap_or_else(PoisonError::into_inner).push(commands.len());
        if commands.contains(&Command::Get(b"hold".to_vec())) {
            self.0.held.store(true, Ordering::SeqCst);
            until("it is let go", || self.0.open.load(Ordering::SeqCst));
        }
        replies.extend(commands.iter().map(|_| Reply::Ok));
    }

    fn carry_out_all(&self, turns: &mut [&mut Turn<()>]) {
        together(turns, 1 << 20, |run, replies| self.carry_out(&mut (), run, replies));
    }

    fn info(&self) -> String {
        String::new()
    }
}

fn gated(threads: usize) -> (Server, Arc<Gate>) {
    let (held, open) = (AtomicBool::new(false), AtomicBool::new(false));
    let gate = Arc::new(Gate { held, open, runs: Mutex::default() });
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let limits = Limits { threads, ..Limits::default() };
    let server = Server::start(Behind(Arc::clone(&gate)), listener, limits).expect("it starts");
    (server, gate)
}

#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < deadline, "waited {LONG:?} until {what}");
        std::thread::yield_now();
    }
}

fn send(server: &Server, line: &str) -> TcpStream {
    let mut stream = connect(server);
    stream.write_all(line.as_bytes()).expect("it is sent");
    stream
}

#[test]
fn what_clients_ask_while_the_store_is_at_work_is_carried_out_together() {
    let (server, gate) = gated(1);
    let first = send(&server, "get hold\r\n");
    until("the store is at work", || gate.held.load(Ordering::SeqCst));
    let others: Vec<_> = (0..50).map(|_| send(&server, "get a\r\n")).collect();
    gate.open.store(true, Ordering::SeqCst);
    for mut stream in others.into_iter().chain([first]) {
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).expect("it is answered");
        assert_eq!(&answer, b"+OK\r\n");
    }
    let runs = gate.runs.lock().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(runs.iter().sum::<usize>(), 51);
    assert!(runs.len() < 26, "hardly any together: {runs:?}");
}

/// However often it is asked while it does nothing: there is always somebody who lets clients in, more of
/// them than the system would keep at the door, and answers what needs no store.
#[test]
fn a_store_that_stands_still_keeps_nobody_who_does_not_need_it() {
    let (server, gate) = gated(2);
    let held = send(&server, "get hold\r\n");
    until("the store is at work", || gate.held.load(Ordering::SeqCst));
    let waiting: Vec<_> = (0..300).map(|_| send(&server, "get a\r\n")).collect();
    await_connections(&server, 301);
    assert_eq!(said(&server, b"ping\r\n"), "+PONG\r\n");
    gate.open.store(true, Ordering::SeqCst);
    for mut stream in waiting.into_iter().chain([held]) {
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).expect("it is answered");
        assert_eq!(&answer, b"+OK\r\n");
    }
}

/// More is answered than any socket holds, to one who reads nothing of it.
#[test]
fn who_does_not_read_waits_and_nobody_else_does() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let limits = Limits { threads: 1, ..Limits::default() };
    let server = Server::start(Map::default(), listener, limits).expect("it starts");
    let (long, count) = ("x".repeat(1 << 20), 64);
    let mut deaf = send(&server, &array(&["SET", "long", &long]));
    deaf.read_exact(&mut [0; 5]).expect("it is answered");
    deaf.write_all(array(&["GET", "long"]).repeat(count).as_bytes()).expect("it is sent");
    deaf.write_all(b"ping\r\n").expect("it is sent");
    assert_eq!(said(&server, b"ping\r\n"), "+PONG\r\n");
    let mut rest = vec![0; count * ("$1048576\r\n".len() + long.len() + 2) + "+PONG\r\n".len()];
    deaf.read_exact(&mut rest).expect("all is there once it reads");
    assert!(rest.ends_with(b"x\r\n+PONG\r\n"));
}

/// Connections cost no thread: there may be more of them than anybody would start threads.
#[test]
fn many_connections_are_served_by_few_threads() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let limits = Limits { connections_max: 400, ..Limits::default() };
    let server = Server::start(Map::default(), listener, limits).expect("it starts");
    let mut streams: Vec<_> = (0..400).map(|_| connect(&server)).collect();
    for stream in &mut streams {
        assert_eq!(said_in(stream, "echo here\r\n"), "$4\r\nhere\r\n");
    }
    assert_eq!(server.connections(), 400);
    drop(streams);
    await_connections(&server, 0);
}

#[track_caller]
fn await_connections(server: &Server, count: usize) {
    until("as many are connected", || server.connections() == count);
}
