//! `bully`, in both its modes.

use std::time::Duration;

use ::bully::invariants::Monitor;
use ::bully::{Answer as BullyAnswer, Bully, Config, Error, Mode, Request, Response};

use crate::guarantee::{Guarantee, Violation};
use crate::implementation::{Implementation, NODE_WORLDS, Workload, majority, start_with};
use crate::sometimes::{Marks, Onlooker, bully as sometimes};
use crate::subject::{Pattern, Seen};
use crate::vocabulary::{Answer, Op, Outcome, Refusal};

/// Majorities, epochs and leases: the default.
pub fn guarded() -> Implementation {
    with(Config::default()).among_processes::<Elections>(Config::default())
}

/// Guarded, configured so.
pub fn with(config: Config) -> Implementation {
    Implementation {
        name: "bully",
        summary: "the highest live id leads, with a majority's leave and for as long as its lease",
        claims: &[
            Guarantee::ElectionSafety,
            Guarantee::NoSplitBrain,
            Guarantee::LeaderAgreement,
            Guarantee::HighestLeads,
            Guarantee::Availability,
        ],
        disclaims: &[],
        workload: Workload::Elections,
        reads: &[],
        reconfigures: false,
        witness: |_| false,
        worlds: NODE_WORLDS,
        nodes: 5,
        service_needs: majority,
        grace: Duration::from_millis(1_500),
        start: start_with::<Elections>(config),
        serve: None,
    }
}

/// As the textbooks have it: the highest id that hears nobody higher leads.
pub fn textbook() -> Implementation {
    let config = Config::default().with_mode(Mode::Textbook);
    textbook_with(config.clone()).among_processes::<Elections>(config)
}

/// The textbook's, otherwise configured so.
pub fn textbook_with(config: Config) -> Implementation {
    Implementation {
        name: "bully-textbook",
        summary: "the highest id that hears nobody higher leads; no majority, no lease",
        claims: &[Guarantee::LeaderAgreement, Guarantee::HighestLeads, Guarantee::Availability],
        disclaims: &[Guarantee::ElectionSafety, Guarantee::NoSplitBrain],
        ..with(config.with_mode(Mode::Textbook))
    }
}

/// The words and invariants of bully.
struct Elections;

impl Pattern for Elections {
    type Node = Bully;
    type Monitor = Onlooker<Monitor, sometimes::Last>;

    const SOMETIMES: &'static [&'static str] = sometimes::CATALOGUE;

    fn request(op: Op) -> Request {
        match op {
            Op::Lead => Request::Lead,
            Op::Read { .. }
            | Op::Write { .. }
            | Op::Open
            | Op::Change(_)
            | Op::Committed
            | Op::Inspect { .. }
            | Op::Acquire { .. }
            | Op::Renew { .. }
            | Op::Release { .. } => unreachable!("an election workload asks for leaders"),
        }
    }

    fn farewell() -> Option<Request> {
        Some(Request::Resign)
    }

    fn answer(response: Response) -> Answer {
        match response {
            Ok(BullyAnswer::Leading { epoch }) => Ok(Outcome::Leading(epoch)),
            Ok(BullyAnswer::Leader { .. } | BullyAnswer::Resigned) => Err(Refusal::Unknown),
            Err(Error::NotLeader { leader }) => Err(Refusal::NotLeader(leader)),
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
        all: &mut dyn Iterator<Item = Seen<'_, Self::Node>>,
    ) -> Result<(), Violation> {
        let (id, ..) = stepped;
        let (last, marks) = onlooker.of(id);
        sometimes::notice(last, stepped, marks);
        onlooker.monitor.observe(all).map_err(|broken| {
            super::violation(broken.guarantee, broken.what, Guarantee::ElectionSafety)
        })
    }
}
