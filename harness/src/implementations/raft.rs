//! `raft`, with a state machine of registers.

use std::collections::BTreeMap;
use std::time::Duration;

use ::raft::invariants::Monitor;
use ::raft::{Config, Error, LogIndex, Payload, Raft, Reply, Request, Response, StateMachine};
use cluster::Digest;
use serde::{Deserialize, Serialize};

use crate::guarantee::{Guarantee, Violation};
use crate::implementation::{Implementation, NODE_WORLDS, Workload, majority, start_with};
use crate::sometimes::{Marks, Onlooker, raft as sometimes};
use crate::subject::{Pattern, Seen};
use crate::vocabulary::{Answer, Op, Outcome, Refusal};

/// Raft as it comes.
pub fn raft() -> Implementation {
    with(Config::new(Registers::default()))
}

/// Raft, configured so.
pub fn with(config: Config<Registers>) -> Implementation {
    Implementation {
        name: "raft",
        summary: "a replicated log; reads confirmed by a round of heartbeats",
        claims: &[
            Guarantee::ElectionSafety,
            Guarantee::LeaderAgreement,
            Guarantee::LogMatching,
            Guarantee::LeaderCompleteness,
            Guarantee::StateMachineSafety,
            Guarantee::Linearizability,
            Guarantee::Durability,
            Guarantee::Availability,
        ],
        // A deposed leader does not know it until it hears of its successor.
        disclaims: &[Guarantee::NoSplitBrain],
        workload: Workload::Registers,
        worlds: NODE_WORLDS,
        nodes: 5,
        service_needs: majority,
        grace: Duration::from_millis(1_200),
        start: start_with::<Registry>(config),
    }
}

/// A few registers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Registers(BTreeMap<u32, u64>);

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
    type Query = u32;
    type Answer = Option<u64>;

    fn apply(&mut self, _index: LogIndex, command: &Command) {
        self.0.insert(command.key, command.value);
    }

    fn query(&self, key: &u32) -> Option<u64> {
        self.0.get(key).copied()
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
            Op::Read { key } => Request::Read(key),
            Op::Write { key, value } => Request::Write(Command { key, value }),
            Op::Committed => Request::Committed { from: LogIndex::ZERO.next(), max: usize::MAX },
            Op::Lead
            | Op::Inspect { .. }
            | Op::Acquire { .. }
            | Op::Renew { .. }
            | Op::Release { .. } => {
                unreachable!("a register workload asks for registers")
            }
        }
    }

    fn answer(response: Response<Registers>) -> Answer {
        match response {
            Ok(Reply::Written { .. }) => Ok(Outcome::Written),
            Ok(Reply::Answer(value)) => Ok(Outcome::Value(value)),
            Ok(Reply::Committed(entries)) => {
                let digests = entries.iter().map(|entry| match &entry.payload {
                    Payload::Noop => Digest::of(&(entry.term, entry.index)),
                    Payload::Command(command) => Digest::of(&(entry.term, entry.index, command)),
                });
                Ok(Outcome::Log(digests.collect()))
            }
            Ok(Reply::Transferred { .. }) => unreachable!("no operation of the suite transfers"),
            Err(Error::NotLeader { leader }) => Err(Refusal::NotLeader(leader)),
            Err(Error::Transferring { to }) => Err(Refusal::NotLeader(Some(to))),
            Err(Error::Deposed | Error::NotTransferred) => Err(Refusal::Unknown),
            Err(Error::Overloaded | Error::TooLarge { .. } | Error::NoSuchMember) => {
                Err(Refusal::Unavailable)
            }
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
