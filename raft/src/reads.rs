//! Linearizable reads: by a round of answers, by lease, and at followers (§8; §6.4 of the thesis).

use std::collections::VecDeque;

use cluster::{NodeId, Now, RequestId, Timestamp};

use crate::leader::Leadership;
use crate::message::{Message, ReadTag};
use crate::mutants::Mutant;
use crate::node::{Out, Part, Raft};
use crate::request::{ReadLevel, Settled};
use crate::{Error, LogIndex, Round, StateMachine};

/// The linearizable reads that wait at a leader.
///
/// A read is answered once a majority has answered a round that began after the read arrived: then
/// no other leader can have committed anything before that moment. One round is under way at a
/// time; reads that arrive meanwhile share the next one.
#[derive(Clone, Default)]
pub(crate) struct Reads {
    /// The latest.
    pub(crate) round: Round,
    /// Waiting for the answers to round `asked_in`.
    pub(crate) asked: Vec<Asker>,
    pub(crate) asked_in: Round,
    /// Waiting for a round to begin.
    pub(crate) arrived: Vec<Asker>,
    /// Waiting for the next flush, which looks whether there is a lease.
    pub(crate) by_lease: Vec<RequestId>,
    /// Where there are leases: when each round began that no majority has answered. Ascending.
    pub(crate) begun: VecDeque<(Round, Timestamp)>,
    /// When the latest round began that a majority has answered.
    pub(crate) leased_from: Option<Timestamp>,
}

/// Who wants to read.
#[derive(Clone, Copy, Hash, Debug)]
pub(crate) enum Asker {
    /// A client of this node.
    Here(RequestId),
    /// A follower, for clients of its own.
    Follower(NodeId, ReadTag),
}

impl Reads {
    fn count(&self) -> usize {
        self.asked.len() + self.arrived.len() + self.by_lease.len()
    }

    /// A new round begins.
    fn begin_round(&mut self, now: Now, leases: bool) {
        self.round = self.round.next();
        if leases {
            self.begun.push_back((self.round, now.monotonic));
        }
    }

    /// A majority has answered `round`.
    fn confirmed(&mut self, round: Round) {
        while let Some(&(_, at)) = self.begun.front().filter(|(begun, _)| *begun <= round) {
            self.leased_from = Some(at);
            self.begun.pop_front();
        }
    }

    /// All that wait, in the order of their arrival as far as it is known.
    pub(crate) fn into_askers(self) -> impl Iterator<Item = Asker> {
        let by_lease = self.by_lease.into_iter().map(Asker::Here);
        self.asked.into_iter().chain(self.arrived).chain(by_lease)
    }
}

/// The linearizable reads that wait at a follower.
#[derive(Clone, Default, Hash)]
pub(crate) struct FollowerReads {
    /// How many questions this life of the node has asked its leaders.
    number: u64,
    /// Waiting for a question to be asked.
    arrived: Vec<RequestId>,
    /// Waiting for the answer to question `number`. Not empty while one is under way.
    asked: Vec<RequestId>,
    /// Waiting until so much is applied. Ascending.
    known: VecDeque<(LogIndex, Vec<RequestId>)>,
}

impl FollowerReads {
    fn count(&self) -> usize {
        let known: usize = self.known.iter().map(|(_, requests)| requests.len()).sum();
        self.arrived.len() + self.asked.len() + known
    }

    /// Whether a question is without an answer.
    pub(crate) fn asks(&self) -> bool {
        !self.asked.is_empty()
    }
}

// Asking.
impl<S: StateMachine> Raft<S> {
    /// Asks for a moment at which the machine holds every command that was applied anywhere before
    /// now, at this leader: [`ReadLevel::Index`]. [`Settled::Readable`] says when it has come,
    /// [`Settled::Failed`] that it will not.
    ///
    /// # Errors
    /// [`Error::NotLeader`] and [`Error::Overloaded`]; nothing is done then.
    pub fn read_index(&mut self, _now: Now, request: RequestId) -> Result<(), Error> {
        self.reads_of_leader()?.arrived.push(Asker::Here(request));
        Ok(())
    }

    /// As [`read_index`](Raft::read_index), as surely as `level` says. Reads of one level settle in
    /// the order in which they were asked. At [`ReadLevel::Local`] it settles at the next flush, as
    /// everything does.
    ///
    /// # Errors
    /// [`Error::NotLeader`] and [`Error::Overloaded`], [`Error::NoSuchMember`] at a node that takes
    /// no part, and [`Error::Witness`] at a witness; nothing is done then.
    pub fn read(&mut self, now: Now, request: RequestId, level: ReadLevel) -> Result<(), Error> {
        match level {
            ReadLevel::Index => self.read_index(now, request),
            ReadLevel::Lease => {
                self.reads_of_leader()?.by_lease.push(request);
                Ok(())
            }
            ReadLevel::Follower if self.is_leader() => self.read_index(now, request),
            ReadLevel::Follower => {
                self.serves_queries()?;
                if self.leader.is_none() {
                    return Err(self.no_follower_read());
                }
                if self.follower_reads.count() >= self.config.pending_max {
                    return Err(Error::Overloaded);
                }
                self.follower_reads.arrived.push(request);
                Ok(())
            }
            ReadLevel::Local => {
                self.serves_queries()?;
                self.settled.push(Settled::Readable { request });
                Ok(())
            }
        }
    }

    fn reads_of_leader(&mut self) -> Result<&mut Reads, Error> {
        let Part::Leader(leadership) = &mut self.part else {
            return Err(Error::NotLeader { leader: self.leader });
        };
        if leadership.reads.count() >= self.config.pending_max {
            return Err(Error::Overloaded);
        }
        Ok(&mut leadership.reads)
    }
}

// At the leader.
impl<S: StateMachine> Raft<S> {
    /// A heartbeat is due: where there are leases, it asks for another one.
    pub(crate) fn renew_lease(&mut self, now: Now) {
        let leases = self.config.lease().is_some();
        let Part::Leader(leadership) = &mut self.part else { return };
        if leases {
            leadership.reads.begin_round(now, leases);
        }
    }

    /// Lets reads go that a majority or a lease has confirmed, and begins a round for those that
    /// arrived.
    pub(crate) fn confirm_reads<P, E>(&mut self, now: Now, out: &mut Out<S, P, E>) {
        self.settle_reads(out);
        self.settle_by_lease(now);
        let leases = self.config.lease().is_some();
        let Part::Leader(leadership) = &mut self.part else { return };
        let reads = &mut leadership.reads;
        if !reads.asked.is_empty() || reads.arrived.is_empty() {
            return;
        }
        // Until an entry of its term is committed, it does not know what is (§8).
        let knows = self.commit >= leadership.first;
        if knows || self.config.planted.is(Mutant::ReadsBeforeNoop) {
            reads.begin_round(now, leases);
            reads.asked_in = reads.round;
            std::mem::swap(&mut reads.asked, &mut reads.arrived);
            leadership.all_due();
            self.settle_reads(out);
        }
    }

    fn settle_reads<P, E>(&mut self, out: &mut Out<S, P, E>) {
        let Part::Leader(leadership) = &mut self.part else { return };
        let Leadership { reads, rounds, followers, .. } = &mut **leadership;
        if reads.asked.is_empty() && reads.begun.is_empty() {
            return;
        }
        let (own, latest) = (self.place, reads.round);
        let answered = |place: usize| if place == own { latest } else { followers[place].round };
        let reached = self.log.seated().reached(rounds, &self.peers, answered);
        reads.confirmed(reached);
        if reached >= reads.asked_in || self.config.planted.is(Mutant::ReadsWithoutQuorum) {
            for asker in reads.asked.drain(..) {
                match asker {
                    // What was committed when the round began is applied by now.
                    Asker::Here(request) => self.settled.push(Settled::Readable { request }),
                    Asker::Follower(to, tag) => {
                        let index = Some(self.commit);
                        out.send_now(to, Message::ReadFrom { term: self.term, tag, index });
                    }
                }
            }
        }
    }

    /// Answers from a lease, if there is one; otherwise these reads wait as all others.
    fn settle_by_lease(&mut self, now: Now) {
        let lease = self.config.lease();
        let planted = self.config.planted;
        let Part::Leader(leadership) = &mut self.part else { return };
        let reads = &mut leadership.reads;
        if reads.by_lease.is_empty() {
            return;
        }
        let knows = self.commit >= leadership.first;
        let leased = lease.zip(reads.leased_from).is_some_and(|(lease, from)| {
            knows && !leadership.lease_void && now.monotonic < from + lease
        });
        if leased || planted.is(Mutant::LeaseNeverEnds) && reads.leased_from.is_some() {
            let readable = reads.by_lease.drain(..).map(|request| Settled::Readable { request });
            self.settled.extend(readable);
        } else {
            reads.arrived.extend(reads.by_lease.drain(..).map(Asker::Here));
        }
    }

    /// AskIndex, as its receiver.
    pub(crate) fn on_ask_index<P, E>(
        &mut self,
        from: NodeId,
        tag: ReadTag,
        out: &mut Out<S, P, E>,
    ) {
        if self.config.planted.is(Mutant::FollowerReadsUnconfirmed) && self.is_leader() {
            let index = Some(self.commit);
            out.send_now(from, Message::ReadFrom { term: self.term, tag, index });
            return;
        }
        // Who takes no part is not sent what it would wait for.
        let served =
            self.configuration().contains(from) || self.config.planted.is(Mutant::AnswersOutsiders);
        match self.reads_of_leader() {
            Ok(reads) if served => reads.arrived.push(Asker::Follower(from, tag)),
            Ok(_) | Err(_) => {
                self.save_ballot(out);
                out.send(from, Message::ReadFrom { term: self.term, tag, index: None });
            }
        }
    }

    /// This node leads no longer.
    pub(crate) fn fail_reads<P, E>(&mut self, reads: Reads, out: &mut Out<S, P, E>) {
        for asker in reads.into_askers() {
            match asker {
                Asker::Here(request) => {
                    let error = Error::NotLeader { leader: None };
                    self.settled.push(Settled::Failed { request, error });
                }
                Asker::Follower(to, tag) => {
                    let term = self.term;
                    out.send(to, Message::ReadFrom { term, tag, index: None });
                }
            }
        }
    }
}

// At a follower.
impl<S: StateMachine> Raft<S> {
    /// Asks the leader for those that arrived, if no question is under way, and lets those go that
    /// know how far to wait and have waited.
    pub(crate) fn follow_reads<P, E>(&mut self, now: Now, out: &mut Out<S, P, E>) {
        let applied = self.applied_index();
        let reads = &mut self.follower_reads;
        while let Some((index, requests)) = reads.known.front_mut() {
            if *index > applied && !self.config.planted.is(Mutant::FollowerReadsUnapplied) {
                break;
            }
            let readable = requests.drain(..).map(|request| Settled::Readable { request });
            self.settled.extend(readable);
            reads.known.pop_front();
        }
        if reads.arrived.is_empty() || reads.asks() {
            return;
        }
        std::mem::swap(&mut reads.arrived, &mut reads.asked);
        reads.number += 1;
        self.ask_leader(now, out);
    }

    /// Asks, for the first time or again.
    pub(crate) fn ask_leader<P, E>(&mut self, now: Now, out: &mut Out<S, P, E>) {
        match self.leader.filter(|&leader| leader != self.id) {
            Some(leader) => {
                let tag = ReadTag { life: self.incarnation, number: self.follower_reads.number };
                self.ask_again_at = now.monotonic + self.config.heartbeat;
                // Ungated: its term is in earlier messages, or in the batch's acknowledgement.
                self.save_ballot(out);
                out.send(leader, Message::AskIndex { term: self.term, tag });
            }
            None => self.fail_follower_reads(),
        }
    }

    /// ReadFrom, as its receiver.
    pub(crate) fn on_read_from(&mut self, tag: ReadTag, index: Option<LogIndex>) {
        let reads = &mut self.follower_reads;
        let current = tag.life == self.incarnation
            && (tag.number == reads.number || self.config.planted.is(Mutant::OldReadIndex));
        if !current || !reads.asks() {
            return;
        }
        match index {
            Some(index) => {
                let requests = std::mem::take(&mut reads.asked);
                let after = reads.known.back().map_or(index, |&(last, _)| last.max(index));
                reads.known.push_back((after, requests));
            }
            None => self.fail_follower_reads(),
        }
    }

    /// This node leads from now on: what it would have asked its leader, it asks itself.
    pub(crate) fn take_follower_reads(&mut self) -> Vec<Asker> {
        let reads = &mut self.follower_reads;
        reads.asked.drain(..).chain(reads.arrived.drain(..)).map(Asker::Here).collect()
    }

    /// Why this node cannot find out how far to wait: as far as it knows it takes no part, or does not
    /// reach a leader.
    fn no_follower_read(&self) -> Error {
        let seated = self.log.seated();
        if seated.index <= self.commit && !seated.configuration.contains(self.id) {
            Error::NoSuchMember
        } else {
            Error::NotLeader { leader: self.leader }
        }
    }

    /// No leader is known any more.
    pub(crate) fn lose_leader(&mut self) {
        self.leader = None;
        self.fail_follower_reads();
    }

    /// The leader is another one, or none is known: whoever has no index yet must ask anew.
    pub(crate) fn fail_follower_reads(&mut self) {
        let error = self.no_follower_read();
        let reads = &mut self.follower_reads;
        let failed = reads.asked.drain(..).chain(reads.arrived.drain(..));
        self.settled.extend(failed.map(|request| Settled::Failed { request, error }));
    }
}
