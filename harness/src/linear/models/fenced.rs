//! A lock whose grants are numbered.

use crate::linear::Model;

/// One lock, at first free, whose every grant carries a greater fencing token than those before.
///
/// A holder may be replaced without having given the lock back only if leases end by themselves
/// ([`FencedLock::leased`]): then what remains to be judged is the order of the tokens.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct FencedLock {
    /// Whether a held lock may become free without its holder's doing.
    pub leased: bool,
}

/// What a client asked of a lock with tokens, and was told.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FencedOp {
    /// `owner` got it, under this token.
    Acquired {
        /// Who.
        owner: u64,
        /// The fencing token.
        token: u64,
    },
    /// It was held, by whomever.
    Busy,
    /// Who held this token gave the lock back: the token was that of the holder.
    Released {
        /// The fencing token.
        token: u64,
    },
    /// The token was not that of the holder, or no longer.
    NotHolder {
        /// The fencing token.
        token: u64,
    },
    /// Somebody looked: the holder's token, or none.
    Inspected(Option<u64>),
}

/// The state of a [`FencedLock`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Fence {
    /// Whether the last token is still held. With leases: whether it was given back.
    held: bool,
    /// The greatest token granted so far.
    last: Option<u64>,
}

impl Model for FencedLock {
    type State = Fence;
    type Op = FencedOp;
    type Key = ();

    fn key(&self, _: &FencedOp) {}

    fn init(&self) -> Fence {
        Fence::default()
    }

    fn step(&self, fence: &Fence, op: &FencedOp) -> Option<Fence> {
        let holds = |token: u64| fence.held && fence.last == Some(token);
        match *op {
            FencedOp::Acquired { owner: _, token } => {
                let free = !fence.held || self.leased;
                (free && fence.last < Some(token))
                    .then_some(Fence { held: true, last: Some(token) })
            }
            FencedOp::Busy => fence.held.then_some(*fence),
            FencedOp::Released { token } => {
                holds(token).then_some(Fence { held: false, last: fence.last })
            }
            FencedOp::NotHolder { token } => (!holds(token) || self.leased).then_some(*fence),
            FencedOp::Inspected(None) => (!fence.held || self.leased).then_some(*fence),
            FencedOp::Inspected(Some(token)) => holds(token).then_some(*fence),
        }
    }

    fn observes(&self, op: &FencedOp) -> bool {
        match op {
            FencedOp::Busy | FencedOp::NotHolder { .. } | FencedOp::Inspected(_) => true,
            FencedOp::Acquired { .. } | FencedOp::Released { .. } => false,
        }
    }

    fn describe(&self, op: &FencedOp) -> String {
        match op {
            FencedOp::Acquired { owner, token } => format!("acquire for {owner} → token {token}"),
            FencedOp::Busy => "acquire → busy".to_owned(),
            FencedOp::Released { token } => format!("release of token {token}"),
            FencedOp::NotHolder { token } => format!("release of token {token} → not the holder"),
            FencedOp::Inspected(None) => "inspect → free".to_owned(),
            FencedOp::Inspected(Some(token)) => format!("inspect → token {token}"),
        }
    }

    fn describe_state(&self, fence: &Fence) -> String {
        match (fence.held, fence.last) {
            (true, Some(token)) => format!("held under token {token}"),
            (_, Some(token)) => format!("free, last token {token}"),
            (_, None) => "free, never held".to_owned(),
        }
    }
}
