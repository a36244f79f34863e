//! What is asked of a cluster that runs.

use cluster::cli::{Whom, table};
use quorum::{Reply, Request, Store, StoreError};

fn store(whom: &Whom) -> anyhow::Result<Store> {
    Ok(Store::new(whom.caller()?, whom.timeout))
}

fn write(whom: &Whom, request: Request) -> anyhow::Result<()> {
    match store(whom)?.ask(request).wait()? {
        Reply::Written { version, guarantee } => println!("{version:?}, {guarantee:?}"),
        Reply::Value { .. } | Reply::Status(_) => return Err(StoreError::Mismatch.into()),
    }
    Ok(())
}

#[derive(clap::Args)]
pub(crate) struct Status {
    #[command(flatten)]
    whom: Whom,
}

impl Status {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let store = store(&self.whom)?;
        // All at once: who is silent holds up nobody's answer but his own.
        let ask = |(id, at)| (id, at, store.status(id));
        let asked: Vec<_> = self.whom.peers.nodes().map(ask).collect();
        let mut answered = false;
        let mut rows = Vec::new();
        for (id, at, call) in asked {
            let [says, keys, hints, sees] = match call.wait() {
                Ok(status) => {
                    answered = true;
                    let live = status.live.iter().filter(|(_, live)| *live);
                    let live: Vec<_> = live.map(|(node, _)| node.to_string()).collect();
                    let guarantee = format!("{:?}", status.guarantee).to_lowercase();
                    [guarantee, status.keys.to_string(), status.hints.to_string(), live.join(" ")]
                }
                Err(error) => [error.to_string(), String::new(), String::new(), String::new()],
            };
            rows.push([id.to_string(), at.to_string(), says, keys, hints, sees]);
        }
        let head = ["node", "address", "promises", "keys", "hints", "believes live"];
        print!("{}", table(head, &rows));
        anyhow::ensure!(answered, "no node answers");
        Ok(())
    }
}

#[derive(clap::Args)]
pub(crate) struct Get {
    #[command(flatten)]
    whom: Whom,
    /// How many replicas must answer, if not the store's R
    #[arg(long, value_name = "R")]
    quorum: Option<usize>,
    /// Which key
    key: String,
}

impl Get {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let request = Request::Get { key: self.key.as_str().into(), read_quorum: self.quorum };
        match store(&self.whom)?.ask(request).wait()? {
            Reply::Value { value: Some(value), version, guarantee } => {
                let value = String::from_utf8_lossy(value.as_bytes());
                println!("{value}\n{version:?}, {guarantee:?}");
                Ok(())
            }
            Reply::Value { value: None, .. } => anyhow::bail!("{} holds nothing", self.key),
            Reply::Written { .. } | Reply::Status(_) => Err(StoreError::Mismatch.into()),
        }
    }
}

#[derive(clap::Args)]
pub(crate) struct Put {
    #[command(flatten)]
    whom: Whom,
    /// How many replicas must have it on their disks, if not the store's W
    #[arg(long, value_name = "W")]
    quorum: Option<usize>,
    /// Which key
    key: String,
    /// What it is to hold
    value: String,
}

impl Put {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let (key, value) = (self.key.as_str().into(), self.value.as_str().into());
        write(&self.whom, Request::Put { key, value, write_quorum: self.quorum })
    }
}

#[derive(clap::Args)]
pub(crate) struct Del {
    #[command(flatten)]
    whom: Whom,
    /// How many replicas must have it on their disks, if not the store's W
    #[arg(long, value_name = "W")]
    quorum: Option<usize>,
    /// Which key
    key: String,
}

impl Del {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let key = self.key.as_str().into();
        write(&self.whom, Request::Delete { key, write_quorum: self.quorum })
    }
}
