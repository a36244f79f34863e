//! What several suites need: a naive judge, and a generator of long histories.

use cluster::Rng;
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

/// When something was called, took effect (if it did), and was answered (if it was).
pub(crate) struct Times {
    pub(crate) process: u64,
    pub(crate) key: u64,
    pub(crate) call: u64,
    pub(crate) effect: Option<u64>,
    pub(crate) ret: Option<u64>,
}

/// `count` calls of `clients` clients on `keys` keys, in the order of their effects; `unanswered_ppm`
/// in a million are never answered, and half of those never happen.
pub(crate) fn schedule(
    rng: &mut Rng,
    clients: u64,
    keys: u64,
    count: usize,
    unanswered_ppm: u32,
) -> Vec<Times> {
    let mut free: Vec<(u64, u64)> = (0..clients).map(|client| (rng.below(1_000), client)).collect();
    let mut next_process = clients;
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        let at = (0..free.len()).min_by_key(|&at| free[at].0).expect("there is a client");
        let (call, process) = free[at];
        let effect = call + 1 + rng.below(1_000);
        let ret = effect + 1 + rng.below(1_000);
        let times =
            Times { process, key: rng.below(keys), call, effect: Some(effect), ret: Some(ret) };
        free[at] = (ret + 1 + rng.below(200), process);
        all.push(if rng.chance(unanswered_ppm) {
            free[at].1 = next_process;
            next_process += 1;
            let effect =
                times.effect.filter(|_| rng.chance(500_000)).map(|at| at + rng.below(50_000));
            Times { effect, ret: None, ..times }
        } else {
            times
        });
    }
    all.sort_by_key(|times| times.effect.unwrap_or(u64::MAX));
    all
}
