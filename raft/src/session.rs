//! Commands that take effect once, however often they are sent (§8; thesis §6.3).
//!
//! A client opens a *session*, and numbers its commands in it. Every node remembers the outputs of
//! each session's commands, as a part of the replicated state: a command that arrives again, at any
//! leader, after any crash, is answered with what it returned the first time, and is not applied. A
//! client says with each command from which number on it still waits for answers, so that older
//! outputs can go.
//!
//! A client that leaves ends its session, by an entry of the log; those of clients that are gone
//! without a word end by disuse. All nodes must end the same ones at the same point of the log, so no clock
//! decides: when there are more than the entry that opens one allows, the one goes whose last command
//! stands earliest in the log ("LRU"; the limit is the proposing leader's, and in the entry, so that
//! nodes configured unlike agree all the same). A command of a session that has ended is refused and
//! not applied, for nobody can tell any more whether it was before.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

use crate::{LogIndex, Sequence, SessionId};

/// A command in a session.
#[derive(Clone, Debug, Hash, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submission<C> {
    /// Which session.
    pub session: SessionId,
    /// The command's number in it, each used for one command only. They need not come in order.
    pub sequence: Sequence,
    /// From here on the client has not had all answers: it will never ask for a lower number again.
    pub unanswered: Sequence,
    /// What to do.
    pub command: C,
}

/// The sessions that are open, as of one place in the log.
///
/// Guarantee: a session remembers no output below what its client still waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sessions<O> {
    open: BTreeMap<SessionId, Session<O>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Session<O> {
    /// Where its last command stands, or the entry that opened it.
    used: LogIndex,
    unanswered: Sequence,
    outputs: BTreeMap<Sequence, (LogIndex, O)>,
}

/// What a command in a session is.
pub(crate) enum Known<O> {
    /// New: apply it, and [`remember`](Sessions::remember) its output.
    New,
    /// Applied already, at this index, with this output.
    Applied(LogIndex, O),
    /// Not to be applied: of a session that is not open, or given up by its client.
    Ended,
}

impl<O: Clone> Sessions<O> {
    pub(crate) fn new() -> Self {
        Self { open: BTreeMap::new() }
    }

    pub(crate) fn count(&self) -> usize {
        self.open.len()
    }

    /// How many outputs are remembered.
    pub(crate) fn outputs(&self) -> usize {
        self.open.values().map(|session| session.outputs.len()).sum()
    }

    /// The entry at `index` opens a session, and ends those in longest disuse that are more than
    /// `max` then.
    pub(crate) fn open(&mut self, index: LogIndex, max: u32) -> SessionId {
        while self.open.len() >= (max as usize).max(1) {
            let oldest = self.open.iter().min_by_key(|(id, session)| (session.used, **id));
            let Some(oldest) = oldest.map(|(&id, _)| id) else { break };
            self.open.remove(&oldest);
        }
        let id = SessionId::new(index.get());
        let session = Session { used: index, unanswered: Sequence::ZERO, outputs: BTreeMap::new() };
        self.open.insert(id, session);
        id
    }

    /// The client of `session` has ended it.
    pub(crate) fn close(&mut self, session: SessionId) {
        self.open.remove(&session);
    }

    /// The entry at `index` holds this command.
    pub(crate) fn look<C>(&mut self, index: LogIndex, submission: &Submission<C>) -> Known<O> {
        let Some(session) = self.open.get_mut(&submission.session) else { return Known::Ended };
        session.used = index;
        if submission.unanswered > session.unanswered {
            session.unanswered = submission.unanswered;
            session.outputs = session.outputs.split_off(&submission.unanswered);
        }
        match session.outputs.get(&submission.sequence) {
            Some((first, output)) => Known::Applied(*first, output.clone()),
            None if submission.sequence < session.unanswered => Known::Ended,
            None => Known::New,
        }
    }

    /// The command at `index` has returned `output`.
    pub(crate) fn remember<C>(&mut self, index: LogIndex, submission: &Submission<C>, output: &O) {
        if let Some(session) = self.open.get_mut(&submission.session) {
            session.outputs.insert(submission.sequence, (index, output.clone()));
        }
    }

    /// Whether the guarantee holds.
    pub(crate) fn check(&self) -> Result<(), String> {
        for (id, session) in &self.open {
            if let Some((sequence, _)) = session.outputs.first_key_value()
                && *sequence < session.unanswered
            {
                return Err(format!("{id} remembers {sequence}, which nobody waits for"));
            }
        }
        Ok(())
    }
}

impl<O: Debug> Sessions<O> {
    /// Writes all of it. Outputs need not be `Hash`.
    pub(crate) fn fingerprint(&self, into: &mut impl Hasher) {
        into.write_usize(self.open.len());
        for (id, session) in &self.open {
            (id, session.used, session.unanswered).hash(into);
            into.write(format!("{:?}", session.outputs).as_bytes());
        }
    }
}
