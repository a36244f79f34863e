//! What a leader knows of one follower.

use std::collections::VecDeque;

use crate::install::Transfer;
use crate::{Kind, LogIndex, Round};

/// How far one follower has come, as its leader sees it.
///
/// A leader that does not know where the follower's log agrees with its own *probes*: one append at
/// a time. Once one is accepted it *streams*: it sends ahead without waiting, up to a bound. When
/// something is refused, as it is after a loss, it probes again. A follower that lacks what the
/// leader no longer has *installs* a snapshot first.
///
/// Guarantee: `matched < next`.
#[derive(Debug, Clone, Hash)]
pub(crate) struct Progress {
    /// Invariant: up to here the follower's log equals the leader's, durably. Never decreases, for what is known of
    /// another disk is [forgotten](Progress::unknown).
    pub(crate) matched: LogIndex,
    /// The next index to send.
    pub(crate) next: LogIndex,
    pub(crate) pace: Pace,
    /// The latest round of reading that the follower has answered.
    pub(crate) round: Round,
    /// Whether something must be sent in the next flush, be it empty.
    pub(crate) due: bool,
    /// How many heartbeats it has left unanswered, since the leader holds a snapshot.
    pub(crate) silent: u16,
    /// Whether it takes no part any more, holds the entry that says so, and was told that this is
    /// committed.
    pub(crate) told: bool,
    /// What it is taken for.
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone, Hash)]
pub(crate) enum Pace {
    /// One append at a time; `asked` while its answer is awaited.
    Probe { asked: bool },
    /// Ahead of the answers.
    Stream {
        /// The last index and the size of each append that is not answered.
        inflight: VecDeque<(LogIndex, usize)>,
        /// Invariant: the sum of their sizes.
        bytes: usize,
    },
    /// No appends; a snapshot.
    Install(Transfer),
}

impl Progress {
    /// Of a follower that nothing is known of, for a leader whose log ends at `last`.
    pub(crate) fn unknown(last: LogIndex, kind: Kind) -> Self {
        Self {
            matched: LogIndex::ZERO,
            next: last.next(),
            pace: Pace::Probe { asked: false },
            round: Round::ZERO,
            due: true,
            silent: 0,
            told: false,
            kind,
        }
    }

    /// The follower matches up to `index`. An old acknowledgement changes nothing.
    pub(crate) fn matched(&mut self, index: LogIndex) {
        self.matched = self.matched.max(index);
        self.next = self.next.max(self.matched.next());
        match &mut self.pace {
            Pace::Probe { .. } => {
                self.pace = Pace::Stream { inflight: VecDeque::new(), bytes: 0 };
            }
            Pace::Stream { inflight, bytes } => {
                while let Some(&(_, size)) = inflight.front().filter(|(last, _)| *last <= index) {
                    inflight.pop_front();
                    *bytes -= size;
                }
            }
            Pace::Install(transfer) => {
                if index >= transfer.covers() {
                    self.pace = Pace::Stream { inflight: VecDeque::new(), bytes: 0 };
                }
            }
        }
    }

    /// The follower did not hold the leader's entry at `prev`; the logs may agree up to `agree`.
    /// False if this is old news, or contradicts what the follower acknowledged: then nothing has
    /// changed.
    pub(crate) fn refused(&mut self, prev: LogIndex, agree: LogIndex) -> bool {
        let current = match &self.pace {
            Pace::Probe { .. } => prev == self.next.prev(),
            Pace::Stream { .. } => true,
            Pace::Install(_) => false,
        };
        if !current || prev <= self.matched {
            return false;
        }
        self.next = agree.next().min(prev).max(self.matched.next());
        self.pace = Pace::Probe { asked: false };
        true
    }

    /// Whether an append with entries may be sent now, if so many appends of so many bytes together
    /// may be without an answer. One may be, however large it is.
    pub(crate) fn may_send(&self, (inflight_max, bytes_max): (usize, usize)) -> bool {
        match &self.pace {
            Pace::Probe { asked } => !asked,
            Pace::Stream { inflight, bytes } => inflight.len() < inflight_max && *bytes < bytes_max,
            Pace::Install(_) => false,
        }
    }

    /// `count` entries from `next` on are on their way, of `size` bytes together.
    pub(crate) fn sent(&mut self, count: usize, size: usize) {
        match &mut self.pace {
            Pace::Probe { asked } => *asked = true,
            Pace::Stream { inflight, bytes } => {
                if count > 0 {
                    self.next = self.next.plus(count);
                    inflight.push_back((self.next.prev(), size));
                    *bytes += size;
                }
            }
            Pace::Install(_) => {}
        }
    }
}
