//! A network for the hosts of one cluster: each in a network namespace, all around a hub.
//!
//! ```text
//!   n1  10.77.0.1 ──── h1 ┐                       ┌ h2 ──── 10.77.0.2  n2
//!                         ├── hub, 10.77.0.254 ───┤
//!   n3  10.77.0.3 ──── h3 ┘    │  rules           └ h4 ──── 10.77.0.4  n4
//!                            relay                        clients live in the hub
//! ```
//!
//! No namespace has a name, and none is linked to the machine's own network: every cluster uses the
//! same addresses, none meets another, and all is gone when the last process that holds it is.

use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cluster::{Cuts, LinkFault, Rng};

use super::relay::Relay;
use super::rules::{self, HELD, LINK, RELAY, RELAY_FAR};
use super::space::Space;
use super::tool::run;

/// The hub, to hosts and for clients.
const HUB: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 254);
/// The near end of the relay.
const RELAY_NEAR: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 1);
/// The table of routes that leads to the relay.
const ROUTES: u32 = 7;
/// More have no addresses.
const HOSTS_MAX: usize = 200;
/// What may pass at once over a narrow link, in bytes, and how long it may wait.
const BURST: &str = "burst 16kb latency 400ms";

/// The address of the host at `place`.
fn address(place: usize) -> Ipv4Addr {
    let number = u8::try_from(place + 1).expect("there are fewer hosts");
    Ipv4Addr::new(10, 77, 0, number)
}

/// Hosts and the links between them.
pub(super) struct Namespaces {
    hub: Arc<Space>,
    hosts: Vec<Space>,
    relay: Relay,
}

impl Namespaces {
    /// A host for each of `dirs`; with `small_disks`, its directory is all of a small disk, which only
    /// what is started there can see. `seed` decides for how long the relay holds what.
    pub(super) fn new(dirs: &[PathBuf], small_disks: bool, seed: u64) -> io::Result<Self> {
        if dirs.len() > HOSTS_MAX {
            let why = format!("{} hosts, at most {HOSTS_MAX}", dirs.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let hub = Space::new()?;
        let host =
            |dir: &PathBuf| if small_disks { Space::with_small_disk(dir) } else { Space::new() };
        let hosts = dirs.iter().map(host).collect::<io::Result<Vec<_>>>()?;
        hub.inside(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1"))??;
        hub.ip(&hub_links(&hosts))?;
        for (place, host) in hosts.iter().enumerate() {
            host.ip(&host_link(place))?;
        }
        let relay = Relay::new(&hub, Rng::from_seed(seed))?;
        hub.ip(&relay_links())?;
        let all = Self { hub: Arc::new(hub), hosts, relay };
        all.rule(&Cuts::none(dirs.len()), &LinkFault::default())?;
        Ok(all)
    }

    /// Where clients live.
    pub(super) fn hub(&self) -> &Arc<Space> {
        &self.hub
    }

    /// The host at `place`.
    pub(super) fn host(&self, place: usize) -> &Space {
        &self.hosts[place]
    }

    /// The address of the host at `place`.
    pub(super) fn address(&self, place: usize) -> Ipv4Addr {
        address(place)
    }

    /// Lets links behave so from now on, all at once.
    pub(super) fn rule(&self, cuts: &Cuts, links: &LinkFault) -> io::Result<()> {
        let addresses: Vec<_> = (0..self.hosts.len()).map(address).collect();
        let table = rules::table(&addresses, cuts, links);
        self.relay.hold_for(links.delay_max);
        self.hub.inside(|| run("nft", &["-f", "-"], &table))??;
        Ok(())
    }

    /// Lets no more than so many kilobits a second pass to any host; as many as may come, if none.
    pub(super) fn narrow(&self, kilobits: Option<u32>) -> io::Result<()> {
        for number in 1..=self.hosts.len() {
            let device = format!("{LINK}{number}");
            let line = match kilobits {
                Some(rate) => {
                    format!("qdisc replace dev {device} root tbf rate {rate}kbit {BURST}")
                }
                None => format!("qdisc del dev {device} root"),
            };
            self.hub.inside(|| run("tc", &["-batch", "-"], &line))??;
        }
        Ok(())
    }
}

/// What the hub needs to reach every host.
fn hub_links(hosts: &[Space]) -> Vec<String> {
    let mut lines = vec!["link set lo up".to_owned()];
    for (place, host) in hosts.iter().enumerate() {
        let (near, host_address) = (format!("{LINK}{}", place + 1), address(place));
        lines.push(format!("link add {near} type veth peer name eth0 netns {}", host.path()));
        lines.push(format!("addr add {HUB}/32 dev {near}"));
        lines.push(format!("link set {near} up"));
        lines.push(format!("route add {host_address}/32 dev {near} src {HUB}"));
    }
    lines
}

/// What the host at `place` needs to reach the hub, and all others through it.
fn host_link(place: usize) -> Vec<String> {
    vec![
        "link set lo up".to_owned(),
        format!("addr add {}/32 dev eth0", address(place)),
        "link set eth0 up".to_owned(),
        format!("route add {HUB} dev eth0"),
        format!("route add default via {HUB} dev eth0"),
    ]
}

/// How marked packets find the relay.
fn relay_links() -> Vec<String> {
    vec![
        format!("addr add {RELAY_NEAR} peer {RELAY_FAR} dev {RELAY}"),
        format!("rule add fwmark {HELD} lookup {ROUTES}"),
        format!("route add default dev {RELAY} table {ROUTES}"),
    ]
}

/// Whether a network can be made here.
pub(super) fn try_out() -> io::Result<()> {
    let dirs = [Path::new("/").to_owned()];
    Namespaces::new(&dirs, false, 0).map(drop)
}
