//! The leader's reading of the replicated time.

use std::hash::Hash;
use std::time::Duration;

use cluster::Timestamp;
use cluster::explore::{Fingerprint, Frame};
use raft::Term;

use crate::LogTime;

/// How a leader stamps commands: it takes over the last time in its log, and counts on by its own
/// monotonic clock from the moment it knows that it leads.
///
/// ```text
///  log time   … ──────────●                 ●───────────────
///                last entry of term 3       first of term 4
///  true time  … ──────────●── nobody leads ─●───────────────
/// ```
/// The time between, in which nobody led, does not count. So log time never runs faster than true
/// time (as far as the leaders' clocks do not), and a failover can only lengthen a lease.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogClock {
    pub(crate) term: Term,
    base: LogTime,
    since: Timestamp,
    last: LogTime,
}

impl LogClock {
    /// The clock of a leader of `term` that knows of it at `now` and whose log ends at `base`.
    pub(crate) fn start(term: Term, base: LogTime, now: Timestamp) -> Self {
        Self { term, base, since: now, last: base }
    }

    /// What it shows at `now`.
    pub(crate) fn read(&self, now: Timestamp) -> LogTime {
        self.base.after(now.since(self.since)).max(self.last)
    }

    /// The stamp for a command proposed at `now`: not before any other.
    pub(crate) fn stamp(&mut self, now: Timestamp) -> LogTime {
        self.last = self.read(now);
        self.last
    }

    /// The latest stamp in the log, committed or not.
    pub(crate) fn last(&self) -> LogTime {
        self.last
    }

    /// Writes all that decides what it will show.
    pub(crate) fn fingerprint(&self, frame: &Frame<'_>, into: &mut Fingerprint) {
        (self.term, self.base, self.last).hash(into);
        frame.span(self.since).hash(into);
    }

    /// When, on the leader's own clock, it will show `at`.
    pub(crate) fn when(&self, at: LogTime) -> Timestamp {
        let ahead: Duration = at.since(self.base);
        self.since + ahead
    }
}

/// A replica's own clock, for the planted bug of consulting it while applying. Without the feature
/// `mutants` it has no size and shows nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnClock {
    #[cfg(feature = "mutants")]
    shown: std::sync::Arc<std::sync::atomic::AtomicU64>,
}

impl OwnClock {
    #[cfg(feature = "mutants")]
    pub(crate) fn set(&self, now: Timestamp) {
        self.shown.store(now.as_nanos(), std::sync::atomic::Ordering::Relaxed);
    }

    #[cfg(not(feature = "mutants"))]
    pub(crate) fn set(&self, _now: Timestamp) {}

    #[cfg(feature = "mutants")]
    pub(crate) fn read(&self) -> LogTime {
        LogTime::from_nanos(self.shown.load(std::sync::atomic::Ordering::Relaxed))
    }

    #[cfg(not(feature = "mutants"))]
    pub(crate) fn read(&self) -> LogTime {
        LogTime::ZERO
    }
}
