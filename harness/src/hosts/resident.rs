//! Our own patterns among processes: any [`Node`] whose words can be sent.
//!
//! ```text
//!  suite's process                          process of n1: the same program, started again
//!  ┌──────────┐   Launch: POST=…            ┌──────────────────────────────────────────┐
//!  │ Resident │ ───────────────────────────▶│ become_node ─▶ serve: net::Server         │
//!  │  Voice   │ ── Remote: Op, Answer ─────▶│   node's thread ── journal ── Files, Disk │
//!  │          │ ── orders: Look, Fault ────▶│   orders' thread ────────────────▲        │
//!  └──────────┘                             └──────────────────────────────────────────┘
//! ```
//! A node is what a user would run: a [`Server`](cluster::net::Server) with its limits as they come and
//! a journal in its directory. Two things are the suite's: a port for orders, by which it asks how the
//! node is and makes its clocks and its disk go wrong; and the disk itself ([`disk`]), which forgets
//! what was not synced when the process dies.
//!
//! The process ends when its node does, whatever the node died of.

mod disk;
mod orders;
mod process;
mod rot;
mod voice;

use std::io;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use cluster::net::Spoken;
use cluster::{Damage, InvalidConfig, Node, NodeId};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::implementation::Setting;
use crate::subject::Pattern;

use super::inhabitant::{Ills, Inhabitant, Seat};
use super::process::Launch;

pub(crate) use process::serve;
pub use process::{Post, Serve, become_node};
pub use voice::Voice;

/// A [`Pattern`] whose node can live in a process of its own.
pub trait Resides:
    Pattern<Node: Spoken + Node<Config: Sync, Record: Serialize + DeserializeOwned>>
{
}

impl<P> Resides for P where
    P: Pattern<Node: Spoken + Node<Config: Sync, Record: Serialize + DeserializeOwned>>
{
}

/// The name of every cluster: they never meet.
const CLUSTER: &str = "suite";

/// An implementation of ours, as the inhabitant of hosts.
#[derive(Clone, Debug)]
pub struct Resident<P> {
    implementation: &'static str,
    program: PathBuf,
    seed: u64,
    /// Whether disks say that they have synced what they have not: the bug of this world.
    lying: bool,
    pattern: PhantomData<fn() -> P>,
}

/// Whether this program becomes a node when it is told to.
static ABLE: OnceLock<PathBuf> = OnceLock::new();

impl<P: Resides> Resident<P> {
    /// Nodes of the implementation of that name, which must be one of
    /// [`all`](crate::implementations::all).
    ///
    /// # Errors
    /// [`InvalidConfig`], if there is no program that becomes a node.
    pub fn new(implementation: &'static str, setting: &Setting) -> Result<Self, InvalidConfig> {
        let program = setting.program.as_ref().or_else(|| ABLE.get()).ok_or_else(|| {
            let expected = "one whose `main` begins with `hosts::become_node`";
            InvalidConfig::new("program", "this one", expected)
        })?;
        Ok(Self {
            implementation,
            program: program.clone(),
            seed: setting.sim.seed,
            lying: setting.sim.syncs_too_soon(),
            pattern: PhantomData,
        })
    }
}

impl<P: Resides> Inhabitant for Resident<P> {
    type Client = Voice<P>;

    fn launch(&self, seat: &Seat, peers: &[(NodeId, SocketAddr)], ills: &Ills) -> Launch {
        let post = Post {
            implementation: self.implementation.to_owned(),
            here: seat.id,
            nodes: peers.to_vec(),
            listen: seat.peers,
            orders: seat.clients,
            dir: seat.dir.clone(),
            seed: self.seed,
            ills: *ills,
            lying: self.lying,
        };
        Launch { program: self.program.clone(), args: Vec::new(), env: vec![post.to_env()] }
    }

    fn client(&self, seat: &Seat) -> Voice<P> {
        Voice::new(seat)
    }

    fn obeys(&self) -> bool {
        true
    }

    fn rot(&self, dir: &Path, at_ppm: u32, damage: Damage) -> io::Result<()> {
        rot::rot(&dir.join(process::JOURNAL), at_ppm, damage)
    }
}
