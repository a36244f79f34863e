//! What all rivals share: the words, the state machine, and what is watched from outside.

use std::collections::BTreeMap;
use std::hash::Hash;
use std::marker::PhantomData;

use cluster::{Digest, Epoch, Node, NodeId, Redirect, Role};
use serde::{Deserialize, Serialize};

use super::guarded::Guarded;
use crate::guarantee::{Guarantee, Violation};
use crate::subject::{Pattern, Seen};
use crate::vocabulary::{Answer, Op, Refusal};

/// What clients ask of a rival.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Ask {
    /// What does this register hold? Linearizable.
    Read {
        /// Which.
        key: u32,
    },
    /// Let a register hold a value.
    Write(Write),
    /// What has this node applied?
    Committed,
}

/// A write to a register.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Write {
    /// Which register.
    pub key: u32,
    /// What it is to hold.
    pub value: u64,
}

impl Write {
    /// How many bytes [`Write::to_bytes`] makes.
    pub const LEN: usize = 12;

    /// For logs that hold bytes.
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..4].copy_from_slice(&self.key.to_le_bytes());
        bytes[4..].copy_from_slice(&self.value.to_le_bytes());
        bytes
    }

    /// What [`Write::to_bytes`] made; none if these bytes are not of that length.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::LEN] = bytes.try_into().ok()?;
        let (key, value) = bytes.split_first_chunk()?;
        let value = u64::from_le_bytes(value.try_into().ok()?);
        Some(Self { key: u32::from_le_bytes(*key), value })
    }
}

/// The rival's word for `op`.
pub fn ask(op: &Op) -> Ask {
    match *op {
        Op::Read { key, .. } => Ask::Read { key },
        Op::Write { key, value, .. } => Ask::Write(Write { key, value }),
        Op::Committed => Ask::Committed,
        Op::Lead
        | Op::Open
        | Op::Change(_)
        | Op::Inspect { .. }
        | Op::Acquire { .. }
        | Op::Renew { .. }
        | Op::Release { .. } => {
            unreachable!("a register workload asks for registers")
        }
    }
}

/// Where `answer` says to try instead.
pub fn redirect(answer: &Answer) -> Option<Redirect> {
    match answer {
        Err(Refusal::NotLeader(to)) => Some(Redirect { to: *to }),
        Ok(_)
        | Err(Refusal::Unavailable | Refusal::Busy | Refusal::NotHolder | Refusal::Unknown) => None,
    }
}

/// One node's copy of the registers, with a digest of every entry that made it so.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Replica {
    life: u64,
    values: BTreeMap<u32, u64>,
    applied: Vec<u64>,
}

impl Replica {
    /// An empty one. `life` differs from boot to boot, so that whoever watches sees that the log is
    /// applied anew.
    pub fn new(life: u64) -> Self {
        Self { life, ..Self::default() }
    }

    /// Applies the committed entry at `place` (its term and index, or whatever names it), which
    /// holds `write`, or nothing for the state machine.
    pub fn apply(&mut self, place: impl Hash, write: Option<Write>) {
        self.applied.push(Digest::of(&(place, write)));
        if let Some(Write { key, value }) = write {
            self.values.insert(key, value);
        }
    }

    /// What `key` holds.
    pub fn read(&self, key: u32) -> Option<u64> {
        self.values.get(&key).copied()
    }

    /// A digest of each applied entry, in order from the first.
    pub fn log(&self) -> &[u64] {
        &self.applied
    }
}

/// A rival that is a [`Node`].
pub trait RivalNode: Node<Request = Ask, Response = Answer> {
    /// Its copy of the registers.
    fn replica(&self) -> &Replica;
}

/// The words and invariants of any [`RivalNode`].
pub struct Rival<N>(PhantomData<fn() -> N>);

/// What is watched over one run in the simulated world.
///
/// Guarantees, checked after every step:
/// 1. in one epoch (term, ballot) at most one node acts as leader;
/// 2. no two nodes apply different entries at one place;
/// 3. no node panics.
#[derive(Debug, Default)]
pub struct Watch {
    leaders: BTreeMap<Epoch, NodeId>,
    /// The longest log that any node has applied.
    applied: Vec<u64>,
    /// How much of its log was compared, in which life.
    compared: BTreeMap<NodeId, (u64, usize)>,
}

impl Watch {
    fn leader(&mut self, node: NodeId, epoch: Epoch) -> Result<(), Violation> {
        let first = *self.leaders.entry(epoch).or_insert(node);
        if first == node {
            return Ok(());
        }
        let what = format!("{first} and {node} both led in {epoch}");
        Err(Violation::new(Guarantee::ElectionSafety, what))
    }

    fn applied(&mut self, node: NodeId, replica: &Replica) -> Result<(), Violation> {
        let (life, compared) = self.compared.entry(node).or_default();
        if *life != replica.life {
            (*life, *compared) = (replica.life, 0);
        }
        for (place, &entry) in replica.applied.iter().enumerate().skip(*compared) {
            match self.applied.get(place) {
                None => self.applied.push(entry),
                Some(&known) if known == entry => {}
                Some(_) => {
                    let what = format!("{node} applied another entry at {} than others", place + 1);
                    return Err(Violation::new(Guarantee::StateMachineSafety, what));
                }
            }
        }
        *compared = replica.applied.len();
        Ok(())
    }
}

impl<N: RivalNode> Pattern for Rival<N> {
    type Node = Guarded<N>;
    type Monitor = Watch;

    fn request(op: Op) -> Ask {
        ask(&op)
    }

    fn answer(response: Answer) -> Answer {
        response
    }

    fn observe(
        watch: &mut Watch,
        (id, node, now): Seen<'_, Guarded<N>>,
        _all: &mut dyn Iterator<Item = Seen<'_, Guarded<N>>>,
    ) -> Result<(), Violation> {
        if let Some(panic) = node.panic() {
            let what = format!("{id} panicked: {panic}");
            return Err(Violation::new(Guarantee::Availability, what));
        }
        let standing = node.standing(now);
        if standing.role == Role::Leader {
            watch.leader(id, standing.epoch)?;
        }
        watch.applied(id, node.replica())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_comes_back_from_its_bytes() {
        let write = Write { key: 7, value: u64::MAX - 3 };
        assert_eq!(Write::from_bytes(&write.to_bytes()), Some(write));
        assert_eq!(Write::from_bytes(&[]), None);
        assert_eq!(Write::from_bytes(&[0; 13]), None);
    }

    #[test]
    fn the_watch_sees_two_leaders_of_one_epoch() {
        let mut watch = Watch::default();
        let (one, two) = (NodeId::new(1), NodeId::new(2));
        assert_eq!(watch.leader(one, Epoch::new(3)), Ok(()));
        assert_eq!(watch.leader(one, Epoch::new(3)), Ok(()));
        assert_eq!(watch.leader(two, Epoch::new(4)), Ok(()));
        let broken = watch.leader(two, Epoch::new(3)).expect_err("two led in it");
        assert_eq!(broken.guarantee, Guarantee::ElectionSafety);
    }

    #[test]
    fn the_watch_sees_logs_that_part_even_after_a_reboot() {
        let mut watch = Watch::default();
        let node = NodeId::new(1);
        let mut first = Replica::new(1);
        first.apply(1, None);
        first.apply(2, Some(Write { key: 1, value: 5 }));
        assert_eq!(watch.applied(node, &first), Ok(()));
        let mut again = Replica::new(2);
        again.apply(1, None);
        assert_eq!(watch.applied(node, &again), Ok(()));
        again.apply(2, Some(Write { key: 1, value: 6 }));
        let broken = watch.applied(node, &again).expect_err("the second entry differs");
        assert_eq!(broken.guarantee, Guarantee::StateMachineSafety);
    }
}
