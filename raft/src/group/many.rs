//! Many groups in one process.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cluster::many::{self, GroupId, GroupPort, Many};
use cluster::threads::Threads;
use cluster::{InvalidConfig, Members, NodeId};

use super::{Builder, Calls};
use crate::client::Desk;
use crate::observe::Meter;
use crate::{Config, Handle, Raft, StateMachine};

/// Many replicated machines on the threads of one process: each is a group with a log, a leader and
/// sessions of its own, and they share the nodes' threads, disks and messages (see [`cluster::many`]).
/// So the work is spread over as many leaders as there are groups, and a thousand idle groups cost
/// hardly more heartbeats than one. Dropping it stops and joins the threads.
///
/// Figures of calls are counted for all groups together, under the [name](Builder::name) given; of the
/// nodes themselves there are no figures and no news here.
///
/// ```
/// use raft::{Group, GroupId, Image, LogIndex, StateMachine};
/// # #[derive(Clone, Default, serde::Serialize, serde::Deserialize)]
/// # struct Map(std::collections::BTreeMap<String, u64>);
/// # impl StateMachine for Map {
/// #     type Command = (String, u64);
/// #     type Output = Option<u64>;
/// #     type Query = String;
/// #     type Answer = Option<u64>;
/// #     type Snapshot = Image<Self>;
/// #     fn apply(&mut self, _: LogIndex, (key, value): &(String, u64)) -> Option<u64> {
/// #         self.0.insert(key.clone(), *value)
/// #     }
/// #     fn query(&self, key: &String) -> Option<u64> {
/// #         self.0.get(key).copied()
/// #     }
/// # }
///
/// // Sixteen maps, of which each has a part of the keys.
/// let groups = Group::builder(Map::default()).groups(GroupId::first(16)).start()?;
/// let maps: Vec<_> = groups.ids().filter_map(|id| groups.handle(id)).collect();
/// let map_of = |key: &str| &maps[key.len() % maps.len()];
///
/// map_of("sky").write(("sky".into(), 1)).wait()?;
/// assert_eq!(map_of("sky").read("sky".into()).wait()?, Some(1));
/// assert_eq!(map_of("earth").read("sky".into()).wait()?, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Groups<S: StateMachine> {
    // Dropped in this order: the nodes end what they were asked, then the calls end.
    cluster: Threads<Many<Raft<S>>>,
    calls: Calls,
    meter: Meter,
    timeout: Duration,
    outstanding_max: usize,
    ids: Vec<GroupId>,
}

impl<S: StateMachine> Groups<S> {
    /// The groups, ascending.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = GroupId> + '_ {
        self.ids.iter().copied()
    }

    /// A new handle on the machine of `group`, with a session of its own; none if there is no such
    /// group. Clone it to share that.
    pub fn handle(&self, group: GroupId) -> Option<Handle<S>> {
        self.ids.binary_search(&group).ok()?;
        let port = Arc::new(GroupPort::new(self.cluster.port(), group));
        let (courier, meter) = (Arc::clone(&self.calls.0), self.meter.clone());
        Some(Handle::new(Desk::new(port, courier, meter, self.outstanding_max), self.timeout))
    }

    /// The nodes, each of which takes part in every group.
    pub fn members(&self) -> &[NodeId] {
        use cluster::Cluster;
        self.cluster.members()
    }

    /// The world under it: to subscribe to its events, or to inject faults.
    pub fn cluster(&mut self) -> &mut Threads<Many<Raft<S>>> {
        &mut self.cluster
    }

    /// Stops every node and joins its thread, as dropping the groups does.
    ///
    /// # Panics
    /// When a node panicked, with what it said.
    pub fn shutdown(self) {
        let Self { cluster, calls, .. } = self;
        cluster.shutdown();
        drop(calls);
    }
}

impl<S: StateMachine> Builder<S> {
    /// Many groups of such nodes instead of one: `groups`, each configured as this one by now.
    ///
    /// If no [rank](Config::with_rank) is set, leaders are spread: group number `k` prefers the member
    /// at place `k` modulo their count, and after that those which follow it. Once members fail and
    /// return, leaders are where they are: [`Handle::transfer`] moves them.
    pub fn groups(self, groups: impl IntoIterator<Item = GroupId>) -> GroupsBuilder<S> {
        let configured = |group| {
            let config = self.config.clone();
            match &self.members {
                Ok(members) if config.rank.is_none() => (group, spread(config, members, group)),
                Ok(_) | Err(_) => (group, config),
            }
        };
        let config = many::Config::new(groups.into_iter().map(configured));
        GroupsBuilder { base: self, config }
    }
}

/// Ranks the members by how far each comes after the one that `group` prefers.
fn spread<S: StateMachine>(config: Config<S>, members: &Members, group: GroupId) -> Config<S> {
    let (members, count) = (members.clone(), members.count());
    let first = group.get() as usize % count;
    config.with_rank(move |node| {
        let place = members.index_of(node).unwrap_or(first);
        ((place + count - first) % count) as u32
    })
}

/// Configures and starts [`Groups`]. What all of them have alike is said to the [`Builder`] before.
#[must_use = "groups run once they are started"]
pub struct GroupsBuilder<S: StateMachine> {
    base: Builder<S>,
    config: many::Config<Config<S>>,
}

impl<S: StateMachine> GroupsBuilder<S> {
    /// Changes the configuration of each group: who [votes](Config::with_voters) in it, or who should
    /// rather [lead](Config::with_rank) it.
    pub fn config(mut self, change: impl FnMut(GroupId, Config<S>) -> Config<S>) -> Self {
        self.config = self.config.map(change);
        self
    }

    /// Changes how the groups share what they share.
    pub fn share(
        mut self,
        change: impl FnOnce(many::Config<Config<S>>) -> many::Config<Config<S>>,
    ) -> Self {
        self.config = change(self.config);
        self
    }

    /// The configuration that they are started with: for whoever runs them in a world of their own,
    /// with handles [over](Handle::over) a [`GroupPort`].
    pub fn configuration(self) -> many::Config<Config<S>> {
        self.config
    }

    /// Starts them. Handles can be used at once: their calls wait for the first leader.
    ///
    /// # Errors
    /// Names the setting that makes no sense, what it held and what was expected. Nothing was started.
    ///
    /// # Panics
    /// When the system can start no more threads.
    pub fn start(self) -> Result<Groups<S>, InvalidConfig> {
        let Self { base, config } = self;
        let ids = config.groups().collect();
        let (timeout, outstanding_max) = (base.timeout, base.outstanding_max);
        let meter = Meter::new(&Arc::from(&*base.name));
        let cluster = base.launch(config)?;
        Ok(Groups { cluster, calls: Calls::start(), meter, timeout, outstanding_max, ids })
    }
}

impl<S: StateMachine> fmt::Debug for GroupsBuilder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupsBuilder")
            .field("base", &self.base)
            .field("groups", &self.config.groups().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
