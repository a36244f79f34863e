//! `raft`, with a state machine of registers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ::raft::invariants::Monitor;
use ::raft::{
    Change, Config, Error, Image, LogIndex, Raft, ReadLevel, Reply, Request, Response, Sequence,
    SessionId, StateMachine, Submission,
};
use cluster::{Digest, NodeId};
use serde::{Deserialize, Serialize};

use crate::guarantee::{Guarantee, Violation};
use crate::implementation::{Implementation, NODE_WORLDS, Workload, majority, start_with};
use crate::sometimes::{Marks, Onlooker, raft as sometimes};
use crate::subject::{Pattern, Seen};
use crate::vocabulary::{Answer, Membership, Op, Outcome, ReadPath, Refusal, Ticket};

/// Raft as it comes, but for how often it takes snapshots, and with leases.
pub fn raft() -> Implementation {
    let config = config().with_lease(DRIFT_PPM);
    with(config.clone()).among_processes::<Registry>(config)
}

/// The defaults, with snapshots so often that a run of seconds has many, in so small parts that a
/// transfer has several, and so few entries kept that who is away needs one.
pub fn config() -> Config<Registers> {
    Config::new(Registers::default())
        .with_snapshot_every(40)
        .with_keep_behind(8)
        .with_lag_max(120)
        .with_chunk_bytes(256)
}

/// How much faster than another a clock may run: no scenario sets one off by more than 4 %.
pub const DRIFT_PPM: u32 = 84_000;

/// Raft, configured so.
pub fn with(config: Config<Registers>) -> Implementation {
    Implementation {
        name: "raft",
        summary: "a replicated log; reads by a round of heartbeats, by lease, and at followers",
        claims: &[
            Guarantee::ElectionSafety,
            Guarantee::LeaderAgreement,
            Guarantee::LogMatching,
            Guarantee::LeaderCompleteness,
            Guarantee::StateMachineSafety,
            Guarantee::Linearizability,
            Guarantee::ExactlyOnce,
            Guarantee::Durability,
            Guarantee::Availability,
        ],
        // A deposed leader does not know it until it hears of its successor.
        disclaims: &[Guarantee::NoSplitBrain],
        workload: Workload::Registers,
        reads: &[ReadPath::Usual, ReadPath::Lease, ReadPath::Follower],
        reconfigures: true,
        witness: |_| false,
        worlds: NODE_WORLDS,
        nodes: 5,
        service_needs: majority,
        grace: Duration::from_millis(1_200),
        start: start_with::<Registry>(config),
        serve: None,
    }
}

/// Raft with as many witnesses as it takes: every other node.
pub fn witnessed() -> Implementation {
    let sized = |nodes: usize| {
        let witnesses = (1..).take(nodes).map(NodeId::new).filter(|&node| is_witness(node));
        config().with_lease(DRIFT_PPM).with_witnesses(witnesses)
    };
    Implementation {
        name: "raft-witness",
        summary: "two of five voters hold no commands; service may wait for a disk that is down",
        witness: is_witness,
        // An entry may be on one full replica only, if the others are away when it is written; whichever
        // that is, nobody goes on without it.
        service_needs: |nodes| nodes,
        start: Arc::new(move |setting| start_with::<Registry>(sized(setting.nodes))(setting)),
        ..with(config())
    }
    .among_processes_each::<Registry>(sized)
}

fn is_witness(node: NodeId) -> bool {
    node.get().is_multiple_of(2)
}

/// A few registers, and a digest of every write that made them what they are.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Registers {
    values: BTreeMap<u32, u64>,
    log: Vec<u64>,
}

/// What the registers are asked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Query {
    /// The value of this one.
    Value(u32),
    /// The digests.
    Log,
}

/// What they answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Told {
    /// To [`Query::Value`].
    Value(Option<u64>),
    /// To [`Query::Log`].
    Log(Vec<u64>),
}

/// A write to a register.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Command {
    /// Which.
    pub key: u32,
    /// What it is to hold.
    pub value: u64,
}

impl StateMachine for Registers {
    type Command = Command;
    type Output = ();
    type Query = Query;
    type Answer = Told;
    type Snapshot = Image<Self>;

    fn apply(&mut self, _: LogIndex, command: &Command) {
        self.values.insert(command.key, command.value);
        self.log.push(Digest::of(command));
    }

    fn query(&self, query: &Query) -> Told {
        match query {
            Query::Value(key) => Told::Value(self.values.get(key).copied()),
            Query::Log => Told::Log(self.log.clone()),
        }
    }
}

/// The words and invariants of [`raft()`].
struct Registry;

impl Pattern for Registry {
    type Node = Raft<Registers>;
    type Monitor = Onlooker<Monitor<Registers>, sometimes::Last>;

    const SOMETIMES: &'static [&'static str] = sometimes::CATALOGUE;

    fn request(op: Op) -> Request<Registers> {
        match op {
            Op::Read { key, path } => {
                let level = match path {
                    ReadPath::Usual => ReadLevel::Index,
                    ReadPath::Lease => ReadLevel::Lease,
                    ReadPath::Follower => ReadLevel::Follower,
                };
                Request::ReadAt(level, Query::Value(key))
            }
            Op::Write { key, value, ticket: None } => Request::Write(Command { key, value }),
            Op::Write { key, value, ticket: Some(Ticket { session, sequence }) } => {
                let sequence = Sequence::new(sequence);
                Request::Submit(Submission {
                    session: SessionId::new(session),
                    sequence,
                    unanswered: sequence,
                    command: Command { key, value },
                })
            }
            Op::Open => Request::Open,
            Op::Change(Membership::Voters(voters)) => {
                Request::Change(Change::Voters(voters.into_iter().collect()))
            }
            Op::Change(Membership::Renewed(node)) => Request::Change(Change::Renew(node)),
            // What is applied: the log itself may be in a snapshot.
            Op::Committed => Request::ReadLocal(Query::Log),
            Op::Lead
            | Op::Inspect { .. }
            | Op::Acquire { .. }
            | Op::Renew { .. }
            | Op::Release { .. } => {
                unreachable!("a register workload asks for registers")
            }
        }
    }

    fn farewell() -> Option<Request<Registers>> {
        Some(Request::Transfer { to: None })
    }

    fn answer(response: Response<Registers>) -> Answer {
        match response {
            Ok(Reply::Written { .. }) => Ok(Outcome::Written),
            Ok(Reply::Answer(Told::Value(value))) => Ok(Outcome::Value(value)),
            Ok(Reply::Answer(Told::Log(log))) => Ok(Outcome::Log(log)),
            Ok(Reply::Changed { .. }) => Ok(Outcome::Changed),
            Ok(Reply::Opened(session)) => Ok(Outcome::Opened { session: session.get() }),
            Ok(
                Reply::Closed | Reply::Committed(_) | Reply::Transferred { .. } | Reply::Status(_),
            ) => {
                unreachable!("nobody asks for that")
            }
            Err(Error::NotLeader { leader }) => Err(Refusal::NotLeader(leader)),
            Err(Error::Transferring { to }) => Err(Refusal::NotLeader(Some(to))),
            Err(Error::Deposed | Error::NotTransferred | Error::SessionExpired) => {
                Err(Refusal::Unknown)
            }
            Err(
                Error::Overloaded
                | Error::TooLarge { .. }
                | Error::NoSuchMember
                | Error::ChangeInProgress
                | Error::NotCaughtUp
                | Error::UnfitMember
                | Error::LastVoter
                | Error::Witness(_),
            ) => Err(Refusal::Unavailable),
        }
    }

    fn marks(onlooker: &Self::Monitor) -> Marks {
        onlooker.marks
    }

    fn notice_gauges(gauges: &[(&'static str, u64)], marks: &mut Marks) {
        sometimes::notice_gauges(gauges, marks);
    }

    fn observe(
        onlooker: &mut Self::Monitor,
        stepped: Seen<'_, Self::Node>,
        _all: &mut dyn Iterator<Item = Seen<'_, Self::Node>>,
    ) -> Result<(), Violation> {
        let (id, node, _) = stepped;
        let (last, marks) = onlooker.of(id);
        sometimes::notice(last, stepped, marks);
        onlooker.monitor.observe_node(id, node).map_err(|broken| {
            super::violation(broken.guarantee, broken.what, Guarantee::StateMachineSafety)
        })
    }
}
