//! Seeing early that a place leads nowhere.

use super::part::Part;
use super::search::AHEAD;
use super::states::States;
use super::{Model, Operation};

/// What a model knows of the future: which outcomes a state rules out for good.
///
/// Appends to a string are the example: once the string does not begin what a get saw, no append
/// makes up for it, only a put does.
pub trait Outlook<S, Op> {
    /// Whether `op` is allowed in every state and leads to the same one from each.
    fn forgets(&self, op: &Op) -> bool;

    /// Whether nothing that happens from `state` on, unless it [`forgets`](Outlook::forgets), leads
    /// to a state that allows `op`.
    fn rules_out(&self, state: &S, op: &Op) -> bool;

    /// From operations that change states, each with its number, to how any other's outcome came about.
    fn origins(&self, changes: &[(u32, &Op)]) -> Box<dyn Origins<Op>> {
        let _ = changes;
        Box::new(Unknown)
    }
}

/// How outcomes came about.
pub trait Origins<Op> {
    /// The operations that led to the outcome of `op`, in their order, from the initial state or from one
    /// that [`forgets`](Outlook::forgets) on; none if there is no way, or more than one.
    fn of(&self, op: &Op) -> Option<Vec<u32>>;
}

/// Nobody knows.
struct Unknown;

impl<Op> Origins<Op> for Unknown {
    fn of(&self, _: &Op) -> Option<Vec<u32>> {
        None
    }
}

/// The one way to an outcome.
pub(super) struct Way {
    /// Each operation on it, and the state after that.
    pub(super) steps: Vec<(u32, u32)>,
    /// Whether it begins at the initial state, and not with an operation that forgets all.
    pub(super) from_init: bool,
    /// Whether time rules it out: a later one on it was answered before an earlier one was called.
    pub(super) is_impossible: bool,
}

/// For each answered operation, the one way to its outcome, worked out when it is asked for.
pub(super) struct Ways<Op> {
    origins: Option<Box<dyn Origins<Op>>>,
    of: Vec<Option<Option<Way>>>,
}

impl<Op> Ways<Op> {
    /// None asked for yet.
    pub(super) fn new<M: Model<Op = Op>>(
        model: &M,
        part: &Part,
        operations: &[Operation<Op>],
    ) -> Self {
        let origins = model.outlook().map(|outlook| {
            let all = part.source.iter().zip(0..);
            let changes: Vec<(u32, &Op)> = all
                .map(|(&source, number)| (number, &operations[source as usize].op))
                .filter(|(_, op)| !model.observes(op))
                .collect();
            outlook.origins(&changes)
        });
        let mut of = Vec::new();
        of.resize_with(part.answered, || None);
        Self { origins, of }
    }

    /// For each unanswered operation, whether anybody may have seen it: it is on the way to an outcome,
    /// or there is an outcome with more than one way to it.
    pub(super) fn noticed<M: Model<Op = Op>>(
        &mut self,
        model: &M,
        part: &Part,
        operations: &[Operation<Op>],
        states: &mut States<'_, M>,
    ) -> Vec<bool> {
        let all = || vec![true; part.unanswered];
        let (Some(outlook), 1..) = (model.outlook(), part.unanswered) else { return all() };
        let mut noticed = vec![false; part.unanswered];
        for rank in 0..super::part::number(part.answered) {
            if !part.observes[part.kind[rank as usize] as usize] {
                continue;
            }
            let Some(way) = self.of(rank, part, operations, states, outlook) else { return all() };
            for &(number, _) in &way.steps {
                if let Some(nth) = (number as usize).checked_sub(part.answered) {
                    noticed[nth] = true;
                }
            }
        }
        noticed
    }

    /// The one way to the outcome of the answered operation of that rank, if there is one.
    pub(super) fn of<M: Model<Op = Op>>(
        &mut self,
        rank: u32,
        part: &Part,
        operations: &[Operation<Op>],
        states: &mut States<'_, M>,
        outlook: &dyn Outlook<M::State, Op>,
    ) -> Option<&Way> {
        let place = &mut self.of[rank as usize];
        if place.is_none() {
            let operation = |number: u32| &operations[part.source[number as usize] as usize];
            let op = |number: u32| &operation(number).op;
            let numbers = self.origins.as_ref().and_then(|origins| origins.of(op(rank)));
            *place = Some(numbers.and_then(|numbers| {
                let mut state = States::<M>::INIT;
                let from_init = !numbers.first().is_some_and(|&it| outlook.forgets(op(it)));
                let mut steps = Vec::with_capacity(numbers.len());
                let (mut last_call, mut is_impossible) = (0, false);
                for number in numbers {
                    state = states.step(part, state, part.kind[number as usize])?;
                    steps.push((number, state));
                    is_impossible |= operation(number).ret.is_some_and(|ret| ret < last_call);
                    last_call = last_call.max(operation(number).call);
                }
                is_impossible |= operation(rank).ret.is_some_and(|ret| ret < last_call);
                Some(Way { steps, from_init, is_impossible })
            }));
        }
        place.as_ref().and_then(Option::as_ref)
    }
}

/// For each answered operation that was ever ruled out, the operations that can still save it.
pub(super) struct Saviours {
    of: Vec<Option<Box<[u32]>>>,
}

impl Saviours {
    /// None asked for yet.
    pub(super) fn new(part: &Part) -> Self {
        Self { of: vec![None; part.answered] }
    }

    /// The operations that forget all, can come before the answered operation of that rank, and lead
    /// to a state that does not rule it out. Those are left out that are ordered wherever anybody asks:
    /// their answer came before its call, and not among the last few before its answer.
    pub(super) fn of<M: Model>(
        &mut self,
        rank: u32,
        part: &Part,
        operations: &[Operation<M::Op>],
        states: &mut States<'_, M>,
        outlook: &dyn Outlook<M::State, M::Op>,
    ) -> &[u32] {
        let place = &mut self.of[rank as usize];
        if place.is_none() {
            let operation = |number: u32| &operations[part.source[number as usize] as usize];
            let call = operation(rank).call;
            let earlier = (0..rank)
                .rev()
                .take_while(|&it| (rank - it) as usize <= AHEAD || operation(it).ret >= Some(call));
            let open = part.open(rank as usize).iter().copied().skip(1);
            let unanswered = (0..part.called[rank as usize]).map(|nth| part.answered as u32 + nth);
            let saves = |&number: &u32| {
                outlook.forgets(&operation(number).op)
                    && states
                        .step(part, States::<M>::INIT, part.kind[number as usize])
                        .is_some_and(|after| !states.rules_out(part, after, rank, outlook))
            };
            *place = Some(earlier.chain(open).chain(unanswered).filter(saves).collect());
        }
        place.as_deref().unwrap_or_default()
    }
}
