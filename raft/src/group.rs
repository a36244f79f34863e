//! A whole cluster, embedded in one process.

mod many;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cluster::call::Courier;
use cluster::store::journals_in;
use cluster::threads::{Options, Threads};
use cluster::{InvalidConfig, Members, Node, NodeId};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::client::Desk;
use crate::observe::{Meter, Watch};
use crate::{Config, Handle, Raft, StateMachine};
pub use many::{Groups, GroupsBuilder};

/// A replicated machine on the threads of this process: a thread a node, one for the calls that take
/// their time, and, if metrics or tracing are on, one that watches the nodes. Dropping it stops and
/// joins them.
///
/// Calls that are under way then end, and so do those made later with handles that are left:
/// [`CallError`](crate::CallError) says what became of them.
pub struct Group<S: StateMachine> {
    // Dropped in this order: the nodes end what they were asked, then there is nothing to watch, then
    // the calls end.
    cluster: Threads<Raft<S>>,
    watch: Watch,
    calls: Calls,
    meter: Meter,
    timeout: Duration,
    outstanding_max: usize,
}

/// Ends the calls that are left.
struct Calls(Arc<Courier>);

impl Calls {
    /// # Panics
    /// When the system can start no more threads.
    fn start() -> Self {
        Self(Arc::new(Courier::start()))
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl<S: StateMachine> Group<S> {
    /// A group of three nodes, whose replicas begin as clones of `machine`, to be configured and
    /// started.
    pub fn builder(machine: S) -> Builder<S> {
        Builder {
            members: Members::first(3),
            config: Config::new(machine),
            options: Options::default(),
            directory: None,
            timeout: Handle::<S>::TIMEOUT,
            outstanding_max: Handle::<S>::OUTSTANDING_MAX,
            name: "raft".to_owned(),
        }
    }

    /// A new handle, with a session of its own. Clone it to share that.
    pub fn handle(&self) -> Handle<S> {
        let (courier, meter) = (Arc::clone(&self.calls.0), self.meter.clone());
        let desk = Desk::new(self.cluster.port(), courier, meter, self.outstanding_max);
        Handle::new(desk, self.timeout)
    }

    /// The nodes.
    pub fn members(&self) -> &[NodeId] {
        use cluster::Cluster;
        self.cluster.members()
    }

    /// The world under it: to subscribe to its events, or to inject faults.
    pub fn cluster(&mut self) -> &mut Threads<Raft<S>> {
        &mut self.cluster
    }

    /// Stops every node and joins its thread, as dropping the group does.
    ///
    /// # Panics
    /// When a node panicked, with what it said.
    pub fn shutdown(self) {
        let Self { cluster, watch, calls, .. } = self;
        cluster.shutdown();
        drop(watch);
        drop(calls);
    }
}

/// Configures and starts a [`Group`].
///
/// | setting | default |
/// |---|---|
/// | [`nodes`](Builder::nodes), [`members`](Builder::members) | three |
/// | [`config`](Builder::config) | that of [`Config::new`] |
/// | [`options`](Builder::options) | those of [`Options::default`] |
/// | [`directory`](Builder::directory) | none: its disks are memory |
/// | [`timeout`](Builder::timeout) | 10 s |
/// | [`outstanding_max`](Builder::outstanding_max) | 8192 |
/// | [`name`](Builder::name) | `raft` |
#[must_use = "a group runs once it is started"]
pub struct Builder<S: StateMachine> {
    members: Result<Members, InvalidConfig>,
    config: Config<S>,
    options: Options,
    directory: Option<PathBuf>,
    timeout: Duration,
    outstanding_max: usize,
    name: String,
}

impl<S: StateMachine> Builder<S> {
    /// How many nodes: `n1`, `n2` and so on.
    pub fn nodes(mut self, count: usize) -> Self {
        self.members = Members::first(count);
        self
    }

    /// Which nodes, by name.
    pub fn members(mut self, members: Members) -> Self {
        self.members = Ok(members);
        self
    }

    /// Changes the configuration of the nodes.
    pub fn config(mut self, change: impl FnOnce(Config<S>) -> Config<S>) -> Self {
        self.config = change(self.config);
        self
    }

    /// How the threads run.
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Makes it durable: each node keeps a journal in a directory of its own in `path`, named after the
    /// node (`n1`). What was acknowledged is there when a group is started in it again.
    pub fn directory(mut self, path: impl Into<PathBuf>) -> Self {
        self.directory = Some(path.into());
        self
    }

    /// How long the calls of its handles try, unless the handle says otherwise.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How many calls a handle and its clones may have under way; at least 1.
    pub fn outstanding_max(mut self, count: usize) -> Self {
        self.outstanding_max = count;
        self
    }

    /// What it is called in metrics and traces, to be told from other groups.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Starts it. Handles can be used at once: their calls wait for the first leader.
    ///
    /// # Errors
    /// Names the setting that makes no sense, what it held and what was expected. Nothing was started.
    ///
    /// # Panics
    /// When the system can start no more threads.
    pub fn start(self) -> Result<Group<S>, InvalidConfig> {
        let (timeout, outstanding_max) = (self.timeout, self.outstanding_max);
        let name = Arc::from(&*self.name);
        let config = self.config.clone();
        let cluster = self.launch(config)?;
        let calls = Calls::start();
        let watcher = Desk::new(cluster.port(), Arc::clone(&calls.0), Meter::silent(), usize::MAX);
        let watch = Watch::start(&name, &cluster, &Handle::new(watcher, timeout));
        let meter = Meter::new(&name);
        Ok(Group { cluster, watch, calls, meter, timeout, outstanding_max })
    }

    /// Starts the nodes, of whatever make.
    fn launch<N: Node>(self, config: N::Config) -> Result<Threads<N>, InvalidConfig>
    where
        N::Record: Serialize + DeserializeOwned,
    {
        let Self { members, options, directory, timeout, outstanding_max, .. } = self;
        if timeout.is_zero() {
            return Err(InvalidConfig::new("timeout", "0", "a span above zero"));
        }
        if outstanding_max == 0 {
            return Err(InvalidConfig::new("outstanding_max", 0, "at least 1"));
        }
        match directory {
            None => Threads::start(config, members?, options),
            Some(path) => Threads::start_on(config, members?, options, journals_in(path)),
        }
    }
}

impl<S: StateMachine> fmt::Debug for Builder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("name", &self.name)
            .field("members", &self.members)
            .field("config", &self.config)
            .field("directory", &self.directory)
            .field("timeout", &self.timeout)
            .field("outstanding_max", &self.outstanding_max)
            .finish_non_exhaustive()
    }
}
