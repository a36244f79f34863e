//! A lock as others record it.

use std::sync::Arc;

use crate::linear::Model;

/// A lock for each key, at first free, as Knossos' `mutex`: whoever gives it back, it is free again.
/// Who says which fencing token came with it (as Jepsen's `fenced-mutex`) must say a greater one each
/// time.
pub(super) struct Mutex;

/// What was done to a lock.
#[derive(PartialEq, Eq, Hash, Debug)]
pub(super) struct MutexOp {
    /// Which lock, in histories of several.
    pub(super) key: Option<Arc<str>>,
    pub(super) action: MutexAction,
}

#[derive(PartialEq, Eq, Hash, Debug)]
pub(super) enum MutexAction {
    /// It was free, and came with this token if that was said.
    Acquire(Option<i64>),
    /// It was held.
    Release,
}

/// Whether it is held, and the greatest token it came with so far.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct MutexState {
    held: bool,
    token: Option<i64>,
}

impl Model for Mutex {
    type State = MutexState;
    type Op = MutexOp;
    type Key = Option<Arc<str>>;

    fn key(&self, op: &MutexOp) -> Self::Key {
        op.key.clone()
    }

    fn init(&self) -> MutexState {
        MutexState { held: false, token: None }
    }

    fn step(&self, state: &MutexState, op: &MutexOp) -> Option<MutexState> {
        match op.action {
            MutexAction::Acquire(token) => {
                // No token is less than any.
                let is_greater = token.is_none() || token > state.token;
                let token = token.or(state.token);
                (!state.held && is_greater).then_some(MutexState { held: true, token })
            }
            MutexAction::Release => state.held.then_some(MutexState { held: false, ..*state }),
        }
    }

    fn observes(&self, _: &MutexOp) -> bool {
        false
    }

    fn describe(&self, op: &MutexOp) -> String {
        match op.action {
            MutexAction::Acquire(None) => "acquire".to_owned(),
            MutexAction::Acquire(Some(token)) => format!("acquire → token {token}"),
            MutexAction::Release => "release".to_owned(),
        }
    }

    fn describe_state(&self, state: &MutexState) -> String {
        let held = if state.held { "held" } else { "free" };
        match state.token {
            Some(token) => format!("{held}, last token {token}"),
            None => held.to_owned(),
        }
    }
}
