//! Whether a history could have come from one object that does one thing at a time.
//!
//! Think of a shop with one clerk behind a curtain. Customers pass slips in and get answers out, and
//! all that is seen from outside is when a slip went in and when its answer came. The history is
//! linearizable (Herlihy and Wing 1990) if some order of the slips explains every answer and serves
//! no slip before it went in or after its answer came. Who never got an answer may have been served
//! at any time since, or never.
//!
//! ```text
//!   p1  ├─ write 1 ─┤          ├─ write 2 ┄┄┄┄ no answer ┄┄┄┄┄┄┄┄┄┄┄
//!   p2         ├─ read → nil ─┤
//!   p3                             ├─ read → 2 ─┤   ├─ read → 1 ─┤
//!
//!   read nil, write 1, write 2, read 2 is an order; no order goes on with the last read.
//! ```
//!
//! The search is that of Wing and Gong (1993) with the cache of Lowe (2017, "Testing for
//! linearizability"), as in Porcupine, and with reductions that lose no order worth trying; the
//! file `search.rs` tells which. Keys are judged one by one, because a history is linearizable if
//! its part for each object is (Herlihy and Wing, theorem 1).
//!
//! Three verdicts: it holds, it is broken, or the search ran into a limit and nobody knows.
//!
//! ```
//! use harness::linear::{Limits, Operation, Register, RegisterOp, Verdict, check};
//!
//! let operation = |process, op, call, ret| Operation { process, op, call, ret };
//! let history = [
//!     operation(1, RegisterOp::Write(1), 0, Some(10)),
//!     operation(2, RegisterOp::Write(2), 5, None), // no answer came
//!     operation(3, RegisterOp::Read(Some(2)), 12, Some(15)),
//!     operation(3, RegisterOp::Read(Some(1)), 20, Some(25)),
//! ];
//! let register = Register::default();
//! assert_eq!(check(&register, &history[..3], Limits::default()), Verdict::Holds);
//! let Verdict::Broken(why) = check(&register, &history, Limits::default()) else { panic!() };
//! assert_eq!(why.stuck, 3);
//! ```

mod explain;
mod models;
mod outlook;
mod part;
mod search;
mod seen;
mod states;
mod text;

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::hash::Hash;
use std::time::{Duration, Instant};

pub use explain::Explanation;
pub use models::{
    At, Fence, FencedLock, FencedOp, Kv, KvAction, KvOp, Lock, LockOp, Log, LogOp, PerKey, Prefix,
    Register, RegisterOp,
};
pub use outlook::{Origins, Outlook};
pub use text::Text;

use part::Part;
use search::{Progress, Search};

/// What the object behind a history is: its states, and what each operation does to them.
pub trait Model {
    /// A state of one key's object. Cheap to clone.
    type State: Clone + Eq + Hash + Debug;
    /// An operation together with what its caller saw. Equal operations do the same to every state.
    type Op: Eq + Hash + Debug;
    /// Which object an operation concerns. Objects of different keys have nothing to do with each
    /// other. `()` where there is one object alone.
    type Key: Ord + Debug;

    /// The object that `op` concerns.
    fn key(&self, op: &Self::Op) -> Self::Key;

    /// The state of every key's object at first.
    fn init(&self) -> Self::State;

    /// The state after `op`, or none if `op` cannot have had that outcome in `state`.
    ///
    /// For an operation that was never answered: the state after it, if it took effect.
    fn step(&self, state: &Self::State, op: &Self::Op) -> Option<Self::State>;

    /// Whether `op` changes no state whatever: wherever [`step`](Model::step) allows it, it returns
    /// the state it was given. False is always safe; true where it is so saves much searching.
    fn observes(&self, op: &Self::Op) -> bool;

    /// What the model knows of the future, if that is worth asking.
    fn outlook(&self) -> Option<&dyn Outlook<Self::State, Self::Op>> {
        None
    }

    /// `op` for people.
    fn describe(&self, op: &Self::Op) -> String {
        format!("{op:?}")
    }

    /// `state` for people.
    fn describe_state(&self, state: &Self::State) -> String {
        format!("{state:?}")
    }
}

/// One operation of a history.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Operation<Op> {
    /// Who called; only to be named in an explanation.
    pub process: u64,
    /// What was asked and seen.
    pub op: Op,
    /// When it was called, on one clock for the whole history.
    pub call: u64,
    /// When its answer came. An answer and a call at the same time are taken as concurrent. None if
    /// no answer came: the operation may take effect at any time from its call on, or never.
    pub ret: Option<u64>,
}

/// How much a [`check`] may spend.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Time. None for no such bound: then the verdict does not depend on the machine.
    pub time: Option<Duration>,
    /// Configurations (which operations were ordered so far, and the state then) held in memory at
    /// once; each takes about 40 bytes, plus 8 for every 64 operations that are open at one time.
    pub states: usize,
    /// Operations tried.
    pub steps: u64,
}

impl Default for Limits {
    /// No bound on time, four million configurations, two hundred million steps: a verdict that is
    /// the same on every machine, within about 300 MB and two minutes.
    fn default() -> Self {
        Self { time: None, states: 4_000_000, steps: 200_000_000 }
    }
}

/// What came of a [`check`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The history is linearizable.
    Holds,
    /// It is not, as this shows.
    Broken(Explanation),
    /// A limit was reached first. It may be either.
    Unknown(Exhausted),
}

/// The limit that a [`check`] reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exhausted {
    /// [`Limits::time`].
    Time,
    /// [`Limits::states`].
    States,
    /// [`Limits::steps`].
    Steps,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Holds => f.write_str("linearizable"),
            Self::Broken(explanation) => write!(f, "not linearizable: {explanation}"),
            Self::Unknown(exhausted) => write!(f, "no verdict: {exhausted}"),
        }
    }
}

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Time => "the time was over before the search was",
            Self::States => "the search needs more memory than it may have",
            Self::Steps => "the search needs more steps than it may take",
        })
    }
}

/// Whether `operations`, in any order, are a linearizable history of `model`.
///
/// Keys take turns, so that one that is quickly seen to be broken ends the check even when another
/// one is hard. Without a bound on time the result depends on nothing but the arguments.
///
/// # Panics
/// When an operation returns before it was called.
pub fn check<M: Model>(model: &M, operations: &[Operation<M::Op>], limits: Limits) -> Verdict {
    let mut keys: BTreeMap<M::Key, Vec<usize>> = BTreeMap::new();
    for (index, operation) in operations.iter().enumerate() {
        assert!(operation.ret.is_none_or(|ret| ret >= operation.call), "operation {index}");
        keys.entry(model.key(&operation.op)).or_default().push(index);
    }
    let mut budget = Budget::new(limits);
    let mut searches = Vec::with_capacity(keys.len());
    for (key, indexes) in &keys {
        match Part::new(model, operations, indexes, None, budget.open_max()) {
            Some(part) => searches.push((key, indexes, Search::new(model, operations, part))),
            None => return Verdict::Unknown(Exhausted::States),
        }
    }
    let mut turn = FIRST_TURN;
    while !searches.is_empty() {
        let mut others: usize = searches.iter().map(|(.., search)| search.held()).sum();
        let mut at = 0;
        while let Some((.., search)) = searches.get_mut(at) {
            others -= search.held();
            match search.run(turn, others, &mut budget) {
                Progress::Holds => {
                    searches.remove(at);
                    continue;
                }
                Progress::Broken => {
                    let (key, indexes, search) = searches.swap_remove(at);
                    drop(searches);
                    let why =
                        explain::explain(model, operations, key, indexes, search, &mut budget);
                    return Verdict::Broken(why);
                }
                Progress::Paused => {}
                Progress::Exhausted(limit) => return Verdict::Unknown(limit),
            }
            others += search.held();
            at += 1;
        }
        turn *= 2;
    }
    Verdict::Holds
}

/// How many steps each key gets in the first round; twice as many in each round after it.
const FIRST_TURN: u64 = 4_096;

/// What is left of the limits.
struct Budget {
    limits: Limits,
    until: Option<Instant>,
    steps: u64,
}

impl Budget {
    fn new(limits: Limits) -> Self {
        let until = limits.time.and_then(|time| Instant::now().checked_add(time));
        Self { limits, until, steps: 0 }
    }

    /// How many numbers a part may keep to say which operations are open when. They take the memory
    /// of as many configurations as there may be.
    fn open_max(&self) -> usize {
        self.limits.states.saturating_mul(8)
    }

    /// Pays for one step of a search, `held` configurations being in memory.
    fn spend(&mut self, held: usize) -> Result<(), Exhausted> {
        if self.steps >= self.limits.steps {
            return Err(Exhausted::Steps);
        }
        if held > self.limits.states {
            return Err(Exhausted::States);
        }
        // A look at the clock costs as much as several steps.
        if self.steps.is_multiple_of(256) && self.until.is_some_and(|end| Instant::now() >= end) {
            return Err(Exhausted::Time);
        }
        self.steps += 1;
        Ok(())
    }
}
