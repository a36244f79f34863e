//! What several suites need: a naive judge.

use harness::linear::{Model, Operation};

/// An operation of process `process`, called and answered at those times.
pub(crate) fn operation<Op>(process: u64, op: Op, call: u64, ret: u64) -> Operation<Op> {
    Operation { process, op, call, ret: Some(ret) }
}

/// An operation of process `process` that was never answered.
pub(crate) fn unanswered<Op>(process: u64, op: Op, call: u64) -> Operation<Op> {
    Operation { process, op, call, ret: None }
}

/// Whether `operations`, all of one key, can be put in order: tries every order there is.
pub(crate) fn naive<M: Model>(model: &M, operations: &[&Operation<M::Op>]) -> bool {
    fn extend<M: Model>(model: &M, left: &mut Vec<&Operation<M::Op>>, state: &M::State) -> bool {
        if left.iter().all(|operation| operation.ret.is_none()) {
            return true;
        }
        (0..left.len()).any(|at| {
            let next = left[at];
            let too_early =
                |other: &&Operation<M::Op>| other.ret.is_some_and(|ret| ret < next.call);
            if left.iter().any(too_early) {
                return false;
            }
            let Some(after) = model.step(state, &next.op) else { return false };
            left.remove(at);
            let found = extend(model, left, &after);
            left.insert(at, next);
            found
        })
    }
    extend(model, &mut operations.to_vec(), &model.init())
}
