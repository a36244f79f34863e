//! What can be put under test.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cluster::{InvalidConfig, NodeId, sim};
use serde::{Deserialize, Serialize};

use crate::guarantee::Guarantee;
use crate::hosts::{self, Resident, Resides, Serve};
use crate::subject::{InSim, InThreads, Pattern, Subject};
use crate::vocabulary::ReadPath;

/// Where a cluster runs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum World {
    /// Virtual time, one seed, replayable.
    Sim,
    /// A thread a node, real time.
    Threads,
    /// A process a node, each on a host of its own where that can be made, real time: see
    /// [`hosts`].
    Net,
}

impl World {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sim, Self::Threads, Self::Net];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sim => "sim",
            Self::Threads => "threads",
            Self::Net => "net",
        }
    }

    /// Whether a seed decides everything that happens in it.
    pub const fn replays(self) -> bool {
        match self {
            Self::Sim => true,
            Self::Threads | Self::Net => false,
        }
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What its clients ask of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Workload {
    /// That a leader act.
    Elections,
    /// Reads and writes of registers.
    Registers,
    /// Locks.
    Locks,
}

/// How a cluster is started.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Where; one of [`Implementation::worlds`].
    pub world: World,
    /// How many nodes it has.
    pub nodes: usize,
    /// How the simulated world behaves. Its seed decides, in other worlds, what is not left to the
    /// scheduler.
    pub sim: sim::Options,
    /// Whether disks are to be filled: in the world of processes, each node then has a small disk of
    /// its own.
    pub small_disks: bool,
    /// The program whose processes are nodes, in the world of processes: it calls
    /// [`become_node`](crate::hosts::become_node). This one if none, which must do the same.
    pub program: Option<PathBuf>,
}

impl Setting {
    /// `nodes` nodes in `world`, decided by `seed`, in a simulated world as it usually is.
    pub fn new(world: World, nodes: usize, seed: u64) -> Self {
        Self { world, nodes, sim: sim::Options::seeded(seed), small_disks: false, program: None }
    }
}

/// Starts a cluster.
pub type Start =
    dyn Fn(&Setting) -> Result<Box<dyn Subject>, InvalidConfig> + Send + Sync + 'static;

/// An implementation under test, with what it claims.
#[derive(Clone)]
pub struct Implementation {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is, in a sentence.
    pub summary: &'static str,
    /// What the suite must not be able to break.
    pub claims: &'static [Guarantee],
    /// What it does not claim; the suite tries all the same, to show why.
    pub disclaims: &'static [Guarantee],
    /// What its clients ask.
    pub workload: Workload,
    /// The ways to a linearizable read, where registers are read: all are taken. None: the usual one.
    pub reads: &'static [ReadPath],
    /// Whether its voters can be changed.
    pub reconfigures: bool,
    /// Whether a node is one that holds no data, and only votes: it cannot tell what is committed, and no
    /// operator takes it out.
    pub witness: fn(NodeId) -> bool,
    /// Where it runs.
    pub worlds: &'static [World],
    /// How many nodes a cluster has unless told otherwise.
    pub nodes: usize,
    /// How many of `nodes` nodes must be up and connected for service to be due.
    pub service_needs: fn(usize) -> usize,
    /// How long after the last fault service is due, in the simulated world.
    pub grace: Duration,
    /// Starts it.
    pub start: Arc<Start>,
    /// Makes a process one of its nodes, if it lives among processes and is ours.
    pub serve: Option<Arc<Serve>>,
}

impl Implementation {
    /// The same, among processes too, as nodes of `P`. Only for what [`all`](crate::implementations::all)
    /// lists, configured so: a process is told its name, and looks the rest up there.
    pub(crate) fn among_processes<P: Resides>(
        self,
        config: <P::Node as cluster::Node>::Config,
    ) -> Self {
        self.among_processes_each::<P>(move |_| config.clone())
    }

    /// The same, where the configuration depends on how many nodes there are.
    pub(crate) fn among_processes_each<P: Resides>(
        self,
        config: impl Fn(usize) -> <P::Node as cluster::Node>::Config + Send + Sync + 'static,
    ) -> Self {
        let (name, elsewhere) = (self.name, self.start);
        let start: Arc<Start> = Arc::new(move |setting| match setting.world {
            World::Net => {
                let resident = Resident::<P>::new(name, setting)?;
                Ok(Box::new(hosts::Cluster::start(resident, setting)?))
            }
            World::Sim | World::Threads => elsewhere(setting),
        });
        let serve: Arc<Serve> =
            Arc::new(move |post| hosts::serve::<P>(config(post.nodes.len()), post));
        Self { start, serve: Some(serve), worlds: &World::ALL, ..self }
    }

    /// Whether the suite looks at `guarantee` at all.
    pub fn judges(&self, guarantee: Guarantee) -> bool {
        self.claims.contains(&guarantee) || self.disclaims.contains(&guarantee)
    }

    /// Whether a run in `world` can show `guarantee` broken: some breaches show only to whoever can
    /// look into the nodes, which only the simulated world can.
    pub fn judges_in(&self, guarantee: Guarantee, world: World) -> bool {
        let shows_to_clients = match guarantee {
            Guarantee::ElectionSafety | Guarantee::NoSplitBrain => {
                self.workload == Workload::Elections
            }
            Guarantee::StateMachineSafety => self.workload == Workload::Registers,
            Guarantee::LogMatching
            | Guarantee::LeaderCompleteness
            | Guarantee::Convergence
            | Guarantee::VersionSafety => false,
            Guarantee::LeaderAgreement
            | Guarantee::HighestLeads
            | Guarantee::Linearizability
            | Guarantee::RegularReads
            | Guarantee::MonotonicReads
            | Guarantee::ReadYourWrites
            | Guarantee::Durability
            | Guarantee::MutualExclusion
            | Guarantee::LeaseExclusion
            | Guarantee::FencedMutualExclusion
            | Guarantee::ExactlyOnce
            | Guarantee::DeadlockFreedom
            | Guarantee::FirstComeFirstServed
            | Guarantee::Availability => true,
        };
        self.judges(guarantee) && (world == World::Sim || shows_to_clients)
    }
}

impl fmt::Debug for Implementation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Implementation").field(&self.name).finish()
    }
}

/// The worlds of whatever is a [`cluster::Node`].
pub const NODE_WORLDS: &[World] = &[World::Sim, World::Threads];

/// How to start clusters of `P` with one configuration, in any of [`NODE_WORLDS`].
pub fn start_with<P: Pattern>(config: <P::Node as cluster::Node>::Config) -> Arc<Start>
where
    <P::Node as cluster::Node>::Config: Sync,
{
    Arc::new(move |setting| {
        let config = config.clone();
        Ok(match setting.world {
            World::Sim => Box::new(InSim::<P>::start(config, setting)?),
            World::Threads => Box::new(InThreads::<P>::start(config, setting)?),
            World::Net => {
                let world = setting.world.name();
                return Err(InvalidConfig::new("world", world, "sim or threads"));
            }
        })
    })
}

/// The least number of nodes of which any two sets share one.
pub fn majority(nodes: usize) -> usize {
    nodes / 2 + 1
}
