//! Ours, by its core, and as it is shipped, in the threads world. What is persisted is durable at
//! once, since the log is in memory.

use std::time::{Duration, Instant};

use bytes::Bytes;
use cluster::store::journals_in;
use cluster::threads::{Options, Threads};
use cluster::{
    Boot, Cluster as _, Effect, Effects, Members, Node as _, NodeId, Now, PersistCount, RequestId,
    Timestamp, WallTime,
};
use raft::{Config, Image, LogIndex, Message, Raft, Record, Request, Settled, StateMachine};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::drive::{Client, Measured, REPLICAS, Replica};

/// A machine that drops every command.
#[derive(Clone, Serialize, Deserialize)]
struct Nothing;

impl StateMachine for Nothing {
    type Command = Bytes;
    type Output = ();
    type Query = ();
    type Answer = ();
    type Snapshot = Image<Self>;

    fn size_of(command: &Bytes) -> usize {
        command.len()
    }

    fn apply(&mut self, _: LogIndex, _: &Bytes) {}

    fn query(&self, (): &()) {}
}

type Out = Effects<Message<Bytes>, Record<Bytes>, (), ()>;

/// How many entries are kept once compacted, and how many more come before the next time: as the
/// others do.
const KEPT: u64 = 32_768;

pub(crate) struct Ours {
    raft: Raft<Nothing>,
    out: Out,
    /// How much it was told to be durable: with each batch, what the one before persisted.
    durable: PersistCount,
    now: Now,
    asked: u64,
}

/// The replica at `place`.
fn id(place: usize) -> NodeId {
    NodeId::new(place as u32 + 1)
}

impl Replica for Ours {
    type Message = Message<Bytes>;
    const NAME: &'static str = "raft (ours)";

    fn new(place: usize) -> Self {
        // Long enough that a busy machine deposes nobody; the first replica stands first.
        let least = Duration::from_millis(if place == 0 { 200 } else { 2_000 });
        let config = Config::new(Nothing)
            .trusting_disks()
            .with_election_timeout(least..=least * 2)
            .with_heartbeat(Duration::from_millis(100))
            .with_snapshot_every(KEPT)
            .with_keep_behind(KEPT);
        let now = Now { monotonic: Timestamp::from_millis(1_000), wall: WallTime::from_nanos(0) };
        let members = Members::first(REPLICAS).expect("there are some");
        let boot = Boot { id: id(place), members, now, seed: place as u64, records: Vec::new() };
        let raft = Raft::boot_core(&config, boot).expect("an empty disk is sound");
        Self { raft, out: Effects::new(), durable: PersistCount::default(), now, asked: 0 }
    }

    fn leads(&self) -> bool {
        self.raft.leads_from().is_some_and(|first| self.raft.commit_index() >= first)
    }

    fn propose(&mut self, command: Bytes) {
        self.asked += 1;
        let request = RequestId::new(0, self.asked);
        self.raft.propose(self.now, Some(request), command).expect("it leads, with room");
    }

    fn receive(&mut self, from: usize, message: Message<Bytes>) {
        self.raft.receive(self.now, id(from), message, &mut self.out);
    }

    fn tick(&mut self) {
        self.now.monotonic += Duration::from_millis(10);
        if self.raft.deadline().is_some_and(|at| at <= self.now.monotonic) {
            self.raft.tick(self.now, &mut self.out);
        }
    }

    fn flush(&mut self, send: &mut dyn FnMut(usize, Message<Bytes>)) -> usize {
        let persisted = self.out.persisted();
        if persisted > self.durable {
            self.durable = persisted;
            self.raft.durable(self.now, persisted, &mut self.out);
        }
        self.raft.flush_core(self.now, &mut self.out);
        for effect in self.out.drain() {
            match effect {
                Effect::Send { to, message, .. } => send(to.get() as usize - 1, message),
                Effect::Persist(_) | Effect::Forget { .. } => {}
                Effect::Respond { .. } | Effect::Emit(()) => unreachable!("not by the core"),
            }
        }
        let mut done = 0;
        for settled in self.raft.drain_settled() {
            match settled {
                Settled::Applied { request, .. } => done += usize::from(request.is_some()),
                Settled::Failed { error, .. } => panic!("the run is void: {error}"),
                other => unreachable!("nothing but commands was asked: {other:?}"),
            }
        }
        self.raft.take_events();
        done
    }
}

/// The threads world, which is what a user of the crate runs: clients' channels, deadlines, faults
/// and all.
pub(crate) fn as_shipped(outstanding: usize, span: Duration) -> Measured {
    let cluster = Threads::start(config(), members(), Options::default());
    let mut cluster = cluster.expect("the defaults are valid");
    let measured = serve(&mut cluster, outstanding, span);
    cluster.shutdown();
    measured
}

/// The same, with its log on the disk: a journal a node. Before anything is measured it is in use for a
/// while, so that old segments are written over as the other's file is.
pub(crate) fn on_journals(outstanding: usize, span: Duration) -> Measured {
    let directory = TempDir::new().expect("there is room for a directory");
    let open = journals_in(directory.path());
    let config = config().with_snapshot_every(KEPT).with_keep_behind(KEPT);
    let cluster = Threads::start_on(config, members(), Options::default(), open);
    let mut cluster = cluster.expect("the settings are valid");
    serve(&mut cluster, 1024, span * 3);
    let measured = serve(&mut cluster, outstanding, span);
    cluster.shutdown();
    measured
}

fn members() -> Members {
    Members::first(REPLICAS).expect("there are some")
}

/// The defaults, but for elections: long enough that a busy machine deposes nobody.
fn config() -> Config<Nothing> {
    Config::new(Nothing).with_election_timeout(PATIENCE..=PATIENCE * 2)
}

const PATIENCE: Duration = Duration::from_millis(300);

fn serve(cluster: &mut Threads<Raft<Nothing>>, outstanding: usize, span: Duration) -> Measured {
    let leader = loop {
        let mut nodes = (1..=REPLICAS as u32).map(NodeId::new);
        if let Some(leader) = nodes.find(|&node| cluster.state(node).leads()) {
            break leader;
        }
        std::thread::yield_now();
    };
    let mut client = Client::new(outstanding, span);
    loop {
        let now = Instant::now();
        if let Some(measured) = client.over(now) {
            // What is still under way is no business of whoever asks next.
            while client.is_waiting() {
                let done = usize::from(cluster.poll(Timestamp::MAX).is_some());
                client.answered(now, done);
            }
            return measured;
        }
        let commands = 0..client.top_up(now);
        cluster.submit_all(leader, commands.map(|_| Request::Write(client.command())));
        let mut until = Timestamp::MAX;
        let mut done = 0;
        while let Some(completion) = cluster.poll(until) {
            let answer = completion.outcome.expect("nobody goes down");
            answer.expect("the leader leads on");
            done += 1;
            // What else is there already.
            until = Timestamp::ZERO;
        }
        client.answered(Instant::now(), done);
    }
}
