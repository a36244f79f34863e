//! Three members of etcd, as it is installed.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use cluster::{NodeId, Role};
use harness::hosts::{Client as _, Ills, Inhabitant, Seat};
use harness::rivals::Absent;
use harness::rivals::etcd::{Client, Etcd};

use crate::Row;
use crate::grpc;
use crate::measured::Measured;
use crate::process::{Process, addresses, wait_for};
use crate::served::{Served, Work};

const MEMBERS: usize = 3;
const SYNC: &str = "its default: fdatasync of its log once a batch, on two of three members before it is \
                    acknowledged";
/// How often a leader says that it is there, and after how long others stand for election: the defaults.
const DEFAULT: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(1)];
/// The same, as short as its "Tuning" page lets a network without delay have them.
const TUNED: [Duration; 2] = [Duration::from_millis(10), Duration::from_millis(100)];

pub(crate) fn rows() -> Result<Vec<Row>, Absent> {
    Etcd::installed(DEFAULT[0], DEFAULT[1])?;
    let default = Row {
        name: "etcd, 1 s",
        sync: SYNC,
        works: true,
        fails_over: true,
        start: |directory| start(directory, DEFAULT),
    };
    let tuned = Row {
        name: "etcd, 100 ms",
        works: false,
        start: |directory| start(directory, TUNED),
        ..default
    };
    Ok(vec![default, tuned])
}

struct Members {
    processes: Vec<Process>,
    clients: Vec<Client>,
    doors: [SocketAddr; MEMBERS],
}

fn start(directory: &Path, timeouts: [Duration; 2]) -> anyhow::Result<Box<dyn Served>> {
    let etcd = Etcd::installed(timeouts[0], timeouts[1])?;
    let (peers, doors) = (addresses::<MEMBERS>()?, addresses::<MEMBERS>()?);
    let ids = (1..).map(NodeId::new);
    let all: Vec<(NodeId, SocketAddr)> = ids.zip(peers).collect();
    let (mut processes, mut clients) = (Vec::new(), Vec::new());
    for (&(id, peers), &clients_at) in all.iter().zip(&doors) {
        let dir = directory.join(id.to_string());
        let seat = Seat { id, peers, clients: clients_at, dir };
        let launch = etcd.launch(&seat, &all, &Ills::default());
        let log = directory.join(format!("{id}.log"));
        processes.push(Process::start(&launch.program, &launch.args, &log)?);
        clients.push(etcd.client(&seat));
    }
    let members = Members { processes, clients, doors };
    members.leader()?;
    Ok(Box::new(members))
}

impl Members {
    /// The place of the leader, once every member follows it.
    fn leader(&self) -> anyhow::Result<usize> {
        wait_for("all members to follow one leader", || {
            let looks: Option<Vec<_>> = self.clients.iter().map(|client| client.look()).collect();
            let looks = looks?;
            let leader = looks[0].leader?;
            let agreed = looks.iter().all(|look| look.leader == Some(leader));
            let leads = |place: &usize| looks[*place].role == Role::Leader;
            (0..MEMBERS).find(leads).filter(|_| agreed)
        })
    }
}

impl Served for Members {
    fn drive(&mut self, work: Work, clients: usize, span: Duration) -> anyhow::Result<Measured> {
        let servers = self.processes.iter().map(Process::id).collect();
        grpc::drive(self.doors[self.leader()?], servers, work, clients, span)
    }

    fn fail_over(&mut self) -> anyhow::Result<Duration> {
        let leader = self.leader()?;
        let survivors: Vec<SocketAddr> =
            (0..MEMBERS).filter(|&place| place != leader).map(|place| self.doors[place]).collect();
        let killed = &mut self.processes[leader];
        let outage = grpc::outage(&survivors, || killed.kill())?;
        killed.restart()?;
        self.leader()?;
        Ok(outage)
    }
}
