//! How a leader changes who takes part (§6; chapter 4 of the thesis).
//!
//! ```text
//!  Change ─▶ whoever is to vote gets the log, in rounds ─▶ one voter more or less: C_new ──────────▶ committed:
//!            │ too slow, or silent: NotCaughtUp            otherwise: C_old,new ─ committed ─▶ C_new    answered
//! ```
//! Until it is appended a change is the leader's alone, and leaves nothing behind when it is given up
//! or the leader falls. A joint configuration that is committed is left by whoever leads then.
//!
//! New voters are named by the disks that they answer with while they catch up, and so is a voter that
//! has lost its own and is renewed: as a voter on another disk it is another voter, so that is a joint
//! change, and needs nothing of the node but that it follows.
//!
//! "A leader may not begin before an entry of its term is committed": otherwise two leaders, each with
//! one change of a single voter to the same configuration, commit by majorities that share nobody (D.
//! Ongaro, "bug in single-server membership changes", raft-dev, 10 July 2015).

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use cluster::{NodeId, Now, RequestId, Timestamp};

use crate::configuration::{Change, Configuration};
use crate::history::stranger;
use crate::leader::Leadership;
use crate::message::{Entry, Payload};
use crate::mutants::Mutant;
use crate::node::{Out, Part, Raft};
use crate::progress::Progress;
use crate::request::Settled;
use crate::{Disk, Error, Kind, LogIndex, StateMachine};

/// How many rounds a node has to catch up: "such as 10" (§4.2.1 of the thesis).
const ROUNDS_MAX: u32 = 10;

/// A change that was asked of this leader and is not complete.
#[derive(Clone, Debug)]
pub(crate) enum Ongoing {
    /// Those who are to vote get the log.
    CatchUp(CatchUp),
    /// The joint configuration is in the log. Who wants to know when it is left.
    Joint(Option<RequestId>),
}

/// The replication to future voters is split into rounds: each brings what was in the log when it
/// began. When one takes less than an election timeout, so little is missing that they may vote
/// (§4.2.1 of the thesis).
#[derive(Clone, Debug)]
pub(crate) struct CatchUp {
    request: Option<RequestId>,
    /// The configuration to append.
    next: Box<Configuration>,
    /// The places of those who are to catch up.
    joining: Vec<usize>,
    /// Which round this is.
    round: u32,
    /// Where the log ended when it began.
    goal: LogIndex,
    /// When it began.
    pub(crate) since: Timestamp,
}

/// A node that takes no part any more, and is told so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Departing {
    pub(crate) place: usize,
    /// Where the configuration stands that leaves it out.
    pub(crate) index: LogIndex,
    /// When that was appended.
    since: Timestamp,
}

impl Departing {
    /// Since when it has been silent, of what it could say of its departure.
    pub(crate) fn silent_since(&self, heard: &[Timestamp]) -> Timestamp {
        heard[self.place].max(self.since)
    }
}

/// How those stand who catch up.
enum Standing {
    Ready,
    Behind,
    Hopeless,
}

impl Ongoing {
    /// Who wants to know what becomes of it.
    pub(crate) fn into_request(self) -> Option<RequestId> {
        match self {
            Self::CatchUp(CatchUp { request, .. }) | Self::Joint(request) => request,
        }
    }
}

impl CatchUp {
    /// The places of those who are to catch up.
    pub(crate) fn joining(&self) -> &[usize] {
        &self.joining
    }

    /// Since when the node at `place` has been silent in this round.
    pub(crate) fn silent_since(&self, place: usize, heard: &[Timestamp]) -> Timestamp {
        heard[place].max(self.since)
    }

    /// Writes all but moments.
    pub(crate) fn fingerprint(&self, into: &mut impl Hasher) {
        (self.request, &self.next, &self.joining, self.round, self.goal).hash(into);
    }

    /// `shortest` is the shortest election timeout, `longest` the longest.
    fn look(
        &mut self,
        now: Now,
        leadership: &Leadership,
        last: LogIndex,
        (shortest, longest): (Duration, Duration),
    ) -> Standing {
        let silent = |&place: &usize| {
            now.monotonic.since(self.silent_since(place, &leadership.heard)) >= longest
        };
        if self.joining.iter().any(silent) {
            return Standing::Hopeless;
        }
        let reached = |&place: &usize| leadership.followers[place].matched >= self.goal;
        if !self.joining.iter().all(reached) {
            return Standing::Behind;
        }
        if now.monotonic.since(self.since) < shortest {
            return Standing::Ready;
        }
        if self.round >= ROUNDS_MAX {
            return Standing::Hopeless;
        }
        self.round += 1;
        self.goal = last;
        self.since = now.monotonic;
        Standing::Behind
    }
}

impl Leadership {
    /// The nodes at these places are sent the log from now on, each as what it is to be, as if nothing
    /// were known of them.
    fn welcome(&mut self, now: Now, places: Vec<(usize, Kind)>, last: LogIndex) {
        for (place, kind) in places {
            self.departing.retain(|departing| departing.place != place);
            self.followers[place] = Progress::unknown(last, kind);
            self.heard[place] = now.monotonic;
        }
    }

    /// Chooses anew to whom the log goes: to `everyone` who takes part, to those who catch up, and to
    /// those who are yet to learn that they are out.
    pub(crate) fn retarget(&mut self, everyone: &[usize]) {
        let joining = match &self.change {
            Some(Ongoing::CatchUp(catch_up)) => catch_up.joining.as_slice(),
            Some(Ongoing::Joint(_)) | None => &[],
        };
        self.targets.clear();
        self.targets.extend(everyone.iter().chain(joining));
        self.targets.extend(self.departing.iter().map(|departing| departing.place));
        self.targets.sort_unstable();
        self.targets.dedup();
    }
}

// What is asked of a leader.
impl<S: StateMachine> Raft<S> {
    /// Begins to change who takes part. [`Settled::Changed`] with `request` says that it is done,
    /// [`Settled::Failed`] that it was given up, or that this node will not know.
    ///
    /// # Errors
    /// [`Error::NotLeader`], [`Error::Transferring`], [`Error::ChangeInProgress`],
    /// [`Error::NoSuchMember`], [`Error::UnfitMember`], [`Error::LastVoter`] and [`Error::Witness`];
    /// nothing is done then.
    pub fn change(
        &mut self,
        now: Now,
        request: Option<RequestId>,
        change: &Change,
    ) -> Result<(), Error> {
        let Part::Leader(leadership) = &self.part else {
            return Err(Error::NotLeader { leader: self.leader });
        };
        if let Some(to) = leadership.hands_over(self.id) {
            return Err(Error::Transferring { to });
        }
        if self.is_changing() {
            return Err(Error::ChangeInProgress);
        }
        let seated = self.log.seated();
        let current = &seated.configuration;
        let planted = self.config.planted;
        let renews_at_once =
            matches!(change, Change::Renew(_)) && planted.is(Mutant::RenewsInOneStep);
        let next = if planted.is(Mutant::ChangesManyAtOnce) || renews_at_once {
            let joint = change.apply(current)?;
            joint.leave_joint().unwrap_or(joint)
        } else if planted.is(Mutant::AnyNumberOfWitnesses) {
            change.unbounded(current)?
        } else {
            change.apply(current)?
        };
        if stranger(&next, &self.members).is_some() {
            return Err(Error::NoSuchMember);
        }
        let waits = !planted.is(Mutant::AddsWithoutCatchUp);
        let new_voters =
            next.new_voters(current).into_iter().filter(|&node| waits && node != self.id);
        let place = |node: &NodeId| self.members.index_of(*node);
        // A voter that is renewed must be heard of anew: what is known may be of the disk that it had.
        let fresh = |node: &NodeId| !current.contains(*node) || current.votes(*node);
        let new_voters: Vec<_> = new_voters.collect();
        let seat = |node: &NodeId| Some((place(node)?, next.kind(*node)));
        let strangers = new_voters.iter().filter(|node| fresh(node)).filter_map(seat).collect();
        let joining = new_voters.iter().filter_map(place).collect();
        let (goal, since) = (self.log.last_index(), now.monotonic);
        let everyone = seated.everyone.clone();
        let Part::Leader(leadership) = &mut self.part else { return Ok(()) };
        leadership.welcome(now, strangers, goal);
        let next = Box::new(next);
        leadership.change =
            Some(Ongoing::CatchUp(CatchUp { request, next, joining, round: 1, goal, since }));
        leadership.retarget(&everyone);
        Ok(())
    }

    /// Whether a change is under way, or may be for all that this leader knows.
    pub fn is_changing(&self) -> bool {
        let Part::Leader(leadership) = &self.part else { return false };
        let planted = self.config.planted;
        let seated = self.log.seated();
        let knows = self.commit >= leadership.first || planted.is(Mutant::ChangesBeforeNoop);
        let open = seated.index > self.commit || seated.configuration.is_joint();
        !knows || leadership.change.is_some() || open && !planted.is(Mutant::ChangesTwiceAtOnce)
    }
}

// What a leader does.
impl<S: StateMachine> Raft<S> {
    /// Goes on with a change as far as it can: appends a configuration, or gives the change up.
    pub(crate) fn drive_change(&mut self, now: Now) {
        let last = self.log.last_index();
        let timeouts = (self.config.stick_for(), self.config.quorum_patience());
        let Part::Leader(leadership) = &mut self.part else { return };
        // A leader that hands over, or stands again, appends no more: the next one will.
        if leadership.hands_over(self.id).is_some() {
            return;
        }
        let Some(Ongoing::CatchUp(mut catch_up)) = leadership.change.take_if(is_catch_up) else {
            return self.leave_joint(now);
        };
        match catch_up.look(now, leadership, last, timeouts) {
            Standing::Behind => leadership.change = Some(Ongoing::CatchUp(catch_up)),
            Standing::Ready => {
                let CatchUp { request, next, .. } = catch_up;
                let next = next.named(|node| match self.members.index_of(node) {
                    Some(place) => self.peers[place].disk,
                    None => Disk::UNNAMED,
                });
                let answered = if next.is_joint() {
                    leadership.change = Some(Ongoing::Joint(request));
                    None
                } else {
                    request
                };
                self.append_configuration(now, answered, next);
            }
            Standing::Hopeless => {
                let (request, error) = (catch_up.request, Error::NotCaughtUp);
                self.settled.extend(request.map(|request| Settled::Failed { request, error }));
                leadership.retarget(&self.log.seated().everyone);
            }
        }
    }

    /// "Once C_old,new has been committed, […] it is now safe for the leader to create a log entry
    /// describing C_new" (§6): this one's own, or one that it found.
    fn leave_joint(&mut self, now: Now) {
        let planted = self.config.planted;
        let Part::Leader(leadership) = &mut self.part else { return };
        let seated = self.log.seated();
        let committed = seated.index <= self.commit && self.commit >= leadership.first;
        let leaves = seated.configuration.leaves_by_itself()
            && (committed || planted.is(Mutant::LeavesJointEarly));
        let forsaken = leadership.change.is_none() && planted.is(Mutant::StaysJoint);
        if !leaves || forsaken {
            return;
        }
        let Ok(next) = seated.configuration.leave_joint() else { return };
        let request = match leadership.change.take() {
            Some(Ongoing::Joint(request)) => request,
            Some(Ongoing::CatchUp(_)) | None => None,
        };
        self.append_configuration(now, request, next);
    }

    /// From here on, `next` is in effect.
    fn append_configuration(&mut self, now: Now, request: Option<RequestId>, next: Configuration) {
        let before = self.log.seated().everyone.clone();
        let (term, last) = (self.term, self.log.last_index());
        let index = last.next();
        let next = Arc::new(next);
        let payload = Payload::Configuration(Arc::clone(&next));
        self.log.push(Entry { term, index, payload });
        self.proposals.extend(request.map(|request| (index, request)));
        let everyone = &self.log.seated().everyone;
        let Part::Leader(leadership) = &mut self.part else { return };
        let left = |place| leadership.departing.iter().any(|departing| departing.place == place);
        let known = |place| leadership.targets.contains(&place) && !left(place);
        let seat = |place: usize| (place, next.kind(self.members.as_slice()[place]));
        let new = everyone.iter().copied().filter(|&place| !known(place)).map(seat).collect();
        leadership.welcome(now, new, last);
        let since = now.monotonic;
        let gone = before.iter().copied().filter(|place| !everyone.contains(place));
        leadership.departing.extend(gone.map(|place| Departing { place, index, since }));
        leadership.retarget(everyone);
    }

    /// Those who are out and know it, or are not heard of, are sent no more. Who holds the entry that
    /// leaves it out is told once more how far the log is committed.
    pub(crate) fn part_from_departed(&mut self, now: Now) {
        let (commit, patience) = (self.commit, self.config.quorum_patience());
        let Part::Leader(leadership) = &mut self.part else { return };
        if leadership.departing.is_empty() {
            return;
        }
        let Leadership { departing, followers, heard, .. } = &mut **leadership;
        departing.retain(|it| {
            let follower = &mut followers[it.place];
            if commit >= it.index && follower.matched >= it.index && !follower.told {
                (follower.due, follower.told) = (true, true);
                return true;
            }
            !follower.told && now.monotonic.since(it.silent_since(heard)) < patience
        });
        leadership.retarget(&self.log.seated().everyone);
    }

    /// Whether this node leads without a vote, in a configuration that is committed: "at this point the
    /// leader steps down" (§4.2.2 of the thesis).
    pub(crate) fn is_retired(&self) -> bool {
        let seated = self.log.seated();
        self.is_leader()
            && !seated.votes_at(self.place)
            && seated.index <= self.commit
            && !self.config.planted.is(Mutant::RemovedLeadsOn)
    }

    /// A leader that has made itself superfluous hands over to the best of the voters, if anyone is
    /// there to take over.
    pub(crate) fn retire<P, E>(&mut self, now: Now, out: &mut Out<S, P, E>) {
        if !self.is_retired() || self.transferring().is_some() {
            return;
        }
        if self.transfer(now, None, None).is_err() {
            self.step_down(now, out);
            self.lose_leader();
        }
    }

    /// This node leads no longer, and had `change` under way.
    pub(crate) fn fail_change(&mut self, change: Option<Ongoing>) {
        let (request, error) = match change {
            Some(Ongoing::CatchUp(CatchUp { request, .. })) => {
                (request, Error::NotLeader { leader: None })
            }
            Some(Ongoing::Joint(request)) => (request, Error::Deposed),
            None => return,
        };
        self.settled.extend(request.map(|request| Settled::Failed { request, error }));
    }
}

fn is_catch_up(change: &mut Ongoing) -> bool {
    match change {
        Ongoing::CatchUp(_) => true,
        Ongoing::Joint(_) => false,
    }
}
