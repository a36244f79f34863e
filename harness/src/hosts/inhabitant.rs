//! What lives on hosts: a program, and how its clients speak to it.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use cluster::{ClockFault, Damage, DiskFault, Epoch, Fault, NoAnswer, NodeId, Role};
use serde::{Deserialize, Serialize};

use crate::vocabulary::{Answer, Op};

use super::process::Launch;

/// Where a node lives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seat {
    /// Which node.
    pub id: NodeId,
    /// Where it is to listen to other nodes.
    pub peers: SocketAddr,
    /// Where it is to listen to clients.
    pub clients: SocketAddr,
    /// Its directory: exists, and is empty when the node is new.
    pub dir: PathBuf,
}

/// What is wrong with a node until it is put right, however often the node starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Ills {
    /// How its disk behaves.
    pub disk: DiskFault,
    /// How much its clocks drift, and how far its wall clock has jumped in all.
    pub clock: ClockFault,
}

/// How a program joins the suite as a cluster of processes.
pub trait Inhabitant: Send + Sync + 'static {
    /// How one of its nodes is spoken to.
    type Client: Client;

    /// What starts the node at `seat`, the first time and every time after. `peers` says where it is
    /// to call whom, itself among them: where they listen, or, if there are relays of ours between
    /// nodes, one of these, which differ from node to node. Of `ills` there are none, unless it
    /// [obeys](Inhabitant::obeys).
    fn launch(&self, seat: &Seat, peers: &[(NodeId, SocketAddr)], ills: &Ills) -> Launch;

    /// A client of the node at `seat`.
    fn client(&self, seat: &Seat) -> Self::Client;

    /// Whether a new cluster whose nodes see themselves so is ready for clients: all of them name one
    /// leader, or have none by design.
    fn ready(&self, looks: &[Look]) -> bool {
        let replicas = looks.iter().all(|look| look.role == Role::Replica);
        let leader = looks.first().and_then(|look| look.leader);
        replicas || leader.is_some() && looks.iter().all(|look| look.leader == leader)
    }

    /// Whether nodes may be told other addresses of their peers than those these listen on.
    fn takes_relays(&self) -> bool {
        true
    }

    /// Whether its processes make go wrong with themselves what they are told to: their clocks and
    /// disks, and a crash after so many effects ([`Client::order`]); and whether its files can be made to
    /// [rot](Inhabitant::rot). A node of such a program is also one that says how it sees itself as soon as
    /// it runs, whoever else runs.
    fn obeys(&self) -> bool {
        false
    }

    /// Damages one record in the directory of a node, as [`Fault::Rot`] says. Only asked of who obeys.
    ///
    /// # Errors
    /// Those of the system.
    fn rot(&self, _dir: &Path, _at_ppm: u32, _damage: Damage) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Why it cannot take `fault`, though a process can, if it cannot.
    fn refuses(&self, _fault: &Fault) -> Option<&'static str> {
        None
    }
}

/// Speaks to one node, from several threads at once. Only called where the node can be reached.
pub trait Client: Send + Sync + 'static {
    /// Asks, and waits for the answer: not for much longer than a second. What is not answered by
    /// then is [`Refusal::Unknown`](crate::vocabulary::Refusal::Unknown), or, of a read, unavailable.
    ///
    /// # Errors
    /// [`NoAnswer`], when nobody listens or the connection breaks.
    fn call(&self, op: Op) -> Result<Answer, NoAnswer>;

    /// How the node sees itself; none if it does not say so at once.
    fn look(&self) -> Option<Look>;

    /// Has the process make `fault` happen to itself; a process that stands still hears of it when it goes
    /// on. Only asked of who [obeys](Inhabitant::obeys).
    ///
    /// # Errors
    /// Why it does not.
    fn order(&self, _fault: &Fault, _stands_still: bool) -> Result<(), &'static str> {
        Err("it takes no orders")
    }
}

/// How a node sees itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Look {
    /// What it calls itself. It keeps this name for as long as it keeps its directory.
    pub name: u64,
    /// The part it plays.
    pub role: Role,
    /// Of what.
    pub epoch: Epoch,
    /// What whom it follows calls itself, if it follows anyone.
    pub leader: Option<u64>,
}
