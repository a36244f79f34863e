//! A resource that checks tokens: the other half of a lock.

use crate::FencingToken;

/// A value that refuses whoever comes with an older token than somebody before.
///
/// A lock alone cannot exclude a holder that stalls, loses its lease without noticing, and goes on
/// writing. The resource can, if every write brings its grant's token along: after the first write
/// by the new holder, whose token is greater, the old one's are refused. (M. Kleppmann, "How to do
/// distributed locking", 2016.)
///
/// An equal token is the same grant, so the same holder, and is let in as often as it comes.
///
/// ```
/// use dlock::{FencedResource, FencingToken};
///
/// let mut balance = FencedResource::new(100);
/// let (old, new) = (FencingToken::new(7), FencingToken::new(8));
/// *balance.access(old)? += 10;
/// *balance.access(new)? += 10; // the lease behind `old` has ended
/// let refused = balance.access(old).unwrap_err();
/// assert_eq!((refused.offered, refused.newest), (old, new));
/// assert_eq!(*balance.get(), 120);
/// # Ok::<(), dlock::Fenced>(())
/// ```
///
/// What it protects against is only what goes through it. It must live where the writes happen, and
/// remember the newest token as durably as what it protects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FencedResource<T> {
    value: T,
    newest: FencingToken,
    refused: u64,
}

/// The token is older than one that was here before. Nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("token {offered} is stale: {newest} was here before; nothing was done")]
pub struct Fenced {
    /// The token that was offered.
    pub offered: FencingToken,
    /// The newest one seen.
    pub newest: FencingToken,
}

impl<T> FencedResource<T> {
    /// `value`, which nobody has touched yet.
    pub fn new(value: T) -> Self {
        Self { value, newest: FencingToken::ZERO, refused: 0 }
    }

    /// The value, to change it, for the holder of `token`; older tokens are refused from now on.
    ///
    /// # Errors
    /// [`Fenced`], naming both tokens, when a newer one was here before.
    pub fn access(&mut self, token: FencingToken) -> Result<&mut T, Fenced> {
        if token < self.newest {
            self.refused += 1;
            return Err(Fenced { offered: token, newest: self.newest });
        }
        self.newest = token;
        Ok(&mut self.value)
    }

    /// The value, to look at, which needs no token.
    pub fn get(&self) -> &T {
        &self.value
    }

    /// The newest token seen; [`FencingToken::ZERO`] before the first.
    pub fn newest(&self) -> FencingToken {
        self.newest
    }

    /// How many accesses were refused.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// The value, without its guard.
    pub fn into_inner(self) -> T {
        self.value
    }
}
