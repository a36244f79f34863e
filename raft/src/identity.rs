//! Who it is that promises: a node, and the disk that keeps its promises.
//!
//! A vote or an acknowledgement is worth what remembers it. So a member of a configuration is not a
//! node but a node *and its disk*: whoever comes back under an old name with an empty disk, or with
//! another's, is as far as promises go somebody else, and the one that was is a member that is down for
//! good. That is all that there is to a wiped disk; the paper's arguments hold as they stand, of members
//! that are such pairs.
//!
//! ```text
//!  first boot      later boots        wiped            renewed, by a joint change
//!  (B, d1) b1 ──▶  (B, d1) b2 b3 …    (B, d2) b1       {A (B,d1) C} ─▶ {A (B,d2) C}&&{A (B,d1) C} ─▶ {A (B,d2) C}
//!  draws d1        reads d1           gets the log,    without its help: A and C are a majority
//!                                     counts nowhere   of both
//! ```
//! What is counted (votes, pre-votes, acknowledgements) carries its sender's [`Identity`]; who counts
//! it looks, in each half of its configuration, whether that half names the disk. A leader forgets what
//! it knew of a peer whose disk is another one.
//!
//! # Copies
//! A copy of a disk carries the same name. What tells it from its original is the number of its boot,
//! which each boot writes down before it promises anything, and a number drawn at random with it. Who
//! has heard from a later boot of a disk, or from another one of the same number, drops what the older
//! or the other one says, and counts it.
//!
//! That finds: an old copy put back in the place of a disk that has booted since the copy was made, and
//! the second of two copies that run at once, at every peer that has heard the first. It does not find,
//! and nothing could: a copy of the state of the last boot, put back when the original is gone; nor one
//! that speaks to a peer that has heard of no other since its own boot, for that is not written down.

use std::collections::BTreeMap;
use std::fmt;

use cluster::{NodeId, Rng};
use serde::{Deserialize, Serialize};

/// A disk's name: drawn at random by the first boot on it, and read by all others. Prints as `d7f…`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Disk(u64);

impl Disk {
    /// The disk of whoever no disk is known of; of everyone where disks are
    /// [trusted](crate::Config::trusting_disks).
    pub const UNNAMED: Self = Self(0);

    /// The one of this name.
    pub const fn new(name: u64) -> Self {
        Self(name)
    }

    /// Its name.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "d{:x}", self.0)
    }
}

impl fmt::Display for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// One life of a node on a disk. Prints as `b3`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Life {
    /// How many boots there were on the disk, this one among them.
    pub boot: u32,
    /// Drawn at random by that boot: it tells two copies of a disk that have booted equally often.
    pub nonce: u32,
}

impl Life {
    /// Whether it may speak where `known` was heard: it is the same, or a later one.
    pub(crate) fn may_follow(self, known: Self) -> bool {
        self == known || self.boot > known.boot
    }
}

impl fmt::Debug for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b{}", self.boot)
    }
}

/// Who promises, beside its name. Carried by whatever is counted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug, Serialize, Deserialize)]
pub struct Identity {
    /// The disk that the promise is on.
    pub disk: Disk,
    /// The boot that made it.
    pub life: Life,
}

/// What a node's disk says of who it is.
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct Papers {
    /// The node, as of its last boot.
    pub own: Identity,
    /// The first disk that was heard of, of each other founder. Never changes.
    pub founders: BTreeMap<NodeId, Disk>,
    /// Whether all of them have said that they know this node by this disk.
    pub founded: bool,
    /// Whether the log on the disk is a witness's, without commands. Once it is, it stays so.
    pub witness: bool,
}

/// Papers as they are written: of a full replica, byte for byte as they were before there were
/// witnesses, when a truth value stood in the place of the [`Standing`].
#[derive(Serialize, Deserialize)]
struct Written {
    own: Identity,
    founders: BTreeMap<NodeId, Disk>,
    standing: Standing,
}

#[derive(Serialize, Deserialize)]
enum Standing {
    Awaited,
    Founded,
    Witness { founded: bool },
}

impl From<Papers> for Written {
    fn from(Papers { own, founders, founded, witness }: Papers) -> Self {
        let standing = match (witness, founded) {
            (true, founded) => Standing::Witness { founded },
            (false, true) => Standing::Founded,
            (false, false) => Standing::Awaited,
        };
        Self { own, founders, standing }
    }
}

impl From<Written> for Papers {
    fn from(Written { own, founders, standing }: Written) -> Self {
        let (founded, witness) = match standing {
            Standing::Awaited => (false, false),
            Standing::Founded => (true, false),
            Standing::Witness { founded } => (founded, true),
        };
        Self { own, founders, founded, witness }
    }
}

impl Papers {
    /// Those of the boot that finds these; it may be the first.
    pub(crate) fn renewed(&mut self, rng: &mut Rng) {
        if self.own.disk == Disk::UNNAMED {
            self.own.disk = Disk(rng.next().max(1));
        }
        let Life { boot, .. } = self.own.life;
        self.own.life = Life { boot: boot.saturating_add(1), nonce: rng.next() as u32 };
    }

    /// Whether `later` can have been written after these.
    pub(crate) fn may_become(&self, later: &Self) -> bool {
        let same = self.own.disk == later.own.disk || *self == Self::default();
        let kept = later.witness || !self.witness;
        same && kept && later.own.life.may_follow(self.own.life)
    }
}
