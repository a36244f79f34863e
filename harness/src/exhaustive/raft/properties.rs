//! What must hold of a Raft cluster in every schedule, and at the end of each.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use ::raft::invariants::{
    ELECTION_SAFETY, LEADER_COMPLETENESS, LOG_MATCHING, NO_WAY_BACK, SNAPSHOTS_OF_COMMITTED,
    STATE_MACHINE_SAFETY,
};
use ::raft::{Entry, LogIndex, Raft, Term};
use cluster::NodeId;
use cluster::explore::{Broken, Fingerprint, Frame, Happened, Property, View};

use super::{Cell, N2};

/// Figure 3, with what it must remember of the past: who led in which term, and what was committed.
///
/// The same properties as [`raft::invariants::Monitor`](::raft::invariants::Monitor), of which this
/// is the short form: every word that it remembers is a factor in the number of states.
#[derive(Clone, Default)]
pub(super) struct Figure3 {
    /// Ascending by term.
    leaders: Arc<Vec<(Term, NodeId)>>,
    /// The committed log, and the term in which each entry was committed at the latest.
    committed: Arc<Vec<(Entry<u64>, Term)>>,
}

fn broken<T>(guarantee: &'static str, what: String) -> Result<T, Broken> {
    Err(Broken { guarantee, what })
}

impl Figure3 {
    fn elections(&mut self, id: NodeId, node: &Raft<Cell>) -> Result<(), Broken> {
        if !node.is_leader() {
            return Ok(());
        }
        let term = node.term();
        match self.leaders.binary_search_by_key(&term, |&(term, _)| term) {
            Ok(place) if self.leaders[place].1 == id => Ok(()),
            Ok(place) => {
                let first = self.leaders[place].1;
                broken(ELECTION_SAFETY, format!("{first} and {id} lead in {term}"))
            }
            Err(place) => {
                Arc::make_mut(&mut self.leaders).insert(place, (term, id));
                Ok(())
            }
        }
    }

    fn commits(&mut self, id: NodeId, node: &Raft<Cell>) -> Result<(), Broken> {
        let commit = node.commit_index();
        if commit > node.last_index() || node.applied_index() > commit {
            let (applied, last) = (node.applied_index(), node.last_index());
            let what = format!("{id} has applied {applied}, committed {commit}, holds {last}");
            return broken(NO_WAY_BACK, what);
        }
        let base = node.base().index.since(LogIndex::ZERO);
        if base > 0 {
            let last = self.committed.get(base - 1).map(|(entry, _)| entry.position());
            if last != Some(node.base()) {
                let what = format!("{id} dropped up to {:?}, committed is {last:?}", node.base());
                return broken(SNAPSHOTS_OF_COMMITTED, what);
            }
        }
        for (place, entry) in node.committed(LogIndex::ZERO, usize::MAX).iter().enumerate() {
            let place = base + place;
            match self.committed.get(place) {
                Some((first, _)) if first == entry => {}
                Some((first, _)) => {
                    let what = format!("{id} commits {entry:?}, another node {first:?}");
                    return broken(STATE_MACHINE_SAFETY, what);
                }
                None => {
                    Arc::make_mut(&mut self.committed).push((entry.clone(), node.term()));
                }
            }
        }
        Ok(())
    }

    fn completeness(&self, id: NodeId, node: &Raft<Cell>) -> Result<(), Broken> {
        if !node.is_leader() {
            return Ok(());
        }
        for (entry, committed_in) in self.committed.iter() {
            let covered = entry.index <= node.base().index;
            let held = covered || node.entry(entry.index) == Some(entry);
            if node.term() > *committed_in && !held {
                let what = format!("{id} leads in {} without {entry:?}, committed", node.term());
                return broken(LEADER_COMPLETENESS, what);
            }
        }
        Ok(())
    }
}

/// Two logs that agree at some place agree in all places before it.
fn matching(
    (one, a): (NodeId, &Raft<Cell>),
    (other, b): (NodeId, &Raft<Cell>),
) -> Result<(), Broken> {
    if a.applied_index() == b.applied_index() && a.machine() != b.machine() {
        let what = format!("{one} and {other} differ after {}", a.applied_index());
        return broken(STATE_MACHINE_SAFETY, what);
    }
    let first = a.base().index.max(b.base().index).next();
    let both = || a.entries(first, usize::MAX).zip(b.entries(first, usize::MAX));
    let agree =
        |(place, (a, b)): (usize, (&Entry<_>, &Entry<_>))| (a.term == b.term).then_some(place);
    let Some(last) = both().enumerate().filter_map(agree).last() else { return Ok(()) };
    match both().take(last + 1).find(|(a, b)| a != b) {
        None => Ok(()),
        Some((a, b)) => broken(LOG_MATCHING, format!("{one} holds {a:?}, {other} holds {b:?}")),
    }
}

impl Property<Raft<Cell>> for Figure3 {
    fn observe(
        &mut self,
        view: &View<'_, Raft<Cell>>,
        _happened: &Happened<'_, Raft<Cell>>,
    ) -> Result<(), Broken> {
        for (id, node, _) in view.nodes() {
            self.elections(id, node)?;
            self.commits(id, node)?;
            for (other, second, _) in view.nodes().take_while(|&(other, ..)| other < id) {
                matching((other, second), (id, node))?;
            }
        }
        view.nodes().try_for_each(|(id, node, _)| self.completeness(id, node))
    }

    fn fingerprint(&self, frame: &Frame<'_>, into: &mut Fingerprint) {
        into.write_usize(self.leaders.len());
        for &(term, leader) in self.leaders.iter() {
            term.hash(into);
            into.write_u32(frame.name(leader));
        }
        self.committed.hash(into);
    }
}

/// The guarantee of [`heard`], and of [`led`].
const LEADER_AGREEMENT: &str = "leader agreement";

/// Where nothing is lost: once nothing is under way, whoever is in a leader's term follows it.
pub(super) fn heard(view: &View<'_, Raft<Cell>>) -> Result<(), Broken> {
    if !view.is_quiet() || !view.all_up() {
        return Ok(());
    }
    for (leader, led, _) in view.nodes().filter(|(_, node, _)| node.is_leader()) {
        let deaf = view
            .nodes()
            .find(|(_, node, _)| node.term() == led.term() && node.leader() != Some(leader));
        if let Some((id, ..)) = deaf {
            let what = format!("{leader} leads in {}, and {id} will not have it", led.term());
            return broken(LEADER_AGREEMENT, what);
        }
    }
    Ok(())
}

/// In the end, somebody leads, and whoever is up follows.
pub(super) fn led(view: &View<'_, Raft<Cell>>) -> Result<(), Broken> {
    let leader = view.nodes().find(|(_, node, _)| node.is_leader()).map(|(id, ..)| id);
    match view.nodes().find(|(_, node, _)| node.leader() != leader) {
        None if leader.is_some() => Ok(()),
        Some((id, ..)) => broken(LEADER_AGREEMENT, format!("in the end {id} has no leader")),
        None => broken(LEADER_AGREEMENT, "in the end nobody leads".to_owned()),
    }
}

/// In the end nobody but `n2` leads, if `n1` was asked to hand over.
pub(super) fn over(view: &View<'_, Raft<Cell>>) -> Result<(), Broken> {
    let asked = view.nodes().any(|(_, node, _)| node.term() > Term::new(1));
    let leads = view.nodes().any(|(id, node, _)| id == N2 && node.is_leader());
    if asked && !leads {
        return broken(LEADER_AGREEMENT, "in the end n2 does not lead".to_owned());
    }
    Ok(())
}
