//! What a host does with an input, remembered.
//!
//! A cluster has far more states than each of its nodes has: most steps of the search let a host do
//! what it has done in another state before. So each host's turn is carried out once, and shared.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::{Arc, Mutex, PoisonError};

use crate::{Node, NodeId};

use super::Explorable;
use super::host::Host;
use super::property::Ended;
use super::search::{Broken, Mixed};

/// A message under way.
pub(super) struct Parcel<N: Node> {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) body: N::Message,
    /// What stands for it, by naming.
    pub(super) prints: Box<[u128]>,
}

/// What came of a host's turn.
pub(super) struct Turn<N: Explorable> {
    pub(super) host: Arc<Host<N>>,
    pub(super) sent: Vec<Arc<Parcel<N>>>,
    /// The requests that ended.
    pub(super) ended: Vec<(usize, Ended<N::Response>)>,
    pub(super) events: Vec<(NodeId, N::Event)>,
}

/// What a turn is remembered by: what stands for the host before it, and for the input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Cue(u128);

impl Cue {
    /// `input` must be mixed well.
    pub(super) fn new(host: u128, input: u128) -> Self {
        Self(salted(host.rotate_left(64) ^ input, 1))
    }
}

type Shard<N> = HashMap<u128, Arc<Turn<N>>, BuildHasherDefault<Mixed>>;

/// The turns of all hosts so far.
pub(super) struct Turns<N: Explorable> {
    /// Empty if nothing is to be remembered.
    shards: Vec<Mutex<Shard<N>>>,
}

impl<N: Explorable> Turns<N> {
    const SHARDS: usize = 64;
    /// How many turns one shard remembers before it forgets all.
    const SHARD_MAX: usize = 1 << 15;

    pub(super) fn remembered() -> Self {
        Self { shards: (0..Self::SHARDS).map(|_| Mutex::default()).collect() }
    }

    /// Every turn is carried out each time: two hosts that look alike may not be.
    pub(super) fn afresh() -> Self {
        Self { shards: Vec::new() }
    }

    /// The turn that `cue` stands for, which `carry_out` carries out if need be.
    pub(super) fn of(
        &self,
        cue: Cue,
        carry_out: impl FnOnce() -> Result<Turn<N>, Broken>,
    ) -> Result<Arc<Turn<N>>, Broken> {
        let Some(shard) = self.shards.get((cue.0 >> 122) as usize) else {
            return carry_out().map(Arc::new);
        };
        let lock = || shard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = lock().get(&cue.0) {
            return Ok(Arc::clone(turn));
        }
        let turn = Arc::new(carry_out()?);
        let mut shard = lock();
        if shard.len() >= Self::SHARD_MAX {
            shard.clear();
        }
        shard.insert(cue.0, Arc::clone(&turn));
        Ok(turn)
    }
}

/// `print` together with a small number.
pub(super) fn salted(print: u128, salt: u64) -> u128 {
    const ODD: u128 = 0x2360_ED05_1FC6_5DA4_4385_DF64_9FCC_F645;
    if salt == 0 {
        return print;
    }
    let mixed = (print ^ u128::from(salt).wrapping_mul(ODD)).wrapping_mul(ODD);
    mixed ^ mixed >> 64
}
