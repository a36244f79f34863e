//! How a member is started.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use cluster::{Fault, NodeId};

use crate::hosts::{Ills, Inhabitant, Launch, Seat, find};
use crate::rivals::Absent;

use super::client::Client;

/// The installed program, as the inhabitant of hosts.
#[derive(Clone, Debug)]
pub struct Etcd {
    /// Where it is.
    pub program: PathBuf,
    /// How often a leader says that it is there: whole milliseconds.
    pub heartbeat: Duration,
    /// After how long without that a follower stands for election: whole milliseconds.
    pub election_timeout: Duration,
}

impl Etcd {
    /// The one on the search path.
    ///
    /// # Errors
    /// [`Absent`], when there is none.
    pub fn installed(heartbeat: Duration, election_timeout: Duration) -> Result<Self, Absent> {
        let program = find("etcd").ok_or(Absent { program: "etcd", package: "etcd-server" })?;
        Ok(Self { program, heartbeat, election_timeout })
    }
}

impl Inhabitant for Etcd {
    type Client = Client;

    fn launch(&self, seat: &Seat, peers: &[(NodeId, SocketAddr)], _: &Ills) -> Launch {
        let url = |address: &SocketAddr| format!("http://{address}");
        let all: Vec<String> =
            peers.iter().map(|(id, address)| format!("{id}={}", url(address))).collect();
        let (clients, own) = (url(&seat.clients), url(&seat.peers));
        let args = [
            ("--name", seat.id.to_string()),
            ("--listen-client-urls", clients.clone()),
            ("--advertise-client-urls", clients),
            ("--listen-peer-urls", own.clone()),
            ("--initial-advertise-peer-urls", own),
            ("--initial-cluster", all.join(",")),
            ("--heartbeat-interval", self.heartbeat.as_millis().to_string()),
            ("--election-timeout", self.election_timeout.as_millis().to_string()),
            ("--logger", "zap".to_owned()),
            ("--log-level", "error".to_owned()),
        ];
        let mut args: Vec<OsString> =
            args.into_iter().flat_map(|(name, value)| [name.into(), value.into()]).collect();
        args.extend(["--pre-vote=true".into(), "--data-dir".into(), seat.dir.clone().into()]);
        // It takes settings from its environment, too, which is empty.
        Launch { program: self.program.clone(), args, env: Vec::new() }
    }

    fn client(&self, seat: &Seat) -> Client {
        Client::new(seat.clients)
    }

    /// Members make their ids of the list of all addresses, which must be the same for all.
    fn takes_relays(&self) -> bool {
        false
    }

    fn refuses(&self, fault: &Fault) -> Option<&'static str> {
        let wiped = matches!(fault, Fault::Wipe { .. });
        wiped.then_some("etcd wants a member that lost its data removed and added again")
    }
}
