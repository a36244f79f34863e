//! Seeing early that a place leads nowhere.

use super::part::Part;
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
    /// to a state that does not rule it out. Those whose answer came before its call are left out.
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
            let earlier = (0..rank).rev().take_while(|&it| operation(it).ret >= Some(call));
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
