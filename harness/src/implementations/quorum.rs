//! `quorum`, in the four configurations that teach the most: overlapping quorums with tags, with and
//! without write-back, overlapping quorums with wall clocks, and quorums that do not overlap.

use std::time::Duration;

use ::quorum::invariants::{self, Monitor};
use ::quorum::{Config, Error, Key, Repair, Replica, Reply, Request, Response, Value, Versioning};

use cluster::Node as _;

use crate::guarantee::{Guarantee, Violation};
use crate::implementation::{Implementation, NODE_WORLDS, Workload, start_with};
use crate::sometimes::{Marks, Onlooker, quorum as sometimes};
use crate::subject::{Pattern, Seen};
use crate::vocabulary::{Answer, Op, Outcome, Refusal};

/// How long after the last fault service is due: suspicion, a request that timed out, and a bit.
const GRACE: Duration = Duration::from_millis(1_500);

/// R + W > N, tags, and write-back.
pub fn tagged() -> Implementation {
    with(Config::default()).among_processes::<Store>(Config::default())
}

/// R + W > N, tags and write-back, configured so.
pub fn with(config: Config) -> Implementation {
    Implementation {
        name: "quorum",
        summary: "N=3, R=2, W=2; writers ask for the largest tag, readers write back",
        claims: &[
            Guarantee::Linearizability,
            Guarantee::RegularReads,
            Guarantee::MonotonicReads,
            Guarantee::ReadYourWrites,
            Guarantee::Durability,
            Guarantee::Convergence,
            Guarantee::VersionSafety,
            Guarantee::Availability,
        ],
        disclaims: &[],
        workload: Workload::Registers,
        reads: &[],
        reconfigures: false,
        witness: |_| false,
        worlds: NODE_WORLDS,
        nodes: 5,
        service_needs: |nodes| nodes.saturating_sub(1),
        grace: GRACE,
        start: start_with::<Store>(config),
        serve: None,
    }
}

/// R + W > N and tags, but a reader does not write back before it answers.
pub fn regular() -> Implementation {
    let config = Config::default().with_repair(Repair::Background);
    Implementation {
        name: "quorum-regular",
        summary: "N=3, R=2, W=2; tags, and repair in the background",
        claims: &[
            Guarantee::RegularReads,
            Guarantee::ReadYourWrites,
            Guarantee::Durability,
            Guarantee::Convergence,
            Guarantee::VersionSafety,
            Guarantee::Availability,
        ],
        disclaims: &[Guarantee::Linearizability, Guarantee::MonotonicReads],
        ..with(config.clone())
    }
    .among_processes::<Store>(config)
}

/// R + W > N, but the writer's wall clock is the version.
pub fn wall_clock() -> Implementation {
    let config = Config::default().with_versioning(Versioning::WallClock);
    Implementation {
        name: "quorum-clock",
        summary: "N=3, R=2, W=2; the last write wins, by the writer's wall clock",
        claims: &[Guarantee::Convergence, Guarantee::VersionSafety, Guarantee::Availability],
        disclaims: &[
            Guarantee::Linearizability,
            Guarantee::RegularReads,
            Guarantee::MonotonicReads,
            Guarantee::ReadYourWrites,
            Guarantee::Durability,
        ],
        ..with(config.clone())
    }
    .among_processes::<Store>(config)
}

/// R + W ≤ N.
pub fn partial() -> Implementation {
    let config = Config::default().with_quorums(3, 1, 1);
    Implementation {
        name: "quorum-partial",
        summary: "N=3, R=1, W=1; a read may miss the last write",
        claims: &[Guarantee::Convergence, Guarantee::VersionSafety, Guarantee::Availability],
        disclaims: &[
            Guarantee::Linearizability,
            Guarantee::RegularReads,
            Guarantee::MonotonicReads,
            Guarantee::ReadYourWrites,
            Guarantee::Durability,
        ],
        ..with(config.clone())
    }
    .among_processes::<Store>(config)
}

/// The words and invariants of the quorum store.
struct Store;

fn key(key: u32) -> Key {
    Key::from(format!("key {key}").as_str())
}

impl Pattern for Store {
    type Node = Replica;
    type Monitor = Onlooker<Monitor, sometimes::Last>;

    const SOMETIMES: &'static [&'static str] = sometimes::CATALOGUE;

    fn request(op: Op) -> Request {
        match op {
            Op::Read { key: which, .. } => Request::get(key(which)),
            Op::Write { key: which, value, .. } => {
                Request::put(key(which), Value::from(value.to_be_bytes().as_slice()))
            }
            Op::Lead
            | Op::Open
            | Op::Change(_)
            | Op::Committed
            | Op::Inspect { .. }
            | Op::Acquire { .. }
            | Op::Renew { .. }
            | Op::Release { .. } => unreachable!("a register workload asks for registers"),
        }
    }

    fn answer(response: Response) -> Answer {
        match response {
            Ok(Reply::Value { value: None, .. }) => Ok(Outcome::Value(None)),
            Ok(Reply::Value { value: Some(value), .. }) => {
                // Only the suite writes, and it writes eight bytes.
                let number = value.as_bytes().try_into().map(u64::from_be_bytes);
                Ok(Outcome::Value(Some(number.expect("what was written is read whole"))))
            }
            Ok(Reply::Written { .. }) => Ok(Outcome::Written),
            Ok(Reply::Status(_)) => Err(Refusal::Unknown),
            Err(error) => Err(match error {
                Error::Unknown { .. } => Refusal::Unknown,
                Error::Unavailable { .. }
                | Error::TimedOut { .. }
                | Error::Overloaded { .. }
                | Error::InvalidQuorum { .. } => Refusal::Unavailable,
            }),
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
        let (id, replica, _) = stepped;
        let (last, marks) = onlooker.of(id);
        sometimes::notice(last, stepped, marks);
        onlooker.monitor.observe(replica).map_err(|broken| {
            let what = format!("{}: {}", broken.guarantee, broken.what);
            Violation::new(Guarantee::VersionSafety, what)
        })
    }

    fn settled(nodes: &mut dyn Iterator<Item = Seen<'_, Self::Node>>) -> bool {
        let moving = ["hints", "operations", "suspected"];
        let mut gauges = nodes.flat_map(|(_, replica, _)| replica.gauges());
        gauges.all(|(name, count)| count == 0 || !moving.contains(&name))
    }

    fn converged(nodes: &mut dyn Iterator<Item = Seen<'_, Self::Node>>) -> Result<(), String> {
        invariants::converged(nodes.map(|(_, replica, _)| replica))
    }
}
