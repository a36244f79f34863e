//! Faults, as data: what goes wrong, said the same way to every implementation.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Members, NodeId};

/// Something that goes wrong with a cluster, or right again.
///
/// A fault lasts until its opposite; there are no durations here, so that schedules compose. Cuts and
/// link faults decide when a message is sent: what is under way by then arrives as it would have.
/// What a node sends to itself passes no link, and always arrives.
#[derive(Clone, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Fault {
    /// The process dies at once (kill -9). What it had not synced may or may not survive. No effect
    /// on a node that is down.
    Crash {
        /// Which node.
        node: NodeId,
    },
    /// The process starts again from its disk. A node that is up is not touched, but a crash that
    /// it was armed with ([`Fault::CrashAfter`]) is called off.
    Restart {
        /// Which node.
        node: NodeId,
    },
    /// The process stops as by SIGSTOP; what is sent to it waits. No effect unless it runs.
    Pause {
        /// Which node.
        node: NodeId,
    },
    /// A paused process goes on, and finds that time has passed.
    Resume {
        /// Which node.
        node: NodeId,
    },
    /// Every node dies at once, and nothing that was not synced survives.
    PowerLoss,
    /// Nothing that nodes of different groups send each other arrives. Nodes in no group, and
    /// clients, are not touched. Adds to earlier cuts.
    Partition {
        /// The sides; a node belongs to at most one, or the fault is refused.
        groups: Vec<Vec<NodeId>>,
    },
    /// Nothing arrives that a node of `from` sends to a node of `to`; the other way is not touched.
    /// Adds to earlier cuts.
    Cut {
        /// Senders.
        from: Vec<NodeId>,
        /// Receivers.
        to: Vec<NodeId>,
    },
    /// Every cut ends.
    Heal,
    /// All links between nodes behave so from now on.
    Links(LinkFault),
    /// A node's clocks behave so from now on.
    Clock {
        /// Which node.
        node: NodeId,
        /// How.
        clock: ClockFault,
    },
    /// Arms a crash: the process dies right after it has carried out so many more effects, wherever
    /// in a batch that is: between a record and a message, too. A record counts when it is written,
    /// a message, an answer and an event when they leave the node, which is after the sync if they
    /// wait for it. What is not synced fares as in [`Fault::Crash`]. Disarmed when the process goes
    /// down in any other way, and by [`Fault::Restart`]; armed anew by another. No effect on a node
    /// that is down.
    CrashAfter {
        /// Which node.
        node: NodeId,
        /// How many more effects. Of zero, it dies where it would carry out the next one.
        effects: u32,
    },
    /// A node's disk behaves so from now on, whether its process lives or not.
    Disk {
        /// Whose disk.
        node: NodeId,
        /// How. The default is a sound disk.
        disk: DiskFault,
    },
    /// Damages one record of what is durable by now on a node's disk; no effect if nothing is. A
    /// running process does not notice. At the next boot the damage is found, or taken for the end of
    /// the log: see [`Damage`].
    Rot {
        /// Whose disk.
        node: NodeId,
        /// Which record: so many millionths of the way from the first to the last, at most 1 000 000,
        /// which is the last. A share, so that a schedule does not depend on how much was written.
        at_ppm: u32,
        /// What becomes of it.
        damage: Damage,
    },
    /// A node's disk is emptied. The process dies first, if it lives. It may be started again, and
    /// finds nothing, not even that it ever lived: a protocol may allow this or not.
    Wipe {
        /// Whose disk.
        node: NodeId,
    },
}

impl Fault {
    /// Whether this fault makes sense for a cluster of `members`. Worlds ask before they change
    /// anything.
    ///
    /// # Errors
    /// [`Unsupported`], because it names a node that the cluster does not have, puts one on two
    /// sides of a partition, or points beyond the last record of a disk.
    pub fn check(&self, members: &Members) -> Result<(), Unsupported> {
        if !self.nodes().all(|node| members.contains(node)) {
            return Err(Unsupported::new(self, "it names a node that the cluster does not have"));
        }
        if let Self::Partition { groups } = self {
            let sides = |&node: &NodeId| groups.iter().filter(|side| side.contains(&node)).count();
            if groups.iter().flatten().any(|node| sides(node) > 1) {
                return Err(Unsupported::new(self, "it puts a node on two sides"));
            }
        }
        if let Self::Rot { at_ppm: 1_000_001.., .. } = self {
            return Err(Unsupported::new(self, "it points beyond the last record"));
        }
        Ok(())
    }

    /// Every node that this fault names.
    fn nodes(&self) -> Box<dyn Iterator<Item = NodeId> + '_> {
        match self {
            Self::Crash { node }
            | Self::Restart { node }
            | Self::Pause { node }
            | Self::Resume { node }
            | Self::Clock { node, .. }
            | Self::CrashAfter { node, .. }
            | Self::Disk { node, .. }
            | Self::Rot { node, .. }
            | Self::Wipe { node } => Box::new(std::iter::once(*node)),
            Self::Partition { groups } => Box::new(groups.iter().flatten().copied()),
            Self::Cut { from, to } => Box::new(from.iter().chain(to).copied()),
            Self::PowerLoss | Self::Heal | Self::Links(_) => Box::new(std::iter::empty()),
        }
    }
}

/// How links misbehave. The default is not at all.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct LinkFault {
    /// Messages lost, in a million.
    pub loss_ppm: u32,
    /// Messages delivered twice, in a million.
    pub duplicate_ppm: u32,
    /// Messages held back for up to `delay_max`, in a million; later ones overtake them.
    pub delay_ppm: u32,
    /// The longest that a message is held back, beyond the ordinary latency.
    pub delay_max: Duration,
}

/// How a node's clocks misbehave. No pattern's safety may depend on the wall clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct ClockFault {
    /// From now on both clocks run so many millionths too fast (negative: too slow), whatever they
    /// did before; held within ±500 000, see [`Clock::drift`](crate::Clock::drift).
    pub drift_ppm: i32,
    /// The wall clock moves by so many nanoseconds, once, now.
    pub jump_nanos: i64,
}

/// How a node's disk misbehaves. The default is not at all. The network goes on meanwhile, and so
/// does the process, as far as it does not wait for the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct DiskFault {
    /// Every sync that starts from now on takes so much longer.
    pub slow: Duration,
    /// No sync ends until this is lifted: what waits for one waits.
    pub stalled: bool,
    /// Nothing can be appended (`ENOSPC`). A process that tries dies there, as one must that cannot
    /// write what it would go on from; nothing of that record is written. It may be started again.
    pub full: bool,
    /// When the process dies or the power goes, the first record that does not survive may be there
    /// in part: a torn write. It is cut off at the next boot.
    pub torn: bool,
}

/// What becomes of a durable record that rots.
///
/// Worlds model a store whose records carry a checksum and their own number. At boot, it tells what
/// such a store can tell:
/// - A record that is damaged or missing while any later one is sound is corruption: boot is refused
///   with [`CorruptRecords`](crate::CorruptRecords), before the node sees anything.
/// - Damage at the very end looks the same as a torn write, because the store keeps no other mark of
///   how far it had been durable: it is cut off, and an acknowledged record is gone. No protocol
///   survives that on a majority of its nodes, and few promise to survive it on one.
/// - A record in another's place has a sound checksum and a wrong number, which no torn write
///   leaves: boot is refused, at the end of the log as well.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Damage {
    /// A bit flips: its checksum does not match.
    Flip,
    /// Another record was written over it: the checksum matches, the number does not.
    Misdirected,
    /// It never reached the disk, though the disk said so: nothing is there.
    Lost,
}

/// A fault that an implementation cannot take.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("cannot take {fault}: {reason}")]
pub struct Unsupported {
    /// Which fault.
    pub fault: String,
    /// Why not.
    pub reason: &'static str,
}

impl Unsupported {
    /// `fault` cannot be taken, for `reason`.
    pub fn new(fault: &Fault, reason: &'static str) -> Self {
        Self { fault: format!("{fault:?}"), reason }
    }
}

/// Which directed links are cut. Worlds ask it for every message.
#[derive(Clone, Debug)]
pub struct Cuts {
    nodes: usize,
    cut: Vec<bool>,
}

impl Cuts {
    /// No cuts among `nodes` nodes.
    pub fn none(nodes: usize) -> Self {
        Self { nodes, cut: vec![false; nodes * nodes] }
    }

    /// Whether what node number `from` sends does not reach node number `to`.
    pub fn is_cut(&self, from: usize, to: usize) -> bool {
        self.cut[from * self.nodes + to]
    }

    /// Whether any link is cut.
    pub fn any(&self) -> bool {
        self.cut.contains(&true)
    }

    /// Cuts the link from node number `from` to node number `to`.
    pub fn cut(&mut self, from: usize, to: usize) {
        self.cut[from * self.nodes + to] = true;
    }

    /// Ends every cut.
    pub fn heal(&mut self) {
        self.cut.fill(false);
    }

    /// Adds what `fault` cuts, or ends every cut, if it is of that kind. Ids that `index_of` does not
    /// know are passed over, and so is a node's way to itself.
    pub fn apply(&mut self, fault: &Fault, index_of: impl Fn(NodeId) -> Option<usize>) {
        let indexes =
            |nodes: &[NodeId]| nodes.iter().filter_map(|&node| index_of(node)).collect::<Vec<_>>();
        match fault {
            Fault::Partition { groups } => {
                let groups: Vec<Vec<usize>> = groups.iter().map(|group| indexes(group)).collect();
                for (side, from) in groups.iter().enumerate() {
                    for (other, to) in groups.iter().enumerate() {
                        if side != other {
                            self.cut_all(from, to);
                        }
                    }
                }
            }
            Fault::Cut { from, to } => self.cut_all(&indexes(from), &indexes(to)),
            Fault::Heal => self.heal(),
            Fault::Crash { .. }
            | Fault::Restart { .. }
            | Fault::Pause { .. }
            | Fault::Resume { .. }
            | Fault::PowerLoss
            | Fault::Links(_)
            | Fault::Clock { .. }
            | Fault::CrashAfter { .. }
            | Fault::Disk { .. }
            | Fault::Rot { .. }
            | Fault::Wipe { .. } => {}
        }
    }

    fn cut_all(&mut self, from: &[usize], to: &[usize]) {
        for &from in from {
            for &to in to {
                if from != to {
                    self.cut(from, to);
                }
            }
        }
    }
}
