//! Long histories, generated.

use cluster::Rng;
use harness::linear::{At, KvAction, KvOp, Operation, PerKey, Register, RegisterOp};

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

pub(crate) type Registers = PerKey<u64, Register<u64>>;
pub(crate) type RegisterOperation = Operation<At<u64, RegisterOp<u64>>>;

/// Few values, many writers: the same value comes back again and again.
pub(crate) fn registers(rng: &mut Rng, times: &[Times]) -> Vec<RegisterOperation> {
    let mut held = std::collections::BTreeMap::<u64, u64>::new();
    let mut history = Vec::new();
    for &Times { process, key, call, effect, ret } in times {
        let state = held.get(&key).copied();
        let op = match rng.below(3) {
            0 => RegisterOp::Read(state),
            1 => RegisterOp::Write(rng.below(5)),
            _ => {
                let (from, to) = (Some(rng.below(5)), rng.below(5));
                RegisterOp::Cas { from, to, done: ret.is_none() || from == state }
            }
        };
        let change = match op {
            RegisterOp::Read(_) => None,
            RegisterOp::Write(value) => Some(value),
            RegisterOp::Cas { from, to, done } => (done && from == state).then_some(to),
        };
        if let (Some(_), Some(value)) = (effect, change) {
            held.insert(key, value);
        }
        history.push(Operation { process, op: At { key, op }, call, ret });
    }
    history
}

/// Each piece is appended once, as in the recorded histories of maps.
pub(crate) fn maps(rng: &mut Rng, times: &[Times]) -> Vec<Operation<KvOp>> {
    let mut held = std::collections::BTreeMap::<u64, String>::new();
    let mut history = Vec::new();
    for (number, &Times { process, key, call, effect, ret }) in times.iter().enumerate() {
        let state = held.entry(key).or_default();
        let piece = format!("x {process} {number} y");
        let action = match rng.below(5) {
            0 | 1 => KvAction::Get(state.as_str().into()),
            2 => KvAction::Put(piece.as_str().into()),
            _ => KvAction::Append(piece.as_str().into()),
        };
        match (&action, effect) {
            (KvAction::Put(_), Some(_)) => *state = piece,
            (KvAction::Append(_), Some(_)) => *state += &piece,
            (KvAction::Get(_), _) | (_, None) => {}
        }
        let op = KvOp { key: key.to_string().into(), action };
        history.push(Operation { process, op, call, ret });
    }
    history
}

/// Two late gets of one key, one after the other, of which the second saw what was appended since: now
/// each sees what the other saw, and no order explains both.
pub(crate) fn stale(mut history: Vec<Operation<KvOp>>, rng: &mut Rng) -> Vec<Operation<KvOp>> {
    let seen = |operation: &Operation<KvOp>| match &operation.op.action {
        KvAction::Get(seen) => operation.ret.map(|ret| (ret, seen.clone())),
        KvAction::Put(_) | KvAction::Append(_) => None,
    };
    let half = history.len() / 2;
    let from = half + rng.index(half / 2);
    let late = || from..history.len();
    let pair = late().find_map(|one| {
        let (ret, first) = seen(&history[one])?;
        let later = late().find(|&other| {
            history[other].op.key == history[one].op.key
                && history[other].call > ret
                && seen(&history[other])
                    .is_some_and(|(_, second)| second != first && second.starts_with(&first))
        });
        Some((one, later?))
    });
    let (one, other) = pair.expect("some key is read again and again");
    let action = history[one].op.action.clone();
    history[one].op.action = std::mem::replace(&mut history[other].op.action, action);
    history
}
