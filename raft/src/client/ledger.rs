//! The numbers of a handle's commands in its session.

use std::collections::VecDeque;

use crate::{Sequence, SessionId};

/// A command's place in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) session: SessionId,
    pub(crate) sequence: Sequence,
    /// All lower numbers were answered, or given up, when this one was given out.
    pub(crate) unanswered: Sequence,
}

/// The session that all clones of a handle share, with those, `W`, who wait for it.
///
/// Guarantee: no number is given out twice in one session, and none is given out that is below an
/// [`unanswered`](Slot::unanswered) given out before.
pub(crate) struct Ledger<W> {
    phase: Phase<W>,
}

enum Phase<W> {
    /// There is none: nothing has been written yet, or it has ended.
    None,
    /// One has been asked for.
    Opening(Vec<W>),
    Open(Window),
    /// Nobody is left to use one.
    Left,
}

struct Window {
    session: SessionId,
    /// The lowest number that is not answered; the next one to give out if all are.
    first: u64,
    /// From there on, whether they are.
    answered: VecDeque<bool>,
}

/// What to do for a place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Take {
    Have(Slot),
    /// Wait: a session is on its way.
    Wait,
    /// Wait, and open a session.
    Open,
}

/// What to do now that a session is open.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Opened<W> {
    /// Let these go on.
    Resume(Vec<W>),
    /// Close it: nobody is left to use it.
    Close,
}

impl<W> Ledger<W> {
    pub(crate) fn new() -> Self {
        Self { phase: Phase::None }
    }

    /// A place for a command. If there is none yet, `waiter` is kept until there is.
    pub(crate) fn take(&mut self, waiter: impl FnOnce() -> W) -> Take {
        match &mut self.phase {
            Phase::Open(window) => Take::Have(window.take()),
            Phase::Opening(waiting) => {
                waiting.push(waiter());
                Take::Wait
            }
            Phase::None | Phase::Left => {
                self.phase = Phase::Opening(vec![waiter()]);
                Take::Open
            }
        }
    }

    /// A session is open.
    pub(crate) fn opened(&mut self, session: SessionId) -> Opened<W> {
        match std::mem::replace(&mut self.phase, Phase::Left) {
            Phase::Left => Opened::Close,
            Phase::Opening(waiting) => {
                let (first, answered) = (1, VecDeque::new());
                self.phase = Phase::Open(Window { session, first, answered });
                Opened::Resume(waiting)
            }
            // There is one already: nobody asked for this one.
            open @ (Phase::None | Phase::Open(_)) => {
                self.phase = open;
                Opened::Close
            }
        }
    }

    /// No session could be opened. Returns those who waited.
    pub(crate) fn failed(&mut self) -> Vec<W> {
        match std::mem::replace(&mut self.phase, Phase::None) {
            Phase::Opening(waiting) => waiting,
            other @ (Phase::None | Phase::Open(_) | Phase::Left) => {
                self.phase = other;
                Vec::new()
            }
        }
    }

    /// Whoever had `slot` has its answer, or does not want it any more.
    pub(crate) fn answered(&mut self, slot: Slot) {
        if let Phase::Open(window) = &mut self.phase
            && window.session == slot.session
        {
            window.answered(slot.sequence);
        }
    }

    /// `session` has ended.
    pub(crate) fn expired(&mut self, session: SessionId) {
        if matches!(&self.phase, Phase::Open(window) if window.session == session) {
            self.phase = Phase::None;
        }
    }

    /// Nobody will write any more. Returns the session that is to be closed.
    pub(crate) fn leave(&mut self) -> Option<SessionId> {
        match std::mem::replace(&mut self.phase, Phase::Left) {
            Phase::Open(window) => Some(window.session),
            Phase::None | Phase::Opening(_) | Phase::Left => None,
        }
    }
}

impl Window {
    fn take(&mut self) -> Slot {
        let sequence = Sequence::new(self.first + self.answered.len() as u64);
        self.answered.push_back(false);
        Slot { session: self.session, sequence, unanswered: Sequence::new(self.first) }
    }

    fn answered(&mut self, sequence: Sequence) {
        let place = sequence.get().checked_sub(self.first).and_then(|it| usize::try_from(it).ok());
        if let Some(answered) = place.and_then(|place| self.answered.get_mut(place)) {
            *answered = true;
        }
        while self.answered.front() == Some(&true) {
            self.answered.pop_front();
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: SessionId = SessionId::new(7);

    fn open() -> Ledger<u32> {
        let mut ledger = Ledger::new();
        assert_eq!(ledger.take(|| 1), Take::Open);
        assert_eq!(ledger.take(|| 2), Take::Wait);
        assert_eq!(ledger.opened(SESSION), Opened::Resume(vec![1, 2]));
        ledger
    }

    #[track_caller]
    fn have(ledger: &mut Ledger<u32>, sequence: u64, unanswered: u64) -> Slot {
        let (sequence, unanswered) = (Sequence::new(sequence), Sequence::new(unanswered));
        let slot = Slot { session: SESSION, sequence, unanswered };
        assert_eq!(ledger.take(|| 0), Take::Have(slot));
        slot
    }

    /// What is unanswered is the lowest that is, in whatever order answers come.
    #[test]
    fn answers_come_in_any_order() {
        let mut ledger = open();
        let slots = [(1, 1), (2, 1), (3, 1)].map(|(own, low)| have(&mut ledger, own, low));
        ledger.answered(slots[1]);
        have(&mut ledger, 4, 1);
        ledger.answered(slots[0]);
        have(&mut ledger, 5, 3);
        ledger.answered(slots[0]);
        have(&mut ledger, 6, 3);
    }

    /// A session that has ended is opened anew, once, and what is left of the old one changes nothing.
    #[test]
    fn a_session_that_has_ended_is_replaced() {
        let mut ledger = open();
        let old = have(&mut ledger, 1, 1);
        ledger.expired(SessionId::new(6));
        have(&mut ledger, 2, 1);
        ledger.expired(SESSION);
        assert_eq!(ledger.take(|| 3), Take::Open);
        assert_eq!(ledger.failed(), [3]);
        assert_eq!(ledger.take(|| 4), Take::Open);
        assert_eq!(ledger.opened(SessionId::new(8)), Opened::Resume(vec![4]));
        ledger.answered(old);
        ledger.expired(SESSION);
        let Take::Have(slot) = ledger.take(|| 0) else { panic!("it is open") };
        assert_eq!((slot.session, slot.unanswered), (SessionId::new(8), Sequence::new(1)));
    }

    /// Whoever leaves leaves no session behind.
    #[test]
    fn no_session_is_left_behind() {
        assert_eq!(open().leave(), Some(SESSION));
        let mut ledger = Ledger::new();
        assert_eq!(ledger.take(|| 1), Take::Open);
        assert_eq!(ledger.leave(), None);
        assert_eq!(ledger.opened(SESSION), Opened::Close, "it came too late");
    }
}
