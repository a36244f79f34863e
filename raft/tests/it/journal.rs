//! The machine that the tests replicate: a list that grows.
//!
//! What a write returns is the place it got, so a history of writes and reads can be judged exactly:
//! see [`History::judge`].

use cluster::Timestamp;
use raft::{Image, LogIndex, StateMachine};
use serde::{Deserialize, Serialize};

/// Every value appended, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Journal {
    pub(crate) values: Vec<u64>,
    last: LogIndex,
}

impl StateMachine for Journal {
    type Command = u64;
    /// The place of the value, from zero.
    type Output = usize;
    type Query = ();
    /// How many values there are.
    type Answer = usize;
    type Snapshot = Image<Self>;

    fn apply(&mut self, index: LogIndex, command: &u64) -> usize {
        self.last = index;
        self.values.push(*command);
        self.values.len() - 1
    }

    fn query(&self, (): &()) -> usize {
        self.values.len()
    }
}

/// A write or read that was answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done {
    pub(crate) asked: Timestamp,
    pub(crate) answered: Timestamp,
    pub(crate) what: What,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    Wrote { value: u64, place: usize },
    Read { len: usize },
}

/// What clients saw.
#[derive(Default)]
pub(crate) struct History {
    pub(crate) done: Vec<Done>,
}

impl History {
    pub(crate) fn push(&mut self, asked: Timestamp, answered: Timestamp, what: What) {
        self.done.push(Done { asked, answered, what });
    }

    pub(crate) fn writes(&self) -> impl Iterator<Item = (u64, usize)> + '_ {
        self.done.iter().filter_map(|done| match done.what {
            What::Wrote { value, place } => Some((value, place)),
            What::Read { .. } => None,
        })
    }

    /// Whether the answers are those of one journal that each request met at one moment between
    /// its beginning and its end, and that ended as `values`.
    ///
    /// Each answer says how long the journal was at that moment: a write at place `p` found `p`
    /// values and left `p + 1`; a read of `n` found and left `n`. So it is enough that no answer
    /// found less than an earlier one left.
    pub(crate) fn judge(&self, values: &[u64]) -> Result<(), String> {
        for (value, place) in self.writes() {
            if values.get(place) != Some(&value) {
                let found = values.get(place);
                return Err(format!("{value} was written at place {place}, where {found:?} is"));
            }
        }
        let mut by_end: Vec<&Done> = self.done.iter().collect();
        by_end.sort_by_key(|done| done.answered);
        let mut by_start: Vec<&Done> = self.done.iter().collect();
        by_start.sort_by_key(|done| done.asked);
        let mut left: Option<&Done> = None;
        let mut ended = by_end.into_iter().peekable();
        for later in by_start {
            while let Some(earlier) = ended.next_if(|earlier| earlier.answered < later.asked) {
                if left.is_none_or(|most| most.what.left() < earlier.what.left()) {
                    left = Some(earlier);
                }
            }
            if let Some(earlier) = left
                && later.what.found() < earlier.what.left()
            {
                return Err(format!("{later:?} does not know of {earlier:?}"));
            }
        }
        Ok(())
    }
}

impl What {
    fn found(self) -> usize {
        match self {
            Self::Wrote { place, .. } => place,
            Self::Read { len } => len,
        }
    }

    fn left(self) -> usize {
        match self {
            Self::Wrote { place, .. } => place + 1,
            Self::Read { len } => len,
        }
    }
}

mod tests {
    use super::*;

    #[track_caller]
    fn check(done: &[(u64, u64, What)], legal: bool) {
        let mut history = History::default();
        for &(asked, answered, what) in done {
            let at = Timestamp::from_millis;
            history.push(at(asked), at(answered), what);
        }
        assert_eq!(history.judge(&[10, 11, 12]).is_ok(), legal, "{done:?}");
    }

    /// The judge itself: it must not pass everything.
    #[test]
    fn the_judge_tells_right_from_wrong() {
        let wrote = |value, place| What::Wrote { value, place };
        check(&[(0, 1, wrote(10, 0)), (2, 3, wrote(11, 1))], true);
        check(&[(0, 3, wrote(11, 1)), (1, 2, wrote(10, 0))], true);
        check(&[(0, 1, wrote(11, 1)), (2, 3, wrote(10, 0))], false);
        check(&[(0, 1, wrote(10, 1))], false);
        check(&[(0, 1, wrote(10, 0)), (2, 3, What::Read { len: 0 })], false);
        check(&[(0, 2, wrote(10, 0)), (1, 3, What::Read { len: 0 })], true);
        check(&[(0, 1, What::Read { len: 1 }), (2, 3, wrote(10, 0))], false);
    }
}
