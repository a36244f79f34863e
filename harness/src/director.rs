//! Whoever makes things go wrong: decides which nodes a move hits, injects the faults, and keeps
//! account of what is wrong at present.

mod account;

use std::time::Duration;

use cluster::{
    ClockFault, DiskFault, Fault, LinkFault, NodeId, NodeState, Rng, Timestamp, Unsupported,
};

use crate::history::Window;
use crate::moves::{Move, Split, Whom};
use crate::subject::Subject;

use account::Account;

/// Carries out the moves of one run.
pub(crate) struct Director {
    account: Account,
    rng: Rng,
}

impl Director {
    /// A director of a whole cluster, which needs `needs` connected nodes and `grace` to serve.
    pub(crate) fn new(members: &[NodeId], needs: usize, grace: Duration, rng: Rng) -> Self {
        Self { account: Account::new(members, needs, grace), rng }
    }

    /// How many faults were injected so far.
    pub(crate) fn fired(&self) -> u32 {
        self.account.fired
    }

    /// A client died, or stopped.
    pub(crate) fn note_client_fault(&mut self, now: Timestamp) {
        self.account.note_client_fault(now);
    }

    /// The nodes that will never start again: their disks cannot be read.
    pub(crate) fn lost(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.account.lost.iter().copied()
    }

    /// The nodes that refused to start though nobody had touched their disks.
    pub(crate) fn refused(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.account.refused.iter().copied()
    }

    /// Whether so few nodes are left that no service is due, whatever is repaired.
    pub(crate) fn beyond_repair(&self) -> bool {
        self.account.members.len() - self.account.lost.len() < self.account.needs
    }

    /// Ends the account at `now`: when service was due.
    pub(crate) fn windows(self, now: Timestamp) -> Vec<Window> {
        self.account.windows(now)
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
        self.look(subject);
        if let Move::Retire(whom) = wanted {
            return self.retire(subject, *whom);
        }
        let faults = self.faults_of(subject, wanted);
        self.inject(subject, faults)
    }

    fn retire(&mut self, subject: &mut dyn Subject, whom: Whom) -> Result<(), Unsupported> {
        for node in self.nodes(subject, whom) {
            subject.retire(node)?;
            // From here on it is as one that crashed.
            self.account.note(subject.now(), &Fault::Crash { node });
        }
        Ok(())
    }

    /// Repairs everything that can be.
    ///
    /// # Errors
    /// As [`Director::make`].
    pub(crate) fn repair(&mut self, subject: &mut dyn Subject) -> Result<(), Unsupported> {
        self.look(subject);
        let mut faults = self.sound_links();
        faults.extend(self.account.bad_disks().map(sound_disk));
        // A crash that is still to come is called off by the restart.
        let members = self.account.members.clone();
        faults.extend(self.account.paused.iter().map(|&node| Fault::Resume { node }));
        let stopped = self.account.down.iter().chain(&self.account.armed);
        faults.extend(stopped.map(|&node| Fault::Restart { node }));
        let clock = ClockFault::default();
        let skewed = members.iter().filter(|&node| self.account.skewed.contains(node));
        faults.extend(skewed.map(|&node| Fault::Clock { node, clock }));
        self.inject(subject, faults)
    }

    fn inject(&mut self, subject: &mut dyn Subject, faults: Vec<Fault>) -> Result<(), Unsupported> {
        for fault in faults {
            subject.inject(&fault)?;
            self.account.note(subject.now(), &fault);
            if let Fault::Restart { node } = fault {
                let refused = subject.state(node) == NodeState::Down;
                self.account.note_restart(node, refused);
            }
        }
        Ok(())
    }

    /// Finds out who died by itself: of an armed crash, or of a full disk.
    pub(crate) fn look(&mut self, subject: &mut dyn Subject) {
        for node in self.account.doomed() {
            if subject.state(node) == NodeState::Down {
                self.account.note_death(subject.now(), node);
            }
        }
    }

    fn faults_of(&mut self, subject: &mut dyn Subject, wanted: &Move) -> Vec<Fault> {
        let mut each = |whom: Whom, fault: &dyn Fn(NodeId) -> Fault| -> Vec<Fault> {
            self.nodes(subject, whom).into_iter().map(fault).collect()
        };
        match wanted {
            Move::Crash(whom) => each(*whom, &|node| Fault::Crash { node }),
            Move::CrashAfter { whom, effects } => {
                each(*whom, &|node| Fault::CrashAfter { node, effects: *effects })
            }
            Move::Restart(whom) => self.among_down(*whom),
            Move::Pause(whom) => each(*whom, &|node| Fault::Pause { node }),
            Move::Resume(whom) => self.among_paused(*whom),
            Move::PowerLoss => vec![Fault::PowerLoss],
            Move::Split(split) => self.split(subject, split),
            Move::Heal => vec![Fault::Heal],
            Move::Links(links) => vec![Fault::Links(*links)],
            Move::Clock { whom, clock } => {
                each(*whom, &|node| Fault::Clock { node, clock: *clock })
            }
            Move::SkewClocks { drift_ppm_max, jump_max } => self.skewed(*drift_ppm_max, *jump_max),
            Move::Disk { whom, disk } => {
                let disk = *disk;
                self.disks_of(subject, *whom).map(|node| Fault::Disk { node, disk }).collect()
            }
            Move::Rot { whom, at_ppm, damage } => {
                let (at_ppm, damage) = (*at_ppm, *damage);
                let nodes = self.worth_rotting(subject, *whom);
                nodes.into_iter().map(|node| Fault::Rot { node, at_ppm, damage }).collect()
            }
            Move::Wipe(whom) => each(*whom, &|node| Fault::Wipe { node }),
            Move::HealCore => self.heal_core(),
            Move::Retire(_) | Move::CrashClient { .. } | Move::PauseClient { .. } => Vec::new(),
        }
    }

    /// The running nodes that `whom` names.
    fn nodes(&mut self, subject: &mut dyn Subject, whom: Whom) -> Vec<NodeId> {
        match whom {
            Whom::Leader => self.leader(subject).into_iter().collect(),
            Whom::Any(count) => {
                let mut up = self.account.up();
                self.rng.shuffle(&mut up);
                up.truncate(count);
                up
            }
            Whom::Followers => {
                let leader = self.leader(subject);
                self.account.up().into_iter().filter(|&node| Some(node) != leader).collect()
            }
            Whom::All => self.account.up(),
            Whom::Node(node) => vec![node],
        }
    }

    /// As [`Director::nodes`], but all means all: a disk can go bad under a node that is down.
    fn disks_of(
        &mut self,
        subject: &mut dyn Subject,
        whom: Whom,
    ) -> impl Iterator<Item = NodeId> + use<> {
        let nodes = match whom {
            Whom::All => self.account.members.clone(),
            Whom::Leader | Whom::Any(_) | Whom::Followers | Whom::Node(_) => {
                self.nodes(subject, whom)
            }
        };
        nodes.into_iter()
    }

    /// The nodes that `whom` names; of any nodes, those whose disks have something to rot apart from a
    /// last record.
    fn worth_rotting(&mut self, subject: &mut dyn Subject, whom: Whom) -> Vec<NodeId> {
        let Whom::Any(count) = whom else { return self.nodes(subject, whom) };
        let mut nodes = self.nodes(subject, Whom::Any(usize::MAX));
        nodes.retain(|&node| subject.durable(node).is_none_or(|records| records > 1));
        nodes.truncate(count);
        nodes
    }

    fn among_down(&mut self, whom: Whom) -> Vec<Fault> {
        let down =
            self.account.down.iter().copied().filter(|node| !self.account.lost.contains(node));
        let chosen = chosen(down.collect(), whom, &mut self.rng);
        chosen.into_iter().map(|node| Fault::Restart { node }).collect()
    }

    fn among_paused(&mut self, whom: Whom) -> Vec<Fault> {
        let paused = self.account.paused.iter().copied().collect();
        let chosen = chosen(paused, whom, &mut self.rng);
        chosen.into_iter().map(|node| Fault::Resume { node }).collect()
    }

    fn split(&mut self, subject: &mut dyn Subject, split: &Split) -> Vec<Fault> {
        let members = self.account.members.clone();
        match split {
            Split::LeaderAnd(mates) => {
                let Some((leader, mut others)) = self.leader_and_others(subject) else {
                    return Vec::new();
                };
                let rest = others.split_off((*mates).min(others.len()));
                others.push(leader);
                vec![Fault::Partition { groups: vec![others, rest] }]
            }
            Split::Followers(count) => {
                let Some((leader, mut others)) = self.leader_and_others(subject) else {
                    return Vec::new();
                };
                let mut rest = others.split_off((*count).min(others.len()));
                rest.push(leader);
                vec![Fault::Partition { groups: vec![others, rest] }]
            }
            Split::Halves => {
                let mut one = self.shuffled(members);
                let other = one.split_off(one.len() / 2);
                vec![Fault::Partition { groups: vec![one, other] }]
            }
            Split::Bridge => {
                let mut one = self.shuffled(members);
                one.pop();
                let other = one.split_off(one.len() / 2);
                vec![Fault::Partition { groups: vec![one, other] }]
            }
            // With itself, a node must see a majority: so many neighbours on either side.
            Split::Ring => {
                let reach = (members.len() / 2).div_ceil(2);
                unseen(&self.shuffled(members), |a, b, all| {
                    let apart = a.abs_diff(b);
                    apart.min(all - apart) > reach
                })
            }
            Split::Chain => unseen(&self.shuffled(members), |a, b, _| a.abs_diff(b) > 1),
            Split::Pair => match self.leader_and_others(subject) {
                Some((_, others)) if others.len() > 1 => {
                    vec![Fault::Partition { groups: vec![vec![others[0]], vec![others[1]]] }]
                }
                Some(_) | None => Vec::new(),
            },
            Split::LeaderDeaf => match self.leader_and_others(subject) {
                Some((leader, others)) => vec![Fault::Cut { from: others, to: vec![leader] }],
                None => Vec::new(),
            },
            Split::LeaderMute => match self.leader_and_others(subject) {
                Some((leader, others)) => vec![Fault::Cut { from: vec![leader], to: others }],
                None => Vec::new(),
            },
            Split::Groups(groups) => vec![Fault::Partition { groups: groups.clone() }],
            Split::OneWay { from, to } => vec![Fault::Cut { from: from.clone(), to: to.clone() }],
        }
    }

    fn skewed(&mut self, drift_ppm_max: u32, jump_max: Duration) -> Vec<Fault> {
        let rng = &mut self.rng;
        let mut between = |most: u64| {
            let most = i64::try_from(most).unwrap_or(i64::MAX / 2);
            rng.below(2 * most.unsigned_abs() + 1) as i64 - most
        };
        let jump_nanos_max = u64::try_from(jump_max.as_nanos()).unwrap_or(u64::MAX);
        let mut clock = || ClockFault {
            drift_ppm: between(u64::from(drift_ppm_max)) as i32,
            jump_nanos: between(jump_nanos_max),
        };
        let clock = |&node: &NodeId| Fault::Clock { node, clock: clock() };
        self.account.members.iter().map(clock).collect()
    }

    /// Repairs just enough nodes and all that lies between them, and cuts the others off.
    fn heal_core(&mut self) -> Vec<Fault> {
        let account = &self.account;
        let mut core: Vec<NodeId> =
            account.members.iter().copied().filter(|node| !account.lost.contains(node)).collect();
        self.rng.shuffle(&mut core);
        core.truncate(self.account.needs);
        let others: Vec<NodeId> =
            self.account.members.iter().copied().filter(|node| !core.contains(node)).collect();
        let mut faults = self.sound_links();
        let account = &self.account;
        faults.extend(account.bad_disks().filter(|node| core.contains(node)).map(sound_disk));
        for &node in &core {
            if account.paused.contains(&node) {
                faults.push(Fault::Resume { node });
            }
            if account.down.contains(&node) || account.armed.contains(&node) {
                faults.push(Fault::Restart { node });
            }
        }
        if !others.is_empty() {
            faults.push(Fault::Partition { groups: vec![core, others] });
        }
        faults
    }

    /// What ends every cut and link fault, if there is one.
    fn sound_links(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        if self.account.cuts.any() {
            faults.push(Fault::Heal);
        }
        if self.account.links != LinkFault::default() {
            faults.push(Fault::Links(LinkFault::default()));
        }
        faults
    }

    /// Whoever acts as leader; in patterns without one, or when none does, any node that is up.
    fn leader(&mut self, subject: &mut dyn Subject) -> Option<NodeId> {
        let up = self.account.up();
        let leader = up.iter().copied().find(|&node| subject.state(node).leads());
        leader.or_else(|| self.rng.pick(&up).copied())
    }

    fn leader_and_others(&mut self, subject: &mut dyn Subject) -> Option<(NodeId, Vec<NodeId>)> {
        let leader = self.leader(subject)?;
        let others = self.account.members.iter().copied().filter(|&node| node != leader).collect();
        Some((leader, self.shuffled(others)))
    }

    fn shuffled(&mut self, mut nodes: Vec<NodeId>) -> Vec<NodeId> {
        self.rng.shuffle(&mut nodes);
        nodes
    }
}

fn sound_disk(node: NodeId) -> Fault {
    Fault::Disk { node, disk: DiskFault::default() }
}

/// Those of `nodes` that `whom` names.
fn chosen(mut nodes: Vec<NodeId>, whom: Whom, rng: &mut Rng) -> Vec<NodeId> {
    match whom {
        Whom::All | Whom::Followers => {}
        Whom::Any(count) => {
            rng.shuffle(&mut nodes);
            nodes.truncate(count);
        }
        // Nobody leads who does not run.
        Whom::Leader => {
            rng.shuffle(&mut nodes);
            nodes.truncate(1);
        }
        Whom::Node(node) => nodes.retain(|&it| it == node),
    }
    nodes
}

/// The cuts between nodes that, by their places in `order`, do not see each other.
fn unseen(order: &[NodeId], blind: impl Fn(usize, usize, usize) -> bool) -> Vec<Fault> {
    let cut = |(place, &from): (usize, &NodeId)| {
        let hidden = |(other, _): &(usize, &NodeId)| blind(place, *other, order.len());
        let to: Vec<NodeId> = order.iter().enumerate().filter(hidden).map(|(_, &to)| to).collect();
        (!to.is_empty()).then(|| Fault::Cut { from: vec![from], to })
    };
    order.iter().enumerate().filter_map(cut).collect()
}
