//! A client that reads and writes registers.

use cluster::{Rng, Timestamp};

use crate::history::Call;
use crate::vocabulary::Op;

use super::caller::done;
use super::{Context, Habit, Next, THINK};

/// How many registers a run has: few, so that clients meet.
const KEYS: u32 = 3;

/// Reads and writes registers at random, and at the end reads each once more.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    /// The keys still to be read before it is done, once it is finishing.
    last_reads: Option<Vec<u32>>,
}

impl Habit for Reader {
    fn next(&mut self, context: &mut Context<'_>, rng: &mut Rng) -> Next {
        let last = self.last_reads.as_ref().and_then(|reads| reads.first());
        if let Some(&key) = last {
            return Next::Call(Op::Read { key });
        }
        let key = rng.below(u64::from(KEYS)) as u32;
        Next::Call(if rng.chance(500_000) {
            Op::Write { key, value: context.number() }
        } else {
            Op::Read { key }
        })
    }

    fn ended(&mut self, context: &mut Context<'_>, rng: &mut Rng, call: &Call) -> Timestamp {
        if let (Some(reads), Op::Read { key }) = (&mut self.last_reads, &call.op)
            && done(call).is_some()
        {
            reads.retain(|left| left != key);
        }
        context.now() + rng.span(THINK)
    }

    fn finish(&mut self) {
        self.last_reads.get_or_insert_with(|| (0..KEYS).collect());
    }

    fn finished(&self) -> bool {
        self.last_reads.as_ref().is_some_and(Vec::is_empty)
    }
}
