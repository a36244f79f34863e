//! What the processes of one cluster stand on: hosts, addresses, and the links between them.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use cluster::{Cuts, LinkFault, NodeId};

use super::Kind;
use super::inhabitant::Seat;
use super::namespaces::Namespaces;
use super::relays::Relays;
use super::space::Space;
use super::tool::find;

/// In a network of its own, every host has every port.
const PEERS: u16 = 7_001;
const CLIENTS: u16 = 7_002;

/// How a ground is made.
pub(super) struct Wanted {
    pub(super) kind: Kind,
    /// Whether every directory is to be all of a small disk, where that can be.
    pub(super) small_disks: bool,
    /// Whether there may be relays between nodes.
    pub(super) relays: bool,
    /// Decides what links leave to chance, where that is ours.
    pub(super) seed: u64,
}

/// Hosts, addresses and links.
pub(super) struct Ground {
    seats: Vec<Seat>,
    links: Links,
    /// Kills a program when the thread that started it ends, if it is installed.
    setpriv: Option<PathBuf>,
    nsenter: PathBuf,
}

enum Links {
    /// Networks of their own.
    Namespaces(Namespaces),
    /// This machine's loopback interface; with relays between nodes, if they take them.
    Loopback(Option<Relays>),
}

/// A place from which all nodes of a ground can be reached.
#[derive(Clone)]
pub(super) struct Vantage(Option<Arc<Space>>);

impl Vantage {
    /// Moves the calling thread there, for good.
    pub(super) fn enter(&self) -> io::Result<()> {
        self.0.as_ref().map_or(Ok(()), |hub| hub.enter())
    }

    /// Does `f` there.
    pub(super) fn visit<T: Send>(&self, f: impl FnOnce() -> T + Send) -> io::Result<T> {
        match &self.0 {
            Some(hub) => hub.inside(f),
            None => Ok(f()),
        }
    }
}

impl Ground {
    /// A ground for `homes`: each node, and its directory, which exists.
    pub(super) fn new(homes: &[(NodeId, PathBuf)], wanted: &Wanted) -> io::Result<Self> {
        let nsenter = find("nsenter");
        let (seats, links) = match wanted.kind {
            Kind::Namespaces => in_namespaces(homes, wanted)?,
            Kind::Loopback => on_loopback(homes, wanted)?,
        };
        Ok(Self {
            seats,
            links,
            setpriv: find("setpriv"),
            nsenter: nsenter.unwrap_or_else(|| PathBuf::from("nsenter")),
        })
    }

    pub(super) fn seats(&self) -> &[Seat] {
        &self.seats
    }

    pub(super) fn vantage(&self) -> Vantage {
        Vantage(match &self.links {
            Links::Namespaces(all) => Some(Arc::clone(all.hub())),
            Links::Loopback(_) => None,
        })
    }

    /// What starts a program on the host at `place`, to stand before its name.
    pub(super) fn prefix(&self, place: usize) -> Vec<String> {
        let mut prefix = Vec::new();
        if let Some(setpriv) = &self.setpriv {
            prefix.push(setpriv.display().to_string());
            prefix.extend(["--pdeathsig", "KILL", "--"].map(str::to_owned));
        }
        if let Some(host) = self.host(place) {
            prefix.extend(host.prefix(&self.nsenter));
        }
        prefix
    }

    /// Where the node at `place` is to call whom.
    pub(super) fn peers_of(&self, place: usize) -> Vec<(NodeId, SocketAddr)> {
        let direct = |(_, seat): (usize, &Seat)| (seat.id, seat.peers);
        match &self.links {
            Links::Namespaces(_) | Links::Loopback(None) => {
                self.seats.iter().enumerate().map(direct).collect()
            }
            Links::Loopback(Some(relays)) => {
                let by = |(to, seat): (usize, &Seat)| {
                    (seat.id, relays.address(place, to).unwrap_or(seat.peers))
                };
                self.seats.iter().enumerate().map(by).collect()
            }
        }
    }

    /// Lets links behave so from now on.
    ///
    /// # Errors
    /// Why they cannot; nothing has changed then.
    pub(super) fn rule(&self, cuts: &Cuts, links: &LinkFault) -> Result<(), &'static str> {
        match &self.links {
            Links::Namespaces(all) => {
                all.rule(cuts, links).map_err(|_| "the kernel did not take the rules")
            }
            Links::Loopback(Some(relays)) => relays.rule(cuts, links),
            Links::Loopback(None) if !cuts.any() && *links == LinkFault::default() => Ok(()),
            Links::Loopback(None) => Err(
                "its nodes share one list of addresses: on loopback no relay can tell them apart",
            ),
        }
    }

    /// Lets no more than so many kilobits a second pass to any host; as many as may come, if none.
    ///
    /// # Errors
    /// Where the kernel has no say, or says no.
    pub(super) fn narrow(&self, kilobits: Option<u32>) -> io::Result<()> {
        match &self.links {
            Links::Namespaces(all) => all.narrow(kilobits),
            Links::Loopback(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Does `f` where the directory of the host at `place` is seen.
    pub(super) fn with_disk<T: Send>(
        &self,
        place: usize,
        f: impl FnOnce() -> T + Send,
    ) -> io::Result<T> {
        match self.host(place) {
            Some(host) => host.with_disk(f),
            None => Ok(f()),
        }
    }

    /// Fills the disk of the host at `place`, or empties it again.
    ///
    /// # Errors
    /// Why that cannot be; nothing has changed then.
    pub(super) fn fill(&self, place: usize, full: bool) -> Result<(), &'static str> {
        match self.host(place).filter(|host| host.has_small_disk()) {
            Some(host) => host.fill(full).map_err(|_| "the kernel did not resize the disk"),
            None if full => Err("its directory is no disk of its own"),
            None => Ok(()),
        }
    }

    fn host(&self, place: usize) -> Option<&Space> {
        match &self.links {
            Links::Namespaces(all) => Some(all.host(place)),
            Links::Loopback(_) => None,
        }
    }
}

fn in_namespaces(homes: &[(NodeId, PathBuf)], wanted: &Wanted) -> io::Result<(Vec<Seat>, Links)> {
    let dirs: Vec<PathBuf> = homes.iter().map(|(_, dir)| dir.clone()).collect();
    let all = Namespaces::new(&dirs, wanted.small_disks, wanted.seed)?;
    let seat = |(place, (id, dir)): (usize, &(NodeId, PathBuf))| {
        let address = all.address(place);
        Seat {
            id: *id,
            peers: (address, PEERS).into(),
            clients: (address, CLIENTS).into(),
            dir: dir.clone(),
        }
    };
    Ok((homes.iter().enumerate().map(seat).collect(), Links::Namespaces(all)))
}

fn on_loopback(homes: &[(NodeId, PathBuf)], wanted: &Wanted) -> io::Result<(Vec<Seat>, Links)> {
    // Held until all are found, so that none is found twice.
    let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let mut held = Vec::new();
    let mut seats = Vec::new();
    for (id, dir) in homes {
        let (peers, clients) = (free()?, free()?);
        seats.push(Seat {
            id: *id,
            peers: peers.local_addr()?,
            clients: clients.local_addr()?,
            dir: dir.clone(),
        });
        held.extend([peers, clients]);
    }
    let listening: Vec<SocketAddr> = seats.iter().map(|seat| seat.peers).collect();
    let relays = wanted.relays.then(|| Relays::new(&listening, wanted.seed)).transpose()?;
    Ok((seats, Links::Loopback(relays)))
}
