//! Whoever makes things go wrong: carries out a scenario's moves, and keeps account of what is
//! wrong at present.

use std::collections::BTreeSet;
use std::time::Duration;

use cluster::{ClockFault, Cuts, Fault, LinkFault, NodeId, Rng, Timestamp, Unsupported};

use crate::history::Window;
use crate::scenario::Move;
use crate::subject::Subject;

/// Keeps account of the faults of one run.
pub(crate) struct Director {
    members: Vec<NodeId>,
    rng: Rng,
    down: BTreeSet<NodeId>,
    paused: BTreeSet<NodeId>,
    cuts: Cuts,
    links: LinkFault,
    /// How many faults were injected, repairs not counted.
    fired: u32,
    last_change: Timestamp,
    /// Nodes that must be up and connected before service is due.
    needs: usize,
    /// How long after the last fault service is due.
    grace: Duration,
    windows: Vec<Window>,
}

impl Director {
    /// A director of a whole cluster, which needs `needs` connected nodes and `grace` to serve.
    pub(crate) fn new(members: &[NodeId], needs: usize, grace: Duration, rng: Rng) -> Self {
        Self {
            members: members.to_vec(),
            rng,
            down: BTreeSet::new(),
            paused: BTreeSet::new(),
            cuts: Cuts::none(members.len()),
            links: LinkFault::default(),
            fired: 0,
            last_change: Timestamp::ZERO,
            needs,
            grace,
            windows: Vec::new(),
        }
    }

    /// How many faults were injected so far.
    pub(crate) fn fired(&self) -> u32 {
        self.fired
    }

    /// A client died, or stopped.
    pub(crate) fn note_client_fault(&mut self) {
        self.fired += 1;
    }

    /// Ends the account at `now`: when service was due.
    pub(crate) fn windows(mut self, now: Timestamp) -> Vec<Window> {
        self.close_window(now);
        self.windows
    }

    /// Does what `wanted` says, on whichever nodes it applies to by now.
    ///
    /// # Errors
    /// [`Unsupported`] when the implementation cannot take the fault.
    pub(crate) fn make(
        &mut self,
        subject: &mut dyn Subject,
        wanted: &Move,
    ) -> Result<(), Unsupported> {
        for fault in self.faults_of(subject, wanted) {
            subject.inject(&fault)?;
            self.note(subject.now(), &fault);
        }
        Ok(())
    }

    /// Repairs everything.
    ///
    /// # Errors
    /// As [`Director::make`].
    pub(crate) fn repair(&mut self, subject: &mut dyn Subject) -> Result<(), Unsupported> {
        let mut faults = vec![Fault::Heal, Fault::Links(LinkFault::default())];
        faults.extend(self.paused.iter().map(|&node| Fault::Resume { node }));
        faults.extend(self.down.iter().map(|&node| Fault::Restart { node }));
        let clock = ClockFault::default();
        faults.extend(self.members.iter().map(|&node| Fault::Clock { node, clock }));
        for fault in faults {
            subject.inject(&fault)?;
            self.note(subject.now(), &fault);
        }
        Ok(())
    }

    fn faults_of(&mut self, subject: &mut dyn Subject, wanted: &Move) -> Vec<Fault> {
        match wanted {
            Move::Inject(fault) => vec![fault.clone()],
            Move::CrashLeader => {
                self.leader(subject).map(|node| Fault::Crash { node }).into_iter().collect()
            }
            Move::PauseLeader => {
                self.leader(subject).map(|node| Fault::Pause { node }).into_iter().collect()
            }
            Move::CrashAny(count) => {
                let mut up = self.up();
                self.rng.shuffle(&mut up);
                up.into_iter().take(*count).map(|node| Fault::Crash { node }).collect()
            }
            Move::RestartAll => self.down.iter().map(|&node| Fault::Restart { node }).collect(),
            Move::ResumeAll => self.paused.iter().map(|&node| Fault::Resume { node }).collect(),
            Move::IsolateLeader(mates) => {
                let Some(leader) = self.leader(subject) else { return Vec::new() };
                let mut others = self.others(leader);
                let rest = others.split_off((*mates).min(others.len()));
                others.push(leader);
                vec![Fault::Partition { groups: vec![others, rest] }]
            }
            Move::IsolateFollowers(count) => {
                let Some(leader) = self.leader(subject) else { return Vec::new() };
                let mut others = self.others(leader);
                let mut rest = others.split_off((*count).min(others.len()));
                rest.push(leader);
                vec![Fault::Partition { groups: vec![others, rest] }]
            }
            Move::DeafenLeader => {
                let Some(leader) = self.leader(subject) else { return Vec::new() };
                vec![Fault::Cut { from: self.others(leader), to: vec![leader] }]
            }
            Move::MuteLeader => {
                let Some(leader) = self.leader(subject) else { return Vec::new() };
                vec![Fault::Cut { from: vec![leader], to: self.others(leader) }]
            }
            Move::SkewClocks { drift_ppm_max, jump_nanos_max } => {
                self.skewed(*drift_ppm_max, *jump_nanos_max)
            }
            Move::CrashHolder | Move::PauseHolder(_) => Vec::new(),
        }
    }

    fn skewed(&mut self, drift_ppm_max: u32, jump_nanos_max: u64) -> Vec<Fault> {
        let rng = &mut self.rng;
        let mut between = |most: u64| {
            let most = i64::try_from(most).unwrap_or(i64::MAX / 2);
            rng.below(2 * most.unsigned_abs() + 1) as i64 - most
        };
        let mut clock = || ClockFault {
            drift_ppm: between(u64::from(drift_ppm_max)) as i32,
            jump_nanos: between(jump_nanos_max),
        };
        self.members.iter().map(|&node| Fault::Clock { node, clock: clock() }).collect()
    }

    /// Whoever acts as leader; in patterns without one, or when none does, any node that is up.
    fn leader(&mut self, subject: &mut dyn Subject) -> Option<NodeId> {
        let up = self.up();
        let leader = up.iter().copied().find(|&node| subject.state(node).leads());
        leader.or_else(|| self.rng.pick(&up).copied())
    }

    fn up(&self) -> Vec<NodeId> {
        let is_up = |node: &NodeId| !self.down.contains(node) && !self.paused.contains(node);
        self.members.iter().copied().filter(is_up).collect()
    }

    /// All but `node`, in any order.
    fn others(&mut self, node: NodeId) -> Vec<NodeId> {
        let mut others: Vec<_> = self.members.iter().copied().filter(|&id| id != node).collect();
        self.rng.shuffle(&mut others);
        others
    }

    /// Takes down what has changed.
    fn note(&mut self, now: Timestamp, fault: &Fault) {
        self.close_window(now);
        let place = |node: NodeId| self.members.iter().position(|&member| member == node);
        self.cuts.apply(fault, place);
        match fault {
            Fault::Crash { node } => {
                self.paused.remove(node);
                self.fired += u32::from(self.down.insert(*node));
            }
            Fault::Restart { node } => {
                self.down.remove(node);
            }
            Fault::Pause { node } => {
                self.fired += u32::from(self.paused.insert(*node));
            }
            Fault::Resume { node } => {
                self.paused.remove(node);
            }
            Fault::PowerLoss => {
                self.paused.clear();
                self.down.extend(&self.members);
                self.fired += 1;
            }
            Fault::Partition { .. } | Fault::Cut { .. } => self.fired += 1,
            Fault::Links(links) => {
                self.links = *links;
                self.fired += u32::from(*links != LinkFault::default());
            }
            Fault::Clock { clock, .. } => {
                self.fired += u32::from(*clock != ClockFault::default());
            }
            Fault::Heal => {}
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
    /// ways over sound links, with every other node wholly cut off from them.
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
        up.iter().find_map(|&a| {
            let near: Vec<_> = up.iter().copied().filter(|&b| hears(a, b)).collect();
            let closed = near.iter().all(|&b| up.iter().all(|&c| near.contains(&c) == hears(b, c)));
            (closed && near.len() >= self.needs).then_some(near)
        })
    }
}
