//! Nodes that are reached by TCP, on journals, in one process: a server each, on loopback.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cluster::net::{ClusterId, Server};
use cluster::{NodeId, Role, Timestamp};
use raft::{Config, Handle, Raft, ReadLevel, hand_over};

use crate::durable::List;
use crate::handles::eventually;
use crate::journal::{History, What};
use crate::table::n;

/// Longer than anything takes here.
const LONG: Duration = Duration::from_secs(30);

/// Three servers, each in a directory of its own.
struct Rack {
    directory: tempfile::TempDir,
    nodes: Vec<(NodeId, SocketAddr)>,
    servers: Vec<Option<Server<Raft<List>>>>,
}

fn cluster_id() -> ClusterId {
    ClusterId::new("lists").expect("a name")
}

impl Rack {
    fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let doors: Vec<_> = (0..3)
            .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"))
            .collect();
        let addresses = doors.iter().map(|door| door.local_addr().expect("it is bound"));
        let nodes: Vec<_> = (1..).map(n).zip(addresses).collect();
        let mut rack = Self { directory, nodes, servers: vec![None, None, None] };
        for (place, door) in doors.into_iter().enumerate() {
            rack.boot(place, Some(door));
        }
        rack
    }

    fn boot(&mut self, place: usize, door: Option<TcpListener>) {
        let (id, _) = self.nodes[place];
        // Long, so that a busy machine does not depose a leader without need. So small that logs are let
        // go, and snapshots sent to whoever was away.
        let config = Config::new(List::default())
            .with_election_timeout(Duration::from_millis(300)..=Duration::from_millis(600))
            .with_snapshot_every(500)
            .with_keep_behind(50);
        let path = Path::new(self.directory.path()).join(id.to_string());
        let builder = Server::builder(cluster_id(), id, config)
            .nodes(self.nodes.iter().copied())
            .directory(path);
        let builder = match door {
            Some(door) => builder.listener(door),
            None => builder,
        };
        self.servers[place] = Some(builder.start().expect("it starts"));
    }

    fn handle(&self) -> Handle<List> {
        let handle = Handle::connect(cluster_id(), self.nodes.iter().copied());
        handle.expect("it starts").with_timeout(LONG)
    }

    /// Waits until the node has all that was committed when this was called.
    #[track_caller]
    fn await_caught_up(&self, place: usize, handle: &Handle<List>) {
        let (id, _) = self.nodes[place];
        let commit = eventually("no leader", || {
            let asked = self.nodes.iter().map(|&(id, _)| handle.status(id).wait());
            asked.flatten().find(|status| status.role == Role::Leader).map(|it| it.commit)
        });
        eventually("it does not catch up", || {
            handle.status(id).wait().ok().filter(|status| status.applied >= commit)
        });
    }

    /// The leader's place.
    #[track_caller]
    fn leader(&self) -> usize {
        eventually("no leader", || {
            let leads = |it: &Option<Server<_>>| it.as_ref().is_some_and(|it| it.state().leads());
            self.servers.iter().position(leads)
        })
    }
}

/// Calls from several clients while `disturb` does what it does: none fails, no write that was answered
/// is lost or applied twice, and all answers fit one order.
#[track_caller]
fn check(disturb: impl FnOnce(&mut Rack, &Handle<List>)) {
    let mut rack = Rack::start();
    let start = Instant::now();
    let now = || Timestamp::ZERO + start.elapsed();
    let (over, next) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut history = History::default();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..3)
            .map(|client| {
                let handle = rack.handle();
                let (over, next) = (&over, &next);
                scope.spawn(move || {
                    let mut done = Vec::new();
                    while !over.load(Ordering::Relaxed) {
                        let value = next.fetch_add(1, Ordering::Relaxed);
                        let asked = now();
                        let what = if value % 4 == client {
                            let values = handle.read(()).wait().expect("it is read in time");
                            What::Read { len: values.len() }
                        } else {
                            let place = handle.write(value).wait().expect("it is written in time");
                            What::Wrote { value, place }
                        };
                        done.push((asked, now(), what));
                    }
                    done
                })
            })
            .collect();
        let handle = rack.handle();
        disturb(&mut rack, &handle);
        over.store(true, Ordering::Relaxed);
        for client in clients {
            for (asked, answered, what) in client.join().expect("no call fails") {
                history.push(asked, answered, what);
            }
        }
    });
    let values = rack.handle().read(()).wait().expect("it is read in time");
    assert_eq!(values.len(), history.writes().count(), "each write took effect once");
    assert_eq!(history.judge(&values), Ok(()));
}

/// Each server is stopped as one stops a process that is wanted again, and started in its directory.
#[test]
fn a_rolling_restart_under_load_fails_no_call_and_loses_no_write() {
    check(|rack, handle| {
        for place in 0..3 {
            rack.await_caught_up(place, handle);
            let server = rack.servers[place].take().expect("it runs");
            server.retire(LONG, hand_over);
            rack.boot(place, None);
            rack.await_caught_up(place, handle);
        }
    });
}

/// The leader's process ends without a word, four times, and what its journal had not synced with it.
#[test]
fn leaders_that_end_without_a_word_fail_no_call_and_lose_no_write() {
    check(|rack, handle| {
        for _ in 0..4 {
            let place = rack.leader();
            drop(rack.servers[place].take());
            rack.boot(place, None);
            rack.await_caught_up(place, handle);
        }
    });
}

/// All end at one moment, and everything is there again.
#[test]
fn what_was_written_outlives_all_processes() {
    let mut rack = Rack::start();
    for value in 0..20 {
        assert_eq!(rack.handle().write(value).wait(), Ok(value as usize));
    }
    for place in 0..3 {
        drop(rack.servers[place].take());
    }
    for place in 0..3 {
        rack.boot(place, None);
    }
    let handle = rack.handle();
    assert_eq!(handle.read(()).wait(), Ok((0..20).collect()));
    for (id, _) in rack.nodes.clone() {
        let read = handle.read_from(id, ReadLevel::Follower, ());
        assert_eq!(read.wait(), Ok((0..20).collect()), "at {id}");
    }
}

/// A client in the process of a server needs no connection to it, and reaches the others.
#[test]
fn a_server_has_a_port_of_its_own() {
    let rack = Rack::start();
    for server in rack.servers.iter().flatten() {
        let handle = Handle::over(server.port().expect("it starts")).with_timeout(LONG);
        handle.write(u64::from(server.id().get())).wait().expect("it is written");
        assert_eq!(handle.status(server.id()).wait().map(|it| it.node), Ok(server.id()));
    }
    let values = rack.handle().read(()).wait().expect("it is read");
    assert_eq!(values, [1, 2, 3]);
}
