//! What is wrong at present, and when service was due.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cluster::{ClockFault, Cuts, DiskFault, Fault, LinkFault, NodeId, Timestamp};

use crate::history::Window;

/// The faults of one run.
pub(super) struct Account {
    pub(super) members: Vec<NodeId>,
    pub(super) down: BTreeSet<NodeId>,
    pub(super) paused: BTreeSet<NodeId>,
    /// Nodes that are to die in the middle of something, and may have.
    pub(super) armed: BTreeSet<NodeId>,
    /// Nodes whose disks cannot be read any more. All of them are down.
    pub(super) lost: BTreeSet<NodeId>,
    /// Nodes whose disks were damaged, noticed or not.
    rotten: BTreeSet<NodeId>,
    /// Nodes that refused to start though nobody had touched their disks.
    pub(super) refused: BTreeSet<NodeId>,
    pub(super) skewed: BTreeSet<NodeId>,
    pub(super) cuts: Cuts,
    pub(super) links: LinkFault,
    disks: BTreeMap<NodeId, DiskFault>,
    /// How many faults were injected, repairs not counted.
    pub(super) fired: u32,
    last_change: Timestamp,
    /// Nodes that must be up and connected before service is due.
    pub(super) needs: usize,
    /// How long after the last fault service is due.
    grace: Duration,
    windows: Vec<Window>,
}

impl Account {
    pub(super) fn new(members: &[NodeId], needs: usize, grace: Duration) -> Self {
        Self {
            members: members.to_vec(),
            down: BTreeSet::new(),
            paused: BTreeSet::new(),
            armed: BTreeSet::new(),
            lost: BTreeSet::new(),
            rotten: BTreeSet::new(),
            refused: BTreeSet::new(),
            skewed: BTreeSet::new(),
            cuts: Cuts::none(members.len()),
            links: LinkFault::default(),
            disks: BTreeMap::new(),
            fired: 0,
            last_change: Timestamp::ZERO,
            needs,
            grace,
            windows: Vec::new(),
        }
    }

    /// Ends the account at `now`: when service was due.
    pub(super) fn windows(mut self, now: Timestamp) -> Vec<Window> {
        self.close_window(now);
        self.windows
    }

    /// The nodes that run, as far as is known.
    pub(super) fn up(&self) -> Vec<NodeId> {
        let is_up = |node: &NodeId| !self.down.contains(node) && !self.paused.contains(node);
        self.members.iter().copied().filter(is_up).collect()
    }

    /// The nodes whose disks are not sound.
    pub(super) fn bad_disks(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.disks.keys().copied()
    }

    /// The nodes that may die, or have died, without being told to.
    pub(super) fn doomed(&self) -> Vec<NodeId> {
        let full = |node: &NodeId| self.disks.get(node).is_some_and(|disk| disk.full);
        let doomed = |node: &NodeId| self.armed.contains(node) || full(node);
        self.up().into_iter().filter(doomed).collect()
    }

    /// A client died or stopped: its call may have ended late for no fault of the cluster's.
    pub(super) fn note_client_fault(&mut self, now: Timestamp) {
        self.close_window(now);
        self.fired += 1;
        self.last_change = now;
    }

    /// `node` was found dead.
    pub(super) fn note_death(&mut self, now: Timestamp, node: NodeId) {
        self.close_window(now);
        self.fired += u32::from(self.armed.remove(&node));
        self.down.insert(node);
        self.last_change = now;
    }

    /// `node` was told to start, and did, or refused.
    pub(super) fn note_restart(&mut self, node: NodeId, refused: bool) {
        self.armed.remove(&node);
        if !refused {
            self.down.remove(&node);
        } else if self.disks.get(&node).is_none_or(|disk| !disk.full) {
            // Not for want of room: it cannot read what it wrote, and never will.
            self.lost.insert(node);
            if !self.rotten.contains(&node) {
                self.refused.insert(node);
            }
        }
    }

    /// Takes down what has changed.
    pub(super) fn note(&mut self, now: Timestamp, fault: &Fault) {
        self.close_window(now);
        let place = |node: NodeId| self.members.iter().position(|&member| member == node);
        self.cuts.apply(fault, place);
        match fault {
            Fault::Crash { node } => {
                self.paused.remove(node);
                self.armed.remove(node);
                self.fired += u32::from(self.down.insert(*node));
            }
            // Whether it came up is seen by whoever told it to.
            Fault::Restart { .. } | Fault::Heal => {}
            Fault::Pause { node } => {
                self.fired += u32::from(self.paused.insert(*node));
            }
            Fault::Resume { node } => {
                self.paused.remove(node);
            }
            Fault::PowerLoss => {
                self.paused.clear();
                self.armed.clear();
                // For each that ran it is a crash.
                for &node in &self.members {
                    self.fired += u32::from(self.down.insert(node));
                }
            }
            Fault::Partition { .. } | Fault::Cut { .. } => self.fired += 1,
            Fault::Links(links) => {
                self.links = *links;
                self.fired += u32::from(*links != LinkFault::default());
            }
            Fault::Clock { node, clock } => {
                let bad = *clock != ClockFault::default();
                self.fired += u32::from(bad);
                if bad {
                    self.skewed.insert(*node)
                } else {
                    self.skewed.remove(node)
                };
            }
            Fault::CrashAfter { node, .. } => {
                self.armed.insert(*node);
            }
            Fault::Disk { node, disk } => {
                if *disk == DiskFault::default() {
                    self.disks.remove(node);
                } else {
                    self.disks.insert(*node, *disk);
                    self.fired += 1;
                }
            }
            Fault::Rot { node, .. } => {
                self.rotten.insert(*node);
                self.fired += 1;
            }
            Fault::Wipe { node } => {
                self.paused.remove(node);
                self.armed.remove(node);
                self.down.insert(*node);
                // An empty disk can be read.
                self.lost.remove(node);
                self.rotten.remove(node);
                self.fired += 1;
            }
        }
        self.last_change = now;
    }

    /// Writes down the time from the last change to `now`, if service was due in it.
    fn close_window(&mut self, now: Timestamp) {
        let from = self.last_change + self.grace;
        if from >= now {
            return;
        }
        if let Some(serving) = self.serving() {
            self.windows.push(Window { from, until: now, serving });
        }
    }

    /// The nodes of which service is due: as many as the implementation needs, up and connected both
    /// ways over sound links, with sound disks, and with every other node wholly cut off from them.
    ///
    /// A node that can be heard but cannot hear, or the other way round, may disturb the rest of
    /// some protocols: then nothing is promised.
    fn serving(&self) -> Option<Vec<NodeId>> {
        if self.links != LinkFault::default() {
            return None;
        }
        let up = self.up();
        let place = |node| self.members.iter().position(|&member| member == node).unwrap_or(0);
        let hears = |a, b| a == b || !self.cuts.is_cut(place(a), place(b));
        let one_way = up.iter().any(|&a| up.iter().any(|&b| hears(a, b) != hears(b, a)));
        if one_way {
            return None;
        }
        let well = |node: &NodeId| !self.armed.contains(node) && !self.disks.contains_key(node);
        up.iter().find_map(|&a| {
            let near: Vec<_> = up.iter().copied().filter(|&b| hears(a, b)).collect();
            let closed = near.iter().all(|&b| up.iter().all(|&c| near.contains(&c) == hears(b, c)));
            (closed && near.len() >= self.needs && near.iter().all(well)).then_some(near)
        })
    }
}
