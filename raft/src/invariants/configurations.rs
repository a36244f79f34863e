//! What must hold of who takes part (§6; chapter 4 of the thesis).

use std::sync::Arc;

use cluster::NodeId;

use super::{Violation, violated};
use crate::configuration::Configuration;
use crate::message::{Entry, Payload};
use crate::{LogIndex, Raft, StateMachine};

/// Each configuration in a log follows the one before it: they differ by one voter at most, or one of
/// them is joint and leads to or from the other. So their majorities overlap. The first one in a log
/// may also be that which the founders began with, and name their disks.
pub const OVERLAPPING_MAJORITIES: &str = "overlapping majorities";
/// A node uses the latest configuration in its log, committed or not; that of its snapshot if the rest
/// of the log holds none (§4.1 of the thesis).
pub const LATEST_CONFIGURATION: &str = "the latest configuration of the log";
/// A leader appends a configuration once the one before it is committed, and an entry of its own term
/// (§4.1 of the thesis, and the correction of 2015).
pub const ONE_CHANGE_AT_A_TIME: &str = "one change at a time";

/// The configurations in the log of one node, with those that its snapshot covers.
pub(super) struct Configured(Vec<(LogIndex, Arc<Configuration>)>);

impl Configured {
    /// Of a log that holds nothing yet.
    pub(super) fn first<S: StateMachine>(node: &Raft<S>) -> Self {
        let first = node.config.first_configuration(&node.members);
        Self(vec![(LogIndex::ZERO, Arc::new(first))])
    }

    /// As in `log`, from the first entry on.
    pub(super) fn reset<C>(&mut self, log: &[Arc<Entry<C>>]) {
        self.0.truncate(1);
        for entry in log {
            self.push(entry);
        }
    }

    /// `entry` is the last of the log now. Says which configuration it may not follow, if so.
    pub(super) fn push<C>(&mut self, entry: &Entry<C>) -> Option<Arc<Configuration>> {
        let Payload::Configuration(configuration) = &entry.payload else { return None };
        let before = self.latest().map(|(_, before)| Arc::clone(before));
        self.0.push((entry.index, Arc::clone(configuration)));
        let founds = self.founds(configuration);
        before.filter(|before| !founds && !configuration.may_follow(before))
    }

    /// Whether `configuration` is what the founders began with, and names their disks.
    fn founds(&self, configuration: &Configuration) -> bool {
        self.0.first().is_some_and(|(_, first)| configuration.founds(first))
    }

    fn latest(&self) -> Option<&(LogIndex, Arc<Configuration>)> {
        self.0.last()
    }

    /// What must hold of a node whose log this is.
    pub(super) fn check<S: StateMachine>(
        &self,
        id: NodeId,
        node: &Raft<S>,
    ) -> Result<(), Violation> {
        let Some((index, configuration)) = self.latest() else { return Ok(()) };
        let same = node.configuration() == &**configuration
            || *index == LogIndex::ZERO && self.founds(node.configuration());
        if node.configured_at() != *index || !same {
            let (at, used) = (node.configured_at(), node.configuration());
            let what =
                format!("{id} uses {used} of {at}, its log holds {configuration} at {index}");
            return violated(LATEST_CONFIGURATION, what);
        }
        let own = node.leads_from().is_some_and(|first| *index >= first);
        let [.., (before, _), _] = self.0.as_slice() else { return Ok(()) };
        if *before == LogIndex::ZERO && self.founds(configuration) {
            return Ok(());
        }
        let known = node.leads_from().max(Some(*before));
        if own && known > Some(node.commit_index()) {
            let commit = node.commit_index();
            let what = format!(
                "{id} leads from {known:?}, has committed {commit}, and goes from {before} to {index}"
            );
            return violated(ONE_CHANGE_AT_A_TIME, what);
        }
        Ok(())
    }
}
