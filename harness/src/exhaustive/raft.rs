//! Raft: every schedule of an election, of replication under a crash, of reads beside a change of
//! leader, and of what follows figure 8 of the paper.

pub(super) mod membership;
mod properties;
#[cfg(feature = "mutants")]
mod stages;

use ::raft::{
    Config, Error, Image, LogIndex, Raft, ReadLevel, Reply, Request, Response, StateMachine,
};
use cluster::explore::{
    Always, Ask, AtEnd, Bounds, Clocks, Disk, Limits, Model, Play, Property, Report,
};
use cluster::{Members, NodeId};
use serde::{Deserialize, Serialize};

use self::properties::{Figure3, heard, led, over};
#[cfg(feature = "mutants")]
pub(super) use self::stages::stages;
use super::atomic::{Atomic, Does, Says};
use super::{Expected, Run};

/// A register.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub(super) struct Cell(Option<u64>);

impl StateMachine for Cell {
    type Command = u64;
    type Output = ();
    type Query = ();
    type Answer = Option<u64>;
    type Snapshot = Image<Self>;

    fn apply(&mut self, _index: LogIndex, command: &u64) {
        self.0 = Some(*command);
    }

    fn query(&self, (): &()) -> Option<u64> {
        self.0
    }
}

fn says(response: &Response<Cell>) -> Says {
    match response {
        Ok(Reply::Written { .. }) => Says::Written,
        Ok(Reply::Answer(value)) => Says::Saw(*value),
        Ok(
            Reply::Opened(_)
            | Reply::Closed
            | Reply::Committed(_)
            | Reply::Transferred { .. }
            | Reply::Changed { .. }
            | Reply::Status(_),
        )
        | Err(Error::Deposed | Error::NotTransferred | Error::SessionExpired) => Says::Unknown,
        Err(
            Error::NotLeader { .. }
            | Error::Overloaded
            | Error::TooLarge { .. }
            | Error::Transferring { .. }
            | Error::NoSuchMember
            | Error::ChangeInProgress
            | Error::NotCaughtUp
            | Error::UnfitMember
            | Error::LastVoter
            | Error::Witness(_),
        ) => Says::Refused,
    }
}

fn does(request: &Request<Cell>) -> Does {
    match request {
        Request::Write(value) => Does::Write(*value),
        Request::Submit(submission) => Does::Write(submission.command),
        Request::Read(())
        | Request::ReadAt(ReadLevel::Index | ReadLevel::Lease | ReadLevel::Follower, ()) => {
            Does::Read
        }
        Request::Open
        | Request::ReadLocal(())
        | Request::ReadAt(ReadLevel::Local, ())
        | Request::Close(_)
        | Request::Committed { .. }
        | Request::Transfer { .. }
        | Request::Change(_)
        | Request::Status => Does::Nothing,
    }
}

/// The configuration of most runs: elections as in the paper, of which there are fewer schedules, and
/// disks that are trusted, since none is lost.
pub(super) fn config() -> Config<Cell> {
    Config::new(Cell::default()).with_textbook_elections().trusting_disks()
}

fn free(firings: u8, firings_each: u8) -> Bounds {
    Bounds { clocks: Clocks::Free { firings, firings_each }, ..Bounds::default() }
}

const N1: NodeId = NodeId::new(1);
const N2: NodeId = NodeId::new(2);
const N3: NodeId = NodeId::new(3);

/// `n1` leads, and everybody knows.
const LED: [Play; 2] = [Play::Fire(N1), Play::Settle];

fn model(
    config: Config<Cell>,
    script: Vec<Ask<Request<Cell>>>,
    opening: &[Play],
    bounds: Bounds,
) -> Model<Raft<Cell>> {
    let members = Members::first(3).expect("three nodes");
    Model { config, members, script, opening: opening.to_vec(), bounds }
}

fn explore(
    model: &Model<Raft<Cell>>,
    property: impl Property<Raft<Cell>>,
    limits: &Limits,
) -> Report {
    model.explore(property, limits).expect("a model that makes sense")
}

fn writes(count: u64) -> Vec<Ask<Request<Cell>>> {
    (1..=count).map(|value| Ask::anyone(Request::Write(value))).collect()
}

/// Two candidates in one term, or one after the other; one crash.
pub(super) fn election(config: Config<Cell>, limits: &Limits) -> Report {
    let bounds = Bounds { crashes: 1, ..free(2, 1) };
    explore(&model(config, Vec::new(), &[], bounds), Figure3::default(), limits)
}

/// Two candidates, no crash: also, that nobody ignores a leader.
pub(super) fn rivals(config: Config<Cell>, limits: &Limits) -> Report {
    explore(
        &model(config, Vec::new(), &[], free(2, 1)),
        (Figure3::default(), Always(heard)),
        limits,
    )
}

/// One election and two writes, from the boot on; one crash.
pub(super) fn replication(config: Config<Cell>, limits: &Limits) -> Report {
    let bounds = Bounds { crashes: 1, ..free(1, 1) };
    explore(&model(config, writes(2), &[], bounds), Figure3::default(), limits)
}

/// A leader, a write, a crash, and another leader.
pub(super) fn failover(config: Config<Cell>, limits: &Limits) -> Report {
    let bounds = Bounds { crashes: 1, ..free(1, 1) };
    explore(&model(config, writes(1), &LED, bounds), Figure3::default(), limits)
}

/// Snapshots at every other entry, nothing kept before them for anyone.
fn compacting(config: Config<Cell>) -> Config<Cell> {
    config.with_snapshot_every(2).with_keep_behind(0).with_lag_max(0)
}

/// A leader, a write that makes everyone take a snapshot, a crash at any point of that, and another
/// leader.
pub(super) fn compaction(config: Config<Cell>, limits: &Limits) -> Report {
    let bounds = Bounds { crashes: 1, ..free(1, 1) };
    let model = model(compacting(config), writes(1), &LED, bounds);
    explore(&model, Figure3::default(), limits)
}

/// `n3` lacks what the others have dropped: it is sent a snapshot, parts of which come late, or not at
/// all where more is sent than may be in flight, while another stands for leader.
pub(super) fn install(config: Config<Cell>, limits: &Limits) -> Report {
    let mut opening = LED.to_vec();
    opening.extend([
        Play::Ask(0, N1),
        Play::Lose { from: N1, to: N3 },
        Play::Deliver { from: N1, to: N2 },
        Play::Deliver { from: N2, to: N1 },
        Play::Lose { from: N1, to: N3 },
        Play::Fire(N1),
        Play::Settle,
    ]);
    let bounds = Bounds { disk: Disk::Instant, flight: 3, ..free(2, 1) };
    let config = compacting(config).with_chunk_bytes(12);
    explore(&model(config, writes(1), &opening, bounds), Figure3::default(), limits)
}

/// Two leaders after the first, and a write: logs that differ meet.
pub(super) fn conflict(config: Config<Cell>, limits: &Limits) -> Report {
    let bounds = Bounds { disk: Disk::Instant, ..free(2, 1) };
    explore(&model(config, writes(1), &LED, bounds), Figure3::default(), limits)
}

/// A write, then a read, beside a change of leader.
pub(super) fn reads(config: Config<Cell>, limits: &Limits) -> Report {
    let script = vec![Ask::anyone(Request::Write(1)), Ask::anyone(Request::Read(())).after(0)];
    let bounds = Bounds { disk: Disk::Instant, ..free(1, 1) };
    let register = Atomic::new(script.iter().map(|ask| does(&ask.request)), says);
    explore(&model(config, script, &LED, bounds), (register, Figure3::default()), limits)
}

/// Figure 8, with three nodes: `n1` led in t1 and `n3` in t2, each with an entry of its own that
/// nobody else holds; now `n1` leads in t3, and appends go out one entry at a time.
pub(super) fn figure8(config: Config<Cell>, limits: &Limits) -> Report {
    let deliver = |from, to| Play::Deliver { from, to };
    let lose = |from, to| Play::Lose { from, to };
    let opening = [
        // n1 leads in t1, elected by n2; its first entry reaches nobody.
        Play::Fire(N1),
        Play::Sync(N1),
        deliver(N1, N2),
        Play::Sync(N2),
        deliver(N2, N1),
        Play::Sync(N1),
        lose(N1, N2),
        lose(N1, N3),
        // n3 stands in t1 in vain, and leads in t2, elected by n2; its first entry reaches nobody.
        Play::Fire(N3),
        Play::Sync(N3),
        lose(N3, N1),
        lose(N3, N2),
        Play::Fire(N3),
        Play::Sync(N3),
        deliver(N3, N2),
        Play::Sync(N2),
        deliver(N2, N3),
        Play::Sync(N3),
        lose(N3, N1),
        lose(N3, N2),
        // n1 learns from n2 that t1 is over.
        Play::Fire(N1),
        deliver(N1, N2),
        deliver(N2, N1),
        Play::Sync(N1),
        lose(N1, N3),
        // n1 leads in t3, elected by n2.
        Play::Fire(N1),
        Play::Sync(N1),
        deliver(N1, N2),
        Play::Sync(N2),
        deliver(N2, N1),
        Play::Sync(N1),
    ];
    let model = model(config.with_entries_max(1), Vec::new(), &opening, free(1, 1));
    explore(&model, Figure3::default(), limits)
}

/// `n1` led, and has two writes that nobody else has; two more elections.
pub(super) fn behind(config: Config<Cell>, limits: &Limits) -> Report {
    let mut opening = LED.to_vec();
    opening.extend([Play::Ask(0, N1), Play::Ask(1, N1), Play::Sync(N1)]);
    opening.extend([N2, N3].map(|to| Play::Lose { from: N1, to }));
    let bounds = Bounds { disk: Disk::Instant, ..free(2, 1) };
    explore(&model(config, writes(2), &opening, bounds), Figure3::default(), limits)
}

/// `n3` led, and has a write that nobody else has; `n1` leads, and nobody has heard of it.
pub(super) fn overtaken(config: Config<Cell>, flight: usize, limits: &Limits) -> Report {
    let opening = [
        Play::Fire(N3),
        Play::Settle,
        Play::Ask(0, N3),
        Play::Sync(N3),
        Play::Lose { from: N3, to: N1 },
        Play::Lose { from: N3, to: N2 },
        Play::Fire(N1),
        Play::Sync(N1),
        Play::Deliver { from: N1, to: N2 },
        Play::Sync(N2),
        Play::Deliver { from: N2, to: N1 },
        Play::Sync(N1),
    ];
    let bounds = Bounds { disk: Disk::Instant, flight, ..free(2, 1) };
    explore(&model(config, writes(1), &opening, bounds), Figure3::default(), limits)
}

/// Clocks alike, prompt messages, no fault: from the boot on, until somebody leads.
pub(super) fn start(config: Config<Cell>, limits: &Limits) -> Report {
    let clocks = Clocks::Alike { ticks: 8, delay_max: 0, faults_before: 0 };
    let bounds = Bounds { clocks, disk: Disk::Instant, ..Bounds::default() };
    explore(&model(config, Vec::new(), &[], bounds), (Figure3::default(), AtEnd(led)), limits)
}

/// Clocks alike, prompt messages: a follower has not heard its leader in time, and stands.
pub(super) fn deposed(config: Config<Cell>, limits: &Limits) -> Report {
    let mut opening = LED.to_vec();
    opening.push(Play::Fire(N2));
    let clocks = Clocks::Alike { ticks: 8, delay_max: 0, faults_before: 0 };
    let bounds = Bounds { clocks, disk: Disk::Instant, ..Bounds::default() };
    explore(&model(config, Vec::new(), &opening, bounds), (Figure3::default(), AtEnd(led)), limits)
}

/// Clocks alike, prompt messages, one crash and one loss early on: in the end somebody leads.
pub(super) fn calm(config: Config<Cell>, limits: &Limits) -> Report {
    let clocks = Clocks::Alike { ticks: 16, delay_max: 0, faults_before: 4 };
    let bounds = Bounds { clocks, crashes: 1, losses: 1, disk: Disk::Instant, ..Bounds::default() };
    explore(&model(config, Vec::new(), &[], bounds), (Figure3::default(), AtEnd(led)), limits)
}

/// Elections as in the paper, among nodes that check each other's disks.
pub(super) fn checked() -> Config<Cell> {
    Config::new(Cell::default()).with_textbook_elections()
}

/// All have met: two stand, and one of the three loses its disk, at any moment, and comes back. Disks
/// have names of their own, so the nodes are not interchangeable.
pub(super) fn wiped(config: Config<Cell>, limits: &Limits) -> Report {
    let bounds = Bounds { wipes: 1, disk: Disk::Instant, flight: 3, symmetry: false, ..free(2, 1) };
    explore(&model(config, Vec::new(), &[Play::Settle], bounds), Figure3::default(), limits)
}

/// Pre-vote and loans, and nothing else that depends on time.
fn asking(config: Config<Cell>) -> Config<Cell> {
    config.with_pre_vote(true)
}

/// All that elections have by default, where clocks run alike.
fn guarded(config: Config<Cell>) -> Config<Cell> {
    config.with_pre_vote(true).with_check_quorum(true).with_stickiness(true)
}

/// Two that ask before they stand, with few messages under way at a time. What finds no room is what
/// was sent last, and that goes by the nodes' names: so they are not interchangeable here.
pub(super) fn pre_vote(config: Config<Cell>, limits: &Limits) -> Report {
    let bounds = Bounds { flight: 3, disk: Disk::Instant, symmetry: false, ..free(2, 1) };
    let model = model(asking(config), Vec::new(), &[], bounds);
    explore(&model, Figure3::default(), limits)
}

/// `n1` led, and has a write that nobody else has, and `n3` led after it, and has another: whoever
/// asks is lent one of them, and drops the other.
pub(super) fn loans(config: Config<Cell>, limits: &Limits) -> Report {
    let mut opening = LED.to_vec();
    opening.extend([Play::Ask(0, N1), Play::Sync(N1)]);
    opening.extend([N2, N3].map(|to| Play::Lose { from: N1, to }));
    // n3 asks n2, and is elected by it.
    opening.push(Play::Fire(N3));
    opening.push(Play::Lose { from: N3, to: N1 });
    for (from, to) in [(N3, N2), (N2, N3)] {
        opening.extend([Play::Deliver { from, to }, Play::Sync(N2), Play::Sync(N3)]);
    }
    opening.push(Play::Lose { from: N3, to: N1 });
    for (from, to) in [(N3, N2), (N2, N3)] {
        opening.extend([Play::Deliver { from, to }, Play::Sync(N2), Play::Sync(N3)]);
    }
    opening.extend([N1, N2].map(|to| Play::Lose { from: N3, to }));
    for node in [N1, N3] {
        opening.extend([Play::Crash(node), Play::Restart(node)]);
    }
    let bounds = Bounds { flight: 4, disk: Disk::Instant, symmetry: false, ..free(1, 1) };
    let model = model(asking(config), writes(1), &opening, bounds);
    explore(&model, Figure3::default(), limits)
}

/// The leader is to hand over to `n2`, beside writes at both and another election.
pub(super) fn transfer(config: Config<Cell>, limits: &Limits) -> Report {
    let script = vec![
        Ask::of(N1, Request::Transfer { to: Some(N2) }),
        Ask::of(N1, Request::Write(1)),
        Ask::of(N2, Request::Write(2)),
    ];
    let bounds = Bounds { flight: 4, disk: Disk::Instant, symmetry: false, ..free(1, 1) };
    let register = Atomic::new(script.iter().map(|ask| does(&ask.request)), says);
    let model = model(config.with_stickiness(true), script, &LED, bounds);
    explore(&model, (register, Figure3::default()), limits)
}

/// Clocks alike, prompt messages: the leader is to hand over to `n2`, and in the end `n2` leads,
/// though everyone has just heard of `n1`.
pub(super) fn handed_over(config: Config<Cell>, limits: &Limits) -> Report {
    let script = vec![Ask::of(N1, Request::Transfer { to: Some(N2) })];
    let clocks = Clocks::Alike { ticks: 4, delay_max: 0, faults_before: 0 };
    let bounds = Bounds { clocks, disk: Disk::Instant, symmetry: false, ..Bounds::default() };
    let model = model(guarded(config), script, &LED, bounds);
    explore(&model, (Figure3::default(), (AtEnd(led), AtEnd(over))), limits)
}

/// As [`calm`], with all that elections have by default.
pub(super) fn guarded_calm(config: Config<Cell>, limits: &Limits) -> Report {
    let clocks = Clocks::Alike { ticks: 16, delay_max: 0, faults_before: 4 };
    let bounds = Bounds { clocks, crashes: 1, losses: 1, disk: Disk::Instant, ..Bounds::default() };
    explore(
        &model(guarded(config), Vec::new(), &[], bounds),
        (Figure3::default(), AtEnd(led)),
        limits,
    )
}

/// A write, then a read at `level`, beside a change of leader and late messages. A follower's
/// questions carry a number of its own, which tells it from others.
pub(super) fn levels(config: Config<Cell>, level: ReadLevel, limits: &Limits) -> Report {
    let script =
        vec![Ask::anyone(Request::Write(1)), Ask::anyone(Request::ReadAt(level, ())).after(0)];
    let bounds = Bounds { disk: Disk::Instant, symmetry: false, ..free(1, 1) };
    let register = Atomic::new(script.iter().map(|ask| does(&ask.request)), says);
    explore(&model(config, script, &LED, bounds), (register, Figure3::default()), limits)
}

/// The runs that are part of every build.
pub(super) const RUNS: &[Run] = &[
    Run {
        pattern: "raft",
        name: "election",
        about: "3 nodes, each may stand once, 2 in all; 1 crash",
        expected: Expected::Holds,
        explore: |limits| election(config(), limits),
    },
    Run {
        pattern: "raft",
        name: "wiped",
        about: "3 nodes that have met, 2 stand, and 1 loses its disk; 3 messages in flight",
        expected: Expected::Holds,
        explore: |limits| wiped(checked(), limits),
    },
    Run {
        pattern: "raft",
        name: "rivals",
        about: "3 nodes, 2 stand; once all is quiet, a leader's term follows it",
        expected: Expected::Holds,
        explore: |limits| rivals(config(), limits),
    },
    Run {
        pattern: "raft",
        name: "replication",
        about: "3 nodes, an election, 2 writes, 1 crash",
        expected: Expected::Holds,
        explore: |limits| replication(config(), limits),
    },
    Run {
        pattern: "raft",
        name: "failover",
        about: "3 nodes with a leader, a write, 1 crash, another election",
        expected: Expected::Holds,
        explore: |limits| failover(config(), limits),
    },
    Run {
        pattern: "raft",
        name: "compaction",
        about: "3 nodes with a leader, a write, a snapshot on each, 1 crash, another election",
        expected: Expected::Holds,
        explore: |limits| compaction(config(), limits),
    },
    Run {
        pattern: "raft",
        name: "install",
        about: "3 nodes, one is sent a snapshot in parts; 2 timers, 3 messages in flight",
        expected: Expected::Holds,
        explore: |limits| install(config(), limits),
    },
    Run {
        pattern: "raft",
        name: "conflict",
        about: "3 nodes with a leader, a write, 2 more elections",
        expected: Expected::Holds,
        explore: |limits| conflict(config(), limits),
    },
    Run {
        pattern: "raft",
        name: "figure 8",
        about: "3 nodes, from the middle of figure 8 on: an old term's entry is replicated",
        expected: Expected::Holds,
        explore: |limits| figure8(config(), limits),
    },
    Run {
        pattern: "raft",
        name: "reads",
        about: "3 nodes with a leader, a write, then a read, another election",
        expected: Expected::Holds,
        explore: |limits| reads(config(), limits),
    },
    Run {
        pattern: "raft",
        name: "behind",
        about: "3 nodes, the leader has 2 writes that nobody else has; 2 elections",
        expected: Expected::Holds,
        explore: |limits| behind(config(), limits),
    },
    Run {
        pattern: "raft",
        name: "overtaken",
        about: "3 nodes, an old leader has a write that nobody else has; a new one, and 2 timers",
        expected: Expected::Holds,
        explore: |limits| overtaken(config(), 4, limits),
    },
    Run {
        pattern: "raft",
        name: "start",
        about: "3 nodes, clocks alike, from the boot on; in the end one leads",
        expected: Expected::Holds,
        explore: |limits| start(config(), limits),
    },
    Run {
        pattern: "raft",
        name: "deposed",
        about: "3 nodes, clocks alike, a follower stands against its leader; in the end one leads",
        expected: Expected::Holds,
        explore: |limits| deposed(config(), limits),
    },
    Run {
        pattern: "raft",
        name: "calm",
        about: "3 nodes, clocks alike, 1 crash and 1 loss early on; in the end somebody leads",
        expected: Expected::Holds,
        explore: |limits| calm(config(), limits),
    },
    Run {
        pattern: "raft",
        name: "pre-vote",
        about: "3 nodes, 2 ask whether they would win, and stand; 3 messages under way at most",
        expected: Expected::Holds,
        explore: |limits| pre_vote(config(), limits),
    },
    Run {
        pattern: "raft",
        name: "loans",
        about: "3 nodes, logs that differ; whoever asks for votes is lent what it lacks",
        expected: Expected::Holds,
        explore: |limits| loans(config(), limits),
    },
    Run {
        pattern: "raft",
        name: "transfer",
        about: "3 nodes with a leader that hands over, a write at each end, another election",
        expected: Expected::Holds,
        explore: |limits| transfer(config(), limits),
    },
    Run {
        pattern: "raft",
        name: "handed over",
        about: "3 nodes, clocks alike, the leader hands over to n2; in the end n2 leads",
        expected: Expected::Holds,
        explore: |limits| handed_over(config(), limits),
    },
    Run {
        pattern: "raft",
        name: "calm, guarded",
        about: "as calm, with pre-vote, check-quorum and stickiness",
        expected: Expected::Holds,
        explore: |limits| guarded_calm(config(), limits),
    },
    Run {
        pattern: "raft",
        name: "reads, follower",
        about: "3 nodes with a leader, a write, then a read anywhere, another election",
        expected: Expected::Holds,
        explore: |limits| levels(config(), ReadLevel::Follower, limits),
    },
];
