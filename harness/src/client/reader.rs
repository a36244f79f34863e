//! A client that reads and writes registers.

use cluster::{Rng, Timestamp};

use crate::history::{Call, End};
use crate::vocabulary::{Op, Outcome, ReadPath, Ticket};

use super::caller::done;
use super::{Context, Habit, Next, THINK};

/// How many registers a run has: few, so that clients meet.
const KEYS: u32 = 3;

/// Reads and writes registers at random, and at the end reads each once more.
#[derive(Debug)]
pub(crate) struct Reader {
    session: Session,
    /// The ways it may read.
    paths: &'static [ReadPath],
    /// The keys still to be read before it is done, once it is finishing.
    last_reads: Option<Vec<u32>>,
}

/// How it writes.
#[derive(Debug)]
enum Session {
    /// As it is: what may have been done is not asked for again.
    Unwanted,
    /// In a session that is yet to be opened.
    Wanted,
    /// In this session; the ticket of its last command, sequence zero if there was none.
    Open(Ticket),
}

impl Reader {
    /// A client that writes in sessions, or not, and reads in all these ways.
    pub(crate) fn new(in_sessions: bool, paths: &'static [ReadPath]) -> Self {
        let session = if in_sessions { Session::Wanted } else { Session::Unwanted };
        Self { session, paths, last_reads: None }
    }

    fn read(&self, key: u32, rng: &mut Rng) -> Op {
        let path = match self.paths {
            [] => ReadPath::Usual,
            [only] => *only,
            several => several[rng.index(several.len())],
        };
        Op::Read { key, path }
    }

    fn write(&mut self, key: u32, context: &mut Context<'_>) -> Op {
        let ticket = match &mut self.session {
            Session::Unwanted => None,
            Session::Wanted => return Op::Open,
            Session::Open(ticket) => {
                ticket.sequence += 1;
                Some(*ticket)
            }
        };
        Op::Write { key, value: context.number(), ticket }
    }
}

impl Habit for Reader {
    fn next(&mut self, context: &mut Context<'_>, rng: &mut Rng) -> Next {
        let last = self.last_reads.as_ref().and_then(|reads| reads.first());
        if let Some(&key) = last {
            return Next::Call(self.read(key, rng));
        }
        let key = rng.below(u64::from(KEYS)) as u32;
        Next::Call(if rng.chance(500_000) { self.write(key, context) } else { self.read(key, rng) })
    }

    fn ended(&mut self, context: &mut Context<'_>, rng: &mut Rng, call: &Call) -> Timestamp {
        if let (Some(reads), Op::Read { key, .. }) = (&mut self.last_reads, &call.op)
            && done(call).is_some()
        {
            reads.retain(|left| left != key);
        }
        match (&call.op, &call.end) {
            (Op::Open, End::Done(Outcome::Opened { session })) => {
                self.session = Session::Open(Ticket { session: *session, sequence: 0 });
            }
            // It may still be carried out, or the session has ended.
            (Op::Write { ticket: Some(_), .. }, End::Unknown) => self.session = Session::Wanted,
            (_, End::Done(_) | End::Refused(_) | End::Unknown) => {}
        }
        context.now() + rng.span(THINK)
    }

    fn finish(&mut self) {
        self.last_reads.get_or_insert_with(|| (0..KEYS).collect());
    }

    fn finished(&self) -> bool {
        self.last_reads.as_ref().is_some_and(Vec::is_empty)
    }

    fn die(&mut self, _context: &mut Context<'_>) {
        if let Session::Open(_) = self.session {
            self.session = Session::Wanted;
        }
    }
}
