//! What all nodes of many groups are configured with alike.

use std::collections::BTreeMap;
use std::time::Duration;

use super::GroupId;
use super::bundles::Limits;
use super::mutants::Planted;
use crate::InvalidConfig;

/// The configuration of nodes of many groups, each of which has one of its own.
///
/// | setting | default |
/// |---|---|
/// | [`tick`](Config::with_tick) | 5 ms |
/// | [`bundle_max`](Config::with_bundle_max) | 1024 messages |
/// | [`bundle_bytes_max`](Config::with_bundle_bytes_max) | 4 MiB |
/// | [`spare`](Config::with_spare) | 4096 records |
#[derive(Clone, Debug)]
pub struct Config<C> {
    pub(super) groups: BTreeMap<GroupId, C>,
    pub(super) tick: Duration,
    pub(super) limits: Limits,
    pub(super) spare: u64,
    pub(super) planted: Planted,
}

impl<C> Config<C> {
    /// These groups, each with its configuration. Of two with one name the later one counts.
    pub fn new(groups: impl IntoIterator<Item = (GroupId, C)>) -> Self {
        Self {
            groups: groups.into_iter().collect(),
            tick: Duration::from_millis(5),
            limits: Limits { messages: 1024, bytes: 4 << 20 },
            spare: 4096,
            planted: Planted::default(),
        }
    }

    /// Changes what each group is configured with.
    #[must_use]
    pub fn map(mut self, mut change: impl FnMut(GroupId, C) -> C) -> Self {
        let groups = self.groups.into_iter();
        self.groups = groups.map(|(group, config)| (group, change(group, config))).collect();
        self
    }

    /// The groups, ascending.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = GroupId> + '_ {
        self.groups.keys().copied()
    }

    /// Deadlines of groups are put off to the next multiple of this, so that those which are close
    /// together come together, and what is sent at them leaves together: let it be well below a
    /// heartbeat. Zero keeps each deadline as it is.
    #[must_use]
    pub fn with_tick(mut self, tick: Duration) -> Self {
        self.tick = tick;
        self
    }

    /// How many messages leave as one at most; at least 1.
    #[must_use]
    pub fn with_bundle_max(mut self, messages: usize) -> Self {
        self.limits.messages = messages;
        self
    }

    /// How large the messages that leave as one are together, by
    /// [`Node::message_size`](crate::Node::message_size), unless there is only one; at least 1. A
    /// transport that limits its frames must take this, and some bytes more for each message; and the
    /// largest message of a group, which may be larger.
    #[must_use]
    pub fn with_bundle_bytes_max(mut self, bytes: usize) -> Self {
        self.limits.bytes = bytes;
        self
    }

    /// How many records that no group needs may lie on the disk beside as many as are needed, before
    /// the groups that hold them there are copied. Less makes smaller disks and more copies.
    #[must_use]
    pub fn with_spare(mut self, records: u64) -> Self {
        self.spare = records;
        self
    }

    /// Plants a bug, for tests of those who judge.
    #[cfg(feature = "mutants")]
    #[must_use]
    pub fn plant(mut self, mutant: super::Mutant) -> Self {
        self.planted = Planted::of(mutant);
        self
    }

    pub(super) fn validate(&self) -> Result<(), InvalidConfig> {
        for (field, value) in [
            ("groups", self.groups.len()),
            ("bundle_max", self.limits.messages),
            ("bundle_bytes_max", self.limits.bytes),
        ] {
            if value == 0 {
                return Err(InvalidConfig::new(field, value, "at least 1"));
            }
        }
        Ok(())
    }
}
