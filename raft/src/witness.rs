//! Witnesses: voters that hold no commands (J.-F. Pâris, *Voting with Witnesses: A Consistency Scheme for
//! Replicated Files*, ICDCS 1986, whose witnesses hold a version number and no data; here the numbers
//! are the indexes and terms of the log).
//!
//! A vote needs to know how far a log goes, and not what is in it. So where two copies of the data are
//! enough, the third voter, which breaks the ties, may be small:
//!
//! ```text
//!  n1 leader   │t1⋅ │t1 x│t1 y│t3⋅ │t3 z│        n1 or n2 dies: the other goes on with n3
//!  n2          │t1⋅ │t1 x│t1 y│t3⋅ │t3 z│
//!  n3 witness  │t1⋅ │t1  │t1  │t3⋅ │t3  │        votes and acknowledges; never stands, so never leads
//! ```
//! It is a voter in all that is counted: for votes, commits, rounds of reads, leases, and the leader's
//! check of its quorum. What it is sent is withheld before it leaves the leader, but for what the protocol
//! itself reads: empty entries, and configurations. A snapshot for it says where its log begins and who
//! takes part, and holds no state. It applies nothing and answers no query.
//!
//! # Why that is safe
//! Nothing in the paper's arguments asks what is in an entry: a leader was elected by a majority whose
//! logs were no longer than its own, so it holds all that is committed; and since no witness stands, it
//! holds it whole. What becomes of a disk is a matter of the *bound*: at most half of a set of voters are
//! witnesses, so every majority holds a full replica, and what is committed is on the disk of one.
//!
//! A disk that has held withheld entries cannot make a full replica: what it lacks, nobody would know
//! to send it again, since logs are compared by index and term. So such a disk is marked before the
//! first of them, and the mark never goes; a leader says with all that it sends what it takes the
//! receiver for, and who is none of these refuses ([`Appended::Misfit`]).
//!
//! # What is lost
//! Without a witness an entry that is committed by two of three is in two whole copies. With one it may
//! be in the leader's alone: if that dies, the witness refuses all whose logs are shorter, and service
//! waits for the leader's disk. A wrong answer is never given. To have that only where there is no
//! choice, a leader sends a witness nothing that no other full replica has acknowledged, as long as one
//! answers and keeps pace: so the crash of the leader alone, or of any one node while the others are
//! well, stops nothing. And it never sends one what is on no full replica's disk yet, its own among them:
//! else all of them could come back from a loss of power with less than the witness holds, which then
//! would refuse them for ever.

use cluster::{NodeId, Now, Timestamp};
use serde::{Deserialize, Serialize};

use crate::change::Ongoing;
use crate::entries::Entries;
use crate::history::Seated;
use crate::leader::Leadership;
use crate::message::{Appended, Entry, Message, Payload};
use crate::mutants::Mutant;
use crate::node::{Out, Part, Raft};
use crate::request::Settled;
use crate::{Config, Error, Identity, LogIndex, Round, StateMachine, WitnessRefusal};

/// What a member keeps of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// All of it, and the machine that it makes.
    #[default]
    Full,
    /// Of every entry its place and its term, and what the protocol itself reads.
    Witness,
}

impl<C> Payload<C> {
    /// What a witness is sent of it.
    fn withheld(&self) -> Self {
        match self {
            Self::Noop => Self::Noop,
            Self::Configuration(configuration) => Self::Configuration(configuration.clone()),
            Self::Command(_)
            | Self::Open { .. }
            | Self::Submit(_)
            | Self::Close(_)
            | Self::Withheld => Self::Withheld,
        }
    }

    /// Whether it is more than a witness is sent.
    pub(crate) fn is_whole(&self) -> bool {
        match self {
            Self::Command(_) | Self::Open { .. } | Self::Submit(_) | Self::Close(_) => true,
            Self::Noop | Self::Configuration(_) | Self::Withheld => false,
        }
    }
}

impl<C> Entries<C> {
    /// These, as a witness keeps them.
    pub(crate) fn withheld(self) -> Self {
        if !self.iter().any(|entry| entry.payload.is_whole()) {
            return self;
        }
        let bare = |entry: &Entry<C>| {
            let Entry { term, index, ref payload } = *entry;
            Entry { term, index, payload: payload.withheld() }
        };
        self.iter().map(bare).collect()
    }

    /// Whether a payload is missing.
    pub(crate) fn lacks_payload(&self) -> bool {
        self.iter().any(|entry| matches!(entry.payload, Payload::Withheld))
    }
}

/// Where a follower is to come, to be said to keep pace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Goal {
    /// Where the log ended when it was set.
    pub(crate) index: LogIndex,
    /// When it was set.
    pub(crate) since: Timestamp,
}

// At a leader.
impl Leadership {
    /// Whether the log goes to witnesses too.
    pub(crate) fn has_witnesses(&self) -> bool {
        self.targets.iter().any(|&place| self.followers[place].kind == Kind::Witness)
    }

    /// The last entry that witnesses are sent, of a log that ends at `last` and is durable here up to
    /// `durable`: the last that another full replica among the voters has acknowledged, if one answers and
    /// keeps pace; if none does, the last that is on the disk of any.
    ///
    /// One answers that was heard within the longest election timeout, as for the check of the quorum; a
    /// leader that has heard nothing of it in its term waits for it for one heartbeat only. It keeps
    /// pace as long as it comes within that time to where the log ended at the beginning of it: one that
    /// is catching up holds nothing up.
    pub(crate) fn witnessed_upto<S: StateMachine>(
        &mut self,
        now: Now,
        (seated, peers, own): (&Seated, &[Identity], usize),
        (last, durable): (LogIndex, LogIndex),
        config: &Config<S>,
    ) -> LogIndex {
        if !self.has_witnesses() || config.planted.is(Mutant::WitnessesFirst) {
            return last;
        }
        let patience = config.quorum_patience();
        let (mut acknowledged, mut held) = (None, LogIndex::ZERO);
        for place in seated.full_voters(peers) {
            if place == own {
                held = held.max(durable);
                continue;
            }
            let (matched, heard) = (self.followers[place].matched, self.heard[place]);
            held = held.max(matched);
            let goal = &mut self.goals[place];
            if matched >= goal.index {
                *goal = Goal { index: last, since: now.monotonic };
            }
            let waits = if heard == self.began { config.heartbeat } else { patience };
            let answers = now.monotonic.since(heard) < waits;
            if answers && now.monotonic.since(goal.since) < patience {
                acknowledged = acknowledged.max(Some(matched));
            }
        }
        let unsafely = config.planted.is(Mutant::WitnessesBeforeDisks);
        acknowledged.unwrap_or(if unsafely { last } else { held })
    }
}

impl<S: StateMachine> Raft<S> {
    /// The member at `place` says that its disk is not of the kind that it was taken for. If it is to
    /// vote, it will not.
    pub(crate) fn on_misfit(&mut self, place: usize) {
        let Part::Leader(leadership) = &mut self.part else { return };
        let joins = |change: &mut Ongoing| match change {
            Ongoing::CatchUp(catch_up) => catch_up.joining().contains(&place),
            Ongoing::Joint(_) => false,
        };
        let Some(change) = leadership.change.take_if(joins) else {
            self.counts.dropped += 1;
            return;
        };
        leadership.retarget(&self.log.seated().everyone);
        let node = self.members.as_slice()[place];
        let error = Error::Witness(WitnessRefusal::OtherKind { node });
        let request = change.into_request();
        self.settled.extend(request.map(|request| Settled::Failed { request, error }));
    }
}

// At a witness.
impl<S: StateMachine> Raft<S> {
    /// Whether this node is a witness: its disk is marked, or its latest configuration says so.
    pub fn is_witness(&self) -> bool {
        let marked = self.papers.witness && !self.config.planted.is(Mutant::PromotesInPlace);
        marked || self.configuration().kind(self.id) == Kind::Witness
    }

    /// Why this node answers no query, if it is a witness.
    pub(crate) fn serves_queries(&self) -> Result<(), Error> {
        match self.is_witness() {
            true => Err(Error::Witness(WitnessRefusal::NoReplica { node: self.id })),
            false => Ok(()),
        }
    }

    /// Whether what this node's disk holds, if anything, is of the kind that the leader takes it for. If
    /// not, the leader is told.
    pub(crate) fn fits<P, E>(
        &mut self,
        (leader, round): (NodeId, Round),
        kind: Kind,
        out: &mut Out<S, P, E>,
    ) -> bool {
        let held = match self.papers.witness {
            true => Some(Kind::Witness),
            false => (self.log.last_index() > LogIndex::ZERO).then_some(Kind::Full),
        };
        if held.is_none_or(|held| held == kind) || self.config.planted.is(Mutant::PromotesInPlace) {
            return true;
        }
        self.counts.misfits += 1;
        let (term, outcome) = (self.term, Appended::Misfit);
        out.send(leader, Message::Appended { term, round, outcome, by: self.identity() });
        false
    }

    /// Only a witness's disk holds `entries` of which payloads are missing.
    pub(crate) fn refuse_lack(&self, entries: &Entries<S::Command>) -> Result<(), String> {
        if !self.papers.witness && entries.lacks_payload() {
            return Err("withheld entries, expected them on the disk of a witness only".to_owned());
        }
        Ok(())
    }

    /// From now on the disk is a witness's: handed to it before anything that is withheld.
    pub(crate) fn become_witness<P, E>(&mut self, out: &mut Out<S, P, E>) {
        self.papers_unsaved |= !self.papers.witness;
        self.papers.witness = true;
        self.save_papers(out);
    }
}
