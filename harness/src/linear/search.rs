//! The search for an order, depth first.
//!
//! At each place the answer that comes next is the *deadline*: its operation must be ordered before
//! anything that was called after it. So the candidates are those that are open at that answer.
//! Answered operations are tried before unanswered ones, and those first after which the deadline's
//! own outcome fits.
//!
//! What is never tried, and why nothing is lost by that (take an order that exists and change it):
//! - An operation that changes no state is ordered as soon as its outcome fits. In any order that
//!   goes on from here it can be moved to the front: it was called, and nobody sees it move.
//! - Of equal candidates only the one whose answer comes first is tried, and unanswered ones last,
//!   by call. In any order that begins with another one, the two can change places.
//! - A place is not entered if the search was at one that differs from it only in having used fewer
//!   unanswered operations. Whatever order goes on from here goes on from there.
//!
//! - After an unanswered operation nothing is tried that could as well have come without it: that
//!   leads to where it is allowed anyway and gives the same state.
//! - A place is not entered if its state rules out the outcome of an operation that is open, or whose
//!   answer comes soon, for good, and nothing is left that could change that (the model's
//!   [`Outlook`]). Where there is one way alone to that outcome, all that is missing on the way must
//!   still be to come.
//! - Where there is one way alone to every outcome, an unanswered operation that is on none of them is
//!   not tried: nobody saw it, and an order without it will do.
//!
//! They do not get into each other's way: each replaces an order by one that is no longer, so the
//! shortest order that goes on from any place met is always found.

use std::cmp::Reverse;

use super::outlook::{Outlook, Saviours, Ways};
use super::part::Part;
use super::seen::{Place, Seen};
use super::states::States;
use super::{Budget, Exhausted, Model, Operation};

/// How many answers ahead the search looks for outcomes that are ruled out for good: a wrong turn that
/// shows only then costs all orders of what lies between.
pub(super) const AHEAD: usize = 64;

/// How far a search came in its turn.
pub(super) enum Progress {
    /// There is an order.
    Holds,
    /// There is none.
    Broken,
    /// Its turn is over.
    Paused,
    /// A limit was reached.
    Exhausted(Exhausted),
}

/// A search for an order of one key's operations, which can stop and go on.
pub(super) struct Search<'a, M: Model> {
    model: &'a M,
    operations: &'a [Operation<M::Op>],
    part: Part,
    states: States<'a, M>,
    saviours: Saviours,
    ways: Ways<M::Op>,
    /// For each unanswered operation, whether anybody may have seen it.
    noticed: Vec<bool>,
    seen: Seen,
    slot_words: usize,
    /// Where the search is, from the start on.
    frames: Vec<Frame>,
    /// What is left to try at each frame, the next one last.
    moves: Vec<Move>,
    /// The order on trial, by number in the part.
    order: Vec<u32>,
    /// The order that came furthest, and how far.
    furthest: (Reach, Vec<u32>),
    /// The greatest rank whose outcome made the search turn back.
    blamed: u32,
    /// Scratch: the place worked on, and the kinds that have a candidate already.
    place: Place,
    taken: Vec<bool>,
}

/// How far an order comes: the rank it gets to, then how many answered operations are in it; of
/// equals, the one with fewer unanswered operations.
type Reach = (u32, usize, Reverse<usize>);

/// A place that the search is at, or will come back to.
struct Frame {
    place: u32,
    /// How many moves there are below this frame's own.
    moves: usize,
    /// How many operations are ordered here.
    order: usize,
}

/// An operation to be ordered next, and the state after it.
#[derive(Clone, Copy)]
struct Move {
    number: u32,
    state: u32,
}

impl<'a, M: Model> Search<'a, M> {
    /// At the start.
    pub(super) fn new(model: &'a M, operations: &'a [Operation<M::Op>], part: Part) -> Self {
        let slot_words = part.slots.div_ceil(64);
        let unanswered_words = part.unanswered.div_ceil(64);
        let mut states = States::new(model, operations);
        let mut ways = Ways::new(model, &part, operations);
        let noticed = ways.noticed(model, &part, operations, &mut states);
        Self {
            model,
            operations,
            states,
            saviours: Saviours::new(&part),
            ways,
            noticed,
            seen: Seen::new(slot_words, unanswered_words),
            slot_words,
            frames: Vec::new(),
            moves: Vec::new(),
            order: Vec::new(),
            furthest: ((0, 0, Reverse(0)), Vec::new()),
            blamed: 0,
            place: Place { rank: 0, state: 0, bits: vec![0; slot_words + unanswered_words] },
            taken: vec![false; part.example.len()],
            part,
        }
    }

    /// How many configurations it holds in memory.
    pub(super) fn held(&self) -> usize {
        self.seen.len()
    }

    /// Goes on for about `steps` steps, other searches holding `others` configurations.
    pub(super) fn run(&mut self, steps: u64, others: usize, budget: &mut Budget) -> Progress {
        if self.seen.len() == 0 && self.arrive(None) {
            return Progress::Holds;
        }
        for _ in 0..steps {
            let Some(frame) = self.frames.last() else { return Progress::Broken };
            if self.moves.len() == frame.moves {
                self.back();
                continue;
            }
            if let Err(exhausted) = budget.spend(others + self.seen.len()) {
                return Progress::Exhausted(exhausted);
            }
            let chosen = self.moves.pop().expect("it is above the frame");
            self.seen.load(frame.place, &mut self.place);
            self.order.truncate(frame.order);
            let before = self.place.state;
            self.place.state = chosen.state;
            self.put(chosen.number);
            let is_answered = (chosen.number as usize) < self.part.answered;
            if self.arrive((!is_answered).then_some(before)) {
                return Progress::Holds;
            }
        }
        Progress::Paused
    }

    /// Settles at the new place, and makes a frame of it unless the search knows it or it leads
    /// nowhere. True if every answered operation is ordered. `without` is the state before the last
    /// operation if that is an unanswered one.
    fn arrive(&mut self, without: Option<u32>) -> bool {
        let ordered = self.order.len();
        self.settle();
        if self.place.rank as usize == self.part.answered {
            return true;
        }
        if let Some(place) = self.seen.add(&self.place) {
            // What settled after an unanswered operation may have needed it.
            let without = without.filter(|_| self.order.len() == ordered);
            let (moves, order) = (self.moves.len(), self.order.len());
            self.frames.push(Frame { place, moves, order });
            let hopeless = self.find_hopeless();
            self.blamed = self.blamed.max(hopeless.unwrap_or(self.place.rank));
            if hopeless.is_none() {
                self.find_moves(without);
            }
        }
        false
    }

    /// An operation that is open, or whose answer comes soon, and whose outcome is ruled out for good, if
    /// there is one.
    fn find_hopeless(&mut self) -> Option<u32> {
        let outlook = self.model.outlook()?;
        let rank = self.place.rank as usize;
        for at in 0..self.part.open(rank).len() {
            let number = self.part.open(rank)[at];
            if !self.is_ordered(number) && self.is_hopeless(number, outlook) {
                return Some(number);
            }
        }
        let soon = self.part.answered.min(rank + AHEAD);
        // Without the open ones: those have been asked.
        let deadline = self.answer_of(rank);
        (self.place.rank + 1..super::part::number(soon)).find(|&number| {
            let kind = self.part.kind[number as usize];
            self.part.observes[kind as usize]
                && self.call_of(number) > deadline
                && self.is_hopeless(number, outlook)
        })
    }

    /// Whether the outcome of the answered operation of that rank, which is not ordered yet, is ruled out
    /// for good.
    fn is_hopeless(&mut self, rank: u32, outlook: &dyn Outlook<M::State, M::Op>) -> bool {
        let Self { part, operations, states, ways, place, slot_words, .. } = self;
        let operation = |number: u32| &operations[part.source[number as usize] as usize];
        let deadline = operation(place.rank).ret;
        if let Some(way) = ways.of(rank, part, operations, states, outlook) {
            if way.is_impossible {
                return true;
            }
            // From its end back to the present state, or to its begin if that is still to come: whatever
            // of it is to come must not be behind.
            let is_behind = |number: u32| {
                Some(operation(number).call) <= deadline
                    && is_ordered(part, place, *slot_words, number)
            };
            for &(number, state) in way.steps.iter().rev() {
                if state == place.state {
                    return false;
                }
                if is_behind(number) {
                    return true;
                }
            }
            return way.from_init && place.state != States::<M>::INIT;
        }
        self.states.rules_out(&self.part, self.place.state, rank, outlook)
            && !self.can_be_saved(rank, outlook)
    }

    fn call_of(&self, number: u32) -> u64 {
        self.operations[self.part.source[number as usize] as usize].call
    }

    fn answer_of(&self, rank: usize) -> u64 {
        let operation = &self.operations[self.part.source[rank] as usize];
        operation.ret.expect("what has a rank was answered")
    }

    /// Whether an operation that is not ordered yet may come before the answered operation of that
    /// rank and make its outcome possible again.
    fn can_be_saved(&mut self, rank: u32, outlook: &dyn Outlook<M::State, M::Op>) -> bool {
        let Self { part, operations, states, saviours, place, slot_words, .. } = self;
        let operation = |number: u32| &operations[part.source[number as usize] as usize];
        let deadline = operation(place.rank).ret;
        saviours.of(rank, part, operations, states, outlook).iter().any(|&number| {
            Some(operation(number).call) > deadline || !is_ordered(part, place, *slot_words, number)
        })
    }

    /// Leaves the last frame, where nothing is left to try.
    fn back(&mut self) {
        let frame = self.frames.pop().expect("there was one");
        let unanswered = self.seen.unanswered(frame.place);
        let (rank, _) = self.seen.rank_and_state(frame.place);
        let reach = (rank, frame.order - unanswered, Reverse(unanswered));
        if reach > self.furthest.0 {
            self.furthest.0 = reach;
            self.furthest.1.clear();
            self.furthest.1.extend_from_slice(&self.order[..frame.order]);
        }
    }

    /// Orders the operation of that number next. The state is the caller's to change.
    fn put(&mut self, number: u32) {
        self.order.push(number);
        let answered = self.part.answered;
        let Place { rank, bits, .. } = &mut self.place;
        if let Some(nth) = (number as usize).checked_sub(answered) {
            bits[self.slot_words + nth / 64] |= 1 << (nth % 64);
            return;
        }
        if number != *rank {
            let slot = self.part.slot[number as usize] as usize;
            bits[slot / 64] |= 1 << (slot % 64);
            return;
        }
        *rank += 1;
        while let Some(&slot) = self.part.slot.get(*rank as usize) {
            let (word, bit) = (slot as usize / 64, 1 << (slot % 64));
            // A slot's bit is the next answer's own only if that operation was called by now; if
            // not, the slot's earlier owner had its answer and the bit is clear.
            if bits[word] & bit == 0 {
                break;
            }
            bits[word] &= !bit;
            *rank += 1;
        }
    }

    /// Whether the operation of that number is ordered, which was called by the deadline.
    fn is_ordered(&self, number: u32) -> bool {
        is_ordered(&self.part, &self.place, self.slot_words, number)
    }

    /// Orders everything that changes no state and whose outcome fits.
    fn settle(&mut self) {
        loop {
            let rank = self.place.rank as usize;
            if rank == self.part.answered {
                return;
            }
            for at in 0..self.part.open(rank).len() {
                let number = self.part.open(rank)[at];
                let kind = self.part.kind[number as usize];
                if self.part.observes[kind as usize]
                    && !self.is_ordered(number)
                    && self.states.step(&self.part, self.place.state, kind).is_some()
                {
                    self.put(number);
                    if self.place.rank as usize != rank {
                        break;
                    }
                }
            }
            if self.place.rank as usize == rank {
                return;
            }
        }
    }

    /// Puts what is worth trying at the present place on the stack of moves. `without` is the state
    /// before the last operation if that is an unanswered one, and nothing settled after it.
    fn find_moves(&mut self, without: Option<u32>) {
        let rank = self.place.rank as usize;
        let from = self.moves.len();
        for at in 0..self.part.open(rank).len() {
            let number = self.part.open(rank)[at];
            if !self.is_ordered(number) {
                self.consider(number, without);
            }
        }
        // In the order of their calls, so that of equal ones the first is taken.
        for nth in 0..self.part.called[rank] {
            let number = self.part.answered as u32 + nth;
            if self.noticed[nth as usize] && !self.is_ordered(number) {
                self.consider(number, without);
            }
        }
        for chosen in &self.moves[from..] {
            let kind = self.part.kind[chosen.number as usize];
            self.taken[kind as usize] = false;
        }
        let deadline = self.part.kind[rank];
        let moves = &mut self.moves[from..];
        moves.reverse();
        moves.sort_by_key(|it| {
            it.number as usize == rank || self.states.step(&self.part, it.state, deadline).is_some()
        });
    }

    /// Makes a move of the operation of that number, if it can come next, no equal one is a candidate
    /// already, and it does not come to the same from the state `without`.
    fn consider(&mut self, number: u32, without: Option<u32>) {
        let kind = self.part.kind[number as usize];
        if self.taken[kind as usize] || self.part.observes[kind as usize] {
            return;
        }
        if let Some(state) = self.states.step(&self.part, self.place.state, kind) {
            let is_same = |before| self.states.step(&self.part, before, kind) == Some(state);
            if without.is_some_and(is_same) {
                return;
            }
            self.taken[kind as usize] = true;
            self.moves.push(Move { number, state });
        }
    }

    /// Once it is known that there is no order: the least and the greatest rank whose answer may be
    /// the first that nothing explains.
    pub(super) fn suspects(&self) -> (u32, u32) {
        (self.furthest.0.0, self.blamed)
    }

    /// The order that came furthest, or the whole one if there is one, by index in the history.
    pub(super) fn order(&self, progress: &Progress) -> Vec<usize> {
        let order = match progress {
            Progress::Holds => &self.order,
            Progress::Broken | Progress::Paused | Progress::Exhausted(_) => &self.furthest.1,
        };
        order.iter().map(|&number| self.part.source[number as usize] as usize).collect()
    }

    /// The index of the answered operation of that rank in the history.
    pub(super) fn source(&self, rank: u32) -> usize {
        self.part.source[rank as usize] as usize
    }

    /// Every state that the search met with that rank next.
    pub(super) fn states_at(&self, rank: u32) -> Vec<&M::State> {
        let mut states: Vec<u32> = (0..self.seen.len() as u32)
            .map(|place| self.seen.rank_and_state(place))
            .filter(|&(at, _)| at == rank)
            .map(|(_, state)| state)
            .collect();
        states.sort_unstable();
        states.dedup();
        states.into_iter().map(|state| self.states.get(state)).collect()
    }

    /// What else was open at the answer of that rank, by index in the history.
    pub(super) fn beside(&self, rank: u32) -> Vec<usize> {
        let open = self.part.open(rank as usize).iter().copied().filter(|&number| number != rank);
        let unanswered =
            (0..self.part.called[rank as usize]).map(|nth| self.part.answered as u32 + nth);
        open.chain(unanswered).map(|number| self.part.source[number as usize] as usize).collect()
    }
}

/// Whether the operation of that number is ordered at `place`. It was called by the deadline.
fn is_ordered(part: &Part, place: &Place, slot_words: usize, number: u32) -> bool {
    let bit = match (number as usize).checked_sub(part.answered) {
        Some(nth) => slot_words * 64 + nth,
        None if number < place.rank => return true,
        None => part.slot[number as usize] as usize,
    };
    place.bits[bit / 64] & 1 << (bit % 64) != 0
}
