//! Conversations, byte by byte.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use resp::{Command, Condition, Limits, Reply, Server, Store};

/// Long enough for anything here.
const LONG: Duration = Duration::from_secs(20);

/// A map that forgets nothing in time, and how many commands were handed over together.
#[derive(Default)]
struct Map {
    values: Mutex<BTreeMap<Vec<u8>, Vec<u8>>>,
}

impl Store for Map {
    type Session = Vec<usize>;

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

#[track_caller]
fn await_connections(server: &Server, count: usize) {
    let deadline = Instant::now() + LONG;
    while server.connections() != count {
        assert!(Instant::now() < deadline, "{} are connected", server.connections());
        std::thread::yield_now();
    }
}
