//! Messages of many groups that travel as one.

use serde::{Deserialize, Serialize};

use super::Tagged;
use crate::{Effects, Gate, Members};

/// What the groups of one node tell their peers on another, in the order in which they said it.
///
/// It is one message: it is lost, doubled, held up and overtaken as a whole.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bundle<M>(pub Vec<Tagged<M>>);

/// What leaves with the next flush.
pub(super) struct Outgoing<M> {
    /// For each member.
    peers: Vec<ToPeer<M>>,
    limits: Limits,
    bundles: u64,
    messages: u64,
}

/// How much goes into one bundle.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) messages: usize,
    /// Of one message there may be more.
    pub(super) bytes: usize,
}

impl Limits {
    /// How many of the first of `list` go into one bundle; at least one.
    fn take<M>(self, list: &[Tagged<M>], size: impl Fn(&M) -> usize) -> usize {
        let mut bytes = 0_usize;
        let fits = |message: &&Tagged<M>| {
            bytes = bytes.saturating_add(size(&message.body));
            bytes <= self.bytes
        };
        list.iter().take(self.messages).take_while(fits).count().max(1)
    }
}

struct ToPeer<M> {
    open: Vec<Tagged<M>>,
    gated: Vec<Tagged<M>>,
}

impl<M> Outgoing<M> {
    pub(super) fn new(members: usize, limits: Limits) -> Self {
        let peers = (0..members).map(|_| ToPeer { open: Vec::new(), gated: Vec::new() }).collect();
        Self { peers, limits, bundles: 0, messages: 0 }
    }

    /// `message` is to leave to the member at place `to`.
    pub(super) fn add(&mut self, to: usize, gate: Gate, message: Tagged<M>) {
        let peer = &mut self.peers[to];
        match gate {
            Gate::Open => peer.open.push(message),
            Gate::Durable => peer.gated.push(message),
        }
    }

    /// All of it leaves. `size` says of a message how many bytes it takes.
    pub(super) fn leave<R, P, E>(
        &mut self,
        members: &Members,
        size: impl Fn(&M) -> usize,
        out: &mut Effects<Bundle<M>, R, P, E>,
    ) {
        let (mut bundles, mut messages) = (0, 0);
        for (to, peer) in members.iter().zip(&mut self.peers) {
            for (list, gate) in [(&mut peer.open, Gate::Open), (&mut peer.gated, Gate::Durable)] {
                while !list.is_empty() {
                    let rest = list.split_off(self.limits.take(list, &size));
                    let bundle = Bundle(std::mem::replace(list, rest));
                    (bundles, messages) = (bundles + 1, messages + bundle.0.len() as u64);
                    match gate {
                        Gate::Open => out.send_now(to, bundle),
                        Gate::Durable => out.send(to, bundle),
                    }
                }
            }
        }
        self.bundles += bundles;
        self.messages += messages;
    }

    /// How many have left.
    pub(super) fn bundles(&self) -> u64 {
        self.bundles
    }

    /// How many messages they held.
    pub(super) fn messages(&self) -> u64 {
        self.messages
    }
}
