//! What is asked of a cluster that runs.

use cluster::cli::{Whom, table};
use dlock::{Error, LockNode, Request};

/// The locks as `owner` sees them.
pub(crate) fn locks(whom: &Whom, owner: &str) -> anyhow::Result<dlock::Locks> {
    Ok(dlock::Locks::new(whom.caller()?, owner).patience(whom.timeout))
}

#[derive(clap::Args)]
pub(crate) struct Status {
    #[command(flatten)]
    whom: Whom,
}

impl Status {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let caller = self.whom.caller::<LockNode>()?;
        // All at once: who is silent holds up nobody's answer but his own.
        let ask = |(id, at)| (id, at, caller.call(id, Request::List, self.whom.timeout));
        let asked: Vec<_> = self.whom.peers.nodes().map(ask).collect();
        let mut led = false;
        let mut rows = Vec::new();
        for (id, at, call) in asked {
            let said = match call.wait() {
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
        let held = locks(&self.whom, "locks")?.list().wait()?;
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
