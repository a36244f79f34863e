//! The weaker promises of registers, judged by what the values and the times of a history tell.
//!
//! To judge linearizability is a search. These need none: if a history shows which write a value
//! came from, its order in time settles them in one pass over the sorted operations, so they can be
//! judged for stores that promise no more, and for histories too long for a search.
//!
//! A value is *older* than a write if every write of that value had returned before that write was
//! called. What held at first is older than every write. A value written more than once is given
//! the benefit of the doubt: it may stem from any of its writes. So what is reported is broken in
//! every reading of the history, and what is not may still not be linearizable.
//!
//! Sources: L. Lamport, "On interprocess communication" (1986), for regular registers, and
//! C. Shao et al., "Multiwriter consistency conditions for shared memory registers" (2011), for
//! those of many writers (this is their weakest); D. Terry et al., "Session guarantees for weakly
//! consistent replicated data" (1994), for the two about one client.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::hash::Hash;

use crate::linear::{At, Operation, Register, RegisterOp};

/// One of the weaker promises.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Promise {
    /// A read returns a value that was written, by a write called before the read returned, and
    /// that is not older than a write that had returned before the read was called.
    Regular,
    /// Who read a value reads none that is older than a write of it.
    MonotonicReads,
    /// Who wrote reads nothing that is older than that write.
    ReadYourWrites,
    /// No more compare-and-sets succeed from a value than there were times at which the register
    /// can have come to hold it.
    NoLostUpdates,
}

impl Promise {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::Regular, Self::MonotonicReads, Self::ReadYourWrites, Self::NoLostUpdates];
}

/// A promise that a history contradicts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Contradiction {
    /// Which.
    pub promise: Promise,
    /// The operations that contradict each other, by their place in the history.
    pub operations: Vec<usize>,
    /// How, in a sentence.
    pub what: String,
}

/// For each promise that `history` contradicts, the first contradiction that the history returns.
///
/// The operations of one process must not overlap in time; a process whose operation was never
/// answered does nothing more on that key that counts. The cost is that of sorting.
pub fn contradictions<K, V>(
    register: &Register<V>,
    history: &[Operation<At<K, RegisterOp<V>>>],
) -> Vec<Contradiction>
where
    K: Clone + Ord + Debug,
    V: Clone + Eq + Hash + Debug,
{
    let mut keys: BTreeMap<&K, Key<'_, K, V>> = BTreeMap::new();
    for (place, operation) in history.iter().enumerate() {
        let key = keys.entry(&operation.op.key).or_insert_with(|| Key::new(register, history));
        key.places.push(place);
    }
    let mut found = BTreeMap::<Promise, (u64, Contradiction)>::new();
    for key in keys.values_mut() {
        key.sort();
        for (promise, operations, what) in key.broken() {
            let last = operations.iter().filter_map(|&place| history[place].ret).max();
            let at = last.unwrap_or(u64::MAX);
            if found.get(&promise).is_none_or(|(earlier, _)| at < *earlier) {
                found.insert(promise, (at, Contradiction { promise, operations, what }));
            }
        }
    }
    found.into_values().map(|(_, contradiction)| contradiction).collect()
}

/// What happened to one register.
struct Key<'a, K, V> {
    init: &'a Option<V>,
    history: &'a [Operation<At<K, RegisterOp<V>>>],
    /// Its operations, in the order in which they were called once sorted.
    places: Vec<usize>,
    written: HashMap<&'a V, Written>,
}

/// All writes of one value.
struct Written {
    /// When the first of them was called, and which it is.
    called: (u64, usize),
    /// When the last of them had returned; none if one of them never did.
    returned: Option<u64>,
    /// How many there were.
    count: usize,
}

type Found = (Promise, Vec<usize>, String);

impl<'a, K: Clone + Ord + Debug, V: Clone + Eq + Hash + Debug> Key<'a, K, V> {
    fn new(register: &'a Register<V>, history: &'a [Operation<At<K, RegisterOp<V>>>]) -> Self {
        Self { init: &register.init, history, places: Vec::new(), written: HashMap::new() }
    }

    fn sort(&mut self) {
        let history = self.history;
        self.places.sort_by_key(|&place| (history[place].call, place));
        for &place in &self.places {
            let operation = &history[place];
            let Some(value) = written(&operation.op.op) else { continue };
            let write =
                Written { called: (operation.call, place), returned: operation.ret, count: 0 };
            let all = self.written.entry(value).or_insert(write);
            all.returned = all.returned.zip(operation.ret).map(|(a, b)| a.max(b));
            all.count += 1;
        }
    }

    fn broken(&self) -> impl Iterator<Item = Found> {
        let found = [
            self.regular(),
            self.of_one_client(Promise::MonotonicReads, true),
            self.of_one_client(Promise::ReadYourWrites, false),
            self.lost_update(),
        ];
        found.into_iter().flatten()
    }

    /// Whether `seen` is older than a write that was called at `called`.
    fn is_older(&self, seen: &Option<V>, called: u64) -> bool {
        match seen.as_ref().and_then(|value| self.written.get(value)) {
            Some(written) => written.returned.is_some_and(|returned| returned < called),
            None => seen == self.init,
        }
    }

    fn regular(&self) -> Option<Found> {
        // The writes that had returned, by when; of those so far, the one called last.
        let mut returned: Vec<(u64, u64, usize)> = Vec::new();
        for &place in &self.places {
            let operation = &self.history[place];
            if let (Some(ret), Some(_)) = (operation.ret, written(&operation.op.op)) {
                returned.push((ret, operation.call, place));
            }
        }
        returned.sort_unstable();
        let mut due = returned.into_iter().peekable();
        let mut latest: Option<(u64, usize)> = None;
        for &place in &self.places {
            let operation = &self.history[place];
            let Some((seen, ret)) = seen(operation) else { continue };
            while let Some((_, call, write)) = due.next_if(|&(ret, ..)| ret < operation.call) {
                latest = latest.max(Some((call, write)));
            }
            if let Some(found) = self.unwritten(place, seen, ret) {
                return Some(found);
            }
            if let Some((called, write)) = latest.filter(|&(called, _)| self.is_older(seen, called))
            {
                debug_assert!(called < operation.call);
                let what = format!(
                    "{} although {} had returned before, and was called after every write of that",
                    self.tell(place),
                    self.tell(write),
                );
                return Some((Promise::Regular, vec![write, place], what));
            }
        }
        None
    }

    fn unwritten(&self, place: usize, seen: &Option<V>, ret: u64) -> Option<Found> {
        if seen == self.init {
            return None;
        }
        let value = seen.as_ref()?;
        match self.written.get(value) {
            None => {
                let what = format!("{}, which nobody wrote", self.tell(place));
                Some((Promise::Regular, vec![place], what))
            }
            Some(Written { called: (called, write), .. }) if *called > ret => {
                let what = format!("{} before {} was called", self.tell(place), self.tell(*write));
                Some((Promise::Regular, vec![place, *write], what))
            }
            Some(_) => None,
        }
    }

    /// What each client must not fall behind: what it read if `reads`, else what it wrote.
    fn of_one_client(&self, promise: Promise, reads: bool) -> Option<Found> {
        // For each client, when the write called last was called that it must not fall behind, and
        // by which of its operations it knows.
        let mut floors: HashMap<u64, (u64, usize)> = HashMap::new();
        for &place in &self.places {
            let operation = &self.history[place];
            let floor = floors.get(&operation.process).copied();
            if let Some((seen, _)) = seen(operation)
                && let Some((called, known_by)) = floor
                && self.is_older(seen, called)
            {
                let what = format!(
                    "{}, which is older than what {} told it",
                    self.tell(place),
                    self.tell(known_by)
                );
                return Some((promise, vec![known_by, place], what));
            }
            let learnt = if reads {
                let seen = seen(operation).and_then(|(seen, _)| seen.as_ref());
                seen.and_then(|value| self.written.get(value)).map(|written| written.called.0)
            } else {
                written(&operation.op.op).and(operation.ret).map(|_| operation.call)
            };
            if let Some(called) = learnt
                && floor.is_none_or(|(before, _)| before < called)
            {
                floors.insert(operation.process, (called, place));
            }
        }
        None
    }

    fn lost_update(&self) -> Option<Found> {
        let mut taken: HashMap<&Option<V>, Vec<usize>> = HashMap::new();
        for &place in &self.places {
            let operation = &self.history[place];
            if let RegisterOp::Cas { from, to, done: true } = &operation.op.op
                && operation.ret.is_some()
                && from.as_ref() != Some(to)
            {
                taken.entry(from).or_default().push(place);
            }
        }
        let many = taken.into_iter().filter_map(|(from, places)| {
            let written = from.as_ref().and_then(|value| self.written.get(value));
            let times = written.map_or(0, |it| it.count) + usize::from(from == self.init);
            (places.len() > times).then_some((from, times, places))
        });
        let (from, times, places) = many.min_by_key(|(_, _, places)| places[0])?;
        let what = format!(
            "{} compare-and-sets from {from:?} succeeded, but the register came to hold that at \
             most {times} times",
            places.len()
        );
        Some((Promise::NoLostUpdates, places, what))
    }

    fn tell(&self, place: usize) -> String {
        let Operation { process, op, call, ret } = &self.history[place];
        let key = &op.key;
        let until = ret.map_or("never answered".to_owned(), |ret| format!("{call} to {ret}"));
        match &op.op {
            RegisterOp::Read(value) => {
                format!("client {process} read {value:?} of {key:?} ({until})")
            }
            RegisterOp::Write(value) => {
                format!("client {process}'s write of {value:?} to {key:?} ({until})")
            }
            RegisterOp::Cas { from, to, done } => {
                let ended = if *done { "" } else { ", which failed" };
                format!("client {process}'s {from:?} → {to:?} of {key:?}{ended} ({until})")
            }
        }
    }
}

/// What the operation wrote, if it may have.
fn written<V>(op: &RegisterOp<V>) -> Option<&V> {
    match op {
        RegisterOp::Write(value) | RegisterOp::Cas { to: value, done: true, .. } => Some(value),
        RegisterOp::Read(_) | RegisterOp::Cas { done: false, .. } => None,
    }
}

/// What the operation saw, and when it had returned, if it returned.
fn seen<K, V>(operation: &Operation<At<K, RegisterOp<V>>>) -> Option<(&Option<V>, u64)> {
    let ret = operation.ret?;
    match &operation.op.op {
        RegisterOp::Read(value) | RegisterOp::Cas { from: value, done: true, .. } => {
            Some((value, ret))
        }
        RegisterOp::Write(_) | RegisterOp::Cas { done: false, .. } => None,
    }
}
