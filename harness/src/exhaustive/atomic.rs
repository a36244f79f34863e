//! One register, judged as its history grows.
//!
//! To search every schedule, a history must be part of the state, and short. So it is not kept:
//! what is kept is what the past leaves open. A *configuration* is a value that the register may
//! hold, with those of the open operations that took effect already (and what they saw). An answer
//! rules out all configurations that do not explain it, after whatever open operations took effect
//! before it (Wing and Gong 1993, one answer at a time). When none is left, no order of the
//! operations explains what was seen, and [`linear::check`] is asked to say why: two judges must
//! agree.

use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use cluster::explore::{
    Broken, Ended, Explorable, Fingerprint, Frame, Happened, Property, Step, View,
};

use crate::linear::{self, Limits, Operation, Register, RegisterOp, Verdict};

/// The guarantee it judges.
pub const LINEARIZABILITY: &str = "linearizability";

/// What a request of the script does to the register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Does {
    /// It writes this.
    Write(u64),
    /// It removes what is there.
    Delete,
    /// It reads.
    Read,
    /// Nothing that concerns the register.
    Nothing,
}

/// What an answer says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Says {
    /// The write took effect.
    Written,
    /// This was read.
    Saw(Option<u64>),
    /// The request had no effect, and never will.
    Refused,
    /// Nobody knows.
    Unknown,
}

/// Judges the answers of `N` to the requests of a script.
pub struct Atomic<N: Explorable> {
    script: Arc<[Does]>,
    says: fn(&N::Response) -> Says,
    configurations: BTreeSet<Configuration>,
    /// Requests asked and not answered: one bit each.
    open: u32,
    /// Everything, for the second judge. Not part of the state: the configurations say what is left
    /// of it.
    history: Arc<Vec<Operation<RegisterOp<u64>>>>,
    /// Which request each operation of the history is.
    places: Arc<Vec<usize>>,
    clock: u64,
}

/// One way in which it may have gone so far.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
struct Configuration {
    value: Option<u64>,
    /// The open operations that took effect, ascending, with what they saw.
    done: Vec<(u8, Option<u64>)>,
}

// Not derived: that would ask for a node with a hashable everything.
impl<N: Explorable> Clone for Atomic<N> {
    fn clone(&self) -> Self {
        Self {
            script: Arc::clone(&self.script),
            configurations: self.configurations.clone(),
            history: Arc::clone(&self.history),
            places: Arc::clone(&self.places),
            ..*self
        }
    }
}

/// A deletion, as a value of the history's register; no script writes it.
const DELETED: u64 = u64::MAX;

impl<N: Explorable> Atomic<N> {
    /// A register that holds nothing, with the requests of a script and the meaning of answers.
    pub fn new(script: impl IntoIterator<Item = Does>, says: fn(&N::Response) -> Says) -> Self {
        let first = Configuration { value: None, done: Vec::new() };
        Self {
            script: script.into_iter().collect(),
            says,
            configurations: BTreeSet::from([first]),
            open: 0,
            history: Arc::default(),
            places: Arc::default(),
            clock: 0,
        }
    }

    fn asked(&mut self, request: usize) {
        let op = match self.script[request] {
            Does::Write(value) => RegisterOp::Write(value),
            Does::Delete => RegisterOp::Write(DELETED),
            Does::Read => RegisterOp::Read(None),
            Does::Nothing => return,
        };
        self.open |= 1 << request;
        self.clock += 1;
        let operation = Operation { process: request as u64, op, call: self.clock, ret: None };
        Arc::make_mut(&mut self.history).push(operation);
        Arc::make_mut(&mut self.places).push(request);
    }

    fn ended(&mut self, request: usize, says: Says) -> Result<(), Broken> {
        let saw = match (self.script[request], says) {
            (Does::Nothing, _) => return Ok(()),
            // A read that fails has done nothing, and a write that is refused neither.
            (Does::Read, Says::Refused | Says::Unknown | Says::Written) => {
                self.forget(request);
                return Ok(());
            }
            (Does::Write(_) | Does::Delete, Says::Refused) => {
                self.configurations
                    .retain(|it| !it.done.iter().any(|(at, _)| place(at) == request));
                self.forget(request);
                return self.judge(request, says);
            }
            // It may take effect at any time from now on.
            (Does::Write(_) | Does::Delete, Says::Unknown) => return Ok(()),
            (Does::Read, Says::Saw(value)) => value,
            (Does::Write(_) | Does::Delete, Says::Written | Says::Saw(_)) => None,
        };
        self.answered(request, saw);
        self.configurations = self.explain(request, saw);
        self.open &= !(1 << request);
        self.judge(request, says)
    }

    /// The operation is out of the game.
    fn forget(&mut self, request: usize) {
        self.open &= !(1 << request);
        let without = |mut configuration: Configuration| {
            configuration.done.retain(|(at, _)| place(at) != request);
            configuration
        };
        self.configurations =
            std::mem::take(&mut self.configurations).into_iter().map(without).collect();
        if let Some(at) = self.places.iter().position(|&it| it == request) {
            Arc::make_mut(&mut self.places).remove(at);
            Arc::make_mut(&mut self.history).remove(at);
        }
    }

    /// Writes the answer into the history.
    fn answered(&mut self, request: usize, saw: Option<u64>) {
        self.clock += 1;
        let Some(at) = self.places.iter().position(|&it| it == request) else { return };
        let operation = &mut Arc::make_mut(&mut self.history)[at];
        operation.ret = Some(self.clock);
        if let RegisterOp::Read(seen) = &mut operation.op {
            *seen = saw;
        }
    }

    /// The configurations that explain the answer.
    fn explain(&self, request: usize, saw: Option<u64>) -> BTreeSet<Configuration> {
        let mut explained = BTreeSet::new();
        let mut seen = self.configurations.clone();
        let mut unseen: Vec<Configuration> = seen.iter().cloned().collect();
        while let Some(mut at) = unseen.pop() {
            if let Some(done) = at.done.iter().position(|(it, _)| place(it) == request) {
                if at.done.remove(done).1 == saw {
                    explained.insert(at);
                }
                continue;
            }
            for next in (0..self.script.len()).filter(|&it| self.open & 1 << it != 0) {
                if at.done.iter().any(|(it, _)| place(it) == next) {
                    continue;
                }
                let after = self.effect(&at, next);
                if seen.insert(after.clone()) {
                    unseen.push(after);
                }
            }
        }
        explained
    }

    /// `request` takes effect.
    fn effect(&self, at: &Configuration, request: usize) -> Configuration {
        let mut after = at.clone();
        let saw = match self.script[request] {
            Does::Write(value) => {
                after.value = Some(value);
                None
            }
            Does::Delete => {
                after.value = None;
                None
            }
            Does::Read | Does::Nothing => at.value,
        };
        after.done.push((request as u8, saw));
        after.done.sort_unstable();
        after
    }

    fn judge(&self, request: usize, says: Says) -> Result<(), Broken> {
        let second = |history: &[Operation<RegisterOp<u64>>]| {
            let read = |op: &RegisterOp<u64>| match *op {
                RegisterOp::Read(None) if self.deletes() => None,
                op => Some(op),
            };
            // A deleted register reads as one never written: the second judge knows only values,
            // so it is not asked where both can be.
            let plain: Option<Vec<_>> = history.iter().map(|it| read(&it.op)).collect();
            plain.map(|_| linear::check(&Register::default(), history, Limits::default()))
        };
        if !self.configurations.is_empty() {
            return Ok(());
        }
        let what = match second(&self.history) {
            Some(Verdict::Holds) => panic!("two judges disagree about {:?}", self.history),
            Some(verdict @ (Verdict::Broken(_) | Verdict::Unknown(_))) => verdict.to_string(),
            None => format!("no order of the operations explains that r{request} {says:?}"),
        };
        Err(Broken { guarantee: LINEARIZABILITY, what })
    }

    fn deletes(&self) -> bool {
        self.script.contains(&Does::Delete)
    }
}

fn place(at: &u8) -> usize {
    usize::from(*at)
}

impl<N: Explorable> Property<N> for Atomic<N> {
    fn observe(&mut self, _view: &View<'_, N>, happened: &Happened<'_, N>) -> Result<(), Broken> {
        if let Step::Asked { request, .. } = happened.step {
            self.asked(request);
        }
        for (request, ended) in happened.ended {
            let says = match ended {
                Ended::Answered(response) => (self.says)(response),
                Ended::Lost => Says::Unknown,
            };
            self.ended(*request, says)?;
        }
        Ok(())
    }

    /// The second judge agrees that nothing is wrong.
    fn end(&self, _view: &View<'_, N>) -> Result<(), Broken> {
        if self.deletes() {
            return Ok(());
        }
        match linear::check(&Register::default(), &self.history, Limits::default()) {
            Verdict::Holds => Ok(()),
            verdict @ (Verdict::Broken(_) | Verdict::Unknown(_)) => {
                Err(Broken { guarantee: LINEARIZABILITY, what: verdict.to_string() })
            }
        }
    }

    fn fingerprint(&self, _frame: &Frame<'_>, into: &mut Fingerprint) {
        into.write_u32(self.open);
        self.configurations.hash(into);
    }
}
