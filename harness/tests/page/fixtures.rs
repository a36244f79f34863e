//! Recordings to make pages of.

use std::time::Duration;

use cluster::{NodeId, Role, Timestamp};
use harness::case::{Case, Options};
use harness::guarantee::Guarantee;
use harness::implementation::{Implementation, World};
use harness::recording::{
    About, Band, Condition, Ending, Finding, Message, Operation, OperationKind, Place, Recording,
    StateChange,
};
use harness::run::{Report, run_case};
use harness::scenario::Scenario;
use harness::suite;

/// A traced run, and what it was of.
pub(crate) struct Traced {
    pub(crate) implementation: Implementation,
    pub(crate) scenario: Scenario,
    pub(crate) case: Case,
    pub(crate) report: Report,
}

/// The run of the least seed, with a trace.
pub(crate) fn traced(implementation: &str, scenario: &str) -> Traced {
    first(implementation, scenario, |_| true)
}

/// The run of the least seed that breaks `guarantee`, with a trace.
pub(crate) fn broken(implementation: &str, scenario: &str, guarantee: Guarantee) -> Traced {
    first(implementation, scenario, |report| {
        report.violations.iter().any(|violation| violation.guarantee == guarantee)
    })
}

fn first(implementation: &str, scenario: &str, is_it: impl Fn(&Report) -> bool) -> Traced {
    let implementation = harness::implementations::named(implementation).expect("known");
    let scenario = Scenario::named(scenario).expect("known");
    (1..200)
        .map(|seed| {
            let span = suite::SPAN;
            let options = Options { world: World::Sim, seed, nodes: None, span, trace: true };
            let case = Case::draw(&implementation, &scenario, &options);
            let report = run_case(&implementation, &case, true).expect("it can be run");
            Traced { implementation: implementation.clone(), scenario, case, report }
        })
        .find(|traced| is_it(&traced.report))
        .expect("some seed is like that")
}

fn recorded(traced: &Traced) -> Recording {
    let Traced { implementation, scenario, case, report } = traced;
    let about = About {
        implementation: implementation.name,
        claims: implementation.claims,
        case,
        summary: scenario.summary,
        replay: format!(
            "cargo xtask conformance --implementation {} --scenario {} --world sim --seed {}",
            implementation.name, scenario.name, case.seed
        ),
    };
    Recording::of(about, report)
}

/// A reader sees a value that had been overwritten before it asked.
pub(crate) fn stale_read() -> Recording {
    let guarantee = Guarantee::Linearizability;
    let traced = broken("quorum-partial", "steady", guarantee);
    recorded(&traced).on(guarantee).with_schedules(
        Some("scenario = \"steady\"\nnodes = 5\nspan = \"6s\"\n".to_owned()),
        Some("scenario = \"steady\"\nnodes = 3\nspan = \"200ms\"\n".to_owned()),
    )
}

/// Two nodes act as leader at once, on either side of a partition.
pub(crate) fn split_brain() -> Recording {
    let guarantee = Guarantee::NoSplitBrain;
    recorded(&broken("bully-textbook", "minority-partition", guarantee)).on(guarantee)
}

/// Two clients believe to hold one lock.
pub(crate) fn shared_lock() -> Recording {
    let guarantee = Guarantee::MutualExclusion;
    recorded(&broken("dlock", "lock-holder-pause", guarantee)).on(guarantee)
}

fn at(nanos: u64) -> Timestamp {
    Timestamp::from_nanos(nanos)
}

fn node(number: u64) -> NodeId {
    NodeId::new(u32::try_from(number % 5 + 1).expect("small"))
}

fn large_states() -> Vec<StateChange> {
    let states = (0..6_000u64).map(|index| StateChange {
        at: at(index * 10_000_000),
        node: node(index),
        condition: Condition::Up,
        role: Some(if index % 5 == index / 1_000 { Role::Leader } else { Role::Follower }),
        epoch: index / 1_000 + 1,
        leader: Some(node(index / 1_000)),
        gauges: vec![(0, index)],
    });
    states.collect()
}

fn large_operations() -> Vec<Operation> {
    let operations = (0..20_000u64).map(|index| Operation {
        process: u32::try_from(index % 8).expect("small"),
        node: node(index),
        invoked: at(index * 2_900_000),
        returned: at(index * 2_900_000 + 1_500_000),
        end: Ending::Done,
        kind: if index % 2 == 0 { OperationKind::Read } else { OperationKind::Write },
        label: format!("k1 ← {index}"),
        text: format!("write k1 ← {index}, done"),
    });
    operations.collect()
}

/// A run of so many messages, made by hand: five nodes, eight clients, a minute.
pub(crate) fn large(messages: u64) -> Recording {
    let end = 60_000_000_000;
    let sent = |index: u64| index * (end - 10_000_000) / messages;
    let messages = (0..messages).map(|index| Message {
        from: node(index),
        to: node(index + 1 + index % 4),
        sent: at(sent(index)),
        arrivals: match index % 50 {
            0 => Vec::new(),
            1 => vec![at(sent(index) + 400_000), at(sent(index) + 9_000_000)],
            _ => vec![at(sent(index) + 300_000 + index * 7_919 % 500_000)],
        },
        heard: index % 50 != 0,
        text: format!("Append {{ term: t{}, entries: [{index}] }}", index / 10_000),
    });
    let bands = (0..60u64).map(|index| Band {
        from: at(index * 1_000_000_000),
        until: at(index * 1_000_000_000 + 600_000_000),
        place: if index % 2 == 0 { Place::Node(node(index)) } else { Place::Links },
        label: if index % 2 == 0 { "down: crashed" } else { "links: 10 % lost" }.to_owned(),
    });
    Recording {
        implementation: "made by hand".to_owned(),
        scenario: "large".to_owned(),
        summary: "very much happens".to_owned(),
        world: World::Sim,
        seed: 7,
        nodes: (0..5).map(node).collect(),
        span: Duration::from_secs(60),
        end: at(end),
        healed: None,
        replay: "true".to_owned(),
        findings: vec![Finding {
            guarantee: Guarantee::Availability,
            claimed: true,
            sentence: "Nobody served.".to_owned(),
            detail: "nobody served".to_owned(),
            at: Some(at(30_000_000_000)),
            nodes: Vec::new(),
            operations: vec![10_000],
            holds: Vec::new(),
            contradiction: None,
        }],
        states: large_states(),
        gauges: vec!["log entries"],
        messages: messages.collect(),
        bands: bands.collect(),
        events: Vec::new(),
        operations: large_operations(),
        holds: Vec::new(),
        accesses: Vec::new(),
        windows: Vec::new(),
        schedule: None,
        shrunk: None,
        shrunk_page: None,
    }
}
