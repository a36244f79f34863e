//! The voter's side of the guard: what a node has promised, and to whom it is bound.

use cluster::{CorruptRecords, Epoch, Members, NodeId, Timestamp};

use crate::message::Record;

/// A node as a voter.
///
/// Two different things bind it. A *promise* is for ever: an epoch, once given to a candidate, goes
/// to no other, and no earlier epoch is ever dealt with again; it is on the disk before anyone
/// hears of it. A *bond* is for a timeout: while it holds, no other candidate gets a vote; it is in
/// memory only, so a node that boots acts as if it were bound.
///
/// Invariant: `promised` never goes down while the node runs.
#[derive(Clone, Debug)]
pub(crate) struct Voter {
    promised: Epoch,
    to: Option<NodeId>,
    bond: Option<Bond>,
}

/// Whom a voter is bound to, and until when on its own clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Bond {
    /// None after a boot: whoever it was has been forgotten.
    pub(crate) to: Option<(NodeId, Epoch)>,
    pub(crate) until: Timestamp,
}

/// What a voter makes of a ballot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Judgement {
    /// It may have the epoch.
    Grant,
    /// The epoch, or a later one, is taken.
    Outbid,
    /// The voter is bound to another node.
    Bound,
}

impl Voter {
    /// A voter that remembers what its disk held.
    ///
    /// # Errors
    /// When the epochs do not ascend or belong to nobody: no run writes such records.
    pub(crate) fn recall(
        node: NodeId,
        members: &Members,
        records: &[Record],
    ) -> Result<Self, CorruptRecords> {
        let mut voter = Self { promised: Epoch::ZERO, to: None, bond: None };
        for (position, record) in records.iter().enumerate() {
            let Record::Promise { epoch, to } = *record;
            let corrupt = |problem| Err(CorruptRecords { node, position, problem });
            if epoch <= voter.promised {
                let least = voter.promised.next();
                return corrupt(format!("it promises {epoch}, expected {least} or later"));
            }
            if !members.contains(to) {
                return corrupt(format!("it promises {epoch} to {to}, expected a member"));
            }
            (voter.promised, voter.to) = (epoch, Some(to));
        }
        Ok(voter)
    }

    /// The last epoch promised away.
    pub(crate) fn promised(&self) -> Epoch {
        self.promised
    }

    /// Whose it is.
    pub(crate) fn promised_to(&self) -> Option<NodeId> {
        self.to
    }

    /// Whom it is bound to, or was.
    pub(crate) fn bond(&self) -> Option<Bond> {
        self.bond
    }

    /// Whether the promises leave `epoch` to `node`.
    pub(crate) fn may_have(&self, node: NodeId, epoch: Epoch) -> bool {
        epoch > self.promised || (epoch == self.promised && self.to == Some(node))
    }

    /// What `candidate` gets if it asks for `epoch` at `now`.
    pub(crate) fn judge(&self, candidate: NodeId, epoch: Epoch, now: Timestamp) -> Judgement {
        if !self.may_have(candidate, epoch) {
            Judgement::Outbid
        } else if self.bond_against(candidate, now).is_some() {
            Judgement::Bound
        } else {
            Judgement::Grant
        }
    }

    /// The bond that keeps it from voting for `candidate` at `now`, if any.
    pub(crate) fn bond_against(&self, candidate: NodeId, now: Timestamp) -> Option<Bond> {
        self.bond.filter(|bond| bond.until > now && bond.to.map(|(to, _)| to) != Some(candidate))
    }

    /// Goes on to `epoch`, which belongs to `to`. Returns what must be on the disk before anyone
    /// hears of it, if that is news.
    pub(crate) fn promise(&mut self, epoch: Epoch, to: NodeId) -> Option<Record> {
        if epoch <= self.promised {
            return None;
        }
        (self.promised, self.to) = (epoch, Some(to));
        Some(Record::Promise { epoch, to })
    }

    /// Is bound to `to` until `until`.
    pub(crate) fn bind(&mut self, to: NodeId, epoch: Epoch, until: Timestamp) {
        self.bond = Some(Bond { to: Some((to, epoch)), until });
    }

    /// Is bound to somebody it has forgotten until `until`.
    pub(crate) fn bind_after_boot(&mut self, until: Timestamp) {
        self.bond = Some(Bond { to: None, until });
    }

    /// `to` has said that it will never again lead `epoch`. True if that sets this voter free.
    pub(crate) fn release(&mut self, to: NodeId, epoch: Epoch) -> bool {
        self.release_if(|bond| bond.to == Some((to, epoch)))
    }

    /// Whoever led `epoch` will never again. True if that sets this voter free.
    pub(crate) fn release_epoch(&mut self, epoch: Epoch) -> bool {
        self.release_if(|bond| bond.to.is_some_and(|(_, bound)| bound == epoch))
    }

    fn release_if(&mut self, matches: impl Fn(&Bond) -> bool) -> bool {
        let released = self.bond.as_ref().is_some_and(matches);
        if released {
            self.bond = None;
        }
        released
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: NodeId = NodeId::new(1);
    const B: NodeId = NodeId::new(2);

    fn e(number: u64) -> Epoch {
        Epoch::new(number)
    }

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn recall(records: &[Record]) -> Result<Voter, CorruptRecords> {
        Voter::recall(A, &Members::first(3).unwrap(), records)
    }

    fn promise(epoch: u64, to: u32) -> Record {
        Record::Promise { epoch: e(epoch), to: NodeId::new(to) }
    }

    #[test]
    fn an_epoch_goes_to_one_candidate_also_after_a_boot() {
        let mut voter = recall(&[]).unwrap();
        assert_eq!(voter.judge(A, e(3), at(0)), Judgement::Grant);
        let record = voter.promise(e(3), A).unwrap();
        let booted = recall(&[record]).unwrap();
        for voter in [&voter, &booted] {
            assert_eq!(voter.judge(A, e(3), at(0)), Judgement::Grant);
            assert_eq!(voter.judge(B, e(3), at(0)), Judgement::Outbid);
            assert_eq!(voter.judge(A, e(2), at(0)), Judgement::Outbid);
            assert_eq!(voter.judge(B, e(4), at(0)), Judgement::Grant);
        }
        assert_eq!(voter.promise(e(3), B), None);
    }

    #[test]
    fn a_bond_ends_by_time_or_by_the_word_of_whom_it_is_to() {
        let mut voter = recall(&[]).unwrap();
        voter.promise(e(1), A);
        voter.bind(A, e(1), at(100));
        assert_eq!(voter.judge(B, e(2), at(99)), Judgement::Bound);
        assert_eq!(voter.judge(A, e(2), at(99)), Judgement::Grant);
        assert_eq!(voter.judge(B, e(2), at(100)), Judgement::Grant);
        assert!(!voter.release(B, e(1)) && !voter.release(A, e(2)) && !voter.release_epoch(e(2)));
        assert_eq!(voter.judge(B, e(2), at(99)), Judgement::Bound);
        assert!(voter.release(A, e(1)));
        assert_eq!(voter.judge(B, e(2), at(99)), Judgement::Grant);
        voter.bind_after_boot(at(100));
        assert!(!voter.release(A, e(1)) && !voter.release_epoch(e(0)));
        assert_eq!(voter.judge(A, e(2), at(99)), Judgement::Bound);
    }

    #[test]
    fn records_that_no_run_writes_are_refused() {
        let position = |records: &[Record]| recall(records).unwrap_err().position;
        assert_eq!(position(&[promise(0, 1)]), 0);
        assert_eq!(position(&[promise(2, 1), promise(2, 2)]), 1);
        assert_eq!(position(&[promise(2, 1), promise(1, 1)]), 1);
        assert_eq!(position(&[promise(2, 1), promise(3, 9)]), 1);
        assert!(recall(&[promise(2, 1), promise(7, 3)]).is_ok());
    }
}
