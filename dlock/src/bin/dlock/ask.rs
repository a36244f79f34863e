//! What is asked of a cluster that runs.

use std::time::Duration;

use cluster::cli::{Peers, span, table};
use cluster::threads::Client;
use dlock::{Error, LockNode, Request};

/// Which cluster, and how long to try.
#[derive(clap::Args)]
pub(crate) struct Whom {
    #[command(flatten)]
    peers: Peers,
    /// How long to try
    #[arg(long, value_name = "SPAN", default_value = "5s", value_parser = span)]
    timeout: Duration,
}

impl Whom {
    pub(crate) fn client(&self) -> anyhow::Result<Client<LockNode>> {
        Ok(Client::over(self.peers.connect()?))
    }

    /// The locks as `owner` sees them.
    pub(crate) fn locks(&self, owner: &str) -> anyhow::Result<dlock::Locks> {
        Ok(dlock::Locks::new(self.client()?, owner).patience(self.timeout))
    }
}

#[derive(clap::Args)]
pub(crate) struct Status {
    #[command(flatten)]
    whom: Whom,
}

impl Status {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let mut client = self.whom.client()?;
        let mut led = false;
        let mut rows = Vec::new();
        for (id, at) in self.whom.peers.nodes() {
            let said = match client.call(id, Request::List, self.whom.timeout) {
                Ok(Ok(_)) => {
                    led = true;
                    "leads".to_owned()
                }
                Ok(Err(Error::NotLeader { leader: Some(leader) })) => format!("follows {leader}"),
                Ok(Err(Error::NotLeader { leader: None })) => "knows no leader".to_owned(),
                Ok(Err(error)) => error.to_string(),
                Err(error) => error.to_string(),
            };
            rows.push([id.to_string(), at.to_string(), said]);
        }
        print!("{}", table(["node", "address", "says"], &rows));
        anyhow::ensure!(led, "no node leads");
        Ok(())
    }
}

#[derive(clap::Args)]
pub(crate) struct Locks {
    #[command(flatten)]
    whom: Whom,
}

impl Locks {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let held = self.whom.locks("locks")?.list()?;
        let rows: Vec<_> = held
            .iter()
            .map(|lock| {
                let token = lock.token.get().to_string();
                let (ttl, left) = (format!("{:?}", lock.ttl), format!("{:.1?}", lock.remaining));
                let (resource, owner) = (lock.resource.to_string(), lock.owner.to_string());
                [resource, owner, token, ttl, left, lock.waiters.to_string()]
            })
            .collect();
        let head = ["lock", "owner", "token", "ttl", "remaining", "waiters"];
        print!("{}", table(head, &rows));
        Ok(())
    }
}
