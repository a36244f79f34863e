//! A lock whose grants are numbered.

use crate::linear::Model;

/// One lock, at first free, each grant of which carries a greater fencing token than those before.
///
/// A history need not say its tokens: without any this is a plain lock, as Knossos' `mutex`, and with
/// those of the grants its `fenced-mutex`.
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
    /// Somebody got it.
    Acquired {
        /// The fencing token that came with it, if that was said.
        token: Option<i64>,
    },
    /// It was held, by whomever.
    Busy,
    /// The holder gave the lock back.
    Released {
        /// The fencing token that the holder named, if it did: it was that of the grant.
        token: Option<i64>,
    },
    /// The token was not that of the holder, or no longer.
    NotHolder {
        /// The fencing token.
        token: i64,
    },
    /// Somebody looked: the holder's token, or none.
    Inspected(Option<i64>),
}

/// The state of a [`FencedLock`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Fence {
    /// With leases: whether it was given back.
    held: Held,
    /// The greatest token known to have been granted.
    last: Option<i64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
enum Held {
    #[default]
    No,
    /// Under the last token.
    Fenced,
    /// Nobody said under which token.
    Unsaid,
}

impl Fence {
    /// Granted under `token`.
    fn granted(self, token: Option<i64>) -> Option<Self> {
        match token {
            None => Some(Self { held: Held::Unsaid, ..self }),
            Some(_) => (self.last < token).then_some(Self { held: Held::Fenced, last: token }),
        }
    }

    /// As it is if the holder's token is `token`.
    fn held_under(self, token: Option<i64>) -> Option<Self> {
        match self.held {
            Held::No => None,
            Held::Fenced => (token.is_none() || self.last == token).then_some(self),
            Held::Unsaid => self.granted(token),
        }
    }
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
        let free = fence.held == Held::No || self.leased;
        match *op {
            FencedOp::Acquired { token } => free.then(|| fence.granted(token))?,
            FencedOp::Busy => (fence.held != Held::No).then_some(*fence),
            FencedOp::Released { token } => {
                fence.held_under(token).map(|fence| Fence { held: Held::No, ..fence })
            }
            FencedOp::NotHolder { token } => {
                let holds = fence.held == Held::Fenced && fence.last == Some(token);
                (!holds || self.leased).then_some(*fence)
            }
            FencedOp::Inspected(None) => free.then_some(*fence),
            FencedOp::Inspected(token) => fence.held_under(token),
        }
    }

    fn observes(&self, op: &FencedOp) -> bool {
        match op {
            FencedOp::Busy | FencedOp::NotHolder { .. } | FencedOp::Inspected(None) => true,
            // It may tell under which token the lock is held.
            FencedOp::Inspected(Some(_)) => false,
            FencedOp::Acquired { .. } | FencedOp::Released { .. } => false,
        }
    }

    fn describe(&self, op: &FencedOp) -> String {
        match op {
            FencedOp::Acquired { token: None } => "acquire".to_owned(),
            FencedOp::Acquired { token: Some(token) } => format!("acquire → token {token}"),
            FencedOp::Busy => "acquire → busy".to_owned(),
            FencedOp::Released { token: None } => "release".to_owned(),
            FencedOp::Released { token: Some(token) } => format!("release of token {token}"),
            FencedOp::NotHolder { token } => format!("release of token {token} → not the holder"),
            FencedOp::Inspected(None) => "inspect → free".to_owned(),
            FencedOp::Inspected(Some(token)) => format!("inspect → token {token}"),
        }
    }

    fn describe_state(&self, fence: &Fence) -> String {
        let held = if fence.held == Held::No { "free" } else { "held" };
        match (fence.held, fence.last) {
            (Held::Fenced, Some(token)) => format!("held under token {token}"),
            (_, Some(token)) => format!("{held}, last token {token}"),
            (_, None) => held.to_owned(),
        }
    }
}
