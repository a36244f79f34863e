//! One run, as a page shows it: who was how when, what was said, what went wrong, and what of it
//! broke a guarantee.
//!
//! A recording does not care where it came from. It is made of a run's history, which every world
//! has, and of its trace, which only the simulated world keeps; without a trace it has no node
//! lanes, and says so.
//!
//! ```text
//!  history ─ calls, holds, accesses ──▶ operations ─┐
//!  trace ─── states, messages, faults ─▶ lanes ─────┼─▶ Recording ─▶ page · export
//!  violations ──────────────────────────▶ findings ─┘
//! ```

mod contradiction;
mod faults;
mod findings;
mod operations;
mod trace;

use std::time::Duration;

use cluster::{NodeId, Role, Timestamp};
use serde::Serialize;

use crate::case::Case;
use crate::guarantee::Guarantee;
use crate::history::{Access, Hold, Window};
use crate::implementation::World;
use crate::run::Report;

/// What a run was of; what cannot be learned from its report.
#[derive(Clone, Debug)]
pub struct About<'a> {
    /// The name of what was judged.
    pub implementation: &'a str,
    /// What it claims of such a run: nothing, of one beyond what it can survive.
    pub claims: &'a [Guarantee],
    /// What was run.
    pub case: &'a Case,
    /// What happens in it, in a sentence.
    pub summary: &'a str,
    /// The command that makes the run again.
    pub replay: String,
}

/// Everything that a run's page shows.
#[derive(Clone, Debug, Serialize)]
pub struct Recording {
    /// What was judged.
    pub implementation: String,
    /// The scenario's name.
    pub scenario: String,
    /// What happens in it, in a sentence.
    pub summary: String,
    /// Where it ran.
    pub world: World,
    /// Its seed.
    pub seed: u64,
    /// All nodes.
    pub nodes: Vec<NodeId>,
    /// How long faults lasted.
    pub span: Duration,
    /// When it was over.
    pub end: Timestamp,
    /// When faults stopped for good.
    pub healed: Option<Timestamp>,
    /// The command that makes the run again.
    pub replay: String,
    /// What did not hold. Claims that were broken come first.
    pub findings: Vec<Finding>,
    /// How nodes were, in order of time; the names of gauges are at [`Recording::gauges`].
    pub states: Vec<StateChange>,
    /// Every gauge that some node tells, in the order in which nodes tell them.
    pub gauges: Vec<&'static str>,
    /// What nodes sent each other, in order of sending.
    pub messages: Vec<Message>,
    /// What was wrong, and from when to when; in order of begin.
    pub bands: Vec<Band>,
    /// What else happened to nodes, in order.
    pub events: Vec<Event>,
    /// What clients asked, in order of call.
    pub operations: Vec<Operation>,
    /// What clients believed of locks, in order of grant.
    pub holds: Vec<Hold>,
    /// What clients did to what the locks guard, in order.
    pub accesses: Vec<Access>,
    /// When service was due, in order.
    pub windows: Vec<Window>,
    /// The schedule that the run was made of, as text, if it was written down.
    pub schedule: Option<String>,
    /// The least schedule that fails the same way, as text, if one was looked for.
    pub shrunk: Option<String>,
    /// The page of the run that it makes, if there is one.
    pub shrunk_page: Option<String>,
}

/// A guarantee that did not hold, and where to look.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// Which.
    pub guarantee: Guarantee,
    /// Whether the implementation claims it.
    pub claimed: bool,
    /// What was seen, in a sentence.
    pub sentence: String,
    /// What was seen, in the judge's words.
    pub detail: String,
    /// When it showed, if that is known.
    pub at: Option<Timestamp>,
    /// The nodes concerned, as far as they are known.
    pub nodes: Vec<NodeId>,
    /// The operations concerned, as far as they are known: indexes into
    /// [`Recording::operations`].
    pub operations: Vec<usize>,
    /// The holds concerned, as far as they are known: indexes into [`Recording::holds`].
    pub holds: Vec<usize>,
    /// For linearizability: what contradicts what.
    pub contradiction: Option<Contradiction>,
}

/// Why a history of one register has no order.
#[derive(Clone, Debug, Serialize)]
pub struct Contradiction {
    /// Which register.
    pub key: Option<String>,
    /// A longest order, with what the register holds after each step.
    pub order: Vec<Placed>,
    /// The operation that nothing explains: an index into [`Recording::operations`].
    pub stuck: usize,
    /// What the register could hold where it would have to be explained.
    pub states: Vec<String>,
    /// What was open at that time and does not help: indexes into [`Recording::operations`].
    pub beside: Vec<usize>,
    /// A least set of operations that already have no order, in order of call. Without any one of
    /// them (a write goes together with the reads that saw it) the others have one.
    pub core: Vec<usize>,
    /// Why those have no order, a step a line.
    pub because: Vec<String>,
}

/// An operation in an order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Placed {
    /// An index into [`Recording::operations`].
    pub operation: usize,
    /// What the register holds after it.
    pub state: String,
}

/// How a node is from a moment on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct StateChange {
    /// From when.
    pub at: Timestamp,
    /// Which node.
    pub node: NodeId,
    /// Whether it runs.
    pub condition: Condition,
    /// What part it plays, if it runs.
    pub role: Option<Role>,
    /// Its epoch (term), if it runs.
    pub epoch: u64,
    /// Whom it takes for leader.
    pub leader: Option<NodeId>,
    /// What it tells of itself: index into [`Recording::gauges`], and value.
    pub gauges: Vec<(usize, u64)>,
}

/// Whether a process runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// It runs.
    Up,
    /// It is stopped as by SIGSTOP.
    Paused,
    /// It is down.
    Down,
}

/// A message between nodes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Message {
    /// Who sent it.
    pub from: NodeId,
    /// To whom.
    pub to: NodeId,
    /// When it left.
    pub sent: Timestamp,
    /// When it reached the receiver's host: never if it was lost or cut, twice if it was doubled.
    pub arrivals: Vec<Timestamp>,
    /// Whether the receiver took notice of it at least once. What reaches a dead host is dropped;
    /// what reaches a paused one waits.
    pub heard: bool,
    /// What it says.
    pub text: String,
}

/// Something that was wrong for a while, or, if it begins and ends at once, that was done once.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Band {
    /// Since when.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// Whom it touches.
    pub place: Place,
    /// What it is, in a few words.
    pub label: String,
}

/// Whom a fault touches.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// One node.
    Node(NodeId),
    /// Links between sides, each of which hears itself. A node of no side hears, and is heard by,
    /// all.
    Between(Vec<Vec<NodeId>>),
    /// Links one way: from those to these.
    OneWay(Vec<NodeId>, Vec<NodeId>),
    /// All links.
    Links,
}

/// Something that happened to a node and is no message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// To which node; to all, or to none in particular, if none.
    pub node: Option<NodeId>,
    /// What sort of thing.
    pub kind: EventKind,
    /// What, in a line.
    pub text: String,
}

/// Sorts of events.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// A process started, or refused to.
    Boot,
    /// A process died.
    Death,
    /// A fault was injected, or ended.
    Fault,
    /// A client's request reached a node.
    Request,
    /// A node wrote to its disk, or its disk ended a sync.
    Disk,
}

/// A call of a client.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Operation {
    /// Who called.
    pub process: u32,
    /// Which node was asked last.
    pub node: NodeId,
    /// When it was called.
    pub invoked: Timestamp,
    /// When the client had the answer, or gave up.
    pub returned: Timestamp,
    /// How it ended.
    pub end: Ending,
    /// Whether it reads, writes, or does something else.
    pub kind: OperationKind,
    /// What it was, in as few letters as may be: `k2 ← 17`.
    pub label: String,
    /// What it was, and how it ended, in full.
    pub text: String,
}

/// How a call ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// It took effect.
    Done,
    /// It had no effect.
    Refused,
    /// Nobody knows.
    Unknown,
}

/// What a call does to its object.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OperationKind {
    /// It looks.
    Read,
    /// It changes.
    Write,
    /// It takes a lock, or gives it back, or asks who leads.
    Other,
}

impl Recording {
    /// The recording of the run that `report` tells of. A run that was made without a trace has
    /// nothing to show; one in a world that keeps none has only what clients saw.
    pub fn of(about: About<'_>, report: &Report) -> Self {
        let About { implementation, claims, case, summary, replay } = about;
        let Report { history, trace, violations, .. } = report;
        let end = Timestamp::ZERO + report.elapsed;
        let (operations, places) = operations::operations(history);
        let mut holds = history.holds.clone();
        holds.sort_by_key(|hold| (hold.granted, hold.token));
        let lanes = trace::lanes(trace);
        let mut recording = Self {
            implementation: implementation.to_owned(),
            scenario: case.scenario.clone(),
            summary: summary.to_owned(),
            world: case.world,
            seed: case.seed,
            nodes: (1..).take(case.nodes).map(NodeId::new).collect(),
            span: case.span,
            end,
            healed: history.healed,
            replay,
            findings: Vec::new(),
            states: lanes.states,
            gauges: lanes.gauges,
            messages: lanes.messages,
            bands: faults::bands(trace, end),
            events: lanes.events,
            operations,
            holds,
            accesses: history.accesses.clone(),
            windows: history.windows.clone(),
            schedule: None,
            shrunk: None,
            shrunk_page: None,
        };
        let contradiction = contradiction::find(history, &places);
        recording.findings = violations
            .iter()
            .map(|violation| {
                let claimed = claims.contains(&violation.guarantee);
                findings::finding(&recording, violation, claimed, contradiction.as_ref())
            })
            .collect();
        recording.findings.sort_by_key(|finding| !finding.claimed);
        recording
    }

    /// With the schedule that it was made of, and the least one that fails the same way, as text.
    #[must_use]
    pub fn with_schedules(mut self, original: Option<String>, shrunk: Option<String>) -> Self {
        self.schedule = original;
        self.shrunk = shrunk;
        self
    }

    /// With `guarantee` first among what did not hold: what the page is about.
    #[must_use]
    pub fn on(mut self, guarantee: Guarantee) -> Self {
        self.findings.sort_by_key(|finding| finding.guarantee != guarantee);
        self
    }
}

/// `at` as pages print it: milliseconds, to the microsecond.
pub(crate) fn millis(at: Timestamp) -> String {
    let micros = at.as_nanos() / 1_000;
    format!("{}.{:03} ms", micros / 1_000, micros % 1_000)
}
