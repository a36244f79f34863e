//! Figures, by the facade `metrics`. The README has the table of them.

use std::time::Duration;

use cluster::NodeId;
use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};

use super::Kind;
use crate::{CallError, Event, Status};

const KINDS: [Kind; 6] =
    [Kind::Write, Kind::Read, Kind::Transfer, Kind::Change, Kind::Status, Kind::Session];

/// What calls come to.
pub(super) struct Calls([Call; KINDS.len()]);

struct Call {
    seconds: Histogram,
    retries: Counter,
    outcomes: [Counter; Outcome::ALL.len()],
}

impl Calls {
    pub(super) fn new(group: &str) -> Self {
        describe_histogram!("raft_call_seconds", Unit::Seconds, "From a call to its answer");
        describe_counter!("raft_call_retries_total", "How often calls were sent again");
        describe_counter!("raft_calls_total", "Calls that have ended, by outcome");
        let of = |kind: Kind| {
            let (group, call) = (|| group.to_owned(), || kind.to_string());
            Call {
                seconds: histogram!("raft_call_seconds", "group" => group(), "call" => call()),
                retries: counter!("raft_call_retries_total", "group" => group(), "call" => call()),
                outcomes: Outcome::ALL.map(|outcome| {
                    let outcome = outcome.name();
                    counter!("raft_calls_total",
                        "group" => group(), "call" => call(), "outcome" => outcome)
                }),
            }
        };
        Self(KINDS.map(of))
    }

    pub(super) fn ended(&self, kind: Kind, error: Option<&CallError>, elapsed: Duration) {
        let outcome = Outcome::of(error);
        let call = &self.0[kind as usize];
        call.outcomes[outcome as usize].increment(1);
        if outcome == Outcome::Answered {
            call.seconds.record(elapsed);
        }
    }

    pub(super) fn retried(&self, kind: Kind) {
        self.0[kind as usize].retries.increment(1);
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Answered,
    Unavailable,
    Overloaded,
    Refused,
    Unknown,
}

impl Outcome {
    const ALL: [Self; 5] =
        [Self::Answered, Self::Unavailable, Self::Overloaded, Self::Refused, Self::Unknown];

    fn of(error: Option<&CallError>) -> Self {
        match error {
            None => Self::Answered,
            Some(CallError::Unavailable { .. }) => Self::Unavailable,
            Some(CallError::Overloaded) => Self::Overloaded,
            Some(
                CallError::TooLarge { .. }
                | CallError::NoSuchMember
                | CallError::NotCaughtUp
                | CallError::UnfitMember
                | CallError::LastVoter
                | CallError::Witness(_),
            ) => Self::Refused,
            Some(CallError::Unknown { .. }) => Self::Unknown,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Unavailable => "unavailable",
            Self::Overloaded => "overloaded",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        }
    }
}

/// What one node tells.
pub(super) struct Node {
    up: Gauge,
    leader: Gauge,
    replaced: Gauge,
    term: Gauge,
    commit: Gauge,
    applied: Gauge,
    entries: Gauge,
    sessions: Gauge,
    elections: Counter,
    leaderships: Counter,
    abdications: Counter,
    taken: Counter,
    installed: Counter,
    /// Elections that this life of the node is known to have called.
    elections_known: u64,
}

impl Node {
    pub(super) fn new(group: &str, node: NodeId) -> Self {
        Self::describe();
        let of = || [("group", group.to_owned()), ("node", node.to_string())];
        Self {
            up: gauge!("raft_up", &of()),
            leader: gauge!("raft_leader", &of()),
            replaced: gauge!("raft_disk_replaced", &of()),
            term: gauge!("raft_term", &of()),
            commit: gauge!("raft_commit_index", &of()),
            applied: gauge!("raft_applied_index", &of()),
            entries: gauge!("raft_log_entries", &of()),
            sessions: gauge!("raft_sessions", &of()),
            elections: counter!("raft_elections_total", &of()),
            leaderships: counter!("raft_leader_changes_total", &of()),
            abdications: counter!("raft_step_downs_total", &of()),
            taken: counter!("raft_snapshots_taken_total", &of()),
            installed: counter!("raft_snapshots_installed_total", &of()),
            elections_known: 0,
        }
    }

    fn describe() {
        describe_gauge!("raft_up", "Whether the node answers");
        describe_gauge!("raft_leader", "Whether the node leads, as it sees itself");
        describe_gauge!(
            "raft_disk_replaced",
            "Whether the node has lost the disk that it votes on"
        );
        describe_gauge!("raft_term", "The term that the node is in");
        describe_gauge!("raft_commit_index", "How far the node knows the log to be committed");
        describe_gauge!("raft_applied_index", "How far the node has applied the log");
        describe_gauge!("raft_log_entries", "Entries that the node holds in memory");
        describe_gauge!("raft_sessions", "Sessions that are open on the node");
        describe_counter!("raft_elections_total", "Elections in which the node stood");
        describe_counter!("raft_leader_changes_total", "How often the node became leader");
        describe_counter!("raft_step_downs_total", "How often the node ceased to lead");
        describe_counter!("raft_snapshots_taken_total", "Snapshots that the node took");
        describe_counter!("raft_snapshots_installed_total", "Snapshots that the node was sent");
    }

    pub(super) fn heard(&self, event: &Event) {
        match event {
            Event::ElectedLeader { .. } => self.leaderships.increment(1),
            Event::SteppedDown { .. } => self.abdications.increment(1),
            Event::Follows { .. } => {}
            Event::SnapshotTaken { .. } => self.taken.increment(1),
            Event::SnapshotInstalled { .. } => self.installed.increment(1),
        }
    }

    /// How it is doing; nothing, if it does not answer.
    pub(super) fn sampled(&mut self, status: Option<&Status>) {
        self.up.set(f64::from(u8::from(status.is_some())));
        let leads = status.is_some_and(|it| it.role == cluster::Role::Leader);
        self.leader.set(f64::from(u8::from(leads)));
        let Some(status) = status else { return };
        for (gauge, value) in [
            (&self.replaced, status.gauge("disk replaced")),
            (&self.term, status.term.get()),
            (&self.commit, status.commit.get()),
            (&self.applied, status.applied.get()),
            (&self.entries, status.gauge("entries held")),
            (&self.sessions, status.gauge("sessions")),
        ] {
            gauge.set(value as f64);
        }
        // It counts anew after a restart.
        let known = status.gauge("campaigns");
        self.elections.increment(known.checked_sub(self.elections_known).unwrap_or(known));
        self.elections_known = known;
    }
}
