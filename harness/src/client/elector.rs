//! A client that wants work done by the leader.

use cluster::Rng;

use crate::vocabulary::Op;

use super::{Context, Habit, Next};

/// Asks, again and again, whoever leads to act as leader.
#[derive(Debug, Default)]
pub(crate) struct Elector {
    finishing: bool,
}

impl Habit for Elector {
    fn next(&mut self, _context: &mut Context<'_>, _rng: &mut Rng) -> Next {
        Next::Call(Op::Lead)
    }

    fn finish(&mut self) {
        self.finishing = true;
    }

    fn finished(&self) -> bool {
        self.finishing
    }
}
