//! Many nodes of one pattern as one node: many groups on the same few machines.
//!
//! Data that is split over many groups, each replicated by itself, grows beyond what one leader can
//! order; but a process, a connection to each peer and a disk for each group would cost more than the
//! groups do. What costs is not the protocol, it is what goes on under it: syncs, messages, wake-ups.
//! So the groups keep their nodes and share the rest.
//!
//! ```text
//!            ┌───────────────── Many<N> on n1 ─────────────────┐
//!  requests ─┤  g1 ▸ N     g2 ▸ N     g3 ▸ N     …     g900 ▸ N │
//!  bundles  ─┤  only those that got an input, or whose         ├─▶ records of all, one sync
//!  timer    ─┤  deadline has come, are handled and flushed     ├─▶ one bundle a peer
//!            └──────────────────────────────────────────────────┘
//! ```
//! [`Many<N>`] is a [`Node`] made of nodes `N`, so it runs unchanged in every world. Requests, records
//! and events carry the name of their group; messages of all groups to one peer leave together, as one
//! [`Bundle`]; and because a world syncs once a batch, so do all groups together.
//!
//! # What a group sees
//! Exactly what it would see alone: its own requests and messages, [`Input::Timer`] when its own
//! deadline has come, and [`Input::Durable`] in its own count of records. Of the contract of [`Node`]
//! all is kept; with these choices where the contract leaves one:
//!
//! - **Gates.** What waits for the disk waits for the records of its own group. If these are durable it
//!   leaves at once, whatever the others write.
//! - **Deadlines** come late by as much as a [tick](Config::with_tick), so that the heartbeats of a
//!   thousand groups fall due together, and leave together.
//! - **Order.** Messages of one group to one peer stay in order, but one that waits for nothing may
//!   overtake one that waits for the disk; as in every world.
//!
//! # The shared disk
//! Records of all groups lie on it in the order of writing. It can only let go of a first part, so what
//! may go is what is older than the oldest record that *any* group needs. A group that has nothing to do
//! would hold on to all that the others have written since: so a group whose oldest record lies too far
//! back is **copied**: what it needs is written again, behind all the rest, and once the copies are
//! durable the originals may go. "Too far" is as in a log-structured store: when, from that record on,
//! there lie more than twice as many records as all groups need together, and a
//! [few](Config::with_spare) more. So at most about half of what is written is copies. A boot that finds
//! only some of the copies takes the originals.
//!
//! A node therefore keeps in memory every record that some group needs. (The patterns here have their
//! records in memory anyway, and share them.) A group that never lets go of anything costs as much
//! memory as disk. A group is copied in one batch, however large it is.
//!
//! # What is not here
//! - The set of groups is that of the configuration, the same on all nodes, for as long as a node lives.
//!   Groups may be added by a restart of all nodes with a larger set; a node whose disk holds records
//!   of a group that is configured no more does not boot.
//! - No fairness: the groups of one node share its thread, its inbox and its disk. A group that cannot
//!   make progress holds up nobody, but one that is busy slows the others down.

mod bundles;
mod config;
mod id;
mod ledger;
mod mutants;
mod port;

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    Boot, CorruptRecords, Effect, EffectsOf, Epoch, Gate, Input, InputOf, InvalidConfig, Members,
    Node, Now, Redirect, Rng, Role, Standing, Timestamp,
};

pub use bundles::Bundle;
pub use config::Config;
pub use id::GroupId;
#[cfg(feature = "mutants")]
pub use mutants::Mutant;
#[cfg(not(feature = "mutants"))]
use mutants::Mutant;
pub use port::GroupPort;

use bundles::Outgoing;
use ledger::Ledger;
use mutants::Planted;

/// Something of a group.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Tagged<T> {
    /// Which group.
    pub group: GroupId,
    /// What.
    pub body: T,
}

/// What a node of many groups writes to its disk.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Record<R> {
    /// A group wrote this.
    Own(Tagged<R>),
    /// One of the records that a group still needs, written again. Once the last of them is there,
    /// they stand for all that the group wrote before the first of them.
    Copy {
        /// Whose, and what.
        record: Tagged<R>,
        /// Which of them this is, counted from one.
        part: u32,
        /// How many there are.
        of: u32,
    },
}

/// There is no such group here. Nothing was done, and nothing will be.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error, Serialize, Deserialize)]
#[error("there is no group {group} here; nothing was done")]
pub struct NoSuchGroup {
    /// Which.
    pub group: GroupId,
}

/// Nodes of many groups as one node. See the [module](self).
///
/// Guarantees:
/// 1. a group that got no input, and whose deadline has not come, is not touched by a batch;
/// 2. a flush sends at most two [`Bundle`]s to a peer, one that waits for the disk and one that does
///    not, unless that would be [more](Config::with_bundle_max) than one may hold;
/// 3. no record is let go that some group needs.
pub struct Many<N: Node> {
    members: Members,
    tick: Duration,
    spare: u64,
    /// The groups, ascending. Their place here is their name inside.
    slots: Vec<Slot<N>>,
    /// Who got an input since the last flush, in that order.
    touched: Vec<usize>,
    /// Invariant: the `alarm` of each group that has one, and nothing else.
    alarms: BTreeSet<(Timestamp, usize)>,
    ledger: Ledger<N::Record>,
    outgoing: Outgoing<N::Message>,
    /// Messages for groups that are none.
    strays: u64,
    planted: Planted,
}

/// One group.
struct Slot<N: Node> {
    group: GroupId,
    node: N,
    /// What it wants since the last flush. It counts the records of this group alone.
    out: EffectsOf<N>,
    /// When it is to be called.
    alarm: Option<Timestamp>,
    /// Whether it is among those touched.
    touched: bool,
}

// What is asked of it.
impl<N: Node> Many<N> {
    /// The groups, ascending.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = GroupId> + '_ {
        self.slots.iter().map(|slot| slot.group)
    }

    /// The node of `group`, if there is such a group.
    pub fn group(&self, group: GroupId) -> Option<&N> {
        self.place_of(group).map(|place| &self.slots[place].node)
    }

    fn place_of(&self, group: GroupId) -> Option<usize> {
        place_of(&self.slots, group, |slot| slot.group)
    }
}

// Batches.
impl<N: Node> Many<N> {
    /// Hands `input` to the group at `place`.
    fn hand(&mut self, place: usize, now: Now, input: InputOf<N>) {
        let slot = &mut self.slots[place];
        if !std::mem::replace(&mut slot.touched, true) {
            self.touched.push(place);
        }
        slot.node.handle(now, input, &mut slot.out);
    }

    fn ring(&mut self, now: Now) {
        while let Some(&(at, place)) = self.alarms.first()
            && at <= now.monotonic
        {
            self.alarms.pop_first();
            self.slots[place].alarm = None;
            self.hand(place, now, Input::Timer);
        }
    }

    fn receive(&mut self, now: Now, from: crate::NodeId, bundle: Bundle<N::Message>) {
        let first = bundle.0.first().map(|message| message.group);
        for Tagged { group, body } in bundle.0 {
            let mixed = first.filter(|_| self.planted.is(Mutant::MixesGroups));
            match self.place_of(mixed.unwrap_or(group)) {
                Some(place) => self.hand(place, now, Input::Message { from, body }),
                None => self.strays += 1,
            }
        }
    }

    /// What the group at `place` wants becomes what this node wants; its messages are gathered.
    fn translate(&mut self, place: usize, out: &mut EffectsOf<Self>) {
        let Self { slots, ledger, outgoing, members, planted, .. } = self;
        let slot = &mut slots[place];
        let group = slot.group;
        for effect in slot.out.drain() {
            match effect {
                Effect::Persist(record) => {
                    ledger.wrote(place, record.clone());
                    out.persist(Record::Own(Tagged { group, body: record }));
                }
                Effect::Send { to, message, gate } => {
                    let Some(to) = members.index_of(to) else { continue };
                    let open = planted.is(Mutant::BundlesOpen) || ledger.is_settled(place);
                    let gate = if open { Gate::Open } else { gate };
                    outgoing.add(to, gate, Tagged { group, body: message });
                }
                Effect::Respond { request, response, gate } => match gate {
                    Gate::Durable if !ledger.is_settled(place) => {
                        out.respond(request, Ok(response));
                    }
                    Gate::Durable | Gate::Open => out.respond_now(request, Ok(response)),
                },
                Effect::Emit(event) => out.emit(Tagged { group, body: event }),
                Effect::Forget { before } => ledger.forget(place, before),
            }
        }
    }

    /// Sees to it that the group at `place` is called when it wants to be.
    fn set_alarm(&mut self, place: usize, now: Now) {
        let slot = &mut self.slots[place];
        let deadline = slot.node.deadline().filter(|&at| at != Timestamp::MAX);
        let alarm = deadline.map(|at| {
            // What is due is due at once.
            if at <= now.monotonic { at } else { round_up(at, self.tick) }
        });
        if alarm != slot.alarm {
            if let Some(old) = slot.alarm {
                self.alarms.remove(&(old, place));
            }
            self.alarms.extend(alarm.map(|at| (at, place)));
            slot.alarm = alarm;
        }
    }
}

impl<N: Node> Node for Many<N> {
    type Config = Config<N::Config>;
    type Request = Tagged<N::Request>;
    type Response = Result<N::Response, NoSuchGroup>;
    type Message = Bundle<N::Message>;
    type Record = Record<N::Record>;
    type Event = Tagged<N::Event>;

    fn validate(config: &Self::Config, members: &Members) -> Result<(), InvalidConfig> {
        config.validate()?;
        for (group, its) in &config.groups {
            N::validate(its, members).map_err(|error| InvalidConfig {
                value: format!("{} in {group}", error.value),
                ..error
            })?;
        }
        Ok(())
    }

    fn boot(
        config: &Self::Config,
        boot: Boot<Self::Record>,
        _: &mut EffectsOf<Self>,
    ) -> Result<Self, CorruptRecords> {
        let Boot { id, members, now, seed, records } = boot;
        let ledger = Ledger::recover(config.groups.keys().copied(), records, config.planted);
        let ledger =
            ledger.map_err(|(position, problem)| CorruptRecords { node: id, position, problem })?;
        let mut slots = Vec::with_capacity(config.groups.len());
        for (place, (&group, its)) in config.groups.iter().enumerate() {
            let boot = Boot {
                id,
                members: members.clone(),
                now,
                // Its own, whatever other groups there are.
                seed: Rng::from_seed(seed).fork(u64::from(group.get())).next(),
                records: ledger.needed_by(place).cloned().collect(),
            };
            let mut out = EffectsOf::<N>::new();
            let node = N::boot(its, boot, &mut out).map_err(|refusal| CorruptRecords {
                node: id,
                position: ledger.position(place, refusal.position),
                problem: format!("{group}: {}", refusal.problem),
            })?;
            slots.push(Slot { group, node, out, alarm: None, touched: true });
        }
        Ok(Self {
            tick: config.tick,
            spare: config.spare,
            // All are flushed once after the boot, and what they wanted in it is taken up then.
            touched: (0..slots.len()).collect(),
            slots,
            alarms: BTreeSet::new(),
            ledger,
            outgoing: Outgoing::new(members.count(), config.limits),
            members,
            strays: 0,
            planted: config.planted,
        })
    }

    fn handle(&mut self, now: Now, input: InputOf<Self>, out: &mut EffectsOf<Self>) {
        match input {
            Input::Request { id, body: Tagged { group, body } } => match self.place_of(group) {
                Some(place) => self.hand(place, now, Input::Request { id, body }),
                None => out.respond_now(id, Err(NoSuchGroup { group })),
            },
            Input::Message { from, body } => self.receive(now, from, body),
            Input::Ended { node } => {
                for place in 0..self.slots.len() {
                    self.hand(place, now, Input::Ended { node });
                }
            }
            Input::Timer => self.ring(now),
            Input::Durable(upto) => {
                for place in self.ledger.synced(upto) {
                    let own = self.ledger.durable(place);
                    let shared = self.planted.is(Mutant::TellsSharedCounts);
                    let told = if shared { upto } else { own };
                    self.hand(place, now, Input::Durable(told));
                }
            }
        }
    }

    fn flush(&mut self, now: Now, out: &mut EffectsOf<Self>) {
        let mut touched = std::mem::take(&mut self.touched);
        for place in touched.drain(..) {
            let slot = &mut self.slots[place];
            slot.touched = false;
            slot.node.flush(now, &mut slot.out);
            self.translate(place, out);
            self.set_alarm(place, now);
        }
        // Kept for its memory.
        self.touched = touched;
        self.ledger.copy_stragglers(self.spare, |copy| {
            out.persist(copy);
        });
        self.outgoing.leave(&self.members, N::message_size, out);
        if let Some(before) = self.ledger.release() {
            out.forget(before);
        }
    }

    fn deadline(&self) -> Option<Timestamp> {
        self.alarms.first().map(|&(at, _)| at)
    }

    /// One of equals: each group has a leader of its own, if it has any. Ask the [`group`](Many::group).
    fn standing(&self, _: Now) -> Standing {
        Standing { role: Role::Replica, epoch: Epoch::ZERO, leader: None }
    }

    /// The figures of all groups, added up by name, and its own.
    fn gauges(&self) -> Vec<(&'static str, u64)> {
        let mut sums: Vec<(&'static str, u64)> = vec![
            ("groups", self.slots.len() as u64),
            ("records needed", self.ledger.needed()),
            ("records copied", self.ledger.copied()),
            ("bundles sent", self.outgoing.bundles()),
            ("messages bundled", self.outgoing.messages()),
            ("messages for no group", self.strays),
        ];
        let own = sums.len();
        for slot in &self.slots {
            for (name, value) in slot.node.gauges() {
                match sums[own..].iter_mut().find(|(known, _)| *known == name) {
                    Some((_, sum)) => *sum = sum.saturating_add(value),
                    None => sums.push((name, value)),
                }
            }
        }
        sums
    }

    fn message_size(Bundle(messages): &Self::Message) -> usize {
        messages.iter().map(|message| N::message_size(&message.body)).sum()
    }

    fn redirect(response: &Self::Response) -> Option<Redirect> {
        response.as_ref().ok().and_then(N::redirect)
    }
}

/// The first tick at `at` or after it; `at` itself if there are no ticks.
fn round_up(at: Timestamp, tick: Duration) -> Timestamp {
    let tick = u64::try_from(tick.as_nanos()).unwrap_or(u64::MAX);
    match at.as_nanos().checked_div(tick) {
        Some(_) => Timestamp::from_nanos(at.as_nanos().div_ceil(tick).saturating_mul(tick)),
        None => at,
    }
}

/// Where `group` is in `list`, which ascends.
fn place_of<T>(list: &[T], group: GroupId, of: impl Fn(&T) -> GroupId) -> Option<usize> {
    list.binary_search_by_key(&group, of).ok()
}
