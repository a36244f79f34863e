//! Registers: linearizability, and whether what was acknowledged is still there at the end.

use std::collections::BTreeMap;

use cluster::Timestamp;

use crate::guarantee::{Guarantee, Violation};
use crate::history::{Call, End, History};
use crate::linear::{At, Limits, Operation, PerKey, Register, RegisterOp, Verdict, check};
use crate::ordered::{Contradiction, Promise, contradictions};
use crate::vocabulary::{Op, Outcome};

/// The breaches, and why linearizability could not be decided, if it could not.
pub(super) fn judge(history: &History) -> (Vec<Violation>, Option<String>) {
    let mut violations = Vec::from_iter(lost_write(history));
    let operations: Vec<_> = history.calls.iter().filter_map(operation).collect();
    for Contradiction { promise, what, .. } in contradictions(&Register::default(), &operations) {
        let guarantee = match promise {
            Promise::Regular => Guarantee::RegularReads,
            Promise::MonotonicReads => Guarantee::MonotonicReads,
            Promise::ReadYourWrites => Guarantee::ReadYourWrites,
            Promise::NoLostUpdates => unreachable!("the suite asks for no compare-and-set"),
        };
        violations.push(Violation::new(guarantee, format!("{what} (times in ns)")));
    }
    let registers = PerKey::<u32, Register<u64>>::new(Register::default());
    // No bound on time: a verdict must not depend on the machine.
    match check(&registers, &operations, Limits::default()) {
        Verdict::Holds => (violations, None),
        Verdict::Broken(explanation) => {
            let what = format!("{explanation} (times in ns)");
            violations.push(Violation::new(Guarantee::Linearizability, what));
            (violations, None)
        }
        Verdict::Unknown(exhausted) => (violations, Some(exhausted.to_string())),
    }
}

/// What `call` is to the checker; nothing if it can have had no effect and showed nothing.
pub(crate) fn operation(call: &Call) -> Option<Operation<At<u32, RegisterOp<u64>>>> {
    let (key, op, answered) = match (&call.op, &call.end) {
        (Op::Read { key, .. }, End::Done(Outcome::Value(value))) => {
            (*key, RegisterOp::Read(*value), true)
        }
        (Op::Write { key, value, .. }, End::Done(_)) => (*key, RegisterOp::Write(*value), true),
        (Op::Write { key, value, .. }, End::Unknown) => (*key, RegisterOp::Write(*value), false),
        // A refused write had no effect; a read that was not answered saw nothing.
        _ => return None,
    };
    let process = u64::from(call.process);
    let ret = answered.then(|| call.returned.as_nanos());
    Some(Operation { process, op: At { key, op }, call: call.invoked.as_nanos(), ret })
}

/// A key of which no read after the repair saw the last write acknowledged before it, or anything
/// that may have come later.
fn lost_write(history: &History) -> Option<Violation> {
    let healed = history.healed?;
    let mut keys: BTreeMap<u32, Key<'_>> = BTreeMap::new();
    for call in &history.calls {
        match (&call.op, &call.end) {
            (Op::Write { key, value, .. }, end) => {
                let key = keys.entry(*key).or_default();
                let done = matches!(end, End::Done(_));
                key.returned.insert(*value, if done { call.returned } else { Timestamp::MAX });
                let before_repair = done && call.returned < healed;
                if before_repair && key.last.is_none_or(|last| last.invoked < call.invoked) {
                    key.last = Some(call);
                }
            }
            (Op::Read { key, .. }, End::Done(Outcome::Value(value))) if call.invoked >= healed => {
                keys.entry(*key).or_default().reads.push((*value, call));
            }
            _ => {}
        }
    }
    keys.values().find_map(Key::loss)
}

/// What happened to one key.
#[derive(Default)]
struct Key<'a> {
    /// When each written value was acknowledged; never, for those that were not.
    returned: BTreeMap<u64, Timestamp>,
    /// The write called last among those acknowledged before the repair.
    last: Option<&'a Call>,
    /// What reads after the repair saw.
    reads: Vec<(Option<u64>, &'a Call)>,
}

impl Key<'_> {
    fn loss(&self) -> Option<Violation> {
        let last = self.last?;
        let (seen, read) = self.reads.last()?;
        let is_older = |seen: &Option<u64>| match seen {
            Some(value) => self.returned.get(value).is_some_and(|&at| at < last.invoked),
            None => true,
        };
        self.reads.iter().all(|(seen, _)| is_older(seen)).then(|| {
            let what = format!(
                "{:?} was acknowledged at {:?}; after the repair, at {:?}, {:?} saw {seen:?}",
                last.op, last.returned, read.returned, read.op,
            );
            Violation::new(Guarantee::Durability, what)
        })
    }
}
