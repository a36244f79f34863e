//! What grows and what does not while snapshots are taken, sent and read.

use std::time::Duration;

use raft::{Config, LogIndex};

use crate::bed::config;

const HEARTBEAT: Duration = Duration::from_millis(50);

/// Complaint 10 (etcd#10167, dragonboat#103 and #128, NuRaft#295): with compaction on, nothing grows
/// but the machine: not the log, not the disk, not the sessions.
#[test]
fn ee_10167_db_103_db_128_nr_295_memory_stays_flat() {
    use cluster::sim::{Options, Sim};
    use cluster::{Cluster, Members};
    use raft::{Raft, Reply, Request, Sequence, Submission};

    const COMMANDS: u64 = 200_000;
    let config = Config::new(Sum(0)).with_snapshot_every(1_000).with_keep_behind(100);
    let members = Members::first(3).unwrap();
    let mut sim = Sim::<Raft<Sum>>::new(config, members, Options::seeded(3)).unwrap();
    let leader = loop {
        sim.poll(sim.now() + HEARTBEAT);
        if let Some(&leader) = sim.members().iter().find(|&&id| sim.peek(id).leads()) {
            break leader;
        }
    };
    sim.submit(leader, Request::Open);
    let (mut session, mut asked, mut answered) = (None, 0, 0);
    while answered < COMMANDS {
        while asked < COMMANDS && asked < answered + 200 {
            asked += 1;
            // Every other one in a session, once that is open.
            let (sequence, unanswered) = (Sequence::new(asked), Sequence::new(answered));
            let request = match session {
                Some(session) if asked % 2 == 0 => {
                    let command = 1;
                    Request::Submit(Submission { session, sequence, unanswered, command })
                }
                Some(_) | None => Request::Write(1),
            };
            sim.submit(leader, request);
        }
        let completion = sim.poll(sim.now() + HEARTBEAT).expect("an answer");
        match completion.outcome.unwrap().unwrap() {
            Reply::Written { .. } => answered += 1,
            Reply::Opened(opened) => session = Some(opened),
            reply => panic!("nobody asked for {reply:?}"),
        }
        if answered % 1_000 == 0 {
            for &id in &sim.members().to_vec() {
                let node = sim.node(id).unwrap();
                let entries = node.entries(LogIndex::ZERO, usize::MAX).count();
                assert!(entries <= 2_500, "{entries} entries at {id} after {answered}");
                let records = sim.durable(id).len();
                assert!(records <= 4_000, "{records} records at {id} after {answered}");
                let gauges = cluster::Node::gauges(node);
                let outputs = gauges.iter().find(|(name, _)| *name == "session outputs").unwrap().1;
                assert!(outputs <= 500, "{outputs} outputs at {id} after {answered}");
            }
        }
    }
    assert_eq!(sim.node(leader).unwrap().machine(), &Sum(COMMANDS));
    // It boots from what is left.
    sim.inject(&cluster::Fault::PowerLoss).unwrap();
    for id in sim.members().to_vec() {
        sim.inject(&cluster::Fault::Restart { node: id }).unwrap();
    }
    let until = sim.now() + Duration::from_secs(2);
    while sim.poll(until).is_some() {}
    for &id in sim.members() {
        assert_eq!(sim.node(id).unwrap().machine(), &Sum(COMMANDS), "{id}");
    }
}

/// A machine that does not grow.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Sum(u64);

impl raft::StateMachine for Sum {
    type Command = u64;
    type Output = u64;
    type Query = ();
    type Answer = u64;
    type Snapshot = raft::Image<Self>;

    fn apply(&mut self, _: LogIndex, command: &u64) -> u64 {
        self.0 += command;
        self.0
    }

    fn query(&self, (): &()) -> u64 {
        self.0
    }
}

/// A follower that was away for long catches up by a snapshot while clients are served: no request
/// waits longer than before.
#[test]
fn a_laggard_catches_up_without_stopping_service() {
    use crate::bed::Bed;
    use cluster::Cluster;
    use cluster::sim::Options;

    let config = config().with_snapshot_every(200).with_keep_behind(20).with_lag_max(2_000);
    let mut bed = Bed::with(3, config.with_chunk_bytes(100), Options::seeded(5));
    let leader = bed.await_leader();
    let away = bed.members().into_iter().find(|&id| id != leader).unwrap();
    bed.cut_off(&[away]);
    for value in 1..=1_500 {
        bed.submit(leader, value);
        bed.run(Duration::from_micros(500));
    }
    bed.run(Duration::from_secs(2));
    assert!(bed.node(leader).base().index > bed.node(away).last_index(), "it needs a snapshot");
    bed.cut_off(&[]);
    let mut value = 1_500;
    let until = bed.sim.now() + Duration::from_secs(5);
    // It hears of the last commit with the next append.
    while bed.node(away).machine().values.len() + 1 < bed.node(leader).machine().values.len() {
        assert!(bed.sim.now() < until, "it has not caught up");
        value += 1;
        let leader = bed.await_leader();
        let answered = bed.ask(leader, raft::Request::Write(value), Duration::from_millis(700));
        assert!(answered.is_some(), "{value} was not served");
    }
    let gauges = cluster::Node::gauges(bed.node(away));
    let installs = gauges.iter().find(|(name, _)| *name == "snapshots installed").unwrap().1;
    assert_eq!(installs, 1);
    assert!(value < 1_500 + 150, "{value}");
}

/// A machine too large to be encoded at once is read piece by piece, and the node serves meanwhile;
/// and one whose snapshot is made elsewhere says so.
#[test]
fn a_snapshot_may_be_read_piece_by_piece_and_late() {
    use cluster::sim::{Options, Sim};
    use cluster::{Cluster, Members};
    use raft::{Raft, Request};

    let config = Config::new(Slow::default()).with_snapshot_every(50).with_keep_behind(0);
    let config = config.with_chunk_bytes(32);
    let mut sim =
        Sim::<Raft<Slow>>::new(config, Members::first(3).unwrap(), Options::seeded(3)).unwrap();
    let until = sim.now() + Duration::from_secs(1);
    while sim.poll(until).is_some() {}
    let leader = sim.members().iter().copied().find(|&id| sim.peek(id).leads()).unwrap();
    let mut answered_while_writing = 0;
    for value in 0..120 {
        sim.submit(leader, Request::Write(value));
        let until = sim.now() + Duration::from_millis(5);
        while let Some(completion) = sim.poll(until) {
            assert!(completion.outcome.unwrap().is_ok());
            let behind = sim.node(leader).unwrap();
            let due = behind.applied_index().get() / 50 * 50;
            answered_while_writing += usize::from(behind.snapshot_index().get() < due);
        }
    }
    let until = sim.now() + Duration::from_secs(20);
    while sim.poll(until).is_some() {}
    assert!(answered_while_writing > 5, "{answered_while_writing}");
    for id in sim.members().to_vec() {
        assert!(sim.node(id).unwrap().snapshot_index() >= LogIndex::new(50), "{id}");
        sim.inject(&cluster::Fault::Crash { node: id }).unwrap();
        sim.inject(&cluster::Fault::Restart { node: id }).unwrap();
    }
    let until = sim.now() + Duration::from_secs(2);
    while sim.poll(until).is_some() {}
    for &id in sim.members() {
        assert_eq!(sim.node(id).unwrap().machine().0, (0..120).collect::<Vec<_>>());
    }
}

#[derive(Clone, Debug, Default)]
struct Slow(Vec<u64>);

impl raft::StateMachine for Slow {
    type Command = u64;
    type Output = ();
    type Query = ();
    type Answer = ();
    type Snapshot = Late;

    fn apply(&mut self, _: LogIndex, command: &u64) {
        self.0.push(*command);
    }

    fn query(&self, (): &()) {}
}

/// Eight bytes a value, of each of which it is said twice that it is not there yet.
#[derive(Clone, Debug)]
struct Late {
    values: std::vec::IntoIter<u64>,
    asked: u32,
}

impl raft::Snapshot<Slow> for Late {
    fn take(machine: &Slow) -> Self {
        Self { values: machine.0.clone().into_iter(), asked: 0 }
    }

    fn read(&mut self, _max: usize) -> raft::Part {
        self.asked += 1;
        if !self.asked.is_multiple_of(3) {
            return raft::Part::Later;
        }
        let next = self.values.next();
        next.map_or(raft::Part::End, |value| raft::Part::Bytes(value.to_le_bytes().to_vec()))
    }

    fn restore(machine: &mut Slow, bytes: &[u8]) -> Result<(), raft::Unreadable> {
        let (values, rest) = bytes.as_chunks();
        machine.0 = values.iter().map(|value| u64::from_le_bytes(*value)).collect();
        match rest {
            [] => Ok(()),
            _ => Err(raft::Unreadable("half a value".to_owned())),
        }
    }
}
