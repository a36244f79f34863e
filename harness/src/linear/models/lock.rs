//! A lock, without leases and tokens.

use crate::linear::Model;

/// One lock, at first free, which only its owner can give back.
///
/// It knows no expiry: a history in which leases end by themselves is no history of this object.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Lock;

/// What a client asked of a lock, and was told.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LockOp {
    /// `owner` got it: it was free.
    Acquired {
        /// Who.
        owner: u64,
    },
    /// `owner` did not get it: it was held, by whomever.
    Busy {
        /// Who.
        owner: u64,
    },
    /// `owner` gave it back: it was its.
    Released {
        /// Who.
        owner: u64,
    },
    /// `owner` could not give it back: it was not its.
    NotHolder {
        /// Who.
        owner: u64,
    },
}

impl Model for Lock {
    /// Who holds it.
    type State = Option<u64>;
    type Op = LockOp;
    type Key = ();

    fn key(&self, _: &LockOp) {}

    fn init(&self) -> Option<u64> {
        None
    }

    fn step(&self, &holder: &Option<u64>, op: &LockOp) -> Option<Option<u64>> {
        match *op {
            LockOp::Acquired { owner } => holder.is_none().then_some(Some(owner)),
            LockOp::Busy { owner: _ } => holder.is_some().then_some(holder),
            LockOp::Released { owner } => (holder == Some(owner)).then_some(None),
            LockOp::NotHolder { owner } => (holder != Some(owner)).then_some(holder),
        }
    }

    fn observes(&self, op: &LockOp) -> bool {
        match op {
            LockOp::Busy { .. } | LockOp::NotHolder { .. } => true,
            LockOp::Acquired { .. } | LockOp::Released { .. } => false,
        }
    }

    fn describe(&self, op: &LockOp) -> String {
        match op {
            LockOp::Acquired { owner } => format!("acquire for {owner}"),
            LockOp::Busy { owner } => format!("acquire for {owner} → busy"),
            LockOp::Released { owner } => format!("release by {owner}"),
            LockOp::NotHolder { owner } => format!("release by {owner} → not the holder"),
        }
    }

    fn describe_state(&self, holder: &Option<u64>) -> String {
        holder.map_or_else(|| "free".to_owned(), |owner| format!("held by {owner}"))
    }
}
