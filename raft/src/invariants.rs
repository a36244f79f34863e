//! The properties of figure 3, as code to run after every simulated step.
//!
//! A [`Monitor`] sees every node as it is, which no node can, and remembers what it saw. It looks
//! only at what is new, so that it may look often.

mod configurations;
mod witnesses;

use std::collections::BTreeMap;
use std::sync::Arc;

use cluster::NodeId;

use self::configurations::Configured;
pub use self::configurations::{
    LATEST_CONFIGURATION, ONE_CHANGE_AT_A_TIME, OVERLAPPING_MAJORITIES,
};
pub use self::witnesses::{BOUNDED_WITNESSES, WITNESSES_APART};
use self::witnesses::{agree, agrees_more};
use crate::{Entry, LogIndex, Raft, StateMachine, Term};

/// A property that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{guarantee}: {what}")]
pub struct Violation {
    /// Which property.
    pub guarantee: &'static str,
    /// What contradicts it.
    pub what: String,
}

/// "At most one leader can be elected in a given term."
pub const ELECTION_SAFETY: &str = "election safety";
/// "A leader never overwrites or deletes entries in its log; it only appends new entries."
pub const LEADER_APPEND_ONLY: &str = "leader append-only";
/// "If two logs contain an entry with the same index and term, then the logs are identical in all
/// entries up through the given index."
pub const LOG_MATCHING: &str = "log matching";
/// "If a log entry is committed in a given term, then that entry will be present in the logs of the
/// leaders for all higher-numbered terms."
pub const LEADER_COMPLETENESS: &str = "leader completeness";
/// "If a server has applied a log entry at a given index to its state machine, no other server will
/// ever apply a different log entry for the same index." Checked of commit, which comes first.
pub const STATE_MACHINE_SAFETY: &str = "state-machine safety";
/// While a node runs, its term, commit index and applied index never go back, it applies nothing
/// that is not committed, its commit index lies in its log, and what it committed stays there.
pub const NO_WAY_BACK: &str = "no way back";
/// What a node has dropped from its log, because a snapshot covers it, was committed, and its log goes
/// on after it (§7). A snapshot's sessions remember nothing that nobody waits for.
pub const SNAPSHOTS_OF_COMMITTED: &str = "snapshots of what is committed";
/// While a node runs, it votes for one candidate in a term at most.
pub const ONE_VOTE: &str = "one vote a term";

/// Watches a cluster for violations of figure 3.
///
/// Between two observations a node may crash and restart: term, vote and commit index may be lower
/// then, as far as its disk allows. That is not taken for a violation; what follows from a vote or
/// an entry that was promised and forgotten is.
pub struct Monitor<S: StateMachine> {
    leaders: BTreeMap<Term, NodeId>,
    nodes: BTreeMap<NodeId, Seen<S::Command>>,
    /// For each place in the log, every entry that was ever seen there.
    entries: Vec<Vec<Known<S::Command>>>,
    /// The committed log, and in which term at the latest each entry was committed.
    committed: Vec<(Arc<Entry<S::Command>>, Term)>,
}

/// An entry that was seen, and the term of the one before it.
struct Known<C> {
    entry: Arc<Entry<C>>,
    before: Term,
}

/// One node when it was last looked at.
struct Seen<C> {
    incarnation: u64,
    truncations: u64,
    term: Term,
    vote: Option<NodeId>,
    leads: bool,
    commit: LogIndex,
    applied: LogIndex,
    /// How many entries its snapshot has taken the place of.
    base: usize,
    /// Its log; where it has dropped entries, those that were committed there.
    log: Vec<Arc<Entry<C>>>,
    /// Those in `log`.
    configured: Configured,
}

impl<S: StateMachine> Monitor<S> {
    /// Has seen nothing.
    pub fn new() -> Self {
        Self {
            leaders: BTreeMap::new(),
            nodes: BTreeMap::new(),
            entries: Vec::new(),
            committed: Vec::new(),
        }
    }

    /// Looks at `nodes`: all that are up. A node may be missing at any time.
    ///
    /// # Errors
    /// The first violation found. What is observed after that means nothing.
    pub fn observe<'a>(
        &mut self,
        nodes: impl IntoIterator<Item = (NodeId, &'a Raft<S>)>,
    ) -> Result<(), Violation> {
        nodes.into_iter().try_for_each(|(id, node)| self.observe_node(id, node))
    }

    /// Looks at one node: enough after a step that only this node took.
    ///
    /// # Errors
    /// As [`observe`](Monitor::observe).
    pub fn observe_node(&mut self, id: NodeId, node: &Raft<S>) -> Result<(), Violation> {
        let mut seen = match self.nodes.remove(&id) {
            Some(seen) if seen.incarnation == node.incarnation => seen,
            Some(_) | None => Seen::nothing(node),
        };
        let result = self.compare(id, node, &mut seen);
        self.nodes.insert(id, seen);
        result
    }

    /// The committed log, as far as it was seen.
    pub fn committed(&self) -> impl ExactSizeIterator<Item = &Arc<Entry<S::Command>>> {
        self.committed.iter().map(|(entry, _)| entry)
    }

    /// Every leader that was seen, by term.
    pub fn leaders(&self) -> impl ExactSizeIterator<Item = (Term, NodeId)> + '_ {
        self.leaders.iter().map(|(&term, &leader)| (term, leader))
    }

    fn compare(
        &mut self,
        id: NodeId,
        node: &Raft<S>,
        seen: &mut Seen<S::Command>,
    ) -> Result<(), Violation> {
        no_way_back(id, node, seen)?;
        self.compare_log(id, node, seen)?;
        let new_leader = node.is_leader() && !(seen.leads && seen.term == node.term());
        (seen.term, seen.vote, seen.leads) = (node.term(), node.vote(), node.is_leader());
        seen.applied = node.applied_index();
        if new_leader {
            self.welcome(id, seen)?;
        }
        self.compare_commit(id, node, seen)?;
        seen.configured.check(id, node)?;
        witnesses::check(id, node)
    }

    /// Takes over what is new in the node's log.
    fn compare_log(
        &mut self,
        id: NodeId,
        node: &Raft<S>,
        seen: &mut Seen<S::Command>,
    ) -> Result<(), Violation> {
        self.compare_base(id, node, seen)?;
        if node.log.truncations() != seen.truncations {
            seen.truncations = node.log.truncations();
            let log = node.entries(LogIndex::new(1), usize::MAX);
            let kept = seen.log[seen.base..].iter().zip(log);
            let same = seen.base + kept.take_while(|(a, b)| agree(a, b)).count();
            if same < seen.log.len() && seen.leads && node.is_leader() && seen.term == node.term() {
                let what = format!("{id} dropped {:?} while it led", seen.log[same].position());
                return violated(LEADER_APPEND_ONLY, what);
            }
            if same < seen.commit.since(LogIndex::ZERO) {
                let what = format!("{id} dropped {:?}, committed", seen.log[same].position());
                return violated(NO_WAY_BACK, what);
            }
            seen.log.truncate(same);
            seen.configured.reset(&seen.log);
        }
        let first_new = LogIndex::ZERO.plus(seen.log.len()).next();
        for entry in node.entries(first_new, usize::MAX) {
            let before = seen.log.last().map_or(Term::ZERO, |last| last.term);
            seen.log.push(self.match_entry(id, entry, before)?);
            witnesses::check_entry(id, node, entry)?;
            if let Some(before) = seen.configured.push(entry) {
                let what =
                    format!("{id} holds {entry:?}, and the configuration before is {before}");
                return violated(OVERLAPPING_MAJORITIES, what);
            }
        }
        Ok(())
    }

    /// A node has dropped what a snapshot covers, its own or one that it was sent.
    ///
    /// It may have committed some of it in the very step in which it died, which nobody saw: then
    /// those are the entries that stand there by log matching.
    fn compare_base(
        &mut self,
        id: NodeId,
        node: &Raft<S>,
        seen: &mut Seen<S::Command>,
    ) -> Result<(), Violation> {
        let base = node.base();
        let upto = base.index.since(LogIndex::ZERO);
        if upto == seen.base {
            return Ok(());
        }
        node.sessions.check().or_else(|what| {
            violated(SNAPSHOTS_OF_COMMITTED, format!("a session of {id} {what}"))
        })?;
        let covers = node.snapshot_index();
        if upto < seen.base || covers < base.index {
            let what = format!("the log of {id} begins at {base:?}, its snapshot ends at {covers}");
            return violated(SNAPSHOTS_OF_COMMITTED, what);
        }
        if self.committed.len() < upto {
            self.learn_committed(upto, base.term, node.term());
        }
        match self.committed.get(upto - 1) {
            Some((entry, _)) if entry.position() == base => {}
            found => {
                let found = found.map(|(entry, _)| entry.position());
                let what = format!("{id} dropped all up to {base:?}, committed there is {found:?}");
                return violated(SNAPSHOTS_OF_COMMITTED, what);
            }
        }
        let covered = self.committed[seen.base..upto].iter().map(|(entry, _)| Arc::clone(entry));
        let end = upto.min(seen.log.len());
        seen.log.splice(seen.base..end, covered);
        seen.base = upto;
        seen.configured.reset(&seen.log);
        Ok(())
    }

    /// Everything up to place `upto`, where an entry of `last` stands, was committed, in `term` at the
    /// latest. Does nothing if that does not fit what was seen.
    fn learn_committed(&mut self, upto: usize, last: Term, term: Term) {
        let mut before = last;
        let mut chain = Vec::new();
        for place in (self.committed.len()..upto).rev() {
            let mut here = self.entries.get(place).into_iter().flatten();
            let Some(known) = here.find(|known| known.entry.term == before) else { return };
            chain.push((Arc::clone(&known.entry), term));
            before = known.before;
        }
        if self.committed.last().is_none_or(|(entry, _)| entry.term == before) {
            self.committed.extend(chain.into_iter().rev());
        }
    }

    /// Log matching, by induction: what has the same index and term is the same, and so is the term
    /// of what stands before it. Returns it as it was first seen.
    fn match_entry(
        &mut self,
        id: NodeId,
        entry: &Entry<S::Command>,
        before: Term,
    ) -> Result<Arc<Entry<S::Command>>, Violation> {
        let place = entry.index.prev().since(LogIndex::ZERO);
        if self.entries.len() <= place {
            self.entries.resize_with(place + 1, Vec::new);
        }
        let here = &mut self.entries[place];
        let Some(known) = here.iter_mut().find(|known| known.entry.term == entry.term) else {
            let entry = Arc::new(entry.clone());
            here.push(Known { entry: Arc::clone(&entry), before });
            return Ok(entry);
        };
        if agrees_more(&known.entry, entry) {
            known.entry = Arc::new(entry.clone());
        }
        if !agree(&known.entry, entry) {
            let what = format!("{id} holds {entry:?}, another node held {:?}", known.entry);
            return violated(LOG_MATCHING, what);
        }
        if known.before != before {
            let position = entry.position();
            let what =
                format!("{id} holds {position:?} after {before}, another after {}", known.before);
            return violated(LOG_MATCHING, what);
        }
        Ok(Arc::clone(&known.entry))
    }

    /// A node has become leader.
    fn welcome(&mut self, id: NodeId, seen: &Seen<S::Command>) -> Result<(), Violation> {
        let first = *self.leaders.entry(seen.term).or_insert(id);
        if first != id {
            return violated(ELECTION_SAFETY, format!("{first} and {id} lead in {}", seen.term));
        }
        self.committed.iter().try_for_each(|(entry, term)| complete(id, seen, entry, *term))
    }

    fn compare_commit(
        &mut self,
        id: NodeId,
        node: &Raft<S>,
        seen: &mut Seen<S::Command>,
    ) -> Result<(), Violation> {
        let from = seen.commit.since(LogIndex::ZERO);
        let upto = node.commit_index().since(LogIndex::ZERO);
        for place in from..upto {
            let entry = &seen.log[place];
            match self.committed.get_mut(place) {
                Some((first, _)) if agrees_more(first, entry) => *first = Arc::clone(entry),
                Some((first, _)) if same(first, entry) => {}
                Some((first, _)) => {
                    let what = format!("{id} commits {entry:?}, another node {first:?}");
                    return violated(STATE_MACHINE_SAFETY, what);
                }
                None => {
                    let term = node.term();
                    self.committed.push((Arc::clone(entry), term));
                    for (&other, leader) in self.nodes.iter().filter(|(_, other)| other.leads) {
                        complete(other, leader, entry, term)?;
                    }
                }
            }
        }
        seen.commit = node.commit_index();
        Ok(())
    }
}

impl<S: StateMachine> Default for Monitor<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C> Seen<C> {
    fn nothing<S: StateMachine>(node: &Raft<S>) -> Self {
        Self {
            incarnation: node.incarnation,
            truncations: 0,
            term: Term::ZERO,
            vote: None,
            leads: false,
            commit: LogIndex::ZERO,
            applied: LogIndex::ZERO,
            base: 0,
            log: Vec::new(),
            configured: Configured::first(node),
        }
    }
}

/// What holds between two looks at one running node, and at each.
fn no_way_back<S: StateMachine>(
    id: NodeId,
    node: &Raft<S>,
    seen: &Seen<S::Command>,
) -> Result<(), Violation> {
    let (term, commit, applied) = (node.term(), node.commit_index(), node.applied_index());
    if term < seen.term || commit < seen.commit || applied < seen.applied {
        let what = format!(
            "{id} went from {}, commit {}, applied {} to {term}, commit {commit}, applied {applied}",
            seen.term, seen.commit, seen.applied
        );
        return violated(NO_WAY_BACK, what);
    }
    if applied > commit || commit > node.last_index() {
        let last = node.last_index();
        let what = format!("{id} has applied {applied}, committed {commit}, and holds {last}");
        return violated(NO_WAY_BACK, what);
    }
    if term == seen.term && seen.vote.is_some() && node.vote() != seen.vote {
        let what = format!("{id} votes for {:?} and {:?} in {term}", seen.vote, node.vote());
        return violated(ONE_VOTE, what);
    }
    Ok(())
}

/// A leader of a later term than that in which `entry` was committed must hold it.
fn complete<C: Eq + std::fmt::Debug>(
    id: NodeId,
    leader: &Seen<C>,
    entry: &Arc<Entry<C>>,
    committed_in: Term,
) -> Result<(), Violation> {
    if leader.term <= committed_in {
        return Ok(());
    }
    let held = leader.log.get(entry.index.prev().since(LogIndex::ZERO));
    if held.is_some_and(|held| same(held, entry)) {
        return Ok(());
    }
    let what = format!("{id} leads in {} without {entry:?}, which was committed", leader.term);
    violated(LEADER_COMPLETENESS, what)
}

fn same<C: Eq>(a: &Arc<Entry<C>>, b: &Arc<Entry<C>>) -> bool {
    Arc::ptr_eq(a, b) || agree(a, b)
}

fn violated<T>(guarantee: &'static str, what: String) -> Result<T, Violation> {
    Err(Violation { guarantee, what })
}
